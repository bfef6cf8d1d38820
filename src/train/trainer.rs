//! The loop that trains a network, whatever the task.

use super::reduction::Reduction;
use super::room;
use super::task::{Samples, Task};
use crate::nn::{Id, Network, Pass, Step};
use crate::optim::{Optimizer, Schedule, WeightAverage};
use crate::processes::{Group, Share};
use crate::tape::Var;
use crate::{Error, Result, ops, profile};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Trains a network: batch, forward, loss and penalties, backward, reduce, clip, update.
pub struct Trainer {
    /// What changes the parameters.
    pub optimizer: Optimizer<f32>,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Steps of the whole training, which the schedule has to know.
    pub steps: u64,
    /// Batches whose gradients one step takes the mean of.
    pub accumulate: u64,
    /// What the norm of all gradients together is limited to.
    pub clip_norm: Option<f64>,
    /// What is added to the task's loss.
    pub penalties: Vec<Box<dyn Penalty>>,
    /// What happens to the gradients between backward pass and update; of several processes, to their sums.
    pub reduce: Box<dyn Reduce>,
    /// What the sources of a routed network are drawn by.
    pub seed: u64,
    /// The average of the parameters over the steps, if one is kept.
    pub average: Option<WeightAverage<f32>>,
    /// The processes that train together, if this is one of several: each works on its share of every batch,
    /// and makes the same step.
    pub group: Option<Group>,
}

/// Adds to the loss of a task, such as a distance to where training began.
pub trait Penalty {
    /// A single value, for a forward pass that is done in `pass`; `None` to add nothing.
    ///
    /// # Errors
    /// If the penalty cannot be computed.
    fn penalty(&mut self, pass: &mut Pass<f32>, forward: &Forward) -> Result<Option<Var>>;
}

/// A forward pass that is done.
pub struct Forward<'a> {
    /// The network.
    pub network: &'a Network<f32>,
    /// The images, `[N, C, H, W]`.
    pub x: Var,
    /// What the network made of them.
    pub output: Var,
}

/// What happens to the gradients of a step before they are used: who wants to look at them, or change them,
/// does so here.
pub trait Reduce {
    /// Changes the gradients of step `step`, counted from 0.
    ///
    /// # Errors
    /// To end the training.
    fn reduce(&mut self, step: u64, gradients: &mut Step<f32>) -> Result<()>;
}

/// Leaves the gradients as they are.
impl Reduce for () {
    fn reduce(&mut self, _: u64, _: &mut Step<f32>) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut(u64, &mut Step<f32>) -> Result<()>> Reduce for F {
    fn reduce(&mut self, step: u64, gradients: &mut Step<f32>) -> Result<()> {
        self(step, gradients)
    }
}

/// A step that is done.
#[derive(Clone, Debug)]
pub struct Done {
    /// Steps done, this one among them.
    pub steps: u64,
    /// The loss, penalties included: the mean over the step's batches.
    pub loss: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The norm of all gradients together before they were clipped, if they are.
    pub gradient_norm: Option<f64>,
    /// The samples of the step.
    pub indices: Vec<usize>,
    /// Time that it took, the making of the batch included.
    pub time: Duration,
}

impl Trainer {
    /// Trains for `steps` steps along `schedule`, by one batch a step.
    pub fn new(
        optimizer: Optimizer<f32>,
        learning_rate: f64,
        schedule: Schedule,
        steps: u64,
    ) -> Self {
        Self {
            optimizer,
            learning_rate,
            schedule,
            steps,
            accumulate: 1,
            clip_norm: None,
            penalties: vec![],
            reduce: Box::new(()),
            seed: 0,
            average: None,
            group: None,
        }
    }

    /// Makes the steps of a range, counted from 0, and calls `each` after every one of them.
    ///
    /// # Errors
    /// As [`Trainer::step`]; those of `each`, after which nothing follows.
    pub fn run<K: Task>(
        &mut self,
        network: &mut Network<f32>,
        task: &mut K,
        steps: Range<u64>,
        mut each: impl FnMut(&mut Self, &mut Network<f32>, &mut K, Done) -> Result<()>,
    ) -> Result<()> {
        for step in steps {
            let done = self.step(network, task, step)?;
            each(self, network, task, done)?;
        }
        Ok(())
    }

