//! A convolution without padding whose patches are made: of a small map, or with windows that lie far
//! apart, as agents have them.
//!
//! The rows of the unfolded columns `X` `[K, N P]` (see [`conv`](super::conv)) are then gathered a few
//! pixels at a time, or one by one, and that takes longer than the product. Its columns are quicker: a
//! patch, which is what the window reads at one position, is made of runs of `kw` pixels that lie side by
//! side in the image. Written one patch after the other they are a matrix `Z` `[N P, K]`, which is read
//! where it lies:
//!
//! ```text
//!      image, 3x3 taps             Z [N P, K]
//!   +---------------+        +-------+-------+-------+--
//!   | . a b c . . . |        | a b c | d e f | g h i | ...    position 0: runs of channel 0, 1, ...
//!   | . d e f . . . |        +-------+-------+-------+--
//!   | . g h i . . . |        | b c . | e f . | h i . | ...    position 1
//!   +---------------+        +-------+-------+-------+--
//!
//! forward           Y^T = Z W^T
//! kernel gradient   dW  = dY Z
//! input gradient    dZ  = dY^T W, whose runs are added up where they came from
//! ```

use super::cost::winograd_wins;
use super::gemm::Matrix;
use super::panel::{Layout, Operand, Target, multiply};
use super::parallel::Each;
use super::window::{Geometry, Unfolded, Window};
use crate::tensor::{Element, buffer};
use rayon::prelude::*;
use std::ops::Range;

/// Whether this is the way.
pub(super) fn wins(g: &Geometry) -> bool {
    /// A row of so many positions is gathered as fast as patches are made.
    const WIDE: usize = 12;
    /// Pixels of all patches: what they take beside the images.
    const MOST: usize = 1 << 22;
    let Window { stride, padding, dilation, groups } = g.window;
    let pixels = (g.batch * g.positions()).saturating_mul(g.row_len());
    groups == 1
        && padding == [0, 0]
        && dilation[1] == 1
        && g.taps[1] > 1
        && (g.output[1] < WIDE || stride[1] > 2)
        && pixels <= MOST
        && !winograd_wins(g, g.outputs)
}

/// Writes some output channels of `y` `[N, O, H', W']`, for `kernels` `[outputs, K]`.
pub(super) fn forward<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    x: &[T],
    kernels: &[T],
    y: &mut [T],
) {
    let (positions, row, count) = (g.positions(), g.row_len(), outputs.len());
    let patches = unfolded(g, x);
    let mut columns = buffer::scratch(g.batch * positions * count);
    let target = Target::new(&mut columns, Layout::matrix(g.batch * positions, count));
    let z = Matrix::new(&patches, g.batch * positions, row);
    let w = Matrix::new(kernels, count, row);
    multiply(Operand::Lanes(&z), Operand::Lanes(&w), row, target, false);
    let samples = y.par_chunks_mut(g.output_len()).zip(columns.par_chunks(positions * count));
    samples.each(|(y, columns)| {
        let maps = y[outputs.start * positions..outputs.end * positions].chunks_mut(positions);
        for (output, map) in maps.enumerate() {
            let column = columns[output..].iter().step_by(count);
            map.iter_mut().zip(column).for_each(|(y, &value)| *y = value);
        }
    });
}

/// Writes the gradient of some rows of the kernel, `[outputs, K]`, given `dy` `[N, O, H', W']`.
pub(super) fn kernel_gradient<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    x: &[T],
    dy: &[T],
    kernels: &mut [T],
) {
    let (positions, row) = (g.positions(), g.row_len());
    let patches = unfolded(g, x);
    let z = Matrix::new(&patches, g.batch * positions, row);
    let dy = Unfolded::flat(dy, g.outputs, outputs.start, positions);
    let dw = Target::new(kernels, Layout::matrix(outputs.len(), row));
    multiply(Operand::Lanes(&dy), Operand::Steps(&z), g.batch * positions, dw, false);
}

/// Writes, or adds, what some output channels give back of `dy` `[N, O, H', W']` to `dx`
/// `[N, C, H, W]`.
pub(super) fn input_gradient<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    dy: &[T],
    kernels: &[T],
    dx: &mut [T],
    add: bool,
) {
    let (positions, row, count) = (g.positions(), g.row_len(), outputs.len());
    let mut patches = buffer::scratch(g.batch * positions * row);
    let target = Target::new(&mut patches, Layout::matrix(g.batch * positions, row));
    let dy = Unfolded::flat(dy, g.outputs, outputs.start, positions);
    let w = Matrix::new(kernels, count, row);
    multiply(Operand::Steps(&dy), Operand::Steps(&w), count, target, false);
    let images = dx.par_chunks_mut(g.sample_len()).zip(patches.par_chunks(positions * row));
    images.each(|(image, patches)| {
        if !add {
            image.fill(T::zero());
        }
        let len = g.taps[1];
        each_run(g, |pixel, at| {
            let run = image[pixel..pixel + len].iter_mut().zip(&patches[at..at + len]);
            run.for_each(|(pixel, &value)| *pixel += value);
        });
    });
}

