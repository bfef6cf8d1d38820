//! Products of matrices that lie in memory.

use super::panel::{Layout, Operand, Rows, Target, multiply};
use crate::tensor::Element;
use std::ops::Range;

/// A matrix that lies in a slice: row by row, or transposed, column by column.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    /// From one row, or if transposed one column, to the next.
    stride: usize,
    is_transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix without gaps.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// A row-major matrix whose rows begin `row_stride` values apart.
    ///
    /// # Panics
    /// If the matrix does not lie within `values`.
    pub fn strided(values: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        let span = span(rows, columns, row_stride);
        assert!(span.is_some_and(|span| span <= values.len()), "the matrix leaves its slice");
        Self { values, rows, columns, stride: row_stride, is_transposed: false }
    }

    /// The transposed matrix; nothing moves.
    pub fn t(self) -> Self {
        Self { rows: self.columns, columns: self.rows, is_transposed: !self.is_transposed, ..self }
    }
}

/// How many values a matrix reaches over, unless they exceed the address space.
fn span(rows: usize, columns: usize, row_stride: usize) -> Option<usize> {
    if rows == 0 || columns == 0 {
        return Some(0);
    }
    (rows - 1).checked_mul(row_stride)?.checked_add(columns)
}

impl<T: Sync> Rows<T> for Matrix<'_, T> {
    /// A row as it lies in memory, transposed or not.
    #[inline(always)]
    fn row<'a>(&'a self, row: usize, columns: Range<usize>, _: &'a mut [T]) -> &'a [T] {
        &self.values[row * self.stride..][columns]
    }

    fn in_place(&self) -> Option<(&[T], usize)> {
        Some((self.values, self.stride))
    }
}

/// `c = a b` for `c` `[M, N]` (no gaps).
///
/// # Panics
/// If the sizes do not fit.
pub fn par_gemm<T: Element>(a: Matrix<T>, b: Matrix<T>, c: &mut [T]) {
    let (rows, columns, depth) = (a.rows, b.columns, a.columns);
    assert_eq!((b.rows, rows * columns), (depth, c.len()), "sizes do not fit");
    let left = if a.is_transposed { Operand::Steps(&a) } else { Operand::Lanes(&a) };
    let right = if b.is_transposed { Operand::Lanes(&b) } else { Operand::Steps(&b) };
    let target = Target::new(c, Layout::matrix(rows, columns));
    multiply(left, right, depth, target, false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reference;
    use proptest::prelude::*;

    fn values(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| rng.f64() - 0.5).take(count).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_triple_loop(m in 1..70usize, k in 0..40usize, n in 1..70usize, seed: u64) {
            let (a, b) = (values(m * k, seed), values(k * n, !seed));
            let mut expected = vec![0.0; m * n];
            reference::gemm(&a, &b, m, k, n, &mut expected);
            let mut c = vec![f64::NAN; m * n];
            par_gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c);
            prop_assert!(c.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-13), "{c:?}");
        }
    }

    #[test]
    fn transposed_and_strided_operands() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [2, 3]
        let mut c = vec![10.0; 6];
        // a^T a is [3, 3]; take its left two columns.
        par_gemm(Matrix::new(&a, 2, 3).t(), Matrix::strided(&a, 2, 2, 3), &mut c);
        assert_eq!(c, [17.0, 22.0, 22.0, 29.0, 27.0, 36.0]);
        par_gemm(Matrix::strided(&a, 2, 2, 3).t(), Matrix::new(&a, 2, 3), &mut c);
        assert_eq!(c, [17.0, 22.0, 27.0, 22.0, 29.0, 36.0]);
        let mut c = [0.0; 4];
        par_gemm(Matrix::new(&a, 2, 3), Matrix::new(&a, 2, 3).t(), &mut c);
        assert_eq!(c, [14.0, 32.0, 32.0, 77.0]);
    }

    /// The sum over nothing is zero, also where several blocks of rows would be made.
    #[test]
    fn an_empty_inner_axis_gives_zeros() {
        let mut c = vec![f32::NAN; 100 << 15];
        par_gemm(Matrix::new(&[], 0, 100).t(), Matrix::new(&[], 0, 1 << 15), &mut c);
        assert!(c.iter().all(|&c| c == 0.0));
    }

    #[test]
    #[should_panic(expected = "leaves its slice")]
    fn a_matrix_must_lie_within_its_slice() {
        let _ = Matrix::strided(&[0.0f32; 5], 2, 3, 3);
    }
}
