//! Matrix products, by the kernels of the `matrixmultiply` crate.
//!
//! The crate's functions take eleven raw arguments; here they are wrapped once,
//! in [`gemm`], which checks every bound and is safe to call.

use crate::tensor::Element;
use rayon::prelude::*;

/// A matrix that lies in a slice: element `(i, j)` at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
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
        assert!(span(rows, columns, row_stride, 1) <= values.len(), "the matrix leaves its slice");
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transposed matrix; nothing moves.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix to be written to.
pub struct MatrixMut<'a, T> {
    values: &'a mut [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// A row-major matrix without gaps.
    pub fn new(values: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// A row-major matrix whose rows begin `row_stride` values apart.
    ///
    /// # Panics
    /// If the matrix does not lie within `values`, or its rows overlap.
    pub fn strided(values: &'a mut [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(span(rows, columns, row_stride, 1) <= values.len(), "the matrix leaves its slice");
        assert!(rows <= 1 || row_stride >= columns, "the rows of an output overlap");
        Self { values, rows, columns, row_stride }
    }
}

/// How many values a strided matrix reaches over.
fn span(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1) * row_stride + (columns - 1) * column_stride + 1
}

/// `c = a b + beta c`, on the calling thread. With `beta = 0`, what `c` held
/// before is not read.
///
/// # Panics
/// If the sizes do not fit.
#[allow(unsafe_code)]
pub fn gemm<T: Element>(a: Matrix<T>, b: Matrix<T>, beta: T, c: MatrixMut<T>) {
    assert_eq!((a.rows, b.columns, a.columns), (c.rows, c.columns, b.rows), "sizes do not fit");
    // SAFETY: `a`, `b` and `c` lie within their slices: their constructors have
    // checked the furthest element, and `t` only swaps the roles of the axes.
    // The rows of `c` do not overlap, and `c` is borrowed mutably, so nothing
    // else refers to it.
    unsafe {
        T::RAW_GEMM(
            a.rows,
            a.columns,
            b.columns,
            T::one(),
            a.values.as_ptr(),
            a.row_stride as isize,
            a.column_stride as isize,
            b.values.as_ptr(),
            b.row_stride as isize,
            b.column_stride as isize,
            beta,
            c.values.as_mut_ptr(),
            c.row_stride as isize,
            1,
        );
    }
}

/// `c = a b` with the rows of `c` `[M, N]` (no gaps) shared out between threads;
/// wins from about a million multiply-adds on.
///
/// # Panics
/// If the sizes do not fit.
pub fn par_gemm<T: Element>(a: Matrix<T>, b: Matrix<T>, c: &mut [T]) {
    const WORTH_A_TASK: usize = 1 << 19;
    let (rows, columns) = (a.rows, b.columns);
    assert_eq!(c.len(), rows * columns, "sizes do not fit");
    if c.is_empty() || a.columns == 0 {
        c.fill(T::zero());
        return;
    }
    // A multiple of every micro-kernel's height, so that no block has a ragged edge but the last.
    let block = WORTH_A_TASK.div_ceil(columns * a.columns).next_multiple_of(48);
    let block = block.max(rows.div_ceil(16).next_multiple_of(48));
    c.par_chunks_mut(block * columns).enumerate().for_each(|(i, c)| {
        let height = c.len() / columns;
        let values = &a.values[i * block * a.row_stride..];
        gemm(
            Matrix { values, rows: height, ..a },
            b,
            T::zero(),
            MatrixMut::new(c, height, columns),
        );
    });
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
        let mut c = vec![10.0; 8];
        // a^T a is [3, 3]; take its left two columns into every other place of rows of 3.
        let left = Matrix::strided(&a, 2, 2, 3);
        gemm(Matrix::new(&a, 2, 3).t(), left, 1.0, MatrixMut::strided(&mut c, 3, 2, 3));
        assert_eq!(c, [27.0, 32.0, 10.0, 32.0, 39.0, 10.0, 37.0, 46.0]);
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
