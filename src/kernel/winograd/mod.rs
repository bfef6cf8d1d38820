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
//! `[C, tiles]`; so all of the work is 36 products and three passes that transform. Backwards
//! the same holds with the transposed matrices: `dU = dM V^T`, and the gradient of the input is
//! a convolution again.
//!
//! In single precision the result is off by up to 1e-5 of the largest value, against 1e-6 for
//! sums of plain products. The environment variable `ZOO_WINOGRAD=off` turns it off.

mod transform;

use super::gemm::Matrix;
use super::microkernel::{Isa, Work};
use super::panel::{Layout, Operand, Target, multiply};
use super::window::Geometry;
use crate::tensor::{Element, buffer, buffer::Buffer};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use transform::*;

/// Whether this way is open: `ZOO_WINOGRAD=off` closes it.
pub fn is_on() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| !matches!(std::env::var("ZOO_WINOGRAD").as_deref(), Ok("off" | "0")))
}

/// Deals a line out to four: `out[k][i] = line[4 i + k]`, for `count` numbers each.
#[inline(always)]
fn deal<T: Element>(line: &[T], count: usize, out: &mut [&mut [T]; OUT]) {
    let [a, b, c, d] = out;
    let out = a.iter_mut().zip(b.iter_mut()).zip(c.iter_mut().zip(d.iter_mut()));
    for (((a, b), (c, d)), four) in out.zip(line.chunks_exact(OUT)).take(count) {
        (*a, *b, *c, *d) = (four[0], four[1], four[2], four[3]);
    }
}

/// The tiles of some images of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    /// Images.
    pub samples: usize,
    /// Height and width of what the tiles see.
    pub pixels: [usize; 2],
    /// Height and width of what they make.
    pub outputs: [usize; 2],
    /// Rows and columns of zeros before the first pixel.
    pub padding: [usize; 2],
}

impl Tiles {
    /// Of the forward pass of a convolution.
    pub fn of(g: &Geometry) -> Self {
        let padding = g.window.padding;
        Self { samples: g.batch, pixels: g.input, outputs: g.output, padding }
    }

    /// Of the gradient of its input, which is the convolution of `dy` with the reversed taps.
    fn backward(g: &Geometry) -> Self {
        let padding = g.window.padding.map(|padding| 2 - padding);
        Self { samples: g.batch, pixels: g.output, outputs: g.input, padding }
    }

    /// Rows and columns of tiles in an image.
    fn grid(&self) -> [usize; 2] {
        self.outputs.map(|size| size.div_ceil(OUT))
    }

    /// Tiles of an image.
    pub fn of_sample(&self) -> usize {
        self.grid()[0] * self.grid()[1]
    }

    /// Columns of a matrix that has one for each tile; some are left over, so that lanes can be
    /// read from any tile on.
    fn columns(&self) -> usize {
        (self.samples * self.of_sample() + LANES).next_multiple_of(LANES)
    }

    /// Some of the images at a time, so that the transforms of `channels` fit a cache.
    fn parts(&self, channels: usize) -> impl Iterator<Item = (usize, Self)> + use<> {
        const VALUES: usize = 1 << 20;
        let whole = *self;
        let some = (VALUES / (PLACES * channels * self.of_sample()).max(1)).max(1);
        (0..whole.samples)
            .step_by(some)
            .map(move |first| (first, Self { samples: some.min(whole.samples - first), ..whole }))
    }

    /// The transforms of the pixels of some channels, `[channels, PLACES, columns]`.
    fn of_pixels<T: Element>(&self, images: &Images<T>) -> Buffer<T> {
        self.of_channels(images, |channel, places| {
            Isa::native().run(OfPixels(Channel { tiles: self, images, channel, places }));
        })
    }

    /// The transforms of the outputs' gradients of some channels, likewise.
    fn of_outputs<T: Element>(&self, images: &Images<T>) -> Buffer<T> {
        self.of_channels(images, |channel, places| {
            Isa::native().run(OfOutputs(Channel { tiles: self, images, channel, places }));
        })
    }

    fn of_channels<T: Element>(
        &self,
        images: &Images<T>,
        transform: impl Fn(usize, &mut [T]) + Sync,
    ) -> Buffer<T> {
        let len = PLACES * self.columns();
        let mut places = buffer::scratch(images.count * len);
        places.par_chunks_mut(len).enumerate().for_each(|(c, places)| transform(c, places));
        places
    }
}

