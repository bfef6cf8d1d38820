//! `y = max(x, 0)`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::kernel::reduce;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};

/// The rectified linear unit.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn relu<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    // Written so that NaN stays NaN: a fault must not be hidden here.
    let y = reduce::map(value.as_slice(), |x| if x < T::zero() { T::zero() } else { x });
    let y = Tensor::owned(value.shape().to_vec(), y);
    tape.record("relu", y.clone(), &[x], Relu { y })
}

struct Relu<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Relu<T> {
    /// `dx = dy` where `y > 0`, else 0.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let pass = |dy, y| if y > T::zero() { dy } else { T::zero() };
        let dx = reduce::zip_map(dy.as_slice(), self.y.as_slice(), pass);
        Ok(vec![Some(Tensor::owned(dy.shape().to_vec(), dx))])
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
