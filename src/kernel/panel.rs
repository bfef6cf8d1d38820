//! Products of packed matrices: everything that is multiplied passes through here.
//!
//! An operand is any matrix whose rows can be read piece by piece ([`Rows`]): one that lies in
//! memory, or the unfolded columns of a convolution, which exist only here. It is packed into
//! *panels*, in which the numbers stand in the order in which the
//! [micro-kernel](super::microkernel) reads them: step after step along the inner axis, and at
//! each step the numbers of one tile's rows (of `a`) or columns (of `b`) side by side.
//!
//! ```text
//!                  columns of a tile             b, packed for each tile of the result:
//!                +-----+-----+-----+             a block of DEPTH steps x all columns of
//!   inner axis   | b0  | b1  | b2  |  ...        the tile stays in the second-level cache
//!                +-----+-----+-----+
//!      +----+    +-----+-----+-----+
//!      | a0 |    |tile |tile |tile |             a, packed once for all:
//!      +----+    +-----+-----+-----+             its panels stream by, each for
//!      | a1 |    |tile |tile |tile |             all panels of b
//!      +----+    +-----+-----+-----+
//!       ...
//! ```
//!
//! Two things change this picture: an `a` that only one column of tiles wants, and that lies in
//! memory, is read where it lies; and a `b` that many rows of tiles want is packed once for all.
//!
//! The result is cut into tiles that threads take one after the other. Where the cuts are, and
//! the order of every sum, depend on the sizes alone.

use super::foreign;
use super::microkernel::{self, Factors, Isa, MOST_COLUMNS, MOST_ROWS, Place, Vectorized};
use super::parallel::Each;
use crate::tensor::{Element, buffer, buffer::Buffer};
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Steps along the inner axis that are packed at a time.
const DEPTH: usize = 384;
/// Rows of a tile of the result: with `DEPTH` steps of `a`, less than half of a usual
/// second-level cache.
const TILE_ROWS: usize = 256;
/// Columns of a tile of the result, likewise.
const TILE_COLUMNS: usize = 240;
/// Columns that a tile has at least; rather than into narrower ones, the inner axis is cut.
const NARROW: usize = 96;
/// Values of `b` that are packed for all tiles at once, at most.
const PACKED_COLUMNS: usize = 1 << 21;
/// Rows that a tile has at least, if more would do.
const LOW: usize = 64;
/// Tiles that a product is cut into at least, if it is worth it: enough for a few threads.
const TASKS: usize = 8;
/// Multiply-adds that are worth a task.
const WORTH_A_TASK: usize = 1 << 19;

/// A matrix whose rows can be read piece by piece.
pub trait Rows<T>: Sync {
    /// The `columns` of a row: where they lie, or else copied to `line`, which is as long.
    fn row<'a>(&'a self, row: usize, columns: Range<usize>, line: &'a mut [T]) -> &'a [T];

    /// All rows, if they lie in memory, and how far apart they begin.
    fn in_place(&self) -> Option<(&[T], usize)> {
        None
    }
}

/// How a matrix is read to be packed.
pub enum Operand<'a, R> {
    /// Its rows are the steps along the inner axis.
    Steps(&'a R),
    /// Its columns are; each row belongs to one row or column of the result.
    Lanes(&'a R),
}

impl<R> Clone for Operand<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Operand<'_, R> {}

/// Packs a block of an operand into panels.
struct Packing<'a, T, R> {
    operand: Operand<'a, R>,
    block: Block,
    panels: &'a mut [T],
}

impl<T: Element, R: Rows<T>> Vectorized for Packing<'_, T, R> {
    #[inline(always)]
    fn run(self) {
        match self.operand {
            Operand::Steps(rows) => pack_steps(rows, self.block, self.panels),
            Operand::Lanes(rows) => pack_lanes(rows, self.block, self.panels),
        }
    }
}

/// What is packed at a time: some rows or columns of the result at some steps.
struct Block {
    /// Of this processor.
    isa: Isa,
    /// Rows or columns of the result.
    lanes: Range<usize>,
    /// Along the inner axis.
    steps: Range<usize>,
    size: Size,
}

/// Sizes of panels.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Lanes of a panel; the last one may have fewer.
    pub width: usize,
    /// Every panel is a multiple of that wide, filled up with zeros.
    pub unit: usize,
}

impl Size {
    /// So many lanes, with what fills up the last panel.
    pub fn padded(self, lanes: usize) -> usize {
        lanes.next_multiple_of(self.unit)
    }

    /// All of a tile, as a matrix that is read by someone else.
    const WHOLE: Self = Self { width: 1 << 16, unit: 1 };

