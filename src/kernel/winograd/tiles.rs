//! Images as tiles, and their transforms.

use super::panels::{Chunk, Panels, STORE, columns, rows};
use super::transform::*;
use crate::kernel::microkernel::{InRegisters, Isa};
use crate::kernel::panel::{Size, transpose};
use crate::kernel::window::Geometry;
use crate::tensor::{Element, Vector, buffer};
use std::marker::PhantomData;
use std::ops::Range;

/// The tiles of some images of one size, counted row by row, one image after the other.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    /// Images.
    samples: usize,
    /// Height and width of what the tiles see.
    pixels: [usize; 2],
    /// Height and width of what they make.
    pub(super) outputs: [usize; 2],
    /// Rows and columns of zeros before the first pixel.
    padding: [usize; 2],
}

impl Tiles {
    /// Of the forward pass of a convolution.
    pub fn of(g: &Geometry) -> Self {
        let padding = g.window.padding;
        Self { samples: g.batch, pixels: g.input, outputs: g.output, padding }
    }

    /// Of the gradient of its input, which is the convolution of `dy` with the reversed taps.
    pub(super) fn backward(g: &Geometry) -> Self {
        let padding = g.window.padding.map(|padding| 2 - padding);
        Self { samples: g.batch, pixels: g.output, outputs: g.input, padding }
    }

    /// Rows and columns of tiles in an image.
    pub(super) fn grid(&self) -> [usize; 2] {
        self.outputs.map(|size| size.div_ceil(OUT))
    }

    /// Tiles of an image.
    pub fn of_sample(&self) -> usize {
        self.grid()[0] * self.grid()[1]
    }

    /// Tiles of all images.
    pub fn count(&self) -> usize {
        self.samples * self.of_sample()
    }

    /// The transforms of the pixels, for products with one lane for each of these tiles and one
    /// step for each channel.
    pub(super) fn pixels_by_tile<T: Element>(
        &self,
        images: &Images<T>,
        range: Range<usize>,
    ) -> Panels<T> {
        let first = range.start;
        Panels::new(range.len(), images.count, columns::<T>(), |tiles, channels, chunk| {
            let tiles = first + tiles.start..first + tiles.end;
            Isa::native().run_in_registers(ByTile { of: self, images, tiles, channels, chunk });
        })
    }

    /// The transforms of the pixels, for products with one lane for each channel and one step for
    /// each of these tiles.
    pub(super) fn pixels_by_channel<T: Element>(
        &self,
        images: &Images<T>,
        range: Range<usize>,
    ) -> Panels<T> {
        let (size, padding) = (self.pixels, self.padding);
        let transform = Transform { of: self, images, size, padding };
        transform.by_channel::<Pixels>(columns::<T>(), range)
    }

    /// The transforms of the outputs' gradients, likewise; `A dy A^T`.
    pub(super) fn outputs_by_channel<T: Element>(
        &self,
        images: &Images<T>,
        range: Range<usize>,
    ) -> Panels<T> {
        let (size, padding) = (self.outputs, [0, 0]);
        let transform = Transform { of: self, images, size, padding };
        transform.by_channel::<OutputsTransposed>(rows(), range)
    }
}

/// Some channels of images.
#[derive(Clone, Copy)]
pub(super) struct Images<'a, T> {
    /// `[N, all channels, pixels]`.
    values: &'a [T],
    /// Values of all channels of one image.
    sample_len: usize,
    /// Pixels of one channel.
    pixels: usize,
    /// The first channel.
    first: usize,
    /// How many channels.
    pub count: usize,
}

impl<'a, T> Images<'a, T> {
    /// The input channels of a group.
    pub fn of_group(g: &Geometry, x: &'a [T], group: usize) -> Self {
        let count = g.channels_per_group();
        let (sample_len, pixels) = (g.sample_len(), g.pixels());
        Self { values: x, sample_len, pixels, first: group * count, count }
    }

    /// Some output channels.
    pub fn of_outputs(g: &Geometry, dy: &'a [T], outputs: &Range<usize>) -> Self {
        let (sample_len, pixels) = (g.output_len(), g.positions());
        Self { values: dy, sample_len, pixels, first: outputs.start, count: outputs.len() }
    }

    #[inline(always)]
    fn channel(&self, sample: usize, channel: usize) -> &'a [T] {
        let at = sample * self.sample_len + (self.first + channel) * self.pixels;
        &self.values[at..at + self.pixels]
    }
}

/// What becomes places: tiles of `SIDE` x `SIDE` numbers.
struct Transform<'a, T, const SIDE: usize> {
    of: &'a Tiles,
    images: &'a Images<'a, T>,
    /// Height and width of the images.
    size: [usize; 2],
    /// Rows and columns that the first tile begins before the image.
    padding: [usize; 2],
}

