//! A run: a folder, and the training that fills it.
//!
//! | file | holds |
//! |---|---|
//! | `config.toml` | everything that decides what the run computes |
//! | `metrics.jsonl` | a line for every few steps |
//! | `tensorboard/` | the same for TensorBoard, if that is wanted |
//! | `checkpoint.safetensors` | what the run goes on from; see [`super::checkpoint`] |
//! | `gates.jsonl` | the gates' moving averages (lite), fifty times in a run |
//! | `data.json` | the files of the data as they were at the beginning, what was left out of them |
//! | `observations.json` | the sources; at the end, what is seen inside of the network |
//! | `replay.bin` | what an agent remembers |
//! | `start.safetensors` | the network before its first step, if it is kept near that |
//! | `model.safetensors` | the tuned network, at the end |
//! | `best.safetensors` | the one that was best on the validation samples, if both are kept |
//! | `summary.json` | what came out, at the very end |
//!
//! A run that is killed at any moment goes on from its last checkpoint as if nothing had
//! happened: `metrics.jsonl` and `gates.jsonl` are cut off there, and every bit that follows is the same.

mod summary;
mod together;

pub use summary::Summary;

use super::checkpoint::{self, Progress, Saved};
use super::choice::{FormName, Keep};
use super::config::TaskConfig;
use super::data::Given;
use super::material::{Accepted, MATERIAL};
use super::parts::Parts;
use super::penalties::penalties;
use super::rates::rates;
use super::record::{Record, remove_leftovers};
use super::recorded::{OBSERVATIONS, Observations};
use super::session::{Session, Steps};
use super::sources::{Begun, Sources, initial_network};
use super::task::reinforcement::REPLAY;
use super::task::{Opened, Task};
use super::{Config, Data, Event, EventFile, Input, Material, Model, Observer, Trainer, observe};
use crate::dataset::Dataset;
use crate::export::{is_leftover, write_atomically};
use crate::nn::{Form, Network};
use crate::optim::{Optimizer, WeightAverage};
use crate::processes::Group;
use crate::start::Probe;
use crate::tensor::Device;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use toml::Table;

/// A folder that a run is recorded in.
pub struct Run {
    folder: PathBuf,
    config: Config,
    /// Whether the folder was made for the run.
    made: bool,
    /// Whether there may be a checkpoint.
    resumed: bool,
    /// Whether it goes on for longer than it was to.
    extended: bool,
    /// Whether it may go on with other data than it began with.
    accepts_changed_data: bool,
    /// What computes.
    device: Device,
    /// Data that take the place of those at its path.
    given: Given,
    /// The processes that train together, if this is one of several.
    group: Option<Group>,
}