    /// Panels of rows of the result.
    fn of_rows(isa: Isa) -> Self {
        if isa == Isa::MatrixMultiply {
            return Self::WHOLE;
        }
        Self { width: isa.rows(), unit: 1 }
    }

    /// Panels of columns of the result.
    fn of_columns<T: Element>(isa: Isa) -> Self {
        if isa == Isa::MatrixMultiply {
            return Self::WHOLE;
        }
        Self { width: isa.columns::<T>(), unit: isa.lanes::<T>() }
    }
}

/// Packs an operand whose rows are steps: each is dealt out to the panels.
#[inline(always)]
fn pack_steps<T: Element, R: Rows<T>>(rows: &R, block: Block, panels: &mut [T]) {
    let Block { lanes, steps, size: Size { width, .. }, .. } = block;
    let depth = steps.len();
    let mut line = buffer::scratch(lanes.len());
    for (step, row) in steps.enumerate() {
        let row = rows.row(row, lanes.clone(), &mut line);
        for (panel, numbers) in panels.chunks_mut(width * depth).zip(row.chunks(width)) {
            let padded = panel.len() / depth;
            let place = &mut panel[step * padded..][..padded];
            // Of a constant length, a few registers are copied rather than a function called.
            if padded == MOST_COLUMNS
                && let (Some(place), Some(numbers)) =
                    (place.first_chunk_mut::<MOST_COLUMNS>(), numbers.first_chunk::<MOST_COLUMNS>())
            {
                *place = *numbers;
                continue;
            }
            place[..numbers.len()].copy_from_slice(numbers);
            place[numbers.len()..].fill(T::zero());
        }
    }
}

/// Packs an operand whose rows are lanes: a few at a time are transposed into columns.
#[inline(always)]
fn pack_lanes<T: Element, R: Rows<T>>(rows: &R, block: Block, panels: &mut [T]) {
    let Block { isa, lanes, steps, size: Size { width, unit } } = block;
    let depth = steps.len();
    let mut lines = buffer::scratch(TRANSPOSED * depth);
    for (panel, first) in panels.chunks_mut(width * depth).zip(lanes.clone().step_by(width)) {
        let end = lanes.end.min(first + width);
        let padded = (end - first).next_multiple_of(unit);
        for at in (0..padded).step_by(TRANSPOSED) {
            let mut transposed: [&[T]; TRANSPOSED] = [&[]; TRANSPOSED];
            for (i, (row, line)) in transposed.iter_mut().zip(lines.chunks_mut(depth)).enumerate() {
                let lane = first + at + i;
                *row = if lane < end {
                    rows.row(lane, steps.clone(), line)
                } else {
                    line.fill(T::zero());
                    line
                };
            }
            transpose(isa, transposed, TRANSPOSED.min(padded - at), &mut panel[at..], padded);
        }
    }
}

/// Rows that are transposed into columns at a time.
pub(super) const TRANSPOSED: usize = 8;

/// Writes the first `count` rows as columns, side by side, of a matrix with rows `stride` apart.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) fn transpose<T: Element>(
    isa: Isa,
    rows: [&[T]; TRANSPOSED],
    count: usize,
    out: &mut [T],
    stride: usize,
) {
    let depth = rows[0].len();
    let whole = if count == TRANSPOSED { depth / TRANSPOSED * TRANSPOSED } else { 0 };
    for begin in (0..whole).step_by(TRANSPOSED) {
        // SAFETY: `isa` is that of a block, which is of this processor.
        unsafe { microkernel::transpose(isa, rows, begin, &mut out[begin * stride..], stride) };
    }
    for step in whole..depth {
        for (i, row) in rows[..count].iter().enumerate() {
            out[step * stride + i] = row[step];
        }
    }
}

