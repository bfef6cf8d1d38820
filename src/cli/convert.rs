//! `convert`: a checkpoint in another format, or under other names.

use super::output::{self, Output, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use zoo_tuning::Error;
use zoo_tuning::export::{self, converted, format_of_ending, write_onnx};
use zoo_tuning::nn::{Architecture, Identified, Network};
use zoo_tuning::train::Model;
use zoo_tuning::zoo::{Checkpoint, Format, Naming};

/// Convert a checkpoint into another format.
///
/// IN may have any format that inspect shows. OUT's ending says the new one: .safetensors; .pth,
/// .pt or .bin for what torch.load(OUT, weights_only=True) reads; .onnx for a plain network with
/// its graph. Tensors keep their names, their types and every bit (in ONNX, as F32); the texts beside
/// them are carried along, in a PyTorch file as the attribute zoo_tuning of the state dict.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning convert resnet50-19c8e357.pth resnet50.safetensors
  zoo-tuning convert moco_v1_200ep_pretrain.pth.tar encoder.pth --as resnet50
  zoo-tuning convert plain.safetensors plain.onnx
  zoo-tuning convert run/model.safetensors theirs.pth --names authors
  zoo-tuning convert theirs.pth ours.safetensors --names ours

The last two are for a zoo, from and to the names in the PyTorch code that the authors of
Zoo-Tuning released: a zoo that was trained there is evaluated and collapsed here, and one that
was trained here with --gate sigmoid goes on there.")]
pub struct Arguments {
    /// The checkpoint
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Take this network out of IN, under torchvision's names; for ONNX it is told by the tensors,
    /// if not named
    #[arg(long = "as", value_name = "ARCHITECTURE", value_parser = PossibleValuesParser::new(Architecture::NAMES))]
    architecture: Option<String>,
    /// Change names first: what matches the regular expression FROM becomes TO
    #[arg(long, value_name = "FROM=TO")]
    rename: Vec<String>,
    /// Give the tensors of a zoo these names [default: as they are]
    #[arg(long, value_name = "WHOSE", conflicts_with = "architecture")]
    names: Option<Names>,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Names {
    /// Those of the authors' PyTorch code
    Authors,
    /// Those of this program, from the authors'
    Ours,
}

#[derive(Serialize)]
struct Report {
    file: String,
    format: &'static str,
    tensors: u64,
    bytes: u64,
    format_before: &'static str,
    bytes_before: u64,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let Arguments { input, output: path, architecture, rename, names, force } = arguments;
    let format = format_of_ending(&path)?;
    if names.is_some() && format == Format::Onnx {
        let problem = "a zoo is not written as ONNX; OUT ends in .safetensors or .pth";
        return Err(Error::config("names", problem).into());
    }
    if !force && path.symlink_metadata().is_ok() {
        let problem = format!("{} exists; --force replaces it", path.display());
        return Err(Error::config("OUT", problem).into());
    }
    let checkpoint = Checkpoint::open(&input)?;
    let format_before = checkpoint.format().name();
    // OUT may be IN.
    let bytes_before = sizes(&checkpoint)?;
    let rules = Naming::of_rules(&rename)?;
    let tensors = if format == Format::Onnx {
        let model = Model::of(checkpoint, architecture.as_deref(), &rules)?;
        write_onnx(&path, &model.network, &model.metadata())?;
        model.network.parameters().len()
    } else {
        let checkpoint = match &architecture {
            Some(name) => Identified::new(&checkpoint, Some(name), &rules)?.network(checkpoint)?,
            None => rules.renamed(checkpoint)?,
        };
        let names = names.map(|names| match names {
            Names::Authors => export::Names::Authors,
            Names::Ours => export::Names::Ours,
        });
        let renamed = converted(&checkpoint, format, names)?;
        renamed.write(&path, format)?;
        renamed.tensors.len()
    };
    let report = Report {
        file: path.display().to_string(),
        format: format.name(),
        tensors: tensors as u64,
        bytes: size(&path)?,
        format_before,
        bytes_before,
    };
    if output.json {
        return output.object(&report);
    }
    output.line(format!(
        "{}: {} tensors, {}, {} (before: {}, {})",
        report.file,
        output::count(report.tensors),
        report.format,
        output::bytes(report.bytes),
        report.format_before,
        output::bytes(report.bytes_before)
    ))
}

/// Bytes of all files in which the tensors lie, and of the one that names them.
fn sizes(checkpoint: &Checkpoint) -> Result<u64> {
    let files = checkpoint.iter().map(|view| view.path()).chain([checkpoint.path()]);
    files.collect::<BTreeSet<_>>().into_iter().map(size).sum()
}

fn size(path: &Path) -> Result<u64> {
    Ok(path.metadata().map_err(Error::io("read", path))?.len())
}
