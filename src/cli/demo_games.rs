//! `zoo-tuning demo games`: the third job, on agents that travel inside the program.

use super::compared::{Compared, written};
use super::output::{Output, Result};
use super::progress::catch_interrupts;
use crate::demo::games::{self, Kind, Method, Options, Outcome, differences};
use crate::{Error, compare::Difference};
use clap::Args;
use std::path::PathBuf;

/// Tune three agents, each of which knows a game, to one that none of them knows, and compare that with
/// what else one could do
///
/// The games are native ones, with one observation and one set of actions (`zoo-tuning rl games`). Every
/// way gets the same number of steps in the new game. The result is a table, a page (OUT/report.html) with
/// return curves and an episode of the lite agent, its numbers (OUT/results.json), and every agent, as a run
/// of its own. A demo that was stopped goes on if it is asked for the same again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning demo games                            three seeds of a game
  zoo-tuning demo games --seeds 10 --steps 200000  more of it
  zoo-tuning rl play games-demo/dive/seed-1/lite/model.safetensors    one of the agents at play")]
pub struct Arguments {
    /// Runs of every way
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The games to learn, with commas between them [default: dive]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    games: Vec<String>,
    /// Steps in the game of every way
    #[arg(long, value_name = "N", default_value_t = games::STEPS, value_parser = clap::value_parser!(u64).range(1000..=1_000_000_000))]
    steps: u64,
    /// Learn the game that the demo's settings were chosen on, which its table never uses
    #[arg(long, conflicts_with = "games")]
    validate: bool,
    /// The learning rate of agents from scratch [default: the one that was chosen]
    #[arg(long, value_name = "RATE")]
    scratch_rate: Option<f64>,
    /// The learning rate of agents that have sources [default: the one that was chosen]
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Where the page, its numbers and the agents go
    #[arg(long, value_name = "FOLDER", default_value = "games-demo")]
    out: PathBuf,
}

pub fn run(arguments: Arguments, threads: Option<u16>, output: &mut Output) -> Result {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        seeds: arguments.seeds,
        games: arguments.games,
        steps: arguments.steps,
        threads: threads.map_or_else(available, usize::from),
        validation: arguments.validate,
        rates: [arguments.scratch_rate, arguments.rate],
        out: arguments.out,
    };
    std::fs::create_dir_all(&options.out).map_err(Error::io("create", &options.out))?;
    catch_interrupts()?;
    let progress = Compared::new();
    let result = games::run(&options, &progress);
    progress.finish();
    let outcome = result?;
    let page = |outcome: &Outcome| games::page(outcome, &games::episodes(outcome, &options.out)?);
    let path = written(&options.out, &outcome, page)?;
    if output.json {
        return output.object(&outcome);
    }
    for game in &outcome.settings.games {
        output.line(format!("{game}, {} steps", outcome.settings.steps))?;
        output.table(&table(&outcome, game))?;
        output.line("")?;
    }
    output.line(format!("{:.0} s. The page: {}", outcome.seconds, path.display()))
}

fn table(outcome: &Outcome, game: &str) -> Vec<Vec<String>> {
    let heads = [
        "method",
        "mean return",
        "±",
        "interquartile mean",
        "less scratch",
        "less the mean single",
        "s",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for method in outcome.methods.iter().filter(|method| method.game == game) {
        let found = method.summary();
        let less = |kind: Kind| {
            let other = outcome.method(kind, game).filter(|other| other.kind != method.kind);
            other.map_or(String::new(), |other: &Method| {
                let Difference { mean, interval, .. } = differences(method, other);
                let interval = interval.map_or(String::new(), |i| format!(" ± {i:.2}"));
                format!("{mean:+.2}{interval}")
            })
        };
        rows.push(vec![
            method.name.clone(),
            format!("{:.2}", found.mean),
            found.interval.map_or(String::new(), |interval| format!("{interval:.2}")),
            format!("{:.2}", method.interquartile_mean()),
            less(Kind::Scratch),
            less(Kind::MeanSingle),
            format!("{:.1}", method.seconds),
        ]);
    }
    rows
}
