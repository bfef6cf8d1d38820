//! The demo of landmarks: every way of coming to a network, on the same frames.

use super::data::{Data, Split, told};
use super::outcome::{Kind, Method, Outcome, Settings};
use crate::compare::{Seen, Watch, work};
use crate::dataset::landmarks::{Annotations, Crops, Point};
use crate::dataset::{Loader, Views};
use crate::nn::Network;
use crate::start::best;
use crate::train::choice::{FormName, Keep, RuleName, Start};
use crate::train::config::TaskConfig;
use crate::train::observe::{self, Source};
use crate::train::task::LandmarksConfig;
use crate::train::task::landmarks::{
    LandmarkEvaluation, LandmarkMeasures, PointEvaluation, Scheme, distance, evaluate_landmarks,
    loader,
};
use crate::train::{Config, Model, Recorded, Run};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Draws of frames.
    pub seeds: u64,
    /// Numbers of frames to tune on.
    pub frames: Vec<usize>,
    /// Steps of every network.
    pub steps: u64,
    /// Networks that are tuned at the same time, each on a thread of its own.
    pub threads: usize,
    /// Whether to look at the frames that settings were chosen on.
    pub validation: bool,
    /// The highest learning rates instead of the chosen ones: of networks from scratch, and of others.
    pub rates: [Option<f64>; 2],
    /// The folder that everything is written to.
    pub out: PathBuf,
}

/// Steps of every network, unless said otherwise.
pub const STEPS: u64 = 120;
/// The highest learning rates, chosen on the setting frames: from scratch, and of what has sources.
const RATES: [f64; 2] = [0.03, 0.01];
/// Samples of a batch.
const BATCH: usize = 10;
/// Test frames of a draw; of the few setting frames a third.
const TESTED: [usize; 2] = [30, 5];
/// Points that hardly move: the head is fixed.
const FIXED: &str = "nose";
/// The points whose distance errors are divided by: the body's length.
const ENDS: [&str; 2] = ["nose_bot", "tailBase_bot"];

/// A network that is tuned.
#[derive(Clone, Debug)]
struct Job {
    kind: Kind,
    source: Option<usize>,
    frames: usize,
    seed: u64,
    folder: PathBuf,
    config: Config,
}

/// What came of a job.
struct Tuned {
    job: Job,
    model: Model,
    /// What its run found in the test frames.
    found: LandmarkEvaluation,
    sources: Vec<Source>,
    seconds: f64,
}

/// A row of the table, on one draw.
#[derive(Clone)]
struct Measured {
    kind: Kind,
    name: String,
    found: LandmarkEvaluation,
    seconds: f64,
}

/// Runs the demo: see [`Outcome`] for what it measures. A demo that was stopped goes on in its folder.
///
/// Results do not depend on the number of threads; only times do.
///
/// # Errors
/// If a file cannot be read or written, an option leaves nothing to do, the folder holds networks of other
/// settings, or `watch` says so.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Outcome> {
    let begun = Instant::now();
    if options.seeds == 0 || options.frames.is_empty() || options.steps == 0 {
        return Err(Error::config(
            "seeds",
            "there should be a seed, a number of frames, and a step",
        ));
    }
    // The fewest first: they are what is looked into.
    let mut options = options.clone();
    options.frames.sort_unstable();
    options.frames.dedup();
    let options = &options;
    let data = Data::write(&options.out)?;
    let tested = TESTED[usize::from(options.validation)];
    let split = |frames, seed| data.split(options.validation, [frames, tested], seed);
    let mut jobs = Vec::new();
    for &frames in &options.frames {
        for seed in 1..=options.seeds {
            let split = split(frames, seed)?;
            jobs.extend(all(options, &data, &split, frames, seed));
        }
    }
    watch.begin(jobs.len());
    let tuned = work(&jobs, options.threads, 1, |job| tuned(job, watch))?;
    let mut methods = Vec::new();
    for &frames in &options.frames {
        let mut of_seeds: Vec<Vec<Measured>> = Vec::new();
        for seed in 1..=options.seeds {
            let here = |t: &&Tuned| t.job.frames == frames && t.job.seed == seed;
            let tuned: Vec<&Tuned> = tuned.iter().filter(here).collect();
            of_seeds.push(measured(&data, &split(frames, seed)?, &tuned)?);
        }
        methods.extend(gathered(frames, &of_seeds));
    }
    let first = |kind| tuned.iter().find(|tuned| tuned.job.kind == kind);
    let missing = || Error::config("demo", "a network is missing");
    let (zoo, lite) =
        (first(Kind::Zoo).ok_or_else(missing)?, first(Kind::Lite).ok_or_else(missing)?);
    let names = lite.found.points.iter().map(|point| point.name.clone());
    let (_, _, loader) = shown(&zoo.model, &split(zoo.job.frames, zoo.job.seed)?.test)?;
    let images = loader.batch(0)?.images;
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: Settings {
            seeds: (1..=options.seeds).collect(),
            frames: options.frames.clone(),
            test_frames: tested,
            steps: options.steps,
            rates: [0, 1].map(|at| options.rates[at].unwrap_or(RATES[at])),
            validation: options.validation,
        },
        points: names.filter(|name| moves(name)).collect(),
        methods,
        sources: lite.sources.iter().map(named).collect(),
        gates: observe::gates(&zoo.model.network, &images)?,
        pictures: lite.found.pictures.clone(),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// All networks of a draw.
