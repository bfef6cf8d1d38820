//! The tiles that products of panels may be split into, and how long each should take.

use super::plan::Plan;
use crate::tensor::opencl::{ProductSizes, Tiling};

/// Tiles of a graphics card: work-items along both axes, rows and columns, and how fast each is in
/// the middle of a large product, as a part of the first.
const LOCAL: [(usize, [usize; 2], f64); 7] = [
    (16, [128, 128], 1.0),
    (16, [128, 64], 0.95),
    (16, [64, 128], 0.95),
    (8, [64, 64], 0.85),
    (8, [64, 32], 0.6),
    (8, [32, 64], 0.55),
    (8, [32, 32], 0.45),
];

/// Rows and columns of a processor's tiles, whole pieces of 8 rows and 3 vectors, and the steps of
/// `f32` that are packed at a time. The first fits a second-level cache of 1 MiB.
const VECTOR: [([usize; 2], usize); 5] =
    [([256, 240], 256), ([128, 240], 128), ([64, 192], 64), ([32, 96], 32), ([16, 48], 16)];

impl Plan {
    /// The tiles that fit, each a tiling of a single part, the largest first; the smallest in any
    /// case.
    pub fn tilings(&self) -> Vec<Tiling> {
        let all: Vec<Tiling> = if self.is_vector {
            let steps = |steps: usize| steps * 4 / self.size;
            let tiling =
                |(tile, of_f32)| Tiling { workers: 1, tile, steps: steps(of_f32), parts: 1 };
            VECTOR.map(tiling).to_vec()
        } else {
            let steps = if self.size == 4 { 16 } else { 8 };
            LOCAL.map(|(workers, tile, _)| Tiling { workers, tile, steps, parts: 1 }).to_vec()
        };
        let fits = |tiling: &Tiling| {
            tiling.workers <= self.workers && self.local_bytes(tiling) <= self.local_memory
        };
        let last = all.len() - 1;
        let fitting = all.iter().enumerate().filter(|(i, tiling)| *i == last || fits(tiling));
        fitting.map(|(_, tiling)| *tiling).collect()
    }

    /// Local memory of a tile: panels, sums if they are there, and the tables of `conv.cl`, two of
    /// positions and two of taps and one of places.
    fn local_bytes(&self, tiling: &Tiling) -> usize {
        let ([rows, columns], steps) = (tiling.tile, tiling.steps);
        let tables = (2 * 16 + 2 * 12) * rows.max(columns).max(steps) + 4 * steps;
        // PAD of panel.cl, for both panels.
        let (sums, pad) = if self.is_vector { (rows * columns, 0) } else { (0, 2 * 4) };
        ((rows + columns + pad) * steps + sums) * self.size + tables
    }

    /// What a product should take with this tiling, in multiply-adds of a compute unit.
    pub fn cost(&self, product: &ProductSizes, tiling: &Tiling) -> f64 {
        let ProductSizes { rows, columns, times, depth, .. } = *product;
        let [down, across] = [rows.div_ceil(tiling.tile[0]), columns.div_ceil(tiling.tile[1])];
        let of_all = |count: usize| count as f64 / self.units as f64;
        let groups = down as f64 * across as f64 * times as f64 * of_all(tiling.parts);
        let sums = rows as f64 * columns as f64 * of_all(times);
        if self.is_vector {
            self.of_vector(tiling, groups, sums, depth)
        } else {
            of_local(tiling, groups, sums, depth)
        }
    }

    /// Of a processor, which takes a tile after the other. A tile that is not full takes less; so
    /// only units that have nothing to do at the end count.
    fn of_vector(&self, tiling: &Tiling, groups: f64, sums: f64, depth: usize) -> f64 {
        // What a large tile reads stays in the cache for more sums.
        const READS: f64 = 64.0;
        // Of adding up a part's sum.
        const SUM: f64 = 8.0;
        let work = sums * depth as f64 * (1.0 + READS / tiling.tile[0] as f64);
        let after = if tiling.parts > 1 { SUM * tiling.parts as f64 * sums } else { 0.0 };
        work * (groups.ceil() / groups) + after
    }
}

