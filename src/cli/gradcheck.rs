//! `gradcheck`: every operation's gradient against finite differences.

use super::output::{Output, Result, Stop};
use crate::Error;
use crate::gradcheck::{self, Draw, DrawCase};
use crate::ops::GRADIENT_CASES;
use clap::Args;
use serde::Serialize;

/// Check every operation's gradient against central differences, in 64 bits.
///
/// For each operation, inputs of drawn shapes and values: odd sizes, strides, padding, groups.
/// The error is the largest one of any entry, relative to the largest entry of its gradient.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning gradcheck
  zoo-tuning gradcheck conv2d --cases 500
  zoo-tuning gradcheck --json | jq -s 'map(.max_relative_error) | max'

The exit code is 1 if an operation fails.")]
pub struct Arguments {
    /// Check these operations only
    #[arg(value_name = "OP")]
    operations: Vec<String>,
    /// How many cases to draw for each operation
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    cases: u32,
    /// Draw other cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The largest error that passes.
const LIMIT: f64 = 1e-6;

#[derive(Serialize)]
struct Finding {
    operation: &'static str,
    cases: u32,
    max_relative_error: f64,
    pass: bool,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let mut findings = Vec::new();
    for (operation, draw) in chosen(&arguments.operations)? {
        let worst = worst(draw, &arguments)?;
        let (cases, pass) = (arguments.cases, worst < LIMIT);
        let finding = Finding { operation, cases, max_relative_error: worst, pass };
        if output.json {
            output.object(&finding)?;
        }
        findings.push(finding);
    }
    let failed = findings.iter().filter(|finding| !finding.pass).count();
    if !output.json {
        let mut rows =
            vec![["operation", "cases", "largest relative error", ""].map(str::to_owned).to_vec()];
        rows.extend(findings.iter().map(|f| {
            let verdict = if f.pass { "pass" } else { "FAIL" };
            vec![
                f.operation.to_owned(),
                f.cases.to_string(),
                format!("{:.1e}", f.max_relative_error),
                verdict.to_owned(),
            ]
        }));
        output.table(&rows)?;
        let total = findings.len();
        output.line(format!("{} of {total} below {LIMIT:.0e}", total - failed))?;
    }
    if failed > 0 { Err(Stop::Failed) } else { Ok(()) }
}

/// The operations of these names; all of them if there is no name.
fn chosen(names: &[String]) -> Result<Vec<(&'static str, DrawCase)>> {
    if names.is_empty() {
        return Ok(GRADIENT_CASES.to_vec());
    }
    let find = |name: &String| {
        GRADIENT_CASES.iter().find(|(known, _)| known == name).copied().ok_or_else(|| {
            let known: Vec<&str> = GRADIENT_CASES.iter().map(|(name, _)| *name).collect();
            let problem = format!("there is no operation {name}; there are {}", known.join(", "));
            Error::config("gradcheck", problem).into()
        })
    };
    names.iter().map(find).collect()
}

fn worst(draw: DrawCase, arguments: &Arguments) -> Result<f64> {
    let mut worst = 0.0f64;
    for case in 0..arguments.cases {
        let case = draw(&mut Draw::seeded(arguments.seed.wrapping_add(case.into())));
        let error = gradcheck::max_relative_error(&case)?;
        // `max` would let a NaN pass.
        worst = if error > worst || error.is_nan() { error } else { worst };
    }
    Ok(worst)
}
