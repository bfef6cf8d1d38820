//! `y[k] = mean_n x[n, k]`: the gate of a batch, in lite.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::reduce;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor, buffer};
use crate::{Error, Result};

/// The mean over the first axis of `x` `[N, K]`, of shape `[K]`.
///
/// # Errors
/// If `x` is not of two dimensions or the batch is empty.
pub fn batch_mean<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let [batch, len] = value.dims("batch_mean", "input", "[N, K]")?;
    if value.is_empty() {
        return Err(Error::shape("batch_mean", "input", "with at least one value", value.shape()));
    }
    let mut mean = buffer::zeros(len);
    for row in value.as_slice().chunks(len) {
        reduce::add_scaled(&mut mean, T::from_f64(1.0 / batch as f64), row);
    }
    tape.record("batch_mean", Tensor::owned(vec![len], mean), &[x], BatchMean { batch })
}

struct BatchMean {
    batch: usize,
}

impl<T: Element> Backward<T> for BatchMean {
    /// `dx[n, k] = dy[k] / N`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let share = T::from_f64(1.0 / self.batch as f64);
        let row: Vec<T> = dy.as_slice().iter().map(|&dy| dy * share).collect();
        Ok(vec![Some(Tensor::owned(vec![self.batch, row.len()], row.repeat(self.batch)))])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 6)];
    Case::new([draw.tensor(&shape)], |tape, v| batch_mean(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
