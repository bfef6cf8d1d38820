//! Image classification: one step of training, and evaluation.

use crate::dataset::Batch;
use crate::nn::{Network, Pass};
use crate::ops;
use crate::optim::Optimizer;
use crate::tensor::{Device, Element, Tensor, buffer};
use crate::{Error, Result, profile};

/// One step of training: forward, backward, update. Returns the loss.
///
/// # Errors
/// If the loss is not finite: nothing is changed then, and the error names the layer whose
/// output turned first.
pub fn train_step(
    network: &mut impl Network<f32>,
    optimizer: &mut Optimizer<f32>,
    batch: &Batch,
    smoothing: f64,
    rate: f64,
) -> Result<f64> {
    let _span = profile::span("train step");
    let mut pass = Pass::train(network.parameters());
    let x = pass.input(batch.images.to(&network.parameters().device())?);
    let logits = network.forward(&mut pass, x)?;
    pass.tape().enter("loss");
    let loss = ops::cross_entropy(pass.tape(), logits, &batch.labels, smoothing)?;
    let value = pass.value(loss)?.item()?;
    if !value.is_finite() {
        return Err(Error::NotFinite {
            step: optimizer.steps() + 1,
            batch: batch.indices.clone(),
            layer: pass.first_not_finite()?.unwrap_or_else(|| "the loss".to_owned()),
        });
    }
    let step = pass.backward(loss)?;
    let _span = profile::span("optimizer");
    optimizer.step(network.parameters_mut(), step, rate)?;
    network.parameters().device().finish_for_profile()?;
    Ok(f64::from(value))
}

/// The logits `[N, classes]` of images `[N, C, H, W]` in evaluation, `batch` at a time.
///
/// # Errors
/// If the images do not fit the network.
pub fn logits<T: Element>(
    network: &impl Network<T>,
    images: &Tensor<T>,
    batch: usize,
) -> Result<Tensor<T>> {
    let [count, c, h, w] = images.dims("logits", "images", "[N, C, H, W]")?;
    let _span = profile::span("evaluate");
    let device = network.parameters().device();
    let (mut values, mut classes) = (Vec::new(), 0);
    for first in (0..count).step_by(batch.max(1)) {
        let n = batch.max(1).min(count - first);
        let len = c * h * w;
        let part = buffer::copy(&images.as_slice()[first * len..][..n * len]);
        let mut pass = Pass::evaluate(network.parameters());
        let x = pass.input(Tensor::new(&[n, c, h, w], part)?.to(&device)?);
        let y = network.forward(&mut pass, x)?;
        let y = pass.value(y)?;
        [_, classes] = y.dims("logits", "logits", "[N, classes]")?;
        values.extend_from_slice(y.to(&Device::Cpu)?.as_slice());
    }
    Tensor::new(&[count, classes], values)
}

/// The class with the largest logit of each row of `[N, classes]`.
///
/// # Errors
/// If `logits` is not of two dimensions.
pub fn predictions<T: Element>(logits: &Tensor<T>) -> Result<Vec<usize>> {
    let [_, classes] = logits.dims("predictions", "logits", "[N, classes]")?;
    let largest =
        |row: &[T]| (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
    Ok(logits.as_slice().chunks(classes.max(1)).map(largest).collect())
}

/// The share of predictions that are right, 0 to 1.
///
/// # Errors
/// If there is not one label for each row, or no row.
pub fn accuracy<T: Element>(logits: &Tensor<T>, labels: &[usize]) -> Result<f64> {
    let predicted = predictions(logits)?;
    if predicted.len() != labels.len() || labels.is_empty() {
        let expected = format!("[{}, classes], a row for each label", labels.len().max(1));
        return Err(Error::shape("accuracy", "logits", expected, logits.shape()));
    }
    let right = predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
    Ok(right as f64 / labels.len() as f64)
}
