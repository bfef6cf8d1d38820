//! `y[n] = -sum_k q[n, k] log softmax(x[n])[k]`: the cross-entropy of targets that are distributions.

use super::{log_softmax, mul, scale, sum_axes};
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Tape, Var};
use crate::tensor::Element;

/// The cross-entropy between each row of `targets` `[N, K]` and the softmax of that of `logits`, of
/// shape `[N]`. A row of zeros counts for nothing.
///
/// # Errors
/// If the shapes differ.
pub fn soft_cross_entropy_per_sample<T: Element>(
    tape: &mut Tape<T>,
    logits: Var,
    targets: Var,
) -> Result<Var> {
    let logarithms = log_softmax(tape, logits)?;
    let weighted = mul(tape, logarithms, targets)?;
    let sums = sum_axes(tape, weighted, &[1])?;
    scale(tape, sums, -1.0)
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 5)];
    Case::new([draw.tensor(&shape), draw.tensor(&shape)], |tape, v| {
        soft_cross_entropy_per_sample(tape, v[0], v[1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{cross_entropy, mean_all};
    use crate::tensor::Tensor;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn of_certain_targets_it_is_the_cross_entropy_of_labels() {
        let mut tape = Tape::<f64>::new();
        let rows = vec![0.5, -1.0, 2.0, 3.0, 0.0, -0.5];
        let logits = tape.constant(Tensor::new(&[2, 3], rows).unwrap());
        let certain = vec![0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let targets = tape.constant(Tensor::new(&[2, 3], certain).unwrap());
        let soft = soft_cross_entropy_per_sample(&mut tape, logits, targets).unwrap();
        let soft = mean_all(&mut tape, soft).unwrap();
        let hard = cross_entropy(&mut tape, logits, &[2, 1], 0.0).unwrap();
        let [soft, hard] = [soft, hard].map(|v| tape.value(v).unwrap().item().unwrap());
        assert!((soft - hard).abs() < 1e-12, "{soft} {hard}");
    }
}
