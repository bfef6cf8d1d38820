//! A run: a folder, and the training that fills it.
//!
//! | file | holds |
//! |---|---|
//! | `config.toml` | everything that decides what the run computes |
//! | `metrics.jsonl` | a line for every few steps |
//! | `checkpoint.safetensors` | what the run goes on from; see [`super::checkpoint`] |
//! | `model.safetensors` | the tuned network, at the end |
//! | `summary.json` | what came out, at the very end |
//!
//! A run that is killed at any moment goes on from its last checkpoint as if nothing had
//! happened: `metrics.jsonl` is cut off there, and every bit that follows is the same.

use super::beginning::{Beginning, Sources, begin};
use super::checkpoint::{self, Progress};
use super::classification::train_step;
use super::config::MOST_STEPS;
use super::record::{Metrics, Record, is_leftover, remove_leftovers};
use super::{Config, Data, Input, Model, Purpose, evaluate, room};
use crate::dataset::{Loader, few_shot, train_validation_test};
use crate::export::write_atomically;
use crate::nn::Network;
use crate::optim::{Optimizer, Schedule};
use crate::tensor::Device;
use crate::{Error, Result, profile};
use serde::Serialize;
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
    /// Accuracy was measured after a step.
    Validated {
        /// Steps done.
        step: u64,
        /// On the validation images, 0 to 1.
        accuracy: f64,
    },
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
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Version of the program.
    pub version: &'static str,
    /// What became of the sources.
    pub form: &'static str,
    /// Name of the architecture.
    pub architecture: &'static str,
    /// Files of the sources.
    pub zoo: Vec<PathBuf>,
    /// What the sources scored on the training images before tuning, 0 to 1; empty if they
    /// were not asked.
    pub source_scores: Vec<f64>,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Images that were trained on.
    pub training_samples: usize,
    /// Images that accuracy was measured on while training.
    pub validation_samples: usize,
    /// Images that accuracy was measured on once, at the end.
    pub test_samples: usize,
    /// Numbers in the network.
    pub parameters: usize,
    /// The last training loss.
    pub loss: Option<f64>,
    /// The last accuracy on the validation images, 0 to 1.
    pub validation_accuracy: Option<f64>,
    /// The accuracy on the test images, 0 to 1.
    pub test_accuracy: Option<f64>,
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

/// Images computed at once where no gradient is needed.
const EVALUATION_BATCH: usize = 64;

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
        let mut optimizer = Optimizer::new(self.config.rule(), self.config.groups());
        if self.resumed && file.exists() {
            let (model, progress) = checkpoint::load(&file, &mut optimizer)?;
            let data = Data::open(&self.config.data, Purpose::Training, &model.input)?;
            let parts = self.parts(&data)?;
            if parts.training.len() != progress.samples || data.classes() != model.classes {
                let problem = format!(
                    "{} is not what it was: expected {} training images of {} classes, found {} of \
                     {}; begin anew with another --out",
                    self.config.data.display(),
                    progress.samples,
                    model.classes.len(),
                    parts.training.len(),
                    data.classes().len()
                );
                return Err(Error::config("data", problem));
            }
            let record = self.record(progress.metrics_bytes)?;
            return Session {
                run: self,
                model,
                optimizer,
                progress,
                record,
                data: &data,
                parts,
                begun,
            }
            .train(observer);
        }
        let sources = Sources::open(&self.config)?;
        let input = self.config.input(sources.input.clone())?;
        let data = Data::open(&self.config.data, Purpose::Training, &input)?;
        let parts = self.parts(&data)?;
        self.loader(&data, &parts)?;
        self.resolve(&sources, &input)?;
        let text = format!(
            "# Written by zoo-tuning {}. The same run again: train --config THIS --out FOLDER\n\n{}",
            env!("CARGO_PKG_VERSION"),
            self.config.to_toml()?
        );
        write_atomically(self.folder.join(CONFIG), |file| file.write_all(text.as_bytes()))?;
        let record = self.record(0)?;
        let phase = |phase: &str| observer.note(&Event::Phase(phase));
        let Beginning { blueprint, network, scores } =
            begin(&self.config, sources, &data, &parts.training, phase)?;
        let model = Model {
            blueprint,
            network,
            input,
            classes: data.classes().to_vec(),
            notes: BTreeMap::new(),
            origin: self.folder.display().to_string(),
        };
        let (seed, samples) = (self.config.seed, parts.training.len());
        let progress = Progress { seed, samples, scores, ..Progress::default() };
        let mut session =
            Session { run: self, model, optimizer, progress, record, data: &data, parts, begun };
        session.save()?;
        session.train(observer)
    }

    /// Writes into the configuration what the files decided, and where they are.
    fn resolve(&mut self, sources: &Sources, input: &Input) -> Result<()> {
        let config = &mut self.config;
        for path in config.zoo.iter_mut().chain([&mut config.data]) {
            *path = std::path::absolute(&*path).map_err(Error::io("find", &*path))?;
        }
        config.architecture = Some(sources.architecture.name.to_owned());
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
    fn loader<'a>(&self, data: &'a Data, parts: &Parts) -> Result<(Loader<'a>, u64)> {
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

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const SUMMARY: &str = "summary.json";

/// Indices of images, by what they are for.
struct Parts {
    training: Vec<usize>,
    validation: Vec<usize>,
    test: Vec<usize>,
}

/// A run that is going.
struct Session<'a> {
    run: &'a Run,
    model: Model,
    optimizer: Optimizer<f32>,
    progress: Progress,
    record: Record,
    data: &'a Data,
    parts: Parts,
    begun: Instant,
}

