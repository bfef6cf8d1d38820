//! What is said of a source before any tuning: four scores of the field, of its features and of its
//! own classifier.

use super::leave_one_out_accuracy;
use super::prior::{Features, features};
use super::spectrum::spectrum;
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::kernel::reduce::softmax_row;
use crate::nn::{Design, Head, Network, Values};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// Scores of a source on labelled samples of a target: of each, more is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Transferability {
    /// See [`leave_one_out_accuracy`].
    pub leave_one_out: f64,
    /// See [`log_me`].
    pub log_me: f64,
    /// See [`h_score`].
    pub h_score: f64,
    /// See [`leep`]; of sources that have their classifier.
    pub leep: Option<f64>,
}

impl Transferability {
    /// The scores of a source by labelled `batches` (images `[N, C, H, W]` and a label for each), by
    /// the features of [`score`](super::score()). At most 2000 samples are looked at.
    ///
    /// # Errors
    /// If the source is not of that architecture, or there is no batch of several samples.
    pub fn of<T: Element>(
        design: &Design,
        source: &State<T>,
        batches: impl IntoIterator<Item = Result<(Tensor<T>, Vec<usize>)>>,
    ) -> Result<Self> {
        let (own, states) = (own_head(design, source)?, std::slice::from_ref(source));
        let (design, head) = match &own {
            Some(design) => (design, Head::Kept),
            None => (design, Head::Fresh),
        };
        let values = Values::sources(states, 0).head(head);
        let network = Network::new(&design.plain(), values)?;
        let found = features(&network, batches)?.first(super::MOST)?;
        let Features { values, outputs, labels, .. } = found;
        let leep = own.and(outputs).map(|outputs| leep(&softmax(&outputs), &labels)).transpose()?;
        Ok(Self {
            leave_one_out: leave_one_out_accuracy(&values, &labels)?,
            log_me: log_me(&values, &labels)?,
            h_score: h_score(&values, &labels)?,
            leep,
        })
    }
}

/// The design with the outputs of the source's own classifier, if it has one.
fn own_head<T: Element>(design: &Design, source: &State<T>) -> Result<Option<Design>> {
    let of_head =
        |name: &str| design.architecture().head().iter().any(|head| name.starts_with(head));
    let tensors = design.tensors()?;
    let mut found = tensors.iter().filter(|(name, _)| of_head(name));
    let found = found.find_map(|(name, _)| source.tensors.get(name)?.shape().first().copied());
    let Some(outputs) = found.filter(|outputs| *outputs > 0) else { return Ok(None) };
    let own = design.with_outputs(outputs);
    let is_there = |(name, shape): &(String, Vec<usize>)| {
        !of_head(name) || source.tensors.get(name).is_some_and(|tensor| tensor.shape() == shape)
    };
    Ok(own.tensors()?.iter().all(is_there).then_some(own))
}

fn softmax<T: Element>(outputs: &Tensor<T>) -> Tensor<f64> {
    let mut outputs = outputs.cast::<f64>();
    let columns = outputs.shape()[1].max(1);
    outputs.as_mut_slice().chunks_mut(columns).for_each(softmax_row);
    outputs
}

/// A class for each row of `values` `[N, D]`, numbered from 0 in the order of those that occur, and how
/// many there are.
fn known<T: Element>(
    name: &'static str,
    values: &Tensor<T>,
    labels: &[usize],
) -> Result<(Vec<usize>, usize)> {
    let [n, d] = values.dims(name, "features", "[N, D]")?;
    if n != labels.len() || n == 0 || d == 0 {
        let expected = format!("[{}, D], a row for each label", labels.len().max(1));
        return Err(Error::shape(name, "features", expected, values.shape()));
    }
    if !values.is_finite() {
        let problem = "a value is not finite; does the source overflow on these images?";
        return Err(Error::argument(name, problem));
    }
    let mut known = labels.to_vec();
    known.sort_unstable();
    known.dedup();
    let numbers = labels.iter().map(|l| known.partition_point(|k| k < l)).collect();
    Ok((numbers, known.len()))
}

/// Singular values and left singular vectors of features.
struct Singular {
    /// The squares of the singular values that are not 0.
    squares: Vec<f64>,
    /// For each class the squares of the coordinates of its 0 and 1 along the left singular vectors.
    along: Vec<Vec<f64>>,
}

