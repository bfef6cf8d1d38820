//! Passes in which every value stands alone.

use super::parallel::Each;
use crate::tensor::{Element, buffer};
use rayon::prelude::*;

/// Values a task is given at least; below it, a pass stays on its thread.
const CHUNK: usize = 1 << 15;

/// `y = a + b`.
pub fn add<T: Element>(a: &[T], b: &[T]) -> Vec<T> {
    zip_map(a, b, |a, b| a + b)
}

/// `y = ((a + b) + c) + ...`, in the order of the parts, which are one at least; each is read once.
pub fn sum<T: Element>(parts: &[&[T]]) -> Vec<T> {
    // What is summed up stays in the innermost cache until it is complete.
    const RUN: usize = 1 << 11;
    let [first, others @ ..] = parts else { return Vec::new() };
    let mut y = buffer::take(first.len());
    y.par_chunks_mut(RUN).enumerate().with_min_len(CHUNK / RUN).each(|(run, y)| {
        let (begin, len) = (run * RUN, y.len());
        let first = &first[begin..][..len];
        let mut others = others.iter().map(|part| &part[begin..][..len]);
        match others.next() {
            None => y.copy_from_slice(first),
            Some(second) => {
                let pairs = first.iter().zip(second);
                y.iter_mut().zip(pairs).for_each(|(y, (&a, &b))| *y = a + b);
            }
        }
        for other in others {
            y.iter_mut().zip(other).for_each(|(y, &value)| *y += value);
        }
    });
    y
}

/// `sum += values`.
pub fn add_to<T: Element>(sum: &mut [T], values: &[T]) {
    update(sum, values, |sum, value| sum + value);
}

/// `y = a b`.
pub fn mul<T: Element>(a: &[T], b: &[T]) -> Vec<T> {
    zip_map(a, b, |a, b| a * b)
}

/// `y = factor x`.
pub fn scale<T: Element>(x: &[T], factor: T) -> Vec<T> {
    map(x, |x| factor * x)
}

/// `y = factor (a - b)`.
pub fn scaled_difference<T: Element>(factor: T, a: &[T], b: &[T]) -> Vec<T> {
    zip_map(a, b, |a, b| factor * (a - b))
}

/// `factors[0] x + factors[1] y`.
pub fn blend<T: Element>(factors: [T; 2], x: &[T], y: &[T]) -> Vec<T> {
    zip_map(x, y, |x, y| factors[0] * x + factors[1] * y)
}

/// `x *= factor`.
pub fn scale_in_place<T: Element>(x: &mut [T], factor: T) {
    x.par_chunks_mut(CHUNK).each(|x| x.iter_mut().for_each(|x| *x *= factor));
}

/// `x / divisor`.
pub fn quotient<T: Element>(x: &[T], divisor: T) -> Vec<T> {
    map(x, |x| x / divisor)
}

/// `y = max(x, 0)`.
pub fn relu<T: Element>(x: &[T]) -> Vec<T> {
    map(x, |x| Rectifier::Relu.of(x))
}

/// `dx = dy` where `y = relu(x)` is positive, else 0; in the place of `dy`.
pub fn relu_gradient<T: Element>(dy: &mut [T], y: &[T]) {
    update(dy, y, |dy, y| Rectifier::Relu.passed(dy, y));
}

/// `y = min(max(x, 0), 6)`.
pub fn relu6<T: Element>(x: &[T]) -> Vec<T> {
    map(x, |x| Rectifier::Relu6.of(x))
}

/// `dx = dy` where `y = relu6(x)` is between 0 and 6, else 0; in the place of `dy`.
pub fn relu6_gradient<T: Element>(dy: &mut [T], y: &[T]) {
    update(dy, y, |dy, y| Rectifier::Relu6.passed(dy, y));
}

/// `y = 1 / (1 + exp(-x))`.
pub fn sigmoid<T: Element>(x: &[T]) -> Vec<T> {
    map(x, |x| T::one() / (T::one() + (-x).exp()))
}

/// `dx = dy y (1 - y)` for `y = sigmoid(x)`; in the place of `dy`.
pub fn sigmoid_gradient<T: Element>(dy: &mut [T], y: &[T]) {
    update(dy, y, |dy, y| dy * y * (T::one() - y));
}

/// `y = exp(x)`.
pub fn exp<T: Element>(x: &[T]) -> Vec<T> {
    map(x, T::exp)
}

