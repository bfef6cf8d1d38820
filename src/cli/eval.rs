//! `eval`: how good a network is on labelled images.

use super::data::ModelFile;
use super::device::DeviceOption;
use super::output::{Output, Result, printable};
use super::profile::Profiling;
use clap::Args;
use std::path::PathBuf;

use crate::train::{Data, Purpose, evaluate};

/// Measure a network's accuracy and loss on labelled images.
#[derive(Args)]
#[command(after_help = "\
Data is a folder with a folder of PNG or JPEG images for each class; the digits of UCI as .csv or
.csv.gz; a folder of MNIST, either the IDX files (the t10k pair if it is there) or 0.json to
9.json; or one IDX file of images with its labels beside it.

Examples:
  zoo-tuning eval data/zoo/as_is.safetensors --data data/digits/digits.csv.gz
  zoo-tuning eval resnet50.safetensors --as resnet50 --data photos/ --json")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFile,
    /// Labelled images
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Images computed at once; fewer if they are large
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let Arguments { model: file, data, batch, device, .. } = arguments;
    let device = device.open()?;
    let mut model = file.open()?;
    let data = Data::open(&data, Purpose::Testing, &model.input)?;
    let numbers = model.class_numbers(data.classes())?;
    let names = if model.classes.is_empty() { data.classes() } else { &model.classes };
    let loader = data.in_order(None, model.input.batch(batch as usize))?;
    model.network.parameters_mut().to(&device)?;
    let evaluation = evaluate(&model.network, &loader, &numbers, names)?;
    if output.json {
        return output.object(&evaluation);
    }
    output.line(format!(
        "accuracy {:.2} % of {} images, loss {:.4}",
        100.0 * evaluation.accuracy,
        evaluation.samples,
        evaluation.loss
    ))?;
    let mut rows = vec![["class", "images", "accuracy"].map(str::to_owned).to_vec()];
    rows.extend(evaluation.classes.iter().map(|class| {
        let accuracy = class.accuracy.map_or("-".to_owned(), |a| format!("{:.2} %", 100.0 * a));
        vec![printable(&class.name), class.samples.to_string(), accuracy]
    }));
    output.table(&rows)
}
