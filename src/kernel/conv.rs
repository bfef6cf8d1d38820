//! Convolution as tiles of unfolded columns times the kernel matrix.
//!
//! The three passes share one picture (see [`window`](super::window)); for each
//! group, with the kernel as a matrix `W` `[O, K]`, `K = C kh kw`, and `X` `[K, P]`
//! what the taps read at the `P` output positions:
//!
//! ```text
//! forward            Y  = W X
//! input gradient     dX = W^T dY, folded back onto the pixels
//! kernel gradient    dW = dY X^T, summed over samples
//! ```
//!
//! Where a sample has few positions, several samples stand side by side in one
//! product, so that it does not become too narrow to be fast.

use super::gemm::{Matrix, MatrixMut, gemm};
use super::reduce;
use super::window::{Geometry, fold, unfold};
use crate::tensor::Element;
use rayon::prelude::*;
use std::ops::Range;

/// Values of a tile of unfolded columns: half of a usual second-level cache.
const TILE: usize = 1 << 16;
/// Columns from which on a product is wide enough to be fast.
const WIDE: usize = 256;

/// `y` `[N, O, H', W']` of `x` `[N, C, H, W]`, `weight` `[O, C / groups, kh, kw]`
/// and `bias` `[O]`.
pub fn forward<T: Element>(
    geometry: &Geometry,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
) -> Vec<T> {
    let (samples, sample_out) =
        (samples_per_task(geometry), geometry.outputs * geometry.positions());
    let mut y = vec![T::zero(); geometry.batch * sample_out];
    y.par_chunks_mut(samples * sample_out)
        .zip(x.par_chunks(samples * geometry.sample_len()))
        .for_each_init(Vec::new, |scratch, (y, x)| {
            forward_samples(geometry, x, weight, y, scratch);
            if let Some(bias) = bias {
                y.chunks_mut(sample_out).for_each(|y| add_bias(geometry, bias, y));
            }
        });
    y
}

/// The gradient of `x` `[N, C, H, W]`, given `dy` `[N, O, H', W']`.
pub fn input_gradient<T: Element>(geometry: &Geometry, dy: &[T], weight: &[T]) -> Vec<T> {
    let (samples, sample_out) =
        (samples_per_task(geometry), geometry.outputs * geometry.positions());
    let mut dx = vec![T::zero(); geometry.batch * geometry.sample_len()];
    dx.par_chunks_mut(samples * geometry.sample_len())
        .zip(dy.par_chunks(samples * sample_out))
        .for_each_init(Vec::new, |scratch, (dx, dy)| {
            input_gradient_samples(geometry, dy, weight, dx, scratch);
        });
    dx
}

