//! Convolution with 3x3 taps by a quarter of the multiplications (Winograd, 1980; Lavin and
//! Gray, 2016: `F(4x4, 3x3)`).
//!
//! A tile of 4x4 outputs sees 6x6 pixels. Both the pixels `d` and the kernel `g` are transformed
//! to 6x6 numbers, multiplied one by one, summed over channels, and transformed back:
//!
//! ```text
//! y = A^T [ (G g G^T) (B^T d B) ] A          36 multiplications instead of 144
//! ```
//!
//! For each of the 36 places the sum over channels is a matrix product, of `U` `[O, C]` and `V`
//! `[C, tiles]`. Backwards the same holds with the transposed matrices: `dU = dM V^T`, and the
//! gradient of the input is a convolution again.
//!
//! A transform is four times as large as what it is of (a kernel's), so it had better not pass
//! through memory. Of `U` and `V` the smaller one is made once, in the packed order of the
//! micro-kernel; of the other one each task makes as much as fits its cache, multiplies it, and
//! transforms the sums back at once:
//!
//! ```text
//!                       V, of all tiles (or a task's)
//!                     +-----+-----+-----+
//!   a few rows of U,  |     |     |     |         the 36 sums of a few rows and a panel of
//!   a task's (or all) +-----+-----+-----+         tiles: in the cache, and at once
//!      +-----+           |                        transformed to 4x4 outputs each
//!      |     |  -------> M ------------------->   y
//!      +-----+
//! ```
//!
//! In single precision the result is off by up to 1e-5 of the largest value, against 1e-6 for
//! sums of plain products. The environment variable `ZOO_WINOGRAD=off` turns it off.

mod kernels;
mod panels;
mod product;
mod tiles;
mod transform;

use super::microkernel::Isa;
use super::parallel::Each;
use super::window::Geometry;
use crate::tensor::Element;
use kernels::{Forward, Kernels, Reversed, transformed};
use product::{GROUP, Sums, Written};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use tiles::Images;
pub(super) use tiles::Tiles;
use transform::PLACES;

/// Whether this way is open: `ZOO_WINOGRAD=off` closes it.
pub fn is_on() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| !matches!(std::env::var("ZOO_WINOGRAD").as_deref(), Ok("off" | "0")))
}

/// Writes the output channels `outputs` of `y` `[N, O, H', W']`, whose kernel's rows are `weight`
/// `[outputs, C / groups, 3, 3]`.
pub(super) fn forward<T: Element>(
    g: &Geometry,
    x: &[T],
    (group, outputs): (usize, &Range<usize>),
    weight: &[T],
    y: &mut [T],
) {
    let images = Images::of_group(g, x, group);
    let taps = Forward { weight, channels: images.count };
    let tiles = Tiles::of(g);
    let y = Written::new(y, &tiles, [outputs.start, g.outputs], false);
    convolve(&taps, outputs.len(), &tiles, &images, &y);
}

/// Writes, or adds, what these output channels give back to their group's channels of `dx`
/// `[N, C, H, W]`: for each input channel a sum over outputs, the taps in reverse.
pub(super) fn input_gradient<T: Element>(
    g: &Geometry,
    dy: &[T],
    (group, outputs): (usize, &Range<usize>),
    weight: &[T],
    dx: &mut [T],
    add: bool,
) {
    let channels = g.channels_per_group();
    let taps = Reversed { weight, channels };
    let images = Images::of_outputs(g, dy, outputs);
    let tiles = Tiles::backward(g);
    let dx = Written::new(dx, &tiles, [group * channels, g.channels], add);
    convolve(&taps, channels, &tiles, &images, &dx);
}

