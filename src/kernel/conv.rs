//! How a convolution becomes products of packed panels.
//!
//! A convolution slides a window over an image. At each of the `P` positions it reads `K = C kh kw`
//! pixels, one for each channel and tap, and multiplies them with the `K` weights of each of `O`
//! kernels. Written one below the other for one position, and side by side for all positions of
//! all samples, the pixels are a matrix `X` `[K, N P]`, the *unfolded columns*; the kernels are a
//! matrix `W` `[O, K]` as they lie in memory; and the convolution is `Y = W X`:
//!
//! ```text
//!    image, 3x3 taps                     X [K, N P]
//!   +---------------+          positions of sample 0   sample 1 ...
//!   | . . . . . . . |         +---+---+---+--   --+---+---+---+--
//!   | . a b c . . . |  tap 0  | a | b | c |  ...  |   |   |   |      one row for each channel
//!   | . d e f . . . |  tap 1  | b | c | . |       |   |   |   |      and tap, in which the image
//!   | . g h i . . . |  tap 2  | c | . | . |       |   |   |   |      lies shifted by the tap
//!   | . . . . . . . |   ...   |   |   |   |       |   |   |   |
//!   +---------------+         +---+---+---+--   --+---+---+---+--
//! ```
//!
//! `X` repeats every pixel `kh kw` times and is not made, but for small maps. Where a product comes to a block of
//! it, [`Unfolded`] reads the block's rows out of the images, and they go straight into panels:
//!
//! ```text
//!   W [O, K]            X [K, N P], a block of steps x columns at a time
//!   +-----------+      +- - - - - - - - - - - - - - - - +
//!   |  8 rows   |        +------+------+------+------+
//!   +-----------+      | |48    |48    |48    |48    |  |    packed: panel after panel, step after
//!   |  8 rows   |  x     |cols  |cols  |cols  |cols  |       step, in the second-level cache
//!   +-----------+      | +------+------+------+------+  |
//!   |   ...     |       - - - - - - - - - - - - - - - -
//!   +-----------+
//!    packed once        each panel of W x each panel of X: one tile of Y in registers
//! ```
//!
//! (8 and 48 are the sizes for AVX-512, see [`microkernel`](super::microkernel); how the panels
//! are walked is told in [`panel`](super::panel).) For a kernel of one tap and stride 1 the rows of
//! `X` are the channels of the image: nothing is unfolded. Positions of different samples stand
//! side by side, so that small images fill panels as well as large ones do.
//!
//! The gradients are two more products of the same kind:
//!
//! ```text
//! forward            Y  = W X
//! kernel gradient    dW = dY X^T          positions are the inner axis
//! input gradient     dX = W' dY'          dY' holds, for each pixel, the outputs that read it
//! ```
//!
//! In the last one nothing is folded back: a pixel's gradient is a sum over the outputs that its
//! value went to, so `dY'` can be read like `X`, the taps in reverse. With a stride, pixels fall
//! into phases that are read by different taps, and each [`Phase`] is a product of its own.
//!
//! Five things change this picture: 3x3 taps may be multiplied in transformed form (see
//! `winograd`), groups are products of their own, groups of few channels are no products at
//! all (see `direct`), a window as large as the image leaves matrices as they are (see `dense`), and
//! of a small map, or windows that lie far apart, `X` is made after all, its columns one after the
//! other, if nothing is padded (see `patches`).

use super::cost::winograd_wins;
use super::dense;
use super::direct;
use super::gemm::Matrix;
use super::microkernel::MOST_ROWS;
use super::panel::{Layout, Operand, Rows, Target, multiply};
use super::parallel::Each;
use super::patches;
use super::reduce;
use super::window::{Geometry, Phase, Tap, Unfolded, take_every};
use super::winograd;
use crate::tensor::{Element, buffer};
use rayon::prelude::*;
use std::ops::Range;

/// `y` `[N, O, H', W']` of `x` `[N, C, H, W]`, `weight` `[O, C / groups, kh, kw]`
/// and `bias` `[O]`.
pub fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
    let mut y = buffer::take(g.batch * g.outputs * g.positions());
    for rows in all(g) {
        rows.forward(g, x, &weight[rows.kernel(g)], &mut y);
    }
    if let Some(bias) = bias {
        y.par_chunks_mut(g.outputs * g.positions()).each(|y| add_bias(g, bias, y));
    }
    y
}

