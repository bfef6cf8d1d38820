//! The training of a run: its steps, and what is measured, written down and saved after each.

use super::checkpoint::{self, Best, Progress};
use super::choice::Keep;
use super::config::{MOST_STEPS, OptimizerConfig};
use super::record::{Gates, Metrics, Record};
use super::recorded::Observations;
use super::run::{CHECKPOINT, SUMMARY};
use super::task::{Part, Scores, Task};
use super::{Done, Event, EventFile, Model, Observer, Run, Summary, Trainer, observe, room};
use crate::export::write_atomically;
use crate::tensor::Device;
use crate::{Error, Result, profile};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a run is, and where its epochs end. Steps count from 1 here: they are done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub last: u64,
    batches_per_epoch: u64,
    accumulate: u64,
}

impl Steps {
    /// The steps that `config` asks for, of samples that so many batches show once.
    ///
    /// # Errors
    /// If there are too many.
    pub fn of(config: &OptimizerConfig, batches_per_epoch: u64) -> Result<Self> {
        let accumulate = config.accumulate.max(1);
        let batches_per_epoch = batches_per_epoch.max(1);
        let last = match (config.steps, config.epochs) {
            (Some(steps), _) => Some(steps),
            (None, epochs) => epochs.unwrap_or(1).checked_mul(batches_per_epoch),
        };
        let last = match config.steps {
            Some(_) => last,
            None => last.map(|batches| batches.div_ceil(accumulate)),
        };
        let last = last.filter(|&last| last <= MOST_STEPS && usize::try_from(last).is_ok());
        let last = last.ok_or_else(|| Error::config("optimizer.epochs", "are too many"))?;
        Ok(Self { last, batches_per_epoch, accumulate })
    }

    /// The epoch, counted from 1, that a step's last batch belongs to.
    fn epoch(self, step: u64) -> u64 {
        (step * self.accumulate - 1) / self.batches_per_epoch + 1
    }

    /// Whether an epoch ends within a step.
    fn ends_epoch(self, step: u64) -> bool {
        let ended = |step: u64| step * self.accumulate / self.batches_per_epoch;
        ended(step) > ended(step - 1)
    }
}

/// A run that is going.
pub(super) struct Session<'a, K> {
    pub run: &'a Run,
    pub model: Model,
    pub trainer: Trainer,
    pub task: K,
    pub steps: Steps,
    pub progress: Progress,
    pub record: Record,
    pub gates: Record,
    pub events: Option<EventFile>,
    pub begun: Instant,
    /// Seconds that earlier processes trained.
    pub earlier: f64,
    /// The step after which the network was written.
    pub written: Option<u64>,
}

