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
        let y = ops::linear(pass.tape(), x, weight, bias)?;
        let columns = pass.parameter(self.weight).shape()[1];
        let count = pass.value(y)?.len() * columns;
        pass.count_multiply_adds(count as u64);
        Ok(y)
    }
}
