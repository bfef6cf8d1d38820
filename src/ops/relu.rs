//! `y = max(x, 0)`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::kernel::elementwise;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};

/// The rectified linear unit.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn relu<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = Tensor::owned(value.shape().to_vec(), elementwise::relu(value.as_slice()));
    tape.record("relu", y.clone(), &[x], Relu { y })
}

struct Relu<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Relu<T> {
    /// `dx = dy` where `y > 0`, else 0.
    fn backward(self: Box<Self>, mut dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        elementwise::relu_gradient(dy.as_mut_slice(), self.y.as_slice());
        Ok(vec![Some(dy)])
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
