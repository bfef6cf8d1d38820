//! `y = x W^T + b`.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::kernel::reduce;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor, buffer, product};
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
    let [batch, features] = xv.dims("linear", "input", "[N, D]")?;
    let [outputs, columns] = w.dims("linear", "weight", "[K, D]")?;
    if features != columns {
        return Err(Error::shape("linear", "input", format!("[N, {columns}]"), xv.shape()));
    }
    let count = product(&[batch, outputs]).ok_or_else(|| {
        let problem = format!("an output of [{batch}, {outputs}] exceeds the address space");
        Error::argument("linear", problem)
    })?;
    let mut y = buffer::take(count);
    let weights = Matrix::new(w.as_slice(), outputs, features);
    par_gemm(Matrix::new(xv.as_slice(), batch, features), weights.t(), &mut y);
    let mut inputs = vec![x, weight];
    if let Some(bias) = bias {
        let b = tape.value(bias)?;
        if b.shape() != [outputs] {
            return Err(Error::shape("linear", "bias", format!("[{outputs}]"), b.shape()));
        }
        let rows = y.chunks_mut(outputs.max(1));
        rows.for_each(|y| reduce::add_scaled(y, T::one(), b.as_slice()));
        inputs.push(bias);
    }
    let y = Tensor::owned(vec![batch, outputs], y);
    tape.record("linear", y, &inputs, Linear { x: xv, weight: w })
}

struct Linear<T> {
    x: Tensor<T>,
    weight: Tensor<T>,
}

impl<T: Element> Backward<T> for Linear<T> {
    /// `dx = dy W`, `dW = dy^T x`, `db = sum_n dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let [batch, features] = self.x.dims("linear", "input", "[N, D]")?;
        let [outputs, _] = self.weight.dims("linear", "weight", "[K, D]")?;
        let d = Matrix::new(dy.as_slice(), batch, outputs);
        let dx = wanted[0].then(|| {
            let mut dx = buffer::take(batch * features);
            par_gemm(d, Matrix::new(self.weight.as_slice(), outputs, features), &mut dx);
            Tensor::owned(vec![batch, features], dx)
        });
        let dw = wanted[1].then(|| {
            let mut dw = buffer::take(outputs * features);
            par_gemm(d.t(), Matrix::new(self.x.as_slice(), batch, features), &mut dw);
            Tensor::owned(vec![outputs, features], dw)
        });
        let mut gradients = vec![dx, dw];
        if let Some(&wanted) = wanted.get(2) {
            gradients.push(wanted.then(|| {
                let mut db = buffer::zeros(outputs);
                let rows = dy.as_slice().chunks(outputs.max(1));
                rows.for_each(|dy| reduce::add_scaled(&mut db, T::one(), dy));
                Tensor::owned(vec![outputs], db)
            }));
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
