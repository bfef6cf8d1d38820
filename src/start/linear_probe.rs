//! A linear probe in closed form: a network whose head is a ridge classifier on its features.
//!
//! Tuning that begins from a fresh head first spoils features by the head's random gradients; from a
//! fitted one it does not (Kumar et al., 2022, "Fine-tuning can distort pretrained features").

use super::prior::{Features, features};
use super::ridge::{Standardised, best_factor, dual, left_out, one_hot};
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::nn::{Id, Network, Role};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// Fits the head of `network` to labelled `batches` (images `[N, C, H, W]` and a label for each), in the
/// mode of training, as [`score`](super::score) does. At most 2000 samples are looked at.
///
/// # Errors
/// If the head is not one linear layer, there is no batch of several samples, or a label is no output
/// of the network.
pub fn linear_probe<T: Element>(
    network: &mut Network<T>,
    batches: impl IntoIterator<Item = Result<(Tensor<T>, Vec<usize>)>>,
) -> Result<()> {
    let Features { values, labels, .. } = features(network, batches)?.first(super::MOST)?;
    let (weight, bias) = head(network)?;
    let outputs = network.design().outputs;
    let (weights, biases) = fitted(&values, &labels, outputs)?;
    let parameters = network.parameters_mut();
    let [_, columns] = values.dims("linear probe", "features", "[N, D]")?;
    let found = parameters.value(weight).shape();
    if found != [outputs, columns] {
        let expected = format!("[{outputs}, {columns}], as the features are");
        return Err(Error::shape("linear probe", "the head's weight", expected, found));
    }
    let tensor = |shape: &[usize], values: Vec<f64>| {
        Tensor::new(shape, values.into_iter().map(T::from_f64).collect())
    };
    *parameters.value_mut(weight) = tensor(&[outputs, columns], weights)?;
    *parameters.value_mut(bias) = tensor(&[outputs], biases)?;
    Ok(())
}

/// Weight and bias of a head that is one linear layer.
fn head<T: Element>(network: &Network<T>) -> Result<(Id, Id)> {
    let parameters = network.parameters();
    let of_head: Vec<Id> =
        parameters.ids().filter(|&id| parameters.role(id) == Role::Head).collect();
    match of_head[..] {
        [weight, bias] if parameters.value(bias).shape().len() == 1 => Ok((weight, bias)),
        _ => {
            let names: Vec<&str> = of_head.iter().map(|&id| parameters.name(id)).collect();
            let problem = format!(
                "the head should be a linear layer with a bias, but consists of {}",
                names.join(", ")
            );
            Err(Error::argument("linear probe", problem))
        }
    }
}

