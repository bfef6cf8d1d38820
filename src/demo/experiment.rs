//! The demo: a comparison of its sources on its target, and a look into what came out.

use super::data::Data;
use super::{CONDITIONS, Outcome, Part, Settings, Split, Target, Test, input};
use crate::compare::{Comparison, MethodKind, Plan, Watch};
use crate::nn::Network;
use crate::tensor::Device;
use crate::train::choice::Keep;
use crate::train::observe::{self, SampleGates, Source};
use crate::train::{Config, Model, Observations, Recorded, logits};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs of every method, with the seeds from 1.
    pub seeds: u64,
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
    /// The folder that data and networks are written to.
    pub out: PathBuf,
    /// What computes the steps of tuning.
    pub device: Device,
}

/// The methods that tune networks.
const METHODS: [MethodKind; 7] = [
    MethodKind::Scratch,
    MethodKind::Single,
    MethodKind::Average,
    MethodKind::Matched,
    MethodKind::Zoo,
    MethodKind::Lite,
    MethodKind::Routed,
];
/// The highest learning rate of all methods, and those of which the other one was better: of 0.05 and
/// 0.1 on validation samples (`data/README.md`), so that none is compared at another's. The routed zoo
/// wants a lower one, since its sources begin with all that they know. That of the
/// matched average is the plain one's.
const RATE: f64 = 0.1;
const OWN_RATES: [(MethodKind, f64); 3] =
    [(MethodKind::Average, 0.05), (MethodKind::Matched, 0.05), (MethodKind::Routed, 0.03)];
/// Samples of a batch.
const BATCH: usize = 32;
/// Points of a learning curve.
const POINTS: usize = 12;
/// The folder of the comparison, in that of the demo.
const COMPARED: &str = "compared";