/// `rows` sums over the channels of some images.
#[allow(unsafe_code)]
fn convolve<T: Element>(
    taps: &impl Kernels<T>,
    rows: usize,
    tiles: &Tiles,
    images: &Images<T>,
    y: &Written<T>,
) {
    let height = GROUP * Isa::native().rows();
    let groups = rows.div_ceil(height);
    let rows_of = |group: usize| group * height..rows.min((group + 1) * height);
    if rows > tiles.count() {
        let pixels = tiles.pixels_by_tile(images, 0..tiles.count());
        (0..groups).into_par_iter().each(|group| {
            let rows = rows_of(group);
            let kernels = transformed(taps, rows.clone(), images.count);
            let mut sums = Sums::new();
            for panel in 0..pixels.count() {
                sums.multiply(&kernels, 0..kernels.count(), &pixels, panel, false);
                // SAFETY: no other task has these rows.
                unsafe { sums.outputs(y, rows.clone(), pixels.lanes(panel)) };
            }
        });
        return;
    }
    let kernels = transformed(taps, 0..rows, images.count);
    let width = Isa::native().columns::<T>();
    (0..tiles.count().div_ceil(width)).into_par_iter().each(|panel| {
        let range = panel * width..tiles.count().min((panel + 1) * width);
        let pixels = tiles.pixels_by_tile(images, range.clone());
        let mut sums = Sums::new();
        for group in 0..groups {
            let panels = group * GROUP..kernels.count().min((group + 1) * GROUP);
            sums.multiply(&kernels, panels, &pixels, 0, false);
            // SAFETY: no other task has these tiles.
            unsafe { sums.outputs(y, rows_of(group), range.clone()) };
        }
    });
}

/// Writes the gradient of these output channels' rows of the kernel, `dw`
/// `[outputs, C / groups, 3, 3]`.
pub(super) fn kernel_gradient<T: Element>(
    g: &Geometry,
    x: &[T],
    dy: &[T],
    (group, outputs): (usize, &Range<usize>),
    dw: &mut [T],
) {
    /// Values of transforms that are made at a time, if more would not be held in any case.
    const VALUES: usize = 1 << 20;
    let (images, dy) = (Images::of_group(g, x, group), Images::of_outputs(g, dy, outputs));
    let (rows, channels) = (dy.count, images.count);
    // In several parts, the sums of all kernels' transforms are kept between them.
    let as_kernels = rows * channels / (rows + channels).max(1);
    let some = (VALUES / (PLACES * (rows + channels)).max(1)).max(as_kernels);
    kernel_gradient_in_parts(&images, &dy, &Tiles::of(g), some.next_multiple_of(64), dw);
}

/// The same, with so many tiles at a time.
fn kernel_gradient_in_parts<T: Element>(
    images: &Images<T>,
    dy: &Images<T>,
    tiles: &Tiles,
    some: usize,
    dw: &mut [T],
) {
    let (rows, channels) = (dy.count, images.count);
    let height = GROUP * Isa::native().rows();
    let parts = tiles.count().div_ceil(some);
    // For each band of rows and each panel of channels; with one part, there is only one at a
    // time in each task.
    let panels = channels.div_ceil(Isa::native().columns::<T>());
    let kept = if parts > 1 { panels } else { 1 };
    let mut sums: Vec<Vec<Sums<T>>> =
        (0..rows.div_ceil(height)).map(|_| (0..kept).map(|_| Sums::new()).collect()).collect();
    for part in 0..parts {
        let range = part * some..tiles.count().min((part + 1) * some);
        let pixels = tiles.pixels_by_channel(images, range.clone());
        let outputs = tiles.outputs_by_channel(dy, range);
        let bands = sums.par_iter_mut().zip(dw.par_chunks_mut(height * channels * 9)).enumerate();
        bands.each(|(band, (sums, dw))| {
            let of_band = band * GROUP..outputs.count().min((band + 1) * GROUP);
            for panel in 0..pixels.count() {
                let sums = &mut sums[panel % kept];
                sums.multiply(&outputs, of_band.clone(), &pixels, panel, part > 0);
                if part + 1 < parts {
                    continue;
                }
                let lanes = pixels.lanes(panel);
                for (row, dw) in dw.chunks_mut(channels * 9).enumerate() {
                    sums.taps(row, &mut dw[lanes.start * 9..lanes.end * 9]);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
