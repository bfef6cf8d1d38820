//! A run: a folder, and the training that fills it.
//!
//! | file | holds |
//! |---|---|
//! | `config.toml` | everything that decides what the run computes |
//! | `metrics.jsonl` | a line for every few steps |
//! | `checkpoint.safetensors` | what the run goes on from; see [`super::checkpoint`] |
//! | `gates.jsonl` | the gates' moving averages (lite), fifty times in a run |
//! | `observations.json` | the sources; at the end, what is seen inside of the network |
//! | `model.safetensors` | the tuned network, at the end |
//! | `summary.json` | what came out, at the very end |
//!
//! A run that is killed at any moment goes on from its last checkpoint as if nothing had
//! happened: `metrics.jsonl` and `gates.jsonl` are cut off there, and every bit that follows is the same.

use super::checkpoint::{self, Progress, Saved};
use super::config::MOST_STEPS;
use super::data::DataProbe;
use super::record::{Gates, Metrics, Record, is_leftover, remove_leftovers};
use super::recorded::Observations;
use super::sources::{Sources, initial_network};
use super::task::{Classification, Part, Scores, Task};
use super::{Config, Data, Done, Input, Model, Purpose, Trainer, observe, room};
use crate::dataset::{Loader, few_shot, train_validation_test};
use crate::export::write_atomically;
use crate::optim::Optimizer;
use crate::tensor::Device;
use crate::{Error, Result, profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What happens in a run, to be shown.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Something that takes a while begins.
    Phase(&'a str),
    /// Training begins after `step` of `steps`.
    Begin {
        /// Steps done before.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Its epoch, counted from 1.
        epoch: u64,
        /// Its loss.
        loss: f64,
        /// Its learning rate.
        rate: f64,
    },
    /// The network was measured after a step.
    Validated {
        /// Steps done.
        step: u64,
        /// What was found.
        scores: &'a Scores,
    },
    /// Something went wrong that the run does not depend on.
    Warning(&'a str),
}

/// Who looks on.
pub trait Observer {
    /// Is told what happens.
    fn note(&mut self, event: &Event);

    /// Whether the run should stop after this step, to be resumed later.
    fn stopped(&self) -> bool {
        false
    }
}

/// Looks on in silence.
impl Observer for () {
    fn note(&mut self, _: &Event) {}
}

/// What came out of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Version of the program.
    pub version: String,
    /// What became of the sources.
    pub form: String,
    /// Name of the architecture.
    pub architecture: String,
    /// Files of the sources.
    pub zoo: Vec<PathBuf>,
    /// What the sources scored on the training images before tuning, 0 to 1; empty if they
    /// were not asked.
    pub source_scores: Vec<f64>,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Images that were trained on.
    pub training_samples: usize,
    /// Numbers in the network.
    pub parameters: usize,
    /// The last training loss.
    pub loss: Option<f64>,
    /// How good the network was on the validation samples, when it was measured last.
    pub validation: Option<Scores>,
    /// How good it was on the test samples, at the end.
    pub test: Option<Scores>,
    /// The step that the last process went on from; 0 if there was only one.
    pub resumed_at_step: u64,
    /// Seconds that the last process took.
    pub seconds: f64,
}

/// A folder that a run is recorded in.
pub struct Run {
    folder: PathBuf,
    config: Config,
    /// Whether there may be a checkpoint.
    resumed: bool,
    /// What computes.
    device: Device,
}

impl Run {
    /// A new run in `folder`, which is made if need be.
    ///
    /// # Errors
    /// If the folder holds anything, or cannot be written.
    pub fn create(folder: impl AsRef<Path>, config: Config) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        std::fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
        let entries = std::fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
        let mut names = entries.flatten().map(|entry| entry.file_name());
        if names.any(|name| !is_leftover(&name.to_string_lossy())) {
            let name = folder.display();
            let problem = if folder.join(CONFIG).exists() {
                format!(
                    "{name} holds a run; --resume {name} goes on with it, or choose another folder"
                )
            } else {
                format!("{name} is not empty; choose another folder")
            };
            return Err(Error::config("out", problem));
        }
        Ok(Self { folder, config, resumed: false, device: Device::Cpu })
    }

    /// The run in `folder`, to go on with.
    ///
    /// # Errors
    /// If there is none, or its configuration cannot be read.
    pub fn resume(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let path = folder.join(CONFIG);
        if !path.exists() {
            let problem = format!(
                "there is no run in {}: it has no {CONFIG}; begin one with --out",
                folder.display()
            );
            return Err(Error::config("resume", problem));
        }
        let config = Config::read(Some(&path), toml::Table::new())?;
        Ok(Self { folder, config, resumed: true, device: Device::Cpu })
    }

    /// The same run, its steps and measurements computed by `device`. The configuration does not
    /// keep it: a run may be resumed elsewhere.
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the run does.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The network's file, once the run is finished.
    pub fn model_file(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    /// Whether the run is finished.
    pub fn is_finished(&self) -> bool {
        self.folder.join(SUMMARY).exists()
    }

    /// The [`Summary`] of a finished run, as its file has it.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn finished(&self) -> Result<serde_json::Value> {
        let path = self.folder.join(SUMMARY);
        let text = std::fs::read(&path).map_err(Error::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| Error::format(&path, error.to_string()))
    }

    /// Trains to the end.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration and the files it names; a loss that is not
    /// finite; a full disk; [`Error::Interrupted`] if the observer stops the run. The last
    /// checkpoint stays.
    pub fn train(&mut self, observer: &mut dyn Observer) -> Result<Summary> {
        let begun = Instant::now();
        if self.is_finished() {
            let problem = format!("the run in {} is finished", self.folder.display());
            return Err(Error::config("resume", problem));
        }
        let file = self.folder.join(CHECKPOINT);
        if self.resumed && file.exists() {
            let saved =
                checkpoint::load(&file, Optimizer::new(self.config.rule(), self.config.groups()))?;
            let data = Data::open(&self.config.data, Purpose::Training, &saved.model.input)?;
            let parts = self.parts(&data)?;
            self.check_data(&data, &parts, &saved)?;
            let (mut task, steps) = self.task(&data, &parts, saved.model.input.clone())?;
            task.restore(&saved.task)?;
            let record = self.record(saved.progress.metrics_bytes)?;
            let gates = Record::open(self.folder.join(GATES), saved.progress.gates_bytes)?;
            let trainer = self.trainer(saved.optimizer, steps.last);
            let (model, progress) = (saved.model, saved.progress);
            let session =
                Session { run: self, model, trainer, task, steps, progress, record, gates, begun };
            return session.train(observer);
        }
        let mut sources = Sources::open(&self.config)?;
        let input = self.config.input(sources.input.clone())?;
        let data = Data::open(&self.config.data, Purpose::Training, &input)?;
        let parts = self.parts(&data)?;
        let (task, steps) = self.task(&data, &parts, input.clone())?;
        self.resolve(&sources, &input)?;
        let text = format!(
            "# Written by zoo-tuning {}. The same run again: train --config THIS --out FOLDER\n\n{}",
            env!("CARGO_PKG_VERSION"),
            self.config.to_toml()?
        );
        write_atomically(self.folder.join(CONFIG), |file| file.write_all(text.as_bytes()))?;
        let record = self.record(0)?;
        let gates = Record::open(self.folder.join(GATES), 0)?;
        let mut described = std::mem::take(&mut sources.described);
        let phase = |phase: &str| observer.note(&Event::Phase(phase));
        let outputs = data.classes().len();
        let (network, scores) =
            initial_network(&self.config, sources, outputs, task.probe(), phase)?;
        let model = Model {
            network,
            input,
            classes: data.classes().to_vec(),
            notes: BTreeMap::new(),
            origin: self.folder.display().to_string(),
        };
        described.iter_mut().zip(&scores).for_each(|(source, score)| source.scores.push(*score));
        let classes = data.classes().to_vec();
        Observations { classes, sources: described, ..Observations::default() }
            .write(&self.folder)?;
        let (seed, samples) = (self.config.seed, parts.training.len());
        let progress = Progress { seed, samples, scores, ..Progress::default() };
        let optimizer = Optimizer::new(self.config.rule(), self.config.groups());
        let trainer = self.trainer(optimizer, steps.last);
        let mut session =
            Session { run: self, model, trainer, task, steps, progress, record, gates, begun };
        session.save()?;
        session.train(observer)
    }

    /// An error if the data are not those that the run began with.
    fn check_data(&self, data: &Data, parts: &Parts, saved: &Saved) -> Result<()> {
        let Saved { progress, model, .. } = saved;
        if parts.training.len() == progress.samples && data.classes() == model.classes {
            return Ok(());
        }
        let problem = format!(
            "{} is not what it was: expected {} training images of {} classes, found {} of {}; \
             begin anew with another --out",
            self.config.data.display(),
            progress.samples,
            model.classes.len(),
            parts.training.len(),
            data.classes().len()
        );
        Err(Error::config("data", problem))
    }

    fn trainer(&self, optimizer: Optimizer<f32>, steps: u64) -> Trainer {
        let Config { learning_rate, .. } = self.config;
        Trainer::new(optimizer, learning_rate, self.config.schedule(), steps)
    }

    /// What is trained for, and for how long.
    fn task<'a>(
        &self,
        data: &'a Data,
        parts: &'a Parts,
        input: Input,
    ) -> Result<(Classification<'a>, Steps)> {
        /// Images computed at once where no gradient is needed.
        const EVALUATION_BATCH: usize = 64;
        let (loader, last) = self.loader(data, parts)?;
        let steps = Steps { last, per_epoch: loader.batches_per_epoch() as u64 };
        // Two batches are made while a step computes.
        let mut task = Classification::ahead(loader, 2)
            .smoothed(self.config.label_smoothing)
            .probed_by(DataProbe { data, training: &parts.training, seed: self.config.seed });
        for (part, indices) in [(Part::Validation, &parts.validation), (Part::Test, &parts.test)] {
            if !indices.is_empty() {
                let loader = data.in_order(Some(indices), input.batch(EVALUATION_BATCH))?;
                task = task.measured_on(part, loader);
            }
        }
        Ok((task, steps))
    }

    /// Writes into the configuration what the files decided, and where they are.
    fn resolve(&mut self, sources: &Sources, input: &Input) -> Result<()> {
        let config = &mut self.config;
        for path in config.zoo.iter_mut().chain([&mut config.data]) {
            *path = std::path::absolute(&*path).map_err(Error::io("find", &*path))?;
        }
        config.architecture = Some(sources.design.name().to_owned());
        config.channels = Some(input.channels);
        config.size = Some(input.size);
        config.resize = Some(input.resize);
        config.mean = Some(input.mean.clone());
        config.deviation = Some(input.deviation.clone());
        Ok(())
    }

    fn record(&self, bytes: u64) -> Result<Record> {
        let record = Record::open(self.folder.join(METRICS), bytes)?;
        // Only now is it certain that no other process is writing here.
        remove_leftovers(&self.folder);
        Ok(record)
    }

    /// Which images are for what.
    fn parts(&self, data: &Data) -> Result<Parts> {
        let Config { validation, test, seed, shots, .. } = self.config;
        let (labels, classes) = (data.labels(), data.classes().len());
        let [mut training, validation, test] =
            train_validation_test(labels, classes, validation, test, seed)
                .map_err(|error| Error::config("validation and test", error.to_string()))?;
        if let Some(shots) = shots {
            let of_training: Vec<usize> = training.iter().map(|&index| labels[index]).collect();
            let (chosen, _) = few_shot(&of_training, classes, shots, seed)
                .map_err(|error| Error::config("shots", error.to_string()))?;
            training = chosen.into_iter().map(|place| training[place]).collect();
        }
        if training.is_empty() {
            let problem = "leave no image to train on";
            return Err(Error::config("validation and test", problem));
        }
        Ok(Parts { training, validation, test })
    }

    /// The batches, and how many steps there are.
    fn loader(&self, data: &Data, parts: &Parts) -> Result<(Loader<'static>, u64)> {
        let Config { batch, seed, epochs, steps, .. } = self.config;
        // The values of one batch that a mistake in a size must not exceed.
        const MOST: usize = 1 << 31;
        let [batch, size] = [batch.min(parts.training.len()), self.config.size.unwrap_or(1)];
        let values = [batch, size, size, 3].iter().try_fold(1usize, |n, &k| n.checked_mul(k));
        if values.is_none_or(|values| values > MOST) {
            let problem =
                format!("{batch} images of {size}x{size} are more than one step can hold");
            return Err(Error::config("batch", problem));
        }
        let augmentation = self.config.augmentation();
        let loader = data.shuffled(Some(&parts.training), batch, seed, augmentation)?;
        let per_epoch = loader.batches_per_epoch() as u64;
        let steps = match (steps, epochs) {
            (Some(steps), _) => Some(steps),
            (None, epochs) => epochs.unwrap_or(1).checked_mul(per_epoch),
        };
        let steps = steps.filter(|&steps| steps <= MOST_STEPS && usize::try_from(steps).is_ok());
        let steps = steps.ok_or_else(|| Error::config("epochs", "are too many"))?;
        Ok((loader, steps))
    }
}

