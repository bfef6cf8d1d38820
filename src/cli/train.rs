//! `train`: tunes a zoo to a target task.

use super::device::DeviceOption;
use super::output::{self, Output, Result, message};
use super::profile::Profiling;
use super::progress::Progress;
use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser};
use serde::Serialize;
use std::path::PathBuf;
use toml::Table;
use zoo_tuning::Error;
use zoo_tuning::report;
use zoo_tuning::train::choice::{
    AugmentationName, FormName, GateName, OptimizerName, Preset, ScheduleName, Start,
};
use zoo_tuning::train::{Config, Run};

/// Tune a zoo of pretrained networks to a target task.
///
/// A run is recorded in a folder: config.toml (complete, re-runnable), metrics.jsonl,
/// checkpoint.safetensors, and at the end model.safetensors, summary.json and the page
/// report.html. A run that was
/// stopped, even by kill -9, goes on with --resume and ends with the same bits.
#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = "\
Every option is also a key of the configuration file, with _ for -; an option is over the file, and
the file over the defaults. A preset is over what lies under the place where it is named.

Examples:
  zoo-tuning train --zoo data/zoo/*.safetensors --data data/digits/digits.csv.gz \\
      --shots 20 --epochs 40 --out run
  zoo-tuning train --resume run
  zoo-tuning train --config run/config.toml --form zoo --seed 2 --out run-2
  zoo-tuning train --zoo resnet50.pth moco.pth.tar --data photos/ \\
      --preset released,paper --out run-3"
)]
pub struct Arguments {
    /// A configuration in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder to record the run in; new or empty
    #[arg(long, value_name = "FOLDER", required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "out", "Settings"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

/// The keys of [`Config`], and `preset`.
#[derive(Args, Serialize)]
struct Settings {
    /// Settings that belong together; those of several are combined
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Preset::NAMES), help_heading = "Sources and method")]
    preset: Option<Vec<String>>,
    /// The pretrained networks: checkpoints of one architecture, in any format that inspect
    /// shows, or one zoo.toml that describes them
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Sources and method")]
    zoo: Option<Vec<PathBuf>>,
    /// Change the names of their tensors: what matches the regular expression FROM becomes TO.
    /// Prefixes such as module. or backbone.body. are found without it
    #[arg(long, value_name = "FROM=TO", help_heading = "Sources and method")]
    rename: Option<Vec<String>>,
    /// What becomes of them: one is tuned, their mean, a zoo gated per sample or per batch, or
    /// nothing [default: lite]
    #[arg(long, value_parser = PossibleValuesParser::new(FormName::NAMES), help_heading = "Sources and method")]
    form: Option<String>,
    /// The networks' architecture [default: as their files say, or as their tensors tell]
    #[arg(long, value_parser = super::data::architecture, help_heading = "Sources and method")]
    architecture: Option<String>,
    /// Whether the channels of the sources are brought into one order first [default: matched]
    #[arg(long, value_parser = PossibleValuesParser::new(Start::NAMES), help_heading = "Sources and method")]
    start: Option<String>,
    /// Whether gates begin near the source that fits best [default: on]
    #[arg(long, value_name = "on|off", value_parser = BoolishValueParser::new(),
        hide_possible_values = true, help_heading = "Sources and method")]
    gate_prior: Option<bool>,
    /// How near: the bias of that source's score [default: 2.5]
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Sources and method"
    )]
    gate_prior_strength: Option<f64>,
    /// What makes weights of a gate's scores [default: softmax]
    #[arg(long, value_parser = PossibleValuesParser::new(GateName::NAMES), help_heading = "Sources and method")]
    gate: Option<String>,
    /// Layers whose kernels are aligned: usual (in a ResNet the stem, stages 3 and 4), all, none,
    /// or names such as conv1,layer3 [default: usual]
    #[arg(long, value_name = "LAYERS", help_heading = "Sources and method")]
    align: Option<String>,
    /// Whether 1x1 kernels are aligned there too [default: off]
    #[arg(long, value_name = "on|off", value_parser = BoolishValueParser::new(),
        hide_possible_values = true, help_heading = "Sources and method")]
    align_pointwise: Option<bool>,
    /// Whether shortcuts are gated per sample even in lite, as in the release; such a network
    /// does not collapse [default: off]
    #[arg(long, value_name = "on|off", value_parser = BoolishValueParser::new(),
        hide_possible_values = true, help_heading = "Sources and method")]
    shortcuts_per_sample: Option<bool>,

    /// Labelled images: a folder with a folder for each class, the digits of UCI as .csv or
    /// .csv.gz, or a folder of MNIST
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    /// Train on so many images of each class only
    #[arg(long, value_name = "N", help_heading = "Data")]
    shots: Option<usize>,
    /// Share of the images that accuracy is measured on while training [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    validation: Option<f64>,
    /// Share of the images that accuracy is measured on once, at the end [default: 0]
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    test: Option<f64>,
    /// Height and width that the network sees [default: that of the sources]
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    size: Option<usize>,
    /// Height and width that images are resized to before the middle part is taken
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    resize: Option<usize>,
    /// 1 for grey, 3 for colour [default: as the sources]
    #[arg(long, value_name = "N", help_heading = "Data")]
    channels: Option<usize>,
    /// Subtracted from values of 0 to 1, for each channel [default: as the sources]
    #[arg(
        long,
        value_name = "X",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Data"
    )]
    mean: Option<Vec<f32>>,
    /// Divided by then, for each channel [default: as the sources]
    #[arg(long, value_name = "X", value_delimiter = ',', help_heading = "Data")]
    deviation: Option<Vec<f32>>,
    /// How training images are changed at random: not, moved by up to a sixteenth, or a random
    /// part, mirrored or not [default: shift]
    #[arg(long, value_parser = PossibleValuesParser::new(AugmentationName::NAMES), help_heading = "Data")]
    augmentation: Option<String>,

    /// Passes over the training images [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "steps", help_heading = "Training")]
    epochs: Option<u64>,
    /// Steps, instead of epochs
    #[arg(long, value_name = "N", help_heading = "Training")]
    steps: Option<u64>,
    /// Images of a step [default: 32]
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch: Option<usize>,
    /// The optimizer [default: sgd]
    #[arg(long, value_parser = PossibleValuesParser::new(OptimizerName::NAMES), help_heading = "Training")]
    optimizer: Option<String>,
    /// The learning rate [default: 0.01]
    #[arg(
        long,
        visible_alias = "lr",
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    learning_rate: Option<f64>,
    /// Share of the velocity that sgd keeps [default: 0.9]
    #[arg(long, value_name = "X", help_heading = "Training")]
    momentum: Option<f64>,
    /// Whether sgd looks ahead [default: on]
    #[arg(long, value_name = "on|off", value_parser = BoolishValueParser::new(),
        hide_possible_values = true, help_heading = "Training")]
    nesterov: Option<bool>,
    /// How the learning rate falls [default: cosine]
    #[arg(long, value_parser = PossibleValuesParser::new(ScheduleName::NAMES), help_heading = "Training")]
    schedule: Option<String>,
    /// Steps over which the learning rate first rises [default: 0]
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    warmup: Option<usize>,
    /// Steps at which schedule step lowers the learning rate
    #[arg(long, value_name = "STEP", value_delimiter = ',', help_heading = "Training")]
    milestones: Option<Vec<usize>>,
    /// What it is multiplied with there [default: 0.1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    factor: Option<f64>,
    /// Share of the target that goes to all classes alike [default: 0]
    #[arg(long, value_name = "SHARE", help_heading = "Training")]
    label_smoothing: Option<f64>,
    /// Weight decay [default: 0.0005]
    #[arg(long, value_name = "X", help_heading = "Training")]
    weight_decay: Option<f64>,
    /// Learning rate of kernels and batch norms, as a multiple; 0 freezes them [default: 1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    backbone_rate: Option<f64>,
    /// The same of the alignment [default: 1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    alignment_rate: Option<f64>,
    /// The same of the gates [default: 1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    gate_rate: Option<f64>,
    /// The same of the classifier [default: 1]
    #[arg(long, value_name = "X", help_heading = "Training")]
    head_rate: Option<f64>,
    /// Weight decay of kernels and batch norms [default: --weight-decay]
    #[arg(long, value_name = "X", help_heading = "Training")]
    backbone_decay: Option<f64>,
    /// The same of the alignment
    #[arg(long, value_name = "X", help_heading = "Training")]
    alignment_decay: Option<f64>,
    /// The same of the gates
    #[arg(long, value_name = "X", help_heading = "Training")]
    gate_decay: Option<f64>,
    /// The same of the classifier
    #[arg(long, value_name = "X", help_heading = "Training")]
    head_decay: Option<f64>,
    /// Seed of everything that is drawn; the same seed gives the same bits [default: 1]
    #[arg(long, value_name = "N", help_heading = "Training")]
    seed: Option<u64>,

    /// Steps between two lines of metrics.jsonl [default: 1]
    #[arg(long, value_name = "STEPS", help_heading = "Record")]
    log_every: Option<u64>,
    /// Steps between two measurements of accuracy; 0 is once an epoch [default: 0]
    #[arg(long, value_name = "STEPS", help_heading = "Record")]
    validate_every: Option<u64>,
    /// Steps between two checkpoints [default: 100]
    #[arg(long, value_name = "STEPS", help_heading = "Record")]
    checkpoint_every: Option<u64>,
}

pub fn run(arguments: Arguments, threads: Option<u16>, output: &mut Output) -> Result {
    let Arguments { config, out, resume, settings, device, .. } = arguments;
    // Before a folder is made.
    let device = device.open()?;
    let run = match (resume, out) {
        (Some(folder), _) => Run::resume(folder)?,
        (None, Some(folder)) => {
            let flags = Table::try_from(&settings)
                .map_err(|error| Error::config("arguments", error.to_string()))?;
            Run::create(folder, Config::read(config.as_deref(), flags)?)?
        }
        // clap asks for one of them.
        (None, None) => return Err(Error::config("out", "is missing").into()),
    };
    let mut run = run.on(device);
    output::use_threads(threads.or(run.config().threads))?;
    if run.is_finished() {
        message(format!("the run in {} is finished; nothing to do", run.folder().display()));
        return if output.json { output.object(&run.finished()?) } else { Ok(()) };
    }
    let mut progress = Progress::new()?;
    let result = run.train(&mut progress);
    progress.finish();
    let summary = result?;
    // The run is finished, whatever becomes of its page.
    let page = report::write(run.folder());
    if let Err(error) = &page {
        message(format!("the page could not be made: {error}"));
    }
    if output.json {
        return output.object(&summary);
    }
    output.line(format!(
        "{}: {} parameters",
        run.model_file().display(),
        output::count(summary.parameters as u64)
    ))?;
    for (part, scores) in [("validation", &summary.validation), ("test", &summary.test)] {
        if let Some(scores) = scores {
            output.line(format!("{scores} on {} {part} samples", scores.samples))?;
        }
    }
    page.map_or(Ok(()), |page| output.line(format!("The page: {}", page.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command};

    #[test]
    fn every_key_is_a_flag_and_every_flag_a_key() {
        let command = Settings::augment_args(Command::new("train"));
        let mut flags: Vec<String> =
            command.get_arguments().map(|flag| flag.get_id().to_string()).collect();
        let mut keys = Config::keys();
        // One is an option of every command, the other names several keys.
        keys.retain(|key| key != "threads");
        flags.retain(|flag| flag != "preset");
        keys.sort();
        flags.sort();
        assert_eq!(flags, keys);
    }
}
