//! `y = mean_n -sum_k q[n, k] log softmax(x[n])[k]`, with the targets
//! `q[n, k] = (1 - smoothing) [k = label_n] + smoothing / K` (Szegedy et al., 2016).

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::engine::Targets;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The mean cross-entropy between the softmax of `logits` `[N, K]` and `labels`
/// (one of `0..K` for each sample), with label smoothing in `0..=1`; of shape `[]`.
///
/// # Errors
/// If there is not one label for each row, a label is out of range, the batch is empty,
/// or `smoothing` is not between 0 and 1.
pub fn cross_entropy<T: Element>(
    tape: &mut Tape<T>,
    logits: Var,
    labels: &[usize],
    smoothing: f64,
) -> Result<Var> {
    let value = tape.value(logits)?;
    let [batch, classes] = value.dims("cross_entropy", "logits", "[N, K]")?;
    if labels.len() != batch || value.is_empty() {
        let expected = format!("[{}, K], a row for each label", labels.len().max(1));
        return Err(Error::shape("cross_entropy", "logits", expected, value.shape()));
    }
    if let Some((n, label)) = labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
        return Err(Error::argument(
            "cross_entropy",
            format!(
                "label {label} of sample {n} is out of range: there are {classes} classes, 0 to {}",
                classes - 1
            ),
        ));
    }
    if !(0.0..=1.0).contains(&smoothing) {
        let problem = format!("label smoothing should be between 0 and 1, but is {smoothing}");
        return Err(Error::argument("cross_entropy", problem));
    }
    if u32::try_from(classes).is_err() {
        return Err(Error::shape(
            "cross_entropy",
            "logits",
            "of fewer than 2^32 classes",
            &[batch, classes],
        ));
    }
    let (kept, spread) = (T::from_f64(1.0 - smoothing), T::from_f64(smoothing / classes as f64));
    let labels = labels.iter().map(|&label| label as u32).collect();
    let (value, device) = (value.clone(), value.device());
    let engine = device.engine::<T>();
    let targets = Targets { labels: engine.indices(labels)?, kept, spread };
    let loss = engine.cross_entropy(&value, &targets)?;
    let rule = CrossEntropy { logits: value, targets };
    tape.record("cross_entropy", loss, &[logits], rule)
}

struct CrossEntropy<T> {
    logits: Tensor<T>,
    targets: Targets<T>,
}

impl<T: Element> Backward<T> for CrossEntropy<T> {
    /// `dx[n] = (softmax(x[n]) - q[n]) dy / N`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let Self { logits, targets } = *self;
        let scale = dy.item()? / T::from_f64(logits.shape()[0] as f64);
        let device = logits.device();
        Ok(vec![Some(device.engine().cross_entropy_gradient(logits, &targets, scale)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [batch, classes] = [draw.size(1, 4), draw.size(1, 5)];
    let labels: Vec<usize> = (0..batch).map(|_| draw.size(0, classes - 1)).collect();
    let smoothing = if draw.flip() { 0.1 } else { 0.0 };
    Case::new([draw.tensor(&[batch, classes])], move |tape, v| {
        cross_entropy(tape, v[0], &labels, smoothing)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    fn loss(logits: Vec<f32>, smoothing: f64) -> f32 {
        let mut tape = Tape::new();
        let logits = tape.constant(Tensor::new(&[1, 3], logits).unwrap());
        let loss = cross_entropy(&mut tape, logits, &[1], smoothing).unwrap();
        tape.value(loss).unwrap().item().unwrap()
    }

    /// The softmax does not change when a number is added to all scores.
    #[test]
    fn large_scores_lose_no_digits() {
        for smoothing in [0.0, 0.1] {
            let expected = loss(vec![1.0, 0.5, -2.0], smoothing);
            assert_eq!(loss(vec![16385.0, 16384.5, 16382.0], smoothing), expected);
        }
    }

    #[test]
    fn an_excluded_class_is_no_fault() {
        let of_two = (1.0 + (-1.0f32).exp()).ln();
        let found = loss(vec![0.0, 1.0, f32::NEG_INFINITY], 0.0);
        assert!((found - of_two).abs() < 1e-6, "{found}");
    }
}
