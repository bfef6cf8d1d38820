//! `y = x W^T + b` as a layer.

use super::{Id, Pass};
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// A linear layer of the head.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[K, D]`.
    pub weight: Id,
    /// `[K]`.
    pub bias: Option<Id>,
    /// `[K, D]`.
    pub shape: [usize; 2],
    pub(super) name: String,
}

impl Linear {
    /// The layer's name, e.g. `fc`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The output `[N, K]` for `x` `[N, D]`.
    ///
    /// # Errors
    /// If `x` has another number of columns.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        pass.tape().enter(&self.name);
        let (weight, bias) = (pass.var(self.weight), self.bias.map(|bias| pass.var(bias)));
        ops::linear(pass.tape(), x, weight, bias)
    }
}
