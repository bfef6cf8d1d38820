//! `predict`: what a network sees in images.

use super::data::ModelFile;
use super::device::DeviceOption;
use super::output::{Output, Result, Stop, failure, printable};
use super::profile::Profiling;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

use crate::train::Prediction;

/// Tell the most probable classes of images.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning predict run/model.safetensors photo.jpg
  zoo-tuning predict resnet50.safetensors --as resnet50 --top 5 photos/*.png --json

An image that cannot be read is an error, and the exit code is 1 at the end; the others are
predicted nevertheless.")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFile,
    /// PNG or JPEG files
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Show so many classes
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<&'a [Prediction]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let Arguments { model: file, images, top, device, .. } = arguments;
    let device = device.open()?;
    let mut model = file.open()?;
    model.network.parameters_mut().to(&device)?;
    let mut failed = false;
    for path in images {
        let image = path.display().to_string();
        let found = model.predict_file(&path, top as usize);
        match &found {
            _ if output.json => {
                let error = found.as_ref().err().map(ToString::to_string);
                output.object(&Line { image, classes: found.as_deref().ok(), error })?;
            }
            Ok(classes) => {
                let texts = classes.iter().map(|class| {
                    format!("{} {:.2} %", printable(&class.name), 100.0 * class.probability)
                });
                let text = texts.collect::<Vec<_>>().join(", ");
                output.line(format!("{image}: {text}"))?;
            }
            Err(_) => {}
        }
        if let Err(error) = found {
            failed = true;
            output.finish()?;
            failure(error);
        }
    }
    if failed { Err(Stop::Failed) } else { Ok(()) }
}
