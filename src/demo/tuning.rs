//! One network, tuned to the few labelled target samples.

use super::{Point, Split, Test};
use crate::Result;
use crate::dataset::{Loader, Transform};
use crate::nn::{Architecture, Builder, Network, Resnet};
use crate::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use crate::start::score;
use crate::tensor::{Device, State, Tensor};
use crate::train::classification;
use std::time::{Duration, Instant};

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

/// A layer's name and the moving average of its gate, one value for each source.
pub type LayerAverage = (String, Vec<f64>);

/// A tuned network and how it came about.
pub struct Tuned {
    /// The network.
    pub network: Resnet<f32>,
    /// Its course.
    pub curve: Vec<Point>,
    /// At each point of the course: the layer, and the moving average of its gate (lite).
    pub averages: Vec<(usize, Vec<LayerAverage>)>,
    /// Time that the steps took, without the measurements in between.
    pub time: Duration,
}

/// Tunes the network that `builder` makes on a device, and brings it home. `watch` is called after
/// each step.
///
/// # Errors
/// If the network does not fit the samples, the loss is no longer finite, or `watch` says so.
pub fn tune(
    architecture: &Architecture,
    builder: Builder<f32>,
    split: &Split,
    recipe: &Recipe,
    seed: u64,
    device: &Device,
    watch: &dyn Fn() -> Result<()>,
) -> Result<Tuned> {
    /// Test samples that the learning curve looks at.
    const WATCHED: usize = 300;
    let mut network = Resnet::new(architecture, builder)?;
    network.parameters_mut().to(device)?;
    let mut optimizer = Optimizer::new(Rule::SGD, recipe.groups);
    let schedule = Schedule { warmup: recipe.steps / 20, decay: Decay::Cosine };
    let loader =
        Loader::new(&split.train, recipe.batch, seed)?.transformed(vec![Transform::RandomShift(1)]);
    let Test { images, labels, .. } = &split.test;
    let watched = labels.len().min(WATCHED);
    let len = images.len() / labels.len().max(1);
    let shape = [&[watched], &images.shape()[1..]].concat();
    let few = Tensor::new(&shape, images.as_slice()[..watched * len].to_vec())?;

    let (mut curve, mut averages, mut time) = (Vec::new(), Vec::new(), Duration::ZERO);
    let (mut loss, mut since) = (0.0, 0);
    for step in 0..recipe.steps {
        let begun = Instant::now();
        let batch = loader.batch(step as u64)?;
        let rate = recipe.rate * schedule.factor(step, recipe.steps);
        loss += classification::train_step(&mut network, &mut optimizer, &batch, 0.0, rate)?;
        since += 1;
        time += begun.elapsed();
        watch()?;
        let done = step + 1;
        let reached = |step: usize| step * recipe.points / recipe.steps;
        if reached(done) > reached(step) {
            let logits = classification::logits(&network, &few, 100)?;
            let accuracy = classification::accuracy(&logits, &labels[..watched])?;
            curve.push(Point { step: done, loss: loss / f64::from(since), accuracy });
            averages.push((done, gate_averages(&network)?));
            (loss, since) = (0.0, 0);
        }
    }
    network.parameters_mut().to(&Device::Cpu)?;
    Ok(Tuned { network, curve, averages, time })
}

/// The moving averages of a lite network's gates, layer by layer; nothing for other forms.
fn gate_averages(network: &Resnet<f32>) -> Result<Vec<LayerAverage>> {
    let mut averages = Vec::new();
    for conv in network.convolutions() {
        let Some(average) = conv.mix.as_ref().and_then(|mix| mix.gate.average) else { continue };
        if let Some(value) = average.value(network.parameters())? {
            let value = value.to(&Device::Cpu)?;
            let value = value.as_slice().iter().map(|&v| f64::from(v)).collect();
            averages.push((conv.name().to_owned(), value));
        }
    }
    Ok(averages)
}

/// How well each source, frozen, separates the classes of the samples: see
/// [`crate::start::score`].
///
/// # Errors
/// If a source is not of that architecture.
pub fn scores(
    architecture: &Architecture,
    sources: &[State<f32>],
    split: &Split,
) -> Result<Vec<f64>> {
    let everything: Vec<usize> = (0..split.train.images().len()).collect();
    let samples = split.train.batch(&everything)?;
    let score = |source| score(architecture, source, [Ok(samples.clone())]);
    sources.iter().map(score).collect()
}
