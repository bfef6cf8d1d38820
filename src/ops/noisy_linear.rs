//! `y = x (W + S * e f^T)^T + b + s * e`, with `*` elementwise: a linear layer whose weights are drawn anew in every pass, by as
//! much as is learned (Fortunato et al., 2018, with factorised noise).

use super::{add, linear, mul};
use crate::gradcheck::{Case, Draw};
use crate::tape::{Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// What a noisy linear layer learns.
#[derive(Clone, Copy, Debug)]
pub struct NoisyWeights {
    /// The mean weight `W`, `[K, D]`.
    pub weight: Var,
    /// The mean bias `b`, `[K]`.
    pub bias: Var,
    /// By how much the weight is moved, `S`, `[K, D]`.
    pub weight_sigma: Var,
    /// By how much the bias is, `s`, `[K]`.
    pub bias_sigma: Var,
}

/// What was drawn for one pass: the noise of `S[k, d]` is `outputs[k] inputs[d]`, that of `s[k]` is
/// `outputs[k]`.
#[derive(Clone, Debug)]
pub struct Noise<T> {
    /// `f`, `[D]`.
    pub inputs: Tensor<T>,
    /// `e`, `[K]`.
    pub outputs: Tensor<T>,
}

impl<T: Element> Noise<T> {
    /// Noise of a layer from `features` to `outputs`: `sign(z) sqrt(|z|)` of normal `z`, as in the paper.
    pub fn drawn(features: usize, outputs: usize, rng: &mut fastrand::Rng) -> Self {
        let mut draw = |count: usize| {
            let mut values = Tensor::<T>::normal(&[count], 1.0, rng);
            let scaled = |z: f64| z.abs().sqrt().copysign(z);
            values.as_mut_slice().iter_mut().for_each(|z| *z = T::from_f64(scaled(z.widen())));
            values
        };
        Self { inputs: draw(features), outputs: draw(outputs) }
    }
}

/// The noisy linear map of `x` `[N, D]`, of shape `[N, K]`; one draw for all samples:
///
/// ```text
/// y[n] = x[n] W^T + b + e * ((x[n] * f) S^T + s)        * elementwise
/// ```
///
/// # Errors
/// If the shapes do not fit.
pub fn noisy_linear<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weights: NoisyWeights,
    noise: &Noise<T>,
) -> Result<Var> {
    let value = tape.value(x)?;
    let ([batch, features], device) =
        (value.dims("noisy_linear", "input", "[N, D]")?, value.device());
    let [outputs, _] = tape.value(weights.weight)?.dims("noisy_linear", "weight", "[K, D]")?;
    for (name, drawn, count) in
        [("inputs", &noise.inputs, features), ("outputs", &noise.outputs, outputs)]
    {
        if drawn.shape() != [count] {
            let name = format!("noise of {name}");
            return Err(Error::shape("noisy_linear", name, format!("[{count}]"), drawn.shape()));
        }
    }
    let rows = |tape: &mut Tape<T>, row: &Tensor<T>| -> Result<Var> {
        let values = row.to(&Device::Cpu)?.into_vec().repeat(batch);
        let rows = Tensor::new(&[batch, row.len()], values)?.to(&device)?;
        Ok(tape.constant(rows))
    };
    let mean = linear(tape, x, weights.weight, Some(weights.bias))?;
    let of_inputs = rows(tape, &noise.inputs)?;
    let moved = mul(tape, x, of_inputs)?;
    let moved = linear(tape, moved, weights.weight_sigma, Some(weights.bias_sigma))?;
    let of_outputs = rows(tape, &noise.outputs)?;
    let moved = mul(tape, moved, of_outputs)?;
    add(tape, mean, moved)
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [batch, features, outputs] = [draw.size(1, 4), draw.size(1, 5), draw.size(1, 5)];
    let [inputs, of_outputs] = [draw.tensor(&[features]), draw.tensor(&[outputs])];
    let noise = Noise { inputs, outputs: of_outputs };
    let tensors = [&[batch, features][..], &[outputs, features], &[outputs]];
    let tensors = [tensors[0], tensors[1], tensors[2], tensors[1], tensors[2]];
    let inputs: Vec<_> = tensors.iter().map(|shape| draw.tensor(shape)).collect();
    Case::new(inputs, move |tape, v| {
        let [weight, bias, weight_sigma, bias_sigma] = [v[1], v[2], v[3], v[4]];
        let weights = NoisyWeights { weight, bias, weight_sigma, bias_sigma };
        noisy_linear(tape, v[0], weights, &noise)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    /// The same with the noise written out as a matrix.
    #[test]
    fn it_is_a_linear_map_by_moved_weights() {
        let rng = &mut fastrand::Rng::with_seed(3);
        let (n, d, k) = (3, 4, 2);
        let noise = Noise::<f64>::drawn(d, k, rng);
        let shapes = [&[n, d][..], &[k, d], &[k], &[k, d], &[k]];
        let values = shapes.map(|shape| Tensor::<f64>::normal(shape, 1.0, rng));
        let [x, weight, bias, weight_sigma, bias_sigma] = &values;
        let (e, f) = (noise.outputs.as_slice(), noise.inputs.as_slice());
        let moved = Tensor::new(
            &[k, d],
            (0..k * d)
                .map(|at| {
                    weight.as_slice()[at] + weight_sigma.as_slice()[at] * e[at / d] * f[at % d]
                })
                .collect(),
        );
        let shifted = (0..k).map(|at| bias.as_slice()[at] + bias_sigma.as_slice()[at] * e[at]);
        let shifted = Tensor::new(&[k], shifted.collect());
        let mut tape = Tape::new();
        let constants = [x.clone(), moved.unwrap(), shifted.unwrap()].map(|t| tape.constant(t));
        let expected = linear(&mut tape, constants[0], constants[1], Some(constants[2])).unwrap();
        let [x, weight, bias, weight_sigma, bias_sigma] = values.map(|t| tape.constant(t));
        let weights = NoisyWeights { weight, bias, weight_sigma, bias_sigma };
        let y = noisy_linear(&mut tape, x, weights, &noise).unwrap();
        let [expected, y] = [expected, y].map(|of| tape.value(of).unwrap());
        assert!(expected.relative_difference(y).unwrap() < 1e-12);
        let other = Noise::drawn(d, k + 1, rng);
        assert!(noisy_linear(&mut tape, x, weights, &other).is_err());
    }

    /// `E|sign(z) sqrt|z||^2 = E|z| = sqrt(2 / pi)`, and a mean of 0.
    #[test]
    fn noise_is_of_the_scale_of_the_paper() {
        let noise = Noise::<f64>::drawn(20_000, 1, &mut fastrand::Rng::with_seed(1));
        let values = noise.inputs.as_slice();
        let mean =
            |of: fn(f64) -> f64| values.iter().map(|&v| of(v)).sum::<f64>() / values.len() as f64;
        assert!(mean(|v| v).abs() < 0.02);
        assert!((mean(|v| v * v) - (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.02);
    }
}
