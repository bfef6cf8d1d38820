//! `zoo prune`: a tuned zoo without the sources that are worth least.

use super::data::{CheckOptions, ModelFile};
use super::output::{self, Output, Result, check_free, printable};
use super::progress;
use crate::Error;
use crate::export::format_of_ending;
use crate::nn::Form;
use crate::train::{Model, Standing, Worth, least, standing, worths};
use crate::zoo::Format;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Say what each source of a tuned zoo is worth, and drop those that are worth least.
///
/// MODEL is a network of the form zoo, lite or routed. For each source: its share, the mean of its gates
/// (of a routed zoo, how likely the router finds it), and the network without it: its accuracy, and the
/// leave-one-out accuracy of a ridge classifier on its features. With --keep, one source after the other
/// goes, each time the one that is missed least; what that cost is said, and the rest is written to --out.
/// What softmax gates gave to a source goes to the others in proportion; the samples that a router sent
/// to it go to the next likeliest.
#[derive(Args)]
#[command(after_help = "\
Sources are chosen by the images of --data, of divided data by the test part, as in eval: name a folder
of validation images, and measure what comes out on others.

Examples:
  zoo-tuning zoo prune run/model.safetensors --data validation/
  zoo-tuning zoo prune run/model.safetensors --data validation/ --keep 2 --out smaller.safetensors")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFile,
    /// Labelled images, as of eval
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    #[command(flatten)]
    check: CheckOptions,
    /// How many sources to keep
    #[arg(long, value_name = "N", requires = "out", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// The file to write: .safetensors, or .pth
    #[arg(long, value_name = "OUT", requires = "keep")]
    out: Option<PathBuf>,
    /// Replace OUT if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Images computed at once; fewer if they are large
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
}

#[derive(Serialize)]
struct Report {
    /// The network as it was.
    before: Standing,
    sources: Vec<Worth>,
    /// Names of the sources that went, in that order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Written>,
}

#[derive(Serialize)]
struct Written {
    file: String,
    after: Standing,
    bytes_before: u64,
    bytes: u64,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Result {
    if let Some(out) = &arguments.out {
        if format_of_ending(out)? == Format::Onnx {
            let problem = "a zoo is not written as ONNX; OUT ends in .safetensors or .pth";
            return Err(Error::config("--out", problem).into());
        }
        if !arguments.force {
            check_free("--out", out)?;
        }
    }
    let mut model = arguments.model.open()?;
    if model.network.blueprint().form == Form::Plain {
        let problem = format!("{} is a plain network, which keeps no sources", model.origin);
        return Err(Error::config("MODEL", problem).into());
    }
    if model.landmarks()?.is_some() {
        let problem = format!("{} finds landmarks, and classes are measured here", model.origin);
        return Err(Error::config("MODEL", problem).into());
    }
    let sources = model.network.blueprint().sources;
    let keep = arguments.keep.map_or(sources, |keep| keep as usize);
    if keep > sources {
        let problem = format!("{keep}, but {} has {sources} sources", model.origin);
        return Err(Error::config("--keep", problem).into());
    }
    let (data, numbers) = arguments.check.labelled(&arguments.data, &mut model)?;
    let loader = data.in_order(None, model.input.batch(arguments.batch as usize))?;
    let bar = progress::counted("sources", 1 + sources - keep);
    let before = standing(&model, &loader, &numbers)?;
    let found = worths(&model, &loader, &numbers)?;
    bar.inc(1);
    let (mut dropped, mut after) = (vec![], before);
    let mut smaller: Option<Model> = None;
    let mut known = found.clone();
    let mut names: Vec<String> = found.iter().map(|worth| worth.name.clone()).collect();
    while known.len() > keep {
        let Some(gone) = least(&known) else { break };
        let kept: Vec<usize> = (0..known.len()).filter(|&at| at != gone).collect();
        let rest = smaller.as_ref().unwrap_or(&model).pruned(&kept)?;
        dropped.push(names.remove(gone));
        after = known[gone].without.unwrap_or(after);
        if kept.len() > keep {
            known = worths(&rest, &loader, &numbers)?;
        } else {
            known.remove(gone);
        }
        smaller = Some(rest);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut written = None;
    if let Some(out) = &arguments.out {
        let rest = smaller.as_ref().unwrap_or(&model);
        let size = |path: &PathBuf| {
            Ok::<_, Error>(path.metadata().map_err(Error::io("look at", path))?.len())
        };
        // OUT may be MODEL.
        let bytes_before = size(arguments.model.path())?;
        rest.write(out)?;
        let file = out.display().to_string();
        written = Some(Written { file, after, bytes_before, bytes: size(out)? });
    }
    let report = Report { before, sources: found, dropped, written };
    if output.json { output.object(&report) } else { show(&report, loader.samples(), output) }
}

fn show(report: &Report, images: usize, output: &mut Output) -> Result {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let Standing { accuracy, leave_one_out } = report.before;
    output.line(format!(
        "{images} images: accuracy {}, ridge accuracy {}",
        percent(accuracy),
        percent(leave_one_out)
    ))?;
    let heads = ["source", "share", "accuracy without it", "ridge accuracy without it"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for Worth { name, share, without, .. } in &report.sources {
        let of = |get: fn(&Standing) -> f64| {
            without.as_ref().map_or("-".to_owned(), |standing| percent(get(standing)))
        };
        let without = [of(|standing| standing.accuracy), of(|standing| standing.leave_one_out)];
        rows.push([vec![printable(name), percent(*share)], without.to_vec()].concat());
    }
    output.table(&rows)?;
    let Some(written) = &report.written else { return Ok(()) };
    let dropped = match &report.dropped[..] {
        [] => "nothing is dropped".to_owned(),
        names => format!("without {}", printable(&names.join(", "))),
    };
    output.line(format!(
        "{}: {dropped}: accuracy {} (before: {}), {} (before: {})",
        written.file,
        percent(written.after.accuracy),
        percent(accuracy),
        output::bytes(written.bytes),
        output::bytes(written.bytes_before)
    ))
}
