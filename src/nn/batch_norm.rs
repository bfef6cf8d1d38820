//! Batch normalisation as a layer, with its running statistics.

use super::{Id, Pass};
use crate::kernel::Then;
use crate::tape::Var;
use crate::tensor::{Device, Element, Tensor};
use crate::{Result, ops};

/// Batch normalisation over `[N, C, H, W]`.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// `[C]`.
    pub weight: Id,
    /// `[C]`.
    pub bias: Id,
    /// `[C]`.
    pub running_mean: Id,
    /// `[C]`, unbiased.
    pub running_variance: Id,
}

impl BatchNorm {
    /// Added to the variance, as in PyTorch.
    pub const EPSILON: f64 = 1e-5;
    /// Weight of the newest batch in the running statistics, as in PyTorch.
    pub const MOMENTUM: f64 = 0.1;

    /// The normalised batch: by its own statistics in training, by the running ones in
    /// evaluation; and what follows on it in the same pass.
    ///
    /// # Errors
    /// If `x` has another number of channels, or too few values to have a variance, or a residual
    /// another shape.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var, then: Then<Var>) -> Result<Var> {
        let (weight, bias) = (pass.var(self.weight), pass.var(self.bias));
        let mean = pass.parameter(self.running_mean);
        let variance = pass.parameter(self.running_variance);
        let (training, tape, epsilon) = (pass.is_training(), pass.tape(), Self::EPSILON);
        if !training {
            let scale = [weight, bias];
            return ops::batch_norm_frozen(tape, x, scale, mean, variance, epsilon, then);
        }
        let (y, batch) = ops::batch_norm(tape, x, weight, bias, epsilon, then)?;
        let unbiased = batch.count as f64 / (batch.count - 1) as f64;
        pass.update(self.running_mean, towards(mean, &batch.mean, 1.0)?);
        pass.update(self.running_variance, towards(variance, &batch.variance, unbiased)?);
        Ok(y)
    }
}

/// `(1 - momentum) running + momentum factor batch`.
fn towards<T: Element>(running: &Tensor<T>, batch: &Tensor<T>, factor: f64) -> Result<Tensor<T>> {
    let factors = [1.0 - BatchNorm::MOMENTUM, BatchNorm::MOMENTUM * factor].map(T::from_f64);
    Device::of("batch_norm", [running, batch])?.engine().blend(factors, running, batch)
}
