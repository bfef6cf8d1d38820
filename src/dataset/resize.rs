//! Resizing with a triangle filter, one axis after the other.
//!
//! With `s = from / to`, output pixel `i` looks at `c = (i + 1/2) s`. Input pixel `j`, whose
//! middle is `j + 1/2`, weighs `max(0, 1 - |j + 1/2 - c| / max(s, 1))`; the weights of an
//! output pixel are scaled to the sum 1. Enlarging, that is bilinear interpolation.
//!
//! Images in memory hold `f32` and are resized in it. Pictures in files hold 8 bits; they are
//! resized as Pillow does (`ImagingResample` in its `Resample.c`), to the bit: weights of 22 binary
//! places, rows first, rounded to 8 bits after each axis.

use super::frame::{Area, Frame};
use crate::kernel::microkernel::{Isa, Vectorized};
use std::ops::Range;

/// The values `[C, height, width]` of a frame's window, of an image `[C, H, W]` that is all of its
/// part.
pub(super) fn resize(values: &[f32], shape: [usize; 3], frame: &Frame) -> Vec<f32> {
    let [_, rows, columns] = shape;
    let [across, down] = frame_taps(frame, |weight| weight as f32);
    let width = across.len();
    let row = |row: &[f32]| across.iter().map(|taps| taps.sum(|j| row[j])).collect::<Vec<_>>();
    let wide: Vec<f32> = values.chunks(columns.max(1)).flat_map(row).collect();
    let plane = |plane: &[f32]| {
        let at = |taps: &Taps<f32>, column: usize| taps.sum(|j| plane[j * width + column]);
        let pixels = down.iter().flat_map(|taps| (0..width).map(move |column| (taps, column)));
        pixels.map(|(taps, column)| at(taps, column)).collect::<Vec<_>>()
    };
    wide.chunks((rows * width).max(1)).flat_map(plane).collect()
}

/// The same of 8-bit pixels, each of `S` bytes, 1, 2, 4, 8 or 16 (of three channels, one is empty);
/// `row` copies a row of the picture, from a column on.
pub(super) fn resize_bytes<const S: usize>(
    frame: &Frame,
    row: impl Fn(usize, usize, &mut [u8]),
) -> Vec<u8> {
    // (int)(0.5 + weight * (1 << PRECISION_BITS)); no weight of this filter is negative.
    let fixed = |weight: f64| (0.5 + weight * f64::from(1 << PLACES)) as i32;
    let [across, down] = frame_taps(frame, fixed);
    let (rows, columns) = (reach(&down), reach(&across));
    let stride = S * across.len();
    let mut wide = vec![0; stride * rows.len()];
    Isa::native().run(Across::<S, _> {
        row: |at, line: &mut [u8]| {
            row(frame.part.top + rows.start + at, frame.part.left + columns.start, line);
        },
        line: vec![0; S * columns.len() + LANES],
        taps: across.iter().map(|taps| in_lanes::<S>(taps, columns.start)).collect(),
        wide: &mut wide,
    });
    let mut pixels = vec![0; stride * down.len()];
    Isa::native().run(Down {
        wide: &wide,
        first: rows.start,
        stride,
        taps: down,
        pixels: &mut pixels,
    });
    pixels
}

/// Products that are added up side by side.
const LANES: usize = 16;

/// Taps with a weight for each lane, on the bytes of a row that begins at column `first`.
fn in_lanes<const S: usize>(taps: &Taps<i32>, first: usize) -> Taps<[i32; LANES]> {
    let of_pixels =
        |weights: &[i32]| std::array::from_fn(|lane| weights.get(lane / S).copied().unwrap_or(0));
    let weights = taps.weights.chunks(LANES / S).map(of_pixels).collect();
    Taps { start: S * (taps.start - first), weights }
}

/// Resizes rows of pixels of `S` bytes. A lane adds up every `LANES`th byte; behind all taps, the sums
/// of the lanes of a channel are added up.
struct Across<'a, const S: usize, R> {
    row: R,
    /// Room for a row, and for the lanes of the last pixels that lie beyond and weigh nothing.
    line: Vec<u8>,
    taps: Vec<Taps<[i32; LANES]>>,
    wide: &'a mut [u8],
}

