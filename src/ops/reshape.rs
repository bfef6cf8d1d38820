//! The same values in another shape.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};

/// Reads `x` in another shape of the same number of values; nothing is copied.
///
/// # Errors
/// If the numbers of values differ.
pub fn reshape<T: Element>(tape: &mut Tape<T>, x: Var, shape: &[usize]) -> Result<Var> {
    let value = tape.value(x)?.clone();
    let before = value.shape().to_vec();
    let y = value.reshape(shape)?;
    tape.record("reshape", y, &[x], Reshape { before })
}

struct Reshape {
    before: Vec<usize>,
}

impl<T: Element> Backward<T> for Reshape {
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        Ok(vec![Some(dy.reshape(&self.before)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [a, b, c] = [draw.size(1, 3), draw.size(1, 3), draw.size(1, 3)];
    Case::new([draw.tensor(&[a, b, c])], move |tape, v| reshape(tape, v[0], &[c, a * b]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
