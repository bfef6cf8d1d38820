//! Networks that a network learns from: their answers, beside the labels.

use crate::nn::{Network, Pass};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::train::{Input, Model, logits, probabilities};
use crate::{Error, Result, ops};
use std::path::PathBuf;

/// Tuned networks whose answers, averaged, are what a network learns (Hinton, Vinyals and Dean, 2015,
/// "Distilling the knowledge in a neural network").
pub(super) struct Teachers {
    networks: Vec<Network<f32>>,
    share: f64,
    temperature: f64,
}

impl Teachers {
    /// The networks in `files`, which see images as `input` and know `classes`. Their answers have
    /// `share` of the loss, at a temperature.
    ///
    /// # Errors
    /// If one cannot be read, or sees or knows something else.
    pub fn open(
        files: &[PathBuf],
        [share, temperature]: [f64; 2],
        input: &Input,
        classes: &[String],
    ) -> Result<Self> {
        let open = |file: &PathBuf| {
            let Model { network, input: seen, classes: known, .. } = Model::open(file, None)?;
            let refuse = |problem: String| {
                Error::config("task.teachers", format!("{} {problem}", file.display()))
            };
            if seen != *input {
                return Err(refuse(format!("sees {seen}, but this run {input}")));
            }
            let outputs = network.design().outputs;
            if outputs != classes.len() || !known.is_empty() && known != classes {
                let problem = format!(
                    "knows {outputs} classes, but not the {} of the data in their \
                                       order",
                    classes.len()
                );
                return Err(refuse(problem));
            }
            Ok(network)
        };
        let networks = files.iter().map(open).collect::<Result<_>>()?;
        Ok(Self { networks, share, temperature })
    }

    /// `(1 - share) loss + share T^2 L`, where `loss` is that of the labels, and L the cross-entropy
    /// of `softmax(z / T)` of logits z `[N, K]` with the mean over the teachers of the same of
    /// theirs, for `images` `[N, C, H, W]`.
    pub fn teach(
        &mut self,
        pass: &mut Pass<f32>,
        z: Var,
        images: &Tensor<f32>,
        loss: Var,
    ) -> Result<Var> {
        let [count, classes] = pass.value(z)?.dims("teachers", "logits", "[N, K]")?;
        let device = pass.value(z)?.device();
        let mut mean = vec![0.0; count * classes];
        let weight = 1.0 / self.networks.len() as f64;
        for network in &mut self.networks {
            network.parameters_mut().to(&device)?;
            let mut softened = logits(network, images, count)?;
            let temperature = self.temperature as f32;
            softened.as_mut_slice().iter_mut().for_each(|z| *z /= temperature);
            let found = probabilities(&softened)?.concat();
            mean.iter_mut().zip(found).for_each(|(sum, p)| *sum += weight * p);
        }
        // The cross-entropy's sign and mean, and T^2, which keeps the gradient's size.
        let scale = -self.share * self.temperature.powi(2) / count as f64;
        let targets = mean.into_iter().map(|p| (p * scale) as f32).collect();
        let targets = pass.input(Tensor::new(&[count, classes], targets)?.to(&device)?);
        let tape = pass.tape();
        let softened = ops::scale(tape, z, 1.0 / self.temperature)?;
        let likely = ops::log_softmax(tape, softened)?;
        let products = ops::mul(tape, likely, targets)?;
        let taught = ops::sum_all(tape, products)?;
        let told = ops::scale(tape, loss, 1.0 - self.share)?;
        ops::add(tape, told, taught)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;

    #[test]
    fn the_loss_is_that_of_the_labels_and_of_the_teachers_by_their_share() {
        let design = Design::named("resnet_small", 1, 3).unwrap();
        let drawn = |seed| Network::<f32>::drawn(&design, seed).unwrap();
        let images = Tensor::normal(&[4, 1, 8, 8], 1.0, &mut fastrand::Rng::with_seed(1));
        let z = [0.5, -1.0, 2.0, 0.0, 0.0, 1.0, 3.0, 0.2, 0.1, -0.5, 0.4, 0.3];
        let of = |share, temperature: f64| {
            let networks = vec![drawn(1), drawn(2)];
            let mut teachers = Teachers { networks, share, temperature };
            let parameters = crate::nn::Parameters::default();
            let mut pass = Pass::evaluate(&parameters);
            let z = pass.input(Tensor::new(&[4, 3], z.to_vec()).unwrap());
            let loss = pass.input(Tensor::scalar(5.0));
            let loss = teachers.teach(&mut pass, z, &images, loss).unwrap();
            f64::from(pass.value(loss).unwrap().item().unwrap())
        };
        let softmax = |row: &[f32], t: f64| -> Vec<f64> {
            let powers: Vec<f64> = row.iter().map(|z| (f64::from(*z) / t).exp()).collect();
            powers.iter().map(|p| p / powers.iter().sum::<f64>()).collect()
        };
        let expected = |t: f64| {
            let told = [1, 2].map(|seed| logits(&drawn(seed), &images, 4).unwrap().into_vec());
            let of_row = |n: usize| -> f64 {
                let own = softmax(&z[3 * n..][..3], t);
                let [a, b] = [0, 1].map(|m| softmax(&told[m][3 * n..][..3], t));
                (0..3).map(|k| -f64::midpoint(a[k], b[k]) * own[k].ln()).sum()
            };
            t * t * (0..4).map(of_row).sum::<f64>() / 4.0
        };
        assert_eq!(of(0.0, 2.0), 5.0);
        assert!((of(1.0, 1.0) - expected(1.0)).abs() < 1e-5);
        assert!((of(0.7, 2.0) - 1.5 - 0.7 * expected(2.0)).abs() < 1e-5);
    }
}
