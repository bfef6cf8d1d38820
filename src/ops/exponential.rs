//! `y = exp(x)` and `y = log(x)`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};

/// The exponential function, elementwise.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn exp<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = value.device().engine().exp(value)?;
    tape.record("exp", y.clone(), &[x], Exp { y })
}

/// The natural logarithm, elementwise; minus infinity at 0, and NaN below it. The logarithm of a
/// softmax is [`log_softmax`](super::log_softmax()), which loses no digits where the softmax is
/// close to 0.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn log<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = value.device().engine().log(value)?;
    let rule = Log { x: value.clone() };
    tape.record("log", y, &[x], rule)
}

struct Exp<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Exp<T> {
    /// `dx = dy y`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("exp", [&dy, &self.y])?;
        Ok(vec![Some(device.engine().mul(&dy, &self.y)?)])
    }
}

struct Log<T> {
    x: Tensor<T>,
}

impl<T: Element> Backward<T> for Log<T> {
    /// `dx = dy / x`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("log", [&dy, &self.x])?;
        Ok(vec![Some(device.engine().log_gradient(dy, &self.x)?)])
    }
}

pub(super) fn exp_case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    Case::new([draw.tensor(&shape)], |tape, v| exp(tape, v[0]))
}

pub(super) fn log_case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    let mut x = draw.tensor(&shape);
    x.as_mut_slice().iter_mut().for_each(|v| *v = v.abs() + 0.5);
    Case::new([x], |tape, v| log(tape, v[0]))
}

#[cfg(test)]
mod tests {
    mod exp {
        crate::gradcheck::gradient_test!(super::super::exp_case);
    }

    mod log {
        crate::gradcheck::gradient_test!(super::super::log_case);
    }
}
