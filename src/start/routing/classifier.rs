//! The ridge regression of samples that it was not shown, as an operation on a tape.

use super::super::ridge::{Gram, Standardised, dual, left_out};
use super::super::targets::Goals;
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What the ridge regression of [`leave_one_out_accuracy`](crate::start::leave_one_out_accuracy) says
/// of each sample by all others, `[N, K]`, from `features` `[N, D]`.
pub(super) fn leave_one_out(tape: &mut Tape<f64>, features: Var, goals: &Goals) -> Result<Var> {
    let value = tape.value(features)?;
    let fit = Standardised::of(value, goals.n)?;
    let (y, columns) = (goals.y.clone(), goals.columns);
    let gram = fit.gram(None);
    let inverse = gram.inverse();
    let dual = dual(&inverse, &y, columns, None);
    let outputs = left_out(&inverse, dual.clone(), &y, None);
    let outputs = Tensor::new(&[fit.n, columns], outputs)?;
    let operation = LeaveOneOut { fit, gram, inverse, dual, y, columns };
    tape.record("leave_one_out", outputs, &[features], operation)
}

struct LeaveOneOut {
    fit: Standardised,
    gram: Gram,
    /// `G^-1`.
    inverse: Vec<f64>,
    /// `A = G^-1 Y`.
    dual: Vec<f64>,
    /// `[N, K]`.
    y: Vec<f64>,
    columns: usize,
}

impl Backward<f64> for LeaveOneOut {
    /// With `P = Y - A / h`, `h` the diagonal of `G^-1`: `dA = -dP / h`, `dh = sum_k dP A / h^2`;
    /// through `dG^-1 = -G^-1 dG G^-1` the gradient of the rows `Z` is
    /// `-G^-1 (dA Y^T + Y dA^T + 2 diag(dh)) G^-1 Z`, and through the standardisation that of the
    /// features `scale (dx - mean(dx) - x mean(dx x))`.
    fn backward(self: Box<Self>, dy: Tensor<f64>, _: &[bool]) -> Result<Vec<Option<Tensor<f64>>>> {
        let Self { fit, gram, inverse, dual, y, columns } = *self;
        let (n, d, p) = (gram.n, fit.d, gram.p);
        let (mut of_dual, mut of_diagonal) = (dy.into_vec(), vec![0.0; n]);
        for i in 0..n {
            let h = inverse[i * n + i];
            for k in i * columns..(i + 1) * columns {
                of_diagonal[i] += of_dual[k] * dual[k] / (h * h);
                of_dual[k] /= -h;
            }
        }
        let inverse = Matrix::new(&inverse, n, n);
        let mut u = vec![0.0; n * p];
        par_gemm(inverse, Matrix::new(&gram.z, n, p), &mut u);
        // Y^T U and dA^T U, [K, p] each; then dA Y^T U + Y dA^T U.
        let (mut sums, mut mixed) = (vec![0.0; columns * p], vec![0.0; columns * p]);
        let [u_of, y, of_dual] = [(&u, p), (&y, columns), (&of_dual, columns)]
            .map(|(values, width)| Matrix::new(values, n, width));
        par_gemm(y.t(), u_of, &mut sums);
        par_gemm(of_dual.t(), u_of, &mut mixed);
        let (mut inner, mut second) = (vec![0.0; n * p], vec![0.0; n * p]);
        par_gemm(of_dual, Matrix::new(&sums, columns, p), &mut inner);
        par_gemm(y, Matrix::new(&mixed, columns, p), &mut second);
        for (i, row) in inner.chunks_mut(p).enumerate() {
            for ((v, second), u) in row.iter_mut().zip(&second[i * p..]).zip(&u[i * p..]) {
                *v += second + 2.0 * of_diagonal[i] * u;
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
    use super::super::super::targets::Targets;
    use super::*;
    use crate::gradcheck::{Case, Draw};

    /// More samples than features, and fewer; of classes, and of values that are not all known.
    fn regression(draw: &mut Draw) -> Case {
        let n = draw.size(4, 7);
        let d = draw.size(1, 9);
        let goals = match draw.size(0, 1) {
            0 => {
                let labels: Vec<usize> = (0..n).map(|_| draw.size(0, 2)).collect();
                Goals::of(Targets::Classes(&labels), n)
            }
            _ => {
                let value = |at: usize| (!at.is_multiple_of(5)).then_some((at * at % 7) as f64);
                let values: Vec<Vec<_>> =
                    (0..n).map(|row| vec![value(row), value(row + 3)]).collect();
                Goals::of(Targets::Values(&values), n)
            }
        };
        let goals = goals.unwrap();
        Case::new([draw.tensor(&[n, d])], move |tape, v| {
            let outputs = leave_one_out(tape, v[0], &goals)?;
            goals.loss(tape, outputs, 2.0)
        })
    }

    fn mixture(draw: &mut Draw) -> Case {
        let [n, m, d] = [draw.size(1, 4), draw.size(1, 3), draw.size(1, 4)];
        let features: Vec<_> = (0..m).map(|_| draw.tensor(&[n, d])).collect();
        Case::new([draw.tensor(&[n, m])], move |tape, v| mixed(tape, v[0], &features))
    }

    mod leave_one_out_gradient {
        crate::gradcheck::gradient_test!(super::regression);
    }

    mod mixed_gradient {
        crate::gradcheck::gradient_test!(super::mixture);
    }
}