/// The gradient of `x` `[N, C, H, W]`, given `dy` `[N, O, H', W']`.
pub fn input_gradient<T: Element>(g: &Geometry, dy: &[T], weight: &[T]) -> Vec<T> {
    let mut dx = InputGradient::new(g);
    for rows in all(g) {
        dx.add(g, dy, &rows, &weight[rows.kernel(g)]);
    }
    dx.finish(g)
}

/// The gradient of `weight` `[O, C / groups, kh, kw]`, given `dy` `[N, O, H', W']`.
pub fn kernel_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let mut dw = buffer::take(g.outputs * g.row_len());
    for rows in all(g) {
        let dw = &mut dw[rows.kernel(g)];
        rows.kernel_gradient(g, x, dy, dw);
    }
    dw
}

/// Some rows of the kernel matrix, all of one group: output channels and what leads to them.
///
/// Where its methods take kernels, these are the rows `[rows, C / groups, kh, kw]` of one kernel
/// for all samples, or of one for each sample, one after the other.
#[derive(Clone, Debug)]
pub(super) struct KernelRows {
    /// One, or several of which these are all rows: only [`direct`] computes those.
    groups: Range<usize>,
    /// Counted over all groups.
    outputs: Range<usize>,
}

/// All rows, of so many groups each as are computed at once.
fn all(g: &Geometry) -> impl Iterator<Item = KernelRows> + use<> {
    of_groups(g, if direct::wins(g) { g.window.groups } else { 1 })
}

/// All rows of `count` groups each.
fn of_groups(g: &Geometry, count: usize) -> impl Iterator<Item = KernelRows> + use<> {
    let (outputs, all) = (g.outputs_per_group(), g.window.groups);
    (0..all).step_by(count).map(move |first| {
        let groups = first..all.min(first + count);
        KernelRows { outputs: groups.start * outputs..groups.end * outputs, groups }
    })
}

impl KernelRows {
    /// Blocks of rows of all groups, of about `count` values each.
    pub(super) fn blocks(g: &Geometry, count: usize) -> Vec<Self> {
        let height = (count / g.row_len().max(1)).max(1);
        if direct::wins(g) {
            return of_groups(g, (height / g.outputs_per_group()).max(1)).collect();
        }
        let blocks = |KernelRows { groups, outputs }| {
            let parts = outputs.len().div_ceil(height);
            // No block much smaller than the others, and all but the last without an edge.
            let height = outputs.len().div_ceil(parts).next_multiple_of(MOST_ROWS);
            let end = outputs.end;
            let begins = outputs.step_by(height);
            begins.map(move |o| Self { groups: groups.clone(), outputs: o..end.min(o + height) })
        };
        of_groups(g, 1).flat_map(blocks).collect()
    }

    /// Where the rows stand among the values of the whole kernel.
    pub(super) fn kernel(&self, g: &Geometry) -> Range<usize> {
        self.outputs.start * g.row_len()..self.outputs.end * g.row_len()
    }

    /// Writes these output channels of `y` `[N, O, H', W']`.
    pub(super) fn forward<T: Element>(&self, g: &Geometry, x: &[T], kernels: &[T], y: &mut [T]) {
        if direct::wins(g) {
            return direct::forward(g, &self.groups, x, kernels, y);
        }
        if dense::wins(g) {
            return dense::forward(g, &self.outputs, x, kernels, y);
        }
        let len = self.kernel(g).len();
        if kernels.len() > len {
            let one = g.of_one_sample();
            y.par_chunks_mut(g.output_len())
                .zip(x.par_chunks(g.sample_len()))
                .zip(kernels.par_chunks(len))
                .each(|((y, x), kernel)| self.forward(&one, x, kernel, y));
            return;
        }
        if patches::wins(g) {
            return patches::forward(g, &self.outputs, x, kernels, y);
        }
        let (outputs, positions) = (self.outputs.len(), g.positions());
        if winograd_wins(g, outputs) {
            return winograd::forward(g, x, (self.groups.start, &self.outputs), kernels, y);
        }
        let layout = Layout {
            rows: outputs,
            samples: g.batch,
            positions,
            row_stride: positions,
            sample_stride: g.output_len(),
        };
        let y = Target::new(&mut y[self.outputs.start * positions..], layout);
        let w = Matrix::new(kernels, outputs, g.row_len());
        let x = Unfolded::forward(g, x, self.groups.start);
        multiply(Operand::Lanes(&w), Operand::Steps(&x), g.row_len(), y, false);
    }

