//! `devices`: what there is to compute with.

use super::output::{Output, Result};
#[cfg(feature = "opencl")]
use super::output::{Stop, message};
use clap::Args;

/// List what networks can be computed with beside the processor (cpu): the devices of all OpenCL
/// drivers.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning devices
  zoo-tuning devices --check             every operation on every device, against the processor
  zoo-tuning devices 0 --tune            measure which kernels are the fastest on opencl:0
  zoo-tuning train --device opencl:0 ...")]
pub struct Arguments {
    /// Only the device of this number, as in opencl:N
    #[arg(value_name = "N")]
    number: Option<usize>,
    /// Compare what each device computes with what the processor does, operation by operation
    #[arg(long)]
    check: bool,
    /// Measure the ways to compute the layers of ResNets and keep the fastest for later runs, in
    /// ~/.cache/zoo-tuning; a minute on a graphics card, many on a processor
    #[arg(long)]
    tune: bool,
}

#[cfg(not(feature = "opencl"))]
pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    // Says how to get them.
    let others = crate::tensor::Device::opencl(0).map(drop);
    match (others, arguments) {
        (Err(_), Arguments { number: None, check: false, tune: false }) if output.json => {
            output.object(&[(); 0])
        }
        (Err(error), Arguments { number: None, check: false, tune: false }) => {
            output.line(format!("cpu is what there is. {error}"))
        }
        (others, _) => Ok(others?),
    }
}

#[cfg(feature = "opencl")]
pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    opencl::run(arguments, output)
}

#[cfg(feature = "opencl")]
mod opencl {
    use super::{Arguments, Output, Result, Stop, message};
    use crate::cli::progress::counted;
    use crate::kernel::check::{CHECKS, difference};
    use crate::tensor::Device;
    use crate::tensor::opencl::{Measured, OpenCl, Properties, Variant, discover};
    use crate::train::tune::{Tuned, tune};
    use serde::Serialize;

