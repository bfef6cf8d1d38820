//! What becomes of the transforms: products, and the way back.

use super::panels::{GAP, Panels};
use super::tiles::Tiles;
use super::transform::*;
use crate::kernel::microkernel::{self, Factors, InRegisters, Isa, Place, Vectorized};
use crate::tensor::{Element, Vector, buffer, buffer::Buffer};
use std::marker::PhantomData;
use std::ops::Range;

/// Panels of rows that are multiplied with a panel of columns while it is in a cache.
pub(super) const GROUP: usize = 2;

/// Sums over the steps for a few panels of rows and one of columns: `[PLACES, rows, width]`, places
/// apart by [`GAP`].
pub(super) struct Sums<T> {
    rows: usize,
    width: usize,
    values: Buffer<T>,
}

impl<T: Element> Sums<T> {
    /// Room for the sums of the widest panels.
    pub fn new() -> Self {
        let isa = Isa::native();
        let most = GROUP * isa.rows() * isa.columns::<T>();
        Self { rows: 0, width: 0, values: buffer::scratch(PLACES * (most + GAP)) }
    }

    /// Sets the sums, or adds to them what further steps give: products of the panels `group` of
    /// `a` and a panel of `b`.
    #[allow(unsafe_code)]
    pub fn multiply(
        &mut self,
        a: &Panels<T>,
        group: Range<usize>,
        b: &Panels<T>,
        panel: usize,
        add: bool,
    ) {
        let isa = Isa::native();
        let (height, width) = (isa.rows(), b.width(panel));
        (self.rows, self.width) = (group.len() * height, width);
        let sizes = [height, width / isa.lanes::<T>()];
        for place in 0..PLACES {
            for (i, of_a) in group.clone().enumerate() {
                let at = place * self.place_len() + i * height * width;
                let first = self.values[at..at + height * width].as_mut_ptr();
                let mut add = add;
                for chunk in a.chunks() {
                    let (a, b) = (a.at(of_a, place, &chunk), b.at(panel, place, &chunk));
                    // SAFETY: there is room for `height` rows of `width` numbers.
                    unsafe {
                        let place = Place { first, stride: width, add };
                        microkernel::tile(isa, sizes, chunk.len(), Factors::Packed(a), b, place);
                    }
                    add = true;
                }
            }
        }
    }

    #[inline(always)]
    fn place_len(&self) -> usize {
        self.rows * self.width + GAP
    }

    /// The sums of one row from a lane on.
    #[inline(always)]
    fn at(&self, place: usize, row: usize, lane: usize) -> &[T] {
        &self.values[place * self.place_len() + row * self.width + lane..]
    }

    /// Writes, or adds, the outputs of these rows; lanes are the tiles `range`.
    ///
    /// # Safety
    /// Nobody else may read or write these rows' channels of these tiles meanwhile.
    ///
    /// # Panics
    /// If there are no such channels or tiles.
    #[allow(unsafe_code)]
    pub unsafe fn outputs(&self, images: &Written<T>, rows: Range<usize>, range: Range<usize>) {
        let [first, channels] = images.channels;
        assert!(first + rows.end <= channels && range.end <= images.tiles.count());
        let mut outputs = buffer::scratch(rows.len() * OUT * OUT * self.width);
        Isa::native().run_in_registers(ToOutputs { sums: self, outputs: &mut outputs });
        Isa::native().run(ToImages { outputs: &outputs, images, rows, tiles: range });
    }

    /// Writes the taps of one row's kernels, `[channels, 3, 3]`, for the channels that are lanes.
    pub fn taps(&self, row: usize, taps: &mut [T]) {
        Isa::native().run_in_registers(ToTaps { sums: self, row, taps });
    }
}

/// Images that are written tile by tile, by several threads.
pub(super) struct Written<'a, T> {
    first: *mut T,
    len: usize,
    tiles: &'a Tiles,
    /// The first channel, and how many there are in an image.
    channels: [usize; 2],
    /// Add to what is there, instead of writing over it.
    add: bool,
    values: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable borrow of its images; who calls `Sums::outputs` answers for it that
// nobody else writes to the same tiles.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Written<'_, T> {}

impl<'a, T: Element> Written<'a, T> {
    /// From channel `first` of the images `[N, channels, outputs]` on.
    pub fn new(images: &'a mut [T], tiles: &'a Tiles, channels: [usize; 2], add: bool) -> Self {
        let (first, len) = (images.as_mut_ptr(), images.len());
        Self { first, len, tiles, channels, add, values: PhantomData }
    }
}

/// `A^T M A`.
struct ToOutputs<'a, T> {
    sums: &'a Sums<T>,
    /// `[rows, OUT, OUT, width]`.
    outputs: &'a mut [T],
}

