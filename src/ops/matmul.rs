//! `y = a b`, a product of matrices.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::engine::Factor;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The product of `a` `[M, K]` and `b` `[K, N]`, of shape `[M, N]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn matmul<T: Element>(tape: &mut Tape<T>, a: Var, b: Var) -> Result<Var> {
    let (x, y) = (tape.value(a)?, tape.value(b)?);
    let [_, depth] = x.dims("matmul", "first factor", "[M, K]")?;
    let [rows, _] = y.dims("matmul", "second factor", "[K, N]")?;
    if rows != depth {
        return Err(Error::shape("matmul", "second factor", format!("[{depth}, N]"), y.shape()));
    }
    let device = Device::of("matmul", [x, y])?;
    let product = device.engine().product(Factor::new(x), Factor::new(y))?;
    let rule = Matmul { a: x.clone(), b: y.clone() };
    tape.record("matmul", product, &[a, b], rule)
}

struct Matmul<T> {
    a: Tensor<T>,
    b: Tensor<T>,
}

impl<T: Element> Backward<T> for Matmul<T> {
    /// `da = dy b^T`, `db = a^T dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let device = Device::of("matmul", [&dy, &self.a])?;
        let (engine, dy) = (device.engine(), Factor::new(&dy));
        let (a, b) = (Factor::new(&self.a), Factor::new(&self.b));
        let da = wanted[0].then(|| engine.product(dy, b.t())).transpose()?;
        let db = wanted[1].then(|| engine.product(a.t(), dy)).transpose()?;
        Ok(vec![da, db])
    }

    fn multiply_adds(&self) -> u64 {
        self.a.len() as u64 * self.b.shape()[1] as u64
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [rows, depth, columns] = [draw.size(1, 4), draw.size(1, 5), draw.size(1, 4)];
    let inputs = [draw.tensor(&[rows, depth]), draw.tensor(&[depth, columns])];
    Case::new(inputs, |tape, v| matmul(tape, v[0], v[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn factors_that_do_not_fit_are_errors() {
        let mut tape = Tape::<f32>::new();
        let [a, b, c] =
            [&[2, 3][..], &[2, 3], &[3]].map(|shape| tape.constant(Tensor::zeros(shape)));
        let message = matmul(&mut tape, a, b).unwrap_err().to_string();
        assert_eq!(message, "matmul: second factor should have shape [3, N], but has [2, 3]");
        assert!(matches!(matmul(&mut tape, a, c), Err(Error::Shape { .. })));
    }
}