fn all(options: &Options, data: &Data, split: &Split, frames: usize, seed: u64) -> Vec<Job> {
    let singles = (0..data.sources.len()).map(|source| (Kind::Single, Some(source)));
    let others = [
        Kind::Scratch,
        Kind::ScratchLonger,
        Kind::Average,
        Kind::Matched,
        Kind::Zoo,
        Kind::Lite,
        Kind::Routed,
    ];
    let kinds = singles.chain(others.map(|kind| (kind, None)));
    kinds
        .map(|(kind, source)| {
            let config = config(options, data, split, seed, kind, source);
            let name = match source {
                Some(source) => format!("single-{}", stem(&data.sources[source])),
                None => format!("{kind:?}").to_lowercase(),
            };
            let of = if options.validation { "setting-frames" } else { "frames" };
            let folder = options.out.join(format!("{frames}-{of}/seed-{seed}/{name}"));
            Job { kind, source, frames, seed, folder, config }
        })
        .collect()
}

fn config(
    options: &Options,
    data: &Data,
    split: &Split,
    seed: u64,
    kind: Kind,
    source: Option<usize>,
) -> Config {
    let mut config = Config { seed, ..Config::default() };
    config.task = TaskConfig::Landmarks(LandmarksConfig {
        normalizer: ENDS.map(str::to_owned).to_vec(),
        scale: 0.1,
        rotation: 10.0,
        rotation_share: 1.0,
        shift: 0.06,
        brightness: 0.05,
        contrast: 0.2,
        ..LandmarksConfig::default()
    });
    let Config { method, optimizer, data: samples, record, .. } = &mut config;
    samples.path.clone_from(&split.training);
    samples.test_data = Some(split.test.clone());
    (samples.validation, samples.size, samples.channels) = (0.0, Some(96), Some(1));
    (samples.mean, samples.std) = (Some(vec![0.15]), Some(vec![0.15]));
    method.zoo = match source {
        Some(source) => vec![data.sources[source].clone()],
        None => data.sources.clone(),
    };
    (method.form, method.start) = match kind {
        Kind::Single => (FormName::Single, Start::Plain),
        Kind::Average => (FormName::Average, Start::Plain),
        Kind::Matched => (FormName::Average, Start::Matched),
        Kind::Zoo => (FormName::Zoo, Start::Matched),
        Kind::Lite => (FormName::Lite, Start::Matched),
        Kind::Routed => (FormName::Routed, Start::Matched),
        _ => (FormName::Scratch, Start::Plain),
    };
    // A row shows what routing does, where it is not advised too.
    method.guard = method.form != FormName::Routed;
    let is_scratch = method.form == FormName::Scratch;
    if is_scratch {
        method.zoo.clear();
        method.architecture = Some("landmarks_small".to_owned());
    }
    let at = usize::from(!is_scratch);
    let longer = if kind == Kind::ScratchLonger { 4 } else { 1 };
    let steps = longer * options.steps;
    optimizer.rule = RuleName::Adam;
    optimizer.learning_rate = options.rates[at].unwrap_or(RATES[at]);
    // As in the demo of classification: alignment moves slowly, gates have few steps to leave the prior.
    (optimizer.alignment_rate, optimizer.gate_rate) = (0.1, 5.0);
    optimizer.weight_decay = 0.0;
    (optimizer.batch, optimizer.warmup) = (BATCH, steps as usize / 6);
    (optimizer.epochs, optimizer.steps) = (None, Some(steps));
    (record.checkpoint_every, record.keep, record.log_every) =
        (steps, Keep::Last, steps.div_ceil(12));
    config
}