impl<T: Element> InRegisters<T> for ToOutputs<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { sums, outputs } = self;
        let width = sums.width;
        for (i, outputs) in outputs.chunks_mut(OUT * OUT * width).enumerate() {
            for at in (0..width).step_by(V::LANES) {
                // SAFETY: as this asks.
                unsafe {
                    transform::<T, V, Outputs, OUT, IN>(
                        |row, column| sums.at(row * IN + column, i, at),
                        |row, column, found| {
                            found.store(&mut outputs[(row * OUT + column) * width + at..]);
                        },
                    );
                }
            }
        }
    }
}

/// Puts the outputs where they belong.
struct ToImages<'a, T> {
    /// `[rows, OUT, OUT, width]`.
    outputs: &'a [T],
    images: &'a Written<'a, T>,
    rows: Range<usize>,
    tiles: Range<usize>,
}

/// Tiles side by side in a row of tiles.
struct Run {
    /// Their lanes.
    lanes: Range<usize>,
    /// Where their outputs begin, counted from the channel's place in the first image.
    at: usize,
    /// Lines of outputs, and outputs of a line.
    size: [usize; 2],
}

/// The runs of some tiles, in images of so many channels.
fn runs(of: &Tiles, channels: usize, tiles: Range<usize>) -> Vec<Run> {
    let ([height, width], across, of_sample) = (of.outputs, of.grid()[1], of.of_sample());
    let mut runs = Vec::new();
    let mut tile = tiles.start;
    while tile < tiles.end {
        let (sample, of_image) = (tile / of_sample, tile % of_sample);
        let (top, left) = (of_image / across * OUT, of_image % across * OUT);
        let count = (across - of_image % across).min(tiles.end - tile);
        runs.push(Run {
            lanes: tile - tiles.start..tile - tiles.start + count,
            at: (sample * channels * height + top) * width + left,
            size: [OUT.min(height - top), (count * OUT).min(width - left)],
        });
        tile += count;
    }
    runs
}

impl<T: Element> Vectorized for ToImages<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    fn run(self) {
        let Self { outputs, images, rows, tiles } = self;
        let Written { first, len, tiles: of, channels: [first_channel, channels], add, .. } =
            *images;
        let [height, width] = of.outputs;
        let lanes = outputs.len() / (rows.len() * OUT * OUT);
        // The four numbers of each tile's line side by side.
        let mut line = buffer::scratch(OUT * tiles.len());
        let runs = runs(of, channels, tiles);
        for (outputs, row) in outputs.chunks(OUT * OUT * lanes).zip(rows) {
            let channel = (first_channel + row) * height * width;
            for (i, four) in outputs.chunks(OUT * lanes).enumerate() {
                interleave(four, lanes, &mut line);
                for Run { lanes, at, size } in runs.iter().filter(|run| i < run.size[0]) {
                    let numbers = &line[lanes.start * OUT..][..size[1]];
                    let begin = channel + at + i * width;
                    assert!(begin + numbers.len() <= len);
                    // SAFETY: within the images, as asserted; a channel's tiles share no pixel,
                    // and the caller of `Sums::outputs` answers for these.
                    let to =
                        unsafe { std::slice::from_raw_parts_mut(first.add(begin), numbers.len()) };
                    if add {
                        to.iter_mut().zip(numbers).for_each(|(to, &number)| *to += number);
                    } else {
                        to.copy_from_slice(numbers);
                    }
                }
            }
        }
    }
}

/// Writes one number of each of four rows of `len` after the other.
#[inline(always)]
fn interleave<T: Element>(rows: &[T], len: usize, out: &mut [T]) {
    let (ab, cd) = rows.split_at(2 * len);
    let ((a, b), (c, d)) = (ab.split_at(len), cd.split_at(len));
    let rows = a.iter().zip(b).zip(c.iter().zip(d));
    for (out, ((&a, &b), (&c, &d))) in out.chunks_exact_mut(OUT).zip(rows) {
        (out[0], out[1], out[2], out[3]) = (a, b, c, d);
    }
}

/// `G^T dU G`.
struct ToTaps<'a, T> {
    sums: &'a Sums<T>,
    row: usize,
    /// `[channels, 3, 3]`.
    taps: &'a mut [T],
}

impl<T: Element> InRegisters<T> for ToTaps<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { sums, row, taps } = self;
        let mut found = [[T::zero(); LANES]; 9];
        for (first, taps) in taps.chunks_mut(V::LANES * 9).enumerate() {
            // SAFETY: as this asks.
            unsafe {
                transform::<T, V, TapsTransposed, 3, IN>(
                    |line, column| sums.at(line * IN + column, row, first * V::LANES),
                    |line, column, lanes| lanes.store(&mut found[line * 3 + column]),
                );
            }
            for (lane, taps) in taps.chunks_mut(9).enumerate() {
                for (tap, lanes) in taps.iter_mut().zip(&found) {
                    *tap = lanes[lane];
                }
            }
        }
    }
}
