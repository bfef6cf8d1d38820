//! `y = (x - mean) / sqrt(variance + epsilon) weight + bias`, per channel; then, in the same pass,
//! the residual and the rectifier of [`Epilogue`].

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::Epilogue;
use crate::kernel::elementwise::Rectifier;
use crate::kernel::engine::{Norm, Rectified, WantedOfNorm};
use crate::kernel::norm::Channels;
use crate::processes::Share;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// Mean and variance of each channel of one batch, for the running statistics.
#[derive(Clone, Debug)]
pub struct Moments<T> {
    /// `[C]`.
    pub mean: Tensor<T>,
    /// `[C]`, divided by the number of values.
    pub variance: Tensor<T>,
    /// Values per channel.
    pub count: usize,
}

/// As [`batch_norm`], by mean and variance of the whole batch, of which `x` is the `share` of this process:
/// `mean = sum_p n_p mean_p / n` and `variance = sum_p n_p (variance_p + (mean_p - mean)^2) / n` of the
/// processes p.
///
/// # Errors
/// As [`batch_norm`]; if another process is gone.
pub fn batch_norm_together<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    [weight, bias]: [Var; 2],
    epsilon: f64,
    then: Epilogue<Var>,
    share: &Share,
) -> Result<(Var, Moments<T>)> {
    let channels = channels(tape, x, weight, bias)?;
    let value = tape.value(x)?;
    let device = value.device();
    let own = device.engine().moments(channels, value)?;
    let mut numbers = vec![share.factor() * channels.count() as f64];
    for moment in &own {
        numbers.extend(moment.to(&Device::Cpu)?.as_slice().iter().map(|v| v.widen()));
    }
    let all = share.group.gather(&numbers)?;
    let count: f64 = all.iter().map(|of| of[0]).sum();
    if count < 2.0 {
        let expected = "with two values per channel at least in all processes, to have a variance";
        return Err(Error::shape("batch_norm", "input", expected, value.shape()));
    }
    let c = channels.channels;
    let mean_of =
        |channel: usize| all.iter().map(|of| of[0] * of[1 + channel]).sum::<f64>() / count;
    let means: Vec<f64> = (0..c).map(mean_of).collect();
    let variance_of = |channel: usize| {
        let of = |of: &Vec<f64>| {
            of[0] * (of[1 + c + channel] + (of[1 + channel] - means[channel]).powi(2))
        };
        all.iter().map(of).sum::<f64>() / count
    };
    let tensor = |values: Vec<f64>| {
        Tensor::owned(vec![c], values.into_iter().map(T::from_f64).collect()).to(&device)
    };
    let variance = tensor((0..c).map(variance_of).collect())?;
    let mean = tensor(means)?;
    // As of constants; what depends on the batch is added in the backward pass.
    let of_batch =
        Normalisation { channels, statistics: [&mean, &variance], epsilon, is_frozen: true };
    let together = Together { share: share.clone(), count };
    let y = of_batch.record("batch_norm", tape, [x, weight, bias], then, Some(together))?;
    Ok((y, Moments { mean, variance, count: count as usize }))
}

/// Batch normalisation in training: `x` `[N, C, ...]` by its own mean and variance;
/// `weight` and `bias` are `[C]`, a residual is of the shape of `x`.
///
/// # Errors
/// If the shapes do not fit, or a channel has fewer than two values.
pub fn batch_norm<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weight: Var,
    bias: Var,
    epsilon: f64,
    then: Epilogue<Var>,
) -> Result<(Var, Moments<T>)> {
    let channels = channels(tape, x, weight, bias)?;
    let value = tape.value(x)?;
    if channels.count() < 2 {
        let expected = "with two values per channel at least, to have a variance";
        return Err(Error::shape("batch_norm", "input", expected, value.shape()));
    }
    let [mean, variance] = value.device().engine().moments(channels, value)?;
    let y = Normalisation { channels, statistics: [&mean, &variance], epsilon, is_frozen: false }
        .record("batch_norm", tape, [x, weight, bias], then, None)?;
    Ok((y, Moments { mean, variance, count: channels.count() }))
}

