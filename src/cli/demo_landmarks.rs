//! `zoo-tuning demo landmarks`: the second job, on data that travel inside the program.

use super::compared::{Compared, written};
use super::output::{Output, Result};
use super::progress::catch_interrupts;
use crate::demo::landmarks::{self, Kind, Options, Outcome, differences};
use crate::{Error, compare::Difference};
use clap::Args;
use std::path::PathBuf;

/// Tune four small networks to find the points of a mouse in few frames, and compare that with what else
/// one could do
///
/// The networks were trained on drawn pictures with exact points. The target is 17 points in frames of a
/// mouse on a wheel, labelled by hand. Every network is tuned on the same frames for the same number of
/// steps; errors are distances in other frames, in per cent of the mouse's length, the two noses left
/// out, since the head is fixed. The result is a table, a page (OUT/report.html), its numbers
/// (OUT/results.json), and every network, as a run of its own. A demo that was stopped goes on if it is
/// asked for the same again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning demo landmarks                              three draws of 15 frames
  zoo-tuning demo landmarks --seeds 5 --frames 15,45     the whole table
  zoo-tuning predict mouse-demo/15-frames/seed-1/lite/model.safetensors \\
      mouse-demo/mouse/frames --draw drawn               what one of the networks finds")]
pub struct Arguments {
    /// Draws of frames
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Frames to tune on, 2 to 45, since 30 of 75 are measured on; several numbers with commas between
    /// them
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "15")]
    frames: Vec<usize>,
    /// Steps of every network
    #[arg(long, value_name = "N", default_value_t = landmarks::STEPS, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    steps: u64,
    /// Tune and measure on the 15 frames that settings were chosen on (--frames 10 at most)
    #[arg(long)]
    validate: bool,
    /// The highest learning rate from scratch, instead of the one that was chosen
    #[arg(long, value_name = "RATE")]
    scratch_rate: Option<f64>,
    /// That of networks with sources
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Where the page, its numbers and the networks go
    #[arg(long, value_name = "FOLDER", default_value = "mouse-demo")]
    out: PathBuf,
}

pub fn run(arguments: Arguments, threads: Option<u16>, output: &mut Output) -> Result {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        seeds: arguments.seeds,
        frames: arguments.frames,
        steps: arguments.steps,
        threads: threads.map_or_else(available, usize::from),
        validation: arguments.validate,
        rates: [arguments.scratch_rate, arguments.rate],
        out: arguments.out,
    };
    std::fs::create_dir_all(&options.out).map_err(Error::io("create", &options.out))?;
    catch_interrupts()?;
    let progress = Compared::new();
    let result = landmarks::run(&options, &progress);
    progress.finish();
    let outcome = result?;
    let path = written(&options.out, &outcome, landmarks::page)?;
    if output.json {
        return output.object(&outcome);
    }
    for &frames in &outcome.settings.frames {
        output.line(format!("{frames} frames, error in per cent of the mouse's length"))?;
        output.table(&table(&outcome, frames))?;
        output.line("")?;
    }
    output.line(format!("{:.0} s. The page: {}", outcome.seconds, path.display()))
}

fn table(outcome: &Outcome, frames: usize) -> Vec<Vec<String>> {
    let heads = ["method", "error %", "±", "less scratch", "less the best single", "tuning s"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for method in outcome.methods.iter().filter(|method| method.frames == frames) {
        let found = method.summary();
        let interval = |interval: Option<f64>| {
            interval.map_or(String::new(), |interval| format!("{:.2}", 100.0 * interval))
        };
        let less = |kind: Kind| {
            let other = outcome.method(kind, frames).filter(|other| other.kind != method.kind);
            other.map_or(String::new(), |other| {
                let Difference { mean, interval, .. } = differences(method, other);
                let interval = interval.map_or(String::new(), |i| format!(" ± {:.2}", 100.0 * i));
                format!("{:+.2}{interval}", 100.0 * mean)
            })
        };
        rows.push(vec![
            method.name.clone(),
            format!("{:.2}", 100.0 * found.mean),
            interval(found.interval),
            less(Kind::Scratch),
            less(Kind::Hindsight),
            format!("{:.1}", method.seconds),
        ]);
    }
    rows
}
