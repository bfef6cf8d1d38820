//! One network, tuned to the few labelled target samples.

use super::{Split, Test};
use crate::Result;
use crate::compare::Point;
use crate::dataset::{Loader, Transform};
use crate::nn::Network;
use crate::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use crate::tensor::{Device, Tensor};
use crate::train::observe::{self, LayerAverage};
use crate::train::task::Classification;
use crate::train::{Meter, Trainer, accuracy, logits};
use std::time::Duration;

/// How every network of the demo is tuned, whatever it starts from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Steps of the optimizer.
    pub steps: usize,
    /// Samples of a batch.
    pub batch: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Parameter groups.
    pub groups: Groups,
    /// Points of the learning curve.
    pub points: usize,
}

/// A tuned network and how it came about.
pub struct Tuned {
    /// The network.
    pub network: Network<f32>,
    /// Its course.
    pub curve: Vec<Point>,
    /// At each point of the course: the layer, and the moving average of its gate (lite).
    pub averages: Vec<(usize, Vec<LayerAverage>)>,
    /// Time that the steps took, without the measurements in between.
    pub time: Duration,
}

/// Tunes the network on a device, and brings it home. `watch` is called after
/// each step.
///
/// # Errors
/// If the network does not fit the samples, the loss is no longer finite, or `watch` says so.
pub fn tune(
    mut network: Network<f32>,
    split: &Split,
    recipe: &Recipe,
    seed: u64,
    device: &Device,
    watch: &dyn Fn() -> Result<()>,
) -> Result<Tuned> {
    /// Test samples that the learning curve looks at.
    const WATCHED: usize = 300;
    network.parameters_mut().to(device)?;
    let steps = recipe.steps;
    let schedule = Schedule { warmup: steps / 20, decay: Decay::Cosine };
    let optimizer = Optimizer::new(Rule::SGD, recipe.groups);
    let mut trainer = Trainer::new(optimizer, recipe.rate, schedule, steps as u64);
    let loader =
        Loader::new(&split.train, recipe.batch, seed)?.transformed(vec![Transform::RandomShift(1)]);
    let mut task = Classification::new(loader);
    let Test { images, labels, .. } = &split.test;
    let watched = labels.len().min(WATCHED);
    let len = images.len() / labels.len().max(1);
    let shape = [&[watched], &images.shape()[1..]].concat();
    let few = Tensor::new(&shape, images.as_slice()[..watched * len].to_vec())?;

    let (mut curve, mut averages, mut time) = (Vec::new(), Vec::new(), Duration::ZERO);
    let mut meter = Meter::default();
    trainer.run(&mut network, &mut task, 0..steps as u64, |_, network, _, done| {
        watch()?;
        time += done.time;
        meter.add(done.loss);
        let done = done.steps as usize;
        let reached = |step: usize| step * recipe.points / steps;
        if reached(done) > reached(done - 1) {
            let logits = logits(network, &few, 100)?;
            let accuracy = accuracy(&logits, &labels[..watched])?;
            let loss = meter.take().unwrap_or_default();
            curve.push(Point { step: done, loss, accuracy });
            averages.push((done, observe::averages(network)?));
        }
        Ok(())
    })?;
    network.parameters_mut().to(&Device::Cpu)?;
    Ok(Tuned { network, curve, averages, time })
}