/// The run of a job, brought to its end.
fn tuned(job: &Job, watch: &dyn Watch) -> Result<Tuned> {
    job.config.check()?;
    let mut run = Run::resume_or_create(&job.folder, job.config.clone())?;
    if run.config().optimizer != job.config.optimizer {
        let folder = job.folder.display();
        let problem = format!("{folder} holds a run of other settings; choose another folder");
        return Err(Error::config("out", problem));
    }
    let name = job.folder.display().to_string();
    if !run.is_finished() {
        run.train(&mut Seen::new(&name, watch))?;
    }
    let Recorded { summary, mut observations, .. } = Recorded::read(&job.folder)?;
    let summary = summary.ok_or_else(|| Error::format(&job.folder, "its summary is gone"))?;
    watch.finished(&name, summary.test.as_ref());
    let found = observations.landmarks.remove("test");
    let found = found.ok_or_else(|| Error::format(&job.folder, "it measured no test frames"))?;
    let (sources, seconds) = (observations.sources, summary.seconds);
    let model = Model::open(run.model_file(), None)?;
    Ok(Tuned { job: job.clone(), model, found, sources, seconds })
}

/// Every way on one draw, in the order of the table.
fn measured(data: &Data, split: &Split, tuned: &[&Tuned]) -> Result<Vec<Measured>> {
    let (kind, name) = (Kind::MeanPose, "mean pose".to_owned());
    let mut rows = vec![Measured { kind, name, found: mean_pose(split)?, seconds: 0.0 }];
    let of = |kind| tuned.iter().filter(move |tuned| tuned.job.kind == kind).copied();
    for (kind, name) in NAMES {
        rows.extend(of(kind).map(|tuned| {
            let of_source =
                |source: usize| format!("{name}: {}", told(&stem(&data.sources[source])));
            let name = tuned.job.source.map_or(name.to_owned(), of_source);
            Measured { kind, name, found: tuned.found.clone(), seconds: tuned.seconds }
        }));
    }
    if let Some(lite) = of(Kind::Lite).next() {
        // What one would choose by the scores that its run began with.
        let score = |source: &Source| source.scores.last().copied().unwrap_or(f64::NEG_INFINITY);
        let chosen = best(&lite.sources.iter().map(score).collect::<Vec<_>>());
        let chosen = of(Kind::Single).find(|single| single.job.source == chosen);
        rows.extend(chosen.map(|single| {
            let (kind, name) = (Kind::Chosen, "single by score".to_owned());
            Measured { kind, name, found: single.found.clone(), seconds: single.seconds }
        }));
        let file = lite.job.folder.join("collapsed.safetensors");
        lite.model.collapsed()?.write(&file)?;
        let plain = Model::open(&file, None)?;
        let found = evaluated(&[&plain.network], &plain, &split.test)?;
        let (kind, name) = (Kind::Collapsed, "lite, collapsed".to_owned());
        rows.push(Measured { kind, name, found, seconds: lite.seconds });
    }
    let members: Vec<&Tuned> = of(Kind::Single).collect();
    if let Some(one) = members.first() {
        let networks: Vec<&Network<f32>> = members.iter().map(|t| &t.model.network).collect();
        let found = evaluated(&networks, &one.model, &split.test)?;
        let seconds = members.iter().map(|tuned| tuned.seconds).sum();
        let (kind, name) = (Kind::Ensemble, "ensemble of all singles".to_owned());
        rows.push(Measured { kind, name, found, seconds });
    }
    rows.sort_by_key(|row| row.kind);
    Ok(rows)
}

/// The names of what is tuned, as in the table.
const NAMES: [(Kind, &str); 8] = [
    (Kind::Scratch, "from scratch"),
    (Kind::ScratchLonger, "from scratch, four times as long"),
    (Kind::Single, "single"),
    (Kind::Average, "plain average"),
    (Kind::Matched, "matched average"),
    (Kind::Zoo, "Zoo-Tuning"),
    (Kind::Lite, "lite Zoo-Tuning"),
    (Kind::Routed, "routed zoo, its guard off"),
];