impl Run {
    /// A new run in `folder`, which is made if need be.
    ///
    /// # Errors
    /// If the folder holds anything, or cannot be written.
    pub fn create(folder: impl AsRef<Path>, config: Config) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let made = !folder.exists();
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
        Ok(Self { made, ..Self::following(&folder, config) })
    }

    /// A new run that another process records in `folder`.
    fn following(folder: &Path, config: Config) -> Self {
        Self {
            folder: folder.to_path_buf(),
            config,
            made: false,
            resumed: false,
            extended: false,
            accepts_changed_data: false,
            device: Device::Cpu,
            given: None,
            group: None,
        }
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
        Ok(Self { resumed: true, ..Self::following(&folder, config) })
    }

    /// The run in `folder`, to go on with, or a new one there.
    ///
    /// # Errors
    /// As those of [`Run::resume`] and [`Run::create`].
    pub fn resume_or_create(folder: impl AsRef<Path>, config: Config) -> Result<Self> {
        match folder.as_ref().join(CONFIG).exists() {
            true => Self::resume(folder),
            false => Self::create(folder, config),
        }
    }

    /// The same run for longer: `flags` may set what its length depends on, `optimizer.epochs`,
    /// `steps`, `patience` and `time_limit`. The learning rate then follows the schedule of the new
    /// length from where the run stopped. Its folder stays as it is until the run goes on.
    ///
    /// # Errors
    /// If `flags` set anything else, or to no use.
    pub fn extended(mut self, flags: Table) -> Result<Self> {
        const KEYS: [&str; 4] = ["epochs", "steps", "patience", "time_limit"];
        let values = |value: &toml::Value| value.as_table().map_or(1, Table::len);
        let count: usize = flags.values().map(values).sum();
        if count == 0 {
            return Ok(self);
        }
        let length = flags.get("optimizer").and_then(toml::Value::as_table);
        let allowed = |table: &Table| KEYS.iter().filter(|key| table.contains_key(**key)).count();
        if length.map_or(0, allowed) < count {
            let flags = KEYS.map(|key| Config::flag(&format!("optimizer.{key}"))).join(", ");
            let problem = format!(
                "a run goes on as it began; what may change is {flags}. For all else begin anew: \
                 --config {} --out FOLDER",
                self.folder.join(CONFIG).display()
            );
            return Err(Error::config("resume", problem));
        }
        self.config = Config::read(Some(&self.folder.join(CONFIG)), flags)?;
        self.extended = true;
        Ok(self)
    }

    /// Writes down what the run is to do, once nothing refuses it; what came out is no longer that.
    fn begin(&self) -> Result<()> {
        if !self.records() {
            return Ok(());
        }
        self.write_config()?;
        let summary = self.folder.join(SUMMARY);
        if summary.exists() {
            std::fs::remove_file(&summary).map_err(Error::io("remove", &summary))?;
        }
        Ok(())
    }

    /// The same run, which goes on though its data are not what they were, and records that.
    pub fn accepting_changed_data(self) -> Self {
        Self { accepts_changed_data: true, ..self }
    }

    /// The same run, its steps and measurements computed by `device`. The configuration does not
    /// keep it: a run may be resumed elsewhere.
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// The same run on these data, in place of those at its path; which are for what, they say
    /// themselves, or it is as the configuration says. Who resumes the run gives them again.
    pub fn with_data(self, data: Arc<dyn Dataset>) -> Self {
        Self { given: Some(data), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the run's task is opened with.
    pub(super) fn given(&self) -> &Given {
        &self.given
    }

    /// What computes.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// What the run does.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The images that the run is trained on, by their indices among its data, as `input` sees them.
    ///
    /// # Errors
    /// If the data cannot be read or divided as they were.
    pub fn training_images(&self, input: &Input) -> Result<(Data, Vec<usize>)> {
        let Config { data: config, seed, .. } = &self.config;
        let data = Data::of_run(config, input, &self.given)?;
        let data = data.checked(config.check.check(), config.skip_unreadable)?;
        let training = Parts::of(config, &data, *seed)?.training;
        Ok((data, training))
    }

    /// The network's file, once the run is finished.
    pub fn model_file(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    /// Where the best network is written while the run goes, if it is kept.
    pub(super) fn best_file(&self) -> Option<PathBuf> {
        match self.config.record.keep {
            Keep::Last => None,
            Keep::Best => Some(self.model_file()),
            Keep::Both => Some(self.folder.join(BEST)),
        }
    }

    /// Whether the run is finished, and is not to go on for longer.
    pub fn is_finished(&self) -> bool {
        !self.extended && self.folder.join(SUMMARY).exists()
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
        let trained = match self.config.task.clone() {
            TaskConfig::Classification(settings) => {
                let (given, group) = (self.given.clone(), self.group.clone());
                self.train_by(observer, |config, input| {
                    settings.open(config, input, &given, group.as_ref())
                })
            }
            TaskConfig::Landmarks(settings) => {
                let (given, group) = (self.given.clone(), self.group.clone());
                self.train_by(observer, |config, input| {
                    settings.open(config, input, &given, group.as_ref())
                })
            }
            TaskConfig::Reinforcement(settings) => {
                let folder = self.folder.clone();
                settings.complete(&mut self.config).and_then(|()| {
                    self.train_by(observer, |config, _| settings.open(config, &folder))
                })
            }
        };
        if trained.is_err()
            && self.records()
            && !self.resumed
            && !self.folder.join(CHECKPOINT).exists()
        {
            self.remove_start();
        }
        trained
    }

    /// Removes what a start has left that came to no step: the same command may be given again.
    fn remove_start(&self) {
        // What cannot be removed is in nobody's way but the next run's, which says so.
        for name in [CONFIG, METRICS, GATES, MATERIAL, OBSERVATIONS, START, REPLAY] {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
        let _ = std::fs::remove_dir_all(self.folder.join(TENSORBOARD));
        if self.made {
            let _ = std::fs::remove_dir(&self.folder);
        }
    }

    /// Trains the task that `open` makes, for images that are seen as `input`.
    fn train_by<K: Task>(
        &mut self,
        observer: &mut dyn Observer,
        open: impl FnOnce(&Config, &Input) -> Result<Opened<K>>,
    ) -> Result<Summary> {
        let begun = Instant::now();
        if self.has_ended()? {
            let problem = format!("the run in {} is finished", self.folder.display());
            return Err(Error::config("resume", problem));
        }
        let settings = &self.config.optimizer;
        let optimizer = Optimizer::new(settings.rule(), self.config.groups());
        let file = self.folder.join(CHECKPOINT);
        // Who waits for a file system to tell it of the file does as the first process does.
        if self.of_first(self.resumed && file.exists())? {
            let Saved { mut model, optimizer, average, task: state, mut progress } =
                checkpoint::load(&file, optimizer)?;
            let opened = open(&self.config, &model.input)?;
            let steps = Steps::of(settings, opened.batches_per_epoch)?;
            if progress.step > steps.last {
                let (step, last) = (progress.step, steps.last);
                let problem =
                    format!("the checkpoint is of step {step}, but there are only {last}");
                return Err(Error::config("resume", problem));
            }
            if self.records() {
                self.check_data(&opened, &model, &mut progress, observer)?;
            }
            let known =
                [progress.step, steps.last, opened.batches_per_epoch, opened.samples as u64];
            let known = [&known[..], &[opened.material.mark()]].concat();
            self.agree(&mut model.network, &known)?;
            opened.notes.iter().for_each(|note| observer.note(&Event::Warning(note)));
            let mut task = opened.task;
            task.restore(&model.network, &state)?;
            if self.extended {
                self.begin()?;
            }
            let mut trainer = self.trainer(&model.network, optimizer, steps, task.probe())?;
            if let (Some(kept), Some(saved)) = (&mut trainer.average, &average) {
                kept.load(saved)?;
            }
            let record = self.record(progress.metrics_bytes)?;
            let gates = self.lines(GATES, progress.gates_bytes)?;
            let events = self.events(progress.step)?;
            let run = &*self;
            let earlier = progress.seconds.unwrap_or(0.0);
            let session = Session {
                run,
                earlier,
                model,
                trainer,
                task,
                steps,
                progress,
                record,
                gates,
                events,
                begun,
                written: None,
            };
            return session.train(observer);
        }
        let mut sources = Sources::open(&self.config)?;
        sources.notes.iter().for_each(|note| observer.note(&Event::Warning(note)));
        let input = self.config.data.input(sources.input.clone())?;
        let Opened {
            task,
            outputs,
            classes,
            samples,
            batches_per_epoch,
            notes,
            material,
            metadata,
        } = open(&self.config, &input)?;
        notes.iter().for_each(|note| observer.note(&Event::Warning(note)));
        let steps = Steps::of(settings, batches_per_epoch)?;
        self.resolve(&sources, &input)?;
        self.begin()?;
        let mark = material.mark();
        if self.records() {
            material.write(&self.folder)?;
        }
        let record = self.record(0)?;
        let gates = self.lines(GATES, 0)?;
        let mut described = std::mem::take(&mut sources.described);
        let phase = |phase: &str| observer.note(&Event::Phase(phase));
        let Begun { network, scores, routing } =
            initial_network(&self.config, sources, &classes, outputs, task.probe(), phase)?;
        if let Some(routing) = &routing {
            observer.note(&Event::Routed(routing));
        }
        let mut model = Model::from_network(network, input, &classes);
        described.iter_mut().zip(&scores).for_each(|(source, score)| source.scores.push(*score));
        model.notes = observe::notes_of(&described);
        model.notes.extend(metadata);
        if !scores.is_empty() {
            observer.note(&Event::Scored(&described));
        }
        if self.records() {
            Observations { classes, sources: described, ..Observations::default() }
                .write(&self.folder)?;
        }
        let seed = self.config.seed;
        let progress = Progress { seed, samples, scores, routing, ..Progress::default() };
        if self.config.method.stays_near() && self.records() {
            model.write(self.folder.join(START))?;
        }
        self.agree(&mut model.network, &[0, steps.last, batches_per_epoch, samples as u64, mark])?;
        let trainer = self.trainer(&model.network, optimizer, steps, task.probe())?;
        let events = self.events(0)?;
        let (run, earlier) = (&*self, 0.0);
        let mut session = Session {
            run,
            earlier,
            model,
            trainer,
            task,
            steps,
            progress,
            record,
            gates,
            events,
            begun,
            written: None,
        };
        session.save()?;
        session.train(observer)
    }

    /// An error if the data are not what they were when the run began; a warning and a line in their
    /// record if that is accepted.
    fn check_data<K>(
        &self,
        found: &Opened<K>,
        model: &Model,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        // A run of an older version has no record of its files.
        let begun = Material::read(&self.folder)?.unwrap_or_default();
        let change = Some(&begun).filter(|begun| !begun.files.is_empty());
        let mut change = change.and_then(|begun| begun.change(&found.material));
        let outputs = model.design().outputs;
        let fits = found.outputs == outputs && found.classes == model.classes;
        if !fits || found.samples != progress.samples {
            let counts = format!(
                "expected {} training samples of {outputs} classes, found {} of {}",
                progress.samples, found.samples, found.outputs
            );
            change = Some(change.map_or(counts.clone(), |change| format!("{counts}; {change}")));
        }
        let Some(change) = change else { return Ok(()) };
        let data = self.config.data.path.display();
        if !fits || !self.accepts_changed_data {
            let remedy = match fits {
                true => {
                    "restore it, go on with it as it is by --accept-changed-data, or begin anew"
                }
                false => "restore it, or begin anew",
            };
            let problem = format!(
                "{data} is not what it was when the run began: {change}; {remedy} with another --out"
            );
            return Err(Error::config("data.path", problem));
        }
        observer.note(&Event::Warning(&format!("going on with changed data, as asked: {change}")));
        let mut material = found.material.clone();
        material.accepted = begun.accepted;
        material.accepted.push(Accepted { step: progress.step, change });
        progress.samples = found.samples;
        material.write(&self.folder)
    }

    fn trainer(
        &self,
        network: &Network<f32>,
        optimizer: Optimizer<f32>,
        steps: Steps,
        probe: Option<&dyn Probe>,
    ) -> Result<Trainer> {
        let settings = &self.config.optimizer;
        let optimizer = optimizer.with_lr_scales(rates(settings, network.parameters())?);
        let average = settings.average;
        let average = average.map(|decay| WeightAverage::new(network.parameters(), decay));
        Ok(Trainer {
            accumulate: settings.accumulate,
            seed: self.config.seed,
            clip_norm: settings.clip_norm,
            average: average.transpose()?,
            group: self.group.clone(),
            penalties: penalties(&self.config, &self.folder.join(START), probe)?,
            ..Trainer::new(optimizer, settings.learning_rate, settings.schedule(), steps.last)
        })
    }

    /// Writes into the configuration what the files decided, and where they are.
    fn resolve(&mut self, sources: &Sources, input: &Input) -> Result<()> {
        let Config { method, data, task, .. } = &mut self.config;
        // Not every task has data at a path.
        let path = Some(&mut data.path).filter(|path| !path.as_os_str().is_empty());
        let further = [&mut data.validation_data, &mut data.test_data].into_iter().flatten();
        let teachers = match task {
            TaskConfig::Classification(task) => &mut task.teachers[..],
            TaskConfig::Landmarks(_) | TaskConfig::Reinforcement(_) => &mut [],
        };
        let networks = method.zoo.iter_mut().chain(&mut method.from).chain(teachers);
        for path in networks.chain(path).chain(further) {
            *path = std::path::absolute(&*path).map_err(Error::io("find", &*path))?;
        }
        method.architecture = Some(sources.design.name().to_owned());
        if let Some(model) = &sources.from {
            method.form = match model.network.blueprint().form {
                Form::Plain => FormName::Single,
                Form::Zoo(_) => FormName::Zoo,
                Form::Lite(_) => FormName::Lite,
                Form::Routed => FormName::Routed,
            };
        }
        data.channels = Some(input.channels);
        data.size = Some(input.size);
        data.resize = Some(input.resize);
        data.resize_mode = Some(input.resize_mode);
        data.ignore_orientation = input.ignore_orientation;
        data.mean = Some(input.mean.clone());
        data.std = Some(input.std.clone());
        Ok(())
    }

    fn write_config(&self) -> Result<()> {
        let text = self.config.to_toml()?;
        write_atomically(self.folder.join(CONFIG), |file| {
            let version = env!("CARGO_PKG_VERSION");
            writeln!(file, "# Written by zoo-tuning {version}. The same run again:")?;
            writeln!(file, "# zoo-tuning train --config THIS --out FOLDER\n")?;
            file.write_all(text.as_bytes())
        })
    }

    fn record(&self, bytes: u64) -> Result<Record> {
        let record = self.lines(METRICS, bytes)?;
        // Only now is it certain that no other process is writing here.
        if self.records() {
            remove_leftovers(&self.folder);
        }
        Ok(record)
    }

    /// A file of lines in the folder, cut off after `bytes`.
    fn lines(&self, name: &str, bytes: u64) -> Result<Record> {
        if self.records() {
            Record::open(self.folder.join(name), bytes)
        } else {
            Ok(Record::nowhere())
        }
    }

    /// The event file that TensorBoard shows, if one is wanted, of a run that has done `step` steps.
    fn events(&self, step: u64) -> Result<Option<EventFile>> {
        if !self.config.record.tensorboard || !self.records() {
            return Ok(None);
        }
        let folder = self.folder.join(TENSORBOARD);
        if self.resumed {
            return EventFile::resume(folder, step + 1).map(Some);
        }
        let mut events = EventFile::create(folder)?;
        events.text(0, "configuration", &format!("```toml\n{}```", self.config.to_toml()?))?;
        Ok(Some(events))
    }
}

pub(super) const CONFIG: &str = "config.toml";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const GATES: &str = "gates.jsonl";
const TENSORBOARD: &str = "tensorboard";
const START: &str = "start.safetensors";
const MODEL: &str = "model.safetensors";
const BEST: &str = "best.safetensors";
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
pub(super) const SUMMARY: &str = "summary.json";
