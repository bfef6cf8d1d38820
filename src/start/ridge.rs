//! Ridge regression by which features are judged: its inverse, what it says of a sample that it was
//! not shown, and by what its outputs become logits.

use crate::kernel::gemm::{Matrix, par_gemm};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use rayon::prelude::*;

/// The ridge, in parts of the number of features that change, and one.
const RIDGE: f64 = 1e-2;

/// Features, each with mean 0 and variance 1.
pub(super) struct Standardised {
    /// `[n, d]`: `(feature - mean) scale`.
    pub x: Vec<f64>,
    pub n: usize,
    pub d: usize,
    pub mean: Vec<f64>,
    pub scale: Vec<f64>,
}

impl Standardised {
    /// The first `n` rows of features `[N, D]`.
    ///
    /// # Errors
    /// If one is not finite.
    pub fn of<T: Element>(features: &Tensor<T>, n: usize) -> Result<Self> {
        let [_, d] = features.dims("features", "features", "[N, D]")?;
        if !features.is_finite() {
            let problem = "a feature is not finite; does the source overflow on these images?";
            return Err(Error::argument("features", problem));
        }
        let mut x: Vec<f64> = features.as_slice()[..n * d].iter().map(|v| v.widen()).collect();
        let (mut means, mut scales) = (vec![0.0; d], vec![0.0; d]);
        for column in 0..d {
            let of_column = || (0..n).map(|row| row * d + column);
            let mean = of_column().map(|at| x[at]).sum::<f64>() / n as f64;
            let variance = of_column().map(|at| (x[at] - mean).powi(2)).sum::<f64>() / n as f64;
            // A feature that never changes says nothing.
            let scale = if variance > 1e-12 { 1.0 / variance.sqrt() } else { 0.0 };
            for at in of_column() {
                x[at] = (x[at] - mean) * scale;
            }
            (means[column], scales[column]) = (mean, scale);
        }
        Ok(Self { x, n, d, mean: means, scale: scales })
    }

    /// The Gram matrix of the features and a constant one, of samples that have weights or count alike, with
    /// its ridge: [`RIDGE`] of the mean of the features' squares, and of one more.
    pub fn gram(&self, weights: Option<&[f64]>) -> Gram {
        let ridge = RIDGE * (self.varied() + 1) as f64;
        Gram::new(self, self.constant(), weights, ridge)
    }

    /// What the constant feature is: ten times as long as all others together, so that the ridge is nothing to
    /// it. From each feature the mean of all samples was taken, of the one that is left out too: where there are
    /// few, the others tell by it where that one lies. A regression whose constant is free does not ask where
    /// zero is.
    pub fn constant(&self) -> f64 {
        10.0 * (self.varied().max(1) as f64).sqrt()
    }

    /// Features that are not always the same.
    fn varied(&self) -> usize {
        self.scale.iter().filter(|scale| **scale > 0.0).count()
    }
}

/// A Gram matrix `Z Z^T + ridge I`, `[n, n]`, of rows `z` `[n, p]`.
pub(super) struct Gram {
    pub z: Vec<f64>,
    pub n: usize,
    pub p: usize,
    pub ridge: f64,
}

impl Gram {
    /// Of features and a constant one, each row multiplied by the root of its weight.
    pub fn new(
        features: &Standardised,
        constant: f64,
        weights: Option<&[f64]>,
        ridge: f64,
    ) -> Self {
        let &Standardised { ref x, n, d, .. } = features;
        let mut z = Vec::with_capacity(n * (d + 1));
        for row in 0..n {
            let root = weights.map_or(1.0, |weights| weights[row].sqrt());
            z.extend(x[row * d..][..d].iter().map(|v| root * v));
            z.push(root * constant);
        }
        Self { z, n, p: d + 1, ridge }
    }

