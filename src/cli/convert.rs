//! `convert`: a checkpoint in another format, or under other names.

use super::data::{NetworkNames, model_of, tell_choice};
use super::output::{self, Output, Result, check_free};
use crate::Error;
use crate::export::{Names, converted, format_of_ending};
use crate::nn::Identified;
use crate::train::Input;
use crate::zoo::Format;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Convert a checkpoint into another format.
///
/// IN may have any format that inspect shows. OUT's ending says the new one: .safetensors; .pth,
/// .pt or .bin for what torch.load(OUT, weights_only=True) reads; .onnx for a plain network with
/// its graph, or a routed one for one image at a time. Tensors keep their names, their types and every bit (in ONNX, as F32; with --half, F32 becomes F16); the texts beside
/// them are carried along, in a PyTorch file as the attribute zoo_tuning of the state dict. With
/// --as, a network is taken out of IN, under torchvision's names.
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
    #[command(flatten)]
    network: NetworkNames,
    /// Give the tensors of a zoo these names [default: as they are]
    #[arg(long, value_name = "WHOSE", conflicts_with = "architecture")]
    names: Option<Whose>,
    /// Write F32 tensors in half precision (F16): half the size, about three significant digits
    #[arg(long)]
    half: bool,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
}

/// Whose names the tensors of a zoo are to have.
#[derive(Clone, Copy, ValueEnum)]
enum Whose {
    /// Those of the authors' PyTorch code, from ours
    Authors,
    /// Ours, from the authors'
    Ours,
}

impl From<Whose> for Names {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Authors => Self::Authors,
            Whose::Ours => Self::Ours,
        }
    }
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
    let Arguments { input, output: path, network, names, half, force } = arguments;
    let names = names.map(Names::from);
    let format = format_of_ending(&path)?;
    if names.is_some() && format == Format::Onnx {
        let problem = "a zoo is not written as ONNX; OUT ends in .safetensors or .pth";
        return Err(Error::config("names", problem).into());
    }
    if half && format == Format::Onnx {
        let problem = "ONNX is written as F32; OUT ends in .safetensors or .pth";
        return Err(Error::config("half", problem).into());
    }
    if !force {
        check_free("OUT", &path)?;
    }
    let checkpoint = network.open(&input)?;
    let format_before = checkpoint.format().name();
    // OUT may be IN.
    let bytes_before = checkpoint.file_bytes()?;
    let rules = network.rules()?;
    let tensors = if format == Format::Onnx {
        let model = model_of(checkpoint, &network)?;
        model.write(&path)?;
        model.network.parameters().len()
    } else {
        let checkpoint = match &network.architecture {
            Some(name) => {
                let identified = Identified::new(&checkpoint, Some(name), &rules)?;
                tell_choice(&checkpoint, &identified);
                // Names that would have told it are gone in OUT.
                let images = Input::said_by(&checkpoint, &identified);
                identified.network(checkpoint)?.with_metadata(images)
            }
            None => rules.renamed(checkpoint)?,
        };
        let mut renamed = converted(&checkpoint, format, names)?;
        if half {
            renamed = renamed.halved()?;
        }
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

fn size(path: &Path) -> Result<u64> {
    Ok(path.metadata().map_err(Error::io("read", path))?.len())
}
