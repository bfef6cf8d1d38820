//! Pooling over windows and over whole channels.

use super::reduce;
use super::window::{Geometry, Window};
use crate::tensor::Element;
use rayon::prelude::*;

/// The largest value of each window, and the pixel within its channel that held it;
/// of equals the first in row-major order, as in PyTorch. Padding never wins.
///
/// `x` is `[N, C, H, W]`; the results are `[N, C, H', W']`.
pub fn max_pool<T: Element>(geometry: &Geometry, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let positions = geometry.positions();
    let count = geometry.batch * geometry.channels * positions;
    let (mut y, mut winners) = (vec![T::zero(); count], vec![0; count]);
    y.par_chunks_mut(positions)
        .zip(winners.par_chunks_mut(positions))
        .zip(x.par_chunks(geometry.pixels()))
        .with_min_len(8)
        .for_each(|((y, winners), x)| {
            for (position, (y, winner)) in y.iter_mut().zip(winners).enumerate() {
                (*y, *winner) = largest(geometry, x, position);
            }
        });
    (y, winners)
}

fn largest<T: Element>(g: &Geometry, x: &[T], position: usize) -> (T, u32) {
    let Window { stride, padding, dilation, .. } = g.window;
    let origin = [position / g.output[1] * stride[0], position % g.output[1] * stride[1]];
    let mut best = None;
    for u in 0..g.taps[0] {
        let row = (origin[0] + u * dilation[0]).wrapping_sub(padding[0]);
        for v in 0..g.taps[1] {
            let column = (origin[1] + v * dilation[1]).wrapping_sub(padding[1]);
            if row < g.input[0] && column < g.input[1] {
                let pixel = row * g.input[1] + column;
                // NaN wins over everything, so that it is not hidden.
                let wins = |(largest, _)| x[pixel] > largest || x[pixel].is_nan();
                if best.is_none_or(wins) {
                    best = Some((x[pixel], pixel as u32));
                }
            }
        }
    }
    // The operation has made sure that no window sees padding only.
    best.unwrap_or((T::neg_infinity(), 0))
}

/// Gives each `dy` to the pixel that won: `dx` `[N, C, H, W]`.
pub fn max_pool_gradient<T: Element>(geometry: &Geometry, winners: &[u32], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); geometry.batch * geometry.sample_len()];
    dx.par_chunks_mut(geometry.pixels())
        .zip(dy.par_chunks(geometry.positions()))
        .zip(winners.par_chunks(geometry.positions()))
        .with_min_len(8)
        .for_each(|((dx, dy), winners)| {
            winners.iter().zip(dy).for_each(|(&winner, &dy)| dx[winner as usize] += dy);
        });
    dx
}

/// The mean of each row of `len` values.
pub fn row_means<T: Element>(x: &[T], len: usize) -> Vec<T> {
    let scale = T::one() / T::from_f64(len as f64);
    x.par_chunks(len).with_min_len(64).map(|row| reduce::sum(row) * scale).collect()
}

/// The gradient of [`row_means`]: each `dy` spread evenly over its row.
pub fn row_means_gradient<T: Element>(dy: &[T], len: usize) -> Vec<T> {
    let scale = T::one() / T::from_f64(len as f64);
    let mut dx = vec![T::zero(); dy.len() * len];
    dx.par_chunks_mut(len).with_min_len(64).zip(dy).for_each(|(dx, &dy)| dx.fill(dy * scale));
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::reference;

    #[test]
    fn agrees_with_its_readable_twin() {
        for (size, stride, padding) in [([3, 3], 2, 1), ([2, 2], 2, 0), ([2, 3], 1, 1)] {
            let window = Window { groups: 3, ..Window::square(stride, padding) };
            let g = Geometry::new("test", [2, 3, 9, 8], [3, 1, size[0], size[1]], window).unwrap();
            let x = Draw::seeded(4).tensor(&g.input_shape());
            assert_eq!(max_pool(&g, x.as_slice()).0, reference::max_pool2d(&g, x.as_slice()));
        }
    }

    #[test]
    fn of_equal_values_the_first_receives_the_gradient() {
        let window = Window { groups: 1, ..Window::square(2, 0) };
        let g = Geometry::new("test", [1, 1, 2, 2], [1, 1, 2, 2], window).unwrap();
        let (y, winners) = max_pool(&g, &[1.0f32, 2.0, 2.0, 2.0]);
        assert_eq!((y[0], winners[0]), (2.0, 1));
        assert_eq!(max_pool_gradient(&g, &winners, &[5.0]), [0.0, 5.0, 0.0, 0.0]);
        // Also where all are minus infinity, the winner lies within its own window.
        let g = Geometry::new("test", [1, 1, 2, 4], [1, 1, 2, 2], window).unwrap();
        assert_eq!(max_pool(&g, &[f32::NEG_INFINITY; 8]).1, [0, 2]);
    }
}
