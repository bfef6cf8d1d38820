//! Sums in a fixed order.

use crate::tensor::Element;
use rayon::prelude::*;

/// `sum[i] += factor * values[i]`, on the calling thread.
pub fn add_scaled<T: Element>(sum: &mut [T], factor: T, values: &[T]) {
    debug_assert_eq!(sum.len(), values.len());
    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += factor * value);
}

/// Lanes of the sums below: a whole vector register, and the same result with any.
const LANES: usize = 16;

/// The sum over `f(a[i], b[i])`, see [`sums_of`].
pub fn sum_of<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let [sum] = sums_of(a, b, |a, b| [f(a, b)]);
    sum
}

/// The sums over each of `f(a[i], b[i])`, in sixteen interleaved partial sums, which is both
/// faster and more accurate than one.
pub fn sums_of<T: Element, const N: usize>(a: &[T], b: &[T], f: impl Fn(T, T) -> [T; N]) -> [T; N] {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [[T::zero(); LANES]; N];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut tail = [T::zero(); N];
    for (&a, &b) in a.remainder().iter().zip(b.remainder()) {
        let terms = f(a, b);
        (0..N).for_each(|n| tail[n] += terms[n]);
    }
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            let terms = f(a[lane], b[lane]);
            (0..N).for_each(|n| lanes[n][lane] += terms[n]);
        }
    }
    // Halved until one is left: four dependent additions rather than sixteen.
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes.iter_mut().for_each(|lanes| lanes[lane] += lanes[lane + width]);
        }
    }
    std::array::from_fn(|n| lanes[n][0] + tail[n])
}

/// The sum of all values.
pub fn sum<T: Element>(values: &[T]) -> T {
    sum_of(values, values, |value, _| value)
}

/// The dot product of two slices of one length.
pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    sum_of(a, b, |a, b| a * b)
}

/// Values of a task of [`sum_of_squares`].
const CHUNK: usize = 1 << 14;

/// The sum of the squares of all values; that of a chunk in their own precision.
pub fn sum_of_squares<T: Element>(values: &[T]) -> f64 {
    let chunks = values.par_chunks(CHUNK).map(|chunk| dot(chunk, chunk).widen());
    // Added up in the order of the chunks, not as they come.
    chunks.collect::<Vec<_>>().into_iter().sum()
}

/// The softmax of one row, in place; the largest value is taken off first, so that no
/// exponential overflows.
pub fn softmax_row<T: Element>(row: &mut [T]) {
    let largest = row.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum: T = row.iter().copied().sum();
    row.iter_mut().for_each(|v| *v /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_take_every_value_once() {
        for count in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f64> = (0..count).map(f64::from).collect();
            let expected = f64::from(count * (count - 1).max(0) / 2);
            assert_eq!(sum(&values), expected);
            assert_eq!(dot(&values, &vec![2.0; values.len()]), 2.0 * expected);
        }
        for count in [0, 1, CHUNK, 3 * CHUNK + 5] {
            assert_eq!(sum_of_squares(&vec![2.0f32; count]), 4.0 * count as f64);
        }
    }
}