    /// Writes the gradient of these rows of the kernel, or of the kernels of all samples.
    pub(super) fn kernel_gradient<T: Element>(
        &self,
        g: &Geometry,
        x: &[T],
        dy: &[T],
        kernels: &mut [T],
    ) {
        if direct::wins(g) {
            return direct::kernel_gradient(g, &self.groups, x, dy, kernels);
        }
        if dense::wins(g) {
            return dense::kernel_gradient(g, &self.outputs, x, dy, kernels);
        }
        let len = self.kernel(g).len();
        if kernels.len() > len {
            let one = g.of_one_sample();
            kernels
                .par_chunks_mut(len)
                .zip(x.par_chunks(g.sample_len()))
                .zip(dy.par_chunks(g.output_len()))
                .each(|((kernel, x), dy)| self.kernel_gradient(&one, x, dy, kernel));
            return;
        }
        if patches::wins(g) {
            return patches::kernel_gradient(g, &self.outputs, x, dy, kernels);
        }
        let (outputs, positions) = (self.outputs.len(), g.positions());
        if winograd_wins(g, outputs) {
            let place = (self.groups.start, &self.outputs);
            return winograd::kernel_gradient(g, x, dy, place, kernels);
        }
        let dy = Unfolded::flat(dy, g.outputs, self.outputs.start, positions);
        let x = Unfolded::forward(g, x, self.groups.start);
        let dw = Target::new(kernels, Layout::matrix(outputs, g.row_len()));
        multiply(Operand::Lanes(&dy), Operand::Lanes(&x), g.batch * positions, dw, false);
    }
}

/// The gradient of the input in the making.
pub(super) enum InputGradient<T> {
    /// `[N, C, H, W]`, of which [`direct`] writes the channels of each group once.
    Whole(Vec<T>),
    /// `[N, C, H, W]`, to which [`dense`] or [`patches`] adds once it has been written.
    Sum {
        /// The gradient.
        dx: Vec<T>,
        /// Whether it has been written.
        is_written: bool,
    },
    /// Phase by phase (see [`Phase`]).
    Phases {
        /// With the pixels of each phase, `[N, C, pixels]`.
        phases: Vec<(Phase, Vec<T>)>,
        /// The group whose pixels have been written last.
        written: Option<usize>,
    },
}

impl<T: Element> InputGradient<T> {
    pub(super) fn new(g: &Geometry) -> Self {
        if direct::wins(g) {
            return Self::Whole(buffer::take(g.batch * g.sample_len()));
        }
        if dense::wins(g) || patches::wins(g) {
            return Self::Sum { dx: buffer::take(g.batch * g.sample_len()), is_written: false };
        }
        let with_pixels = |phase: Phase| {
            let pixels = buffer::take(g.batch * g.channels * phase.len());
            (phase, pixels)
        };
        Self::Phases { phases: Phase::all(g).into_iter().map(with_pixels).collect(), written: None }
    }

    /// Adds what some rows of the kernel, or of the kernels of all samples, give back of `dy`
    /// `[N, O, H', W']`; one group after the other.
    pub(super) fn add(&mut self, g: &Geometry, dy: &[T], rows: &KernelRows, kernels: &[T]) {
        let (phases, written) = match self {
            Self::Whole(dx) => return direct::input_gradient(g, &rows.groups, dy, kernels, dx),
            Self::Sum { dx, is_written } => {
                let add = std::mem::replace(is_written, true);
                return sum_gradient(g, &rows.outputs, dy, kernels, dx, add);
            }
            Self::Phases { phases, written } => (phases, written),
        };
        let group = rows.groups.start;
        let add = written.replace(group) == Some(group);
        let len = rows.kernel(g).len();
        for (phase, pixels) in phases {
            if kernels.len() == len {
                phase_gradient(g, phase, dy, rows, kernels, pixels, add);
                continue;
            }
            let one = g.of_one_sample();
            pixels
                .par_chunks_mut(g.channels * phase.len())
                .zip(dy.par_chunks(g.output_len()))
                .zip(kernels.par_chunks(len))
                .each(|((pixels, dy), kernel)| {
                    phase_gradient(&one, phase, dy, rows, kernel, pixels, add);
                });
        }
    }

