//! The ridge classifier of samples that it was not shown, as an operation on a tape.

use super::super::ridge::{Gram, Standardised, dual, left_out};
use super::Labels;
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What the ridge classifier of [`leave_one_out_accuracy`](crate::start::leave_one_out_accuracy) says
/// of each sample by all others, `[N, K]`, from `features` `[N, D]`.
pub(super) fn leave_one_out(tape: &mut Tape<f64>, features: Var, labels: &Labels) -> Result<Var> {
    let value = tape.value(features)?;
    let fit = Standardised::of(value, labels.of.len())?;
    let (n, classes) = (fit.n, labels.classes);
    let gram = fit.gram();
    let inverse = gram.inverse();
    let dual = dual(&inverse, &labels.of, classes, None);
    let outputs = left_out(&inverse, dual.clone(), &labels.of, None);
    let labels = Labels { of: labels.of.clone(), classes };
    let y = Tensor::new(&[n, classes], outputs)?;
    tape.record("leave_one_out", y, &[features], LeaveOneOut { fit, gram, inverse, dual, labels })
}

struct LeaveOneOut {
    fit: Standardised,
    gram: Gram,
    /// `G^-1`.
    inverse: Vec<f64>,
    /// `A = G^-1 Y`.
    dual: Vec<f64>,
    labels: Labels,
}

impl Backward<f64> for LeaveOneOut {
    /// With `P = Y - A / h`, `h` the diagonal of `G^-1`: `dA = -dP / h`, `dh = sum_k dP A / h^2`;
    /// through `dG^-1 = -G^-1 dG G^-1` the gradient of the rows `Z` is
    /// `-G^-1 (dA Y^T + Y dA^T + 2 diag(dh)) G^-1 Z`, and through the standardisation that of the
    /// features `scale (dx - mean(dx) - x mean(dx x))`.
    fn backward(self: Box<Self>, dy: Tensor<f64>, _: &[bool]) -> Result<Vec<Option<Tensor<f64>>>> {
        let Self { fit, gram, inverse, dual, labels } = *self;
        let Labels { of, classes } = labels;
        let (n, d, p) = (gram.n, fit.d, gram.p);
        let (mut of_dual, mut of_diagonal) = (dy.into_vec(), vec![0.0; n]);
        for i in 0..n {
            let h = inverse[i * n + i];
            for k in i * classes..(i + 1) * classes {
                of_diagonal[i] += of_dual[k] * dual[k] / (h * h);
                of_dual[k] /= -h;
            }
        }
        let inverse = Matrix::new(&inverse, n, n);
        let mut u = vec![0.0; n * p];
        par_gemm(inverse, Matrix::new(&gram.z, n, p), &mut u);
        // Y^T U and dA^T U, [K, p] each.
        let (mut sums, mut mixed) = (vec![0.0; classes * p], vec![0.0; classes * p]);
        for (row, &label) in u.chunks(p).zip(&of) {
            sums[label * p..][..p].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
        let of_dual = Matrix::new(&of_dual, n, classes);
        par_gemm(of_dual.t(), Matrix::new(&u, n, p), &mut mixed);
        let mut inner = vec![0.0; n * p];
        par_gemm(of_dual, Matrix::new(&sums, classes, p), &mut inner);
        for (i, row) in inner.chunks_mut(p).enumerate() {
            let (mixed, u) = (&mixed[of[i] * p..][..p], &u[i * p..][..p]);
            for ((v, mixed), u) in row.iter_mut().zip(mixed).zip(u) {
                *v += mixed + 2.0 * of_diagonal[i] * u;
            }
        }
        let mut rows = vec![0.0; n * p];
        par_gemm(inverse, Matrix::new(&inner, n, p), &mut rows);
        let mut dx = vec![0.0; n * d];
        for column in 0..d {
            let of_column = |i: usize| -rows[i * p + column];
            let mean = (0..n).map(of_column).sum::<f64>() / n as f64;
            let along =
                (0..n).map(|i| of_column(i) * fit.x[i * d + column]).sum::<f64>() / n as f64;
            for i in 0..n {
                let at = i * d + column;
                dx[at] = fit.scale[column] * (of_column(i) - mean - fit.x[at] * along);
            }
        }
        Ok(vec![Some(Tensor::new(&[n, d], dx)?)])
    }
}

/// `f_n = sum_i q_ni F_ni`, `[N, D]`, for `shares` `q` `[N, m]` and the sources' features
/// `F` `[N, D]`, which are constants.
pub(super) fn mixed(tape: &mut Tape<f64>, shares: Var, features: &[Tensor<f64>]) -> Result<Var> {
    let value = tape.value(shares)?;
    let [n, sources] = value.dims("mixed", "shares", "[N, m]")?;
    let d = features.first().map_or(0, |first| first.len() / n.max(1));
    if features.len() != sources || features.iter().any(|f| f.shape() != [n, d]) {
        let expected = format!("[N, {}], for as many features [N, D]", features.len());
        return Err(Error::shape("mixed", "shares", expected, value.shape()));
    }
    let mut y = vec![0.0; n * d];
    for (row, y) in y.chunks_mut(d.max(1)).enumerate() {
        for (source, features) in features.iter().enumerate() {
            let share = value.as_slice()[row * sources + source];
            let features = &features.as_slice()[row * d..][..d];
            y.iter_mut().zip(features).for_each(|(y, f)| *y += share * f);
        }
    }
    let y = Tensor::new(&[n, d], y)?;
    tape.record("mixed", y, &[shares], Mixed { features: features.to_vec() })
}

struct Mixed {
    features: Vec<Tensor<f64>>,
}

impl Backward<f64> for Mixed {
    /// `dq_ni = <df_n, F_ni>`.
    fn backward(self: Box<Self>, dy: Tensor<f64>, _: &[bool]) -> Result<Vec<Option<Tensor<f64>>>> {
        let [n, d] = dy.dims("mixed", "gradient", "[N, D]")?;
        let mut dq = Vec::with_capacity(n * self.features.len());
        for at in (0..n).map(|row| row * d) {
            let dy = &dy.as_slice()[at..][..d];
            let dot = |f: &Tensor<f64>| f.as_slice()[at..].iter().zip(dy).map(|(a, b)| a * b).sum();
            dq.extend(self.features.iter().map(dot).collect::<Vec<f64>>());
        }
        Ok(vec![Some(Tensor::new(&[n, self.features.len()], dq)?)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{Case, Draw};

    fn labels(draw: &mut Draw, n: usize) -> Labels {
        Labels { of: (0..n).map(|_| draw.size(0, 2)).collect(), classes: 3 }
    }

    /// More samples than features, and fewer.
    fn classifier(draw: &mut Draw) -> Case {
        let n = draw.size(4, 7);
        let d = draw.size(1, 9);
        let labels = labels(draw, n);
        Case::new([draw.tensor(&[n, d])], move |tape, v| leave_one_out(tape, v[0], &labels))
    }

    fn mixture(draw: &mut Draw) -> Case {
        let [n, m, d] = [draw.size(1, 4), draw.size(1, 3), draw.size(1, 4)];
        let features: Vec<_> = (0..m).map(|_| draw.tensor(&[n, d])).collect();
        Case::new([draw.tensor(&[n, m])], move |tape, v| mixed(tape, v[0], &features))
    }

    mod leave_one_out_gradient {
        crate::gradcheck::gradient_test!(super::classifier);
    }

    mod mixed_gradient {
        crate::gradcheck::gradient_test!(super::mixture);
    }
}