/// Runs the demo: see [`Outcome`] for what it measures. What an earlier one has left in its folder is
/// replaced.
///
/// Results do not depend on the number of threads; only times do.
///
/// # Errors
/// If a file cannot be read or written, an option leaves nothing to do, or `watch` says so.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Outcome> {
    let begun = Instant::now();
    check(options)?;
    let data = Data::open(options.data.as_deref(), &options.out)?;
    let Data { target, .. } = &data;
    let seeds = 1..=options.seeds;
    let shown = |seed| Ok((seed, target.dataset(options.part, options.shots, seed)?));
    let shown = seeds.clone().map(shown).collect::<Result<_>>()?;
    let steps = options.epochs * (options.shots * target.classes().len()).div_ceil(BATCH);
    let mut plan = plan(&data.sources, &data.digits, steps);
    plan.seeds = options.seeds;
    if let Some(rate) = options.rate {
        plan.config.optimizer.learning_rate = rate;
        plan.own_rates.clear();
    }
    let comparison = Comparison::create(cleared(&options.out)?, plan)?
        .on(options.device.clone())
        .with_data(shown);
    let found = comparison.run(options.threads, options.threads, watch)?;
    let folder = comparison.folder();

    let first = target.split(options.part, options.shots, 1)?;
    let zoo = model(folder, 1, "zoo/model")?.network;
    let lite = Recorded::read(folder.join("seed-1/lite"))?;
    let ema = observe::courses(lite.gates.iter().map(|line| (line.step as usize, &line.gates[..])));
    Ok(Outcome {
        version: found.version,
        settings: Settings {
            seeds: seeds.collect(),
            shots: options.shots,
            epochs: options.epochs,
            steps,
            batch: BATCH,
            threads: options.threads,
            test_samples: first.test.labels.len(),
            classes: target.classes().len(),
            validation: options.part == Part::Validation,
            rate: options.rate,
        },
        sources: sources(folder, options.seeds)?,
        gates: observe::gates(&zoo, &first.test.images)?,
        samples: samples(&zoo, &first)?,
        alignment: observe::alignment(&zoo)?,
        ema,
        collapse_error: collapse_error(folder, target, options)?,
        methods: found.methods,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn check(options: &Options) -> Result<()> {
    let Options { seeds, shots, epochs, threads, rate, .. } = *options;
    let least =
        [("seeds", seeds as usize), ("shots", shots), ("epochs", epochs), ("threads", threads)];
    for (key, value) in least {
        if value < 1 {
            return Err(Error::config(key, format!("should be at least 1, not {value}")));
        }
    }
    if let Some(rate) = rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(Error::config("rate", format!("{rate} should be a number above 0")));
    }
    if epochs > 10_000 {
        let problem = format!("{epochs} is more than 10000 passes over a few samples");
        return Err(Error::config("epochs", problem));
    }
    Ok(())
}

/// What the demo compares, for one seed: networks that are tuned for so many steps, from these sources
/// to the digits in that file.
pub fn plan(sources: &[PathBuf], digits: &Path, steps: usize) -> Plan {
    let mut config = Config::default();
    config.data.path = digits.to_owned();
    let Config { method, optimizer, record, .. } = &mut config;
    method.zoo = sources.to_vec();
    // Weight decay draws kernels towards zero, but alignment should not forget that it started as the
    // identity, and moves slowly: a step of it moves a whole kernel. The gates learn faster: they have
    // few steps to leave the prior. (`data/README.md` has the comparison.)
    method.align = "all".to_owned();
    (optimizer.alignment_rate, optimizer.alignment_decay) = (0.1, Some(0.0));
    optimizer.gate_rate = 5.0;
    optimizer.learning_rate = RATE;
    (optimizer.batch, optimizer.warmup) = (BATCH, steps / 20);
    (optimizer.epochs, optimizer.steps) = (None, Some(steps as u64));
    let every = steps.div_ceil(POINTS) as u64;
    (record.validate_every, record.log_every) = (every, every);
    (record.checkpoint_every, record.keep) = (steps as u64, Keep::Last);
    let (methods, own_rates) = (METHODS.to_vec(), OWN_RATES.into());
    Plan { seeds: 1, methods, own_rates, config, ..Plan::default() }
}

/// The folder of the comparison in that of the demo, without what an earlier one has left there.
fn cleared(out: &Path) -> Result<PathBuf> {
    let folder = out.join(COMPARED);
    if Comparison::resume(&folder).is_ok() {
        std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
    }
    Ok(folder)
}

/// A network of a seed, in the folder of the comparison.
fn model(folder: &Path, seed: u64, name: &str) -> Result<Model> {
    let path = folder.join(format!("seed-{seed}/{name}.safetensors"));
    if !path.is_file() {
        let problem = format!("the loss did not stay finite, and {} is not there", path.display());
        return Err(Error::config("rate", format!("{problem}; choose a lower rate")));
    }
    Model::open(path, None)
}

/// The sources as the runs describe them, with what they scored with each seed.
fn sources(folder: &Path, seeds: u64) -> Result<Vec<Source>> {
    let of = |seed| -> Result<Vec<Source>> {
        let seen = Observations::read(folder.join(format!("seed-{seed}/zoo")))?;
        Ok(seen.unwrap_or_default().sources)
    };
    let mut sources = of(1)?;
    for seed in 2..=seeds {
        for (source, other) in sources.iter_mut().zip(of(seed)?) {
            source.scores.extend(other.scores);
        }
    }
    Ok(sources)
}

/// The gates of the first two test samples of each condition.
fn samples(network: &Network<f32>, split: &Split) -> Result<Vec<SampleGates>> {
    let Test { images, labels, conditions } = &split.test;
    let of = |condition| (0..labels.len()).filter(move |&n| conditions[n] == condition).take(2);
    let chosen: Vec<usize> = CONDITIONS.into_iter().flat_map(of).collect();
    let mut samples = observe::samples(network, images, labels, &chosen, &input())?;
    for (sample, &n) in samples.iter_mut().zip(&chosen) {
        sample.condition = conditions[n].to_string();
    }
    Ok(samples)
}

/// The largest difference between a logit of a collapsed network and of the lite one that it came
/// from, relative to the largest logit, over all seeds.
fn collapse_error(folder: &Path, target: &Target, options: &Options) -> Result<f64> {
    (1..=options.seeds).try_fold(0.0, |worst, seed| {
        let images = target.split(options.part, options.shots, seed)?.test.images;
        let of = |name| logits(&model(folder, seed, name)?.network, &images, 100);
        let error = of("lite/model")?.relative_difference(&of("collapsed")?)?;
        Ok(if error > worst || error.is_nan() { error } else { worst })
    })
}
