//! `y[n, k] = x[n, k] - log sum_j exp(x[n, j])`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};

/// The logarithm of the softmax over the last axis of `x` `[N, K]`. The largest score of a row is
/// taken off first, so that no exponential overflows.
///
/// # Errors
/// If `x` is not of two dimensions.
pub fn log_softmax<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let [_, _] = value.dims("log_softmax", "input", "[N, K]")?;
    let y = value.device().engine().log_softmax(value)?;
    tape.record("log_softmax", y.clone(), &[x], LogSoftmax { y })
}

struct LogSoftmax<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for LogSoftmax<T> {
    /// `dx = dy - exp(y) sum(dy)`, row by row.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = Device::of("log_softmax", [&dy, &self.y])?;
        Ok(vec![Some(device.engine().log_softmax_gradient(dy, &self.y)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 6)];
    Case::new([draw.tensor(&shape)], |tape, v| log_softmax(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
