//! Eigenvalues of symmetric matrices, and what vectors are along their eigenvectors.

use rayon::prelude::*;

/// The eigenvalues of a symmetric matrix `[n, n]`, in no order, and the coordinates `[n, k]` of the
/// columns of `vectors` `[n, k]` along their eigenvectors.
///
/// Householder's reflections lead to a tridiagonal matrix, and QL steps with implicit shifts to a
/// diagonal one (Golub and Van Loan, "Matrix computations", 8.3). All of them turn the vectors along,
/// so that no eigenvector is made: `4/3 n^3` multiplications, and `n^2` for each vector.
pub(super) fn spectrum(n: usize, mut a: Vec<f64>, mut vectors: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let k = vectors.len() / n.max(1);
    let mut below = vec![0.0; n];
    for (column, left) in below.iter_mut().enumerate().take(n.saturating_sub(2)) {
        *left = reflect(n, &mut a, &mut vectors, column);
    }
    if n > 1 {
        below[n - 2] = a[(n - 1) * n + n - 2];
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    for first in 0..n {
        while let Some(last) = unfinished(&values, &below, first) {
            ql_step(&mut values, &mut below, &mut vectors, k, first..last);
        }
    }
    (values, vectors)
}

/// Reflects rows and columns behind `column` so that only one value below the diagonal is left there,
/// and gives that.
fn reflect(n: usize, a: &mut [f64], vectors: &mut [f64], column: usize) -> f64 {
    /// Rows that are worth a task.
    const ROWS: usize = 64;
    let first = column + 1;
    let mut v: Vec<f64> = (first..n).map(|row| a[row * n + column]).collect();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    // Away from zero, so that nothing cancels.
    let left = if v[0] > 0.0 { -norm } else { norm };
    v[0] -= left;
    let square = v.iter().map(|x| x * x).sum::<f64>();
    if square <= 0.0 {
        return left;
    }
    let dot = |row: &[f64]| row.iter().zip(&v).map(|(a, v)| a * v).sum::<f64>();
    let rows = a[first * n..].par_chunks(n).with_min_len(ROWS);
    let mut w: Vec<f64> = rows.map(|row| 2.0 / square * dot(&row[first..])).collect();
    let share = dot(&w) / square;
    w.iter_mut().zip(&v).for_each(|(w, v)| *w -= share * v);
    let rows = a[first * n..].par_chunks_mut(n).with_min_len(ROWS).enumerate();
    rows.for_each(|(i, row)| {
        for (a, (v_j, w_j)) in row[first..].iter_mut().zip(v.iter().zip(&w)) {
            *a -= v[i] * w_j + w[i] * v_j;
        }
    });
    let k = vectors.len() / n;
    let turned = &mut vectors[first * k..];
    for at in 0..k {
        let along: f64 = turned.iter().skip(at).step_by(k).zip(&v).map(|(y, v)| y * v).sum();
        let factor = 2.0 / square * along;
        turned.iter_mut().skip(at).step_by(k).zip(&v).for_each(|(y, v)| *y -= factor * v);
    }
    left
}

/// Where the block that begins with eigenvalue `first` ends, unless it is that one alone.
fn unfinished(values: &[f64], below: &[f64], first: usize) -> Option<usize> {
    let is_small = |m: usize| {
        let scale = values[m].abs() + values[m + 1].abs();
        below[m].abs() <= f64::EPSILON * scale
    };
    let last = (first..values.len() - 1).find(|&m| is_small(m)).unwrap_or(values.len() - 1);
    (last > first).then_some(last)
}

/// A QL step on the block `first..=last`, with Wilkinson's shift.
fn ql_step(
    values: &mut [f64],
    below: &mut [f64],
    vectors: &mut [f64],
    k: usize,
    std::ops::Range { start: first, end: last }: std::ops::Range<usize>,
) {
    let g = (values[first + 1] - values[first]) / (2.0 * below[first]);
    let root = g.hypot(1.0).copysign(g);
    let mut g = values[last] - values[first] + below[first] / (g + root);
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    for i in (first..last).rev() {
        let (f, b) = (s * below[i], c * below[i]);
        let r = f.hypot(g);
        below[i + 1] = r;
        if r == 0.0 {
            // The block falls apart here.
            values[i + 1] -= p;
            below[last] = 0.0;
            return;
        }
        (s, c) = (f / r, g / r);
        g = values[i + 1] - p;
        let r = (values[i] - g) * s + 2.0 * c * b;
        p = s * r;
        values[i + 1] = g + p;
        g = c * r - b;
        let (upper, lower) = vectors[i * k..(i + 2) * k].split_at_mut(k);
        for (y, z) in upper.iter_mut().zip(lower) {
            (*y, *z) = (c * *y - s * *z, s * *y + c * *z);
        }
    }
    values[first] -= p;
    below[first] = g;
    below[last] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A = sum_i value_i q_i q_i^T`: by the eigenvectors themselves, which the unit vectors show.
    fn check(n: usize, a: &[f64]) -> Vec<f64> {
        let units = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
        let (values, q) = spectrum(n, a.to_vec(), units);
        for i in 0..n {
            for j in 0..n {
                let sum: f64 = (0..n).map(|e| values[e] * q[e * n + i] * q[e * n + j]).sum();
                assert!((sum - a[i * n + j]).abs() < 1e-9, "{n}: {sum} {}", a[i * n + j]);
                let dot: f64 = (0..n).map(|e| q[i * n + e] * q[j * n + e]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-9, "{n}: {dot}");
            }
        }
        values
    }

    #[test]
    fn eigenvalues_and_eigenvectors_make_the_matrix() {
        let mut rng = fastrand::Rng::with_seed(4);
        for n in 1..12 {
            // Of full rank, and of less.
            for rank in [n, n / 2] {
                let b: Vec<f64> = (0..n * rank).map(|_| rng.f64() - 0.5).collect();
                let dot = |i: usize, j: usize| -> f64 {
                    (0..rank).map(|k| b[i * rank + k] * b[j * rank + k]).sum()
                };
                let a: Vec<f64> = (0..n * n).map(|at| dot(at / n, at % n)).collect();
                let values = check(n, &a);
                let positive = values.iter().filter(|value| **value > 1e-12).count();
                assert_eq!(positive, rank);
            }
        }
        check(4, &[0.0; 16]);
        check(3, &[2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, -1.0]);
    }
}
