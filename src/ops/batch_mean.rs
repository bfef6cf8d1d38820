//! `y[k] = mean_n x[n, k]`: the gate of a batch, in lite.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The mean over the first axis of `x` `[N, K]`, of shape `[K]`.
///
/// # Errors
/// If `x` is not of two dimensions or the batch is empty.
pub fn batch_mean<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let [batch, _] = value.dims("batch_mean", "input", "[N, K]")?;
    if value.is_empty() {
        return Err(Error::shape("batch_mean", "input", "with at least one value", value.shape()));
    }
    let mean = value.device().engine().sum_axes(value, 0..1, T::from_f64(1.0 / batch as f64))?;
    tape.record("batch_mean", mean, &[x], BatchMean { batch })
}

struct BatchMean {
    batch: usize,
}

impl<T: Element> Backward<T> for BatchMean {
    /// `dx[n, k] = dy[k] / N`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let share = T::from_f64(1.0 / self.batch as f64);
        Ok(vec![Some(dy.device().engine().repeat(&dy, 0, &[self.batch], share)?)])
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