pub(super) const CONFIG: &str = "config.toml";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const GATES: &str = "gates.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
pub(super) const SUMMARY: &str = "summary.json";

/// Indices of images, by what they are for.
struct Parts {
    training: Vec<usize>,
    validation: Vec<usize>,
    test: Vec<usize>,
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
struct Steps {
    last: u64,
    per_epoch: u64,
}

/// A run that is going.
struct Session<'a, K> {
    run: &'a Run,
    model: Model,
    trainer: Trainer,
    task: K,
    steps: Steps,
    progress: Progress,
    record: Record,
    gates: Record,
    begun: Instant,
}

impl<K: Task> Session<'_, K> {
    fn train(mut self, observer: &mut dyn Observer) -> Result<Summary> {
        let first = self.progress.step;
        let trained = self.train_to_the_end(observer);
        trained.map_err(|error| room::saved(error, &self.run.folder))?;
        self.finish(first, observer)
    }

    fn train_to_the_end(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (first, last) = (self.progress.step, self.steps.last);
        if first > last {
            let problem = format!("the checkpoint is of step {first}, but there are only {last}");
            return Err(Error::config("resume", problem));
        }
        self.model.network.parameters_mut().to(&self.run.device)?;
        self.trainer.optimizer.to(&self.run.device)?;
        observer.note(&Event::Begin { step: first, steps: last });
        for step in first..last {
            if observer.stopped() {
                self.save()?;
                return Err(Error::Interrupted { saved: Some(self.run.folder.clone()) });
            }
            let done = self.trainer.step(&mut self.model.network, &mut self.task, step)?;
            self.after(&done, observer)?;
        }
        Ok(())
    }

    /// Measures, writes down and saves what is due after a step.
    fn after(&mut self, done: &Done, observer: &mut dyn Observer) -> Result<()> {
        let (config, Steps { last, per_epoch }) = (&self.run.config, self.steps);
        let &Done { steps: step, loss, learning_rate: rate, .. } = done;
        let epoch = (step - 1) / per_epoch + 1;
        self.progress.step = step;
        self.progress.meter.add(loss);
        observer.note(&Event::Step { step, epoch, loss, rate });
        let validate_every = match config.validate_every {
            0 => per_epoch,
            steps => steps,
        };
        let mut measured = None;
        if step % validate_every == 0 || step == last {
            measured = self.measured(Part::Validation)?;
        }
        if let Some(scores) = &measured {
            observer.note(&Event::Validated { step, scores });
            self.progress.validation = measured.clone();
        }
        if measured.is_some() || step % config.log_every == 0 || step == last {
            let loss = self.progress.meter.take().unwrap_or(loss);
            self.progress.loss = Some(loss);
            self.record.write(&Metrics { step, epoch, loss, rate, validation: measured })?;
        }
        let checkpoint_every = config.checkpoint_every;
        self.write_gates(step)?;
        if step % checkpoint_every == 0 || step == last {
            self.save().map_err(|error| in_batch(error, &done.indices))?;
        }
        Ok(())
    }

    /// Writes down the gates' averages, often enough for a curve.
    fn write_gates(&mut self, step: u64) -> Result<()> {
        const POINTS: u64 = 50;
        let last = self.steps.last;
        if step % last.div_ceil(POINTS).max(1) != 0 && step != last {
            return Ok(());
        }
        let gates = observe::averages(&self.model.network)?;
        if gates.is_empty() { Ok(()) } else { self.gates.write(&Gates { step, gates }) }
    }

    fn measured(&mut self, part: Part) -> Result<Option<Scores>> {
        self.task.evaluate(&self.model.network, part).map_err(|error| match error {
            Error::NotFinite { batch, layer, .. } => {
                Error::NotFinite { step: self.progress.step, batch, layer }
            }
            other => other,
        })
    }

    /// Writes the checkpoint, after the lines that belong before it.
    fn save(&mut self) -> Result<()> {
        let _span = profile::span("write checkpoint");
        self.progress.metrics_bytes = self.record.synchronise()?;
        self.progress.gates_bytes = self.gates.synchronise()?;
        let path = self.run.folder.join(CHECKPOINT);
        let (optimizer, task) = (&self.trainer.optimizer, self.task.state());
        checkpoint::save(path, &self.model, optimizer, &task, &self.progress)
    }

    /// Looks into the network and writes down what is seen.
    fn observe(&self) -> Result<()> {
        let Model { network, input, .. } = &self.model;
        let mut seen = Observations::read(&self.run.folder)?.unwrap_or_default();
        seen.look(network, input, self.task.exhibits()?)?;
        let classes = |part| self.task.classes(part).to_vec();
        seen.validation = classes(Part::Validation);
        seen.test = classes(Part::Test);
        seen.write(&self.run.folder)
    }

    fn finish(mut self, resumed_at_step: u64, observer: &mut dyn Observer) -> Result<Summary> {
        let test = self.measured(Part::Test)?;
        self.model.write(self.run.model_file())?;
        if let Err(error) = self.observe() {
            let problem = format!("the network is whole, but could not be looked into: {error}");
            observer.note(&Event::Warning(&problem));
        }
        let summary = Summary {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            form: self.run.config.form.name().to_owned(),
            architecture: self.model.design().name().to_owned(),
            zoo: self.run.config.zoo.clone(),
            source_scores: self.progress.scores.clone(),
            steps: self.steps.last,
            training_samples: self.progress.samples,
            parameters: self.model.network.parameters().trained(),
            loss: self.progress.loss,
            validation: self.progress.validation.clone(),
            test,
            resumed_at_step,
            seconds: self.begun.elapsed().as_secs_f64(),
        };
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| Error::config(SUMMARY, error.to_string()))?;
        write_atomically(self.run.folder.join(SUMMARY), |file| writeln!(file, "{text}"))?;
        Ok(summary)
    }
}

/// Says in which batch a value turned.
fn in_batch(error: Error, indices: &[usize]) -> Error {
    match error {
        Error::NotFinite { step, layer, .. } => {
            Error::NotFinite { step, batch: indices.to_vec(), layer }
        }
        other => other,
    }
}