/// The patches of all positions, `[N P, K]`.
fn unfolded<T: Element>(g: &Geometry, x: &[T]) -> buffer::Buffer<T> {
    let of_sample = g.positions() * g.row_len();
    let mut patches = buffer::scratch(g.batch * of_sample);
    let samples = patches.par_chunks_mut(of_sample).zip(x.par_chunks(g.sample_len()));
    samples.each(|(patches, image)| match g.taps[1] {
        ..=4 => unfold::<T, 4>(g, image, patches),
        5..=8 => unfold::<T, 8>(g, image, patches),
        taps => each_run(g, |pixel, at| {
            patches[at..at + taps].copy_from_slice(&image[pixel..pixel + taps]);
        }),
    });
    patches
}

/// The patches `[P, K]` of an image without padding, one run of all patches of a row after the other.
/// `COPIED` pixels are copied at once, which goes through registers: those that are too many lie where the
/// next run will be.
fn unfold<T: Element, const COPIED: usize>(g: &Geometry, image: &[T], patches: &mut [T]) {
    let ([height, width], [kh, kw], row_len) = (g.input, g.taps, g.row_len());
    let Window { stride, dilation, .. } = g.window;
    for (row, patches) in patches.chunks_mut(g.output[1] * row_len).enumerate() {
        for (run, at) in (0..row_len).step_by(kw).enumerate() {
            let [channel, tap] = [run / kh, run % kh];
            let y = channel * height + row * stride[0] + tap * dilation[0];
            let pixels = &image[y * width..];
            let places = patches.chunks_exact_mut(row_len).map(|patch| &mut patch[at..]);
            let last = (g.output[1] - 1) * stride[1];
            if last + COPIED <= pixels.len() && at + COPIED <= row_len {
                let runs = pixels.windows(COPIED).step_by(stride[1]);
                places.zip(runs).for_each(|(to, from)| to[..COPIED].copy_from_slice(from));
            } else {
                let runs = pixels.windows(kw).step_by(stride[1]);
                places.zip(runs).for_each(|(to, from)| to[..kw].copy_from_slice(from));
            }
        }
    }
}

/// Calls `run` with where each run of pixels begins in an image `[C, H, W]`, and where it stands among the
/// image's patches `[P, K]`; in the order of the patches.
#[inline(always)]
fn each_run(g: &Geometry, mut run: impl FnMut(usize, usize)) {
    let Window { stride, dilation, .. } = g.window;
    let ([height, width], [kh, kw]) = (g.input, g.taps);
    for position in 0..g.positions() {
        let [row, column] = [position / g.output[1], position % g.output[1]];
        for (at, number) in (position * g.row_len()..).step_by(kw).zip(0..g.channels * kh) {
            let [channel, tap] = [number / kh, number % kh];
            let y = row * stride[0] + tap * dilation[0];
            run((channel * height + y) * width + column * stride[1], at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::{reduce, reference};
    use proptest::prelude::*;

    /// A convolution that goes this way: `draw` may hold anything.
    fn geometry(draw: &mut Draw) -> Geometry {
        let taps = [draw.size(1, 4), draw.size(2, 10)];
        let window = Window {
            stride: [draw.size(1, 4), draw.size(1, 6)],
            dilation: [draw.size(1, 2), 1],
            ..Window::default()
        };
        let size = |axis: usize, more: usize| (taps[axis] - 1) * window.dilation[axis] + 1 + more;
        let [height, width] = [size(0, draw.size(0, 6)), size(1, draw.size(0, 10))];
        let (channels, outputs) = (draw.size(1, 3), draw.size(1, 5));
        let x = [draw.size(1, 3), channels, height, width];
        Geometry::new("test", x, [outputs, channels, taps[0], taps[1]], window).unwrap()
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-11)
    }

    proptest! {
        /// The forward pass is what the formula says, all rows at once and one after the other; and the
        /// gradients are adjoint to it: `<conv(x, w), dy> = <x, dx> = <w, dw>`.
        #[test]
        fn agrees_with_its_readable_twin(numbers in prop::collection::vec(any::<u32>(), 32)) {
            let mut draw = Draw::new(numbers);
            let g = geometry(&mut draw);
            let [x, w, dy] =
                [g.input_shape(), g.weight_shape(), g.output_shape()].map(|s| draw.tensor(&s));
            let (x, w, dy) = (x.as_slice(), w.as_slice(), dy.as_slice());
            let twin = reference::conv2d(&g, x, w);
            for count in [g.outputs, 1] {
                let (mut y, mut dx) = (vec![f64::NAN; twin.len()], vec![f64::NAN; x.len()]);
                let mut dw = vec![f64::NAN; w.len()];
                for first in (0..g.outputs).step_by(count) {
                    let rows = first..first + count;
                    let of = rows.start * g.row_len()..rows.end * g.row_len();
                    forward(&g, &rows, x, &w[of.clone()], &mut y);
                    input_gradient(&g, &rows, dy, &w[of.clone()], &mut dx, first > 0);
                    kernel_gradient(&g, &rows, x, dy, &mut dw[of]);
                }
                prop_assert!(close(&y, &twin), "{g:?}");
                let product = reduce::dot(&y, dy);
                let scale = 1e-11 * (1.0 + reduce::dot(&y, &y).sqrt() * reduce::dot(dy, dy).sqrt());
                prop_assert!((product - reduce::dot(x, &dx)).abs() < scale, "{g:?}");
                prop_assert!((product - reduce::dot(w, &dw)).abs() < scale, "{g:?}");
            }
        }
    }
}