/// `target = a b`, or `target += a b`, with `depth` steps along the inner axis.
pub fn multiply<T: Element, A: Rows<T>, B: Rows<T>>(
    a: Operand<A>,
    b: Operand<B>,
    depth: usize,
    mut target: Target<T>,
    add: bool,
) {
    let isa = Isa::native();
    let (rows, columns) = (target.rows.len(), target.columns.len());
    let tiles = Tiling::new::<T>(isa, rows, columns, depth);
    // What several tiles need is packed once for all, and the rows of a single column of tiles are
    // read where they lie, if they lie anywhere; of columns, it has to be worth a way through
    // memory.
    let [down, across] = tiles.counts();
    let [of_a, of_b] = [Size::of_rows(isa), Size::of_columns::<T>(isa)];
    let is_packed = isa != Isa::MatrixMultiply;
    let is_worth = is_packed && down > 3 && columns.saturating_mul(depth) <= PACKED_COLUMNS;
    let product = Product {
        isa,
        a,
        b,
        packed_a: (is_packed && across > 1).then(|| Packed::new(isa, a, of_a, rows, depth)),
        packed_b: is_worth.then(|| Packed::new(isa, b, of_b, columns, depth)),
    };
    let parts = parts(rows * columns, depth, down * across);
    if parts.len() < 2 {
        target.into_tiles(tiles).into_par_iter().each(|mut tile| {
            product.tile(&mut tile, 0..depth, add);
        });
        return;
    }
    let mut sums: Vec<_> = parts.iter().map(|_| buffer::scratch(rows * columns)).collect();
    sums.par_iter_mut().zip(parts).each(|(sum, part)| {
        let tiles = Target::new(sum, Layout::matrix(rows, columns)).into_tiles(tiles);
        tiles.into_par_iter().each(|mut tile| product.tile(&mut tile, part.clone(), false));
    });
    for (i, sum) in sums.iter().enumerate() {
        for (row, numbers) in sum.chunks(columns).enumerate() {
            target.write(row, 0, numbers, add || i > 0);
        }
    }
}

/// Where a result of `len` numbers has few tiles, the inner axis is cut as well, and the sums of
/// its parts are added up.
fn parts(len: usize, depth: usize, tiles: usize) -> Vec<Range<usize>> {
    let worth = len.saturating_mul(depth) / WORTH_A_TASK;
    let parts = TASKS.min(worth).div_ceil(tiles.max(1)).max(1);
    let part = depth.div_ceil(parts).max(1).next_multiple_of(DEPTH);
    (0..depth).step_by(part).map(|begin| begin..depth.min(begin + part)).collect()
}

/// A product on its way.
struct Product<'a, T, A, B> {
    isa: Isa,
    a: Operand<'a, A>,
    b: Operand<'a, B>,
    packed_a: Option<Packed<T>>,
    packed_b: Option<Packed<T>>,
}

impl<T: Element, A: Rows<T>, B: Rows<T>> Product<'_, T, A, B> {
    /// One tile's sum over the steps `part`.
    fn tile(&self, tile: &mut Target<T>, part: Range<usize>, add: bool) {
        let isa = self.isa;
        let [of_a, of_b] = [Size::of_rows(isa), Size::of_columns::<T>(isa)];
        let [mut room_a, mut room_b] = [buffer::scratch(0), buffer::scratch(0)];
        if part.is_empty() && !add {
            tile.clear();
        }
        for begin in part.clone().step_by(DEPTH) {
            let steps = begin..part.end.min(begin + DEPTH);
            let block = |lanes: &Range<usize>, size| Block {
                isa,
                lanes: lanes.clone(),
                steps: steps.clone(),
                size,
            };
            let b = match &self.packed_b {
                Some(packed) => packed.panels(&tile.columns, &steps),
                None => pack(self.b, block(&tile.columns, of_b), &mut room_b),
            };
            let in_place = match self.a {
                Operand::Lanes(rows) => rows.in_place().map(|(all, stride)| (all, [stride, 1])),
                Operand::Steps(rows) => rows.in_place().map(|(all, stride)| (all, [1, stride])),
            };
            let a = match (&self.packed_a, in_place) {
                (Some(packed), _) => Factors::Packed(packed.panels(&tile.rows, &steps)),
                (None, Some((all, strides))) => {
                    let first = tile.rows.start * strides[0] + steps.start * strides[1];
                    Factors::InPlace(&all[first..], strides)
                }
                _ => Factors::Packed(pack(self.a, block(&tile.rows, of_a), &mut room_a)),
            };
            tile.add_product(isa, a, b, steps.len(), add || begin > part.start);
        }
    }
}

/// Packs a block in `room`, where one as large or larger has been before.
fn pack<'a, T: Element, R: Rows<T>>(
    operand: Operand<R>,
    block: Block,
    room: &'a mut Buffer<T>,
) -> &'a [T] {
    let len = block.size.padded(block.lanes.len()) * block.steps.len();
    if room.len() < len {
        *room = buffer::scratch(len);
    }
    let panels = &mut room[..len];
    block.isa.run(Packing { operand, block, panels: &mut *panels });
    panels
}

/// An operand of a product, packed as a whole.
struct Packed<T> {
    size: Size,
    /// With what fills up the last panel.
    lanes: usize,
    /// Block after block of `DEPTH` steps, each of all lanes.
    values: Buffer<T>,
}

