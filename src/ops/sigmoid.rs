//! `y = 1 / (1 + exp(-x))`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::kernel::reduce;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};

/// The logistic function, elementwise.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn sigmoid<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = reduce::map(value.as_slice(), |x| T::one() / (T::one() + (-x).exp()));
    let y = Tensor::owned(value.shape().to_vec(), y);
    tape.record("sigmoid", y.clone(), &[x], Sigmoid { y })
}

struct Sigmoid<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Sigmoid<T> {
    /// `dx = dy y (1 - y)`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let dx = reduce::zip_map(dy.as_slice(), self.y.as_slice(), |dy, y| dy * y * (T::one() - y));
        Ok(vec![Some(Tensor::owned(dy.shape().to_vec(), dx))])
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
