//! The innermost loop of every product: a small tile of the result, held in registers.
//!
//! A tile of `R` rows and `C` registers of columns is a sum of outer products, one for each
//! step along the inner axis. The operands have been packed before (see
//! [`panel`](super::panel)), so that a step reads `R` numbers of the one and `C` registers of
//! the other from where the step before left off (the first one may also be read where it lies):
//!
//! ```text
//!             b: C registers           a step costs R C multiply-adds of a register
//!             +----+----+----+         and C + R loads
//!   a: R      |    |    |    |
//!   numbers + +----+----+----+
//!           | |  tile, in R C registers
//!           + +----+----+----+
//! ```
//!
//! `R` and `C` are chosen so that the tile, one row of `b` and one number of `a` just fit the
//! registers that there are. At the edges of a matrix the tile has fewer rows or registers.

use crate::tensor::{Element, Portable, Vector};
use std::sync::OnceLock;

/// The instructions that a micro-kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Whatever every processor of its kind has: SSE2, or NEON.
    Portable,
    /// The same, but for products, which the crate `matrixmultiply` computes; it has kernels for
    /// NEON.
    MatrixMultiply,
    /// AVX2 and FMA: registers of 256 bits, of which there are 16.
    Avx2,
    /// AVX-512: registers of 512 bits, of which there are 32.
    Avx512,
}

impl Isa {
    /// The best that this processor has, unless the environment variable `ZOO_ISA` (`portable`,
    /// `matrixmultiply`, `avx2` or `avx512`) asks for less.
    pub fn native() -> Self {
        static NATIVE: OnceLock<Isa> = OnceLock::new();
        *NATIVE.get_or_init(|| {
            let most = Self::available().last().unwrap_or(Self::Portable);
            match std::env::var("ZOO_ISA").as_deref() {
                Ok("portable") => Self::Portable,
                Ok("matrixmultiply") => Self::MatrixMultiply,
                Ok("avx2") => most.min(Self::Avx2),
                _ => most,
            }
        })
    }

    /// All that this processor has, the best last.
    pub fn available() -> impl Iterator<Item = Self> {
        let all = [Self::Portable, Self::MatrixMultiply, Self::Avx2, Self::Avx512];
        all.into_iter().filter(|isa| isa.is_available())
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::Portable | Self::MatrixMultiply => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self <= Self::MatrixMultiply
    }

    /// Rows of a whole tile, `R`.
    pub const fn rows(self) -> usize {
        match self {
            Self::Portable | Self::MatrixMultiply => 4,
            Self::Avx2 => 6,
            Self::Avx512 => 8,
        }
    }

    /// Registers of a whole tile's row, `C`.
    pub const fn registers(self) -> usize {
        match self {
            Self::Portable | Self::MatrixMultiply | Self::Avx2 => 2,
            Self::Avx512 => 3,
        }
    }

    /// Numbers in a register.
    pub fn lanes<T: Element>(self) -> usize {
        match self {
            Self::Portable | Self::MatrixMultiply => Portable::<T>::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => T::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => T::Avx512::LANES,
            #[cfg(not(target_arch = "x86_64"))]
            _ => Portable::<T>::LANES,
        }
    }

    /// Columns of a whole tile.
    pub fn columns<T: Element>(self) -> usize {
        self.registers() * self.lanes::<T>()
    }
}

