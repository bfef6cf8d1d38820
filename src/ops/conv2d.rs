//! `y[n, o] = b[o] + sum_c w[o, c] * x[n, c]`, where `*` slides a window.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::{Geometry, Window};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The convolution of `x` `[N, C, H, W]` with `weight` `[O, C / groups, kh, kw]` and
/// `bias` `[O]`, of shape `[N, O, H', W']`, where
/// `H' = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1`.
///
/// # Errors
/// If the shapes do not fit each other or the window.
pub fn conv2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weight: Var,
    bias: Option<Var>,
    window: Window,
) -> Result<Var> {
    let (xv, w) = (tape.value(x)?.clone(), tape.value(weight)?.clone());
    let shape = xv.dims("conv2d", "input", "[N, C, H, W]")?;
    let weight_shape = w.dims("conv2d", "weight", "[O, C / groups, kh, kw]")?;
    let geometry = Geometry::new("conv2d", shape, weight_shape, window)?;
    let mut inputs = vec![x, weight];
    let mut bias_value = None;
    if let Some(bias) = bias {
        let b = tape.value(bias)?;
        if b.shape() != [geometry.outputs] {
            let expected = format!("[{}]", geometry.outputs);
            return Err(Error::shape("conv2d", "bias", expected, b.shape()));
        }
        bias_value = Some(b);
        inputs.push(bias);
    }
    let device = Device::of("conv2d", [&xv, &w].into_iter().chain(bias_value))?;
    let y = device.engine().conv(&geometry, &xv, &w, bias_value)?;
    tape.record("conv2d", y, &inputs, Conv2d { geometry, x: xv, weight: w })
}

struct Conv2d<T> {
    geometry: Geometry,
    x: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Element> Backward<T> for Conv2d<T> {
    /// `dx = W^T dy` folded back, `dW = dy X^T`, `db = sum dy`; see [`conv`](crate::kernel::conv).
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { geometry, x, weight } = *self;
        let device = Device::of("conv2d", [&dy, &x])?;
        let engine = device.engine();
        let dx = wanted[0].then(|| engine.conv_input_gradient(&geometry, &dy, &weight));
        let dw = wanted[1].then(|| engine.conv_kernel_gradient(&geometry, &x, &dy));
        let mut gradients = vec![dx.transpose()?, dw.transpose()?];
        if let Some(&wanted) = wanted.get(2) {
            let db = wanted.then(|| engine.conv_bias_gradient(&geometry, &dy));
            gradients.push(db.transpose()?);
        }
        Ok(gradients)
    }

    fn multiply_adds(&self) -> u64 {
        self.geometry.multiply_adds()
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let g = draw.geometry(2);
    let mut inputs = vec![draw.tensor(&g.input_shape()), draw.tensor(&g.weight_shape())];
    if draw.flip() {
        inputs.push(draw.tensor(&[g.outputs]));
    }
    Case::new(inputs, move |tape, v| conv2d(tape, v[0], v[1], v.get(2).copied(), g.window))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