/// Of features `x` `[n, d]` and the classes of their rows.
fn singular(x: &[f64], [n, d]: [usize; 2], labels: &[usize], classes: usize) -> Singular {
    /// Of the largest eigenvalue; below is what rounding has left.
    const NOTHING: f64 = 1e-12;
    let mut targets = vec![0.0; n * classes];
    labels.iter().enumerate().for_each(|(row, label)| targets[row * classes + label] = 1.0);
    let x = Matrix::new(x, n, d);
    // The smaller one of the two matrices with the same eigenvalues.
    let size = n.min(d);
    let mut gram = vec![0.0; size * size];
    let vectors = if n <= d {
        par_gemm(x, x.t(), &mut gram);
        targets
    } else {
        par_gemm(x.t(), x, &mut gram);
        let mut products = vec![0.0; d * classes];
        par_gemm(x.t(), Matrix::new(&targets, n, classes), &mut products);
        products
    };
    let (values, vectors) = spectrum(size, gram, vectors);
    let largest = values.iter().copied().fold(0.0, f64::max);
    let kept: Vec<usize> = (0..size).filter(|&i| values[i] > NOTHING * largest).collect();
    // X^T y along a right singular vector is s times y along the left one.
    let scale = |i: usize| if n <= d { 1.0 } else { 1.0 / values[i] };
    let of_class =
        |k: usize| kept.iter().map(|&i| vectors[i * classes + k].powi(2) * scale(i)).collect();
    Singular {
        squares: kept.iter().map(|&i| values[i]).collect(),
        along: (0..classes).map(of_class).collect(),
    }
}

/// LogME (You et al., 2021): the logarithm of the maximum evidence of a Bayesian linear model of
/// `features` `[N, D]`, for each sample and class: with a prior `N(0, 1 / alpha)` of the weights and
/// noise of variance `1 / beta`, the mean over the classes, as targets of 0 and 1, of
///
/// `max (D log alpha + N log beta - log |A| - beta |F m - y|^2 - alpha |m|^2 - N log 2 pi) / (2 N)`,
///
/// where `A = alpha + beta F^T F` and `m = beta A^-1 F^T y`. Alpha and beta come from MacKay's fixed
/// point, with the `1e-5` of the authors' code below its fractions.
///
/// # Errors
/// If there is not one label for each row, no row, or a feature is not finite.
pub fn log_me<T: Element>(features: &Tensor<T>, labels: &[usize]) -> Result<f64> {
    const STEPS: usize = 100;
    const NEAR: f64 = 1e-6;
    let (numbers, classes) = known("log_me", features, labels)?;
    let [n, d] = features.dims("log_me", "features", "[N, D]")?;
    let x: Vec<f64> = features.as_slice().iter().map(|v| v.widen()).collect();
    let Singular { squares, along } = singular(&x, [n, d], &numbers, classes);
    let count = n as f64;
    let evidence = |along: &Vec<f64>, ones: f64| {
        let outside = (ones - along.iter().sum::<f64>()).max(0.0);
        let (mut alpha, mut beta, mut evidence) = (1.0, 1.0, 0.0);
        for _ in 0..STEPS {
            let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
                squares.iter().zip(along).map(|(s, y)| term(*s, *y)).sum()
            };
            let ratio = alpha / beta;
            let gamma = sum(&|s, _| s / (s + ratio));
            let weights = sum(&|s, y| s * y / (s + ratio).powi(2));
            let errors = sum(&|s, y| y / (1.0 + s / ratio).powi(2)) + outside;
            (alpha, beta) = (gamma / (weights + 1e-5), (count - gamma) / (errors + 1e-5));
            // log alpha for each of the D, less log |A|, in which those without a feature cancel.
            let determinant = sum(&|s, _| (alpha / (alpha + beta * s)).ln());
            let constant = count * (beta / std::f64::consts::TAU).ln();
            evidence = (determinant + constant - beta * errors - alpha * weights) / (2.0 * count);
            if (alpha / beta / ratio - 1.0).abs() <= NEAR {
                break;
            }
        }
        evidence
    };
    let ones = |class: usize| numbers.iter().filter(|&&number| number == class).count() as f64;
    let sum: f64 = along.iter().enumerate().map(|(k, along)| evidence(along, ones(k))).sum();
    Ok(sum / classes as f64)
}