impl Isa {
    /// Runs `work`, compiled for these instructions.
    ///
    /// # Panics
    /// If the processor does not have them.
    #[allow(unsafe_code)]
    pub fn run(self, work: impl Vectorized) {
        assert!(self.is_available());
        match self {
            Self::Portable | Self::MatrixMultiply => work.run(),
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { run_avx512(work) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => work.run(),
        }
    }
}

impl Isa {
    /// Runs `work` with these registers.
    ///
    /// # Panics
    /// If the processor does not have them.
    #[allow(unsafe_code)]
    pub(super) fn run_in_registers<T: Element>(self, work: impl InRegisters<T>) {
        assert!(self.is_available());
        // SAFETY: the processor has the instructions; those of the first two every one has.
        unsafe {
            match self {
                Self::Portable | Self::MatrixMultiply => work.run::<Portable<T>>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => in_avx2(work),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => in_avx512(work),
                #[cfg(not(target_arch = "x86_64"))]
                _ => work.run::<Portable<T>>(),
            }
        }
    }
}

/// Like [`Vectorized`], where the compiler has to be told which registers to use.
pub(super) trait InRegisters<T> {
    /// Does it; to be marked `inline(always)` too.
    ///
    /// # Safety
    /// The processor must have the vector's instructions.
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn in_avx2<T: Element>(work: impl InRegisters<T>) {
    // SAFETY: the instructions are those of this function.
    unsafe { work.run::<T::Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
#[allow(unsafe_code)]
fn in_avx512<T: Element>(work: impl InRegisters<T>) {
    // SAFETY: the instructions are those of this function.
    unsafe { work.run::<T::Avx512>() }
}

/// Something to do that is worth being compiled for each set of instructions: loops that the
/// compiler can make use of large registers in.
pub trait Vectorized {
    /// Does it. To be of any use, it has to be marked `inline(always)`, and so has all that it
    /// calls; a closure cannot be, which is why this is a trait.
    fn run(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(work: impl Vectorized) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn run_avx512(work: impl Vectorized) {
    work.run();
}

/// Columns of the widest tile of all.
pub const MOST_COLUMNS: usize = 48;
/// Rows of the highest tile of all.
pub const MOST_ROWS: usize = 8;

/// Where a tile goes: `rows` rows of whole registers, `stride` numbers apart.
pub(super) struct Place<T> {
    pub first: *mut T,
    pub stride: usize,
    /// Add to what is there, instead of writing over it.
    pub add: bool,
}

/// The rows of the first operand that a tile is made of.
#[derive(Clone, Copy)]
pub(super) enum Factors<'a, T> {
    /// A panel, `[depth, rows]`.
    Packed(&'a [T]),
    /// As they lie in memory: numbers, and how far apart rows and steps begin.
    InPlace(&'a [T], [usize; 2]),
}

impl<T> Factors<'_, T> {
    /// Without the first rows, whole panels of them, for so many steps.
    pub fn skip(self, rows: usize, depth: usize) -> Self {
        match self {
            Self::Packed(panels) => Self::Packed(&panels[rows * depth..]),
            Self::InPlace(numbers, strides) => {
                Self::InPlace(&numbers[rows * strides[0]..], strides)
            }
        }
    }
}

/// One tile: `sum_k a[k] b[k]^T` for rows `a` and a panel `b` `[depth, registers * lanes]`.
///
/// # Safety
/// `place` must hold `rows` rows of `registers` registers that nobody else refers to.
///
/// # Panics
/// If a panel is shorter than `depth` steps, or the tile is higher or wider than a whole one.
#[allow(unsafe_code)]
pub(super) unsafe fn tile<T: Element>(
    isa: Isa,
    [rows, registers]: [usize; 2],
    depth: usize,
    a: Factors<T>,
    b: &[T],
    place: Place<T>,
) {
    assert!(isa.is_available() && b.len() >= depth * registers * isa.lanes::<T>());
    let (numbers, [row, step]) = match a {
        Factors::Packed(panel) => (panel, [1, rows]),
        Factors::InPlace(numbers, strides) => (numbers, strides),
    };
    let last_row = rows.saturating_sub(1).saturating_mul(row);
    let last = last_row.saturating_add(depth.saturating_sub(1).saturating_mul(step));
    assert!(depth == 0 || numbers.len() > last);
    let a = Steps { first: numbers.as_ptr(), row, step };
    let b = b.as_ptr();
    // SAFETY: the processor has the instructions, the panels are as long as asserted, and the
    // caller answers for the place.
    unsafe {
        match isa {
            Isa::Portable | Isa::MatrixMultiply => {
                sized!(Portable<T>, (rows, registers), [1 2 3 4], (depth, a, b, place))
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2((rows, registers), depth, a, b, place),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512((rows, registers), depth, a, b, place),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("it is not available"),
        }
    }
}

/// Where the first operand's numbers stand.
struct Steps<T> {
    first: *const T,
    /// From one row to the next.
    row: usize,
    /// From one step to the next.
    step: usize,
}

/// Writes eight rows of eight numbers, from `begin` on, as columns side by side of a matrix with
/// rows `stride` apart.
///
/// # Safety
/// The processor must have the instructions of `isa`; this is called too often to ask.
///
/// # Panics
/// If a row is shorter, or the matrix leaves `out`.
#[allow(unsafe_code)]
#[inline(always)]
pub(super) unsafe fn transpose<T: Element>(
    isa: Isa,
    rows: [&[T]; 8],
    begin: usize,
    out: &mut [T],
    stride: usize,
) {
    assert!(out.len() >= 7 * stride + 8 && stride >= 8);
    let mut from = [out.as_ptr(); 8];
    for (from, row) in from.iter_mut().zip(rows) {
        *from = row[begin..begin + 8].as_ptr();
    }
    let to = out.as_mut_ptr();
    // SAFETY: there are eight numbers in each row, and room for them; a processor with AVX-512
    // has AVX2 too, and the caller answers for `isa`.
    unsafe {
        match isa {
            Isa::Portable | Isa::MatrixMultiply => Portable::<T>::transpose(from, to, stride),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => T::Avx2::transpose(from, to, stride),
            #[cfg(not(target_arch = "x86_64"))]
            _ => Portable::<T>::transpose(from, to, stride),
        }
    }
}

/// Calls [`outer_products`] with the sizes of a tile as constants.
macro_rules! sized {
    ($vector:ty, $sizes:expr, [$($rows:literal)*], $arguments:tt) => {
        match $sizes {
            $(
                ($rows, 1) => sized!(@call $vector, $rows, 1, $arguments),
                ($rows, 2) => sized!(@call $vector, $rows, 2, $arguments),
                ($rows, 3) => sized!(@call $vector, $rows, 3, $arguments),
            )*
            sizes => panic!("no tile is of {sizes:?} rows and registers"),
        }
    };
    (@call $vector:ty, $rows:literal, $registers:literal, ($depth:expr, $a:expr, $b:expr, $place:expr)) => {
        outer_products::<T, $vector, $rows, $registers>($depth, $a, $b, $place)
    };
}
use sized;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn avx2<T: Element>(
    sizes: (usize, usize),
    depth: usize,
    a: Steps<T>,
    b: *const T,
    place: Place<T>,
) {
    // SAFETY: as `tile` has checked.
    unsafe { sized!(T::Avx2, sizes, [1 2 3 4 5 6], (depth, a, b, place)) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
#[allow(unsafe_code)]
unsafe fn avx512<T: Element>(
    sizes: (usize, usize),
    depth: usize,
    a: Steps<T>,
    b: *const T,
    place: Place<T>,
) {
    // SAFETY: as `tile` has checked.
    unsafe { sized!(T::Avx512, sizes, [1 2 3 4 5 6 7 8], (depth, a, b, place)) }
}

/// The loop itself; the compiler unrolls all but the one over `depth`. The loops count, since what iterators
/// come to is not inlined where the compiler optimises little, as in tests, which a product then takes a hundred
/// times as long in.
///
/// # Safety
/// `a` must have `R` rows of `depth` numbers, `b` point to `depth` times `C` registers, and `place`
/// be as in [`tile`]; the processor must have the vector's instructions.
#[allow(unsafe_code, clippy::needless_range_loop)]
#[inline(always)]
unsafe fn outer_products<T: Element, V: Vector<T>, const R: usize, const C: usize>(
    depth: usize,
    a: Steps<T>,
    b: *const T,
    place: Place<T>,
) {
    // SAFETY: both pointers move by one step, `depth` times in all; `place` is big enough.
    unsafe {
        let mut tile = [[V::splat(T::zero()); C]; R];
        let (mut at, mut b) = (a.first, b);
        for _ in 0..depth {
            let mut row = [V::splat(T::zero()); C];
            for j in 0..C {
                row[j] = V::load(b.add(j * V::LANES));
            }
            for i in 0..R {
                let factor = V::splat(*at.add(i * a.row));
                for j in 0..C {
                    tile[i][j] = factor.multiply_add(row[j], tile[i][j]);
                }
            }
            // Behind the last step, `at` may be far outside.
            (at, b) = (at.wrapping_add(a.step), b.add(C * V::LANES));
        }
        for i in 0..R {
            for j in 0..C {
                let to = place.first.add(i * place.stride + j * V::LANES);
                let sum = if place.add { V::load(to).add(tile[i][j]) } else { tile[i][j] };
                sum.store(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;

    /// Every tile of every set of instructions that there is, against the sums that it stands for.
    #[test]
    #[allow(unsafe_code)]
    fn all_tiles_are_sums_of_outer_products() {
        fn check<T: Element>(isa: Isa, tolerance: f64) {
            const DEPTH: usize = 7;
            let mut draw = Draw::seeded(3);
            for rows in 1..=isa.rows() {
                for registers in 1..=isa.registers() {
                    let columns = registers * isa.lanes::<T>();
                    let [a, b, before] = [rows * DEPTH, columns * DEPTH, rows * columns]
                        .map(|len| draw.tensor(&[len]).cast::<T>());
                    let (a, b, before) = (a.as_slice(), b.as_slice(), before.as_slice());
                    for add in [false, true] {
                        let mut tile = before.to_vec();
                        let place = Place { first: tile.as_mut_ptr(), stride: columns, add };
                        // SAFETY: `tile` holds just these rows.
                        unsafe {
                            super::tile(isa, [rows, registers], DEPTH, Factors::Packed(a), b, place)
                        };
                        for (at, found) in tile.iter().enumerate() {
                            let (i, j) = (at / columns, at % columns);
                            let product = |k: usize| a[k * rows + i] * b[k * columns + j];
                            let sum: T = (0..DEPTH).map(product).sum();
                            let expected = if add { before[at] + sum } else { sum };
                            let difference = (found.widen() - expected.widen()).abs();
                            assert!(difference < tolerance, "{isa:?} {rows} {registers}");
                        }
                    }
                }
            }
        }
        for isa in Isa::available() {
            check::<f32>(isa, 1e-5);
            check::<f64>(isa, 1e-13);
        }
    }

    #[test]
    #[allow(unsafe_code)]
    fn blocks_are_transposed_by_all_instructions() {
        fn check<T: Element>(isa: Isa) {
            let values: Vec<T> = (0..8 * 9).map(|i| T::from_f64(f64::from(i))).collect();
            let mut rows: [&[T]; 8] = [&[]; 8];
            rows.iter_mut().zip(values.chunks(9)).for_each(|(row, values)| *row = values);
            let mut out = vec![T::zero(); 7 * 11 + 8];
            // SAFETY: it is available.
            unsafe { transpose(isa, rows, 1, &mut out, 11) };
            for (i, row) in rows.iter().enumerate() {
                for step in 0..8 {
                    assert_eq!(out[step * 11 + i], row[1 + step], "{isa:?}");
                }
            }
        }
        for isa in Isa::available() {
            check::<f32>(isa);
            check::<f64>(isa);
        }
    }
}
