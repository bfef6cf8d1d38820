//! `collapse`: a lite network becomes a plain one.

use super::output::{self, Output, Result, check_free};
use crate::Error;
use crate::export::format_of_ending;
use crate::train::Model;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Collapse a lite zoo into one plain network of the size of one source.
///
/// The plain network computes what the lite one computes; its tensors have torchvision's names
/// and shapes, so that other programs read it. OUT's ending says its format: .safetensors; .pth, .pt
/// or .bin for torch.load; .onnx. A zoo that gates every sample on its own does not collapse; a routed one does if its
/// router has no choice.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning collapse run/model.safetensors plain.safetensors
  zoo-tuning collapse run/model.safetensors plain.pth
  zoo-tuning eval plain.safetensors --data data/digits/digits.csv.gz")]
pub struct Arguments {
    /// The lite network's file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    format: &'static str,
    bytes: u64,
    parameters: u64,
    bytes_before: u64,
    parameters_before: u64,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let Arguments { input, output: path, force } = arguments;
    let format = format_of_ending(&path)?;
    if !force {
        check_free("OUT", &path)?;
    }
    let model = Model::open(&input, None)?;
    let plain = model.collapsed()?;
    let size =
        |path: &PathBuf| Ok::<_, Error>(path.metadata().map_err(Error::io("read", path))?.len());
    let bytes_before = size(&input)?;
    plain.write(&path)?;
    let report = Report {
        file: path.display().to_string(),
        format: format.name(),
        bytes: size(&path)?,
        parameters: plain.network.parameters().trained() as u64,
        bytes_before,
        parameters_before: model.network.parameters().trained() as u64,
    };
    if output.json {
        return output.object(&report);
    }
    output.line(format!(
        "{}: {}, {} parameters, {} (before: {} parameters, {})",
        report.file,
        report.format,
        output::count(report.parameters),
        output::bytes(report.bytes),
        output::count(report.parameters_before),
        output::bytes(report.bytes_before)
    ))
}
