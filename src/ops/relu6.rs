//! `y = min(max(x, 0), 6)`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};

/// The rectified linear unit that stops at 6, where numbers of few bits have digits left; see
/// [`Epilogue::Relu6`](crate::kernel::Epilogue) for the one behind a batch norm.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn relu6<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let y = value.device().engine().relu6(value)?;
    tape.record("relu6", y.clone(), &[x], Relu6 { y })
}

struct Relu6<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Relu6<T> {
    /// `dx = dy` where `0 < y < 6`, else 0.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("relu6", [&dy, &self.y])?;
        Ok(vec![Some(device.engine().relu6_gradient(dy, &self.y)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    // Of multiples of 1.1 and a bit, none is near 0 or 6; some are beyond either.
    let mut x = draw.distinct(&shape);
    x.as_mut_slice().iter_mut().for_each(|x| *x = 11.0 * *x + 2.0);
    Case::new([x], |tape, v| relu6(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