/// The gradient of `weight` `[O, C / groups, kh, kw]`, given `dy` `[N, O, H', W']`.
pub fn kernel_gradient<T: Element>(geometry: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    /// Enough tasks for a few threads, few enough that their partial sums are cheap.
    const TASKS: usize = 8;
    let row = geometry.row_len();
    let mut dw = vec![T::zero(); geometry.outputs * row];
    let blocks = channel_blocks(geometry, TASKS);
    // Where the channels do not give work enough, the batch is cut as well. The
    // cuts depend on the sizes alone, so the order of summation does too.
    let samples = geometry.batch.div_ceil(TASKS.div_ceil(blocks.len())).max(1);
    let tasks: Vec<(usize, usize)> = (0..blocks.len())
        .flat_map(|block| (0..geometry.batch).step_by(samples).map(move |n| (block, n)))
        .collect();
    let parts: Vec<Vec<T>> = tasks
        .par_iter()
        .map_init(Vec::new, |scratch, &(block, first)| {
            let range = first..geometry.batch.min(first + samples);
            let mut part =
                vec![T::zero(); geometry.outputs_per_group() * blocks[block].row_len(geometry)];
            kernel_gradient_block(geometry, x, dy, &blocks[block], range, &mut part, scratch);
            part
        })
        .collect();
    for ((block, _), part) in tasks.into_iter().zip(parts) {
        blocks[block].for_each_row(geometry, &part, |o, columns, part| {
            reduce::add_scaled(&mut dw[o * row..][columns], T::one(), part);
        });
    }
    dw
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

/// How many samples share a product.
fn samples_per_task(geometry: &Geometry) -> usize {
    WIDE.div_ceil(geometry.positions()).clamp(1, geometry.batch)
}

/// The positions of one sample, cut into tiles that fit the cache.
fn tiles(geometry: &Geometry) -> impl Iterator<Item = Range<usize>> + use<> {
    let positions = geometry.positions();
    let len = (TILE / geometry.row_len()).max(WIDE / 2);
    (0..positions).step_by(len).map(move |begin| begin..positions.min(begin + len))
}

/// A scratch buffer of `len` values, whatever they are.
pub(super) fn grow<T: Element>(scratch: &mut Vec<T>, len: usize) -> &mut [T] {
    if scratch.len() < len {
        scratch.resize(len, T::zero());
    }
    &mut scratch[..len]
}

/// The forward pass of a few samples on one thread.
pub(super) fn forward_samples<T: Element>(
    g: &Geometry,
    x: &[T],
    weight: &[T],
    y: &mut [T],
    scratch: &mut Vec<T>,
) {
    let (outputs, row, positions) = (g.outputs_per_group(), g.row_len(), g.positions());
    let samples = y.len() / (g.outputs * positions);
    for group in 0..g.window.groups {
        let channels = group * g.channels_per_group()..(group + 1) * g.channels_per_group();
        let w = Matrix::new(&weight[group * outputs * row..], outputs, row);
        if samples > 1 {
            let wide = samples * positions;
            let (columns, product) = grow(scratch, (row + outputs) * wide).split_at_mut(row * wide);
            unfold_samples(g, x, channels, columns, wide);
            gemm(
                w,
                Matrix::new(columns, row, wide),
                T::zero(),
                MatrixMut::new(product, outputs, wide),
            );
            for (s, y) in y.chunks_mut(g.outputs * positions).enumerate() {
                let y = y[group * outputs * positions..].chunks_mut(positions);
                for (y, product) in y.zip(product.chunks(wide)) {
                    y.copy_from_slice(&product[s * positions..][..positions]);
                }
            }
            continue;
        }
        for tile in tiles(g) {
            let (begin, len) = (tile.start, tile.len());
            let columns = if g.is_pointwise() {
                Matrix::strided(&x[channels.start * positions + begin..], row, len, positions)
            } else {
                let columns = grow(scratch, row * len);
                unfold(g, x, channels.clone(), tile, columns, len);
                Matrix::new(columns, row, len)
            };
            let y = &mut y[group * outputs * positions + begin..];
            gemm(w, columns, T::zero(), MatrixMut::strided(y, outputs, len, positions));
        }
    }
}

/// The input gradient of a few samples on one thread; `dx` begins as zeros.
pub(super) fn input_gradient_samples<T: Element>(
    g: &Geometry,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
    scratch: &mut Vec<T>,
) {
    let (outputs, row, positions) = (g.outputs_per_group(), g.row_len(), g.positions());
    let samples = dy.len() / (g.outputs * positions);
    for group in 0..g.window.groups {
        let channels = group * g.channels_per_group()..(group + 1) * g.channels_per_group();
        let w = Matrix::new(&weight[group * outputs * row..], outputs, row).t();
        if samples > 1 {
            let wide = samples * positions;
            let (columns, gathered) =
                grow(scratch, (row + outputs) * wide).split_at_mut(row * wide);
            gather_outputs(g, dy, group, gathered, wide);
            let gathered = Matrix::new(gathered, outputs, wide);
            gemm(w, gathered, T::zero(), MatrixMut::new(columns, row, wide));
            for (s, dx) in dx.chunks_mut(g.sample_len()).enumerate() {
                fold(g, &mut columns[s * positions..], wide, channels.clone(), 0..positions, dx);
            }
            continue;
        }
        for tile in tiles(g) {
            let (begin, len) = (tile.start, tile.len());
            let dy = &dy[group * outputs * positions + begin..];
            let dy = Matrix::strided(dy, outputs, len, positions);
            if g.is_pointwise() {
                let dx = &mut dx[channels.start * positions + begin..];
                gemm(w, dy, T::zero(), MatrixMut::strided(dx, row, len, positions));
            } else {
                let columns = grow(scratch, row * len);
                gemm(w, dy, T::zero(), MatrixMut::new(columns, row, len));
                fold(g, columns, len, channels.clone(), tile, dx);
            }
        }
    }
}

/// Some input channels of one group: a block of columns of the kernel matrix.
pub(super) struct ChannelBlock {
    group: usize,
    /// Counted over all groups.
    channels: Range<usize>,
}

impl ChannelBlock {
    /// Columns of the block.
    pub(super) fn row_len(&self, g: &Geometry) -> usize {
        self.channels.len() * g.taps_len()
    }

    /// Copies this block's columns of a kernel matrix `[O, C k k]` to `out`
    /// `[O / groups, row_len]`.
    pub(super) fn copy_rows<T: Element>(&self, g: &Geometry, kernel: &[T], out: &mut [T]) {
        let outputs = g.outputs_per_group();
        let first = (self.channels.start - self.group * g.channels_per_group()) * g.taps_len();
        let rows = kernel[self.group * outputs * g.row_len()..].chunks(g.row_len());
        for (out, row) in out.chunks_mut(self.row_len(g)).zip(rows) {
            out.copy_from_slice(&row[first..first + out.len()]);
        }
    }

    /// Calls `f` with each row of a matrix `[O / groups, row_len]` that belongs to
    /// this block: the output channel, the columns of the whole kernel matrix, the row.
    pub(super) fn for_each_row<T>(
        &self,
        g: &Geometry,
        block: &[T],
        mut f: impl FnMut(usize, Range<usize>, &[T]),
    ) {
        let (outputs, len) = (g.outputs_per_group(), self.row_len(g));
        let first = (self.channels.start - self.group * g.channels_per_group()) * g.taps_len();
        for (o, row) in block.chunks(len).enumerate() {
            f(self.group * outputs + o, first..first + len, row);
        }
    }
}

/// The kernel matrix cut into about `count` blocks of columns, none of them very narrow.
pub(super) fn channel_blocks(g: &Geometry, count: usize) -> Vec<ChannelBlock> {
    const NARROW: usize = 64;
    let (channels, groups) = (g.channels_per_group(), g.window.groups);
    let width = channels.div_ceil(count.div_ceil(groups)).max(NARROW.div_ceil(g.taps_len()));
    let mut blocks = Vec::new();
    for group in 0..groups {
        let (begin, end) = (group * channels, (group + 1) * channels);
        for first in (begin..end).step_by(width) {
            blocks.push(ChannelBlock { group, channels: first..end.min(first + width) });
        }
    }
    blocks
}

/// Adds the kernel gradient of the samples `range` to `part` `[O / groups, block.row_len]`.
pub(super) fn kernel_gradient_block<T: Element>(
    g: &Geometry,
    x: &[T],
    dy: &[T],
    block: &ChannelBlock,
    range: Range<usize>,
    part: &mut [T],
    scratch: &mut Vec<T>,
) {
    let (outputs, positions, row) = (g.outputs_per_group(), g.positions(), block.row_len(g));
    let (sample_in, sample_out) = (g.sample_len(), g.outputs * positions);
    let step = samples_per_task(g);
    for first in range.clone().step_by(step) {
        let samples = step.min(range.end - first);
        let x = &x[first * sample_in..][..samples * sample_in];
        let dy = &dy[first * sample_out..][..samples * sample_out];
        if samples > 1 {
            let wide = samples * positions;
            let (columns, gathered) =
                grow(scratch, (row + outputs) * wide).split_at_mut(row * wide);
            unfold_samples(g, x, block.channels.clone(), columns, wide);
            gather_outputs(g, dy, block.group, gathered, wide);
            let columns = Matrix::new(columns, row, wide);
            let gathered = Matrix::new(gathered, outputs, wide);
            gemm(gathered, columns.t(), T::one(), MatrixMut::new(part, outputs, row));
            continue;
        }
        for tile in tiles(g) {
            let (begin, len) = (tile.start, tile.len());
            let columns = if g.is_pointwise() {
                Matrix::strided(&x[block.channels.start * positions + begin..], row, len, positions)
            } else {
                let columns = grow(scratch, row * len);
                unfold(g, x, block.channels.clone(), tile, columns, len);
                Matrix::new(columns, row, len)
            };
            let dy = &dy[block.group * outputs * positions + begin..];
            let dy = Matrix::strided(dy, outputs, len, positions);
            gemm(dy, columns.t(), T::one(), MatrixMut::new(part, outputs, row));
        }
    }
}

/// Unfolds several samples side by side: `columns` `[K, S P]`.
fn unfold_samples<T: Element>(
    g: &Geometry,
    x: &[T],
    channels: Range<usize>,
    columns: &mut [T],
    wide: usize,
) {
    for (s, x) in x.chunks(g.sample_len()).enumerate() {
        let columns = &mut columns[s * g.positions()..];
        unfold(g, x, channels.clone(), 0..g.positions(), columns, wide);
    }
}

/// Puts the output channels of one group side by side: `[S, O, P]` to `[O / groups, S P]`.
fn gather_outputs<T: Element>(g: &Geometry, dy: &[T], group: usize, out: &mut [T], wide: usize) {
    let (outputs, positions) = (g.outputs_per_group(), g.positions());
    for (s, dy) in dy.chunks(g.outputs * positions).enumerate() {
        let dy = dy[group * outputs * positions..].chunks(positions);
        for (out, dy) in out.chunks_mut(wide).zip(dy) {
            out[s * positions..][..positions].copy_from_slice(dy);
        }
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
