//! The gate of an aggregated layer, with the moving average that lite keeps of it.

use super::{Id, Parameters, Pass};
use crate::ops::{GateFunction, GateWeights};
use crate::tape::Var;
use crate::tensor::{Device, Element, Tensor};
use crate::{Result, ops};

/// How much of each source a layer takes, from its own input.
#[derive(Clone, Debug)]
pub struct Gate {
    /// `W1`, `[C / 4 + 1, C]`.
    pub reduce: Id,
    /// `W2`, `[m, C / 4 + 1]`.
    pub expand: Id,
    /// `b2`, `[m]`.
    pub bias: Id,
    /// Softmax or sigmoid.
    pub function: GateFunction,
    /// Only in lite.
    pub average: Option<GateAverage>,
    /// The layer's name, under which the gate is observed.
    pub(super) name: String,
}

/// The exponential moving average of a gate's batch means.
///
/// After step t, `sum = (1 - a) sum + a g_t` and `weight = (1 - a) weight + a`, both from
/// zero; the average is `sum / weight`, right from the first step on (bias correction as in
/// Adam; Kingma and Ba, 2015).
#[derive(Clone, Copy, Debug)]
pub struct GateAverage {
    /// `[m]`.
    pub sum: Id,
    /// `[]`.
    pub weight: Id,
}

impl GateAverage {
    /// Weight of the newest batch.
    pub const MOMENTUM: f64 = 0.1;

    /// The bias-corrected average `[m]`; `None` before the first step of training.
    ///
    /// # Errors
    /// If it cannot be computed where the sum is.
    pub fn value<T: Element>(self, parameters: &Parameters<T>) -> Result<Option<Tensor<T>>> {
        let (sum, weight) = (parameters.value(self.sum), parameters.value(self.weight).item()?);
        let settled = weight > T::zero();
        settled.then(|| sum.device().engine().quotient(sum, weight)).transpose()
    }

    fn update<T: Element>(self, pass: &mut Pass<T>, gate: Var) -> Result<()> {
        let factors @ [old, new] = [1.0 - Self::MOMENTUM, Self::MOMENTUM].map(T::from_f64);
        let (sum, weight) = (pass.parameter(self.sum), pass.parameter(self.weight));
        let gate = pass.value(gate)?;
        let next = Device::of("gate", [sum, gate])?.engine().blend(factors, sum, gate)?;
        pass.update(self.sum, next);
        pass.update(self.weight, Tensor::scalar(old * weight.item()? + new));
        Ok(())
    }
}

impl Gate {
    /// The gate of each sample, `[N, m]`, for the layer's input `x` `[N, C, H, W]`.
    ///
    /// # Errors
    /// If `x` has another number of channels.
    pub fn per_sample<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let weights = GateWeights {
            reduce: pass.var(self.reduce),
            expand: pass.var(self.expand),
            bias: pass.var(self.bias),
        };
        let gate = ops::gate(pass.tape(), x, weights, self.function)?;
        pass.observe(format!("{}.gate", self.name), gate);
        Ok(gate)
    }

    /// The gate of the whole batch, `[m]`: the mean over its samples in training, the moving
    /// average in evaluation (before any training there is none, and the batch's mean serves).
    ///
    /// # Errors
    /// If `x` has another number of channels.
    pub fn of_batch<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let settled = self.average.filter(|_| !pass.is_training());
        let settled = settled.map(|average| average.value(pass.parameters())).transpose()?;
        if let Some(value) = settled.flatten() {
            let row = value.clone().reshape(&[1, value.len()])?;
            let row = pass.input(row);
            pass.observe(format!("{}.gate", self.name), row);
            return Ok(pass.input(value));
        }
        let gate = self.per_sample(pass, x)?;
        let share = pass.share().cloned();
        let mean = match &share {
            Some(share) => ops::batch_mean_together(pass.tape(), gate, share)?,
            None => ops::batch_mean(pass.tape(), gate)?,
        };
        if let (Some(average), true) = (self.average, pass.is_training()) {
            average.update(pass, mean)?;
        }
        Ok(mean)
    }
}
