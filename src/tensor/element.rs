//! The numbers a tensor may hold.

use super::buffer::Pool;
use std::fmt;
use std::iter::Sum;

/// The signature shared by `matrixmultiply::sgemm` and `dgemm`: sizes `m, k, n`,
/// `alpha`, then each of `A`, `B`, (`beta`) `C` with its row and column stride.
pub type RawGemm<T> = unsafe fn(
    usize,
    usize,
    usize,
    T,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    *mut T,
    isize,
    isize,
);

/// A floating-point number that tensors are made of: `f32` to work with, `f64`
/// so that gradient checks can be tight.
pub trait Element:
    ndarray::NdFloat + crate::zoo::Plain + Default + Sum + fmt::Debug + Send + Sync + 'static
{
    /// The matrix product of this type; called only by [`mod@crate::kernel::gemm`].
    const RAW_GEMM: RawGemm<Self>;

    /// Where the memory of this type is kept; asked only by [`mod@super::buffer`].
    #[doc(hidden)]
    fn pool() -> &'static Pool<Self>;

    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;

    /// This value, widened.
    fn widen(self) -> f64;
}

impl Element for f32 {
    const RAW_GEMM: RawGemm<Self> = matrixmultiply::sgemm;

    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f32> = Pool::new();
        &POOL
    }

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    const RAW_GEMM: RawGemm<Self> = matrixmultiply::dgemm;

    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f64> = Pool::new();
        &POOL
    }

    fn from_f64(value: f64) -> Self {
        value
    }

    fn widen(self) -> f64 {
        self
    }
}
