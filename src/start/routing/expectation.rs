//! Which source a sample belongs to, by what ridge regressions say of it that were not shown it.

use super::super::ridge::{Gram, Standardised, inverse_of_positive};
use super::super::targets::Goals;
use super::RouterSettings;
use super::map::Map;
use crate::kernel::gemm::{Matrix, par_gemm};
use rayon::prelude::*;

/// The map from the descriptor to scores of the sources, of standard deviation 1, that follows from
/// `features` of all sources. With `balanced`, the scores of each source have mean 0 over the samples: a
/// source that is better on all of them together takes none from the others for that alone.
pub(super) fn expected(
    features: &[Standardised],
    goals: &Goals,
    phi: &Standardised,
    penalty: f64,
    balanced: bool,
    settings: &RouterSettings,
) -> Map {
    let (n, sources) = (phi.n, features.len());
    let regression = Regression::new(phi, penalty);
    let mut shares = vec![1.0 / sources as f64; n * sources];
    let mut map = Map { weight: vec![0.0; sources * phi.d], bias: vec![0.0; sources] };
    for round in 0..settings.rounds {
        let of_source = |source: usize| {
            let mean = (0..n).map(|i| shares[i * sources + source]).sum::<f64>() / n as f64;
            let weight =
                |i: usize| (shares[i * sources + source] / mean).max(settings.least_weight);
            let weights: Vec<f64> = (0..n).map(weight).collect();
            losses(&features[source], &weights, goals, settings.temperature)
        };
        let losses: Vec<Vec<f64>> = (0..sources).into_par_iter().map(of_source).collect();
        let mut likely = vec![0.0; n * sources];
        for (i, row) in likely.chunks_mut(sources).enumerate() {
            let mean = losses.iter().map(|losses| losses[i]).sum::<f64>() / sources as f64;
            row.iter_mut().zip(&losses).for_each(|(v, losses)| *v = mean - losses[i]);
        }
        if balanced {
            for source in 0..sources {
                let of_source = || (0..n).map(|i| i * sources + source);
                let mean = of_source().map(|at| likely[at]).sum::<f64>() / n as f64;
                of_source().for_each(|at| likely[at] -= mean);
            }
        }
        let (fitted, left_out) = regression.fit(&likely, sources);
        let std = std(&left_out);
        map = fitted.scaled(1.0 / std);
        let warm = ((round + 1) as f64 / (settings.warm * settings.rounds as f64)).min(1.0);
        shares = left_out.iter().map(|z| settings.sharpness * warm * z / std).collect();
        shares.chunks_mut(sources).for_each(crate::kernel::reduce::softmax_row);
    }
    map
}

/// How unlikely what is known of each sample is by the ridge regression of all others, weighted.
fn losses(features: &Standardised, weights: &[f64], goals: &Goals, temperature: f64) -> Vec<f64> {
    let gram = features.gram(Some(weights));
    goals.losses(&goals.left_out(&gram.inverse(), Some(weights)), temperature)
}

/// Ridge regression on the descriptor, of whatever.
struct Regression {
    /// The descriptor and a constant one, `[N, C + 1]`.
    x: Vec<f64>,
    n: usize,
    columns: usize,
    /// Of `X^T X`, with the penalty on all but the constant.
    inverse: Vec<f64>,
    /// The diagonal of the hat matrix, `[N]`.
    leverage: Vec<f64>,
}

impl Regression {
    fn new(phi: &Standardised, penalty: f64) -> Self {
        let (n, columns) = (phi.n, phi.d + 1);
        let Gram { z: x, .. } = Gram::new(phi, 1.0, None, 0.0);
        let rows = Matrix::new(&x, n, columns);
        let mut square = vec![0.0; columns * columns];
        par_gemm(rows.t(), rows, &mut square);
        (0..phi.d).for_each(|i| square[i * columns + i] += penalty * n as f64);
        let inverse = inverse_of_positive(columns, square);
        let mut half = vec![0.0; n * columns];
        par_gemm(rows, Matrix::new(&inverse, columns, columns), &mut half);
        let dots = half.chunks(columns).zip(x.chunks(columns));
        let leverage = dots.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect();
        Self { x, n, columns, inverse, leverage }
    }

    /// The regression of `y` `[N, m]`, and what it says of each sample by all others, `[N, m]`.
    fn fit(&self, y: &[f64], m: usize) -> (Map, Vec<f64>) {
        let &Self { ref x, n, columns, ref inverse, ref leverage } = self;
        let rows = Matrix::new(x, n, columns);
        let mut sums = vec![0.0; columns * m];
        par_gemm(rows.t(), Matrix::new(y, n, m), &mut sums);
        let mut coefficients = vec![0.0; columns * m];
        let inverse = Matrix::new(inverse, columns, columns);
        par_gemm(inverse, Matrix::new(&sums, columns, m), &mut coefficients);
        let mut left_out = vec![0.0; n * m];
        par_gemm(rows, Matrix::new(&coefficients, columns, m), &mut left_out);
        for ((row, y), h) in left_out.chunks_mut(m).zip(y.chunks(m)).zip(leverage) {
            row.iter_mut().zip(y).for_each(|(v, y)| *v = (*v - h * y) / (1.0 - h));
        }
        let slope = |source: usize| (0..columns - 1).map(move |c| (c, source));
        let weight = (0..m).flat_map(slope).map(|(c, source)| coefficients[c * m + source]);
        let bias = coefficients[(columns - 1) * m..].to_vec();
        (Map { weight: weight.collect(), bias }, left_out)
    }
}

/// The standard deviation of values (n - 1); never 0.
fn std(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (n - 1.0)).sqrt().max(1e-12)
}
