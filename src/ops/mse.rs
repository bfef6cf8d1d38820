//! `y = mean((a - b)^2)`.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The mean squared error between two tensors of one shape; the result has shape `[]`.
///
/// # Errors
/// If the shapes differ or there are no values.
pub fn mse<T: Element>(tape: &mut Tape<T>, a: Var, b: Var) -> Result<Var> {
    let (x, y) = (tape.value(a)?, tape.value(b)?);
    if x.shape() != y.shape() {
        let expected = format!("{:?}, like the prediction", x.shape());
        return Err(Error::shape("mse", "target", expected, y.shape()));
    }
    if x.is_empty() {
        return Err(Error::shape("mse", "prediction", "with at least one value", x.shape()));
    }
    let value = Device::of("mse", [x, y])?.engine().mse(x, y)?;
    let rule = Mse { a: x.clone(), b: y.clone() };
    tape.record("mse", value, &[a, b], rule)
}

struct Mse<T> {
    a: Tensor<T>,
    b: Tensor<T>,
}

impl<T: Element> Backward<T> for Mse<T> {
    /// `da = 2 (a - b) dy / count`, `db = -da`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let factor = dy.item()? * T::from_f64(2.0 / self.a.len() as f64);
        let device = self.a.device();
        let towards = |x, y| device.engine().mse_gradient(factor, x, y);
        Ok(vec![
            wanted[0].then(|| towards(&self.a, &self.b)).transpose()?,
            wanted[1].then(|| towards(&self.b, &self.a)).transpose()?,
        ])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    Case::new([draw.tensor(&shape), draw.tensor(&shape)], |tape, v| mse(tape, v[0], v[1]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
