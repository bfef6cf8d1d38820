//! Products by the crate `matrixmultiply`, which `ndarray` brings: for processors that this
//! library has no micro-kernel for.
//!
//! It has kernels for NEON, and packs what it multiplies itself; so blocks are handed to it as plain
//! matrices. That is the faster way wherever the compiler makes little of
//! [portable registers](crate::tensor::Portable).

use super::microkernel::Factors;
use crate::tensor::Element;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

/// `c = a b` for `a` of `m` rows and `k` steps, `b` `[k, n]` and `c` `[m, n]`.
///
/// # Panics
/// If an operand has other sizes.
pub(super) fn product<T: Element>([m, k, n]: [usize; 3], a: Factors<T>, b: &[T], c: &mut [T]) {
    let (values, [row, step]) = match a {
        Factors::Packed(panel) => (panel, [1, m]),
        Factors::InPlace(values, strides) => (values, strides),
    };
    let a = ArrayView2::from_shape((m, k).strides((row, step)), values);
    let b = ArrayView2::from_shape((k, n), &b[..k * n]);
    let c = ArrayViewMut2::from_shape((m, n), c);
    let (Ok(a), Ok(b), Ok(mut c)) = (a, b, c) else { panic!("the operands have other sizes") };
    general_mat_mul(T::one(), &a, &b, T::zero(), &mut c);
}