impl<const S: usize, R: Fn(usize, &mut [u8])> Vectorized for Across<'_, S, R> {
    #[inline(always)]
    fn run(self) {
        let Self { row, mut line, taps, wide } = self;
        let columns = line.len() - LANES;
        for (at, wide) in wide.chunks_exact_mut(S * taps.len()).enumerate() {
            row(at, &mut line[..columns]);
            for (taps, pixel) in taps.iter().zip(wide.as_chunks_mut::<S>().0) {
                let mut sums = [0; LANES];
                let bytes = line[taps.start..].as_chunks::<LANES>().0;
                for (weights, bytes) in taps.weights.iter().zip(bytes) {
                    for lane in 0..LANES {
                        sums[lane] += weights[lane] * i32::from(bytes[lane]);
                    }
                }
                let mut lanes = LANES;
                while lanes > S {
                    lanes /= 2;
                    for lane in 0..lanes {
                        sums[lane] += sums[lane + lanes];
                    }
                }
                for (byte, sum) in pixel.iter_mut().zip(sums) {
                    *byte = rounded(HALF + sum);
                }
            }
        }
    }
}

/// Resizes columns: rows of `stride` bytes, of which the picture's row `first` is the first, are
/// mixed.
struct Down<'a> {
    wide: &'a [u8],
    first: usize,
    stride: usize,
    taps: Vec<Taps<i32>>,
    pixels: &'a mut [u8],
}

impl Vectorized for Down<'_> {
    #[inline(always)]
    fn run(self) {
        let mut sums = vec![0; self.stride];
        for (taps, pixels) in self.taps.iter().zip(self.pixels.chunks_exact_mut(self.stride)) {
            sums.fill(HALF);
            let rows =
                self.wide[self.stride * (taps.start - self.first)..].chunks_exact(self.stride);
            for (weight, row) in taps.weights.iter().zip(rows) {
                for (sum, byte) in sums.iter_mut().zip(row) {
                    *sum += weight * i32::from(*byte);
                }
            }
            for (pixel, sum) in pixels.iter_mut().zip(&sums) {
                *pixel = rounded(*sum);
            }
        }
    }
}

/// Binary places of weights for 8-bit pixels: `PRECISION_BITS` of Pillow.
const PLACES: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PLACES - 1);

#[inline(always)]
fn rounded(sum: i32) -> u8 {
    (sum >> PLACES).clamp(0, 255) as u8
}

/// The input pixels that an output pixel is made of: `weights` from `start` on.
struct Taps<W> {
    start: usize,
    weights: Vec<W>,
}

impl Taps<f32> {
    fn sum(&self, value: impl Fn(usize) -> f32) -> f32 {
        self.weights.iter().enumerate().map(|(k, weight)| weight * value(self.start + k)).sum()
    }
}

/// The input pixels that any of the output pixels is made of.
fn reach<W>(taps: &[Taps<W>]) -> Range<usize> {
    let start = taps.first().map_or(0, |first| first.start);
    start..taps.last().map_or(start, |last| last.start + last.weights.len())
}

/// The taps of a frame's window: of its columns, and of its rows.
fn frame_taps<W>(frame: &Frame, weight: impl Fn(f64) -> W + Copy) -> [Vec<Taps<W>>; 2] {
    let Frame { part, size: [height, width], window } = *frame;
    let Area { top, left, .. } = window;
    [
        taps(part.width, width, left..left + window.width, weight),
        taps(part.height, height, top..top + window.height, weight),
    ]
}

