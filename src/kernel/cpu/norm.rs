//! Batch normalisation.

use super::{Cpu, like, row};
use crate::Result;
use crate::kernel::engine::{Norm, NormGradients, Norms, Rectified, WantedOfNorm};
use crate::kernel::norm::{Channels, Epilogue};
use crate::tensor::{Element, Tensor, buffer};

impl<T: Element> Norms<T> for Cpu {
    fn moments(&self, channels: Channels, x: &Tensor<T>) -> Result<[Tensor<T>; 2]> {
        let (mean, variance) = channels.moments(x.as_slice());
        Ok([mean, variance].map(row))
    }

    fn inverse_std(&self, variance: &Tensor<T>, epsilon: T) -> Result<Tensor<T>> {
        let inverse = |&v: &T| T::one() / (v + epsilon).sqrt();
        Ok(row(variance.as_slice().iter().map(inverse).collect()))
    }

    fn normalise(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        bias: &Tensor<T>,
        then: Epilogue<&Tensor<T>>,
    ) -> Result<Tensor<T>> {
        let constants = [norm.mean.as_slice(), &scale(norm), bias.as_slice()];
        let then = then.try_map(|residual| Result::Ok(residual.as_slice()))?;
        Ok(like(x, norm.channels.normalise(x.as_slice(), constants, then)))
    }

    fn norm_gradients(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        mut dy: Tensor<T>,
        rectified: Option<Rectified<T>>,
        wanted: WantedOfNorm,
    ) -> Result<NormGradients<T>> {
        let (channels, x) = (norm.channels, x.as_slice());
        let (mean, inverse) = (norm.mean.as_slice(), norm.inverse.as_slice());
        let (sum, moment) = match rectified {
            None => channels.gradient_sums(x, dy.as_slice(), mean),
            Some(Rectified { by, y }) => {
                let rectified = (by, y.as_slice());
                channels.rectified_gradient_sums(x, dy.as_mut_slice(), rectified, mean)
            }
        };
        let weight = row(moment.iter().zip(inverse).map(|(&m, &i)| m * i).collect());
        let residual = wanted.residual.then(|| dy.clone());
        let dx = wanted.x.then(|| {
            let a = scale(norm);
            let (mut b, mut c) = (vec![T::zero(); a.len()], vec![T::zero(); a.len()]);
            if !norm.is_frozen {
                let count = T::from_f64(channels.count() as f64);
                for (channel, &a) in a.iter().enumerate() {
                    let inverse = inverse[channel];
                    b[channel] = -a * inverse * inverse * moment[channel] / count;
                    c[channel] = -a * sum[channel] / count;
                }
            }
            let constants = [mean, &a, &b, &c];
            if let Some(dy) = &residual {
                let mut dx = buffer::take(x.len());
                channels.input_gradient(x, Some(dy.as_slice()), constants, &mut dx);
                like(dy, dx)
            } else {
                channels.input_gradient(x, None, constants, dy.as_mut_slice());
                dy
            }
        });
        Ok(NormGradients { x: dx, weight, bias: row(sum), residual })
    }
}

/// `inverse weight`.
fn scale<T: Element>(norm: &Norm<T>) -> Vec<T> {
    let pairs = norm.weight.as_slice().iter().zip(norm.inverse.as_slice());
    pairs.map(|(&weight, &inverse)| weight * inverse).collect()
}
