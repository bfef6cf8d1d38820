//! `y = 1 / (1 + exp(-x))`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};

/// The logistic function, elementwise.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn sigmoid<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = value.device().engine().sigmoid(value)?;
    tape.record("sigmoid", y.clone(), &[x], Sigmoid { y })
}

struct Sigmoid<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Sigmoid<T> {
    /// `dx = dy y (1 - y)`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("sigmoid", [&dy, &self.y])?;
        Ok(vec![Some(device.engine().sigmoid_gradient(dy, &self.y)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    Case::new([draw.tensor(&shape)], |tape, v| sigmoid(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