    /// The gradient `[N, C, H, W]`.
    pub(super) fn finish(self, g: &Geometry) -> Vec<T> {
        let mut phases = match self {
            Self::Whole(dx) | Self::Sum { dx, .. } => return dx,
            Self::Phases { phases, .. } => phases,
        };
        if let [(phase, pixels)] = phases.as_mut_slice()
            && phase.grid == g.input
        {
            return std::mem::take(pixels);
        }
        // No tap reads the pixels of phases that are not there.
        let covered: usize = phases.iter().map(|(phase, _)| phase.len()).sum();
        let len = g.batch * g.sample_len();
        let mut dx = if covered == g.pixels() { buffer::take(len) } else { buffer::zeros(len) };
        let [width, right] = [g.input[1], g.window.stride[1]];
        for (phase, pixels) in phases {
            let images = dx.par_chunks_mut(g.pixels()).zip(pixels.par_chunks(phase.len()));
            images.with_min_len(8).each(|(dx, pixels)| {
                let rows = dx.chunks_mut(width).skip(phase.first[0]).step_by(g.window.stride[0]);
                for (dx, pixels) in rows.zip(pixels.chunks(phase.grid[1])) {
                    let places = dx[phase.first[1]..].iter_mut().step_by(right);
                    places.zip(pixels).for_each(|(dx, &pixel)| *dx = pixel);
                }
            });
            buffer::give_back(pixels);
        }
        dx
    }
}

/// Writes, or adds, what some output channels give back of `dy` `[N, O, H', W']` to `dx` `[N, C, H, W]`, for
/// rows of one kernel or of the kernels of all samples.
fn sum_gradient<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    dy: &[T],
    kernels: &[T],
    dx: &mut [T],
    add: bool,
) {
    let len = outputs.len() * g.row_len();
    if dense::wins(g) {
        dense::input_gradient(g, outputs, dy, kernels, dx, add);
    } else if kernels.len() == len {
        patches::input_gradient(g, outputs, dy, kernels, dx, add);
    } else {
        let one = g.of_one_sample();
        dx.par_chunks_mut(g.sample_len())
            .zip(dy.par_chunks(g.output_len()))
            .zip(kernels.par_chunks(len))
            .each(|((dx, dy), kernel)| {
                patches::input_gradient(&one, outputs, dy, kernel, dx, add);
            });
    }
}

/// Writes, or adds, what some rows of one kernel give back to the pixels `[N, C, pixels]` of a
/// phase.
fn phase_gradient<T: Element>(
    g: &Geometry,
    phase: &Phase,
    dy: &[T],
    rows: &KernelRows,
    weight: &[T],
    pixels: &mut [T],
    add: bool,
) {
    let (channels, row_len) = (g.channels_per_group(), g.row_len());
    if winograd_wins(g, rows.outputs.len()) {
        let place = (rows.groups.start, &rows.outputs);
        return winograd::input_gradient(g, dy, place, weight, pixels, add);
    }
    let layout = Layout {
        rows: channels,
        samples: g.batch,
        positions: phase.len(),
        row_stride: phase.len(),
        sample_stride: g.channels * phase.len(),
    };
    let target = Target::new(&mut pixels[rows.groups.start * channels * phase.len()..], layout);
    let transposed = TransposedKernel { weight, row_len, window: g.taps_len(), taps: &phase.taps };
    let depth = rows.outputs.len() * phase.taps.len();
    let dy = Unfolded::backward(g, dy, rows.outputs.start, phase);
    multiply(Operand::Steps(&transposed), Operand::Steps(&dy), depth, target, add);
}

/// Rows of a kernel with the axes exchanged, for the input gradient: row `(o, t)`, for the taps
/// `t` of a phase, holds `W[o, c, t]` for all channels `c`.
struct TransposedKernel<'a, T> {
    weight: &'a [T],
    row_len: usize,
    /// Taps of the whole window.
    window: usize,
    taps: &'a [Tap],
}

impl<T: Element> Rows<T> for TransposedKernel<'_, T> {
    #[inline(always)]
    fn row<'a>(&'a self, row: usize, channels: Range<usize>, line: &'a mut [T]) -> &'a [T] {
        let (output, tap) = (row / self.taps.len(), self.taps[row % self.taps.len()]);
        let kernel = &self.weight[output * self.row_len..][..self.row_len];
        if self.window == 1 {
            return &kernel[channels];
        }
        let kernel = &kernel[channels.start * self.window + tap.index..];
        take_every(self.window, kernel, line);
        line
    }

    fn in_place(&self) -> Option<(&[T], usize)> {
        (self.window == 1).then_some((self.weight, self.row_len))
    }
}