/// One channel that is transformed.
struct Channel<'a, T> {
    tiles: &'a Tiles,
    images: &'a Images<'a, T>,
    channel: usize,
    /// Of all its tiles, `[PLACES, columns]`.
    places: &'a mut [T],
}

/// Pixels, `B^T d B`.
struct OfPixels<'a, T>(Channel<'a, T>);

impl<T: Element> Work for OfPixels<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Tiles { pixels, padding, .. } = *self.0.tiles;
        self.0.transform(&PIXELS, pixels, padding);
    }
}

/// Gradients of outputs, `A dy A^T`.
struct OfOutputs<'a, T>(Channel<'a, T>);

impl<T: Element> Work for OfOutputs<'_, T> {
    #[inline(always)]
    fn run(self) {
        const SPREAD: Constants<IN, OUT> = transposed(&OUTPUTS);
        let size = self.0.tiles.outputs;
        self.0.transform(&SPREAD, size, [0, 0]);
    }
}

impl<T: Element> Channel<'_, T> {
    /// Reads tiles of `SIDE` x `SIDE` numbers, which begin `OUT` apart in each direction and
    /// `padding` before the image, and writes `m tile m^T`.
    #[inline(always)]
    fn transform<const SIDE: usize>(
        self,
        m: &Constants<IN, SIDE>,
        size: [usize; 2],
        padding: [usize; 2],
    ) {
        let Self { tiles, images, channel, places } = self;
        let ([down, across], columns) = (tiles.grid(), tiles.columns());
        let mut pixels = buffer::scratch::<T>(SIDE * SIDE * columns);
        pixels.fill(T::zero());
        // A row of pixels with the padding, and what the last tile sees beyond it.
        let mut line = vec![T::zero(); (across - 1) * OUT + SIDE];
        for sample in 0..tiles.samples {
            let channel = images.channel(sample, channel);
            for (top, row) in (0..down).flat_map(|top| (0..SIDE).map(move |row| (top, row))) {
                let from = (top * OUT + row).wrapping_sub(padding[0]);
                if from >= size[0] {
                    continue;
                }
                let end = line.len().min(padding[1] + size[1]);
                line[padding[1]..end]
                    .copy_from_slice(&channel[from * size[1]..][..end - padding[1]]);
                let first = (sample * down + top) * across;
                let mut dealt = pixels[row * SIDE * columns..].chunks_mut(columns);
                let mut dealt: [&mut [T]; OUT] =
                    std::array::from_fn(|_| &mut dealt.next().unwrap_or_default()[first..]);
                deal(&line, across, &mut dealt);
                // What lies further right is what the next tile sees first.
                for column in OUT..SIDE {
                    let from = (row * SIDE + column - OUT) * columns + first;
                    let to = (row * SIDE + column) * columns + first;
                    pixels.copy_within(from + 1..from + across, to);
                    pixels[to + across - 1] = line[(across - 1) * OUT + column];
                }
            }
        }
        for at in (0..columns).step_by(LANES) {
            transform(
                m,
                |row, column| lanes(&pixels, (row * SIDE + column) * columns + at),
                |row, column, found| {
                    places[(row * IN + column) * columns + at..][..LANES].copy_from_slice(&found);
                },
            );
        }
    }
}

/// One channel of one image of the result.
struct Plane<'a, T> {
    tiles: &'a Tiles,
    /// `[PLACES, channels, columns]`.
    sums: &'a [T],
    channels: usize,
    sample: usize,
    channel: usize,
    add: bool,
    plane: &'a mut [T],
}

