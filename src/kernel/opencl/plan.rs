//! What the kernels are compiled with for a device, and the work sizes that follow from it.

use crate::tensor::Element;
use crate::tensor::opencl::{Launch, OpenCl, Program, Sizes, Variant};
use std::sync::Arc;

/// The sizes of a device's kernels for one type of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Whether the kernels are those for processors.
    pub is_vector: bool,
    /// Values that a work-item reads at a time.
    pub(super) lanes: usize,
    /// Work-items of a group that sums up.
    pub(super) group: usize,
    /// Work-items of the largest square group, along each axis.
    pub(super) workers: usize,
    /// Compute units.
    pub(super) units: usize,
    /// Bytes of local memory.
    pub(super) local_memory: usize,
    /// Values that a single buffer may well take.
    pub(super) room: usize,
    /// Bytes of a number.
    pub(super) size: usize,
}

impl Plan {
    /// The sizes for numbers of type `T`.
    pub fn of<T: Element>(device: &OpenCl) -> Self {
        let properties = device.properties();
        let is_vector = device.variant() == Variant::Vector;
        let along = |axis| properties.work_items.get(axis).copied().unwrap_or(1);
        let most = properties.work_group.min(along(0)).max(1);
        let workers = properties.work_group.isqrt().min(along(0)).min(along(1));
        let size = size_of::<T>();
        let (lanes, group) =
            if is_vector { (64 / size, 1) } else { (1, 1 << most.min(128).ilog2()) };
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let local_memory = bytes(properties.local_memory);
        let room = bytes(properties.largest_buffer.min(properties.memory / 8)) / size;
        let units = properties.units.max(1);
        Self { is_vector, lanes, group, workers, units, local_memory, room, size }
    }

    /// A kernel of a program.
    pub fn launch<'a, T: Element>(
        device: &'a Arc<OpenCl>,
        program: Program,
        kernel: &'static str,
    ) -> Launch<'a> {
        Launch::new::<T>(device, program, &Self::of::<T>(device).options(), kernel)
    }

    pub fn options(&self) -> String {
        let variant = if self.is_vector { "VECTOR" } else { "LOCAL" };
        format!("-D VARIANT_{variant} -D LANES={} -D GROUP={}", self.lanes, self.group)
    }

    /// Values of the kernels that are made for samples at a time, whatever the batch: as many as
    /// keep a device busy, 32 or 128 MiB of `f32`.
    pub fn scratch(&self) -> usize {
        self.room.min(if self.is_vector { 1 << 23 } else { 1 << 25 })
    }

    /// Where work-items go over runs of `len` values, in so many rows.
    pub fn runs(&self, len: usize, rows: usize) -> Sizes {
        self.runs_of(len, rows, 1)
    }

    /// The same for rows of rows.
    pub fn runs_of(&self, len: usize, rows: usize, times: usize) -> Sizes {
        self.items([len.div_ceil(self.lanes), rows, times])
    }

    /// Where there is a work-item for each of so many things along each axis. There may be more of
    /// them along the first one, so that groups are of one size: some drivers compile a
    /// kernel anew for each.
    pub fn items(&self, [x, y, z]: [usize; 3]) -> Sizes {
        let local = if self.is_vector { 4 } else { self.group.min(64) };
        Sizes { global: [x.next_multiple_of(local), y, z], local: [local, 1, 1] }
    }

    /// As [`runs_of`](Self::runs_of), where a processor takes one work-item at a time.
    pub fn runs_alone(&self, [len, rows, times]: [usize; 3]) -> Sizes {
        if self.is_vector {
            Sizes { global: [len.div_ceil(self.lanes), rows, times], local: [1, 1, 1] }
        } else {
            self.runs_of(len, rows, times)
        }
    }

    /// Where there is just one work-item for each of so many things.
    pub fn each(&self, count: usize) -> Sizes {
        Sizes { global: [count, 1, 1], local: [1, 1, 1] }
    }

    /// Where a group sums up each of so many rows.
    pub fn groups(&self, rows: usize) -> Sizes {
        Sizes { global: [self.group * rows, 1, 1], local: [self.group, 1, 1] }
    }

    /// The same where rows are cut into so many parts.
    pub fn groups_of_parts(&self, parts: usize, rows: usize) -> Sizes {
        Sizes { global: [self.group * parts, rows, 1], local: [self.group, 1, 1] }
    }

    /// Into how many parts rows of `len` values are cut to be summed up, and how long each is.
    pub fn parts_of_rows(&self, rows: usize, len: usize) -> (usize, usize) {
        // Of less, a group is done before the next has begun.
        const LEAST: usize = 1 << 13;
        // Groups for each unit, so that none has nothing to do at the end.
        let groups = if self.is_vector { 4 } else { 8 } * self.units;
        let parts = (groups / rows.max(1)).clamp(1, len.div_ceil(LEAST).max(1));
        let part = len.div_ceil(parts).next_multiple_of(self.lanes).max(1);
        (len.div_ceil(part).max(1), part)
    }
}
