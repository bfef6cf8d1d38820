//! Transforms in the order in which products read them.

use super::transform::PLACES;
use crate::kernel::microkernel::Isa;
use crate::kernel::panel::Size;
use crate::kernel::parallel::Each;
use crate::tensor::{Element, buffer, buffer::Buffer};
use rayon::prelude::*;
use std::ops::Range;

/// Steps along the inner axis that are transformed at a time, by one task.
const CHUNK: usize = 128;
/// Every panel is a multiple of so many lanes wide, unless it is that of rows.
pub(super) const STORE: usize = 8;

/// Panels of rows, all of whole height.
pub(super) fn rows() -> Size {
    let height = Isa::native().rows();
    Size { width: height, unit: height }
}

/// Panels of columns.
pub(super) fn columns<T: Element>() -> Size {
    let isa = Isa::native();
    Size { width: isa.columns::<T>(), unit: isa.lanes::<T>().max(STORE) }
}

/// Numbers between two places. With none, all 36 would often fall into the same few lines of a
/// cache, which then holds only some of them.
pub(super) const GAP: usize = 16;

/// A chunk of steps of a panel, to be written: `[PLACES, steps, width]`, places apart by [`GAP`].
pub(super) struct Chunk<'a, T> {
    values: &'a mut [T],
    pub steps: usize,
    pub width: usize,
}

impl<T> Chunk<'_, T> {
    /// One place, `[steps, width]`.
    #[inline(always)]
    pub fn place(&mut self, place: usize) -> &mut [T] {
        let len = self.steps * self.width;
        &mut self.values[place * (len + GAP)..][..len]
    }
}

/// The transforms of one operand: for each panel of lanes, and each chunk of steps of it,
/// `[PLACES, steps, width]`, places apart by [`GAP`].
pub(super) struct Panels<T> {
    lanes: usize,
    depth: usize,
    size: Size,
    values: Buffer<T>,
}

impl<T: Element> Panels<T> {
    /// What `fill` makes of some lanes and steps.
    pub fn new(
        lanes: usize,
        depth: usize,
        size: Size,
        fill: impl Fn(Range<usize>, Range<usize>, Chunk<T>) + Sync,
    ) -> Self {
        let gaps = PLACES * GAP * depth.div_ceil(CHUNK);
        let of_panel = move |width: usize| PLACES * depth * width + gaps;
        let rest = lanes % size.width;
        let rest = if rest == 0 { 0 } else { of_panel(size.padded(rest)) };
        let mut values = buffer::scratch(lanes / size.width * of_panel(size.width) + rest);
        let panels = values.par_chunks_mut(of_panel(size.width).max(1)).enumerate();
        panels.each(|(i, panel)| {
            let lanes = i * size.width..lanes.min((i + 1) * size.width);
            let width = size.padded(lanes.len());
            let chunks = panel.par_chunks_mut(PLACES * (CHUNK * width + GAP)).enumerate();
            chunks.each(|(i, values)| {
                let steps = i * CHUNK..depth.min((i + 1) * CHUNK);
                let chunk = Chunk { values, steps: steps.len(), width };
                fill(lanes.clone(), steps, chunk);
            });
        });
        Self { lanes, depth, size, values }
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.lanes.div_ceil(self.size.width)
    }

    /// The lanes of a panel.
    pub fn lanes(&self, panel: usize) -> Range<usize> {
        panel * self.size.width..self.lanes.min((panel + 1) * self.size.width)
    }

    /// How many lanes of a panel there are, with those that fill it up.
    pub fn width(&self, panel: usize) -> usize {
        self.size.padded(self.lanes(panel).len())
    }

    /// The chunks of steps.
    pub fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let depth = self.depth;
        (0..depth).step_by(CHUNK).map(move |first| first..depth.min(first + CHUNK))
    }

    /// One place of a panel, `[steps, width]`.
    pub fn at(&self, panel: usize, place: usize, chunk: &Range<usize>) -> &[T] {
        let width = self.width(panel);
        let gaps = PLACES * GAP * self.depth.div_ceil(CHUNK);
        let panel = (PLACES * self.depth * self.size.width + gaps) * panel;
        let first = PLACES * (chunk.start * width + chunk.start / CHUNK * GAP);
        let len = chunk.len() * width;
        &self.values[panel + first + place * (len + GAP)..][..len]
    }
}
