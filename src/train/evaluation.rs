//! How good a network is on a data set.

use super::measures::{Evaluation, Measures, Told};
use super::room;
use super::task::Samples;
use crate::dataset::{Batch, Loader};
use crate::nn::{Network, Pass};
use crate::tensor::{Device, Element, Tensor, buffer};
use crate::{Error, Result, profile};

/// Evaluates a network on every image of `loader`, which should be in order; where the loader shows
/// several views of an image, by the mean of their logits. `numbers` is the network's class for each
/// of the data's; `names` are the network's classes. `each` is given every image in its order.
///
/// # Errors
/// If an image cannot be read or does not fit, a class is not one of the network's, or an
/// output is not finite; if a device has no room for a batch, for how many images it has. Those of
/// `each`.
pub fn evaluate(
    network: &Network<f32>,
    loader: &Loader,
    numbers: &[usize],
    names: &[String],
    mut each: impl FnMut(&Told) -> Result<()>,
) -> Result<Evaluation> {
    let mut measures = Measures::default();
    for_each_batch(loader, |batch| add(&mut measures, network, batch, numbers, &mut each))?;
    measures.evaluation(names)
}

/// Calls `each` with every batch of `loader`, to evaluate networks on.
///
/// # Errors
/// If an image cannot be read; those of `each`.
pub(super) fn for_each_batch(
    loader: &Loader,
    mut each: impl FnMut(&Batch) -> Result<()>,
) -> Result<()> {
    let _span = profile::span("evaluate");
    (0..loader.batches_per_epoch() as u64).try_for_each(|step| each(&loader.batch(step)?))
}

/// Adds what a network makes of a batch to its measures; as [`evaluate`].
pub(super) fn add(
    measures: &mut Measures,
    network: &Network<f32>,
    batch: &Batch,
    numbers: &[usize],
    each: &mut impl FnMut(&Told) -> Result<()>,
) -> Result<()> {
    let logits = |batch: &Batch| finite_logits(network, &batch.images, &batch.indices);
    let logits = logits(batch).map_err(|error| {
        let fewer = |count| logits(&batch.part(0..count)?).map(drop);
        room::advised(error, batch.labels.len(), fewer)
    })?;
    let logits = mean_of_views(logits, batch.labels.len())?;
    let [_, classes] = logits.dims("evaluate", "logits", "[N, classes]")?;
    let rows = logits.as_slice().chunks(classes.max(1)).zip(predictions(&logits)?);
    for ((row, predicted), (index, label)) in rows.zip(batch.indices.iter().zip(&batch.labels)) {
        let label = numbers.get(*label).copied().filter(|&n| n < classes);
        let label = label
            .ok_or_else(|| Error::argument("evaluate", "a label is no class of the network"))?;
        let log_probability = log_probabilities(row);
        let probabilities = (0..classes).map(|k| log_probability(k).exp()).collect();
        let told = Told { index: *index, label, predicted, probabilities };
        measures.add(&told, log_probability(label));
        each(&told)?;
    }
    Ok(())
}

/// The means `[N, classes]` of the rows of logits `[N V, classes]`, the V views of an image after
/// each other.
fn mean_of_views(logits: Tensor<f32>, images: usize) -> Result<Tensor<f32>> {
    let [rows, classes] = logits.dims("evaluate", "logits", "[N, classes]")?;
    let views = rows / images.max(1);
    if views < 2 {
        return Ok(logits);
    }
    let of_image = |views: &[f32]| -> Vec<f32> {
        let sum = |k| views.iter().skip(k).step_by(classes).sum::<f32>();
        (0..classes).map(|k| sum(k) / (views.len() / classes) as f32).collect()
    };
    let means = logits.as_slice().chunks((views * classes).max(1)).flat_map(of_image).collect();
    Tensor::new(&[images, classes], means)
}

/// The logits `[N, classes]` of images `[N, C, H, W]`, the samples `indices`; an error if one
/// is no number: NaN has no largest, and would pass for the first class.
pub(super) fn finite_logits(
    network: &Network<f32>,
    images: &Tensor<f32>,
    indices: &[usize],
) -> Result<Tensor<f32>> {
    let logits = |pass: &mut Pass<f32>| {
        let x = pass.input(images.to(&network.parameters().device())?);
        let y = network.forward(pass, x)?;
        pass.value(y)?.to(&Device::Cpu)
    };
    let found = logits(&mut Pass::evaluate(network.parameters()))?;
    if found.is_finite() {
        return Ok(found);
    }
    // Once more, keeping everything, to tell where it began.
    let mut pass = Pass::evaluate(network.parameters()).keep_activations();
    logits(&mut pass)?;
    let layer = pass.first_not_finite()?.unwrap_or_else(|| "the network".to_owned());
    Err(Error::NotFinite { step: 0, batch: indices.to_vec(), layer })
}

/// The logits `[N, classes]` of images `[N, C, H, W]` in evaluation, `batch` at a time.
///
/// # Errors
/// If the images do not fit the network.
pub fn logits<T: Element>(
    network: &Network<T>,
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

/// The probabilities of the classes of each row of logits `[N, classes]`.
///
/// # Errors
/// If `logits` is not of two dimensions.
pub fn probabilities(logits: &Tensor<f32>) -> Result<Vec<Vec<f64>>> {
    let [_, classes] = logits.dims("probabilities", "logits", "[N, classes]")?;
    let of_row = |row: &[f32]| (0..row.len()).map(log_probabilities(row)).map(f64::exp).collect();
    Ok(logits.as_slice().chunks(classes.max(1)).map(of_row).collect())
}

/// `z_k - log sum_j exp z_j` of each class k, without overflow.
fn log_probabilities(row: &[f32]) -> impl Fn(usize) -> f64 + use<'_> {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum = row.iter().map(|&z| (f64::from(z) - largest).exp()).sum::<f64>().ln();
    move |k| f64::from(row[k]) - largest - sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_an_image_count_by_the_mean_of_their_logits() {
        let logits = Tensor::new(&[4, 2], vec![1.0, 2.0, 3.0, 6.0, 0.0, 1.0, 2.0, -1.0]).unwrap();
        let means = mean_of_views(logits.clone(), 2).unwrap();
        assert_eq!((means.shape(), means.as_slice()), (&[2, 2][..], &[2.0, 4.0, 1.0, 0.0][..]));
        assert_eq!(mean_of_views(logits.clone(), 4).unwrap().as_slice(), logits.as_slice());
    }

    #[test]
    fn probabilities_do_not_overflow() {
        let logits = Tensor::new(&[2, 2], vec![1e38, 0.0, 0.0, 3f32.ln()]).unwrap();
        let p = probabilities(&logits).unwrap();
        assert_eq!(p[0], [1.0, 0.0]);
        assert!((p[1][0] - 0.25).abs() < 1e-7 && (p[1][1] - 0.75).abs() < 1e-7);
    }
}
