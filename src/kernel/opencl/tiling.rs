//! The tiling of a product of packed panels, into tiles and parts of sums: as was measured, or as a
//! model has it.
//!
//! The kernels of `gemm.cl` and `conv.cl` are compiled for tiles of several sizes
//! ([`tiles`](super)). Large ones read less for each sum, small ones leave less undone at the edges
//! and give more work-groups to share out; and where a result has too few tiles to keep the device
//! busy, sums are split into parts. Which is best depends on the device, so `devices --tune`
//! measures. Either way the tiling follows from sizes, device and table alone, so that a run has the
//! same bits twice.

use super::plan::Plan;
use super::reduce::sum_of_parts;
use crate::Result;
use crate::tensor::Element;
use crate::tensor::opencl::{
    Launch, Measured, Memory, OpenCl, ProductSizes, Program, Sizes, Tiling,
};
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
}

/// What a kernel is told of how it writes.
#[derive(Clone, Copy)]
pub(super) struct Writes {
    pub parts: usize,
    /// Whether to add to what is there.
    pub adds: bool,
}

/// The tilings that products of `T` may have on a device, each of a single part: for tests, which try all.
pub fn tilings<T: Element>(device: &OpenCl) -> Vec<Tiling> {
    Plan::of::<T>(device).tilings()
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
        rest: impl for<'b> Fn(Launch<'b>, Writes) -> Launch<'b>,
    ) -> Result<()> {
        let write = |tiling: Tiling| {
            let sums =
                (tiling.parts > 1).then(|| device.take::<T>(tiling.parts * count)).transpose()?;
            let options = Plan::of::<T>(device).options_of_tiles(&tiling);
            let launch = Launch::new::<T>(device, self.program, &options, self.kernel);
            let writes = Writes { parts: tiling.parts, adds: adds && tiling.parts == 1 };
            let launch = operands(launch).memory(sums.as_ref().unwrap_or(c));
            rest(launch, writes).run(self.groups(&tiling))?;
            match sums {
                None => Ok(()),
                Some(sums) => sum_of_parts::<T>(device, &sums, c, count, tiling.parts, adds),
            }
        };
        // What adds would add several times.
        if device.tuning().is_measuring() && !adds {
            self.measure::<T>(device, write)?;
        }
        write(self.tiling::<T>(device))
    }

    /// A group for each tile of each part.
    fn groups(&self, tiling: &Tiling) -> Sizes {
        let [down, across] =
            [self.rows.div_ceil(tiling.tile[0]), self.columns.div_ceil(tiling.tile[1])];
        let workers = tiling.workers;
        Sizes {
            global: [workers * across, workers * down, self.times * tiling.parts],
            local: [workers, workers, 1],
        }
    }

    /// Its tiling: as was measured to be the fastest, or else as should be.
    fn tiling<T: Element>(&self, device: &OpenCl) -> Tiling {
        device.tuning().decided(self.sizes::<T>(), |sizes| {
            let plan = Plan::of::<T>(device);
            let wanted = device.tuning().wanted(sizes);
            // What a file says is taken if it can be.
            let wanted =
                wanted.filter(|tiling| plan.tilings().iter().any(|of| of.has_tile_of(tiling)));
            match wanted {
                Some(tiling) => Tiling {
                    parts: tiling.parts.clamp(1, self.most_parts(&plan, &tiling)),
                    ..tiling
                },
                None => self.fastest(&plan, sizes),
            }
        })
    }

    fn sizes<T>(&self) -> ProductSizes {
        let Self { rows, columns, times, depth, .. } = *self;
        let (kernel, bytes) = (self.kernel.into(), size_of::<T>());
        ProductSizes { kernel, bytes, rows, columns, times, depth }
    }

    /// Every tiling of a plan, in parts that are powers of two.
    fn tilings(&self, plan: &Plan) -> Vec<Tiling> {
        let in_parts = |tiling: Tiling| {
            let parts = std::iter::successors(Some(1), |parts| Some(2 * parts));
            let most = self.most_parts(plan, &tiling);
            parts
                .take_while(move |&parts| parts <= most)
                .map(move |parts| Tiling { parts, ..tiling })
        };
        plan.tilings().into_iter().flat_map(in_parts).collect()
    }

    /// Each part is to be worth the sum that follows on it, and there is to be room for all.
    fn most_parts(&self, plan: &Plan, tiling: &Tiling) -> usize {
        let count = self.rows.saturating_mul(self.columns).saturating_mul(self.times).max(1);
        (self.depth / (4 * tiling.steps)).min(plan.room / count).clamp(1, 128)
    }

    /// The fastest tiling by the model of a plan.
    fn fastest(&self, plan: &Plan, sizes: &ProductSizes) -> Tiling {
        let cost = |tiling: &Tiling| plan.cost(sizes, tiling);
        let best = self.tilings(plan).into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        best.unwrap_or_else(|| unreachable!("every plan has a tiling"))
    }

    /// Measures the tilings, unless products of about these sizes were measured by this run.
    fn measure<T: Element>(
        &self,
        device: &Arc<OpenCl>,
        write: impl Fn(Tiling) -> Result<()>,
    ) -> Result<()> {
        // Seconds that each is measured for, about; short ones are run more often.
        const LONG: f64 = 2e-3;
        // What is so far from the best by the model is not tried.
        const HOPELESS: f64 = 3.0;
        // Of many that are about as fast, the fastest is so by chance, and the model's choice stays:
        // others of about these sizes are to be computed like this too.
        const CLEAR: f64 = 0.9;
        let (plan, product) = (Plan::of::<T>(device), self.sizes::<T>());
        if !device.tuning().begin(&product) {
            return Ok(());
        }
        let measured = |tiling: Tiling| -> Result<f64> {
            let seconds = |runs: u32| -> Result<f64> {
                let begun = Instant::now();
                (0..runs).try_for_each(|_| write(tiling))?;
                device.finish()?;
                Ok(begun.elapsed().as_secs_f64() / f64::from(runs))
            };
            // The first run may compile it.
            seconds(1)?;
            let runs = (LONG / seconds(1)?).clamp(2.0, 50.0);
            Ok(1e6 * seconds(runs as u32)?)
        };
        let chosen = self.fastest(&plan, &product);
        let microseconds_of_model = measured(chosen)?;
        let (mut tiling, mut microseconds) = (chosen, microseconds_of_model);
        let most = HOPELESS * plan.cost(&product, &chosen);
        for other in self.tilings(&plan) {
            if other == chosen || plan.cost(&product, &other) > most {
                continue;
            }
            match measured(other) {
                Ok(took) if took < microseconds.min(CLEAR * microseconds_of_model) => {
                    (tiling, microseconds) = (other, took);
                }
                Ok(_) => {}
                // The driver may not take it; it is another thing if it takes nothing any more.
                Err(_) => device.finish()?,
            }
        }
        device.tuning().note(Measured { product, tiling, microseconds, microseconds_of_model });
        Ok(())
    }
}
