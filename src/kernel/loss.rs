//! What a network is trained to make small, over rows of logits or over all values.

use super::parallel::Each;
use super::{elementwise, reduce};
use crate::tensor::{Element, buffer};
use rayon::prelude::*;

/// `dx = y (dy - <dy, y>)` for rows `y` of a softmax over `classes`; in the place of `dy`.
pub fn softmax_gradient<T: Element>(dy: &mut [T], y: &[T], classes: usize) {
    let classes = classes.max(1);
    for (dx, y) in dy.chunks_mut(classes).zip(y.chunks(classes)) {
        let mean = reduce::dot(dx, y);
        dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx = y * (*dx - mean));
    }
}

/// `dx = dy - exp(y) sum(dy)` for rows `y` of a logarithm of a softmax over `classes`; in the
/// place of `dy`.
pub fn log_softmax_gradient<T: Element>(dy: &mut [T], y: &[T], classes: usize) {
    let classes = classes.max(1);
    for (dx, y) in dy.chunks_mut(classes).zip(y.chunks(classes)) {
        let sum = reduce::sum(dx);
        dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx -= y.exp() * sum);
    }
}

/// `y[n] = x[n, columns[n]]`, for rows of `classes` values.
pub fn select<T: Element>(x: &[T], classes: usize, columns: &[u32]) -> Vec<T> {
    let rows = x.chunks(classes.max(1));
    rows.zip(columns).map(|(row, &column)| row[column as usize]).collect()
}

/// `dx[n, columns[n]] = dy[n]`, and 0 elsewhere.
pub fn select_gradient<T: Element>(dy: &[T], classes: usize, columns: &[u32]) -> Vec<T> {
    let mut dx = buffer::zeros(dy.len() * classes);
    for ((row, &column), &dy) in dx.chunks_mut(classes.max(1)).zip(columns).zip(dy) {
        row[column as usize] = dy;
    }
    dx
}

/// Huber's loss of each row of `len` values: `y[n] = mean_k h(a[n, k] - b[n, k])`, with
/// `h(d) = d^2 / 2` where `|d|` is at most `delta`, else `delta (|d| - delta / 2)`.
pub fn huber<T: Element>(a: &[T], b: &[T], len: usize, delta: T) -> Vec<T> {
    let (share, half) = (T::from_f64(1.0 / len as f64), T::from_f64(0.5));
    let mut y = buffer::take(a.len() / len);
    let rows = a.par_chunks(len).zip(b.par_chunks(len));
    y.par_iter_mut().zip(rows).each(|(y, (a, b))| {
        // One form for both pieces: where `d` is small, `near` is `d`.
        let sum = reduce::sum_of(a, b, |a, b| {
            let d = (a - b).abs();
            let near = if d > delta { delta } else { d };
            near * (d - half * near)
        });
        *y = share * sum;
    });
    y
}

/// The gradient of `a` in [`huber`]: `da[n, k] = dy[n] / len` times `a[n, k] - b[n, k]`, clipped
/// to `-delta..=delta`. That of `b` is the same with `a` and `b` exchanged.
pub fn huber_gradient<T: Element>(dy: &[T], a: &[T], b: &[T], delta: T) -> Vec<T> {
    let len = a.len() / dy.len();
    let share = T::from_f64(1.0 / len as f64);
    let mut da = buffer::take(a.len());
    let rows = da.par_chunks_mut(len).zip(a.par_chunks(len)).zip(b.par_chunks(len));
    rows.zip(dy.par_iter()).each(|(((da, a), b), &dy)| {
        let factor = share * dy;
        for ((da, &a), &b) in da.iter_mut().zip(a).zip(b) {
            *da = factor * clipped(a - b, delta);
        }
    });
    da
}

/// The nearest value between `-delta` and `delta`. Written so that NaN stays NaN: a fault must
/// not be hidden here.
fn clipped<T: Element>(d: T, delta: T) -> T {
    if d > delta {
        delta
    } else if d < -delta {
        -delta
    } else {
        d
    }
}

/// The constants of the adaptive wing loss (Wang, Bo and Fuxin, 2019); [`adaptive_wing`] says what
/// they do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveWing<T> {
    /// The power of an error in the background; on a peak it is 1 less.
    pub alpha: T,
    /// What the curved part is multiplied by.
    pub omega: T,
    /// What an error is divided by.
    pub epsilon: T,
    /// The error from which on the loss is a straight line.
    pub theta: T,
}

impl AdaptiveWing<f64> {
    /// Those of the paper, for heat maps whose peaks are 1.
    pub const PUBLISHED: Self = Self { alpha: 2.1, omega: 14.0, epsilon: 1.0, theta: 0.5 };

    /// The same in another element type.
    pub fn cast<T: Element>(self) -> AdaptiveWing<T> {
        let [alpha, omega, epsilon, theta] = self.constants().map(T::from_f64);
        AdaptiveWing { alpha, omega, epsilon, theta }
    }
}

