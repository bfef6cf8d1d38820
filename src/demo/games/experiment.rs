//! The demo of games: every way of coming to an agent, in the same games.

use super::data::{self, SETTING, SOURCES, TARGETS};
use super::outcome::{Kind, Method, Outcome, Settings};
use crate::compare::{Seen, Watch, work};
use crate::report::animation;
use crate::tensor::Tensor;
use crate::train::choice::{FormName, Start};
use crate::train::observe;
use crate::train::task::ReinforcementConfig;
use crate::train::task::reinforcement::{Episode, Player, Returns, random_states};
use crate::train::{Config, Model, Recorded, Run, logits};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toml::Table;

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs of every way.
    pub seeds: u64,
    /// Games to learn; those of the table if there is none.
    pub games: Vec<String>,
    /// Steps in the game, of every way.
    pub steps: u64,
    /// Agents that learn at the same time, each on a thread of its own.
    pub threads: usize,
    /// Whether to learn the game that settings were chosen on instead.
    pub validation: bool,
    /// The learning rates instead of the chosen ones: from scratch, and of what has sources.
    pub rates: [Option<f64>; 2],
    /// The folder that everything is written to.
    pub out: PathBuf,
}

/// Steps of every way, unless said otherwise.
pub const STEPS: u64 = 12_000;
/// The learning rates, chosen on the setting game: from scratch, and of what has sources.
const RATES: [f64; 2] = [2e-3, 1e-3];
/// Episodes of a measurement while an agent learns, and at the end.
const EPISODES: [usize; 2] = [8, 50];
/// Steps after which an episode is cut.
const LONGEST: u64 = 300;
/// Measurements while it learns.
const MEASUREMENTS: u64 = 10;

/// An agent that learns.
#[derive(Clone, Debug)]
struct Job {
    kind: Kind,
    source: Option<usize>,
    game: String,
    seed: u64,
    folder: PathBuf,
    config: Config,
}

/// What came of a job.
struct Tuned {
    job: Job,
    model: Model,
    /// Mean and interquartile mean of the returns at the end.
    found: [f64; 2],
    curve: Vec<(u64, f64)>,
    seconds: f64,
}

/// Runs the demo: see [`Outcome`] for what it measures. A demo that was stopped goes on in its folder.
///
/// Results do not depend on the number of threads; only times do.
///
/// # Errors
/// If a file cannot be read or written, an option leaves nothing to do, the folder holds agents of other
/// settings, or `watch` says so.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Outcome> {
    let begun = Instant::now();
    if options.seeds == 0 {
        return Err(Error::config("seeds", "there should be one at least"));
    }
    let games: Vec<String> = match (&options.games[..], options.validation) {
        ([], true) => vec![SETTING.to_owned()],
        ([], false) => TARGETS.map(str::to_owned).to_vec(),
        (games, _) => games.to_vec(),
    };
    for (at, game) in games.iter().enumerate() {
        // Before a folder has its name.
        played(game).open_environment()?;
        if games[..at].contains(game) {
            return Err(Error::config("games", format!("{game} is named twice")));
        }
    }
    let sources = data::sources(&options.out)?;
    let mut jobs = Vec::new();
    for game in &games {
        for seed in 1..=options.seeds {
            for (kind, source) in ways() {
                jobs.push(job(options, &sources, game, seed, kind, source)?);
            }
        }
    }
    watch.begin(jobs.len());
    let tuned = work(&jobs, options.threads, 1, |job| tuned(job, watch))?;
    let mut methods = Vec::new();
    for game in &games {
        methods.extend(of_game(game, options, &tuned)?);
    }
    let first = |kind| {
        let missing = || Error::config("demo", "an agent is missing");
        tuned.iter().find(|tuned| tuned.job.kind == kind).ok_or_else(missing)
    };
    let (zoo, lite) = (first(Kind::Zoo)?, first(Kind::Lite)?);
    let states = states(&zoo.job)?;
    let plain = collapsed(lite)?;
    let values = logits(&lite.model.network, &states, states.shape()[0])?;
    let of_plain = logits(&plain.network, &states, states.shape()[0])?;
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: Settings {
            seeds: (1..=options.seeds).collect(),
            games,
            steps: options.steps,
            episodes: EPISODES[1],
            rates: [0, 1].map(|at| options.rates[at].unwrap_or(RATES[at])),
        },
        methods,
        sources: Recorded::read(&lite.job.folder)?.observations.sources,
        gates: observe::gates(&zoo.model.network, &states)?,
        collapse_error: values.relative_difference(&of_plain)?,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// A game as it is played here.
fn played(game: &str) -> ReinforcementConfig {
    let (environment, longest) = (game.to_owned(), Some(LONGEST));
    ReinforcementConfig { environment, longest, ..ReinforcementConfig::default() }
}