/// Mean and variance of each channel of `x` `[N, C, ...]`.
///
/// # Errors
/// If `x` has no channels, or no value.
pub fn batch_moments<T: Element>(tape: &Tape<T>, x: Var) -> Result<Moments<T>> {
    let value = tape.value(x)?;
    let (&[batch, channels, ref rest @ ..], false) = (value.shape(), value.is_empty()) else {
        let expected = "[N, C, ...], with one value at least";
        return Err(Error::shape("batch_moments", "input", expected, value.shape()));
    };
    let channels = Channels { batch, channels, len: rest.iter().product() };
    let [mean, variance] = value.device().engine().moments(channels, value)?;
    Ok(Moments { mean, variance, count: channels.count() })
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
    then: Epilogue<Var>,
) -> Result<Var> {
    let channels = channels(tape, x, weight, bias)?;
    for (name, tensor) in [("running mean", mean), ("running variance", variance)] {
        if tensor.shape() != [channels.channels] {
            let expected = format!("[{}]", channels.channels);
            return Err(Error::shape("batch_norm", name, expected, tensor.shape()));
        }
    }
    Normalisation { channels, statistics: [mean, variance], epsilon, is_frozen: true }.record(
        "batch_norm_frozen",
        tape,
        [x, weight, bias],
        then,
        None,
    )
}

/// The sizes of `x`, which `weight` and `bias` have to fit.
fn channels<T: Element>(tape: &Tape<T>, x: Var, weight: Var, bias: Var) -> Result<Channels> {
    let shape = tape.value(x)?.shape();
    let &[batch, channels, ref rest @ ..] = shape else {
        return Err(Error::shape("batch_norm", "input", "[N, C, ...]", shape));
    };
    for (name, var) in [("weight", weight), ("bias", bias)] {
        let found = tape.value(var)?.shape();
        if found != [channels] {
            return Err(Error::shape("batch_norm", name, format!("[{channels}]"), found));
        }
    }
    Ok(Channels { batch, channels, len: rest.iter().product() })
}

/// What a batch is to be normalised by.
struct Normalisation<'a, T> {
    channels: Channels,
    /// Mean and variance, `[C]`.
    statistics: [&'a Tensor<T>; 2],
    epsilon: f64,
    is_frozen: bool,
}

impl<T: Element> Normalisation<'_, T> {
    /// Computes `y` from `x`, `weight` and `bias`, and puts it on the tape.
    fn record(
        self,
        operation: &'static str,
        tape: &mut Tape<T>,
        operands: [Var; 3],
        then: Epilogue<Var>,
        together: Option<Together>,
    ) -> Result<Var> {
        let [x, weight, bias] = operands.map(|var| tape.value(var));
        let (x, weight, bias) = (x?.clone(), weight?.clone(), bias?);
        let residual = then.try_map(|residual| {
            let residual = tape.value(residual)?;
            if residual.shape() != x.shape() {
                let expected = format!("{:?}, like the input", x.shape());
                return Err(Error::shape("batch_norm", "residual", expected, residual.shape()));
            }
            Ok(residual)
        })?;
        let Self { channels, statistics: [mean, variance], epsilon, is_frozen } = self;
        let all = [&x, &weight, bias, mean, variance].into_iter().chain(residual.residual());
        let device = Device::of(operation, all)?;
        let engine = device.engine();
        let inverse = engine.inverse_std(variance, T::from_f64(epsilon))?;
        let norm = Norm { channels, mean: mean.clone(), inverse, weight, is_frozen };
        let y = engine.normalise(&norm, &x, bias, residual)?;
        let rectified = then.rectifier().map(|by| (by, y.clone()));
        let inputs: Vec<Var> = operands.into_iter().chain(then.residual()).collect();
        tape.record(operation, y, &inputs, BatchNorm { norm, x, rectified, together })
    }
}

struct BatchNorm<T> {
    norm: Norm<T>,
    x: Tensor<T>,
    /// If it was rectified, by what, and `y`: that says where a gradient passes.
    rectified: Option<(Rectifier, Tensor<T>)>,
    /// If `x` is a part of a batch.
    together: Option<Together>,
}

/// The batch that several processes share.
struct Together {
    share: Share,
    /// Values per channel, of all processes.
    count: f64,
}

