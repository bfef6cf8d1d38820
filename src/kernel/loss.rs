//! What a network is trained to make small, over rows of logits or over all values.

use super::reduce;
use crate::tensor::Element;

/// `dx = y (dy - <dy, y>)` for rows `y` of a softmax over `classes`; in the place of `dy`.
pub fn softmax_gradient<T: Element>(dy: &mut [T], y: &[T], classes: usize) {
    let classes = classes.max(1);
    for (dx, y) in dy.chunks_mut(classes).zip(y.chunks(classes)) {
        let mean = reduce::dot(dx, y);
        dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx = y * (*dx - mean));
    }
}

/// The mean cross-entropy between the softmax of rows of `logits` and the targets: `kept` for a
/// row's label, and `spread` for each of the `classes`.
pub fn cross_entropy<T: Element>(
    logits: &[T],
    classes: usize,
    labels: &[u32],
    [kept, spread]: [T; 2],
) -> T {
    let mut loss = T::zero();
    for (row, &label) in logits.chunks(classes.max(1)).zip(labels) {
        let largest = row.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
        let log_sum = row.iter().map(|&v| (v - largest).exp()).sum::<T>().ln();
        // Differences to the largest first: they are small where the scores are large.
        let surprise = |v: T| log_sum - (v - largest);
        loss += kept * surprise(row[label as usize]);
        // An excluded class (minus infinity) is no fault while nothing is spread to it.
        if spread > T::zero() {
            loss += spread * row.iter().map(|&v| surprise(v)).sum::<T>();
        }
    }
    loss / T::from_f64(labels.len() as f64)
}

/// `scale (softmax(x[n]) - q[n])` for the targets `q` of [`cross_entropy`]; in the place of the
/// logits.
pub fn cross_entropy_gradient<T: Element>(
    logits: &mut [T],
    classes: usize,
    labels: &[u32],
    [kept, spread]: [T; 2],
    scale: T,
) {
    for (row, &label) in logits.chunks_mut(classes.max(1)).zip(labels) {
        reduce::softmax_row(row);
        row[label as usize] -= kept;
        row.iter_mut().for_each(|v| *v = (*v - spread) * scale);
    }
}

/// `mean((a - b)^2)`.
pub fn mse<T: Element>(a: &[T], b: &[T]) -> T {
    let squares = reduce::sum_of(a, b, |a, b| (a - b) * (a - b));
    squares / T::from_f64(a.len() as f64)
}
