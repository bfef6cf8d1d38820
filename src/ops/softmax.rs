//! `y[n, k] = exp(x[n, k]) / sum_j exp(x[n, j])`.

use super::Gradients;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::kernel::reduce;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor, buffer};

/// The softmax over the last axis of `x` `[N, K]`.
///
/// # Errors
/// If `x` is not of two dimensions.
pub fn softmax<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let [_, classes] = value.dims("softmax", "input", "[N, K]")?;
    let mut y = buffer::copy(value.as_slice());
    y.chunks_mut(classes.max(1)).for_each(reduce::softmax_row);
    let y = Tensor::owned(value.shape().to_vec(), y);
    tape.record("softmax", y.clone(), &[x], Softmax { y })
}

struct Softmax<T> {
    y: Tensor<T>,
}

impl<T: Element> Backward<T> for Softmax<T> {
    /// `dx = y (dy - <dy, y>)`, row by row.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let shape = dy.shape().to_vec();
        let mut dx = dy.into_vec();
        let classes = shape[1].max(1);
        for (dx, y) in dx.chunks_mut(classes).zip(self.y.as_slice().chunks(classes)) {
            let mean = reduce::dot(dx, y);
            dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx = y * (*dx - mean));
        }
        Ok(vec![Some(Tensor::owned(shape, dx))])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 6)];
    Case::new([draw.tensor(&shape)], |tape, v| softmax(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