impl Together {
    /// Adds to `dx`, where statistics are constants, what follows from their being the batch's:
    /// `-weight inverse (mean(dy) + z mean(dy z))`, with `z = (x - mean) inverse` and the means over the
    /// batch; `dweight` and `dbias` are this process's `sum dy z` and `sum dy`.
    fn complete<T: Element>(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        [dweight, dbias]: [&Tensor<T>; 2],
        dx: Option<Tensor<T>>,
    ) -> Result<Option<Tensor<T>>> {
        let device = x.device();
        let host = |tensor: &Tensor<T>| -> Result<Vec<f64>> {
            Ok(tensor.to(&Device::Cpu)?.as_slice().iter().map(|v| v.widen()).collect())
        };
        // In every process, whether it wants the gradient or not: the others wait for it.
        let sums = self.share.group.sum(&[host(dweight)?, host(dbias)?].concat())?;
        let Some(mut dx) = dx else { return Ok(None) };
        if !self.share.counts {
            return Ok(Some(dx));
        }
        let (weight, inverse) = (host(&norm.weight)?, host(&norm.inverse)?);
        let channels = weight.len();
        let factors = |sums: &[f64]| {
            let factors = (0..channels).map(|c| -weight[c] * inverse[c] * sums[c] / self.count);
            Tensor::owned(vec![channels], factors.map(T::from_f64).collect()).to(&device)
        };
        let (slope, bias) = (factors(&sums[..channels])?, factors(&sums[channels..])?);
        let line = Norm {
            channels: norm.channels,
            mean: norm.mean.clone(),
            inverse: norm.inverse.clone(),
            weight: slope,
            is_frozen: true,
        };
        let rest = device.engine().normalise(&line, x, &bias, Epilogue::Nothing)?;
        device.engine().add_to(&mut dx, &rest)?;
        Ok(Some(dx))
    }
}

impl<T: Element> Backward<T> for BatchNorm<T> {
    /// See [`Norms::norm_gradients`](crate::kernel::engine::Norms::norm_gradients). What of `dy`
    /// passes back through the rectifier is also the gradient of the residual.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { norm, x, rectified, together } = *self;
        let residual = wanted.get(3).copied();
        let large = WantedOfNorm { x: wanted[0], residual: residual == Some(true) };
        let device = Device::of("batch_norm", [&dy, &x])?;
        let rectified = rectified.as_ref().map(|(by, y)| Rectified { by: *by, y });
        let found = device.engine().norm_gradients(&norm, &x, dy, rectified, large)?;
        let dx = match together {
            Some(together) => {
                together.complete(&norm, &x, [&found.weight, &found.bias], found.x)?
            }
            None => found.x,
        };
        let mut gradients = vec![dx, Some(found.weight), Some(found.bias)];
        gradients.extend(residual.map(|_| found.residual));
        Ok(gradients)
    }
}

/// A case of `norm`: alone, with a residual and the rectifier, or with the one that stops at 6. What
/// is rectified is drawn, and the residual made to fit, or biases are moved, so that no difference
/// steps over a kink.
fn drawn(
    draw: &mut Draw,
    shape: &[usize],
    norm: impl Fn(&mut Tape<f64>, &[Var], Epilogue<Var>) -> Result<Var> + 'static,
) -> Case {
    let channels = &shape[1..2];
    let mut inputs = vec![draw.tensor(shape), draw.tensor(channels), draw.tensor(channels)];
    let then = draw.size(0, 2);
    if then == 0 {
        return Case::new(inputs, move |tape, v| norm(tape, v, Epilogue::Nothing));
    }
    if then == 2 {
        // About half of what is normalised is then between 0 and 6.
        inputs[1].as_mut_slice().iter_mut().for_each(|weight| *weight *= 4.0);
        inputs[2].as_mut_slice().iter_mut().for_each(|bias| *bias += 3.0);
    }
    let mut tape = Tape::new();
    let vars: Vec<Var> = inputs.iter().map(|x| tape.constant(x.clone())).collect();
    let y = norm(&mut tape, &vars, Epilogue::Nothing).and_then(|y| tape.value(y));
    let y = y.unwrap_or_else(|_| unreachable!("the shapes fit"));
    if then == 2 {
        keep_off_kinks(y, &mut inputs[2]);
        return Case::new(inputs, move |tape, v| norm(tape, v, Epilogue::Relu6));
    }
    let mut residual = draw.distinct(shape);
    residual.as_mut_slice().iter_mut().zip(y.as_slice()).for_each(|(r, y)| *r -= y);
    inputs.push(residual);
    Case::new(inputs, move |tape, v| norm(tape, v, Epilogue::AddRelu(v[3])))
}