/// The gradient of `bias` `[O]`, given `dy` `[N, O, H', W']`.
pub fn bias_gradient<T: Element>(geometry: &Geometry, dy: &[T]) -> Vec<T> {
    let mut db = vec![T::zero(); geometry.outputs];
    for sample in dy.chunks(geometry.outputs * geometry.positions()) {
        for (db, dy) in db.iter_mut().zip(sample.chunks(geometry.positions())) {
            *db += reduce::sum(dy);
        }
    }
    db
}

/// Adds `bias` `[O]` to one sample `y` `[O, H', W']`.
pub(super) fn add_bias<T: Element>(geometry: &Geometry, bias: &[T], y: &mut [T]) {
    for (y, &bias) in y.chunks_mut(geometry.positions()).zip(bias) {
        y.iter_mut().for_each(|y| *y += bias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::{Window, reference};
    use proptest::prelude::*;

    fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        // `max` would lose a NaN.
        let larger = |worst: f64, d: f64| if d > worst || d.is_nan() { d } else { worst };
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, larger)
    }

    proptest! {
        #[test]
        fn agrees_with_its_readable_twin(numbers in prop::collection::vec(any::<u32>(), 32)) {
            let mut draw = Draw::new(numbers);
            let g = draw.geometry(3);
            let (x, w) = (draw.tensor(&g.input_shape()), draw.tensor(&g.weight_shape()));
            let y = forward(&g, x.as_slice(), w.as_slice(), None);
            let twin = reference::conv2d(&g, x.as_slice(), w.as_slice());
            prop_assert!(largest_difference(&y, &twin) < 1e-12, "{:?}", g);
        }
    }

    /// Sizes that need several tiles, and several samples in one product; the three passes
    /// are adjoint: `<conv(x, w), dy> = <x, dx> = <w, dw>`.
    #[test]
    fn large_and_small_images_agree_with_the_twin() {
        let window = Window::square(2, 1);
        for (x, w, window) in [
            ([2, 40, 41, 43], [5, 40, 3, 3], Window::square(1, 1)),
            ([2, 3, 61, 60], [7, 3, 7, 7], Window::square(2, 3)),
            ([13, 8, 5, 4], [6, 8, 3, 3], window),
            ([13, 8, 5, 4], [6, 4, 3, 3], Window { groups: 2, ..window }),
            ([3, 100, 17, 16], [9, 100, 1, 1], Window::default()),
            // As patches: a small map, and windows far apart; and what is not, for its padding.
            ([33, 8, 10, 10], [16, 8, 3, 3], Window::default()),
            ([3, 4, 84, 83], [32, 4, 5, 5], Window::square(5, 0)),
            ([2, 3, 7, 9], [5, 3, 4, 5], Window::square(3, 6)),
            ([2, 3, 12, 9], [5, 3, 3, 2], Window { dilation: [2, 1], ..Window::square(1, 2) }),
            // As large as the image.
            ([33, 16, 8, 7], [61, 16, 8, 7], Window::default()),
            ([1, 16, 8, 8], [128, 16, 8, 8], Window::default()),
        ] {
            let g = Geometry::new("test", x, w, window).unwrap();
            let mut draw = Draw::seeded(3);
            let [x, w, dy] =
                [g.input_shape(), g.weight_shape(), g.output_shape()].map(|s| draw.tensor(&s));
            let (x, w, dy) = (x.as_slice(), w.as_slice(), dy.as_slice());
            let y = forward(&g, x, w, None);
            assert!(largest_difference(&y, &reference::conv2d(&g, x, w)) < 1e-11, "{g:?}");
            let product = reduce::dot(&y, dy);
            let by_input = reduce::dot(x, &input_gradient(&g, dy, w));
            let by_kernel = reduce::dot(w, &kernel_gradient(&g, x, dy));
            assert!((product - by_input).abs() < 1e-9 * product.abs().max(1.0), "{g:?}");
            assert!((product - by_kernel).abs() < 1e-9 * product.abs().max(1.0), "{g:?}");
        }
    }
}
