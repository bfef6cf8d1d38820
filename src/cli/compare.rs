//! `compare`: is a zoo better than the best of its sources, on this data?

use super::compared::Compared;
use super::device::DeviceOption;
use super::output::{Output, Result, count, message};
use super::progress::catch_interrupts;
use super::train::Settings;
use crate::compare::{Budget, Comparison, MethodKind, Outcome, Plan, Score, paired};
use crate::export::write_atomically;
use crate::train::Config;
use crate::{Error, report};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use toml::{Table, Value};

/// What a comparison that goes on has in its folder already.
const NEW: [&str; 12] = [
    "config",
    "out",
    "seeds",
    "methods",
    "rates",
    "budget",
    "Settings",
    "Method",
    "Optimizer",
    "Data",
    "Task",
    "Record",
];

/// Compare a zoo with what else can be made of its sources, on your data.
///
/// With each seed, all methods get the same training images and the same settings, and are measured
/// on the same test images: from scratch; each source alone; the best by score with a linear probe
/// first, with L2-SP, with DELTA, as a greedy soup, distilled from all; their plain and their matched
/// average; Zoo-Tuning, and its lite form. From these follow the single source that one would choose
/// by its score, the best one by hindsight, the ensemble, and the collapsed network. The result is a
/// table with 95 % intervals and differences paired by seed, a page (OUT/report.html) and its numbers
/// (OUT/results.json), with the scores of the sources before tuning and how well each foretold what
/// came of it; each network is a run of its own, as train makes it. A comparison that was stopped,
/// even by kill -9, goes on with --resume and ends with the same bits.
#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:

Which is best on these digits? Eight seeds, two networks at a time:
  zoo-tuning compare --zoo data/zoo/*.safetensors --data data/digits/digits.csv.gz \\
      --shots 20 --epochs 30 --seeds 8 --jobs 2 --out digits

Only what matters most for photographs:
  zoo-tuning compare --zoo resnet50.pth moco.pth --data photos/ --preset released \\
      --methods single,zoo,lite --seeds 3 --out photos-compared
  zoo-tuning compare --resume photos-compared

As much as half an hour allows, each method at the better one of two learning rates:
  zoo-tuning compare --zoo models/*.pth --data photos/ --rates 0.003,0.01 --budget 30m \\
      --out half-an-hour"
)]
pub struct Arguments {
    /// A configuration in TOML, as of train
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for all of it; new or empty
    #[arg(long, value_name = "FOLDER", required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the comparison in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = NEW)]
    resume: Option<PathBuf>,
    /// How many seeds, counted from --seed
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// What is tuned [default: all]
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Plan::TUNED.map(MethodKind::name)))]
    methods: Option<Vec<String>>,
    /// Tune every method at each of these learning rates; of each run, the one counts that is best on
    /// the validation samples
    #[arg(long, value_name = "X", value_delimiter = ',', conflicts_with = "learning_rate")]
    rates: Vec<f64>,
    /// About how long all of it may take, such as 30m: the time of the first network decides how many
    /// seeds and then how many methods there are
    #[arg(long, value_name = "TIME")]
    budget: Option<String>,
    /// Networks that are tuned side by side: faster where networks are small, for the memory of as
    /// many; where there is no room for one more, it waits until another is finished
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Go on though the data are not what they were when a run began; it says so
    #[arg(long, requires = "resume")]
    accept_changed_data: bool,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    settings: Settings,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let Arguments { config, out, resume, seeds, methods, rates, budget, jobs, settings, .. } =
        arguments;
    let device = arguments.device.open()?;
    let mut comparison = match (resume, out) {
        (Some(folder), _) => Comparison::resume(folder)?,
        (None, Some(folder)) => {
            let config = configured(config, &settings)?;
            let is_chosen = |kind: &MethodKind| match &methods {
                Some(names) => names.iter().any(|name| name == kind.name()),
                // There is nothing to choose its ingredients by.
                None => *kind != MethodKind::Soup || config.data.validation > 0.0,
            };
            let methods = Plan::TUNED.into_iter().filter(is_chosen).collect();
            let budget = budget.map(|time| Budget { time, left_out: None });
            Comparison::create(
                folder,
                Plan { seeds, methods, rates, budget, config, ..Plan::default() },
            )?
        }
        // clap asks for one of them.
        (None, None) => return Err(Error::config("out", "is missing").into()),
    };
    comparison = comparison.on(device);
    if arguments.accept_changed_data {
        comparison = comparison.accepting_changed_data();
    }
    catch_interrupts()?;
    let progress = Compared::new();
    let found = comparison.run(jobs.into(), rayon::current_num_threads(), &progress);
    progress.finish();
    let outcome = found?;
    for folder in outcome.folders() {
        // The results are there, whatever becomes of a run's page.
        if let Err(error) = report::write(comparison.folder().join(&folder)) {
            message(format!("the page of {folder} could not be made: {error}"));
        }
    }
    let page = report::comparison(&outcome)?;
    let path = comparison.folder().join("report.html");
    write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
    if output.json {
        return output.object(&outcome);
    }
    output.table(&table(&outcome))?;
    output.line(verdict(&outcome))?;
    if let Some(foretold) = foretold(&outcome) {
        output.line(foretold)?;
    }
    if let Some(left_out) = outcome.left_out() {
        output.line(format!("Left out for the budget of time: {left_out}."))?;
    }
    output.line(format!("The page: {}", path.display()))
}

/// The configuration that all methods have in common; a quarter of the samples is tested on, where
/// nothing else is said.
fn configured(file: Option<PathBuf>, settings: &Settings) -> crate::Result<Config> {
    let flags =
        Table::try_from(settings).map_err(|error| Error::config("arguments", error.to_string()))?;
    let method = flags.get("method").and_then(Value::as_table);
    if method.is_some_and(|method| method.contains_key("form")) {
        let problem = "is what is compared here: choose several by --methods";
        return Err(Error::config("--form", problem));
    }
    let mut config = Config::read(file.as_deref(), flags)?;
    if config.data.test == 0.0 {
        const SHARE: f64 = 0.25;
        message(format!("{} % of the samples are tested on (--test)", 100.0 * SHARE));
        config.data.test = SHARE;
    }
    Ok(config)
}

fn table(outcome: &Outcome) -> Vec<Vec<String>> {
    let reference = outcome.reference();
    let against = reference.map_or(String::new(), |method| format!("less {}", method.name));
    let head = ["method", "accuracy %", "95 %", &against, "95 %", "parameters", "training s"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let interval =
        |found: Option<f64>| found.map_or(String::new(), |i| format!("± {:.1}", 100.0 * i));
    for method in &outcome.methods {
        let difference = reference.and_then(|reference| paired(&method.runs, &reference.runs));
        let shown = difference.filter(|_| reference.is_some_and(|r| r.kind != method.kind));
        rows.push(vec![
            method.name.clone(),
            format!("{:.1}", 100.0 * method.mean),
            interval(method.interval),
            shown.as_ref().map_or(String::new(), |d| format!("{:+.1}", 100.0 * d.mean)),
            interval(shown.and_then(|difference| difference.interval)),
            count(method.parameters),
            format!("{:.1}", method.seconds),
        ]);
    }
    rows
}

/// The answer in a sentence.
fn verdict(outcome: &Outcome) -> String {
    use crate::compare::Verdict::{Ahead, Behind, Unclear};
    let count = outcome.plan.seeds;
    let seeds = format!("{count} seed{}", if count == 1 { "" } else { "s" });
    let Some(reference) = outcome.reference() else { return format!("{seeds}.") };
    let said =
        [MethodKind::Routed, MethodKind::Zoo, MethodKind::Lite].into_iter().filter_map(|kind| {
            let method = outcome.methods.iter().find(|method| method.kind == kind)?;
            let difference = paired(&method.runs, &reference.runs)?;
            let points = format!("{:+.1} points", 100.0 * difference.mean);
            Some(match (difference.interval, difference.verdict()) {
                (None, _) => format!("{}: {points}, of one seed", method.name),
                (_, Ahead) => format!("{} is better ({points})", method.name),
                (_, Behind) => format!("{} is worse ({points})", method.name),
                (_, Unclear) => format!("{}: no clear difference ({points})", method.name),
            })
        });
    let said: Vec<String> = said.collect();
    format!("Against {}, over {seeds}: {}.", reference.name, said.join("; "))
}

/// How well the scores of the sources foretold what came of them.
fn foretold(outcome: &Outcome) -> Option<String> {
    let of = |score: &Score| Some(format!("{} {:+.2}", score.name, score.rank_correlation?));
    let found: Vec<String> = outcome.scores.iter().filter_map(of).collect();
    let text = "Rank correlation of scores before tuning with accuracy after, over the sources";
    (!found.is_empty()).then(|| format!("{text}: {}.", found.join(", ")))
}
