//! Sums in a fixed order.

use super::parallel::Each;
use crate::tensor::{Element, buffer};
use rayon::prelude::*;
use std::ops::Range;

/// Values a task is given at least; below it, a sum stays on its thread.
const CHUNK: usize = 1 << 15;

/// `sum[i] += factor * values[i]`, on the calling thread.
pub fn add_scaled<T: Element>(sum: &mut [T], factor: T, values: &[T]) {
    debug_assert_eq!(sum.len(), values.len());
    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += factor * value);
}

/// Lanes of the sums below: a whole vector register, and the same result with any.
const LANES: usize = 16;

/// The sum over `f(a[i], b[i])`, see [`sums_of`].
pub fn sum_of<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let [sum] = sums_of(a, b, |a, b| [f(a, b)]);
    sum
}

/// The sums over each of `f(a[i], b[i])`, in sixteen interleaved partial sums, which is both
/// faster and more accurate than one.
pub fn sums_of<T: Element, const N: usize>(a: &[T], b: &[T], f: impl Fn(T, T) -> [T; N]) -> [T; N] {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [[T::zero(); LANES]; N];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut tail = [T::zero(); N];
    for (&a, &b) in a.remainder().iter().zip(b.remainder()) {
        let terms = f(a, b);
        (0..N).for_each(|n| tail[n] += terms[n]);
    }
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            let terms = f(a[lane], b[lane]);
            (0..N).for_each(|n| lanes[n][lane] += terms[n]);
        }
    }
    // Halved until one is left: four dependent additions rather than sixteen.
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes.iter_mut().for_each(|lanes| lanes[lane] += lanes[lane + width]);
        }
    }
    std::array::from_fn(|n| lanes[n][0] + tail[n])
}

/// The sum of all values.
pub fn sum<T: Element>(values: &[T]) -> T {
    sum_of(values, values, |value, _| value)
}

/// The dot product of two slices of one length.
pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    sum_of(a, b, |a, b| a * b)
}

/// The sum of the squares of all values; that of a chunk in their own precision.
pub fn sum_of_squares<T: Element>(values: &[T]) -> f64 {
    let chunks = values.par_chunks(CHUNK).map(|chunk| dot(chunk, chunk).widen());
    // Added up in the order of the chunks, not as they come.
    chunks.collect::<Vec<_>>().into_iter().sum()
}

/// As [`sum`]: chunks of many values are added up side by side, then their sums.
fn par_sum<T: Element>(values: &[T]) -> T {
    if values.len() <= CHUNK {
        return sum(values);
    }
    let sums: Vec<T> = values.par_chunks(CHUNK).map(sum).collect();
    sum(&sums)
}

/// Neighbouring axes of a tensor, seen as the middle one of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Middle {
    /// Product of the axes before them.
    pub outer: usize,
    /// Their product.
    pub len: usize,
    /// Product of the axes behind them.
    pub inner: usize,
}

impl Middle {
    /// The given axes of a tensor.
    pub fn new(shape: &[usize], axes: Range<usize>) -> Self {
        Self {
            outer: shape[..axes.start].iter().product(),
            len: shape[axes.clone()].iter().product(),
            inner: shape[axes.end..].iter().product(),
        }
    }
}

/// `y[o, i] = factor sum_l x[o, l, i]`, for `x` `[outer, len, inner]`.
pub fn sum_middle<T: Element>(x: &[T], middle: Middle, factor: T) -> Vec<T> {
    let Middle { outer, len, inner } = middle;
    let mut y = buffer::zeros(outer * inner);
    if inner == 1 {
        let rows = x.par_chunks(len.max(1)).with_min_len(CHUNK.div_ceil(len.max(1)));
        y.par_iter_mut().zip(rows).each(|(y, row)| *y = factor * par_sum(row));
    } else {
        let blocks = x.par_chunks((len * inner).max(1));
        y.par_chunks_mut(inner.max(1)).zip(blocks).each(|(y, block)| {
            block.chunks(inner).for_each(|row| add_scaled(y, factor, row));
        });
    }
    y
}

/// `y[o, l, i] = factor x[o, i]`, of shape `[outer, len, inner]`.
pub fn repeat_middle<T: Element>(x: &[T], middle: Middle, factor: T) -> Vec<T> {
    let Middle { outer, len, inner } = middle;
    let mut y = buffer::take(outer * len * inner);
    let blocks = y.par_chunks_mut((len * inner).max(1));
    blocks.zip(x.par_chunks(inner.max(1))).each(|(block, x)| match x {
        &[x] => block.fill(factor * x),
        _ => block.chunks_mut(inner).for_each(|y| {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = factor * x);
        }),
    });
    y
}

/// The softmax of one row, in place; the largest value is taken off first, so that no
/// exponential overflows.
pub fn softmax_row<T: Element>(row: &mut [T]) {
    let largest = row.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum: T = row.iter().copied().sum();
    row.iter_mut().for_each(|v| *v /= sum);
}

/// The logarithm of the softmax of one row, in place. Differences to the largest value come
/// first: they are small where values are large.
pub fn log_softmax_row<T: Element>(row: &mut [T]) {
    let largest = row.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
    let log_sum = row.iter().map(|&v| (v - largest).exp()).sum::<T>().ln();
    row.iter_mut().for_each(|v| *v = (*v - largest) - log_sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reference;
    use ndarray::{Array3, Axis};

    #[test]
    fn sums_take_every_value_once() {
        for count in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f64> = (0..count).map(f64::from).collect();
            let expected = f64::from(count * (count - 1).max(0) / 2);
            assert_eq!(sum(&values), expected);
            assert_eq!(dot(&values, &vec![2.0; values.len()]), 2.0 * expected);
        }
        for count in [0, 1, CHUNK, 3 * CHUNK + 5] {
            assert_eq!(sum_of_squares(&vec![2.0f32; count]), 4.0 * count as f64);
        }
    }

    #[test]
    fn sums_over_the_middle_are_those_of_ndarray() {
        let sizes = [[1, 1, 1], [3, 5, 1], [2, 4, 3], [1, 2 * CHUNK + 7, 1], [70, 1000, 1]];
        let empty = [[0, 2, 3], [2, 0, 3], [2, 0, 1], [2, 3, 0]];
        for size in sizes.into_iter().chain(empty) {
            let mut rng = fastrand::Rng::with_seed(1);
            let x = Array3::from_shape_fn(size, |_| rng.f64() - 0.5);
            let middle = Middle::new(&size, 1..2);
            let expected = reference::sum_middle(x.view(), 0.5);
            let found = sum_middle(x.as_slice().unwrap(), middle, 0.5);
            assert_eq!(found.len(), expected.len());
            let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            assert!(differences.fold(0.0, f64::max) < 1e-11, "{size:?}");

            let repeated = repeat_middle(&found, middle, 2.0);
            let found = ndarray::Array2::from_shape_vec((size[0], size[2]), found).unwrap();
            let expected = 2.0 * &found.insert_axis(Axis(1)).broadcast(size).unwrap();
            assert_eq!(repeated, expected.iter().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn neighbouring_axes_are_one() {
        let middle = Middle::new(&[2, 3, 4, 5, 6], 1..3);
        assert_eq!(middle, Middle { outer: 2, len: 12, inner: 30 });
        assert_eq!(Middle::new(&[], 0..0), Middle { outer: 1, len: 1, inner: 1 });
    }
}
