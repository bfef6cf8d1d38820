//! Every way of using the sources, on the same samples, with the same budget.

use super::data::Data;
use super::job::{Collapsed, Finished, Job, Setting};
use super::observe::samples;
use super::table::methods;
use super::{CONDITIONS, Outcome, Part, Recipe, Settings, Split, Test, Tuned, input, tune};
use crate::compare::{multiply_adds, work};
use crate::nn::{Aligned, Design, Form, Mixing, Network};
use crate::optim::{Group, Groups};
use crate::start::{self, Preparation, Prepared};
use crate::tensor::{Device, State, Tensor};
use crate::train::observe::{self, Source};
use crate::train::task::Whole;
use crate::train::{Model, accuracy, logits};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// One run of every method for each of them.
    pub seeds: Vec<u64>,
    /// Labelled target samples of each class.
    pub shots: usize,
    /// Passes over these samples.
    pub epochs: usize,
    /// Networks that are tuned at the same time, each on a thread of its own.
    pub threads: usize,
    /// Which samples are tuned and measured on.
    pub part: Part,
    /// The highest learning rate of every network, instead of the chosen ones.
    pub rate: Option<f64>,
    /// A folder with the target and the sources, instead of those inside the program.
    pub data: Option<PathBuf>,
    /// The folder that the networks are written to.
    pub out: PathBuf,
    /// What computes the steps of tuning.
    pub device: Device,
}

/// Told how the demo gets on; the calls come from several threads.
pub trait Watch: Sync {
    /// There will be so many steps of training.
    fn begin(&self, steps: u64);

    /// One of them is done.
    ///
    /// # Errors
    /// To stop the demo, such as [`Error::Interrupted`].
    fn step(&self) -> Result<()>;

    /// A network is tuned.
    fn tuned(&self, seed: u64, method: &str, accuracy: f64);
}

/// Samples of a batch.
const BATCH: usize = 32;
/// Points of a learning curve.
const POINTS: usize = 12;

struct Experiment {
    design: Design,
    sources: Vec<State<f32>>,
    classes: Vec<String>,
    out: PathBuf,
    device: Device,
}

/// Runs the demo: see [`Outcome`] for what it measures.
///
/// Results do not depend on the number of threads; only times do.
///
/// # Errors
/// If a file cannot be read or written, an option leaves nothing to do, or `watch` says so.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Outcome> {
    let begun = Instant::now();
    check(options)?;
    let Data { zoo, sizes, target } = Data::open(options.data.as_deref())?;
    let sources = State::from_zoo(&zoo)?;
    let design = Design::named("resnet_small", 1, target.classes().len())?;
    let settings: Vec<Setting> = options
        .seeds
        .iter()
        .map(|&seed| {
            prepare(&design, &sources, target.split(options.part, options.shots, seed)?, seed)
        })
        .collect::<Result<_>>()?;
    let steps = options.epochs * (options.shots * target.classes().len()).div_ceil(BATCH);
    let classes = target.classes().to_vec();
    let (out, device) = (options.out.clone(), options.device.clone());
    let experiment = Experiment { design, sources, classes, out, device };

    let mut parts = vec![Job::Zoo, Job::Lite, Job::Scratch, Job::Average];
    parts.extend((0..CONDITIONS.len()).map(Job::Single));
    // The longest first, so that no thread is left alone with one at the end.
    let jobs: Vec<(usize, Job)> =
        parts.iter().flat_map(|&part| (0..settings.len()).map(move |at| (at, part))).collect();
    watch.begin((jobs.len() * steps) as u64);
    let finished = work(&jobs, options.threads, 1, |&(at, part)| {
        let recipe = Recipe {
            steps,
            batch: BATCH,
            rate: options.rate.unwrap_or_else(|| part.rate()),
            groups: groups(),
            points: POINTS,
        };
        experiment.finish(&settings[at], part, &recipe, watch)
    })?;
    let of: BTreeMap<(Job, usize), Finished> =
        jobs.iter().map(|&(at, part)| (part, at)).zip(finished).collect();

    let first = &settings[0];
    let (zoo_network, lite) = (&of[&(Job::Zoo, 0)].tuned.network, &of[&(Job::Lite, 0)].tuned);
    let source = |(i, checkpoint): (usize, &crate::zoo::Checkpoint)| Source {
        name: CONDITIONS[i].to_string(),
        trained_on: checkpoint.metadata().get("trained_on").cloned().unwrap_or_default(),
        file: checkpoint.path().display().to_string(),
        bytes: sizes[i],
        scores: settings.iter().map(|setting| setting.prepared.scores[i]).collect(),
        licence: None,
        origin: None,
    };
    let errors =
        (0..settings.len()).filter_map(|at| Some(of[&(Job::Lite, at)].collapsed.as_ref()?.error));
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: Settings {
            seeds: options.seeds.clone(),
            shots: options.shots,
            epochs: options.epochs,
            steps,
            batch: BATCH,
            threads: options.threads,
            test_samples: first.split.test.labels.len(),
            classes: experiment.classes.len(),
            validation: options.part == Part::Validation,
            rate: options.rate,
        },
        sources: zoo.sources().iter().enumerate().map(source).collect(),
        methods: methods(&settings, &of)?,
        gates: observe::gates(zoo_network, &first.split.test.images)?,
        samples: samples(zoo_network, &first.split)?,
        alignment: observe::alignment(zoo_network)?,
        ema: observe::courses(lite.averages.iter().map(|(step, of)| (*step, &of[..]))),
        collapse_error: errors
            .fold(0.0, |worst, e| if e > worst || e.is_nan() { e } else { worst }),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn check(options: &Options) -> Result<()> {
    let least = [
        ("seeds", options.seeds.len(), 1),
        ("shots", options.shots, 1),
        ("epochs", options.epochs, 1),
        ("threads", options.threads, 1),
    ];
    for (key, value, least) in least {
        if value < least {
            return Err(Error::config(key, format!("should be at least {least}, not {value}")));
        }
    }
    if let Some(rate) = options.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(Error::config("rate", format!("{rate} should be a number above 0")));
    }
    if options.epochs > 10_000 {
        let problem = format!("{} is more than 10000 passes over a few samples", options.epochs);
        return Err(Error::config("epochs", problem));
    }
    Ok(())
}