/// Of a graphics card, for so many groups and sums of a unit. The constants, and the rates of
/// [`LOCAL`], were fitted to an H100, the seven tiles on products and convolutions of a ResNet-50,
/// each in one part: of twenty, those that are chosen are 8 % slower than the best ones, in the
/// geometric mean. Where that is not enough, `devices --tune` measures.
fn of_local(tiling: &Tiling, groups: f64, sums: f64, depth: usize) -> f64 {
    // Work-items that a unit has room for, by their registers, and its multiply-adds at once.
    const RESIDENT: f64 = 512.0;
    const LANES: f64 = 128.0;
    // A step of a group that is alone: for its loads and barriers, and for each sum of a work-item.
    const WAIT: f64 = 70.0;
    const SUM: f64 = 2.0;
    // Begin and end of a tile, in steps of it.
    const EDGES: f64 = 20.0;
    // A number that goes to memory and comes back, and a launch.
    const MOVED: f64 = 27.0;
    const LAUNCH: f64 = 6e5;
    let is_it = |(workers, tile, _): &&(usize, [usize; 2], f64)| {
        (*workers, *tile) == (tiling.workers, tiling.tile)
    };
    let rate = LOCAL.iter().find(is_it).map_or(1.0, |(.., rate)| *rate);
    let steps = depth.div_ceil(tiling.parts).next_multiple_of(tiling.steps) as f64 + EDGES;
    let threads = (tiling.workers * tiling.workers) as f64;
    let tile = (tiling.tile[0] * tiling.tile[1]) as f64;
    // So many groups side by side hide what each waits for, until the unit is busy.
    let wave = |groups: f64| {
        let alone = LANES * (WAIT + SUM * tile / threads);
        if groups > 0.0 { steps * alone.max(groups * tile / rate) } else { 0.0 }
    };
    let at_once = RESIDENT / threads;
    let waves = (groups / at_once).floor();
    let last = wave((groups - waves * at_once).ceil());
    let after = match tiling.parts {
        1 => 0.0,
        parts => MOVED * (2 * parts + 1) as f64 * sums + LAUNCH,
    };
    waves * wave(at_once) + last + after
}

impl Plan {
    /// The options of a program of tiles.
    pub fn options_of_tiles(&self, tiling: &Tiling) -> String {
        let Tiling { workers, tile: [rows, columns], steps, .. } = tiling;
        let tile = format!("-D TILE_ROWS={rows} -D TILE_COLUMNS={columns} -D DEPTH={steps}");
        format!("{} -D WORKERS={workers} {tile}", self.options())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::opencl::Variant;

    fn plan(is_vector: bool, size: usize, units: usize) -> Plan {
        let (workers, local_memory, room) = (32, 48 << 10, 1 << 30);
        Plan { is_vector, lanes: 1, group: 1, workers, units, local_memory, room, size }
    }

    #[test]
    fn what_a_device_must_have_is_what_the_smallest_tiles_need() {
        for variant in [Variant::Vector, Variant::Local] {
            for size in [4, 8] {
                let is_vector = variant == Variant::Vector;
                let plan = Plan { local_memory: 0, ..plan(is_vector, size, 1) };
                let [tiling] = plan.tilings()[..] else { panic!("only the smallest is left") };
                let ([across, down], bytes) = variant.needs(size);
                // Kernels that are not of tiles have groups of four on a processor.
                let items = if is_vector { [4, 1] } else { [tiling.workers; 2] };
                assert_eq!([across, down], items);
                let needed = plan.local_bytes(&tiling) as u64;
                assert_eq!(bytes, needed.next_multiple_of(1 << 10), "{variant:?} {size}");
            }
        }
    }

    #[test]
    fn the_model_takes_large_tiles_of_what_is_large_and_parts_of_what_is_long() {
        let best = |[rows, columns, times, depth]: [usize; 4]| {
            let product =
                ProductSizes { kernel: "gemm".into(), bytes: 4, rows, columns, times, depth };
            let plan = plan(false, 4, 132);
            let tilings = plan.tilings().into_iter();
            let tilings =
                tilings.flat_map(|tiling| [1, 8, 64].map(|parts| Tiling { parts, ..tiling }));
            let cost = |tiling: &Tiling| plan.cost(&product, tiling);
            tilings.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap()
        };
        let large = best([4096, 4096, 1, 4096]);
        assert_eq!((large.tile, large.parts), ([128, 128], 1));
        assert!(best([64, 64, 1, 1 << 17]).parts == 64);
        let many = best([48, 64, 5000, 64]);
        assert!(many.tile[0] * many.tile[1] < 128 * 64 && many.parts == 1, "{many:?}");
    }
}
