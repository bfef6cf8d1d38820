//! The readable twins: every kernel once more, as its formula says.
//!
//! These loops are slow and meant to be read. They are the oracles of the tests:
//! whatever the fast kernels do, it has to be this.

use super::loss::AdaptiveWing;
use super::pool::Divisor;
use super::window::{Geometry, Window};
use crate::tensor::Element;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3, Axis, Zip};

/// `c = a b` for `a` `[m, k]` and `b` `[k, n]`.
pub fn gemm<T: Element>(a: &[T], b: &[T], m: usize, k: usize, n: usize, c: &mut [T]) {
    for i in 0..m {
        for j in 0..n {
            c[i * n + j] = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
        }
    }
}

/// The convolution of `x` `[N, C, H, W]` with `weight` `[O, C / groups, kh, kw]`:
///
/// `y[n, o, i, j] = sum_{c, u, v} weight[o, c, u, v] x[n, c, i s - p + u d, j s - p + v d]`,
/// where `c` runs over the channels of `o`'s group and `x` is zero outside of the image.
pub fn conv2d<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let Window { stride, padding, dilation, .. } = g.window;
    let [kh, kw] = g.taps;
    let pixel = |n: usize, c: usize, row: usize, column: usize| {
        // Rows and columns are counted from the padded image's corner.
        let row = row.checked_sub(padding[0]).filter(|&row| row < g.input[0]);
        let column = column.checked_sub(padding[1]).filter(|&column| column < g.input[1]);
        row.zip(column).map_or(T::zero(), |(row, column)| {
            x[((n * g.channels + c) * g.input[0] + row) * g.input[1] + column]
        })
    };
    let mut y = Vec::new();
    for n in 0..g.batch {
        for o in 0..g.outputs {
            let first = o / g.outputs_per_group() * g.channels_per_group();
            for i in 0..g.output[0] {
                for j in 0..g.output[1] {
                    let mut sum = T::zero();
                    for c in 0..g.channels_per_group() {
                        for u in 0..kh {
                            for v in 0..kw {
                                let w =
                                    weight[((o * g.channels_per_group() + c) * kh + u) * kw + v];
                                let (row, column) = (
                                    i * stride[0] + u * dilation[0],
                                    j * stride[1] + v * dilation[1],
                                );
                                sum += w * pixel(n, first + c, row, column);
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}

/// Channel alignment: `A[i, o] = sum_p transform[i, o, p] weight[i, p]`, for
/// `weight` `[m, O, row]` and `transform` `[m, O, O]`.
pub fn align<T: Element>(
    weight: &[T],
    transform: &[T],
    sources: usize,
    outputs: usize,
    row: usize,
) -> Vec<T> {
    let mut aligned = vec![T::zero(); weight.len()];
    for i in 0..sources {
        for o in 0..outputs {
            for p in 0..outputs {
                let t = transform[(i * outputs + o) * outputs + p];
                for r in 0..row {
                    aligned[(i * outputs + o) * row + r] += t * weight[(i * outputs + p) * row + r];
                }
            }
        }
    }
    aligned
}

/// The aggregated convolution, with the kernels that the fast one never stores:
/// `K_n = sum_i gate[n, i] weight[i]`, then `y_n = conv(x_n, K_n)`.
pub fn aggregated_conv2d<T: Element>(
    g: &Geometry,
    x: &[T],
    weight: &[T],
    gate: &[T],
    sources: usize,
) -> Vec<T> {
    let len = weight.len() / sources;
    let one_sample = Geometry { batch: 1, ..*g };
    let mut y = Vec::new();
    for n in 0..g.batch {
        let kernel: Vec<T> = (0..len)
            .map(|k| (0..sources).map(|i| gate[n * sources + i] * weight[i * len + k]).sum())
            .collect();
        let x = &x[n * g.sample_len()..][..g.sample_len()];
        y.extend(conv2d(&one_sample, x, &kernel));
    }
    y
}

/// Batch normalisation of `x` `[N, C, L]` with the batch's own mean and variance:
/// `y = (x - mean) / sqrt(variance + epsilon) weight + bias`.
pub fn batch_norm<T: Element>(
    x: &[T],
    [batch, channels, len]: [usize; 3],
    weight: &[T],
    bias: &[T],
    epsilon: T,
) -> Vec<T> {
    let mut y = vec![T::zero(); x.len()];
    for c in 0..channels {
        let places: Vec<usize> =
            (0..batch).flat_map(|n| (0..len).map(move |l| (n * channels + c) * len + l)).collect();
        let count = T::from_f64(places.len() as f64);
        let mean = places.iter().map(|&at| x[at]).sum::<T>() / count;
        let variance = places.iter().map(|&at| (x[at] - mean).powi(2)).sum::<T>() / count;
        for at in places {
            y[at] = (x[at] - mean) / (variance + epsilon).sqrt() * weight[c] + bias[c];
        }
    }
    y
}

/// The largest value under each window of `x` `[N, C, H, W]`; padding never wins.
pub fn max_pool2d<T: Element>(g: &Geometry, x: &[T]) -> Vec<T> {
    let Window { stride, padding, dilation, .. } = g.window;
    let mut y = Vec::new();
    for channel in x.chunks(g.pixels()) {
        for i in 0..g.output[0] {
            for j in 0..g.output[1] {
                let mut largest = T::neg_infinity();
                for u in 0..g.taps[0] {
                    for v in 0..g.taps[1] {
                        let row = (i * stride[0] + u * dilation[0]).checked_sub(padding[0]);
                        let column = (j * stride[1] + v * dilation[1]).checked_sub(padding[1]);
                        if let (Some(row), Some(column)) = (row, column)
                            && row < g.input[0]
                            && column < g.input[1]
                        {
                            largest = largest.max(channel[row * g.input[1] + column]);
                        }
                    }
                }
                y.push(largest);
            }
        }
    }
    y
}

/// `y[o, i] = factor sum_l x[o, l, i]`.
pub fn sum_middle<T: Element>(x: ArrayView3<T>, factor: T) -> Array2<T> {
    x.sum_axis(Axis(1)) * factor
}

/// `y[n, k] = x[n, k] - log sum_j exp(x[n, j])`.
pub fn log_softmax<T: Element>(x: ArrayView2<T>) -> Array2<T> {
    let log_sums = x.mapv(T::exp).sum_axis(Axis(1)).mapv(T::ln);
    &x - &log_sums.insert_axis(Axis(1))
}

/// `y[n] = x[n, columns[n]]`.
pub fn select<T: Element>(x: ArrayView2<T>, columns: ArrayView1<u32>) -> Array1<T> {
    Zip::from(x.rows()).and(columns).map_collect(|row, &column| row[column as usize])
}

/// Huber's loss of each row: the mean over `d = a[n, k] - b[n, k]` of `d^2 / 2` where `|d|` is at
/// most `delta`, else of `delta (|d| - delta / 2)`.
pub fn huber<T: Element>(a: ArrayView2<T>, b: ArrayView2<T>, delta: T) -> Array1<T> {
    let half = T::from_f64(0.5);
    let values = Zip::from(a).and(b).map_collect(|&a, &b| {
        let d = (a - b).abs();
        if d <= delta { half * d * d } else { delta * (d - half * delta) }
    });
    values.sum_axis(Axis(1)) / T::from_f64(a.ncols() as f64)
}

/// The adaptive wing loss in the two pieces of its paper.
pub fn adaptive_wing<T: Element>(
    a: ArrayView2<T>,
    t: ArrayView2<T>,
    wing: AdaptiveWing<T>,
) -> Array2<T> {
    let AdaptiveWing { alpha, omega, epsilon, theta } = wing;
    Zip::from(a).and(t).map_collect(|&a, &t| {
        let (d, power) = ((a - t).abs(), alpha - t);
        if d < theta {
            return omega * (T::one() + (d / epsilon).powf(power)).ln();
        }
        let ratio = theta / epsilon;
        let bottom = T::one() + ratio.powf(power);
        let slope = omega / bottom * power * ratio.powf(power - T::one()) / epsilon;
        slope * d - (theta * slope - omega * bottom.ln())
    })
}

/// `y[i, j] = sum_{a, b} rows[a] columns[b] x[row + a, column + b]` of the four pixels around
/// `(i + 1/2) in / out - 1/2`, and the same along columns, for planes `x` `[..., H, W]`.
pub fn upsample_bilinear<T: Element>(x: &[T], from: [usize; 2], to: [usize; 2]) -> Vec<T> {
    let place = |i: usize, axis: usize| {
        let at = (i as f64 + 0.5) * from[axis] as f64 / to[axis] as f64 - 0.5;
        let at = at.max(0.0);
        let last = from[axis] - 1;
        let low = (at.floor() as usize).min(last);
        [(low, 1.0 - (at - low as f64).min(1.0)), ((low + 1).min(last), (at - low as f64).min(1.0))]
    };
    let mut y = Vec::new();
    for plane in x.chunks(from[0] * from[1]) {
        for i in 0..to[0] {
            for j in 0..to[1] {
                let mut sum = T::zero();
                for (row, of_row) in place(i, 0) {
                    for (column, of_column) in place(j, 1) {
                        sum += T::from_f64(of_row * of_column) * plane[row * from[1] + column];
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

/// `y[i, j] = x[floor(i H / H'), floor(j W / W')]`, for planes `x` `[..., H, W]`.
pub fn upsample_nearest<T: Element>(x: &[T], from: [usize; 2], to: [usize; 2]) -> Vec<T> {
    let mut y = Vec::new();
    for plane in x.chunks(from[0] * from[1]) {
        for i in 0..to[0] {
            for j in 0..to[1] {
                y.push(plane[i * from[0] / to[0] * from[1] + j * from[1] / to[1]]);
            }
        }
    }
    y
}

/// The mean under each window of `x` `[N, C, H, W]`: of all taps, of which those on the padding
/// are zero, or of those on the image.
pub fn avg_pool2d<T: Element>(g: &Geometry, divisor: Divisor, x: &[T]) -> Vec<T> {
    let Window { stride, padding, dilation, .. } = g.window;
    let mut y = Vec::new();
    for channel in x.chunks(g.pixels()) {
        for i in 0..g.output[0] {
            for j in 0..g.output[1] {
                let (mut sum, mut count) = (T::zero(), 0);
                for u in 0..g.taps[0] {
                    for v in 0..g.taps[1] {
                        let row = (i * stride[0] + u * dilation[0]).checked_sub(padding[0]);
                        let column = (j * stride[1] + v * dilation[1]).checked_sub(padding[1]);
                        if let (Some(row), Some(column)) = (row, column)
                            && row < g.input[0]
                            && column < g.input[1]
                        {
                            sum += channel[row * g.input[1] + column];
                            count += 1;
                        }
                    }
                }
                let count = if divisor == Divisor::Taps { g.taps_len() } else { count };
                y.push(sum / T::from_f64(count as f64));
            }
        }
    }
    y
}