/// `y = log(x)`, the natural logarithm.
pub fn log<T: Element>(x: &[T]) -> Vec<T> {
    map(x, T::ln)
}

/// `dx = dy / x`; in the place of `dy`.
pub fn log_gradient<T: Element>(dy: &mut [T], x: &[T]) {
    update(dy, x, |dy, x| dy / x);
}

/// What holds values back that are negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectifier {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

impl Rectifier {
    /// Of one value. Written so that NaN stays NaN: a fault must not be hidden here.
    #[inline(always)]
    pub(super) fn of<T: Element>(self, x: T) -> T {
        let y = if x < T::zero() { T::zero() } else { x };
        let most = self.most();
        if y > most { most } else { y }
    }

    /// What of `dy` passes back where the value was `y`: nothing at either end.
    #[inline(always)]
    pub(super) fn passed<T: Element>(self, dy: T, y: T) -> T {
        match self {
            Self::Relu if y > T::zero() => dy,
            Self::Relu6 if y > T::zero() && y < self.most() => dy,
            _ => T::zero(),
        }
    }

    /// The largest value.
    #[inline(always)]
    fn most<T: Element>(self) -> T {
        match self {
            Self::Relu => T::infinity(),
            Self::Relu6 => T::from_f64(6.0),
        }
    }
}

/// `y[i] = f(x[i])`.
fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    let mut y = buffer::take(x.len());
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x)));
    y
}

/// `y[i] = f(a[i], b[i])` for slices of one length.
pub(super) fn zip_map<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    debug_assert_eq!(a.len(), b.len());
    let mut y = buffer::take(a.len());
    y.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK)).each(
        |((y, a), b)| {
            y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b));
        },
    );
    y
}

/// `a[i] = f(a[i], b[i])` for slices of one length.
fn update<T: Element>(a: &mut [T], b: &[T], f: impl Fn(T, T) -> T + Sync) {
    debug_assert_eq!(a.len(), b.len());
    a.par_chunks_mut(CHUNK)
        .zip(b.par_chunks(CHUNK))
        .each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, &b)| *a = f(*a, b)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;

    #[test]
    fn passes_longer_than_a_chunk_reach_their_end() {
        let a = vec![1.5f32; CHUNK + 7];
        assert_eq!(relu(&a), a);
        let mut b = scaled_difference(2.0, &a, &a);
        assert!(b.iter().all(|&v| v == 0.0));
        add_to(&mut b, &a);
        assert_eq!(a, b);
    }

    #[test]
    fn passes_agree_with_ndarray() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut drawn = || Array1::from_shape_fn(CHUNK + 7, |_| rng.f64() + 0.1);
        let (a, b) = (drawn(), drawn());
        let [x, y] = [&a, &b].map(|array| array.as_slice().unwrap());
        assert_eq!(mul(x, y), (&a * &b).to_vec());
        assert_eq!(scale(x, 0.3), (0.3 * &a).to_vec());
        assert_eq!(exp(x), a.exp().to_vec());
        assert_eq!(log(x), a.ln().to_vec());
        let mut dy = y.to_vec();
        log_gradient(&mut dy, x);
        assert_eq!(dy, (&b / &a).to_vec());
    }

    #[test]
    fn what_is_not_a_number_is_not_rectified() {
        let y = relu(&[f32::NAN, -1.0, 2.0]);
        assert!(y[0].is_nan() && y[1..] == [0.0, 2.0]);
        let mut dy = [1.0; 3];
        relu_gradient(&mut dy, &y);
        assert_eq!(dy, [0.0, 0.0, 1.0]);
        let y = relu6(&[f32::NAN, -1.0, 2.0, 6.0, 7.0]);
        assert!(y[0].is_nan() && y[1..] == [0.0, 2.0, 6.0, 6.0]);
        let mut dy = [1.0; 5];
        relu6_gradient(&mut dy, &y);
        assert_eq!(dy, [0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_sum_of_several_is_taken_from_left_to_right() {
        // In another order, the ones would be lost.
        let parts = [[1e8f32; 5000], [-1e8; 5000], [1.0; 5000], [0.5; 5000]];
        let parts = parts.each_ref().map(|part| &part[..]);
        assert!(sum(&parts).iter().all(|&y| y == 1.5));
        assert!(sum(&parts[..3]).iter().all(|&y| y == 1.0));
        assert!(sum(&parts[..1]).iter().all(|&y| y == 1e8));
    }
}