    /// The inverse, `[n, n]`. Of rows that are shorter than they are many, by the smaller matrix
    /// `Z^T Z + ridge I` (Woodbury): `(I - Z (Z^T Z + ridge I)^-1 Z^T) / ridge`.
    pub fn inverse(&self) -> Vec<f64> {
        let &Self { ref z, n, p, ridge } = self;
        let is_small = p < n;
        let size = if is_small { p } else { n };
        let rows = Matrix::new(z, n, p);
        let mut square = vec![0.0; size * size];
        match is_small {
            true => par_gemm(rows.t(), rows, &mut square),
            false => par_gemm(rows, rows.t(), &mut square),
        }
        (0..size).for_each(|i| square[i * size + i] += ridge);
        let inverse = inverse_of_positive(size, square);
        if !is_small {
            return inverse;
        }
        let mut half = vec![0.0; n * p];
        par_gemm(rows, Matrix::new(&inverse, p, p), &mut half);
        let mut result = vec![0.0; n * n];
        par_gemm(Matrix::new(&half, n, p), rows.t(), &mut result);
        result.iter_mut().for_each(|v| *v = -*v / ridge);
        (0..n).for_each(|i| result[i * n + i] += 1.0 / ridge);
        result
    }
}

/// 1 for the label and 0 for other classes, `[n, K]`.
pub(super) fn one_hot(labels: &[usize], classes: usize) -> Vec<f64> {
    let mut y = vec![0.0; labels.len() * classes];
    y.chunks_mut(classes.max(1)).zip(labels).for_each(|(row, &label)| row[label] = 1.0);
    y
}

/// `G^-1 Y`, `[n, K]`, for targets `y` `[n, K]`, each row multiplied by the root of its weight.
pub(super) fn dual(
    inverse: &[f64],
    y: &[f64],
    columns: usize,
    weights: Option<&[f64]>,
) -> Vec<f64> {
    let n = y.len() / columns.max(1);
    let weighted = weights.map(|weights| {
        let rows = y.chunks(columns.max(1)).zip(weights);
        rows.flat_map(|(row, weight)| row.iter().map(move |v| v * weight.sqrt()))
            .collect::<Vec<_>>()
    });
    let y = weighted.as_deref().unwrap_or(y);
    let mut dual = vec![0.0; n * columns];
    par_gemm(Matrix::new(inverse, n, n), Matrix::new(y, n, columns), &mut dual);
    dual
}

/// What the regression says of each sample by all others, `[n, K]`, from its [`dual`]:
/// `y_n - (G^-1 Y)_n / (G^-1)_nn`, with weights both divided by the root of the sample's.
pub(super) fn left_out(
    inverse: &[f64],
    mut dual: Vec<f64>,
    y: &[f64],
    weights: Option<&[f64]>,
) -> Vec<f64> {
    let n = (inverse.len() as f64).sqrt() as usize;
    let columns = (dual.len() / n.max(1)).max(1);
    for (i, (row, y)) in dual.chunks_mut(columns).zip(y.chunks(columns)).enumerate() {
        let root = weights.map_or(1.0, |weights| weights[i].sqrt());
        let divisor = inverse[i * n + i] * root;
        row.iter_mut().zip(y).for_each(|(v, y)| *v = y - *v / divisor);
    }
    dual
}

/// What the regression says of the rows of each sample by those of all others, `[n, K]`, from its [`dual`]:
/// `Y_S - ((G^-1)_SS)^-1 (G^-1 Y)_S` for the rows `S` of each of `samples`.
pub(super) fn left_out_together(
    inverse: &[f64],
    dual: &[f64],
    y: &[f64],
    samples: &[Vec<usize>],
) -> Vec<f64> {
    let n = samples.iter().map(Vec::len).sum::<usize>();
    let columns = dual.len() / n.max(1);
    let mut told = y.to_vec();
    for rows in samples {
        let own = rows.iter().flat_map(|i| rows.iter().map(move |j| inverse[i * n + j]));
        let own = inverse_of_positive(rows.len(), own.collect());
        for (i, factors) in rows.iter().zip(own.chunks(rows.len())) {
            for (j, factor) in rows.iter().zip(factors) {
                let of_row = told[i * columns..][..columns].iter_mut();
                of_row.zip(&dual[j * columns..]).for_each(|(v, dual)| *v -= factor * dual);
            }
        }
    }
    told
}

