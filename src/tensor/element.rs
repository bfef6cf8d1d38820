//! The numbers a tensor may hold.

use super::buffer::Pool;
#[cfg(target_arch = "x86_64")]
use super::vector::Vector;
use std::fmt;
use std::iter::Sum;

/// A floating-point number that tensors are made of: `f32` to work with, `f64`
/// so that gradient checks can be tight.
pub trait Element:
    ndarray::NdFloat + crate::zoo::Plain + Default + Sum + fmt::Debug + Send + Sync + 'static
{
    /// A register of 256 bits.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Self>;

    /// A register of 512 bits.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Self>;

    /// Where the memory of this type is kept; asked only by [`mod@super::buffer`].
    #[doc(hidden)]
    fn pool() -> &'static Pool<Self>;

    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;

    /// This value, widened.
    fn widen(self) -> f64;
}

impl Element for f32 {
    #[cfg(target_arch = "x86_64")]
    type Avx2 = std::arch::x86_64::__m256;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = std::arch::x86_64::__m512;

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
    #[cfg(target_arch = "x86_64")]
    type Avx2 = std::arch::x86_64::__m256d;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = std::arch::x86_64::__m512d;

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