/// All ways that learn, in the order of the table.
fn ways() -> impl Iterator<Item = (Kind, Option<usize>)> {
    let singles = (0..SOURCES.len()).map(|source| (Kind::Single, Some(source)));
    let others = [Kind::Average, Kind::Zoo, Kind::Lite].map(|kind| (kind, None));
    [(Kind::Scratch, None)].into_iter().chain(singles).chain(others)
}

fn job(
    options: &Options,
    sources: &[PathBuf],
    game: &str,
    seed: u64,
    kind: Kind,
    source: Option<usize>,
) -> Result<Job> {
    // A quarter of the steps until nearly all actions are the network's.
    let steps = options.steps;
    let text = format!(
        "preset = 'minatar'\nseed = {seed}\n[task]\nenvironment = '{game}'\ntotal_steps = {steps}\n\
         learning_starts = {}\nepsilon_steps = {}\nepisodes = {}\ntest_episodes = {}\n\
         train_every = 2\ntarget_every = 500\nlongest = {LONGEST}\n\
         [optimizer]\nschedule = 'cosine'\nepochs = {MEASUREMENTS}\n[record]\nkeep = 'last'\ncheckpoint_every = {steps}\n",
        (steps / 12).max(100),
        steps / 4,
        EPISODES[0],
        EPISODES[1],
    );
    let mut flags: Table = text.parse().map_err(|error: toml::de::Error| {
        Error::config("games", format!("{game:?}: {}", error.message()))
    })?;
    // Checked with the sources, below.
    flags.insert(
        "method".to_owned(),
        Table::from_iter([("form".to_owned(), "scratch".into())]).into(),
    );
    let mut config = Config::layered("", Table::new(), flags)?;
    let method = &mut config.method;
    method.zoo = match source {
        Some(source) => vec![sources[source].clone()],
        None if kind == Kind::Scratch => vec![],
        None => sources.to_vec(),
    };
    (method.form, method.start) = match kind {
        Kind::Single => (FormName::Single, Start::Plain),
        Kind::Average => (FormName::Average, Start::Plain),
        Kind::Zoo => (FormName::Zoo, Start::Matched),
        Kind::Lite => (FormName::Lite, Start::Matched),
        _ => (FormName::Scratch, Start::Plain),
    };
    let at = usize::from(kind != Kind::Scratch);
    config.optimizer.learning_rate = options.rates[at].unwrap_or(RATES[at]);
    let name = match source {
        Some(source) => format!("single-{}", SOURCES[source]),
        None => format!("{kind:?}").to_lowercase(),
    };
    let folder = options.out.join(format!("{game}/seed-{seed}/{name}"));
    Ok(Job { kind, source, game: game.to_owned(), seed, folder, config })
}

/// The run of a job, brought to its end.
fn tuned(job: &Job, watch: &dyn Watch) -> Result<Tuned> {
    job.config.check()?;
    let mut run = Run::resume_or_create(&job.folder, job.config.clone())?;
    // A run that has begun has its length written out, so that its optimizer is not compared as a whole.
    let (own, wanted) = (run.config(), &job.config);
    let rates = [own, wanted].map(|config| config.optimizer.learning_rate);
    if rates[0] != rates[1] || own.task != wanted.task {
        let folder = job.folder.display();
        let problem = format!("{folder} holds a run of other settings; choose another folder");
        return Err(Error::config("out", problem));
    }
    let name = job.folder.display().to_string();
    if !run.is_finished() {
        run.train(&mut Seen::new(&name, watch))?;
    }
    let Recorded { summary, metrics, .. } = Recorded::read(&job.folder)?;
    let summary = summary.ok_or_else(|| Error::format(&job.folder, "its summary is gone"))?;
    watch.finished(&name, summary.test.as_ref());
    let curve = metrics.iter().filter_map(|line| {
        Some((line.measured.as_ref()?.at, line.validation.as_ref()?.get("return")?))
    });
    let curve = curve.collect();
    let of_test = |name| summary.test.as_ref().and_then(|scores| scores.get(name));
    let missing = || Error::format(&job.folder, "it measured no episodes");
    let found = [of_test("return").ok_or_else(missing)?, of_test("IQM").ok_or_else(missing)?];
    let model = Model::open(run.model_file(), None)?;
    Ok(Tuned { job: job.clone(), model, found, curve, seconds: summary.seconds })
}

fn found(episodes: &[Episode]) -> [f64; 2] {
    let Returns { mean, interquartile_mean, .. } = Returns::of(episodes);
    [mean, interquartile_mean]
}

