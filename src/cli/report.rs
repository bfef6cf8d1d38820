//! `report`: a run, or several side by side, as a page.

use super::output::{Output, Result};
use crate::export::write_atomically;
use crate::report;
use crate::train::Recorded;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Show a run, or several side by side, as a page.
///
/// The page is one HTML file that needs nothing else: curves, scores, gates, single images,
/// alignment, sources and settings of one run; curves in one plot, scores and differing settings of
/// several. Train makes the page of its run by itself, at its end; a run that is not finished is
/// shown as far as it is.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning report run                               run/report.html
  zoo-tuning report run run-2 run-3 --out runs.html   three of them side by side")]
pub struct Arguments {
    /// Folders of runs, as train --out makes them
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The page [default: report.html in the folder of a single run, here for several]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    page: PathBuf,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let Arguments { runs, out } = arguments;
    let page = match (&runs[..], out) {
        ([run], None) => report::write(run)?,
        (runs, out) => {
            let path = out.unwrap_or_else(|| PathBuf::from("report.html"));
            let read = runs.iter().map(Recorded::read).collect::<crate::Result<Vec<_>>>()?;
            let page = report::page(&read)?;
            write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
            path
        }
    };
    if output.json {
        return output.object(&Written { page });
    }
    output.line(format!("The page: {}", page.display()))
}