/// The H-score (Bao et al., 2019) of `features` `[N, D]`: `tr(cov(f)^+ cov(E[f | y]))`, the share of
/// the features' variance that lies between classes, along all directions alike; at most one less
/// than there are classes.
///
/// # Errors
/// If there is not one label for each row, no row, or a feature is not finite.
pub fn h_score<T: Element>(features: &Tensor<T>, labels: &[usize]) -> Result<f64> {
    let (numbers, classes) = known("h_score", features, labels)?;
    let [n, d] = features.dims("h_score", "features", "[N, D]")?;
    let mut x: Vec<f64> = features.as_slice().iter().map(|v| v.widen()).collect();
    for column in 0..d {
        let mean = x.iter().skip(column).step_by(d).sum::<f64>() / n as f64;
        x.iter_mut().skip(column).step_by(d).for_each(|v| *v -= mean);
    }
    // With means m_k = X^T y_k / n_k of centred features, n_k m_k^T (X^T X)^+ m_k is
    // |U^T y_k|^2 / n_k.
    let Singular { along, .. } = singular(&x, [n, d], &numbers, classes);
    let of_class = |(k, along): (usize, &Vec<f64>)| {
        let count = numbers.iter().filter(|&&number| number == k).count();
        along.iter().sum::<f64>() / count as f64
    };
    Ok(along.iter().enumerate().map(of_class).sum())
}

/// LEEP (Nguyen et al., 2020), by what a source's own classifier makes of the samples, `probabilities`
/// `[N, Z]` of its classes: the mean over the samples of `log sum_z P(y | z) p_z`, where
/// `P(y | z)` is the empirical share of label y, samples counting by their `p_z`.
///
/// # Errors
/// If there is not one label for each row, no row, or a probability is not finite.
pub fn leep<T: Element>(probabilities: &Tensor<T>, labels: &[usize]) -> Result<f64> {
    let (numbers, classes) = known("leep", probabilities, labels)?;
    let [n, z] = probabilities.dims("leep", "probabilities", "[N, Z]")?;
    let rows = || probabilities.as_slice().chunks(z).zip(&numbers);
    let mut joint = vec![0.0; classes * z];
    for (row, &label) in rows() {
        joint[label * z..][..z].iter_mut().zip(row).for_each(|(sum, p)| *sum += p.widen());
    }
    let all: Vec<f64> = (0..z).map(|z_| joint.iter().skip(z_).step_by(z).sum()).collect();
    let likelihood = |(row, &label): (&[T], &usize)| -> f64 {
        let shares = joint[label * z..][..z].iter().zip(&all).zip(row);
        // A class of the source that no sample looks like says nothing.
        let shares = shares.filter(|((_, all), _)| **all > 0.0);
        shares.map(|((joint, all), p)| joint / all * p.widen()).sum::<f64>().ln()
    };
    Ok(rows().map(likelihood).sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn tensor(value: &Value) -> Tensor<f64> {
        let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
        Tensor::new(&[rows.len(), rows[0].len()], rows.concat()).unwrap()
    }

    /// Of features with more rows than columns, and the other way round.
    #[test]
    fn scores_are_those_of_their_papers_restated() {
        let golden = include_str!("../../tests/golden/transferability.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        for case in golden.as_array().unwrap() {
            let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
            let features = tensor(&case["features"]);
            let scores = [
                ("log_me", log_me(&features, &labels)),
                ("h_score", h_score(&features, &labels)),
                ("leep", leep(&tensor(&case["probabilities"]), &labels)),
            ];
            for (name, score) in scores {
                let (score, expected) = (score.unwrap(), case[name].as_f64().unwrap());
                assert!((score - expected).abs() < 1e-6, "{name}: {score} {expected}");
            }
        }
    }

    #[test]
    fn a_source_with_its_classifier_has_all_scores_and_one_without_lacks_leep() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let source = Network::<f32>::drawn(&design.with_outputs(7), 1).unwrap();
        let mut source = source.parameters().state("a source");
        let values = (0..16 * 256).map(|at| ((at / 256 % 2) * (at % 2)) as f32).collect();
        let images = Tensor::new(&[16, 1, 16, 16], values).unwrap();
        let labels: Vec<usize> = (0..16).map(|n| n % 2).collect();
        let batch = || [Ok((images.clone(), labels.clone()))];
        let all = Transferability::of(&design, &source, batch()).unwrap();
        assert!(all.leep.is_some_and(|leep| leep <= 0.0), "{all:?}");
        assert_eq!(all.leave_one_out, super::super::score(&design, &source, batch()).unwrap());
        source.tensors.retain(|name, _| name != "fc.bias");
        let without = Transferability::of(&design, &source, batch()).unwrap();
        assert_eq!(without, Transferability { leep: None, ..all });
    }

    #[test]
    fn what_has_no_score_is_an_error() {
        let (none, two) = (Tensor::<f64>::zeros(&[0, 3]), Tensor::full(&[2, 3], f64::NAN));
        for score in [log_me, h_score, leep] {
            assert!(score(&none, &[]).is_err());
            assert!(score(&two, &[0, 1]).is_err());
            assert!(score(&Tensor::zeros(&[2, 3]), &[0]).is_err());
            assert!(score(&Tensor::full(&[2, 3], 0.5), &[0, usize::MAX]).is_ok());
        }
    }
}
