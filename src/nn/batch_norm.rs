//! Batch normalisation as a layer, with its running statistics.

use super::{Id, Pass};
use crate::kernel::Epilogue;
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
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl BatchNorm {
    /// The usual addition to the variance, as in PyTorch.
    pub const EPSILON: f64 = 1e-5;
    /// The usual weight of the newest batch, as in PyTorch.
    pub const MOMENTUM: f64 = 0.1;

    /// The same with another addition to the variance.
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// The same with another weight of the newest batch in the running statistics.
    pub fn with_momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// The normalised batch: by its own statistics in training, by the running ones in
    /// evaluation; and what follows on it in the same pass.
    ///
    /// # Errors
    /// If `x` has another number of channels, or too few values to have a variance, or a residual
    /// another shape.
    pub fn forward<T: Element>(
        &self,
        pass: &mut Pass<T>,
        x: Var,
        then: Epilogue<Var>,
    ) -> Result<Var> {
        let (weight, bias) = (pass.var(self.weight), pass.var(self.bias));
        let mean = pass.parameter(self.running_mean);
        let variance = pass.parameter(self.running_variance);
        let (training, tape, epsilon) = (pass.is_training(), pass.tape(), self.epsilon);
        if !training {
            let scale = [weight, bias];
            return ops::batch_norm_frozen(tape, x, scale, mean, variance, epsilon, then);
        }
        let (y, batch) = ops::batch_norm(tape, x, weight, bias, epsilon, then)?;
        let unbiased = batch.count as f64 / (batch.count - 1) as f64;
        let towards = |running, batch, factor| towards(running, batch, self.momentum, factor);
        pass.update(self.running_mean, towards(mean, &batch.mean, 1.0)?);
        pass.update(self.running_variance, towards(variance, &batch.variance, unbiased)?);
        Ok(y)
    }
}

/// `(1 - momentum) running + momentum factor batch`.
fn towards<T: Element>(
    running: &Tensor<T>,
    batch: &Tensor<T>,
    momentum: f64,
    factor: f64,
) -> Result<Tensor<T>> {
    let factors = [1.0 - momentum, momentum * factor].map(T::from_f64);
    Device::of("batch_norm", [running, batch])?.engine().blend(factors, running, batch)
}