impl<T: Element, const SIDE: usize> Transform<'_, T, SIDE> {
    /// What [`Transform::channel`] works in, for so many tiles.
    fn scratch(&self, tiles: usize) -> [buffer::Buffer<T>; 2] {
        let line = (self.of.grid()[1] - 1) * OUT + SIDE;
        let mut line = buffer::scratch(line.max(self.padding[1] + self.size[1]));
        line.fill(T::zero());
        [buffer::scratch(SIDE * SIDE * tiles.next_multiple_of(LANES)), line]
    }

    /// Transforms some tiles of one channel, and calls `store` for each place and some tiles.
    ///
    /// # Safety
    /// The processor must have the vector's instructions.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn channel<V: Vector<T>, M: Matrix<IN, SIDE>>(
        &self,
        channel: usize,
        tiles: Range<usize>,
        [pixels, line]: &mut [buffer::Buffer<T>; 2],
        mut store: impl FnMut(usize, usize, Lanes<T, V>),
    ) {
        let Self { of, images, size, padding, .. } = *self;
        let (of_sample, across) = (of.of_sample(), of.grid()[1]);
        let columns = tiles.len().next_multiple_of(LANES);
        // As many tiles at a time as stand side by side.
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (sample, top, left) = (tile / of_sample, tile % of_sample / across, tile % across);
            let count = (across - left).min(tiles.end - tile);
            let channel = images.channel(sample, channel);
            for row in 0..SIDE {
                let out = &mut pixels[row * SIDE * columns + tile - tiles.start..];
                let from = (top * OUT + row).wrapping_sub(padding[0]);
                if from >= size[0] {
                    (0..SIDE).for_each(|i| out[i * columns..][..count].fill(T::zero()));
                    continue;
                }
                line[padding[1]..padding[1] + size[1]]
                    .copy_from_slice(&channel[from * size[1]..][..size[1]]);
                deal::<T, SIDE>(&line[left * OUT..], count, out, columns);
            }
            tile += count;
        }
        for at in (0..tiles.len()).step_by(V::LANES) {
            // SAFETY: as this asks.
            unsafe {
                transform::<T, V, M, IN, SIDE>(
                    |row, column| &pixels[(row * SIDE + column) * columns + at..],
                    |row, column, found| store(row * IN + column, at, found),
                );
            }
        }
    }

    /// For products with one lane for each channel and one step for each of these tiles.
    fn by_channel<M: Matrix<IN, SIDE>>(&self, size: Size, range: Range<usize>) -> Panels<T> {
        Panels::new(self.images.count, range.len(), size, |channels, steps, chunk| {
            let tiles = range.start + steps.start..range.start + steps.end;
            Isa::native().run_in_registers(ByChannel {
                transform: self,
                by: PhantomData::<M>,
                channels,
                tiles,
                chunk,
            });
        })
    }
}

/// Deals a line out to the columns of `count` tiles, which begin `OUT` apart: number `i` of tile
/// `t` goes to `out[i columns + t]`.
#[inline(always)]
fn deal<T: Element, const SIDE: usize>(line: &[T], count: usize, out: &mut [T], columns: usize) {
    let (a, rest) = out.split_at_mut(columns);
    let (b, rest) = rest.split_at_mut(columns);
    let (c, d) = rest.split_at_mut(columns);
    let (ab, cd) = (a.iter_mut().zip(b), c.iter_mut().zip(d));
    for (((a, b), (c, d)), four) in ab.zip(cd).zip(line.chunks_exact(OUT)).take(count) {
        (*a, *b, *c, *d) = (four[0], four[1], four[2], four[3]);
    }
    // What lies further right is what the next tile sees first.
    for i in OUT..SIDE {
        let (from, to) = ((i - OUT) * columns, i * columns);
        out.copy_within(from + 1..from + count, to);
        out[to + count - 1] = line[(count - 1) * OUT + i];
    }
}

/// The transforms of pixels, with a lane for each tile.
struct ByTile<'a, T> {
    of: &'a Tiles,
    images: &'a Images<'a, T>,
    tiles: Range<usize>,
    channels: Range<usize>,
    chunk: Chunk<'a, T>,
}

impl<T: Element> InRegisters<T> for ByTile<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { of, images, tiles, channels, mut chunk } = self;
        let (size, padding) = (of.pixels, of.padding);
        let width = chunk.width;
        let transform = Transform { of, images, size, padding };
        let mut scratch = transform.scratch(tiles.len());
        for (step, channel) in channels.enumerate() {
            let store = |place, at, found: Lanes<T, V>| {
                found.store(&mut chunk.place(place)[step * width..][at..width]);
            };
            // SAFETY: as this asks.
            unsafe { transform.channel::<V, Pixels>(channel, tiles.clone(), &mut scratch, store) };
        }
    }
}

/// The transforms of tiles, with a lane for each channel.
struct ByChannel<'a, T, M, const SIDE: usize> {
    transform: &'a Transform<'a, T, SIDE>,
    by: PhantomData<M>,
    channels: Range<usize>,
    tiles: Range<usize>,
    chunk: Chunk<'a, T>,
}

impl<T: Element, M: Matrix<IN, SIDE>, const SIDE: usize> InRegisters<T>
    for ByChannel<'_, T, M, SIDE>
{
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { transform, channels, tiles, mut chunk, .. } = self;
        let (depth, width) = (chunk.steps, chunk.width);
        let columns = depth.next_multiple_of(LANES);
        let mut scratch = transform.scratch(depth);
        // Of a few channels, `[channels, PLACES, columns]`.
        let mut lines = buffer::scratch(STORE * PLACES * columns);
        for at in (0..width).step_by(STORE) {
            let count = STORE.min(width - at);
            for (i, lines) in lines.chunks_mut(PLACES * columns).enumerate() {
                let channel = channels.start + at + i;
                if channel >= channels.end {
                    lines.fill(T::zero());
                    continue;
                }
                let store = |place, at, found: Lanes<T, V>| {
                    found.store(&mut lines[place * columns + at..]);
                };
                // SAFETY: as this asks.
                unsafe { transform.channel::<V, M>(channel, tiles.clone(), &mut scratch, store) };
            }
            for place in 0..PLACES {
                let mut rows: [&[T]; STORE] = [&[]; STORE];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = &lines[(i * PLACES + place) * columns..][..depth];
                }
                let to = &mut chunk.place(place)[at..];
                transpose(Isa::native(), rows, count, to, width);
            }
        }
    }
}