impl<T: Element> Packed<T> {
    fn new<R: Rows<T>>(
        isa: Isa,
        operand: Operand<R>,
        size: Size,
        lanes: usize,
        depth: usize,
    ) -> Self {
        let padded = size.padded(lanes);
        let mut values = buffer::scratch(padded * depth);
        values.par_chunks_mut((padded * DEPTH).max(1)).enumerate().each(|(block, values)| {
            let steps = block * DEPTH..depth.min((block + 1) * DEPTH);
            // A few panels at a time, so that they are worth a task.
            let some = (8192 / (size.width * steps.len())).max(1) * size.width;
            values.par_chunks_mut(some * steps.len()).enumerate().each(|(i, panels)| {
                let lanes = i * some..lanes.min((i + 1) * some);
                let block = Block { isa, lanes, steps: steps.clone(), size };
                isa.run(Packing { operand, block, panels });
            });
        });
        Self { size, lanes: padded, values }
    }

    /// The panels of some lanes, whole ones from the first on, at some steps.
    fn panels(&self, lanes: &Range<usize>, steps: &Range<usize>) -> &[T] {
        let block = &self.values[steps.start * self.lanes..steps.end * self.lanes];
        let end = lanes.start + self.size.padded(lanes.len());
        &block[lanes.start * steps.len()..end * steps.len()]
    }
}

/// A result cut into tiles, each of which is a task. They share no element, whatever their sizes.
#[derive(Clone, Copy)]
struct Tiling {
    /// Of the result.
    rows: usize,
    columns: usize,
    /// Of a tile; those at the edges may have less.
    height: usize,
    width: usize,
}

impl Tiling {
    fn new<T: Element>(isa: Isa, rows: usize, columns: usize, depth: usize) -> Self {
        let worth = (rows * columns).saturating_mul(depth) / WORTH_A_TASK;
        let mut down = rows.div_ceil(TILE_ROWS).max(1);
        let across = TASKS.min(worth).div_ceil(down);
        let across = across.min(columns / NARROW).max(columns.div_ceil(TILE_COLUMNS)).max(1);
        // Few large tiles would leave a thread waiting for the last one.
        while down * across < (2 * TASKS).min(worth / 4) && rows / down >= 2 * LOW {
            down *= 2;
        }
        let height = rows.div_ceil(down).next_multiple_of(isa.rows()).max(1);
        let width = columns.div_ceil(across).next_multiple_of(isa.columns::<T>()).max(1);
        Self { rows, columns, height, width }
    }

    /// Tiles below each other, and side by side.
    fn counts(&self) -> [usize; 2] {
        [self.rows.div_ceil(self.height), self.columns.div_ceil(self.width)]
    }

    /// Rows and columns of each tile.
    fn iter(self) -> impl Iterator<Item = [Range<usize>; 2]> {
        let Self { rows, columns, height, width } = self;
        (0..columns).step_by(width).flat_map(move |first| {
            (0..rows)
                .step_by(height)
                .map(move |top| [top..rows.min(top + height), first..columns.min(first + width)])
        })
    }
}

/// Where a product goes: a matrix whose columns are the positions of one sample after the other.
///
/// Element `(i, n positions + p)` stands at `n sample_stride + i row_stride + p`.
pub struct Target<'a, T> {
    first: *mut T,
    layout: Layout,
    rows: Range<usize>,
    columns: Range<usize>,
    values: PhantomData<&'a mut [T]>,
}

/// The sizes of a [`Target`].
#[derive(Clone, Copy)]
pub struct Layout {
    /// Rows of the matrix.
    pub rows: usize,
    /// Samples.
    pub samples: usize,
    /// Columns of one sample.
    pub positions: usize,
    /// From one row to the next.
    pub row_stride: usize,
    /// From one sample to the next.
    pub sample_stride: usize,
}

impl Layout {
    /// A row-major matrix without gaps.
    pub fn matrix(rows: usize, columns: usize) -> Self {
        Self { rows, samples: 1, positions: columns, row_stride: columns, sample_stride: 0 }
    }
}

// SAFETY: a target is a mutable borrow of its elements, which no other target holds.
#[allow(unsafe_code)]
unsafe impl<T: Send> Send for Target<'_, T> {}