/// What outputs `[N, K]` are best multiplied with to be logits, from 1 to 1000, and their mean
/// cross-entropy then; by golden section, since that is convex in the factor.
pub(super) fn best_factor(outputs: &[f64], labels: &[usize], classes: usize) -> (f64, f64) {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let loss = |log: f64| cross_entropy(outputs, labels, classes, log.exp()).iter().sum::<f64>();
    let (mut low, mut high) = (0.0, 1000f64.ln());
    for _ in 0..40 {
        let (a, b) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if loss(a) < loss(b) { high = b } else { low = a }
    }
    let log = f64::midpoint(low, high);
    (log.exp(), loss(log) / labels.len().max(1) as f64)
}

/// The cross-entropy of each row of `outputs` `[N, K]`, multiplied by `factor`.
pub(super) fn cross_entropy(
    outputs: &[f64],
    labels: &[usize],
    classes: usize,
    factor: f64,
) -> Vec<f64> {
    let of_row = |(row, &label): (&[f64], &usize)| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let above = |v: &f64| factor * (v - largest);
        row.iter().map(|v| above(v).exp()).sum::<f64>().ln() - above(&row[label])
    };
    outputs.chunks(classes.max(1)).zip(labels).map(of_row).collect()
}

/// The inverse of a symmetric positive definite matrix by elimination without pivots, which
/// such a matrix does not need.
pub(super) fn inverse_of_positive(n: usize, mut a: Vec<f64>) -> Vec<f64> {
    /// Rows that are worth a task.
    const ROWS: usize = 64;
    for k in 0..n {
        let pivot = 1.0 / a[k * n + k];
        let row: Vec<f64> = a[k * n..][..n].to_vec();
        let rows = a.par_chunks_mut(n).enumerate().with_min_len(ROWS);
        rows.filter(|&(i, _)| i != k).for_each(|(_, of_row)| {
            let factor = of_row[k] * pivot;
            for (v, &r) in of_row.iter_mut().zip(&row) {
                *v -= factor * r;
            }
            of_row[k] = -factor;
        });
        a[k * n..][..n].iter_mut().for_each(|v| *v *= pivot);
        a[k * n + k] = pivot;
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_is_one() {
        let n = 7;
        let mut rng = fastrand::Rng::with_seed(3);
        let b: Vec<f64> = (0..n * n).map(|_| rng.f64() - 0.5).collect();
        let a: Vec<f64> = (0..n * n)
            .map(|at| {
                let (i, j) = (at / n, at % n);
                let dot: f64 = (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum();
                dot + if i == j { 0.1 } else { 0.0 }
            })
            .collect();
        let inverse = inverse_of_positive(n, a.clone());
        for i in 0..n {
            for j in 0..n {
                let v: f64 = (0..n).map(|k| a[i * n + k] * inverse[k * n + j]).sum();
                assert!((v - f64::from(u8::from(i == j))).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn both_ways_to_the_inverse_agree() {
        let mut rng = fastrand::Rng::with_seed(4);
        let (n, d) = (9, 4);
        let x = Tensor::<f64>::normal(&[n, d], 1.0, &mut rng);
        let weights: Vec<f64> = (0..n).map(|_| rng.f64() + 0.1).collect();
        let short = Gram::new(&Standardised::of(&x, n).unwrap(), 2.0, Some(&weights), 0.3);
        let inverse = short.inverse();
        // Columns of zeros change nothing but the way.
        let long: Vec<f64> =
            short.z.chunks(d + 1).flat_map(|row| [row, &[0.0; 9]].concat()).collect();
        let other = Gram { z: long, n, p: d + 10, ridge: 0.3 }.inverse();
        assert!(inverse.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
