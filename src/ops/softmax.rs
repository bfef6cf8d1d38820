//! `y[n, k] = exp(x[n, k]) / sum_j exp(x[n, j])`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};

/// The softmax over the last axis of `x` `[N, K]`.
///
/// # Errors
/// If `x` is not of two dimensions.
pub fn softmax<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let [_, _] = value.dims("softmax", "input", "[N, K]")?;
    let y = value.device().engine().softmax(value)?;
    tape.record("softmax", y.clone(), &[x], Softmax { y })
}

struct Softmax<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Softmax<T> {
    /// `dx = y (dy - <dy, y>)`, row by row.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("softmax", [&dy, &self.y])?;
        Ok(vec![Some(device.engine().softmax_gradient(dy, &self.y)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 6)];
    Case::new([draw.tensor(&shape)], |tape, v| softmax(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