impl<K: Task> Session<'_, K> {
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Summary> {
        let first = self.progress.step;
        let trained = self.train_to_the_end(observer);
        trained.map_err(|error| room::saved(error, self.run.folder()))?;
        self.finish(first, observer)
    }

    fn train_to_the_end(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (first, last) = (self.progress.step, self.steps.last);
        self.model.network.parameters_mut().to(self.run.device())?;
        self.trainer.optimizer.to(self.run.device())?;
        if let Some(average) = &mut self.trainer.average {
            average.to(self.run.device())?;
        }
        let limit = self.run.config().optimizer.time_limit()?;
        observer.note(&Event::Begin { step: first, steps: last });
        for step in first..last {
            if self.stopped_by(limit)?.is_some() {
                break;
            }
            if self.run.of_first(observer.stopped())? {
                self.save()?;
                let saved = Some(self.run.folder().to_path_buf());
                return Err(Error::Interrupted { saved });
            }
            let done = self.trainer.step(&mut self.model.network, &mut self.task, step)?;
            self.after(&done, limit, observer)?;
        }
        Ok(())
    }

    /// The key that ends the run before its last step, if one does.
    fn stopped_by(&self, limit: Option<Duration>) -> Result<Option<&'static str>> {
        let is_over = match limit {
            Some(limit) => self.run.of_first(self.seconds() >= limit.as_secs_f64())?,
            None => false,
        };
        let patience = self.run.config().optimizer.patience;
        let is_tired = patience.is_some_and(|most| self.progress.waited >= most);
        Ok(match self.progress.step {
            0 => None,
            _ if is_tired => Some("patience"),
            _ => is_over.then_some("time_limit"),
        })
    }

    /// Seconds of training, those of earlier processes too.
    fn seconds(&self) -> f64 {
        self.earlier + self.begun.elapsed().as_secs_f64()
    }

    /// Writes the last network, if it is kept and not written yet, with the average of its parameters,
    /// if there is one; but none that is not finite, which the measuring or the checkpoint tells of.
    fn write_model(&mut self) -> Result<()> {
        let step = Some(self.progress.step);
        let is_written = self.written == step || !self.run.records();
        if self.run.config().record.keep == Keep::Best || is_written {
            return Ok(());
        }
        let state = self.model.network.parameters().state("the network");
        for tensor in state.tensors.values() {
            if !tensor.to(&Device::Cpu)?.is_finite() {
                return Ok(());
            }
        }
        self.trade_averages()?;
        let written = self.model.write(self.run.model_file());
        self.trade_averages()?;
        self.written = step;
        written
    }

    /// Measures, writes down and saves what is due after a step.
    fn after(
        &mut self,
        done: &Done,
        limit: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let (config, steps) = (&self.run.config().record, self.steps);
        let &Done { steps: step, loss, learning_rate, .. } = done;
        let epoch = steps.epoch(step);
        self.progress.step = step;
        self.progress.meter.add(loss);
        if let Some(norm) = done.gradient_norm {
            self.progress.gradient_norm.add(norm);
        }
        observer.note(&Event::Step { step, epoch, loss, learning_rate });
        let is_due = match config.validate_every {
            0 => steps.ends_epoch(step),
            every => step % every == 0,
        };
        let is_last = step == steps.last || self.stopped_by(limit)?.is_some();
        if is_last {
            // Before anything that may still fail, such as the reading of a validation sample.
            self.write_model()?;
        }
        let measured = match is_due || is_last {
            true => self.measured(Part::Validation)?,
            false => None,
        };
        if let Some(scores) = &measured {
            observer.note(&Event::Validated { step, scores });
            self.progress.validation = measured.clone();
            self.compare(scores)?;
        }
        // Patience may have ended now.
        let is_last = is_last || self.stopped_by(limit)?.is_some();
        if measured.is_some() || step % config.log_every == 0 || is_last {
            let loss = self.progress.meter.take().unwrap_or(loss);
            self.progress.loss = Some(loss);
            let gradient_norm = self.progress.gradient_norm.take();
            let (validation, measured) = (measured, self.task.measures());
            if let Some(measured) = &measured {
                observer.note(&Event::Measured { step, measured });
            }
            let line =
                Metrics { step, epoch, loss, learning_rate, gradient_norm, validation, measured };
            self.record.write(&line)?;
            self.draw(&line)?;
        }
        let is_saved = step % config.checkpoint_every == 0 || is_last;
        self.write_gates(step, is_last)?;
        if is_saved {
            self.save().map_err(|error| in_batch(error, &done.indices))?;
        }
        Ok(())
    }

    /// Writes down the gates' averages, often enough for a curve.
    fn write_gates(&mut self, step: u64, is_last: bool) -> Result<()> {
        const POINTS: u64 = 50;
        if !step.is_multiple_of(self.steps.last.div_ceil(POINTS).max(1)) && !is_last {
            return Ok(());
        }
        let gates = observe::averages(&self.model.network)?;
        if gates.is_empty() { Ok(()) } else { self.gates.write(&Gates { step, gates }) }
    }

    /// Compares what was measured with the best, and writes the network if it is better.
    fn compare(&mut self, scores: &Scores) -> Result<()> {
        let best = self.progress.best.as_ref();
        let is_better = best.is_none_or(|best| scores.is_better_than(&best.validation));
        // Each measures by itself, and may round otherwise.
        if !self.run.of_first(is_better)? {
            self.progress.waited += 1;
            return Ok(());
        }
        let step = self.progress.step;
        self.progress.best = Some(Best { step, validation: scores.clone(), test: None });
        self.progress.waited = 0;
        if let Some(path) = self.run.best_file().filter(|_| self.run.records()) {
            self.trade_averages()?;
            let written = self.model.write(path);
            self.trade_averages()?;
            written?;
        }
        Ok(())
    }

    /// The best network takes the place of the last one, which is written already or not wanted.
    fn take_best(&mut self, path: &Path) -> Result<()> {
        self.model = Model::open(path, None)?;
        self.model.network.parameters_mut().to(self.run.device())?;
        self.trainer.average = None;
        Ok(())
    }

    /// How good the network is on a part of the samples; with the average of its parameters, if one
    /// is kept.
    fn measured(&mut self, part: Part) -> Result<Option<Scores>> {
        self.trade_averages()?;
        let measured = self.task.evaluate(&self.model.network, part);
        self.trade_averages()?;
        measured.map_err(|error| match error {
            Error::NotFinite { batch, layer, .. } => {
                Error::NotFinite { step: self.progress.step, batch, layer }
            }
            other => other,
        })
    }

    /// The network's parameters trade places with their averages, if there are any.
    fn trade_averages(&mut self) -> Result<()> {
        match &mut self.trainer.average {
            Some(average) => average.swap(self.model.network.parameters_mut()),
            None => Ok(()),
        }
    }

    /// Draws a line of the record as curves for TensorBoard; where the network was measured, the
    /// gates of a lite zoo too.
    fn draw(&mut self, line: &Metrics) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        events.scalar(line.step, "train/loss", line.loss)?;
        events.scalar(line.step, "train/learning_rate", line.learning_rate)?;
        if let Some(norm) = line.gradient_norm {
            events.scalar(line.step, "train/gradient_norm", norm)?;
        }
        if let Some(measured) = &line.measured {
            // Over the task's own count, as others draw them.
            for (name, value) in &measured.values {
                events.scalar(measured.at, name, *value)?;
            }
        }
        let Some(scores) = &line.validation else { return Ok(()) };
        draw_scores(events, line.step, "validation", scores)?;
        let files = &self.run.config().method.zoo;
        for (layer, values) in observe::averages(&self.model.network)? {
            for (source, gate) in values.iter().enumerate() {
                // One file may describe several sources.
                let file = Some(files).filter(|files| files.len() == values.len());
                let name = match file.and_then(|files| files[source].file_stem()) {
                    Some(name) => name.to_string_lossy().into_owned(),
                    None => (source + 1).to_string(),
                };
                events.scalar(line.step, &format!("gates/{layer}/{name}"), *gate)?;
            }
        }
        Ok(())
    }

    /// Writes the checkpoint, after the lines that belong before it.
    pub fn save(&mut self) -> Result<()> {
        if !self.run.records() {
            return Ok(());
        }
        let _span = profile::span("write checkpoint");
        self.progress.metrics_bytes = self.record.synchronise()?;
        self.progress.gates_bytes = self.gates.synchronise()?;
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        if self.run.config().optimizer.time_limit.is_some() {
            self.progress.seconds = Some(self.seconds());
        }
        let path = self.run.folder().join(CHECKPOINT);
        let task = self.task.state()?;
        checkpoint::save(path, &self.model, &self.trainer, &task, &self.progress)
    }

    /// Looks into the network and writes down what is seen.
    fn observe(&self) -> Result<()> {
        let Model { network, input, .. } = &self.model;
        let mut seen = Observations::read(self.run.folder())?.unwrap_or_default();
        seen.look(network, input, self.task.exhibits()?)?;
        let classes = |part| self.task.classes(part).to_vec();
        seen.validation = classes(Part::Validation);
        seen.test = classes(Part::Test);
        for (name, part) in [("validation", Part::Validation), ("test", Part::Test)] {
            if let Some(found) = self.task.landmarks(part) {
                seen.landmarks.insert(name.to_owned(), found.clone());
            }
        }
        seen.write(self.run.folder())
    }

    fn finish(mut self, resumed_at_step: u64, observer: &mut dyn Observer) -> Result<Summary> {
        let config = self.run.config();
        let stopped_by = self.stopped_by(config.optimizer.time_limit()?)?;
        let stopped_by = stopped_by.filter(|_| self.progress.step < self.steps.last);
        if !self.run.records() {
            return Ok(self.summary(stopped_by, resumed_at_step, None, None));
        }
        let keeps_best = config.record.keep == Keep::Best;
        if keeps_best {
            self.take_best(&self.run.model_file())?;
        }
        self.write_model()?;
        let test = self.measured(Part::Test)?;
        let is_measured = !self.task.classes(Part::Validation).is_empty()
            || self.task.landmarks(Part::Validation).is_some();
        let is_wanted = self.progress.validation.is_some() && !self.task.leaves_scores_alone();
        if is_wanted && (keeps_best || !is_measured) {
            // The classes are those of another network, or were measured by a process that did not
            // come to its end.
            self.measured(Part::Validation)?;
        }
        if let (Some(events), Some(scores)) = (&mut self.events, &test) {
            draw_scores(events, self.progress.step, "test", scores)?;
            events.flush()?;
        }
        self.trade_averages()?;
        if let Err(error) = self.observe() {
            let problem = format!("the network is whole, but could not be looked into: {error}");
            observer.note(&Event::Warning(&problem));
        }
        let mut best = self.progress.best.take().filter(|_| config.record.keep != Keep::Last);
        if let Some(best) = &mut best {
            best.test = match (keeps_best || best.step == self.progress.step, self.run.best_file())
            {
                (false, Some(path)) if test.is_some() => {
                    self.take_best(&path)?;
                    self.measured(Part::Test)?
                }
                _ => test.clone(),
            };
        }
        let path = self.run.folder().join(SUMMARY);
        let summary = self.summary(stopped_by, resumed_at_step, test, best);
        write_summary(&path, &summary)?;
        Ok(summary)
    }

    fn summary(
        self,
        stopped_by: Option<&str>,
        resumed_at_step: u64,
        test: Option<Scores>,
        best: Option<Best>,
    ) -> Summary {
        let config = self.run.config();
        let is_routed = self.progress.routing.as_ref().is_none_or(|routing| routing.taken);
        let form = if is_routed { config.method.form } else { config.method.unrouted() };
        Summary {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            form: form.name().to_owned(),
            architecture: self.model.design().name().to_owned(),
            zoo: config.method.zoo.clone(),
            source_scores: self.progress.scores,
            routing: self.progress.routing,
            steps: self.progress.step,
            stopped_by: stopped_by.map(str::to_owned),
            training_samples: self.progress.samples,
            parameters: self.model.network.parameters().trained(),
            loss: self.progress.loss,
            validation: self.progress.validation,
            test,
            best,
            resumed_at_step,
            seconds: self.begun.elapsed().as_secs_f64(),
        }
    }
}

