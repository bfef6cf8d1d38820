//! `y = x W^T + b`.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::engine::Factor;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The linear map of `x` `[N, D]` by `weight` `[K, D]` and `bias` `[K]`, of shape `[N, K]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn linear<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weight: Var,
    bias: Option<Var>,
) -> Result<Var> {
    let (xv, w) = (tape.value(x)?.clone(), tape.value(weight)?.clone());
    let [_, features] = xv.dims("linear", "input", "[N, D]")?;
    let [outputs, columns] = w.dims("linear", "weight", "[K, D]")?;
    if features != columns {
        return Err(Error::shape("linear", "input", format!("[N, {columns}]"), xv.shape()));
    }
    let device = Device::of("linear", [&xv, &w])?;
    let mut y = device.engine().product(Factor::new(&xv), Factor::new(&w).t())?;
    let mut inputs = vec![x, weight];
    if let Some(bias) = bias {
        let b = tape.value(bias)?;
        if b.shape() != [outputs] {
            return Err(Error::shape("linear", "bias", format!("[{outputs}]"), b.shape()));
        }
        y = Device::of("linear", [&y, b])?.engine().add_to_rows(y, b)?;
        inputs.push(bias);
    }
    tape.record("linear", y, &inputs, Linear { x: xv, weight: w })
}

struct Linear<T> {
    x: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Element> Backward<T> for Linear<T> {
    /// `dx = dy W`, `dW = dy^T x`, `db = sum_n dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { x, weight } = *self;
        let device = Device::of("linear", [&dy, &x])?;
        let (engine, d) = (device.engine(), Factor::new(&dy));
        let dx = wanted[0].then(|| engine.product(d, Factor::new(&weight)));
        let dw = wanted[1].then(|| engine.product(d.t(), Factor::new(&x)));
        let mut gradients = vec![dx.transpose()?, dw.transpose()?];
        if let Some(&wanted) = wanted.get(2) {
            let db = wanted.then(|| engine.sum_axes(&dy, 0..1, T::one()));
            gradients.push(db.transpose()?);
        }
        Ok(gradients)
    }

    fn multiply_adds(&self) -> u64 {
        self.x.shape()[0] as u64 * self.weight.len() as u64
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [batch, features, outputs] = [draw.size(1, 4), draw.size(1, 5), draw.size(1, 5)];
    let mut inputs = vec![draw.tensor(&[batch, features]), draw.tensor(&[outputs, features])];
    if draw.flip() {
        inputs.push(draw.tensor(&[outputs]));
    }
    Case::new(inputs, |tape, v| linear(tape, v[0], v[1], v.get(2).copied()))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
