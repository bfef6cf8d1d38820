//! `y[k] = mean_n x[n, k]`: the gate of a batch, in lite.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::processes::Share;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
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

/// The mean over the samples of a whole batch, of which `x` `[N, K]` is the `share` of this process.
///
/// # Errors
/// As [`batch_mean`]; if no sample counts, or another process is gone.
pub fn batch_mean_together<T: Element>(tape: &mut Tape<T>, x: Var, share: &Share) -> Result<Var> {
    let value = tape.value(x)?;
    let [batch, columns] = value.dims("batch_mean", "input", "[N, K]")?;
    let device = value.device();
    let own = device.engine().sum_axes(value, 0..1, T::from_f64(share.factor()))?;
    let mut numbers = vec![share.factor() * batch as f64];
    numbers.extend(own.to(&Device::Cpu)?.as_slice().iter().map(|v| v.widen()));
    let sums = share.group.sum(&numbers)?;
    if sums[0] == 0.0 {
        return Err(Error::shape("batch_mean", "input", "with at least one value", value.shape()));
    }
    let means = sums[1..].iter().map(|sum| T::from_f64(sum / sums[0])).collect();
    let mean = Tensor::new(&[columns], means)?.to(&device)?;
    let rule = BatchMeanTogether { batch, count: sums[0], share: share.clone() };
    tape.record("batch_mean", mean, &[x], rule)
}

struct BatchMeanTogether {
    batch: usize,
    /// Samples of all processes.
    count: f64,
    share: Share,
}

impl<T: Element> Backward<T> for BatchMeanTogether {
    /// `dx[n, k] = sum_p dy_p[k] / N` of the processes p, which all used the mean.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = dy.device();
        let own: Vec<f64> = dy.to(&Device::Cpu)?.as_slice().iter().map(|v| v.widen()).collect();
        let sums = self.share.group.sum(&own)?;
        let dy = sums.into_iter().map(T::from_f64).collect();
        let dy = Tensor::new(&[own.len()], dy)?.to(&device)?;
        let factor = T::from_f64(self.share.factor() / self.count);
        Ok(vec![Some(device.engine().repeat(&dy, 0, &[self.batch], factor)?)])
    }
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
