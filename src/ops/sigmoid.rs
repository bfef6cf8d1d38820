//! `y = 1 / (1 + exp(-x))`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::kernel::elementwise;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};

/// The logistic function, elementwise.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn sigmoid<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = Tensor::owned(value.shape().to_vec(), elementwise::sigmoid(value.as_slice()));
    tape.record("sigmoid", y.clone(), &[x], Sigmoid { y })
}

struct Sigmoid<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Sigmoid<T> {
    /// `dx = dy y (1 - y)`.
    fn backward(self: Box<Self>, mut dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        elementwise::sigmoid_gradient(dy.as_mut_slice(), self.y.as_slice());
        Ok(vec![Some(dy)])
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
