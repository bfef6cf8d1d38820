//! `g[n] = softmax(W2 relu(W1 mean(x[n])) + b2)`: how much of each source a sample wants.

use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::ops;
use crate::tape::{Tape, Var};
use crate::tensor::Element;

/// What turns the gate's last linear layer into weights of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateFunction {
    /// Weights that sum to 1: the sources compete.
    #[default]
    Softmax,
    /// Each weight between 0 and 1 on its own, as in the authors' released code.
    Sigmoid,
}

/// The parameters of a gate.
#[derive(Clone, Copy, Debug)]
pub struct GateWeights {
    /// `W1`, `[C / 4 + 1, C]`.
    pub reduce: Var,
    /// `W2`, `[m, C / 4 + 1]`.
    pub expand: Var,
    /// `b2`, `[m]`.
    pub bias: Var,
}

/// The gate of a layer with input `x` `[N, C, H, W]`: global mean pool, linear, ReLU,
/// linear, then softmax or sigmoid; of shape `[N, m]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn gate<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weights: GateWeights,
    function: GateFunction,
) -> Result<Var> {
    let pooled = ops::global_mean_pool(tape, x)?;
    let hidden = ops::linear(tape, pooled, weights.reduce, None)?;
    let hidden = ops::relu(tape, hidden)?;
    let scores = ops::linear(tape, hidden, weights.expand, Some(weights.bias))?;
    match function {
        GateFunction::Softmax => ops::softmax(tape, scores),
        GateFunction::Sigmoid => ops::sigmoid(tape, scores),
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [n, c, h, w] = [draw.size(1, 3), draw.size(1, 6), draw.size(1, 4), draw.size(1, 4)];
    let (m, hidden) = (draw.size(1, 6), c / 4 + 1);
    let inputs = [
        draw.tensor(&[n, c, h, w]),
        draw.tensor(&[hidden, c]),
        draw.tensor(&[m, hidden]),
        draw.tensor(&[m]),
    ];
    let function = if draw.flip() { GateFunction::Softmax } else { GateFunction::Sigmoid };
    Case::new(inputs, move |tape, v| {
        gate(tape, v[0], GateWeights { reduce: v[1], expand: v[2], bias: v[3] }, function)
    })
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
