//! Scores of sources as a linear map of the standardised descriptor.

use super::super::ridge::Standardised;
use crate::kernel::gemm::{Matrix, par_gemm};

/// `scores = V phi + c`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    /// `V`, `[m, C]`.
    pub weight: Vec<f64>,
    /// `c`, `[m]`.
    pub bias: Vec<f64>,
}

impl Map {
    /// The same with all scores multiplied.
    pub fn scaled(mut self, factor: f64) -> Self {
        self.weight.iter_mut().chain(&mut self.bias).for_each(|v| *v *= factor);
        self
    }

    /// The scores `[N, m]` of standardised descriptors.
    pub fn scores(&self, phi: &Standardised) -> Vec<f64> {
        let sources = self.bias.len();
        let mut scores = vec![0.0; phi.n * sources];
        let weight = Matrix::new(&self.weight, sources, phi.d);
        par_gemm(Matrix::new(&phi.x, phi.n, phi.d), weight.t(), &mut scores);
        for row in scores.chunks_mut(sources.max(1)) {
            row.iter_mut().zip(&self.bias).for_each(|(score, bias)| *score += bias);
        }
        scores
    }

    /// The first source of the highest score, for each sample.
    pub fn routes(&self, phi: &Standardised) -> Vec<usize> {
        let scores = self.scores(phi);
        let rows = scores.chunks(self.bias.len().max(1));
        rows.map(|row| super::best(row).unwrap_or(0)).collect()
    }

    /// The same map of descriptors as they are.
    pub fn of_raw(&self, phi: &Standardised) -> Self {
        let (mut weight, mut bias) = (self.weight.clone(), self.bias.clone());
        for (row, bias) in weight.chunks_mut(phi.d.max(1)).zip(&mut bias) {
            for ((v, scale), mean) in row.iter_mut().zip(&phi.scale).zip(&phi.mean) {
                *v *= scale;
                *bias -= *v * mean;
            }
        }
        Self { weight, bias }
    }
}
