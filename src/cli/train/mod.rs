//! `train`: tunes a zoo to a target task.

mod settings;

use super::device::DeviceOption;
use super::output::{self, Output, Result, message};
use super::processes;
use super::profile::Profiling;
use super::progress::Progress;
use crate::Error;
use crate::processes::Group;
use crate::report;
use crate::train::choice::FormName;
use crate::train::config::TaskConfig;
use crate::train::{Config, Run};
use clap::Args;
pub(super) use settings::Settings;
use std::path::PathBuf;
use toml::Table;

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
Every option is also a key of the configuration file, in the table that its heading names, with _ \
for -; docs/configuration.md lists all of them. An option is over the file, and the file over the \
defaults. A preset is over what lies under the place where it is named.

Examples:

Tune four networks to 20 images of each class, see how it went, and make one plain network of it:
  zoo-tuning train --zoo data/zoo/*.safetensors --data data/digits/digits.csv.gz \\
      --shots 20 --epochs 40 --test 0.2 --out run
  zoo-tuning collapse run/model.safetensors plain.safetensors

Photographs in folders, as the paper trains, on a device too small for its batch of 48; go on after \
a break:
  zoo-tuning train --zoo resnet50.pth moco.pth.tar --data photos/ \\
      --preset paper --batch 12 --accumulate 4 --out run-2
  zoo-tuning train --resume run-2

End when nothing gets better, keep the best, and train that run for longer another day:
  zoo-tuning train --zoo zoo.toml --data photos/ --patience 5 --keep best --out run-5
  zoo-tuning train --resume run-5 --epochs 40 --patience 10

Only the classifier, the gates and the alignment, by AdamW, measured on averaged values and drawn \
in TensorBoard:
  zoo-tuning train --zoo zoo.toml --data photos/ --backbone-rate 0 --optimizer adamw \\
      --learning-rate 1e-3 --clip-norm 1 --average 0.999 --tensorboard --out run-3

Points in annotated pictures (docs/landmarks.md), from two networks of heat maps:
  zoo-tuning train --task landmarks --zoo a.safetensors b.safetensors --data mice/ --size 96 \\
      --optimizer adam --lr 3e-3 --normalizer nose,tail --test 0.3 --out run-6

The same by four processes, on one machine or several that share the folder (docs/processes.md; a program \
built with --features mpi):
  mpirun -n 4 --bind-to none zoo-tuning train --resume run-2

The same run from its file, with another form and seed:
  zoo-tuning train --config run/config.toml --form zoo --seed 2 --out run-4"
)]
pub struct Arguments {
    /// A configuration in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder to record the run in; new or empty
    #[arg(long, value_name = "FOLDER", required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; with --epochs, --steps, --patience or --time-limit, for
    /// longer, a finished one too
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "out"])]
    resume: Option<PathBuf>,
    /// Go on though the data are not what they were when the run began. What changed is recorded, and
    /// what follows is no longer what the run would have been
    #[arg(long, requires = "resume")]
    accept_changed_data: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

impl Arguments {
    /// For an agent in the environment of that name: with its usual preset, unless one is named.
    ///
    /// # Errors
    /// If there is no such environment.
    pub fn act_in(&mut self, environment: String) -> crate::Result<()> {
        self.settings.act_in(environment, self.config.is_none())
    }
}

pub fn run(arguments: Arguments, threads: Option<u16>, output: &mut Output) -> Result {
    let group = processes::group()?;
    let train = |output: &mut Output| train(arguments, threads, group.clone(), output);
    processes::shared(group.as_ref(), output, train)
}

/// Trains; with others, if this process has a group.
fn train(
    arguments: Arguments,
    threads: Option<u16>,
    group: Option<Group>,
    output: &mut Output,
) -> Result {
    let Arguments { config, out, resume, accept_changed_data, settings, device, .. } = arguments;
    // Before a folder is made.
    let device = device.open()?;
    let flags = Table::try_from(&settings)
        .map_err(|error| Error::config("arguments", error.to_string()))?;
    let run = match (resume, out, group) {
        (Some(folder), _, None) => Run::resume(folder)?.extended(flags)?,
        (Some(folder), _, Some(group)) => Run::together(group, folder, None)?.extended(flags)?,
        (None, Some(folder), group) => {
            let config = Config::read(config.as_deref(), flags)?;
            match group {
                Some(group) => Run::together(group, folder, Some(config))?,
                None => Run::create(folder, config)?,
            }
        }
        // clap asks for one of them.
        (None, None, _) => return Err(Error::config("out", "is missing").into()),
    };
    let run = if accept_changed_data { run.accepting_changed_data() } else { run };
    let mut run = run.on(device);
    output::use_threads(threads.or(run.config().threads).or_else(processes::threads))?;
    let has_ended = run.has_ended()?;
    if has_ended && !run.records() {
        return Ok(());
    }
    if has_ended {
        message(format!("the run in {} is finished; nothing to do", run.folder().display()));
        return if output.json { output.object(&run.finished()?) } else { Ok(()) };
    }
    if !run.records() {
        run.train(&mut ())?;
        return Ok(());
    }
    let mut progress = Progress::new()?;
    let result = match run.config().task {
        // Inside of the pool: work that is handed over to it waits for a thread to wake up, which takes
        // longer than most operations of a small network. A loader waits for the pool, so it stays outside.
        TaskConfig::Reinforcement(_) => rayon::scope(|_| run.train(&mut progress)),
        TaskConfig::Classification(_) | TaskConfig::Landmarks(_) => run.train(&mut progress),
    };
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
            let samples = run.config().task.samples();
            output.line(format!("{scores} on {} {part} {samples}", scores.samples))?;
        }
    }
    if let Some(key) = &summary.stopped_by {
        let flag = Config::flag(&format!("optimizer.{key}"));
        output.line(format!("Ended after step {} by {flag}", summary.steps))?;
    }
    if let Some(best) = &summary.best {
        let test = best.test.as_ref().map_or(String::new(), |test| format!("; {test} in the test"));
        output.line(format!("The best was after step {}: {}{test}", best.step, best.validation))?;
    }
    page.map_or(Ok(()), |page| output.line(format!("The page: {}", page.display())))?;
    output.line(next(&run))
}

/// What to do with what a run has left.
fn next(run: &Run) -> String {
    let (method, model) = (&run.config().method, run.model_file());
    let model = model.display();
    if let TaskConfig::Reinforcement(_) = run.config().task {
        return format!("Next, watch it: zoo-tuning rl play {model}");
    }
    match method.form {
        FormName::Lite if !method.shortcuts_per_sample => {
            format!("Next, one plain network of it: zoo-tuning collapse {model} plain.safetensors")
        }
        _ => format!("Next, ask it: zoo-tuning predict {model} IMAGE"),
    }
}
