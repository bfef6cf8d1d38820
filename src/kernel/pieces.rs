//! Tensors side by side along an axis, and pieces of one.
//!
//! Along axis `a`, a tensor is *rows* of values that lie together: as many rows as the axes before
//! `a` have places, each of `shape[a]` times what the axes behind `a` have.

use super::parallel::Each;
use crate::tensor::{Element, buffer};
use rayon::prelude::*;
use std::ops::Range;

/// Values a task is given at least.
const TASK: usize = 1 << 15;

/// How many rows a tensor has along an axis, and values at each place of a row.
pub fn rows(shape: &[usize], axis: usize) -> [usize; 2] {
    [shape[..axis].iter().product(), shape[axis + 1..].iter().product()]
}

/// Rows of all parts, side by side; of each part, its values and how long its rows are.
pub fn concat<T: Element>(rows: usize, parts: &[(&[T], usize)]) -> Vec<T> {
    let width: usize = parts.iter().map(|(_, width)| width).sum();
    let mut y = buffer::take(rows * width);
    let width = width.max(1);
    y.par_chunks_mut(width).enumerate().with_min_len(TASK.div_ceil(width)).each(|(row, y)| {
        let mut rest = y;
        for &(part, width) in parts {
            let (y, behind) = rest.split_at_mut(width);
            y.copy_from_slice(&part[row * width..][..width]);
            rest = behind;
        }
    });
    y
}

/// The values `piece` of each row of `width` values.
pub fn slice<T: Element>(x: &[T], width: usize, piece: Range<usize>) -> Vec<T> {
    let width = width.max(1);
    let mut y = buffer::take(x.len() / width * piece.len());
    let len = piece.len().max(1);
    y.par_chunks_mut(len)
        .zip(x.par_chunks(width))
        .with_min_len(TASK.div_ceil(len))
        .each(|(y, x)| y.copy_from_slice(&x[piece.clone()]));
    y
}

/// The gradient of [`slice()`]: rows of `width` values, `dy` in `piece` and zeros elsewhere.
pub fn slice_gradient<T: Element>(
    dy: &[T],
    rows: usize,
    width: usize,
    piece: Range<usize>,
) -> Vec<T> {
    if piece.is_empty() {
        return buffer::zeros(rows * width);
    }
    let mut dx = buffer::take(rows * width);
    dx.par_chunks_mut(width)
        .zip(dy.par_chunks(piece.len()))
        .with_min_len(TASK.div_ceil(width))
        .each(|(dx, dy)| {
            dx[..piece.start].fill(T::zero());
            dx[piece.clone()].copy_from_slice(dy);
            dx[piece.end..].fill(T::zero());
        });
    dx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_side_by_side_and_are_found_again() {
        let (a, b) = ([1.0f32, 2.0, 3.0, 4.0], [5.0, 6.0]);
        let y = concat(2, &[(&a, 2), (&[], 0), (&b, 1)]);
        assert_eq!(y, [1.0, 2.0, 5.0, 3.0, 4.0, 6.0]);
        assert_eq!(slice(&y, 3, 0..2), a);
        assert_eq!(slice(&y, 3, 2..3), b);
        assert_eq!(slice_gradient(&b, 2, 3, 2..3), [0.0, 0.0, 5.0, 0.0, 0.0, 6.0]);
        assert!(slice(&y, 3, 1..1).is_empty());
        assert_eq!(slice_gradient::<f32>(&[], 2, 3, 1..1), [0.0; 6]);
    }

    #[test]
    fn rows_of_an_axis() {
        assert_eq!(rows(&[2, 3, 4], 0), [1, 12]);
        assert_eq!(rows(&[2, 3, 4], 1), [2, 4]);
        assert_eq!(rows(&[2, 3, 4], 2), [6, 1]);
    }
}
