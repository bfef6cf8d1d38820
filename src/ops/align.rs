//! `A[i, o] = sum_p T[i, o, p] W[i, p]`: channel alignment.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::aggregate::Stack;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// Mixes the kernel of each source over its output channels, `weight` `[m, O, C, kh, kw]`
/// by `transform` `[m, O, O]`; the result has the weight's shape (Zoo-Tuning, channel
/// alignment: a 1x1 convolution over the kernel's output channels).
///
/// # Errors
/// If the shapes do not fit or are empty.
pub fn align<T: Element>(tape: &mut Tape<T>, weight: Var, transform: Var) -> Result<Var> {
    let (w, t) = (tape.value(weight)?.clone(), tape.value(transform)?.clone());
    let shape @ [sources, outputs, channels, kh, kw] =
        w.dims("align", "weight", "[m, O, C, kh, kw]")?;
    if t.shape() != [sources, outputs, outputs] {
        let expected = format!("[{sources}, {outputs}, {outputs}]");
        return Err(Error::shape("align", "transform", expected, t.shape()));
    }
    if w.is_empty() {
        return Err(Error::shape("align", "weight", "with at least one value", &shape));
    }
    let stack = Stack { sources, outputs, row: channels * kh * kw };
    let aligned = Device::of("align", [&w, &t])?.engine().align(stack, &w, &t)?;
    tape.record("align", aligned, &[weight, transform], Align { stack, weight: w, transform: t })
}

struct Align<T> {
    stack: Stack,
    weight: Tensor<T>,
    transform: Tensor<T>,
}

impl<T: Element> Backward<T> for Align<T> {
    /// `dW_i = T_i^T dA_i`, `dT_i = dA_i W_i^T`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { stack, weight, transform } = *self;
        let device = Device::of("align", [&dy, &weight])?;
        let engine = device.engine();
        let dw = wanted[0].then(|| engine.align_weight_gradient(stack, &dy, &transform));
        let dt = wanted[1].then(|| engine.align_transform_gradient(stack, &dy, &weight));
        Ok(vec![dw.transpose()?, dt.transpose()?])
    }

    fn multiply_adds(&self) -> u64 {
        self.weight.len() as u64 * self.stack.outputs as u64
    }

    fn multiply_adds_of_parameters(&self) -> u64 {
        self.multiply_adds()
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [m, o, c, kh, kw] =
        [draw.size(1, 6), draw.size(1, 4), draw.size(1, 3), draw.size(1, 3), draw.size(1, 3)];
    let inputs = [draw.tensor(&[m, o, c, kh, kw]), draw.tensor(&[m, o, o])];
    Case::new(inputs, |tape, v| align(tape, v[0], v[1]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
