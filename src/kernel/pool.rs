//! Pooling over windows and over whole channels.

use super::microkernel::{Isa, Vectorized};
use super::parallel::Each;
use super::reduce;
use super::window::{Geometry, Window, take_every};
use crate::tensor::{Element, buffer};
use rayon::prelude::*;
use std::ops::Range;

/// The largest value of each window, and the pixel within its channel that held it;
/// of equals the first in row-major order, as in PyTorch. Padding never wins, NaN always.
///
/// `x` is `[N, C, H, W]`; the results are `[N, C, H', W']`.
pub fn max_pool<T: Element>(geometry: &Geometry, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let positions = geometry.positions();
    let count = geometry.batch * geometry.channels * positions;
    let (mut y, mut argmax) = (buffer::take(count), vec![0; count]);
    let isa = Isa::native();
    y.par_chunks_mut(positions)
        .zip(argmax.par_chunks_mut(positions))
        .zip(x.par_chunks(geometry.pixels()))
        .with_min_len(8)
        .each(|((y, argmax), x)| isa.run(MaxOfChannel { g: geometry, x, y, argmax }));
    (y, argmax)
}

/// The largest values of one channel.
struct MaxOfChannel<'a, T> {
    g: &'a Geometry,
    x: &'a [T],
    y: &'a mut [T],
    argmax: &'a mut [u32],
}

impl<T: Element> Vectorized for MaxOfChannel<'_, T> {
    /// A row is gone through once for each tap of the window, over the columns whose tap lies within the
    /// image, so that the innermost loop has neither a border nor a branch. (The operation has made sure
    /// that no window sees padding only.)
    #[inline(always)]
    fn run(self) {
        let Self { g, x, y, argmax } = self;
        let Window { stride, padding, dilation, .. } = g.window;
        let width = g.output[1];
        let mut line = vec![T::zero(); width];
        let rows = y.chunks_mut(width).zip(argmax.chunks_mut(width));
        for (i, (y, argmax)) in rows.enumerate() {
            y.fill(T::neg_infinity());
            // From the last tap to the first: of equals, the first is the last to win.
            for u in (0..g.taps[0]).rev() {
                let row = (i * stride[0] + u * dilation[0]).checked_sub(padding[0]);
                let Some(row) = row.filter(|&row| row < g.input[0]) else { continue };
                for v in (0..g.taps[1]).rev() {
                    let (columns, first) = columns_of_tap(g, v);
                    if columns.is_empty() {
                        continue;
                    }
                    let first = row * g.input[1] + first;
                    let line = &mut line[..columns.len()];
                    take_every(stride[1], &x[first..], line);
                    let (y, argmax) = (&mut y[columns.clone()], &mut argmax[columns]);
                    let mut pixel = first as u32;
                    for ((y, winner), &x) in y.iter_mut().zip(argmax).zip(&*line) {
                        let wins = x >= *y || x.is_nan();
                        *y = if wins { x } else { *y };
                        *winner = if wins { pixel } else { *winner };
                        pixel = pixel.wrapping_add(stride[1] as u32);
                    }
                }
            }
        }
    }
}

/// Gives each `dy` to the pixel that won: `dx` `[N, C, H, W]`.
pub fn max_pool_gradient<T: Element>(geometry: &Geometry, argmax: &[u32], dy: &[T]) -> Vec<T> {
    let mut dx = buffer::take(geometry.batch * geometry.sample_len());
    dx.par_chunks_mut(geometry.pixels())
        .zip(dy.par_chunks(geometry.positions()))
        .zip(argmax.par_chunks(geometry.positions()))
        .with_min_len(8)
        .each(|((dx, dy), argmax)| {
            // A channel at a time, which is near the processor then.
            dx.fill(T::zero());
            argmax.iter().zip(dy).for_each(|(&winner, &dy)| dx[winner as usize] += dy);
        });
    dx
}

