//! `zoo-tuning demo`: the main job, on data that travel inside the program.

use super::compared::{Compared, written};
use super::device::DeviceOption;
use super::output::{Output, Result, count};
use super::profile::Profiling;
use super::progress::catch_interrupts;
use super::{demo_games, demo_landmarks};
use crate::Error;
use crate::compare::MethodKind;
use crate::demo::{self, Options, Outcome, Part};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Tune a zoo of four small networks to few digits, and compare it with what else one could do
///
/// Four networks were trained on MNIST, each with its images in one condition. The target is a few
/// digits of another data set, each in one of the conditions at random. Every method gets the
/// same labelled images and the same number of steps; accuracy is measured on all others. The
/// data are inside of this program, which writes them to OUT/zoo and OUT/digits. The result is a table,
/// a page (OUT/report.html), its numbers (OUT/results.json), and every network, as a run of the
/// comparison in OUT/compared. What an earlier demo has left there is replaced.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  zoo-tuning demo                        the whole comparison, in about a minute
  zoo-tuning demo --shots 40             with twice as many labelled images of each class
  zoo-tuning demo --seeds 1 --epochs 5   a first look, in seconds
  zoo-tuning demo landmarks              the same for points of a mouse
  zoo-tuning demo games                  the same for agents in new games
  zoo-tuning inspect zoo-demo/compared/seed-1/*/model.safetensors   what the networks are that it
                                         tuned"
)]
pub struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Runs of every method, each with its own draw of labelled images
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Labelled images of each class
    #[arg(long, value_name = "N", default_value_t = 20)]
    shots: usize,
    /// Passes over the labelled images
    #[arg(long, value_name = "N", default_value_t = 30)]
    epochs: usize,
    /// Tune and measure on the samples that the demo's settings were chosen on, which the demo
    /// itself never uses
    #[arg(long)]
    validate: bool,
    /// The highest learning rate of every network [default: for each kind of network the one
    /// that was chosen on the validation samples]
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// A folder with zoo/CONDITION.safetensors and digits/digits.csv.gz, instead of the data
    /// inside of this program
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Where the page, its numbers and the networks go
    #[arg(long, value_name = "FOLDER", default_value = "zoo-demo")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

/// Another job.
#[derive(Subcommand)]
enum Other {
    Landmarks(Box<demo_landmarks::Arguments>),
    Games(Box<demo_games::Arguments>),
}

pub fn run(arguments: Arguments, threads: Option<u16>, output: &mut Output) -> Result {
    match arguments.other {
        Some(Other::Landmarks(arguments)) => {
            return demo_landmarks::run(*arguments, threads, output);
        }
        Some(Other::Games(arguments)) => return demo_games::run(*arguments, threads, output),
        None => {}
    }
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        seeds: arguments.seeds,
        shots: arguments.shots,
        epochs: arguments.epochs,
        threads: threads.map_or_else(available, usize::from),
        part: if arguments.validate { Part::Validation } else { Part::Demo },
        rate: arguments.rate,
        data: arguments.data,
        out: arguments.out,
        device: arguments.device.open()?,
    };
    std::fs::create_dir_all(&options.out).map_err(Error::io("create", &options.out))?;
    catch_interrupts()?;
    let progress = Compared::new();
    let result = demo::run(&options, &progress);
    progress.finish();
    let outcome = result?;
    let page_path = written(&options.out, &outcome, demo::page)?;
    if output.json {
        return output.object(&outcome);
    }
    output.table(&table(&outcome))?;
    output.line("")?;
    output.line(verdict(&outcome))?;
    output.line(format!(
        "The collapsed network, read back from its file, computes what the lite one does: {}.",
        if outcome.collapse_error == 0.0 {
            "the logits are equal to the last bit".to_owned()
        } else {
            format!(
                "the largest difference of a logit is {:.1e} of the largest logit",
                outcome.collapse_error
            )
        }
    ))?;
    output.line(format!("{:.0} s. The page: {}", outcome.seconds, page_path.display()))
}

fn table(outcome: &Outcome) -> Vec<Vec<String>> {
    let head =
        ["method", "accuracy %", "±", "parameters", "multiply-adds", "training s", "file kB"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for method in &outcome.methods {
        rows.push(vec![
            method.name.clone(),
            format!("{:.1}", 100.0 * method.mean),
            format!("{:.1}", 100.0 * method.std),
            count(method.parameters),
            count(method.multiply_adds),
            format!("{:.1}", method.seconds),
            count(method.bytes.div_ceil(1000)),
        ]);
    }
    rows
}

/// The result in a sentence.
fn verdict(outcome: &Outcome) -> String {
    let of = |kind| outcome.methods.iter().find(|m| m.kind == kind);
    let percent = |kind| of(kind).map_or(f64::NAN, |m| 100.0 * m.mean);
    let singles: Vec<f64> = outcome
        .methods
        .iter()
        .filter(|m| m.kind == MethodKind::Single)
        .map(|m| 100.0 * m.mean)
        .collect();
    let seeds = outcome.settings.seeds.len();
    let interval = of(MethodKind::Routed)
        .and_then(|m| m.interval)
        .map_or(String::new(), |i| format!(" (95 % interval ± {:.1})", 100.0 * i));
    format!(
        "The routed zoo: {:.1} %{interval}; Zoo-Tuning {:.1} %, lite {:.1} %; from scratch {:.1} %, a \
         single source {:.1} % on average, {:.1} % for the one that scores best before tuning, and \
         {:.1} % for the best one, known only after tuning all. \
         {seeds} seed{}, {} labelled images of each class, {} test images.",
        percent(MethodKind::Routed),
        percent(MethodKind::Zoo),
        percent(MethodKind::Lite),
        percent(MethodKind::Scratch),
        singles.iter().sum::<f64>() / singles.len().max(1) as f64,
        percent(MethodKind::Chosen),
        percent(MethodKind::Hindsight),
        if seeds == 1 { "" } else { "s" },
        outcome.settings.shots,
        outcome.settings.test_samples,
    )
}
