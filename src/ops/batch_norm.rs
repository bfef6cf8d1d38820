//! `y = (x - mean) / sqrt(variance + epsilon) weight + bias`, per channel.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::norm::Channels;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// Mean and variance of each channel of one batch, for the running statistics.
#[derive(Clone, Debug)]
pub struct Moments<T> {
    /// `[C]`.
    pub mean: Vec<T>,
    /// `[C]`, divided by the number of values.
    pub variance: Vec<T>,
    /// Values per channel.
    pub count: usize,
}

/// Batch normalisation in training: `x` `[N, C, ...]` by its own mean and variance;
/// `weight` and `bias` are `[C]`.
///
/// # Errors
/// If the shapes do not fit, or a channel has fewer than two values.
pub fn batch_norm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weight: Var,
    bias: Var,
    epsilon: f64,
) -> Result<(Var, Moments<T>)> {
    let (channels, operands) = operands(tape, x, weight, bias)?;
    if channels.count() < 2 {
        let expected = "with two values per channel at least, to have a variance";
        return Err(Error::shape("batch_norm", "input", expected, operands[0].shape()));
    }
    let [xv, w, b] = operands;
    let (mean, variance) = channels.moments(xv.as_slice());
    let rule = BatchNorm::new(channels, xv, w, &mean, &variance, epsilon, false);
    let y = rule.forward(&b);
    let y = tape.record("batch_norm", y, &[x, weight, bias], rule)?;
    Ok((y, Moments { mean, variance, count: channels.count() }))
}

/// Batch normalisation in evaluation: `x` `[N, C, ...]` by the given `mean` and
/// `variance` `[C]`, which are constants.
///
/// # Errors
/// If the shapes do not fit.
pub fn batch_norm_frozen<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    [weight, bias]: [Var; 2],
    mean: &Tensor<T>,
    variance: &Tensor<T>,
    epsilon: f64,
) -> Result<Var> {
    let (channels, [xv, w, b]) = operands(tape, x, weight, bias)?;
    for (name, tensor) in [("running mean", mean), ("running variance", variance)] {
        if tensor.shape() != [channels.channels] {
            let expected = format!("[{}]", channels.channels);
            return Err(Error::shape("batch_norm", name, expected, tensor.shape()));
        }
    }
    let (mean, variance) = (mean.as_slice(), variance.as_slice());
    let rule = BatchNorm::new(channels, xv, w, mean, variance, epsilon, true);
    let y = rule.forward(&b);
    tape.record("batch_norm_frozen", y, &[x, weight, bias], rule)
}

fn operands<T: Element>(
    tape: &Tape<T>,
    x: Var,
    weight: Var,
    bias: Var,
) -> Result<(Channels, [Tensor<T>; 3])> {
    let values = [tape.value(x)?.clone(), tape.value(weight)?.clone(), tape.value(bias)?.clone()];
    let &[batch, channels, ref rest @ ..] = values[0].shape() else {
        return Err(Error::shape("batch_norm", "input", "[N, C, ...]", values[0].shape()));
    };
    for (name, tensor) in [("weight", &values[1]), ("bias", &values[2])] {
        if tensor.shape() != [channels] {
            return Err(Error::shape("batch_norm", name, format!("[{channels}]"), tensor.shape()));
        }
    }
    Ok((Channels { batch, channels, len: rest.iter().product() }, values))
}

struct BatchNorm<T> {
    channels: Channels,
    x: Tensor<T>,
    weight: Tensor<T>,
    mean: Vec<T>,
    /// `1 / sqrt(variance + epsilon)`.
    inverse: Vec<T>,
    /// Whether mean and variance are constants rather than functions of `x`.
    frozen: bool,
}

impl<T: Element> BatchNorm<T> {
    fn new(
        channels: Channels,
        x: Tensor<T>,
        weight: Tensor<T>,
        mean: &[T],
        variance: &[T],
        epsilon: f64,
        frozen: bool,
    ) -> Self {
        let epsilon = T::from_f64(epsilon);
        let inverse = variance.iter().map(|&v| T::one() / (v + epsilon).sqrt()).collect();
        Self { channels, x, weight, mean: mean.to_vec(), inverse, frozen }
    }

    fn forward(&self, bias: &Tensor<T>) -> Tensor<T> {
        let y =
            self.channels.normalise(self.x.as_slice(), &self.mean, &self.scale(), bias.as_slice());
        Tensor::owned(self.x.shape().to_vec(), y)
    }

    fn scale(&self) -> Vec<T> {
        self.weight.as_slice().iter().zip(&self.inverse).map(|(&w, &i)| w * i).collect()
    }
}

impl<T: Element> Backward<T> for BatchNorm<T> {
    /// With `z = (x - mean) inverse`: `dweight = sum dy z`, `dbias = sum dy`, and
    /// `dx = weight inverse (dy - mean(dy) - z mean(dy z))`; the two means are absent
    /// where the statistics are constants.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let count = T::from_f64(self.channels.count() as f64);
        let (x, d) = (self.x.as_slice(), dy.as_slice());
        let (sum, moment) = self.channels.gradient_sums(x, d, &self.mean);
        let dx = wanted[0].then(|| {
            let a = self.scale();
            let (mut b, mut c) = (vec![T::zero(); a.len()], vec![T::zero(); a.len()]);
            if !self.frozen {
                for (channel, &a) in a.iter().enumerate() {
                    let inverse = self.inverse[channel];
                    b[channel] = -a * inverse * inverse * moment[channel] / count;
                    c[channel] = -a * sum[channel] / count;
                }
            }
            let dx = self.channels.input_gradient(x, d, &self.mean, [&a, &b, &c]);
            Tensor::owned(self.x.shape().to_vec(), dx)
        });
        let dweight = moment.iter().zip(&self.inverse).map(|(&m, &i)| m * i).collect();
        let channels = vec![self.channels.channels];
        Ok(vec![
            dx,
            Some(Tensor::owned(channels.clone(), dweight)),
            Some(Tensor::owned(channels, sum)),
        ])
    }
}

fn case_inputs(draw: &mut Draw) -> [Tensor<f64>; 3] {
    let shape = [draw.size(2, 4), draw.size(1, 5), draw.size(1, 4), draw.size(1, 4)];
    [draw.tensor(&shape), draw.tensor(&[shape[1]]), draw.tensor(&[shape[1]])]
}

pub(super) fn case(draw: &mut Draw) -> Case {
    Case::new(case_inputs(draw), |tape, v| {
        // A generous epsilon: two values that happen to be close have a huge curvature.
        batch_norm(tape, v[0], v[1], v[2], 0.1).map(|(y, _)| y)
    })
}

pub(super) fn frozen_case(draw: &mut Draw) -> Case {
    let inputs = case_inputs(draw);
    let mean = draw.tensor(inputs[1].shape());
    let squares = draw.tensor(inputs[1].shape()).as_slice().iter().map(|v| v * v).collect();
    let variance = Tensor::owned(mean.shape().to_vec(), squares);
    Case::new(inputs, move |tape, v| {
        batch_norm_frozen(tape, v[0], [v[1], v[2]], &mean, &variance, 0.1)
    })
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);

    mod frozen {
        crate::gradcheck::gradient_test!(super::super::frozen_case);
    }
}
