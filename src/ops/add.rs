//! `y = a + b`, for two tensors of one shape.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The sum of two tensors of the same shape, such as a residual and its shortcut.
///
/// # Errors
/// If the shapes differ.
pub fn add<T: Element>(tape: &mut Tape<T>, a: Var, b: Var) -> Result<Var> {
    let (x, y) = (tape.value(a)?, tape.value(b)?);
    if x.shape() != y.shape() {
        let expected = format!("{:?}, like the first operand", x.shape());
        return Err(Error::shape("add", "second operand", expected, y.shape()));
    }
    let sum = Device::of("add", [x, y])?.engine().add(x, y)?;
    tape.record("add", sum, &[a, b], Add)
}

struct Add;

impl<T: Element> Backward<T> for Add {
    /// `da = dy`, `db = dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        // Shared only if both are wanted: what is not can be written to in place.
        Ok(vec![wanted[0].then(|| dy.clone()), wanted[1].then_some(dy)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    Case::new([draw.tensor(&shape), draw.tensor(&shape)], |tape, v| add(tape, v[0], v[1]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