/// Weights `[K, D]` and biases `[K]` of a classifier of `features` `[N, D]`: the ridge regression of
/// [`leave_one_out_accuracy`](super::leave_one_out_accuracy) to 1 for the class and 0 for others, as
/// logits. Its outputs are multiplied with what makes the cross-entropy of those of the left out
/// smallest.
pub(super) fn fitted<T: Element>(
    features: &Tensor<T>,
    labels: &[usize],
    classes: usize,
) -> Result<(Vec<f64>, Vec<f64>)> {
    if let Some(label) = labels.iter().find(|&&label| label >= classes) {
        let problem = format!("label {label} is out of range: there are {classes} classes");
        return Err(Error::argument("linear probe", problem));
    }
    let fit = Standardised::of(features, labels.len())?;
    let Standardised { x, n, d, mean, scale } = &fit;
    let (n, d) = (*n, *d);
    let inverse = fit.gram(None).inverse();
    let y = one_hot(labels, classes);
    let dual = dual(&inverse, &y, classes, None);
    let (factor, _) = best_factor(&left_out(&inverse, dual.clone(), &y, None), labels, classes);
    let mut slopes = vec![0.0; d * classes];
    par_gemm(Matrix::new(x, n, d).t(), Matrix::new(&dual, n, classes), &mut slopes);
    let mut weights = vec![0.0; classes * d];
    let mut biases = vec![0.0; classes];
    for class in 0..classes {
        let sum: f64 = (0..n).map(|i| dual[i * classes + class]).sum();
        biases[class] = factor * fit.constant().powi(2) * sum;
        for column in 0..d {
            let weight = factor * slopes[column * classes + class] * scale[column];
            weights[class * d + column] = weight;
            biases[class] -= weight * mean[column];
        }
    }
    Ok((weights, biases))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Pass};

    /// Noisy features, the largest of which says the class.
    fn samples(n: usize, rng: &mut fastrand::Rng) -> (Tensor<f64>, Vec<usize>) {
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let noise = Tensor::<f64>::normal(&[n, 3], 0.3, rng).into_vec();
        let value = |(at, noise)| noise + 5.0 + f64::from(u8::from(labels[at / 3] == at % 3));
        let values = noise.into_iter().enumerate().map(value).collect();
        (Tensor::new(&[n, 3], values).unwrap(), labels)
    }

    /// Of samples that it was not fitted to.
    fn loss(weights: &[f64], biases: &[f64], factor: f64, of: &(Tensor<f64>, Vec<usize>)) -> f64 {
        let logits = of.0.as_slice().chunks(3).flat_map(|x| {
            let logit =
                |k: usize| biases[k] + (0..3).map(|d| weights[3 * k + d] * x[d]).sum::<f64>();
            (0..3).map(|k| factor * logit(k)).collect::<Vec<_>>()
        });
        let logits: Vec<f64> = logits.collect();
        let of_row = |(row, &label): (&[f64], &usize)| {
            row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[label]
        };
        logits.chunks(3).zip(&of.1).map(of_row).sum::<f64>() / of.1.len() as f64
    }

    #[test]
    fn the_fitted_head_tells_classes_and_knows_how_sure_it_may_be() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (seen, unseen) = (samples(120, &mut rng), samples(3000, &mut rng));
        let (weights, biases) = fitted(&seen.0, &seen.1, 3).unwrap();
        let best = loss(&weights, &biases, 1.0, &unseen);
        assert!(best < 0.25, "{best}");
        for factor in [0.5, 2.0] {
            assert!(loss(&weights, &biases, factor, &unseen) > best, "{factor}");
        }
        assert!(fitted(&seen.0, &seen.1, 2).is_err(), "a label is out of range");
    }

    /// The regression itself: `(X^T X + ridge I) w = X^T Y` of standardised features.
    #[test]
    fn the_weights_solve_the_normal_equations() {
        let (features, labels) = samples(30, &mut fastrand::Rng::with_seed(9));
        let (weights, _) = fitted(&features, &labels, 3).unwrap();
        let fit = Standardised::of(&features, 30).unwrap();
        let column = |d: usize| (0..30).map(move |n| n * 3 + d).collect::<Vec<_>>();
        let dot = |a: usize, b: usize| -> f64 {
            column(a).iter().zip(column(b)).map(|(&i, j)| fit.x[i] * fit.x[j]).sum()
        };
        let norm: f64 = fit.x.iter().map(|v| v * v).sum();
        let ridge = 1e-2 * (norm + 30.0) / 30.0;
        let residual = |class: usize, d: usize| -> (f64, f64) {
            let w = |e: usize| weights[class * 3 + e] / fit.scale[e];
            let left = (0..3).map(|e| dot(d, e) * w(e)).sum::<f64>() + ridge * w(d);
            let right = column(d).into_iter().zip(&labels).filter(|(_, l)| **l == class);
            (left, right.map(|(i, _)| fit.x[i]).sum())
        };
        // Up to the one factor.
        let (left, right) = residual(0, 0);
        for (class, d) in (0..3).flat_map(|class| (0..3).map(move |d| (class, d))) {
            let (l, r) = residual(class, d);
            assert!((l * right - r * left).abs() < 1e-6 * left.abs() * right.abs(), "{class} {d}");
        }
    }

    #[test]
    fn a_network_is_probed_in_place() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let mut network = Network::<f32>::drawn(&design, 1).unwrap();
        let values = (0..16 * 256).map(|at| ((at / 256 % 2) * (at % 2)) as f32).collect();
        let images = Tensor::new(&[16, 1, 16, 16], values).unwrap();
        let labels: Vec<usize> = (0..16).map(|n| n % 2).collect();
        linear_probe(&mut network, [Ok((images.clone(), labels.clone()))]).unwrap();
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(images.clone());
        let logits = network.forward(&mut pass, x).unwrap();
        let logits = pass.value(logits).unwrap();
        for (row, label) in logits.as_slice().chunks(2).zip(&labels) {
            assert!(row[*label] > row[1 - label] + 1.0, "{row:?}");
        }
        assert!(linear_probe(&mut network, [Ok((images, vec![2; 16]))]).is_err());
        assert!(linear_probe(&mut network, []).is_err());
    }
}
