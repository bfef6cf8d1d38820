//! Batch normalisation as a layer, with its running statistics.

use super::pass::Mode;
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
    /// evaluation; and what follows on it in the same pass. In a [transparent](Pass::transparent)
    /// pass it stays as it is.
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
        let (mode, epsilon) = (pass.mode(), self.epsilon);
        let momentum = match mode {
            Mode::Train => self.momentum,
            Mode::Measure => 1.0,
            Mode::Evaluate => {
                let (tape, scale) = (pass.tape(), [weight, bias]);
                return ops::batch_norm_frozen(tape, x, scale, mean, variance, epsilon, then);
            }
            Mode::Transparent => return self.let_through(pass, x, then),
        };
        let share = pass.share().cloned();
        let (tape, scale) = (pass.tape(), [weight, bias]);
        let (y, batch) = match &share {
            Some(share) => ops::batch_norm_together(tape, x, scale, epsilon, then, share)?,
            None => ops::batch_norm(tape, x, weight, bias, epsilon, then)?,
        };
        let unbiased = batch.count as f64 / (batch.count - 1) as f64;
        let towards = |running, batch, factor| towards(running, batch, momentum, factor);
        pass.update(self.running_mean, towards(mean, &batch.mean, 1.0)?);
        pass.update(self.running_variance, towards(variance, &batch.variance, unbiased)?);
        Ok(y)
    }

    /// `x`, and what follows on it; leaves the moments of `x` as running statistics.
    fn let_through<T: Element>(
        &self,
        pass: &mut Pass<T>,
        x: Var,
        then: Epilogue<Var>,
    ) -> Result<Var> {
        let channels = pass.parameter(self.weight).len();
        let [none, one] = [T::zero(), T::one()].map(|value| Tensor::full(&[channels], value));
        let moments = ops::batch_moments(pass.tape(), x)?;
        pass.update(self.running_mean, moments.mean);
        pass.update(self.running_variance, moments.variance);
        let scale = [pass.input(one.clone()), pass.input(none.clone())];
        ops::batch_norm_frozen(pass.tape(), x, scale, &none, &one, 0.0, then)
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