impl<T: Element> AdaptiveWing<T> {
    /// Alpha, omega, epsilon and theta.
    pub fn constants(self) -> [T; 4] {
        [self.alpha, self.omega, self.epsilon, self.theta]
    }

    /// The error `a - t` as far as the curve goes, the part of `log(1 + x)` that is x there, and the
    /// slope of the loss there.
    fn parts(self, a: T, t: T) -> [T; 3] {
        let Self { alpha, omega, epsilon, theta } = self;
        let (d, power) = ((a - t).abs(), alpha - t);
        // Written so that NaN stays NaN.
        let near = if d > theta { theta } else { d };
        // One power for both. With alpha above 2 and t at most 1 it is above 0, so that 0 stays 0.
        let root = (near / epsilon).powf(power - T::one());
        let x = root * near / epsilon;
        [near, x, omega * power * root / (epsilon * (T::one() + x))]
    }
}

/// `y = omega log(1 + (d / epsilon)^(alpha - t))` for `d = |a - t|` below `theta`; from there on the
/// straight line that goes on with the same slope.
pub fn adaptive_wing<T: Element>(a: &[T], t: &[T], wing: AdaptiveWing<T>) -> Vec<T> {
    elementwise::zip_map(a, t, |a, t| {
        let [near, x, slope] = wing.parts(a, t);
        wing.omega * x.ln_1p() + slope * ((a - t).abs() - near)
    })
}

/// The slope of [`adaptive_wing`] in `a`.
pub fn adaptive_wing_slope<T: Element>(a: &[T], t: &[T], wing: AdaptiveWing<T>) -> Vec<T> {
    elementwise::zip_map(a, t, |a, t| {
        let [.., slope] = wing.parts(a, t);
        if a < t { -slope } else { slope }
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reference;
    use ndarray::{Array1, Array2, Zip};

    fn drawn(rows: usize, columns: usize) -> Array2<f64> {
        let mut rng = fastrand::Rng::with_seed(columns as u64);
        Array2::from_shape_fn((rows, columns), |_| 6.0 * rng.f64() - 3.0)
    }

    fn assert_close<'a>(found: &[f64], expected: impl IntoIterator<Item = &'a f64>) {
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-13), "{found:?}");
    }

    #[test]
    fn log_softmax_is_what_its_formula_says() {
        let x = drawn(5, 37);
        let mut rows = x.clone();
        rows.rows_mut().into_iter().for_each(|mut row| {
            reduce::log_softmax_row(row.as_slice_mut().unwrap());
        });
        assert_close(rows.as_slice().unwrap(), &reference::log_softmax(x.view()));
    }

    #[test]
    fn one_value_of_each_row_is_selected() {
        let (x, columns) = (drawn(4, 6), Array1::from(vec![5u32, 0, 3, 3]));
        let (values, indices) = (x.as_slice().unwrap(), columns.as_slice().unwrap());
        let y = select(values, 6, indices);
        assert_close(&y, &reference::select(x.view(), columns.view()));
        let dx = Array2::from_shape_vec((4, 6), select_gradient(&y, 6, indices)).unwrap();
        assert_close(&y, &dx.rows().into_iter().map(|row| row.sum()).collect::<Vec<_>>());
        assert!(Zip::from(&dx).and(&x).all(|&d, &x| d == 0.0 || d == x));
    }

    #[test]
    fn huber_is_what_its_formula_says() {
        for len in [1, 5, 100] {
            let (a, b) = (drawn(3, len), 0.3 * drawn(3, len));
            let found = huber(a.as_slice().unwrap(), b.as_slice().unwrap(), len, 0.7);
            assert_close(&found, &reference::huber(a.view(), b.view(), 0.7));
        }
    }

    #[test]
    fn adaptive_wing_is_what_its_formula_says() {
        let (a, t) = (drawn(7, 9), drawn(7, 9).mapv(|v| (v / 3.0).clamp(0.0, 1.0)));
        let wing = AdaptiveWing::PUBLISHED;
        let other = AdaptiveWing { alpha: 2.4, omega: 10.0, epsilon: 0.5, theta: 0.3 };
        for wing in [wing, other] {
            let found = adaptive_wing(a.as_slice().unwrap(), t.as_slice().unwrap(), wing);
            assert_close(&found, &reference::adaptive_wing(a.view(), t.view(), wing));
        }
        let of_nothing = adaptive_wing_slope(&[0.25, f64::NAN], &[0.25, 0.0], wing);
        assert!(of_nothing[0] == 0.0 && of_nothing[1].is_nan(), "{of_nothing:?}");
    }

    #[test]
    fn what_is_not_a_number_is_not_clipped() {
        assert!(huber(&[f32::NAN], &[0.0], 1, 1.0)[0].is_nan());
        assert!(huber_gradient(&[1.0], &[f32::NAN], &[0.0], 1.0)[0].is_nan());
        assert_eq!(
            huber_gradient(&[1.0; 3], &[-5.0f32, 0.25, 5.0], &[0.0; 3], 1.0),
            [-1.0, 0.25, 1.0]
        );
    }
}