/// The taps on `from` input pixels of those `wanted` among `to` output pixels.
fn taps<W>(
    from: usize,
    to: usize,
    wanted: Range<usize>,
    as_weight: impl Fn(f64) -> W + Copy,
) -> Vec<Taps<W>> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    wanted
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let start = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let weights: Vec<f64> = (start..end)
                .map(|j| (1.0 - ((j as f64 - centre + 0.5) * (1.0 / reach)).abs()).max(0.0))
                .collect();
            let sum: f64 = weights.iter().sum();
            Taps { start, weights: weights.iter().map(|w| as_weight(w / sum)).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Image;

    fn resized(image: &Image, height: usize, width: usize) -> Image {
        image.resized(height, width).unwrap()
    }

    fn row(values: &[f32]) -> Image {
        Image::new([1, 1, values.len()], values.to_vec()).unwrap()
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn doubling_mixes_three_to_one() {
        // The middles of the new pixels lie a quarter pixel from the old ones'.
        let found = resized(&row(&[0.0, 1.0]), 1, 4);
        assert_near(found.values(), &[0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn halving_weighs_three_three_one_at_the_edge() {
        // Distances 1/2, 1/2, 3/2 over a reach of 2: weights 3/4, 3/4, 1/4.
        let found = resized(&row(&[7.0, 0.0, 0.0, 0.0]), 1, 2);
        assert_near(found.values(), &[3.0, 0.0]);
        let other = resized(&row(&[0.0, 0.0, 7.0, 0.0]), 1, 2);
        assert_near(other.values(), &[1.0, 3.0]);
    }

    #[test]
    fn both_axes_are_resized_alike() {
        let image = Image::from_fn([2, 3, 5], |c, y, x| (c + y * 7 + x * x) as f32 / 100.0);
        let turned = resized(&image, 7, 4).rotated();
        let other = resized(&image.rotated(), 4, 7);
        assert_eq!(turned.shape(), other.shape());
        assert_near(turned.values(), other.values());
    }

    #[test]
    fn values_are_those_of_pillow() {
        // a = numpy.array([[(r*7 + c*c*3 + 5) % 11 / 10 for c in range(7)] for r in range(5)], "f")
        // PIL.Image.fromarray(a, mode="F").resize((width, height), PIL.Image.BILINEAR)
        let image =
            Image::from_fn([1, 5, 7], |_, r, c| ((r * 7 + c * c * 3 + 5) % 11) as f32 / 10.0);
        let wide = resized(&image, 3, 10);
        assert_near(&wide.values()[..4], &[0.328_571_4, 0.493_571_5, 0.578_571_4, 0.438_571_4]);
        let sum = |image: &Image| image.values().iter().sum::<f32>();
        assert!((sum(&wide) - 15.563_333).abs() < 1e-4);
        let high = resized(&image, 9, 4);
        assert_near(&high.values()[..4], &[0.633_333_3, 0.752, 0.808, 0.328_571_4]);
        assert!((sum(&high) - 18.710_815).abs() < 1e-4);
    }

    /// One byte after the other, as Pillow's loops have it.
    fn twin(pixels: &[u8], size: usize, frame: &Frame) -> Vec<u8> {
        let fixed = |weight: f64| (0.5 + weight * f64::from(1 << PLACES)) as i32;
        let [across, down] = frame_taps(frame, fixed);
        let sum = |taps: &Taps<i32>, byte: &dyn Fn(usize) -> u8| {
            let products = taps.weights.iter().enumerate();
            rounded(HALF + products.map(|(k, w)| w * i32::from(byte(taps.start + k))).sum::<i32>())
        };
        let mut resized = Vec::new();
        for (below, right) in down.iter().flat_map(|below| across.iter().map(move |r| (below, r))) {
            for channel in 0..size {
                let byte = |y, x| {
                    pixels[((frame.part.top + y) * 37 + frame.part.left + x) * size + channel]
                };
                resized.push(sum(below, &|y| sum(right, &|x| byte(y, x))));
            }
        }
        resized
    }

    #[test]
    fn bytes_in_lanes_agree_with_their_readable_twin() {
        fn agrees<const S: usize>(frame: Frame, rng: &mut fastrand::Rng) {
            let pixels: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(37 * 37 * S).collect();
            let row = |y: usize, x: usize, into: &mut [u8]| {
                into.copy_from_slice(&pixels[(y * 37 + x) * S..][..into.len()]);
            };
            assert_eq!(resize_bytes::<S>(&frame, row), twin(&pixels, S, &frame), "{frame:?}");
        }
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..60 {
            let mut area = |side: usize| {
                let [height, width] = [rng.usize(1..=side), rng.usize(1..=side)];
                let (top, left) = (rng.usize(0..=side - height), rng.usize(0..=side - width));
                Area { top, left, height, width }
            };
            let (part, window) = (area(37), area(24));
            let frame = Frame { part, size: [24; 2], window };
            agrees::<1>(frame, &mut rng);
            agrees::<4>(frame, &mut rng);
        }
    }

    #[test]
    fn the_same_size_and_a_flat_image_stay() {
        let image = row(&[0.1, 0.9, 0.4]);
        assert_eq!(resized(&image, 1, 3), image);
        let flat = Image::from_fn([1, 20, 20], |_, _, _| 0.5);
        assert_near(resized(&flat, 16, 3).values(), &[0.5; 48]);
    }
}
