//! `y = mean h(a - b)`, with `h(d) = d^2 / 2` where `|d|` is at most `delta`, else
//! `delta (|d| - delta / 2)` (Huber, 1964): a square near 0, and far from it a slope that does not
//! grow.

use super::{Gradients, mean_all, mul};
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// Huber's loss between `a` and `b` `[N, ...]`: the mean over all values, of shape `[]`. With
/// `weights` `[N]`, each sample's loss is multiplied by its weight before the mean is taken, as
/// importance sampling asks for. [`huber_per_sample`] has the losses one by one.
///
/// # Errors
/// If the shapes do not fit, there are no values, or `delta` is not positive and finite.
pub fn huber<T: Element>(
    tape: &mut Tape<T>,
    a: Var,
    b: Var,
    delta: f64,
    weights: Option<Var>,
) -> Result<Var> {
    let mut losses = huber_per_sample(tape, a, b, delta)?;
    if let Some(weights) = weights {
        let (samples, found) = (tape.value(losses)?.shape(), tape.value(weights)?.shape());
        if found != samples {
            let expected = format!("{samples:?}, one for each sample");
            return Err(Error::shape("huber", "weights", expected, found));
        }
        losses = mul(tape, losses, weights)?;
    }
    mean_all(tape, losses)
}

/// Huber's loss of each sample of `a` and `b` `[N, ...]`: the mean over the sample's values, of
/// shape `[N]`.
///
/// # Errors
/// If the shapes differ, there are no values, or `delta` is not positive and finite.
pub fn huber_per_sample<T: Element>(tape: &mut Tape<T>, a: Var, b: Var, delta: f64) -> Result<Var> {
    let (x, y) = (tape.value(a)?, tape.value(b)?);
    if x.shape() != y.shape() {
        let expected = format!("{:?}, like the prediction", x.shape());
        return Err(Error::shape("huber", "target", expected, y.shape()));
    }
    if x.is_empty() || x.shape().is_empty() {
        let expected = "[N, ...], with at least one value";
        return Err(Error::shape("huber", "prediction", expected, x.shape()));
    }
    if !(delta > 0.0 && delta.is_finite()) {
        let problem = format!("delta should be positive and finite, but is {delta}");
        return Err(Error::argument("huber", problem));
    }
    let delta = T::from_f64(delta);
    let losses = Device::of("huber", [x, y])?.engine().huber(x, y, delta)?;
    let rule = Huber { a: x.clone(), b: y.clone(), delta };
    tape.record("huber", losses, &[a, b], rule)
}

struct Huber<T> {
    a: Tensor<T>,
    b: Tensor<T>,
    delta: T,
}

impl<T: Element> Backward<T> for Huber<T> {
    /// With `L` values in a sample: `da[n] = (a[n] - b[n] clipped to -delta..=delta) dy[n] / L`,
    /// `db = -da`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { a, b, delta } = *self;
        let device = Device::of("huber", [&dy, &a])?;
        let towards = |x, y| device.engine().huber_gradient(&dy, x, y, delta);
        Ok(vec![
            wanted[0].then(|| towards(&a, &b)).transpose()?,
            wanted[1].then(|| towards(&b, &a)).transpose()?,
        ])
    }
}

/// Delta of the cases: no difference of two [`Draw::distinct`] values is near it.
const DELTA: f64 = 0.25;

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    let mut inputs = vec![draw.distinct(&shape), draw.distinct(&shape)];
    if draw.flip() {
        inputs.push(draw.tensor(&shape[..1]));
    }
    Case::new(inputs, |tape, v| huber(tape, v[0], v[1], DELTA, v.get(2).copied()))
}

pub(super) fn per_sample_case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 3), draw.size(1, 3)];
    let shape = &shape[..draw.size(1, 3)];
    let inputs = [draw.distinct(shape), draw.distinct(shape)];
    Case::new(inputs, |tape, v| huber_per_sample(tape, v[0], v[1], DELTA))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    mod per_sample {
        crate::gradcheck::gradient_test!(super::super::per_sample_case);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut tape = Tape::<f32>::new();
        let [x, weights, none, scalar] =
            [&[2, 3][..], &[3], &[2, 0], &[]].map(|shape| tape.constant(Tensor::zeros(shape)));
        let message = huber(&mut tape, x, x, 1.0, Some(weights)).unwrap_err().to_string();
        let expected = "huber: weights should have shape [2], one for each sample, but has [3]";
        assert_eq!(message, expected);
        for delta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = huber(&mut tape, x, x, delta, None);
            assert!(matches!(refused, Err(Error::Argument { .. })), "{delta}");
        }
        for (a, b) in [(x, weights), (none, none), (scalar, scalar)] {
            assert!(matches!(huber(&mut tape, a, b, 1.0, None), Err(Error::Shape { .. })));
        }
    }
}
