//! `y = max(x, 0)`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};

/// The rectified linear unit.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn relu<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = value.device().engine().relu(value)?;
    tape.record("relu", y.clone(), &[x], Relu { y })
}

struct Relu<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Relu<T> {
    /// `dx = dy` where `y > 0`, else 0.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("relu", [&dy, &self.y])?;
        Ok(vec![Some(device.engine().relu_gradient(dy, &self.y)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    Case::new([draw.distinct(&shape)], |tape, v| relu(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
