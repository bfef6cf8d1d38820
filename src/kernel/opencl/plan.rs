//! What the kernels are compiled with for a device, and the work sizes that follow from it.

use crate::tensor::Element;
use crate::tensor::opencl::{Launch, OpenCl, Program, Sizes, Variant};
use std::sync::Arc;

/// The sizes of a device's kernels for one type of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Whether it is a processor.
    pub is_cpu: bool,
    /// Values that a work-item reads at a time.
    lanes: usize,
    /// Work-items of a group that sums up.
    group: usize,
    /// Work-items of a group that makes a tile of a product, along both axes.
    workers: usize,
    /// Steps of the inner axis that a tile takes at a time.
    depth: usize,
    /// Rows and columns of a tile.
    tile: [usize; 2],
    units: usize,
    /// Bytes of a number.
    size: usize,
}

impl Plan {
    /// The sizes for numbers of type `T`.
    pub fn of<T: Element>(device: &OpenCl) -> Self {
        let properties = device.properties();
        let (units, size) = (properties.units, size_of::<T>());
        if device.variant() == Variant::Local {
            let most = properties.work_items.first().copied().unwrap_or(1);
            let group = 1 << properties.work_group.min(most).clamp(1, 128).ilog2();
            let (lanes, workers, depth, tile) = (1, 16, 16, [128, 128]);
            return Self { is_cpu: false, lanes, group, workers, depth, tile, units, size };
        }
        let lanes = 64 / size;
        let depths = if size == 4 { [256, 128, 64, 32, 16] } else { [128, 64, 32, 16, 8] };
        // The largest tile that fits the local memory, which a processor has in its caches.
        let plans = [256, 128, 64, 32, 16].into_iter().zip(depths).map(|(rows, depth)| Self {
            is_cpu: true,
            lanes,
            group: 1,
            workers: 1,
            depth,
            tile: [rows, rows.min(80) * 3],
            units,
            size,
        });
        let fits = |plan: &Self| plan.local_bytes() <= properties.local_memory as usize;
        let smallest = plans.clone().next_back();
        plans.clone().find(fits).or(smallest).unwrap_or_else(|| unreachable!("there are plans"))
    }

    /// Local memory of the products, with the tables of `conv.cl`.
    fn local_bytes(&self) -> usize {
        let [rows, columns] = self.tile;
        let panels = (rows + columns) * self.depth + rows * columns;
        panels * self.size + 64 * rows.max(columns).max(self.depth)
    }

    /// A kernel of a program.
    pub fn launch<'a, T: Element>(
        device: &'a Arc<OpenCl>,
        program: Program,
        kernel: &'static str,
    ) -> Launch<'a> {
        Launch::new::<T>(device, program, &Self::of::<T>(device).options(program), kernel)
    }

    fn options(&self, program: Program) -> String {
        let variant = if self.is_cpu { "VECTOR" } else { "LOCAL" };
        let mut options = format!("-D VARIANT_{variant} -D GROUP={}", self.group);
        if program.files.len() > 2 {
            let (depth, [rows, columns]) = (self.depth, self.tile);
            options += &format!(" -D DEPTH={depth} -D TILE_ROWS={rows} -D TILE_COLUMNS={columns}");
        }
        options
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
        let local = if self.is_cpu { 4 } else { self.group.min(64) };
        Sizes { global: [x.next_multiple_of(local), y, z], local: [local, 1, 1] }
    }

    /// As [`runs_of`](Self::runs_of), where a processor takes one work-item at a time.
    pub fn runs_alone(&self, [len, rows, times]: [usize; 3]) -> Sizes {
        if self.is_cpu {
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

    /// Where there is a group for each tile of a product of `rows` x `columns`, so many times.
    pub fn tiles(&self, rows: usize, columns: usize, times: usize) -> Sizes {
        let workers = self.workers;
        let [down, across] = [rows.div_ceil(self.tile[0]), columns.div_ceil(self.tile[1])];
        Sizes { global: [workers * across, workers * down, times], local: [workers, workers, 1] }
    }

    /// Parts that an inner axis of `depth` is cut into where a result of `rows` x `columns`, so
    /// many times, has too few tiles to keep the device busy. It follows from the sizes and the
    /// device alone.
    pub fn parts(&self, rows: usize, columns: usize, times: usize, depth: usize) -> usize {
        let tiles = rows.div_ceil(self.tile[0]) * columns.div_ceil(self.tile[1]) * times;
        // Each part is to be worth the sum that follows on it.
        let most = (depth / (4 * self.depth)).clamp(1, 32);
        (2 * self.units / tiles.max(1)).clamp(1, most)
    }

    /// Into how many parts rows of `len` values are cut to be summed up, and how long each is.
    pub fn parts_of_rows(&self, rows: usize, len: usize) -> (usize, usize) {
        const LEAST: usize = 1 << 13;
        let parts = (4 * self.units / rows.max(1)).clamp(1, len.div_ceil(LEAST).max(1));
        let part = len.div_ceil(parts).next_multiple_of(self.lanes).max(1);
        (len.div_ceil(part).max(1), part)
    }
}