fn write_summary(path: &Path, summary: &Summary) -> Result<()> {
    let text = serde_json::to_string_pretty(summary)
        .map_err(|error| Error::config(SUMMARY, error.to_string()))?;
    write_atomically(path, |file| writeln!(file, "{text}"))
}

fn draw_scores(events: &mut EventFile, step: u64, part: &str, scores: &Scores) -> Result<()> {
    scores
        .values
        .iter()
        .try_for_each(|(name, value)| events.scalar(step, &format!("{part}/{name}"), *value))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(epochs: u64, accumulate: u64, batches: u64) -> Steps {
        let epochs = Some(epochs);
        let config = OptimizerConfig { epochs, accumulate, ..OptimizerConfig::default() };
        Steps::of(&config, batches).unwrap()
    }

    #[test]
    fn epochs_are_of_batches_however_many_a_step_takes() {
        let single = steps(3, 1, 4);
        assert_eq!(single.last, 12);
        let ends: Vec<_> = (1..=12).filter(|&step| single.ends_epoch(step)).collect();
        assert_eq!(ends, [4, 8, 12]);
        assert_eq!([1, 4, 5, 12].map(|step| single.epoch(step)), [1, 1, 2, 3]);
        // Steps of 3 batches: 1-3, 4-6, 7-9, 10-12, of epochs 1-4, 5-8, 9-12.
        let three = steps(3, 3, 4);
        assert_eq!(three.last, 4);
        let ends: Vec<_> = (1..=4).filter(|&step| three.ends_epoch(step)).collect();
        assert_eq!(ends, [2, 3, 4]);
        assert_eq!([1, 2, 3, 4].map(|step| three.epoch(step)), [1, 2, 3, 3]);
        // A step that is longer than an epoch.
        let long = steps(3, 8, 4);
        assert_eq!((long.last, long.epoch(1), long.ends_epoch(1)), (2, 2, true));
    }
}