/// The outputs of a row whose tap in column `v` of the window lies within the image, and the column
/// of the image that it is on for the first of them.
fn columns_of_tap(g: &Geometry, v: usize) -> (Range<usize>, usize) {
    let [stride, padding, dilation] =
        [g.window.stride, g.window.padding, g.window.dilation].map(|pair| pair[1]);
    let tap = v * dilation;
    // Column j of the output sees column j stride + tap - padding of the image.
    let least = padding.saturating_sub(tap).div_ceil(stride);
    let most = (g.input[1] + padding).saturating_sub(tap).div_ceil(stride).min(g.output[1]);
    if least < most { (least..most, least * stride + tap - padding) } else { (0..0, 0) }
}

/// What the sum under a window is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Divisor {
    /// The number of its taps, those on the padding too: `count_include_pad=True` of PyTorch.
    #[default]
    Taps,
    /// The number of its taps that lie on the image.
    Pixels,
}

impl Divisor {
    /// For each output along an axis, by how many taps it divides there.
    fn counts(self, g: &Geometry, axis: usize) -> Vec<usize> {
        let Window { stride, padding, dilation, .. } = g.window;
        let count = |i: usize| match self {
            Self::Taps => g.taps[axis],
            Self::Pixels => (0..g.taps[axis])
                .filter_map(|u| (i * stride[axis] + u * dilation[axis]).checked_sub(padding[axis]))
                .filter(|&pixel| pixel < g.input[axis])
                .count(),
        };
        (0..g.output[axis]).map(count).collect()
    }

    /// The counts of all outputs of a channel.
    fn of_channel<T: Element>(self, g: &Geometry) -> Vec<T> {
        let [rows, columns] = [0, 1].map(|axis| self.counts(g, axis));
        let row = |down| columns.iter().map(move |right| T::from_f64((down * right) as f64));
        rows.into_iter().flat_map(row).collect()
    }
}

/// The mean under each window: `y` `[N, C, H', W']` of `x` `[N, C, H, W]`.
pub fn avg_pool<T: Element>(g: &Geometry, divisor: Divisor, x: &[T]) -> Vec<T> {
    let divisors = divisor.of_channel::<T>(g);
    let mut y = buffer::take(g.batch * g.channels * g.positions());
    let channels = y.par_chunks_mut(g.positions()).zip(x.par_chunks(g.pixels()));
    channels.with_min_len(8).each(|(y, x)| {
        y.fill(T::zero());
        each_tap(g, |position, columns, pixel| {
            let stride = g.window.stride[1];
            let pixels = x[pixel..].iter().step_by(stride);
            y[position..][columns].iter_mut().zip(pixels).for_each(|(y, &x)| *y += x);
        });
        y.iter_mut().zip(&divisors).for_each(|(y, &divisor)| *y /= divisor);
    });
    y
}

/// Each `dy` spread evenly over the pixels under its window: `dx` `[N, C, H, W]`.
pub fn avg_pool_gradient<T: Element>(g: &Geometry, divisor: Divisor, dy: &[T]) -> Vec<T> {
    let divisors = divisor.of_channel::<T>(g);
    let mut dx = buffer::zeros(g.batch * g.sample_len());
    let channels = dx.par_chunks_mut(g.pixels()).zip(dy.par_chunks(g.positions()));
    let part = || buffer::scratch::<T>(g.positions());
    channels.with_min_len(8).each_init(part, |part, (dx, dy)| {
        let parts = part.iter_mut().zip(dy).zip(&divisors);
        parts.for_each(|((part, &dy), &divisor)| *part = dy / divisor);
        each_tap(g, |position, columns, pixel| {
            let stride = g.window.stride[1];
            let pixels = dx[pixel..].iter_mut().step_by(stride);
            part[position..][columns].iter().zip(pixels).for_each(|(&part, dx)| *dx += part);
        });
    });
    dx
}