/// Every way in one game, in the order of the table.
fn of_game(game: &str, options: &Options, tuned: &[Tuned]) -> Result<Vec<Method>> {
    let settings = played(game);
    let mut methods = Vec::new();
    let mut add = |kind, name: String, found: Vec<[f64; 2]>, curves, seconds| {
        let [means, interquartile_means] =
            [0, 1].map(|at| found.iter().map(|found| found[at]).collect());
        let game = game.to_owned();
        methods.push(Method { kind, name, game, means, interquartile_means, curves, seconds });
    };
    let random = |seed| Ok(found(&settings.random_episodes(EPISODES[1], seed)?));
    let random = (1..=options.seeds).map(random).collect::<Result<_>>()?;
    add(Kind::Random, "random actions".to_owned(), random, vec![], 0.0);
    let mut singles: Vec<Vec<[f64; 2]>> = vec![];
    for (kind, source) in ways() {
        let of_way =
            |t: &&Tuned| (t.job.game.as_str(), t.job.kind, t.job.source) == (game, kind, source);
        let runs: Vec<&Tuned> = tuned.iter().filter(of_way).collect();
        let name = match (kind, source) {
            (Kind::Single, Some(source)) => format!("single: {}", SOURCES[source]),
            (Kind::Average, _) => "average".to_owned(),
            (Kind::Zoo, _) => "Zoo-Tuning".to_owned(),
            (Kind::Lite, _) => "lite Zoo-Tuning".to_owned(),
            _ => "from scratch".to_owned(),
        };
        let of_runs: Vec<[f64; 2]> = runs.iter().map(|run| run.found).collect();
        if kind == Kind::Single {
            singles.push(of_runs.clone());
        }
        let curves = runs.iter().map(|run| run.curve.clone()).collect();
        let seconds = runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len().max(1) as f64;
        add(kind, name, of_runs, curves, seconds);
        if kind == Kind::Lite {
            let plain = runs.iter().map(|run| of_collapsed(run)).collect::<Result<_>>()?;
            add(Kind::Collapsed, "lite, collapsed".to_owned(), plain, vec![], seconds);
        }
    }
    // Seed by seed, what one may expect who picks a source at random.
    let mean = |seed: usize| {
        [0, 1].map(|at| singles.iter().map(|s| s[seed][at]).sum::<f64>() / singles.len() as f64)
    };
    let mean = (0..options.seeds as usize).map(mean).collect();
    add(Kind::MeanSingle, "mean of the singles".to_owned(), mean, vec![], 0.0);
    let by_mean = |a: &&Method, b: &&Method| a.summary().mean.total_cmp(&b.summary().mean);
    let best = methods.iter().filter(|method| method.kind == Kind::Single).max_by(by_mean);
    let best = best.map(|best| Method {
        kind: Kind::Hindsight,
        name: "best single (hindsight)".to_owned(),
        ..best.clone()
    });
    methods.extend(best);
    methods.sort_by_key(|method| method.kind);
    Ok(methods)
}

/// What the plain network of a lite one comes to in the episodes that the lite one was measured on.
fn of_collapsed(lite: &Tuned) -> Result<[f64; 2]> {
    let model = collapsed(lite)?;
    let settings = model.agent()?;
    let settings = settings.ok_or_else(|| Error::format(&model.origin, "is no agent"))?;
    let epsilon = settings.test_epsilon;
    let player = Player::new(&model, settings)?;
    Ok(found(&player.episodes(EPISODES[1], epsilon, lite.job.seed, |_| Ok(()))?))
}

/// The plain network of a lite one, read back from its file.
fn collapsed(lite: &Tuned) -> Result<Model> {
    let file = lite.job.folder.join("collapsed.safetensors");
    lite.model.collapsed()?.write(&file)?;
    Model::open(&file, None)
}

/// States of a random policy in the game of a job, `[N, C, H, W]`.
fn states(job: &Job) -> Result<Tensor<f32>> {
    random_states(&played(&job.game), job.seed, 64)
}

/// An episode of the first lite agent of each game, as GIFs that a page can show.
///
/// # Errors
/// If an agent cannot be opened, or its environment fails.
pub fn episodes(outcome: &Outcome, out: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    /// Steps that are shown.
    const SHOWN: u64 = 150;
    let of_game = |game: &String| {
        let model = Model::open(out.join(format!("{game}/seed-1/lite/model.safetensors")), None)?;
        let settings = model.agent()?;
        let settings = settings.ok_or_else(|| Error::format(&model.origin, "is no agent"))?;
        let player = Player::new(&model, settings)?;
        let pause = Duration::from_millis(80);
        let (gif, _) = animation::episode(&player, 1, SHOWN, pause, &|| false)?;
        Ok((game.clone(), gif))
    };
    outcome.settings.games.iter().map(of_game).collect()
}
