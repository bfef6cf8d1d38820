//! `y = x W^T + b` as a layer.

use super::{Id, Pass};
use crate::ops::{Noise, NoisyWeights};
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// A linear layer of the head.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[K, D]`.
    pub weight: Id,
    /// `[K]`.
    pub bias: Id,
    /// By how much weight and bias are moved in a pass that draws, if they are.
    pub sigmas: Option<[Id; 2]>,
    /// `[K, D]`.
    pub shape: [usize; 2],
    pub(super) name: String,
}

impl Linear {
    /// The layer's name, e.g. `fc`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The output `[N, K]` for `x` `[N, D]`. A noisy layer computes with its mean weights in a pass that
    /// draws nothing.
    ///
    /// # Errors
    /// If `x` has another number of columns.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        pass.tape().enter(&self.name);
        let [weight, bias] = [self.weight, self.bias].map(|id| pass.var(id));
        let (Some(sigmas), Some(seed)) = (self.sigmas, pass.draws()) else {
            return ops::linear(pass.tape(), x, weight, Some(bias));
        };
        let [weight_sigma, bias_sigma] = sigmas.map(|id| pass.var(id));
        // Layers of one pass draw apart.
        let seed = seed.wrapping_add(self.weight.index() as u64);
        let [outputs, features] = self.shape;
        let noise = Noise::drawn(features, outputs, &mut fastrand::Rng::with_seed(seed));
        let weights = NoisyWeights { weight, bias, weight_sigma, bias_sigma };
        ops::noisy_linear(pass.tape(), x, weights, &noise)
    }
}