impl<T: Element> Work for Plane<'_, T> {
    /// `A^T M A`.
    #[inline(always)]
    fn run(self) {
        let Self { tiles, sums, channels, sample, channel, add, plane } = self;
        let ([_, across], columns) = (tiles.grid(), tiles.columns());
        let [height, width] = tiles.outputs;
        for at in (0..tiles.of_sample()).step_by(LANES) {
            let first = channel * columns + sample * tiles.of_sample() + at;
            let mut found = [[[T::zero(); LANES]; OUT]; OUT];
            transform(
                &OUTPUTS,
                |row, column| lanes(sums, (row * IN + column) * channels * columns + first),
                |row, column, lanes| found[row][column] = lanes,
            );
            // The four numbers of a tile's row side by side.
            let mut rows = [[[T::zero(); OUT]; LANES]; OUT];
            for (row, [a, b, c, d]) in rows.iter_mut().zip(&found) {
                for (lane, four) in row.iter_mut().enumerate() {
                    *four = [a[lane], b[lane], c[lane], d[lane]];
                }
            }
            for lane in 0..LANES.min(tiles.of_sample() - at) {
                let (top, left) = ((at + lane) / across * OUT, (at + lane) % across * OUT);
                for (row, lanes) in rows.iter().enumerate().take(height - top) {
                    let to = &mut plane[(top + row) * width + left..(top + row + 1) * width];
                    match to.first_chunk_mut::<OUT>() {
                        Some(to) if !add => *to = lanes[lane],
                        _ => {
                            for (to, &number) in to.iter_mut().zip(&lanes[lane]) {
                                *to = if add { *to + number } else { number };
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Some channels of images.
#[derive(Clone, Copy)]
struct Images<'a, T> {
    /// `[N, all channels, pixels]`.
    values: &'a [T],
    /// Values of all channels of one image.
    sample_len: usize,
    /// Pixels of one channel.
    pixels: usize,
    /// The first channel.
    first: usize,
    /// How many channels.
    count: usize,
}

impl<'a, T> Images<'a, T> {
    /// The input channels of a group.
    fn of_group(g: &Geometry, x: &'a [T], group: usize) -> Self {
        let count = g.channels_per_group();
        let (sample_len, pixels) = (g.sample_len(), g.pixels());
        Self { values: x, sample_len, pixels, first: group * count, count }
    }

    /// Some output channels.
    fn of_outputs(g: &Geometry, dy: &'a [T], outputs: &Range<usize>) -> Self {
        let (sample_len, pixels) = (g.output_len(), g.positions());
        Self { values: dy, sample_len, pixels, first: outputs.start, count: outputs.len() }
    }

    fn channel(&self, sample: usize, channel: usize) -> &'a [T] {
        let at = sample * self.sample_len + (self.first + channel) * self.pixels;
        &self.values[at..at + self.pixels]
    }

    fn beginning_at(self, sample: usize) -> Self {
        Self { values: &self.values[sample * self.sample_len..], ..self }
    }
}

/// A kernel's transform, `[rows, PLACES, depth]`.
struct Kernel<T> {
    rows: usize,
    depth: usize,
    places: Buffer<T>,
}

impl<T: Element> Kernel<T> {
    /// Of `rows` sums over `depth` channels; `at` tells the taps.
    fn new<F>(rows: usize, depth: usize, at: F) -> Self
    where
        F: Fn(usize, usize, usize) -> T + Sync,
    {
        let mut places = buffer::scratch(rows * PLACES * depth);
        places.par_chunks_mut(PLACES * depth).enumerate().for_each(|(row, places)| {
            Isa::native().run(KernelRow { at: &at, row, depth, places });
        });
        Self { rows, depth, places }
    }

    /// Writes or adds `rows` channels of `out`, from channel `first` of its images
    /// `[N, channels, outputs]` on: this kernel over the images' channels.
    fn convolve(
        &self,
        tiles: &Tiles,
        images: Images<T>,
        out: &mut [T],
        [first, channels]: [usize; 2],
        add: bool,
    ) {
        let plane = tiles.outputs[0] * tiles.outputs[1];
        for (sample, tiles) in tiles.parts(self.rows.max(self.depth)) {
            let columns = tiles.columns();
            let pixels = tiles.of_pixels(&images.beginning_at(sample));
            let mut sums = buffer::scratch(PLACES * self.rows * columns);
            sums.par_chunks_mut(self.rows * columns).enumerate().for_each(|(place, sums)| {
                let kernel = &self.places[place * self.depth..];
                let kernel = Matrix::strided(kernel, self.rows, self.depth, PLACES * self.depth);
                let pixels = &pixels[place * columns..];
                let pixels = Matrix::strided(pixels, self.depth, columns, PLACES * columns);
                let sums = Target::new(sums, Layout::matrix(self.rows, columns));
                multiply(Operand::Lanes(&kernel), Operand::Steps(&pixels), self.depth, sums, false);
            });
            let out = &mut out[sample * channels * plane..][..tiles.samples * channels * plane];
            out.par_chunks_mut(plane).enumerate().for_each(|(at, plane)| {
                let (sample, channel) = (at / channels, (at % channels).wrapping_sub(first));
                if channel < self.rows {
                    let (tiles, sums, channels) = (&tiles, &*sums, self.rows);
                    Isa::native().run(Plane { tiles, sums, channels, sample, channel, add, plane });
                }
            });
        }
    }
}

/// One row of a kernel that is transformed, `G g G^T`.
struct KernelRow<'a, T, F> {
    at: &'a F,
    row: usize,
    depth: usize,
    /// `[PLACES, depth]`.
    places: &'a mut [T],
}

impl<T: Element, F: Fn(usize, usize, usize) -> T> Work for KernelRow<'_, T, F> {
    #[inline(always)]
    fn run(self) {
        let Self { at, row, depth, places } = self;
        for first in (0..depth).step_by(LANES) {
            let count = LANES.min(depth - first);
            let taps = gathered(at, row, first..first + count);
            transform(
                &TAPS,
                |row, column| taps[row][column],
                |row, column, found| {
                    let place = &mut places[(row * IN + column) * depth + first..][..count];
                    match place.first_chunk_mut::<LANES>() {
                        Some(place) => *place = found,
                        None => place.copy_from_slice(&found[..count]),
                    }
                },
            );
        }
    }
}

/// The taps of some channels side by side; apart from what is compiled for large registers, since
/// one number after the other is faster than the gathering loads that would be taken there.
#[inline(never)]
fn gathered<T: Element>(
    at: &impl Fn(usize, usize, usize) -> T,
    row: usize,
    channels: Range<usize>,
) -> [[Lanes<T>; 3]; 3] {
    let mut taps = [[[T::zero(); LANES]; 3]; 3];
    for (lane, channel) in channels.enumerate() {
        for (tap, lanes) in taps.as_flattened_mut().iter_mut().enumerate() {
            lanes[lane] = at(row, channel, tap);
        }
    }
    taps
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
    let channels = images.count;
    let kernel =
        Kernel::new(outputs.len(), channels, |o, c, tap| weight[(o * channels + c) * 9 + tap]);
    kernel.convolve(&Tiles::of(g), images, y, [outputs.start, g.outputs], false);
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
    let kernel =
        Kernel::new(channels, outputs.len(), |c, o, tap| weight[(o * channels + c) * 9 + 8 - tap]);
    let images = Images::of_outputs(g, dy, outputs);
    kernel.convolve(&Tiles::backward(g), images, dx, [group * channels, g.channels], add);
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
    let (images, dy) = (Images::of_group(g, x, group), Images::of_outputs(g, dy, outputs));
    let (rows, channels) = (dy.count, images.count);
    let mut places = buffer::scratch(PLACES * rows * channels);
    for (sample, tiles) in Tiles::of(g).parts(rows.max(channels)) {
        let columns = tiles.columns();
        let pixels = tiles.of_pixels(&images.beginning_at(sample));
        let outputs = tiles.of_outputs(&dy.beginning_at(sample));
        places.par_chunks_mut(rows * channels).enumerate().for_each(|(place, sums)| {
            let [outputs, pixels] = [(&outputs, rows), (&pixels, channels)].map(|(from, count)| {
                Matrix::strided(&from[place * columns..], count, columns, PLACES * columns)
            });
            let target = Target::new(sums, Layout::matrix(rows, channels));
            let (outputs, pixels) = (Operand::Lanes(&outputs), Operand::Lanes(&pixels));
            multiply(outputs, pixels, columns, target, sample > 0);
        });
    }
    dw.par_chunks_mut(channels * 9).enumerate().for_each(|(row, dw)| {
        Isa::native().run(GatherRow { places: &places, rows, channels, row, dw });
    });
}

/// One row of a kernel's gradient from that of its transform, `G^T dU G`.
struct GatherRow<'a, T> {
    /// `[PLACES, rows, channels]`.
    places: &'a [T],
    rows: usize,
    channels: usize,
    row: usize,
    /// `[channels, 3, 3]`.
    dw: &'a mut [T],
}

impl<T: Element> Work for GatherRow<'_, T> {
    #[inline(always)]
    fn run(self) {
        const GATHER: Constants<3, IN> = transposed(&TAPS);
        let Self { places, rows, channels, row, dw } = self;
        for first in (0..channels).step_by(LANES) {
            let count = LANES.min(channels - first);
            let mut found = [[[T::zero(); LANES]; 3]; 3];
            transform(
                &GATHER,
                |place_row, column| {
                    let from = ((place_row * IN + column) * rows + row) * channels + first;
                    let mut lanes = [T::zero(); LANES];
                    lanes[..count].copy_from_slice(&places[from..from + count]);
                    lanes
                },
                |row, column, lanes| found[row][column] = lanes,
            );
            for (lane, taps) in dw[first * 9..].chunks_mut(9).take(count).enumerate() {
                for (tap, lanes) in taps.iter_mut().zip(found.as_flattened()) {
                    *tap = lanes[lane];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