    /// Makes one step, counted from 0.
    ///
    /// # Errors
    /// If the loss is not finite: no parameter is changed then (though of several batches, those
    /// before have updated the buffers), and the error names the layer whose output turned first.
    /// If a device has no room for a batch: the error says how many samples it has room for, unless this is one
    /// of several processes.
    /// Whatever the task, a penalty or the reduction finds wrong.
    pub fn step<K: Task>(
        &mut self,
        network: &mut Network<f32>,
        task: &mut K,
        step: u64,
    ) -> Result<Done> {
        let _span = profile::span("train step");
        let begun = Instant::now();
        // Both fit: nothing takes so many steps.
        let factor = self.schedule.factor(step as usize, self.steps as usize);
        let learning_rate = self.learning_rate * factor;
        let count = self.accumulate.max(1);
        let (mut sum, mut loss, mut indices): (Option<Step<f32>>, _, _) = (None, 0.0, vec![]);
        for part in 0..count {
            let number = step * count + part;
            let batch = task.batch(number, network)?;
            let (of_part, mut gradients) = self.gradients(network, task, &batch, number)?;
            loss += of_part / count as f64;
            indices.extend_from_slice(batch.indices());
            if count > 1 {
                // The statistics of the next batch build on these.
                gradients.update_buffers(network.parameters_mut());
            }
            match &mut sum {
                None => sum = Some(gradients),
                Some(sum) => sum.add(gradients)?,
            }
        }
        let Some(mut gradients) = sum else { unreachable!("there is one batch at least") };
        if count > 1 {
            gradients.scale(1.0 / count as f64)?;
            // Of one batch, they are added while they are made.
            if let Some(group) = &self.group {
                let frozen = self.optimizer.frozen(network.parameters());
                let mut sums = Reduction::new(group, network.parameters(), &frozen);
                let ids: Vec<Id> = network.parameters().ids().collect();
                ids.iter().rev().try_for_each(|id| sums.add(*id, gradients.gradient(*id)))?;
                sums.finish(&mut gradients)?;
            }
        }
        network.share_gradients(&mut gradients)?;
        self.reduce.reduce(step, &mut gradients)?;
        let gradient_norm = match self.clip_norm {
            Some(most) => Some(gradients.clip_norm(most)?),
            None => None,
        };
        {
            let _span = profile::span("optimizer");
            self.optimizer.step(network.parameters_mut(), gradients, learning_rate)?;
            if let Some(average) = &mut self.average {
                average.update(network.parameters())?;
            }
            network.parameters().device().finish_for_profile()?;
        }
        let time = begun.elapsed();
        Ok(Done { steps: step + 1, loss, learning_rate, gradient_norm, indices, time })
    }

    /// The loss on a batch and its gradients.
    fn gradients<K: Task>(
        &mut self,
        network: &Network<f32>,
        task: &mut K,
        batch: &K::Batch,
        number: u64,
    ) -> Result<(f64, Step<f32>)> {
        let is_alone = self.group.is_none();
        self.gradients_of(network, task, batch, number).map_err(|error| {
            if !is_alone {
                // The others would have to try with fewer samples too.
                return error;
            }
            room::advised(error, batch.indices().len(), |count| {
                self.gradients_of(network, task, &batch.part(0..count)?, number).map(drop)
            })
        })
    }

    fn gradients_of<K: Task>(
        &mut self,
        network: &Network<f32>,
        task: &mut K,
        batch: &K::Batch,
        number: u64,
    ) -> Result<(f64, Step<f32>)> {
        // What is not trained needs no gradient.
        let frozen = self.optimizer.frozen(network.parameters());
        // Far apart for neighbouring batches (the golden ratio's fraction, as in SplitMix64).
        let draws = self.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut pass = Pass::train(network.parameters()).freeze(&frozen).draw(draws);
        let part = match &self.group {
            Some(group) => Some(Part::of(group, task, batch)?),
            None => None,
        };
        let whole = batch;
        let batch = part.as_ref().map_or(whole, |part| &part.samples);
        if let Some(part) = &part {
            pass = pass.together(part.share.clone());
        }
        let x = pass.input(batch.images().to(&network.parameters().device())?);
        let output = network.forward(&mut pass, x)?;
        pass.tape().enter("loss");
        let mut loss = task.loss(&mut pass, output, batch)?;
        // Means over the whole batch are the sums of what each process has of them.
        if let Some(part) = &part {
            loss = ops::scale(pass.tape(), loss, part.of_loss)?;
        }
        for penalty in &mut self.penalties {
            let forward = Forward { network, x, output };
            let Some(mut penalty) = penalty.penalty(&mut pass, &forward)? else { continue };
            if let Some(part) = &part {
                penalty = ops::scale(pass.tape(), penalty, part.of_samples)?;
            }
            loss = ops::add(pass.tape(), loss, penalty)?;
        }
        let mut value = f64::from(pass.value(loss)?.item()?);
        if let Some(group) = &self.group {
            value = group.sum(&[value])?[0];
        }
        if !value.is_finite() {
            return Err(Error::NotFinite {
                step: self.optimizer.steps() + 1,
                batch: whole.indices().to_vec(),
                layer: pass.first_not_finite()?.unwrap_or_else(|| match part {
                    Some(_) => "the loss, or a layer in another process".to_owned(),
                    None => "the loss".to_owned(),
                }),
            });
        }
        match &self.group {
            Some(group) if self.accumulate <= 1 => {
                let mut sums = Reduction::new(group, network.parameters(), &frozen);
                let mut step = pass.backward_with(loss, |id, gradient| sums.add(id, gradient))?;
                sums.finish(&mut step)?;
                Ok((value, step))
            }
            _ => Ok((value, pass.backward(loss)?)),
        }
    }
}

/// What one of several processes has of a batch.
struct Part<B> {
    share: Share,
    samples: B,
    /// Its part of what the loss is a mean over.
    of_loss: f64,
    /// Its part of the samples.
    of_samples: f64,
}

impl<B: Samples> Part<B> {
    fn of<K: Task<Batch = B>>(group: &Group, task: &K, whole: &B) -> Result<Self> {
        let count = whole.indices().len();
        let share = Share::of(group, count);
        let samples = whole.part(share.samples.clone())?;
        let weight = share.factor() * task.weight(&samples);
        let all = group.sum(&[weight])?[0];
        let of_loss = if all > 0.0 { weight / all } else { 0.0 };
        let of_samples = share.factor() * samples.indices().len() as f64 / count.max(1) as f64;
        Ok(Self { share, samples, of_loss, of_samples })
    }
}
