//! Registers that hold several numbers of one type: what a micro-kernel is written in.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// A register of [`Vector::LANES`] numbers.
///
/// # Safety
/// Every method is inlined into its caller and uses the instructions of its register; the
/// caller must have made sure that the processor has them. `load` reads and `store` writes
/// `LANES` numbers from a pointer on, aligned as one number is.
#[allow(unsafe_code, clippy::missing_safety_doc)]
pub unsafe trait Vector<T>: Copy {
    /// Numbers in a register.
    const LANES: usize;

    /// The same number in every lane.
    unsafe fn splat(value: T) -> Self;

    /// Numbers from memory.
    unsafe fn load(from: *const T) -> Self;

    /// Numbers to memory.
    unsafe fn store(self, to: *mut T);

    /// `self * factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;

    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
}

/// The registers of the `x86_64` extensions.
#[cfg(target_arch = "x86_64")]
macro_rules! x86_vector {
    ($number:ty, $register:ty, $lanes:literal,
     $splat:ident, $load:ident, $store:ident, $multiply_add:ident, $add:ident) => {
        // SAFETY: the contract is passed on: each method is one instruction of the register.
        #[allow(unsafe_code)]
        unsafe impl Vector<$number> for $register {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: $number) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $number) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $number) {
                // SAFETY: as the trait asks.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $multiply_add(self, factor, sum) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $add(self, other) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    x86_vector!(
        f32,
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps
    );
    x86_vector!(
        f64,
        __m512d,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd
    );
    x86_vector!(
        f32,
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps
    );
    x86_vector!(
        f64,
        __m256d,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd
    );
}

/// Four numbers, for the compiler to put into whatever registers there are: with NEON, which
/// every 64-bit ARM processor has, or SSE2, which every `x86_64` processor has, one or two.
#[derive(Clone, Copy)]
pub struct Portable<T>([T; 4]);

// SAFETY: no particular instructions are used; `load` and `store` touch four numbers.
#[allow(unsafe_code)]
unsafe impl<T: ndarray::NdFloat> Vector<T> for Portable<T> {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: T) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: four numbers may be read, as the trait asks; an array is aligned as they are.
        Self(unsafe { from.cast::<[T; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: four numbers may be written, as the trait asks.
        unsafe { to.cast::<[T; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // Where there is no such instruction, `mul_add` would be a slow call.
        let one = |i: usize| {
            if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                self.0[i].mul_add(factor.0[i], sum.0[i])
            } else {
                self.0[i] * factor.0[i] + sum.0[i]
            }
        };
        Self(std::array::from_fn(one))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}
