//! What the kernels are compiled with for a device, and the work sizes that follow from it.

use crate::tensor::Element;
use crate::tensor::opencl::{Launch, OpenCl, Program, Sizes, Variant, Way};
use std::sync::Arc;

/// The sizes of a device's kernels for one type of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Whether the kernels are those for processors.
    pub is_vector: bool,
    /// Values that a work-item reads at a time.
    lanes: usize,
    /// Work-items of a group that sums up.
    group: usize,
    /// Work-items of the largest group.
    most: usize,
    units: usize,
    local_memory: usize,
    /// Bytes of a number.
    size: usize,
}

/// Tiles of a graphics card: work-items along both axes, rows and columns, and how fast it is in the
/// middle of a large product, as a part of the first (on an H100, `f32`).
const LOCAL_TILES: [(usize, [usize; 2], f64); 7] = [
    (16, [128, 128], 1.0),
    (16, [128, 64], 0.88),
    (16, [64, 128], 0.88),
    (8, [64, 64], 0.85),
    (8, [64, 32], 0.5),
    (8, [32, 64], 0.5),
    (8, [32, 32], 0.6),
];

/// Rows of a processor's tiles, and the steps of `f32` that are packed at a time.
const VECTOR_TILES: [(usize, usize); 5] = [(256, 256), (128, 128), (64, 64), (32, 32), (16, 16)];

impl Plan {
    /// The sizes for numbers of type `T`.
    pub fn of<T: Element>(device: &OpenCl) -> Self {
        let properties = device.properties();
        let is_vector = device.variant() == Variant::Vector;
        let along = properties.work_items.first().copied().unwrap_or(1);
        let most = properties.work_group.min(along).max(1);
        let size = size_of::<T>();
        let (lanes, group) =
            if is_vector { (64 / size, 1) } else { (1, 1 << most.min(128).ilog2()) };
        let local_memory = usize::try_from(properties.local_memory).unwrap_or(usize::MAX);
        Self { is_vector, lanes, group, most, units: properties.units, local_memory, size }
    }

    /// The tiles that fit, each a way of a single part, the largest first; the smallest in any
    /// case.
    pub fn ways(self) -> impl Iterator<Item = Way> {
        let local = LOCAL_TILES.map(|(workers, tile, _)| Way {
            workers,
            tile,
            steps: if self.size == 4 { 16 } else { 8 },
            parts: 1,
        });
        let vector = VECTOR_TILES.map(|(rows, steps)| {
            let (tile, steps) = ([rows, rows.min(80) * 3], steps * 4 / self.size);
            Way { workers: 1, tile, steps, parts: 1 }
        });
        let (first, rest) =
            if self.is_vector { (&vector[..], &[][..]) } else { (&[][..], &local[..]) };
        let all: Vec<Way> = first.iter().chain(rest).copied().collect();
        let last = all.len() - 1;
        let fits = move |way: &Way| {
            way.workers * way.workers <= self.most && self.local_bytes(way) <= self.local_memory
        };
        all.into_iter().enumerate().filter(move |(i, way)| *i == last || fits(way)).map(|(_, w)| w)
    }

    /// Local memory of a tile, with the tables of `conv.cl`.
    fn local_bytes(&self, way: &Way) -> usize {
        let ([rows, columns], steps) = (way.tile, way.steps);
        let longest = rows.max(columns).max(steps);
        if self.is_vector {
            return ((rows + columns) * steps + rows * columns) * self.size + 64 * longest;
        }
        // A padding of four for each axis, and two tables of positions and two of taps.
        (rows + columns + 8) * steps * self.size + (2 * 16 + 2 * 12) * longest + 4 * steps
    }