/// Moves the bias of each channel of `y` until none of its values is near 0 or 6. At most 64 values
/// keep two places each from some steps, so one of the first few hundred will do.
fn keep_off_kinks(y: &Tensor<f64>, bias: &mut Tensor<f64>) {
    let (channels, len) = (bias.len(), y.shape()[2..].iter().product());
    for (c, bias) in bias.as_mut_slice().iter_mut().enumerate() {
        let of_channel = |plane: &usize| plane % channels == c;
        let planes = y.as_slice().chunks(len).enumerate();
        let values: Vec<f64> =
            planes.filter(|(n, _)| of_channel(n)).flat_map(|(_, plane)| plane.to_vec()).collect();
        let is_clear = |step: &f64| {
            values.iter().all(|y| {
                let y = y + step;
                y.abs() > 2e-3 && (y - 6.0).abs() > 2e-3
            })
        };
        *bias += (0..1000).map(|k| f64::from(k) * 5e-3).find(is_clear).unwrap_or_default();
    }
}

fn shape(draw: &mut Draw) -> [usize; 4] {
    [draw.size(2, 4), draw.size(1, 5), draw.size(1, 4), draw.size(1, 4)]
}

// A generous epsilon: two values that happen to be close have a huge curvature.
const EPSILON: f64 = 0.1;

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = shape(draw);
    drawn(draw, &shape, |tape, v, then| {
        batch_norm(tape, v[0], v[1], v[2], EPSILON, then).map(|(y, _)| y)
    })
}

pub(super) fn frozen_case(draw: &mut Draw) -> Case {
    let shape = shape(draw);
    let mean = draw.tensor(&shape[1..2]);
    let squares = draw.tensor(mean.shape()).as_slice().iter().map(|v| v * v).collect();
    let variance = Tensor::owned(mean.shape().to_vec(), squares);
    drawn(draw, &shape, move |tape, v, then| {
        let device = tape.value(v[0])?.device();
        let (mean, variance) = (mean.to(&device)?, variance.to(&device)?);
        batch_norm_frozen(tape, v[0], [v[1], v[2]], &mean, &variance, EPSILON, then)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    crate::gradcheck::gradient_test!(super::case);

    mod frozen {
        crate::gradcheck::gradient_test!(super::super::frozen_case);
    }

    /// The output of `operation` on `x`, `weight`, `bias` and a residual, and all gradients.
    fn values(
        operation: impl Fn(&mut Tape<f32>, &[Var; 4], Epilogue<Var>) -> Result<Var>,
        then: fn(Var) -> Epilogue<Var>,
    ) -> Vec<Option<Tensor<f32>>> {
        let mut draw = Draw::seeded(7);
        let mut tape = Tape::new();
        let shapes: [&[usize]; 4] = [&[3, 4, 5, 6], &[4], &[4], &[3, 4, 5, 6]];
        let v = shapes.map(|shape| tape.parameter(draw.tensor(shape).cast()));
        let y = operation(&mut tape, &v, then(v[3])).unwrap();
        let found = tape.value(y).unwrap().clone();
        let dy = draw.tensor(found.shape()).cast();
        let mut gradients = tape.backward_from(y, dy).unwrap();
        [Some(found)].into_iter().chain(v.map(|v| gradients.take(v))).collect()
    }

    #[test]
    fn in_one_pass_or_in_three_it_is_the_same_to_the_bit() {
        let in_one = |tape: &mut Tape<f32>, v: &[Var; 4], then| {
            batch_norm(tape, v[0], v[1], v[2], EPSILON, then).map(|(y, _)| y)
        };
        let in_three = |tape: &mut Tape<f32>, v: &[Var; 4], then: Epilogue<Var>| {
            let (mut y, _) = batch_norm(tape, v[0], v[1], v[2], EPSILON, Epilogue::Nothing)?;
            if let Some(residual) = then.residual() {
                y = ops::add(tape, y, residual)?;
            }
            if then == Epilogue::Relu6 { ops::relu6(tape, y) } else { ops::relu(tape, y) }
        };
        for then in [|_| Epilogue::Relu, |_| Epilogue::Relu6, Epilogue::AddRelu] {
            let pairs = values(in_one, then).into_iter().zip(values(in_three, then));
            for (one, three) in pairs {
                assert_eq!(one.map(Tensor::into_vec), three.map(Tensor::into_vec));
            }
        }
    }

    #[test]
    fn a_residual_of_another_shape_is_an_error() {
        let mut tape = Tape::<f32>::new();
        let [x, weight, bias, residual] =
            [&[2, 3, 4, 4][..], &[3], &[3], &[2, 3, 4, 1]].map(|s| tape.constant(Tensor::zeros(s)));
        let then = Epilogue::AddRelu(residual);
        let found = batch_norm(&mut tape, x, weight, bias, EPSILON, then);
        assert!(matches!(found, Err(Error::Shape { .. })));
    }
}
