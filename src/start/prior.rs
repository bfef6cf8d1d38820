//! The gate prior: which source fits the target, before any tuning.

use super::ridge::Standardised;
use super::targets::{Goals, Targets};
use crate::nn::{Design, Form, Network, Pass};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// The usual strength of the prior.
pub const STRENGTH: f64 = 2.5;

/// The scores of sources as biases of their gates: `strength` for the best, 0 for the others.
/// With softmax and five sources, a strength of 2.5 gives the best one a share of 0.75.
pub fn gate_bias(scores: &[f64], strength: f64) -> Vec<f64> {
    let best = best(scores);
    (0..scores.len()).map(|i| if Some(i) == best { strength } else { 0.0 }).collect()
}

/// The first of the largest scores.
pub fn best(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

/// How well a source, without any tuning, separates the classes of labelled `batches`
/// (images `[N, C, H, W]` and a label for each): the [`leave_one_out_accuracy`] of its features.
///
/// Batch norms use the statistics of each batch, as the first step of training does: a source
/// whose own statistics do not fit the target is not marked down for what tuning mends at once.
/// So batches should be large and their classes mixed; one of a single sample is left out.
///
/// # Errors
/// If the source is not of that architecture, or there is no batch of several samples.
pub fn score<T: Element>(
    design: &Design,
    source: &State<T>,
    batches: impl IntoIterator<Item = Result<(Tensor<T>, Vec<usize>)>>,
) -> Result<f64> {
    let network = Network::from_sources(design, Form::Plain, std::slice::from_ref(source), 0)?;
    let Features { values, labels, .. } = features(&network, batches)?;
    leave_one_out_accuracy(&values, &labels)
}

/// What goes into a network's head for labelled samples.
pub(super) struct Features<T> {
    /// `[N, D]`.
    pub values: Tensor<T>,
    /// What the head makes of them, `[N, K]`, if that is of one row for each.
    pub outputs: Option<Tensor<T>>,
    /// A class for each row.
    pub labels: Vec<usize>,
    /// Of the last map before the head.
    pub channels: usize,
}

impl<T: Element> Features<T> {
    /// At most the first `most` of them.
    pub fn first(self, most: usize) -> Result<Self> {
        let Self { values, outputs, mut labels, channels } = self;
        labels.truncate(most);
        let rows = |values: Tensor<T>| {
            let [_, d] = values.dims("features", "features", "[N, D]")?;
            let mut of_first = values.into_vec();
            of_first.truncate(labels.len() * d);
            Tensor::new(&[labels.len(), d], of_first)
        };
        let (values, outputs) = (rows(values)?, outputs.map(rows).transpose()?);
        Ok(Self { values, outputs, labels, channels })
    }
}

/// The features of labelled batches, in the mode of training.
pub(super) fn features<T: Element>(
    network: &Network<T>,
    batches: impl IntoIterator<Item = Result<(Tensor<T>, Vec<usize>)>>,
) -> Result<Features<T>> {
    let (mut values, mut columns) = (vec![], 0);
    let (mut outputs, mut classes) = (vec![], None);
    let (mut labels, mut channels) = (vec![], 0);
    for batch in batches {
        let (images, of_batch) = batch?;
        if of_batch.len() < 2 {
            continue;
        }
        let mut pass = Pass::train(network.parameters()).keep_only(network.last_nodes());
        let x = pass.input(images);
        let output = network.forward(&mut pass, x)?;
        let features = network.last_features(&mut pass)?;
        let map = network.last_map(&mut pass)?;
        channels = pass.value(map)?.shape()[1];
        let (features, output) = (pass.value(features)?, pass.value(output)?);
        if let [_, of_output] = output.shape() {
            classes = Some(*of_output);
            outputs.extend_from_slice(output.as_slice());
        }
        [_, columns] = features.dims("score", "features", "[N, D]")?;
        values.extend_from_slice(features.as_slice());
        labels.extend(of_batch);
    }
    if labels.is_empty() {
        let problem = "a source is judged by its features of two images at least";
        return Err(Error::argument("features", problem));
    }
    let values = Tensor::new(&[labels.len(), columns], values)?;
    let outputs = classes.map(|classes| Tensor::new(&[labels.len(), classes], outputs));
    Ok(Features { values, outputs: outputs.transpose()?, labels, channels })
}

/// The leave-one-out accuracy, 0 to 1, of a ridge classifier on `features` `[N, D]`.
///
/// In closed form: with the Gram matrix `G = X X^T + lambda I` of standardised features (and a
/// constant one, ten times as long as they are together) and targets `Y` (1 for the class, else 0), the prediction
/// for sample n by all others is `y_n - (G^-1 Y)_n / (G^-1)_nn`. `lambda` is `1e-2 (D + 1)`, of which D
/// counts features that change.
/// Costs `N^3`; beyond 2000 samples only the first 2000 are looked at.
///
/// # Errors
/// If there is not one label for each row, no row, or a feature is not finite.
pub fn leave_one_out_accuracy<T: Element>(features: &Tensor<T>, labels: &[usize]) -> Result<f64> {
    let [n, d] = features.dims("leave_one_out_accuracy", "features", "[N, D]")?;
    if n != labels.len() || n == 0 || d == 0 {
        let expected = format!("[{}, D], a row for each label", labels.len().max(1));
        return Err(Error::shape("leave_one_out_accuracy", "features", expected, features.shape()));
    }
    let n = n.min(super::MOST);
    let goals = Goals::of(Targets::Classes(labels), n)?;
    Ok(goals.judged(&Standardised::of(features, n)?).score)
}

#[cfg(test)]
mod tests {
    use super::super::ridge::inverse_of_positive;
    use super::*;

    /// Against fitting n ridge regressions, each without one sample.
    #[test]
    fn the_closed_form_is_leaving_one_out() {
        let (n, d) = (24, 3);
        let mut rng = fastrand::Rng::with_seed(5);
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let noise = Tensor::<f64>::normal(&[n, d], 0.8, &mut rng).into_vec();
        let values = (0..n * d)
            .map(|at| noise[at] + f64::from(u8::from(labels[at / d] == at % d)))
            .collect();
        let features = Tensor::new(&[n, d], values).unwrap();
        let x = Standardised::of(&features, n).unwrap().x;
        let dot = |i: usize, j: usize| -> f64 {
            100.0 * d as f64 + (0..d).map(|k| x[i * d + k] * x[j * d + k]).sum::<f64>()
        };
        let ridge = 1e-2 * (d + 1) as f64;
        let mut right = 0;
        for out in 0..n {
            let kept: Vec<usize> = (0..n).filter(|&i| i != out).collect();
            let gram = kept
                .iter()
                .flat_map(|&i| kept.iter().map(move |&j| (i, j)))
                .map(|(i, j)| dot(i, j) + if i == j { ridge } else { 0.0 })
                .collect();
            let inverse = inverse_of_positive(n - 1, gram);
            let score: Vec<f64> = (0..3)
                .map(|class| {
                    (0..n - 1)
                        .flat_map(|a| (0..n - 1).map(move |b| (a, b)))
                        .filter(|&(_, b)| labels[kept[b]] == class)
                        .map(|(a, b)| dot(out, kept[a]) * inverse[a * (n - 1) + b])
                        .sum()
                })
                .collect();
            right += usize::from(best(&score) == Some(labels[out]));
        }
        let accuracy = leave_one_out_accuracy(&features, &labels).unwrap();
        assert_eq!(accuracy, right as f64 / n as f64);
        assert!(accuracy > 0.5, "{accuracy}");
    }

    /// Centring is done with all samples: of few and many features, those that are kept must not tell by it
    /// where the one that is left out lies.
    #[test]
    fn features_that_say_nothing_tell_nothing_of_few_samples() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (n, d) in [(2, 64), (10, 512), (16, 8192)] {
            let features = Tensor::<f64>::normal(&[n, d], 1.0, &mut rng);
            let labels: Vec<usize> = (0..n).map(|i| i % 2).collect();
            // Of the others, more are of the other class.
            let right = leave_one_out_accuracy(&features, &labels).unwrap();
            assert!(right <= 0.5, "{n} {d}: {right}");
            let values: Vec<_> = (0..n).map(|_| vec![Some(rng.f64())]).collect();
            let explained = crate::start::values::leave_one_out_fit(
                &features,
                &values,
                &(0..n).collect::<Vec<_>>(),
            )
            .unwrap();
            assert!(explained < 0.3, "{n} {d}: {explained}");
        }
    }

    #[test]
    fn the_best_source_gets_the_bias() {
        assert_eq!(gate_bias(&[0.2, 0.9, 0.9], 2.5), [0.0, 2.5, 0.0]);
        assert!(leave_one_out_accuracy(&Tensor::<f32>::zeros(&[0, 3]), &[]).is_err());
        let infinite = Tensor::<f32>::full(&[2, 3], f32::INFINITY);
        assert!(leave_one_out_accuracy(&infinite, &[0, 1]).is_err());
        let features = Tensor::new(&[4, 1], vec![0.0f32, 0.1, 1.0, 1.1]).unwrap();
        let far = [3, 3, usize::MAX, usize::MAX];
        assert_eq!(leave_one_out_accuracy(&features, &far).unwrap(), 1.0);
    }
}
