//! How a product of packed panels is cut into tiles and parts: what is chosen, or was measured.
//!
//! The kernels of `gemm.cl` and `conv.cl` are compiled for tiles of several sizes. Large ones read
//! less for each sum, small ones leave less undone at the edges and give more work-groups to share
//! out; and where a result has too few tiles to keep the device busy, sums are cut into parts. Which
//! is best depends on the device, so `devices --tune` measures. Where nothing was measured, a model
//! decides that knows how many compute units there are. Either way the choice follows from sizes, so
//! that a run has the same bits twice.

use super::plan::Plan;
use super::product::sum_of_parts;
use crate::Result;
use crate::tensor::Element;
use crate::tensor::opencl::{self, Launch, Memory, OpenCl, Program, Sizes, Way};
use std::sync::Arc;
use std::time::Instant;

/// A product that a kernel of panels computes, `times` results of `rows` x `columns`.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub program: Program,
    pub kernel: &'static str,
    pub rows: usize,
    pub columns: usize,
    pub times: usize,
    /// The length of the sums.
    pub depth: usize,
    /// Whether the kernel can cut them into parts.
    pub may_part: bool,
}

/// What a kernel is told of where it writes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub parts: usize,
    /// Whether to add to what is there.
    pub adds: bool,
}

impl Product {
    /// Computes it into `c`, `count` values, or adds it to them; `operands` and `rest` tell the
    /// kernel its arguments before and after the memory that it writes to.
    pub fn write<'a, T: Element>(
        self,
        device: &'a Arc<OpenCl>,
        c: &Memory,
        count: usize,
        adds: bool,
        operands: impl Fn(Launch<'a>) -> Launch<'a>,
        rest: impl for<'b> Fn(Launch<'b>, Target) -> Launch<'b>,
    ) -> Result<()> {
        let write = |way: Way| {
            let sums = (way.parts > 1).then(|| device.take::<T>(way.parts * count)).transpose()?;
            let options = Plan::of::<T>(device).options_of_tiles(&way);
            let launch = Launch::new::<T>(device, self.program, &options, self.kernel);
            let target = Target { parts: way.parts, adds: adds && way.parts == 1 };
            rest(operands(launch).memory(sums.as_ref().unwrap_or(c)), target)
                .run(self.sizes(&way))?;
            match sums {
                None => Ok(()),
                Some(sums) => sum_of_parts::<T>(device, &sums, c, count, way.parts, adds),
            }
        };
        if device.tuning().is_measuring() {
            self.measure::<T>(device, write)?;
        }
        write(self.way::<T>(device))
    }

    /// A group for each tile of each part.
    fn sizes(&self, way: &Way) -> Sizes {
        let [down, across] = self.tiles(way);
        let workers = way.workers;
        Sizes {
            global: [workers * across, workers * down, self.times * way.parts],
            local: [workers, workers, 1],
        }
    }

    fn tiles(&self, way: &Way) -> [usize; 2] {
        [self.rows.div_ceil(way.tile[0]), self.columns.div_ceil(way.tile[1])]
    }

    /// The way that was measured to be the fastest, or else the one that should be.
    fn way<T: Element>(&self, device: &OpenCl) -> Way {
        let sizes = [self.rows, self.columns, self.times, self.depth];
        device.tuning().decided(self.kernel, size_of::<T>(), sizes, || {
            let plan = Plan::of::<T>(device);
            // What a file says is taken if it can be.
            let is_possible = |way: &Way| {
                let most = if self.may_part { self.most_parts(way) } else { 1 };
                (1..=most).contains(&way.parts) && plan.ways().any(|of| of.has_tile_of(way))
            };
            let measured = device.tuning().measured(&self.named::<T>());
            measured.filter(is_possible).unwrap_or_else(|| self.fastest(&plan))
        })
    }

    fn named<T>(&self) -> opencl::Product {
        let Self { rows, columns, times, depth, .. } = *self;
        let (kernel, bytes) = (self.kernel.to_owned(), size_of::<T>());
        opencl::Product { kernel, bytes, rows, columns, times, depth }
    }

    /// Every way of a plan, with parts that are powers of two.
    fn ways(self, plan: &Plan) -> impl Iterator<Item = Way> {
        plan.ways().flat_map(move |way| {
            let most = if self.may_part { self.most_parts(&way) } else { 1 };
            let parts = std::iter::successors(Some(1), |parts| Some(2 * parts));
            parts.take_while(move |&parts| parts <= most).map(move |parts| Way { parts, ..way })
        })
    }

    /// Each part is to be worth the sum that follows on it.
    fn most_parts(&self, way: &Way) -> usize {
        (self.depth / (4 * way.steps)).clamp(1, 128)
    }

    /// The fastest way by the model of a plan.
    fn fastest(self, plan: &Plan) -> Way {
        let cost = |way: &Way| plan.cost(way, self.tiles(way), self.times, self.sizes_of_sums());
        let ways = self.ways(plan).map(|way| (cost(&way), way));
        let best = ways.min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map_or_else(|| unreachable!("every plan has a way"), |(_, way)| way)
    }

    /// Values of the result, and the length of the sums.
    fn sizes_of_sums(&self) -> [usize; 2] {
        [self.rows * self.columns * self.times, self.depth]
    }

    /// Measures the ways, unless products of about these sizes were measured by this run.
    fn measure<T: Element>(
        self,
        device: &Arc<OpenCl>,
        write: impl Fn(Way) -> Result<()>,
    ) -> Result<()> {
        const RUNS: u32 = 3;
        // What is far from the best of all by the model is not tried.
        const HOPELESS: f64 = 3.0;
        let plan = Plan::of::<T>(device);
        let product = self.named::<T>();
        if !device.tuning().begin(&product) {
            return Ok(());
        }
        let cost = |way: &Way| plan.cost(way, self.tiles(way), self.times, self.sizes_of_sums());
        let chosen = self.fastest(&plan);
        let mut best: Option<(f64, Way)> = None;
        let mut unmeasured = f64::NAN;
        for way in self.ways(&plan).filter(|way| cost(way) < HOPELESS * cost(&chosen)) {
            write(way)?;
            device.finish()?;
            let begun = Instant::now();
            (0..RUNS).try_for_each(|_| write(way))?;
            device.finish()?;
            let took = 1e6 * begun.elapsed().as_secs_f64() / f64::from(RUNS);
            if way == chosen {
                unmeasured = took;
            }
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, way));
            }
        }
        if let Some((took, way)) = best {
            device.tuning().note(&product, way, took, unmeasured);
        }
        Ok(())
    }
}