    /// What is told of a device, for a program to read.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Listed {
        Found(Box<Found>),
        /// Its driver does not describe it.
        Failed {
            device: String,
            error: String,
        },
    }

    /// A device.
    #[derive(Serialize)]
    struct Found {
        device: String,
        name: String,
        platform: String,
        version: String,
        driver: String,
        compute_units: usize,
        memory: u64,
        largest_buffer: u64,
        local_memory: u64,
        work_group: usize,
        work_items: Vec<usize>,
        /// Whether our kernels compute in it.
        f32: bool,
        f64: bool,
        /// Which of them it gets.
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<&'static str>,
        /// Why they cannot be used there, or not in `f64`.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        operations: Option<Vec<Checked>>,
        /// The fastest way of each product.
        #[serde(skip_serializing_if = "Option::is_none")]
        products: Option<Vec<Measured>>,
        /// What there was no room to measure.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<String>,
        /// Why not all was done that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }

    /// How far an operation is from the processor's.
    #[derive(Serialize)]
    struct Checked {
        operation: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        difference: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }

    impl Checked {
        /// Rounding of sums in another order, in f32.
        const TOLERANCE: f64 = 1e-4;

        fn of(operation: &'static str, difference: crate::Result<f64>) -> Self {
            let error = difference.as_ref().err().map(ToString::to_string);
            Self { operation, difference: difference.ok(), error }
        }

        fn is_right(&self) -> bool {
            self.difference.is_some_and(|difference| difference < Self::TOLERANCE)
        }
    }

    pub(super) fn run(arguments: Arguments, output: &mut Output) -> Result {
        let found = discover()?;
        if found.is_empty() {
            // Says what to install.
            return Ok(Device::opencl(0).map(drop)?);
        }
        if let Some(index) = arguments.number.filter(|&index| index >= found.len()) {
            // Says which there are.
            return Ok(Device::opencl(index).map(drop)?);
        }
        let (mut all, mut wrong, mut failed) = (Vec::new(), 0, 0);
        for (index, properties) in found.into_iter().enumerate() {
            if arguments.number.is_some_and(|number| number != index) {
                continue;
            }
            let listed = properties.map(|properties| {
                let mut found = described(properties);
                let done = work(index, &arguments, &mut found);
                found.error = done.err().map(|error| error.to_string());
                failed += usize::from(!found.f32 || found.error.is_some());
                let checked = found.operations.iter().flatten();
                wrong += checked.filter(|checked| !checked.is_right()).count();
                Listed::Found(Box::new(found))
            });
            all.push(listed.unwrap_or_else(|error| {
                failed += 1;
                Listed::Failed { device: format!("opencl:{index}"), error: error.to_string() }
            }));
        }
        if output.json {
            output.object(&all)?;
        } else {
            for (number, device) in all.iter().enumerate() {
                if number > 0 {
                    output.line("")?;
                }
                match device {
                    Listed::Found(found) => show(found, output)?,
                    Listed::Failed { error, .. } => output.line(error)?,
                }
            }
        }
        if wrong == 0 && (failed == 0 || !(arguments.check || arguments.tune)) {
            return Ok(());
        }
        output.finish()?;
        if wrong > 0 {
            message(format!("{wrong} operations are not what the processor computes"));
        }
        if failed > 0 {
            message(format!("{failed} devices could not be used"));
        }
        Err(Stop::Failed)
    }

    /// What was asked for, as far as it goes.
    fn work(index: usize, arguments: &Arguments, found: &mut Found) -> crate::Result<()> {
        if found.f32 && arguments.check {
            found.operations = Some(check(index)?);
        }
        if found.f32 && arguments.tune {
            let bar = counted("measuring", 0);
            let tuned = tune(&OpenCl::open(index)?, |done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            });
            bar.finish_and_clear();
            let Tuned { products, skipped } = tuned?;
            found.products = Some(products);
            found.skipped = skipped;
        }
        Ok(())
    }

    /// Every operation, forward and backward.
    fn check(index: usize) -> crate::Result<Vec<Checked>> {
        let device = Device::opencl(index)?;
        let check = |&(name, compute)| Checked::of(name, difference(&device, compute));
        Ok(CHECKS.iter().map(check).collect())
    }

    fn described(p: Properties) -> Found {
        let variant = Variant::of(&p);
        let lacks = |single: bool| match &variant {
            Ok(variant) if single => p.lacks::<f32>(*variant),
            Ok(variant) => p.lacks::<f64>(*variant),
            Err(error) => Some(error.to_string()),
        };
        let problems = [lacks(true), lacks(false)];
        let [f32, f64] = problems.each_ref().map(Option::is_none);
        let problem = problems.into_iter().flatten().next();
        let variant = variant.ok().map(Variant::name);
        Found {
            device: format!("opencl:{}", p.index),
            name: p.name,
            platform: p.platform,
            version: p.version,
            driver: p.driver,
            compute_units: p.units,
            memory: p.memory,
            largest_buffer: p.largest_buffer,
            local_memory: p.local_memory,
            work_group: p.work_group,
            work_items: p.work_items,
            f32,
            f64,
            variant,
            problem,
            operations: None,
            products: None,
            skipped: Vec::new(),
            error: None,
        }
    }

    /// What of ours can be used there, and what cannot.
    fn kernels(device: &Found) -> String {
        let variant = device.variant.unwrap_or("none");
        match (device.f32, &device.problem) {
            (true, None) => format!("{variant}, in f32 and f64"),
            (true, Some(problem)) => format!("{variant}, in f32; not in f64: {problem}"),
            (false, problem) => format!("none: {}", problem.as_deref().unwrap_or_default()),
        }
    }

    fn show(device: &Found, output: &mut Output) -> Result {
        let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
        let kib = |bytes: u64| format!("{:.0} KiB", bytes as f64 / f64::from(1 << 10));
        let items: Vec<String> = device.work_items.iter().map(ToString::to_string).collect();
        output.line(format!("{}  {}", device.device, device.name))?;
        let row = |key: &str, value: String| vec![format!("  {key}"), value];
        output.table(&[
            row("platform", format!("{}, {}", device.platform, device.version)),
            row("driver", device.driver.clone()),
            row("compute units", device.compute_units.to_string()),
            row(
                "memory",
                format!("{}, {} in one buffer", mib(device.memory), mib(device.largest_buffer)),
            ),
            row(
                "work-group",
                format!(
                    "{} of {}, {} of local memory",
                    device.work_group,
                    items.join(" x "),
                    kib(device.local_memory)
                ),
            ),
            row("kernels", kernels(device)),
        ])?;
        for checked in device.operations.iter().flatten() {
            let text = match (&checked.error, checked.difference) {
                (Some(error), _) => error.clone(),
                (None, Some(difference)) if checked.is_right() => {
                    format!("right, to {difference:.0e}")
                }
                (None, difference) => format!("WRONG, by {:.0e}", difference.unwrap_or(f64::NAN)),
            };
            output.line(format!("  {:<34}{text}", checked.operation))?;
        }
        if let Some(products) = &device.products {
            show_products(products, output)?;
        }
        for step in &device.skipped {
            output.line(format!("  no room for a step of {step}"))?;
        }
        device.error.as_ref().map_or(Ok(()), |error| output.line(format!("  {error}")))
    }

    /// What was measured, and what it brings.
    fn show_products(products: &[Measured], output: &mut Output) -> Result {
        let title =
            ["  kernel", "rows", "columns", "depth", "times", "tile", "parts", "us", "gain"];
        let mut rows = vec![title.map(str::to_owned).to_vec()];
        for Measured { product: p, tiling, microseconds, microseconds_of_model } in products {
            let sizes = [p.rows, p.columns, p.depth, p.times].map(|size| size.to_string());
            let [down, across] = tiling.tile;
            let mut row = vec![format!("  {}", p.kernel)];
            row.extend(sizes);
            row.extend([format!("{down} x {across}"), tiling.parts.to_string()]);
            row.extend([
                format!("{microseconds:.1}"),
                format!("{:.2}", microseconds_of_model / microseconds),
            ]);
            rows.push(row);
        }
        output.table(&rows)?;
        let gain = |line: &Measured| (line.microseconds_of_model / line.microseconds).ln();
        let mean = products.iter().map(gain).sum::<f64>() / products.len().max(1) as f64;
        output.line(format!(
            "  {} products, {:.2} times as fast as without measuring (the geometric mean)",
            products.len(),
            mean.exp()
        ))
    }
}

#[cfg(all(test, not(feature = "opencl")))]
mod tests {
    use super::*;
    use crate::cli::output::{Color, Global, Stop};

    #[test]
    fn what_to_do_is_said_where_no_device_can_be_had() {
        let devices = |check, json| {
            let global = Global { threads: None, color: Color::Never, json };
            run(Arguments { number: None, check, tune: false }, &mut Output::new(&global))
        };
        assert!(devices(false, false).is_ok() && devices(false, true).is_ok());
        let Err(Stop::Error(error)) = devices(true, false) else { panic!("nothing is checked") };
        assert!(error.to_string().contains("--features opencl"), "{error}");
    }
}
