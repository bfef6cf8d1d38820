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

    /// `self - other`.
    unsafe fn subtract(self, other: Self) -> Self;

    /// `self * other`.
    unsafe fn multiply(self, other: Self) -> Self;

    /// Writes eight rows of eight numbers as columns, side by side, of a matrix with rows `stride`
    /// apart.
    #[inline(always)]
    unsafe fn transpose(rows: [*const T; 8], to: *mut T, stride: usize) {
        for (i, row) in rows.into_iter().enumerate() {
            for step in 0..8 {
                // SAFETY: the caller answers for eight numbers of each row and column.
                unsafe { to.add(step * stride + i).write(row.add(step).read()) };
            }
        }
    }
}

/// The registers of the `x86_64` extensions.
#[cfg(target_arch = "x86_64")]
macro_rules! x86_vector {
    ($number:ty, $register:ty, $lanes:literal,
     $splat:ident, $load:ident, $store:ident, $multiply_add:ident, $add:ident, $subtract:ident, $multiply:ident
     $(, $transpose:item)?) => {
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

            #[inline(always)]
            unsafe fn subtract(self, other: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $subtract(self, other) }
            }

            #[inline(always)]
            unsafe fn multiply(self, other: Self) -> Self {
                // SAFETY: as the trait asks.
                unsafe { $multiply(self, other) }
            }

            $($transpose)?
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
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps
    );
    x86_vector!(
        f64,
        __m512d,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd
    );
    x86_vector!(
        f32,
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        /// In registers: rows are interleaved, then pairs of them, then halves.
        #[inline(always)]
        unsafe fn transpose(rows: [*const f32; 8], to: *mut f32, stride: usize) {
            // SAFETY: as the trait asks.
            unsafe {
                let upper = turned_quarters(rows[0], rows[1], rows[2], rows[3]);
                let lower = turned_quarters(rows[4], rows[5], rows[6], rows[7]);
                for i in 0..4 {
                    let low = _mm256_permute2f128_ps::<0x20>(upper[i], lower[i]);
                    let high = _mm256_permute2f128_ps::<0x31>(upper[i], lower[i]);
                    _mm256_storeu_ps(to.add(i * stride), low);
                    _mm256_storeu_ps(to.add((i + 4) * stride), high);
                }
            }
        }
    );

    /// Four rows of eight numbers as columns `i` and `i + 4` of four, for each `i`.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn turned_quarters(
        a: *const f32,
        b: *const f32,
        c: *const f32,
        d: *const f32,
    ) -> [__m256; 4] {
        const FIRST: i32 = 0b01_00_01_00;
        const SECOND: i32 = 0b11_10_11_10;
        // SAFETY: the caller has made sure of the instructions, and of eight numbers each.
        unsafe {
            let (a, b) = (_mm256_loadu_ps(a), _mm256_loadu_ps(b));
            let (c, d) = (_mm256_loadu_ps(c), _mm256_loadu_ps(d));
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<FIRST>(ab, cd),
                _mm256_shuffle_ps::<SECOND>(ab, cd),
                _mm256_shuffle_ps::<FIRST>(ab_high, cd_high),
                _mm256_shuffle_ps::<SECOND>(ab_high, cd_high),
            ]
        }
    }
    x86_vector!(
        f64,
        __m256d,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd
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

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn multiply(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }
}
