//! `y = x W^T + b` as a layer.

use super::{Id, Pass};
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[K, D]`.
    pub weight: Id,
    /// `[K]`.
    pub bias: Option<Id>,
}

impl Linear {
    /// The output `[N, K]` for `x` `[N, D]`.
    ///
    /// # Errors
    /// If `x` has another number of columns.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let (weight, bias) = (pass.var(self.weight), self.bias.map(|bias| pass.var(bias)));
        ops::linear(pass.tape(), x, weight, bias)
    }
}