/// The parameter groups of every network: weight decay draws kernels towards zero, but
/// alignment should not forget that it started as the identity, and moves slowly: a step of it
/// moves a whole kernel. The gates learn faster: they have few steps to leave the prior.
/// (`data/README.md` has the comparison.)
fn groups() -> Groups {
    let mut groups = Groups::uniform(5e-4);
    groups.alignment = Group { rate: 0.1, decay: 0.0 };
    groups.gate = Group { rate: 5.0, ..groups.gate };
    groups
}

fn prepare(design: &Design, sources: &[State<f32>], split: Split, seed: u64) -> Result<Setting> {
    let all: Vec<usize> = (0..split.train.images().len()).collect();
    let (images, labels) = split.train.batch(&all)?;
    let prior = Some(start::STRENGTH);
    let preparation = Preparation { matches: true, prior, chooses: false, router: None };
    let probe = Whole { images, labels };
    let prepared = preparation.prepare(design, sources.to_vec(), &probe, |_| ())?;
    Ok(Setting { seed, split, prepared })
}

impl Experiment {
    /// Tunes one network, writes it, and measures it.
    fn finish(
        &self,
        setting: &Setting,
        part: Job,
        recipe: &Recipe,
        watch: &dyn Watch,
    ) -> Result<Finished> {
        let network = self.network(setting, part)?;
        let (split, seed) = (&setting.split, setting.seed);
        let tuned = tune(network, split, recipe, seed, &self.device, &|| watch.step())?;
        let folder = self.out.join(format!("seed-{}", setting.seed));
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(format!("{}.safetensors", part.file()));
        let model = Model::from_network(tuned.network, input(), &self.classes);
        model.write(&path)?;
        let Test { images, labels, .. } = &setting.split.test;
        let found = logits(&model.network, images, 100)?;
        let collapsed = if part == Job::Lite {
            let path = folder.join("collapsed.safetensors");
            model.collapsed()?.write(&path)?;
            Some(measure_collapsed(&path, &found, images, labels)?)
        } else {
            None
        };
        let accuracy = accuracy(&found, labels)?;
        watch.tuned(setting.seed, &part.file(), accuracy);
        Ok(Finished {
            accuracy,
            parameters: model.network.parameters().trained() as u64,
            multiply_adds: multiply_adds(&model)?,
            bytes: size_of(&path)?,
            collapsed,
            logits: found,
            tuned: Tuned { network: model.network, ..tuned },
        })
    }

    /// The network before its first step.
    fn network(&self, setting: &Setting, part: Job) -> Result<Network<f32>> {
        let Prepared { sources: matched, prior, .. } = setting.prepared.clone();
        let mixing = Mixing { aligned: Aligned::everywhere(), prior, ..Mixing::default() };
        let (sources, form) = match part {
            Job::Scratch => return Network::drawn(&self.design, setting.seed),
            Job::Single(i) => (&self.sources[i..=i], Form::Plain),
            Job::Average => (&self.sources[..], Form::Plain),
            Job::Zoo => (&matched[..], Form::Zoo(mixing)),
            Job::Lite => (&matched[..], Form::Lite(mixing)),
        };
        Network::from_sources(&self.design, form, sources, setting.seed)
    }
}

/// The collapsed network, read back from the file that was written.
fn measure_collapsed(
    path: &Path,
    lite: &Tensor<f32>,
    images: &Tensor<f32>,
    labels: &[usize],
) -> Result<Collapsed> {
    let model = Model::open(path, None)?;
    let found = logits(&model.network, images, 100)?;
    Ok(Collapsed {
        accuracy: accuracy(&found, labels)?,
        parameters: model.network.parameters().trained() as u64,
        multiply_adds: multiply_adds(&model)?,
        bytes: size_of(path)?,
        error: lite.relative_difference(&found)?,
    })
}

fn size_of(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).map_err(Error::io("look at", path))?.len())
}
