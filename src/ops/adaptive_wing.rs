//! Adaptive wing loss, value by value (Wang, Bo and Fuxin: Adaptive Wing Loss for Robust Face
//! Alignment via Heatmap Regression, ICCV 2019, equations 3 and 4). With `d = |a - t|` and
//! `p = alpha - t`:
//!
//! `y = omega log(1 + (d / epsilon)^p)` where `d < theta`, else `A d - C`, with
//!
//! `A = omega p (theta / epsilon)^(p - 1) / (epsilon (1 + (theta / epsilon)^p))`,
//! `C = theta A - omega log(1 + (theta / epsilon)^p)`.
//!
//! Near a peak (t is 1) the power is close to 1, so that a small error still has a slope; in the
//! background (t is 0) it is close to 2, as that of a square, so that small errors count for little.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::loss::AdaptiveWing;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The adaptive wing loss of each value of `prediction`, of any shape, and of `target`, of the same
/// shape; the result has that shape too. Targets are heat maps, 0 to 1; they have no gradient.
///
/// # Errors
/// If the shapes differ, they are on different devices, or a constant is not positive and finite. Alpha has to
/// be above 2: on a peak the power is `alpha - 1`, and one of 1 or less has no slope at 0.
pub fn adaptive_wing<T: Element>(
    tape: &mut Tape<T>,
    prediction: Var,
    target: &Tensor<T>,
    wing: AdaptiveWing<f64>,
) -> Result<Var> {
    let value = tape.value(prediction)?;
    if value.shape() != target.shape() {
        let expected = format!("{:?}, like the prediction", value.shape());
        return Err(Error::shape("adaptive_wing", "target", expected, target.shape()));
    }
    if !wing.constants().into_iter().all(|constant| constant > 0.0 && constant.is_finite()) {
        let problem = format!("its constants should be positive and finite, but are {wing:?}");
        return Err(Error::argument("adaptive_wing", problem));
    }
    if wing.alpha <= 2.0 {
        let problem = format!("alpha should be above 2, but is {}", wing.alpha);
        return Err(Error::argument("adaptive_wing", problem));
    }
    let wing = wing.cast();
    let y = Device::of("adaptive_wing", [value, target])?
        .engine()
        .adaptive_wing(value, target, wing)?;
    let rule = AdaptiveWingRule { prediction: value.clone(), target: target.clone(), wing };
    tape.record("adaptive_wing", y, &[prediction], rule)
}

struct AdaptiveWingRule<T> {
    prediction: Tensor<T>,
    target: Tensor<T>,
    wing: AdaptiveWing<T>,
}

impl<T: Element> Backward<T> for AdaptiveWingRule<T> {
    /// `da = dy sign(a - t) s`, with `s = omega p (d / epsilon)^(p - 1) / (epsilon (1 + (d /
    /// epsilon)^p))` where `d < theta`, else `A`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let Self { prediction, target, wing } = *self;
        let device = Device::of("adaptive_wing", [&dy, &prediction])?;
        let slope = device.engine().adaptive_wing_slope(&prediction, &target, wing)?;
        Ok(vec![Some(device.engine().mul(&dy, &slope)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    let prediction = draw.distinct(&shape);
    let mut target = draw.tensor(&shape);
    // No prediction is within 0.05 of these: there the slope of a power below 2 is too curved.
    target.as_mut_slice().iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { v.min(0.8) });
    target.as_mut_slice().iter_mut().for_each(|v| *v = (*v * 10.0).round() / 10.0);
    Case::new([prediction], move |tape, v| {
        let target = target.to(&tape.value(v[0])?.device())?;
        adaptive_wing(tape, v[0], &target, AdaptiveWing::PUBLISHED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    /// Loss and slope of one prediction for one target.
    fn of(prediction: f64, target: f64) -> (f64, f64) {
        let mut tape = Tape::<f64>::new();
        let x = tape.parameter(Tensor::new(&[1], vec![prediction]).unwrap());
        let target = Tensor::new(&[1], vec![target]).unwrap();
        let y = adaptive_wing(&mut tape, x, &target, AdaptiveWing::PUBLISHED).unwrap();
        let value = tape.value(y).unwrap().as_slice()[0];
        let seed = Tensor::new(&[1], vec![1.0]).unwrap();
        let gradient = tape.backward_from(y, seed).unwrap().take(x).unwrap();
        (value, gradient.as_slice()[0])
    }

    /// By hand, for a power of 1.1 (on a peak) and of 2.1 (in the background).
    #[test]
    fn values_are_those_of_the_formula() {
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        };
        assert_eq!((of(1.0, 1.0), of(0.0, 0.0)), ((0.0, 0.0), (0.0, 0.0)));
        // The bowed part: 14 log(1 + 0.25^1.1).
        near(of(0.75, 1.0).0, 14.0 * (0.25f64.powf(1.1)).ln_1p());
        near(of(-0.25, 0.0).0, 14.0 * (0.25f64.powf(2.1)).ln_1p());
        // The straight part, 0.7 from the target.
        for (target, power) in [(1.0, 1.1), (0.0, 2.1)] {
            let ratio = 0.5f64.powf(power);
            let slope = 14.0 / (1.0 + ratio) * power * 0.5f64.powf(power - 1.0);
            let offset = 0.5 * slope - 14.0 * (1.0 + ratio).ln();
            let (loss, gradient) = of(target + 0.7, target);
            near(loss, slope * 0.7 - offset);
            near(gradient, slope);
            near(of(target - 0.7, target).1, -slope);
            // Both parts meet, with one slope.
            let (below, above) = (of(target + 0.5 - 1e-9, target), of(target + 0.5 + 1e-9, target));
            assert!((below.0 - above.0).abs() < 1e-7 && (below.1 - above.1).abs() < 1e-6);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut tape = Tape::<f32>::new();
        let x = tape.constant(Tensor::zeros(&[2, 3]));
        let fits = Tensor::zeros(&[2, 3]);
        let other = Tensor::zeros(&[3, 2]);
        let error = adaptive_wing(&mut tape, x, &other, AdaptiveWing::PUBLISHED).unwrap_err();
        assert!(error.to_string().contains("[2, 3], like the prediction"), "{error}");
        for theta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let wing = AdaptiveWing { theta, ..AdaptiveWing::PUBLISHED };
            let refused = adaptive_wing(&mut tape, x, &fits, wing);
            assert!(matches!(refused, Err(Error::Argument { .. })), "{theta}");
        }
        let wing = AdaptiveWing { alpha: 2.0, ..AdaptiveWing::PUBLISHED };
        let error = adaptive_wing(&mut tape, x, &fits, wing).unwrap_err();
        assert!(error.to_string().contains("above 2"), "{error}");
    }
}