/// Calls `f` for each row of outputs of a channel and each tap of the window that lies within the
/// image there: with the place of the row, those of its outputs that see the image by the tap, and
/// the pixel that the first of them sees; the others see each `stride` further.
fn each_tap(g: &Geometry, mut f: impl FnMut(usize, Range<usize>, usize)) {
    let Window { stride, padding, dilation, .. } = g.window;
    for i in 0..g.output[0] {
        for u in 0..g.taps[0] {
            let row = (i * stride[0] + u * dilation[0]).checked_sub(padding[0]);
            let Some(row) = row.filter(|&row| row < g.input[0]) else { continue };
            for v in 0..g.taps[1] {
                let (columns, first) = columns_of_tap(g, v);
                if !columns.is_empty() {
                    f(i * g.output[1], columns, row * g.input[1] + first);
                }
            }
        }
    }
}

/// The mean of each row of `len` values.
pub fn row_means<T: Element>(x: &[T], len: usize) -> Vec<T> {
    let scale = T::one() / T::from_f64(len as f64);
    x.par_chunks(len).with_min_len(64).map(|row| reduce::sum(row) * scale).collect()
}

/// The gradient of [`row_means`]: each `dy` spread evenly over its row.
pub fn row_means_gradient<T: Element>(dy: &[T], len: usize) -> Vec<T> {
    let scale = T::one() / T::from_f64(len as f64);
    let mut dx = buffer::take(dy.len() * len);
    dx.par_chunks_mut(len).with_min_len(64).zip(dy).each(|(dx, &dy)| dx.fill(dy * scale));
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::reference;

    #[test]
    fn agrees_with_its_readable_twin() {
        let cases = [([3, 3], 2, 1, 1), ([2, 2], 2, 0, 1), ([2, 3], 1, 1, 1), ([3, 2], 3, 1, 4)];
        for (size, stride, padding, dilation) in cases {
            let dilation = [1, dilation];
            let window = Window { groups: 3, dilation, ..Window::square(stride, padding) };
            let g = Geometry::new("test", [2, 3, 9, 8], [3, 1, size[0], size[1]], window).unwrap();
            let x = Draw::seeded(4).tensor(&g.input_shape());
            let (y, argmax) = max_pool(&g, x.as_slice());
            assert_eq!(y, reference::max_pool2d(&g, x.as_slice()));
            let channels = x.as_slice().chunks(g.pixels()).zip(argmax.chunks(g.positions()));
            let held = channels.flat_map(|(x, argmax)| argmax.iter().map(|&w| x[w as usize]));
            assert!(held.eq(y), "they hold the largest values");
            for divisor in [Divisor::Taps, Divisor::Pixels] {
                let y = avg_pool(&g, divisor, x.as_slice());
                let twin = reference::avg_pool2d(&g, divisor, x.as_slice());
                assert!(y.iter().zip(twin).all(|(y, twin)| (y - twin).abs() < 1e-14));
            }
        }
    }

    #[test]
    fn of_equal_values_the_first_receives_the_gradient() {
        let window = Window { groups: 1, ..Window::square(2, 0) };
        let g = Geometry::new("test", [1, 1, 2, 2], [1, 1, 2, 2], window).unwrap();
        let (y, argmax) = max_pool(&g, &[1.0f32, 2.0, 2.0, 2.0]);
        assert_eq!((y[0], argmax[0]), (2.0, 1));
        assert_eq!(max_pool_gradient(&g, &argmax, &[5.0]), [0.0, 5.0, 0.0, 0.0]);
        let (y, argmax) = max_pool(&g, &[1.0, f32::NAN, f32::INFINITY, 2.0]);
        assert!(y[0].is_nan() && argmax[0] == 1);
        // Also where all are minus infinity, the winner lies within its own window.
        let g = Geometry::new("test", [1, 1, 2, 4], [1, 1, 2, 2], window).unwrap();
        assert_eq!(max_pool(&g, &[f32::NEG_INFINITY; 8]).1, [0, 2]);
    }
}
