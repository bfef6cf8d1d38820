//! `y[n, o] = b[o] + sum_c w[o, c] * x[n, c]`, where `*` slides a window.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::{Geometry, Window, conv};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
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
        bias_value = Some(b.as_slice());
        inputs.push(bias);
    }
    let y = conv::forward(&geometry, xv.as_slice(), w.as_slice(), bias_value);
    let y = Tensor::owned(geometry.output_shape().to_vec(), y);
    tape.record("conv2d", y, &inputs, Conv2d { geometry, x: xv, weight: w })
}

struct Conv2d<T> {
    geometry: Geometry,
    x: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Element> Backward<T> for Conv2d<T> {
    /// `dx = W^T dy` folded back, `dW = dy X^T`, `db = sum dy`; see [`conv`].
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { geometry, x, weight } = *self;
        let dy = dy.as_slice();
        let mut gradients = vec![
            wanted[0].then(|| {
                let dx = conv::input_gradient(&geometry, dy, weight.as_slice());
                Tensor::owned(geometry.input_shape().to_vec(), dx)
            }),
            wanted[1].then(|| {
                let dw = conv::kernel_gradient(&geometry, x.as_slice(), dy);
                Tensor::owned(geometry.weight_shape().to_vec(), dw)
            }),
        ];
        if let Some(&wanted) = wanted.get(2) {
            let db = || Tensor::owned(vec![geometry.outputs], conv::bias_gradient(&geometry, dy));
            gradients.push(wanted.then(db));
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