impl<'a, T: Element> Target<'a, T> {
    /// A matrix that lies in `values`.
    ///
    /// # Panics
    /// If it leaves them, or two of its elements are the same.
    pub fn new(values: &'a mut [T], layout: Layout) -> Self {
        let Layout { rows, samples, positions, row_stride, sample_stride } = layout;
        if rows > 0 && samples > 0 && positions > 0 {
            let span = |count: usize, stride: usize, len: usize| {
                (count - 1).checked_mul(stride).and_then(|begin| begin.checked_add(len))
            };
            let sample = span(rows, row_stride, positions);
            let all = sample.and_then(|sample| span(samples, sample_stride, sample));
            assert!(all.is_some_and(|all| all <= values.len()), "the target leaves its slice");
            assert!(rows == 1 || row_stride >= positions, "the rows of a target overlap");
            let apart = sample.is_some_and(|sample| sample_stride >= sample);
            assert!(samples == 1 || apart, "the samples of a target overlap");
        }
        Self {
            first: values.as_mut_ptr(),
            layout,
            rows: 0..rows,
            columns: 0..samples * positions,
            values: PhantomData,
        }
    }

    /// Its tiles.
    ///
    /// # Panics
    /// If they are those of a larger result.
    fn into_tiles(self, tiles: Tiling) -> Vec<Self> {
        assert_eq!([self.rows.end, self.columns.end], [tiles.rows, tiles.columns]);
        tiles.iter().map(|[rows, columns]| Self { rows, columns, ..self }).collect()
    }

    /// The place of an element, and how many of its row follow in the same sample.
    fn place(&self, row: usize, column: usize) -> (usize, usize) {
        let Layout { positions, row_stride, sample_stride, .. } = self.layout;
        let (sample, position) = (column / positions, column % positions);
        (sample * sample_stride + row * row_stride + position, positions - position)
    }

    /// Sets all elements to zero.
    fn clear(&mut self) {
        let zeros = buffer::zeros(self.columns.len());
        for row in self.rows.clone() {
            self.write(row, self.columns.start, &zeros, false);
        }
    }

    /// Writes, or adds, numbers of one row from `column` on.
    #[allow(unsafe_code)]
    fn write(&mut self, row: usize, mut column: usize, mut numbers: &[T], add: bool) {
        assert!(self.rows.contains(&row) && column + numbers.len() <= self.columns.end);
        while !numbers.is_empty() {
            let (at, left) = self.place(row, column);
            let (here, rest) = numbers.split_at(left.min(numbers.len()));
            // SAFETY: these elements of the row lie behind each other, and are ours alone.
            let to = unsafe { std::slice::from_raw_parts_mut(self.first.add(at), here.len()) };
            if add {
                to.iter_mut().zip(here).for_each(|(to, &number)| *to += number);
            } else {
                to.copy_from_slice(here);
            }
            (column, numbers) = (column + here.len(), rest);
        }
    }

    /// Writes, or adds, the product of `a` and `b` `[depth, columns]`, as the crate
    /// `matrixmultiply` computes it.
    fn add_foreign_product(&mut self, a: Factors<T>, b: &[T], depth: usize, add: bool) {
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        let mut found = buffer::scratch(rows.len() * columns.len());
        foreign::product([rows.len(), depth, columns.len()], a, b, &mut found);
        for (row, numbers) in rows.zip(found.chunks(columns.len())) {
            self.write(row, columns.start, numbers, add);
        }
    }

    /// Writes, or adds, the product of all panels `a` and `b` of so many steps.
    #[allow(unsafe_code)]
    fn add_product(&mut self, isa: Isa, a: Factors<T>, b: &[T], depth: usize, add: bool) {
        if isa == Isa::MatrixMultiply {
            return self.add_foreign_product(a, b, depth, add);
        }
        let (height, width, lanes) = (isa.rows(), isa.columns::<T>(), isa.lanes::<T>());
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        let mut edge = [T::zero(); MOST_ROWS * MOST_COLUMNS];
        for (first, b) in columns.clone().step_by(width).zip(b.chunks(width * depth)) {
            let count = width.min(columns.end - first);
            let registers = count.div_ceil(lanes);
            for top in rows.clone().step_by(height) {
                let a = a.skip(top - rows.start, depth);
                let sizes = [height.min(rows.end - top), registers];
                let (at, left) = self.place(top, first);
                if left.min(count) == registers * lanes {
                    let stride = self.layout.row_stride;
                    // SAFETY: the tile is whole, and within one sample: its elements are ours.
                    unsafe {
                        let place = Place { first: self.first.add(at), stride, add };
                        microkernel::tile(isa, sizes, depth, a, b, place);
                    }
                    continue;
                }
                let stride = registers * lanes;
                let place = Place { first: edge.as_mut_ptr(), stride, add: false };
                // SAFETY: `edge` has room for a whole tile.
                unsafe { microkernel::tile(isa, sizes, depth, a, b, place) };
                for (i, numbers) in edge.chunks(stride).take(sizes[0]).enumerate() {
                    self.write(top + i, first, &numbers[..count], add);
                }
            }
        }
    }
}