/// The rows of all draws put together.
fn gathered(frames: usize, draws: &[Vec<Measured>]) -> Vec<Method> {
    let Some(first) = draws.first() else { return vec![] };
    let method = |at: usize| {
        let rows = || draws.iter().filter_map(|rows| rows.get(at));
        let points = || first[at].found.points.iter().enumerate().filter(|(_, p)| moves(&p.name));
        let of_point =
            |(place, _)| pooled(rows().filter_map(|row| row.found.points.get::<usize>(place)));
        let moving = |found: &LandmarkEvaluation| {
            pooled(found.points.iter().filter(|point| moves(&point.name)))
        };
        Method {
            kind: first[at].kind,
            name: first[at].name.clone(),
            frames,
            errors: rows().map(|row| moving(&row.found)).collect(),
            of_points: points().map(of_point).collect(),
            of_frames: rows().map(|row| row.found.errors.clone()).collect(),
            seconds: rows().map(|row| row.seconds).sum::<f64>() / draws.len() as f64,
        }
    };
    let mut methods: Vec<Method> = (0..first.len()).map(method).collect();
    let singles = methods.iter().filter(|method| method.kind == Kind::Single);
    let best = singles.min_by(|a, b| a.summary().mean.total_cmp(&b.summary().mean)).cloned();
    if let Some(best) = best {
        let (kind, name) = (Kind::Hindsight, "best single (hindsight)".to_owned());
        methods.push(Method { kind, name, ..best });
    }
    methods.sort_by_key(|method| method.kind);
    methods
}

/// Whether a point is one that moves.
fn moves(name: &str) -> bool {
    !name.starts_with(FIXED)
}

/// The mean error of points, each as often as it is marked.
fn pooled<'a>(points: impl Iterator<Item = &'a PointEvaluation>) -> f64 {
    let sums = points.filter_map(|p| Some((p.nme? * p.samples as f64, p.samples)));
    let (sum, count) = sums.fold((0.0, 0), |(sum, n), (error, m)| (sum + error, n + m));
    sum / count.max(1) as f64
}

/// The mean of the heat maps of some networks on the frames of a file; `model` says how frames are
/// shown to them.
fn evaluated(networks: &[&Network<f32>], model: &Model, file: &Path) -> Result<LandmarkEvaluation> {
    let (scheme, crops, loader) = shown(model, file)?;
    evaluate_landmarks(networks, &crops, &loader, &scheme, &model.input, |_| Ok(()))
}

/// The frames of a file as a network sees them.
fn shown(model: &Model, file: &Path) -> Result<(Scheme, Crops, Loader<'static>)> {
    let scheme = model.landmarks()?.ok_or_else(|| Error::format(&model.origin, "has no points"))?;
    let crops = scheme.crops(Annotations::open(file)?, &model.input)?;
    let loader = loader(&crops, &model.input, None, 32, Views::One)?;
    Ok((scheme, crops, loader))
}

/// Each point where it is on average.
fn mean_pose(split: &Split) -> Result<LandmarkEvaluation> {
    let [training, test] = [&split.training, &split.test].map(Annotations::open);
    let (training, test) = (training?, test?);
    let mean = |at: usize| -> Option<Point> {
        let known: Vec<Point> = training.pictures.iter().filter_map(|p| p.points[at]).collect();
        let count = known.len() as f64;
        let sum = |axis: usize| known.iter().map(|point| point[axis]).sum::<f64>();
        (count > 0.0).then(|| [sum(0) / count, sum(1) / count])
    };
    let means: Vec<Option<Point>> = (0..test.names.len()).map(mean).collect();
    let ends = ENDS.map(|name| Annotations::number(&test.names, name));
    let mut measures = LandmarkMeasures::new(test.names.len());
    for picture in &test.pictures {
        let errors: Vec<Option<f64>> =
            means.iter().zip(&picture.points).map(|(a, b)| Some(distance((*a)?, (*b)?))).collect();
        let [a, b] = ends.map(|end| end.and_then(|end| picture.points[end]));
        measures.add(&errors, a.zip(b).map(|(a, b)| distance(a, b)));
    }
    measures.evaluation(&test.names, "the body's length".to_owned())
}

/// A source as the page calls it.
fn named(source: &Source) -> Source {
    Source { name: told(&source.name), ..source.clone() }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
