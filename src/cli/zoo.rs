//! `zoo`: descriptions of zoos, made and checked; tuned ones, made smaller.

use super::data::{NetworkNames, tell_choice};
use super::output::{self, Output, Result, Stop};
use super::{progress, prune};
use crate::nn::Identified;
use crate::train::{CheckedZoo, Input, check_zoo};
use crate::zoo::{Manifest, Source, sha256_of};
use crate::{Error, tensor};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

/// Describe a zoo in a file, zoo.toml, and check the files against it; make a tuned one smaller.
///
/// The description says of each source its file, where it is from, under which licence, its hash,
/// how its tensors are named, and what it expects its images to be. train --zoo takes it.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(Check),
    Describe(Describe),
    Prune(Box<prune::Arguments>),
}

/// Check every source: its hash, its format, its tensors, that all values are finite, what is said
/// of its images, and that the sources form a zoo, as train does. Of sources that expect images of
/// another normalisation or order of channels than the first, it is said how their first layers take
/// that over.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning zoo check zoo.toml
  zoo-tuning zoo check zoo.toml --json | jq .sources[].problem")]
struct Check {
    /// The description
    #[arg(value_name = "zoo.toml")]
    description: PathBuf,
}

/// Write a description of checkpoint files to the standard output, to be completed by hand.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning zoo describe resnet50.pth moco.pth.tar > zoo.toml
  zoo-tuning zoo describe models/*.pth --as resnet50 --rename '^net=' > zoo.toml

Files are named as they are given, and count from the folder of the description.")]
struct Describe {
    /// Checkpoint files of one architecture
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    network: NetworkNames,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    match arguments.command {
        Command::Check(arguments) => check(&arguments, output),
        Command::Describe(arguments) => describe(&arguments, output),
        Command::Prune(arguments) => prune::run(&arguments, output),
    }
}

#[derive(Serialize)]
struct Report {
    sources: Vec<SourceReport>,
    /// Tensors that all sources have in the same shape; 0 if they form no zoo.
    shared: usize,
    /// What a run would say of them.
    notes: Vec<String>,
    /// Why the sources form no zoo, if each is well.
    problem: Option<String>,
}

#[derive(Serialize)]
struct SourceReport {
    name: String,
    file: String,
    format: Option<&'static str>,
    architecture: Option<String>,
    /// How its names become the network's.
    names: Option<String>,
    licence: Option<String>,
    hash: &'static str,
    problem: Option<String>,
}

fn check(arguments: &Check, output: &mut Output) -> Result {
    let manifest = Manifest::read(&arguments.description)?;
    let mut report = Report { sources: Vec::new(), shared: 0, notes: Vec::new(), problem: None };
    let bar = progress::counted("checking", manifest.sources.len());
    for source in &manifest.sources {
        let mut row = SourceReport {
            name: source.name.clone().unwrap_or_else(|| stem(&source.file)),
            file: source.file.display().to_string(),
            format: None,
            architecture: None,
            names: None,
            licence: source.licence.clone(),
            hash: if source.sha256.is_some() { "checked" } else { "none given" },
            problem: None,
        };
        let checked = check_source(source, manifest.architecture.as_deref(), &mut row);
        row.problem = checked.err().map(|error| error.to_string());
        report.sources.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if report.sources.iter().all(|row| row.problem.is_none()) {
        // By what a run does: what it refuses does not pass here.
        match check_zoo(std::slice::from_ref(&arguments.description)) {
            Ok(CheckedZoo { shared, notes }) => (report.shared, report.notes) = (shared, notes),
            Err(error) => report.problem = Some(error.to_string()),
        }
    }
    let passed = report.shared > 0;
    if output.json {
        output.object(&report)?;
    } else {
        show(&report, output)?;
    }
    if passed { Ok(()) } else { Err(Stop::Failed) }
}

/// Everything that can be wrong with one source.
fn check_source(
    source: &Source,
    architecture: Option<&str>,
    row: &mut SourceReport,
) -> crate::Result<()> {
    let (checkpoint, rules) = source.open()?;
    row.format = Some(checkpoint.format().id());
    source.check_hash(&checkpoint)?;
    let identified = Identified::new(&checkpoint, architecture, &rules)?;
    row.architecture = Some(identified.design.name().to_owned());
    row.names = Some(identified.naming.to_string());
    let checkpoint = identified.network(checkpoint)?;
    let origin = checkpoint.path().display().to_string();
    Input::from_metadata(&origin, &checkpoint.declared(), &identified.design)?;
    for view in &checkpoint {
        if !tensor::Tensor::<f32>::mapped(view)?.is_finite() {
            let problem = "holds a value that is not finite";
            return Err(Error::format_of(checkpoint.path(), view.name(), problem));
        }
    }
    Ok(())
}

fn show(report: &Report, output: &mut Output) -> Result {
    let heading = ["source", "format", "network", "names", "licence", "hash", ""];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let or_dash = |text: Option<&str>| output::printable(text.unwrap_or("-"));
    rows.extend(report.sources.iter().map(|row| {
        vec![
            output::printable(&row.name),
            or_dash(row.format),
            or_dash(row.architecture.as_deref()),
            or_dash(row.names.as_deref()),
            or_dash(row.licence.as_deref()),
            row.hash.to_owned(),
            if row.problem.is_some() { "FAIL" } else { "pass" }.to_owned(),
        ]
    }));
    output.table(&rows)?;
    for problem in report.sources.iter().filter_map(|row| row.problem.as_ref()) {
        output.line(output::printable(problem))?;
    }
    for note in &report.notes {
        output.line(output::printable(note))?;
    }
    match (&report.problem, report.shared) {
        (Some(problem), _) => output.line(output::printable(problem)),
        (None, 0) => Ok(()),
        (None, shared) => {
            let sources = match report.sources.len() {
                1 => "this source forms".to_owned(),
                count => format!("these {count} sources form"),
            };
            output.line(format!("{sources} a zoo: {shared} tensors in common"))
        }
    }
}

fn describe(arguments: &Describe, output: &mut Output) -> Result {
    let NetworkNames { architecture, rename, layout, .. } = &arguments.network;
    let rules = arguments.network.rules()?;
    let mut manifest = Manifest { architecture: architecture.clone(), sources: vec![] };
    for file in &arguments.files {
        let checkpoint = arguments.network.open(file)?;
        let name = manifest.architecture.as_deref();
        let identified = Identified::new(&checkpoint, name, &rules)?;
        tell_choice(&checkpoint, &identified);
        manifest.architecture = Some(identified.design.name().to_owned());
        let prefix = identified.naming.prefix();
        manifest.sources.push(Source {
            file: file.clone(),
            name: Some(stem(file)),
            format: Some(checkpoint.format().id().to_owned()),
            sha256: Some(sha256_of(&checkpoint)?),
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            rename: rename.clone(),
            layout: *layout,
            ..Source::default()
        });
    }
    output.line(manifest.to_toml()?.trim_end())
}

/// The name of a file without what stands behind its first dot.
fn stem(file: &std::path::Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(&name).to_owned()
}
