//! `predict`: what a network sees in images, and which points it finds.

use super::data::{CheckOptions, ModelFile, RouteOptions};
use super::device::DeviceOption;
use super::landmarks::{self, PointOptions};
use super::output::{Output, Result, Stop, failure, message, printable};
use super::profile::Profiling;
use crate::Error;
use crate::dataset::image_files;
use crate::train::Prediction;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Tell the most probable classes of images; or, of networks for landmarks, where their points are.
#[derive(Args)]
#[command(after_help = "\
Of a folder, all pictures are taken (PNG, JPEG, WebP, BMP, GIF, TIFF, PNM), those of folders in it too. A pattern in quotes, such
as 'photos/**/*.jpg', is looked up by the program, however many files it means.

With --csv, points are printed in the layout of DeepLabCut: x, y and likelihood, the value of the heat map
there. Of classes, the first line names the columns: image, class_1, probability_1 and so on to --top, error.

Examples:
  zoo-tuning predict run/model.safetensors photo.jpg
  zoo-tuning predict run/model.safetensors photos/ --top 1 --csv > classes.csv
  zoo-tuning predict resnet50.safetensors --as resnet50 --top 5 photos/*.png --json
  zoo-tuning predict mice/model.safetensors frames/ --csv > frames.csv
  zoo-tuning predict faces/model.safetensors me.jpg --box 120,80,200,200 --draw drawn

All pictures are looked at first. If some cannot be read, all of them are named, and nothing is predicted;
with --skip-unreadable the others are. One that only decoding finds damaged is an error of its own, and the
exit code is 1 at the end.")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFile,
    #[command(flatten)]
    routes: RouteOptions,
    /// Images, folders of images, or patterns of their names
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Show so many classes
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print the result as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Images computed at once; fewer if they are large
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    #[command(flatten)]
    check: CheckOptions,
    #[command(flatten)]
    points: PointOptions,
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
    let Arguments { model: file, routes, images, top, csv, batch, check, points, device, .. } =
        arguments;
    let device = device.open()?;
    let mut model = routes.over(file.open()?)?;
    let scheme = model.landmarks()?;
    if scheme.is_none() {
        points.refuse()?;
    }
    let images = check.readable(found(&images)?)?;
    model.network.parameters_mut().to(&device)?;
    if let Some(scheme) = scheme {
        let batch = model.input.batch(batch as usize);
        return landmarks::find(&model, &scheme, images, &points, csv, batch, output);
    }
    // No network has more classes.
    let top = (top as usize).min(model.design().outputs);
    if csv {
        let numbered = (1..=top).map(|k| format!("class_{k},probability_{k}"));
        output.line(format!("image,{},error", numbered.collect::<Vec<_>>().join(",")))?;
    }
    let mut failed = false;
    for images in images.chunks(model.input.batch(batch as usize)) {
        for (path, found) in images.iter().zip(model.predict_files(images, top)) {
            let image = path.display().to_string();
            let error = found.as_ref().err().map(ToString::to_string);
            match &found {
                _ if csv => {
                    output.line(row(&image, found.as_deref().unwrap_or(&[]), top, error)?)?
                }
                _ if output.json => {
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
        output.finish()?;
    }
    if failed { Err(Stop::Failed) } else { Ok(()) }
}

/// The files that the arguments mean.
fn found(paths: &[PathBuf]) -> crate::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let text = path.to_string_lossy();
        if path.is_dir() {
            files.extend(of_folder(path)?);
        } else if !path.exists() && text.contains(['*', '?', '[']) {
            let refuse = |problem: String| Error::config("IMAGE", format!("{text}: {problem}"));
            let found = glob::glob(&text).map_err(|error| refuse(error.to_string()))?;
            let found = found.collect::<std::result::Result<Vec<_>, _>>();
            let found = found.map_err(|error| refuse(error.to_string()))?;
            if found.is_empty() {
                return Err(refuse("no file has such a name".to_owned()));
            }
            for path in found {
                if path.is_dir() { files.extend(of_folder(&path)?) } else { files.push(path) }
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn of_folder(folder: &Path) -> crate::Result<Vec<PathBuf>> {
    let (files, left_out) = image_files(folder)?;
    match (files.is_empty(), left_out.is_empty()) {
        (true, true) => Err(Error::data(folder, "", "expected pictures, found none")),
        (true, false) => {
            let problem = format!("expected pictures, found none; what is there: {left_out}");
            Err(Error::data(folder, "", problem))
        }
        (false, true) => Ok(files),
        (false, false) => {
            message(format!("{}: left out what is no picture: {left_out}", folder.display()));
            Ok(files)
        }
    }
}

/// A row of CSV, with `top` pairs of class and probability.
fn row(
    image: &str,
    classes: &[Prediction],
    top: usize,
    error: Option<String>,
) -> crate::Result<String> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(vec![]);
    let mut cells = vec![image.to_owned()];
    for at in 0..top {
        let class = classes.get(at);
        cells.push(class.map(|class| class.name.clone()).unwrap_or_default());
        cells.push(class.map(|class| class.probability.to_string()).unwrap_or_default());
    }
    cells.push(error.unwrap_or_default());
    let refuse = |error: &dyn std::fmt::Display| Error::config("--csv", error.to_string());
    writer.write_record(&cells).map_err(|error| refuse(&error))?;
    let row = writer.into_inner().map_err(|error| refuse(&error))?;
    Ok(String::from_utf8_lossy(&row).trim_end_matches('\n').to_owned())
}