    /// What a product should take by a way, in steps of one sum that a compute unit makes: with so
    /// many tiles, down and across, so many `times`, for so many values that are sums of a `depth`.
    pub fn cost(
        &self,
        way: &Way,
        [down, across]: [usize; 2],
        times: usize,
        [values, depth]: [usize; 2],
    ) -> f64 {
        let groups = (down * across * times * way.parts) as f64;
        let steps = depth.div_ceil(way.parts).next_multiple_of(way.steps) as f64;
        let tile = (way.tile[0] * way.tile[1]) as f64;
        let each = groups / self.units as f64;
        if self.is_vector {
            // A tile that is not full takes less, so that only whole tiles too many or too few for the
            // units matter. Large ones are faster: what they read stays in the cache for more sums.
            let work = values as f64 * depth as f64 / self.units as f64;
            let reads = 1.0 + 64.0 / way.tile[0] as f64;
            let sums = if way.parts > 1 { 8 * way.parts * values / self.units } else { 0 };
            return work * (each.ceil() / each) * reads + sums as f64;
        }
        let rate = LOCAL_TILES
            .iter()
            .find(|(workers, tile, _)| (*workers, *tile) == (way.workers, way.tile));
        let rate = rate.map_or(1.0, |(.., rate)| *rate);
        // A unit hides latencies with 512 work-items; with fewer it is slower in proportion.
        let threads = (way.workers * way.workers) as f64;
        let resident = 512.0 / threads;
        let share = |groups: f64| (groups * threads / 448.0).min(1.0);
        let waves = (each / resident).floor();
        let rest = (each - waves * resident).ceil();
        // Begin and end of a tile take as long as some of its steps.
        let group = tile * (steps + 24.0) / rate;
        let last = if rest > 0.0 { rest * group / share(rest) } else { 0.0 };
        // Numbers that go to memory and back cost as much as so many steps of sums; so does a launch.
        let (number, launch) = (27.0, 600_000.0);
        let moved = if way.parts > 1 { 2 * way.parts + 1 } else { 0 } * values;
        let after = if way.parts > 1 { launch } else { 0.0 };
        waves * resident * group + last + number * moved as f64 / self.units as f64 + after
    }

    /// The options of a program of tiles.
    pub fn options_of_tiles(&self, way: &Way) -> String {
        let Way { workers, tile: [rows, columns], steps, .. } = way;
        format!(
            "{} -D WORKERS={workers} -D DEPTH={steps} -D TILE_ROWS={rows} -D TILE_COLUMNS={columns}",
            self.options()
        )
    }

    /// A kernel of a program.
    pub fn launch<'a, T: Element>(
        device: &'a Arc<OpenCl>,
        program: Program,
        kernel: &'static str,
    ) -> Launch<'a> {
        Launch::new::<T>(device, program, &Self::of::<T>(device).options(), kernel)
    }

    fn options(&self) -> String {
        let variant = if self.is_vector { "VECTOR" } else { "LOCAL" };
        format!("-D VARIANT_{variant} -D GROUP={}", self.group)
    }

    /// Values of the kernels that are made for samples at a time: enough to keep a device busy,
    /// whatever the batch.
    pub fn scratch(&self) -> usize {
        if self.is_vector { 1 << 23 } else { 1 << 25 }
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
        self.groups_of_parts(rows, 1)
    }

    /// The same where rows are cut into so many parts.
    pub fn groups_of_parts(&self, parts: usize, rows: usize) -> Sizes {
        Sizes { global: [self.group * parts, rows, 1], local: [self.group, 1, 1] }
    }

    /// Into how many parts rows of `len` values are cut to be summed up, and how long each is.
    pub fn parts_of_rows(&self, rows: usize, len: usize) -> (usize, usize) {
        const LEAST: usize = 1 << 13;
        let groups = if self.is_vector { 4 } else { 8 } * self.units;
        let parts = (groups / rows.max(1)).clamp(1, len.div_ceil(LEAST).max(1));
        let part = len.div_ceil(parts).next_multiple_of(self.lanes).max(1);
        (len.div_ceil(part).max(1), part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_must_have_is_what_the_smallest_tiles_need() {
        for variant in [Variant::Vector, Variant::Local] {
            for size in [4, 8] {
                let is_vector = variant == Variant::Vector;
                let (lanes, group, most, units, local_memory) = (1, 1, 1, 1, 0);
                let plan = Plan { is_vector, lanes, group, most, units, local_memory, size };
                let way = plan.ways().last().unwrap();
                let (items, bytes) = variant.needs(size);
                assert!(items.iter().all(|&items| items >= way.workers) || way.workers == 1);
                let needed = plan.local_bytes(&way) as u64;
                assert_eq!(bytes, needed.next_multiple_of(1 << 10), "{variant:?} {size}");
            }
        }
    }
}