impl Session<'_> {
    fn train(self, observer: &mut dyn Observer) -> Result<Summary> {
        let folder = &self.run.folder;
        self.train_to_the_end(observer).map_err(|error| room::saved(error, folder))
    }

    fn train_to_the_end(mut self, observer: &mut dyn Observer) -> Result<Summary> {
        let config = &self.run.config;
        let (loader, steps) = self.run.loader(self.data, &self.parts)?;
        let per_epoch = loader.batches_per_epoch() as u64;
        let validate_every =
            if config.validate_every == 0 { per_epoch } else { config.validate_every };
        let schedule = config.schedule();
        let (first, last) = (self.progress.step, steps);
        if first > last {
            let problem = format!("the checkpoint is of step {first}, but there are only {last}");
            return Err(Error::config("resume", problem));
        }
        self.model.network.parameters_mut().to(&self.run.device)?;
        self.optimizer.to(&self.run.device)?;
        observer.note(&Event::Begin { step: first, steps });
        // Two batches are made while a step computes.
        loader.for_each(first..last, 2, |step, batch| {
            if observer.stopped() {
                return self.interrupt();
            }
            let rate = config.learning_rate * factor(&schedule, step, steps);
            let loss = self.step(&batch, rate)?;
            let (step, epoch) = (step + 1, step / per_epoch + 1);
            observer.note(&Event::Step { step, epoch, loss, rate });
            let mut accuracy = None;
            if !self.parts.validation.is_empty() && (step % validate_every == 0 || step == last) {
                let measured = self.accuracy(&self.parts.validation)?;
                observer.note(&Event::Validated { step, accuracy: measured });
                accuracy = Some(measured);
                self.progress.validation_accuracy = accuracy;
            }
            if accuracy.is_some() || step % config.log_every == 0 || step == last {
                let loss = self.progress.meter.take().unwrap_or(loss);
                self.progress.loss = Some(loss);
                self.record.write(&Metrics {
                    step,
                    epoch,
                    loss,
                    rate,
                    validation_accuracy: accuracy,
                })?;
            }
            if step % config.checkpoint_every == 0 || step == last {
                self.save().map_err(|error| in_batch(error, &batch.indices))?;
            }
            Ok(())
        })?;
        self.finish(steps, first)
    }

    /// One step of training; returns the loss.
    fn step(&mut self, batch: &crate::dataset::Batch, rate: f64) -> Result<f64> {
        let smoothing = self.run.config.label_smoothing;
        let network = &mut self.model.network;
        let optimizer = &mut self.optimizer;
        let loss = train_step(network, optimizer, batch, smoothing, rate).map_err(|error| {
            // That the network changes is of no matter any more: the run ends here.
            room::advised(error, batch.labels.len(), |count| {
                let fewer = room::first(batch, count)?;
                train_step(network, optimizer, &fewer, smoothing, rate).map(drop)
            })
        })?;
        self.progress.step += 1;
        self.progress.meter.add(loss);
        Ok(loss)
    }

    fn interrupt(&mut self) -> Result<()> {
        self.save()?;
        Err(Error::Interrupted { saved: Some(self.run.folder.clone()) })
    }

    fn accuracy(&self, indices: &[usize]) -> Result<f64> {
        let numbers: Vec<usize> = (0..self.model.classes.len()).collect();
        let measured = |batch| {
            let loader = self.data.in_order(Some(indices), self.model.input.batch(batch))?;
            evaluate(&self.model.network, &loader, &numbers, &self.model.classes)
        };
        let mut found = measured(EVALUATION_BATCH);
        // Nobody chose this batch, so that nobody has to choose another.
        while let Err(Error::DeviceMemory { fits: Some(batch @ 1..), .. }) = found {
            found = measured(batch);
        }
        found.map(|evaluation| evaluation.accuracy).map_err(|error| match error {
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
        let path = self.run.folder.join(CHECKPOINT);
        checkpoint::save(path, &self.model, &self.optimizer, &self.progress)
    }

    fn finish(self, steps: u64, resumed_at_step: u64) -> Result<Summary> {
        let test = &self.parts.test;
        let test_accuracy = if test.is_empty() { None } else { Some(self.accuracy(test)?) };
        self.model.write(self.run.model_file())?;
        let summary = Summary {
            version: env!("CARGO_PKG_VERSION"),
            form: self.run.config.form.name(),
            architecture: self.model.blueprint.architecture.name,
            zoo: self.run.config.zoo.clone(),
            source_scores: self.progress.scores.clone(),
            steps,
            training_samples: self.parts.training.len(),
            validation_samples: self.parts.validation.len(),
            test_samples: test.len(),
            parameters: self.model.network.parameters().trained(),
            loss: self.progress.loss,
            validation_accuracy: self.progress.validation_accuracy,
            test_accuracy,
            resumed_at_step,
            seconds: self.begun.elapsed().as_secs_f64(),
        };
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| Error::config(SUMMARY, error.to_string()))?;
        write_atomically(self.run.folder.join(SUMMARY), |file| writeln!(file, "{text}"))?;
        Ok(summary)
    }
}

fn factor(schedule: &Schedule, step: u64, steps: u64) -> f64 {
    // Both fit: `Run::loader` has checked.
    schedule.factor(step as usize, steps as usize)
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
