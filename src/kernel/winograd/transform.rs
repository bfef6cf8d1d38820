//! The transforms of tiles and kernels: small constant matrices from the left and the right.

use crate::tensor::{Element, Vector};
use std::marker::PhantomData;
use std::ops::{Add, Mul, Sub};

/// Outputs of a tile in each direction.
pub(super) const OUT: usize = 4;
/// Pixels of a tile in each direction, and places of its transform.
pub(super) const IN: usize = 6;
/// Places of a whole tile's transform.
pub(super) const PLACES: usize = IN * IN;
/// What tiles, or channels, that are transformed side by side are filled up to: a multiple of the
/// numbers in any register.
pub(super) const LANES: usize = 16;

/// A number of each of some tiles.
///
/// A register and not an array, since the compiler takes arrays of such sums apart in ways that
/// cost several times as much. Where there is one, the processor has its instructions.
#[derive(Clone, Copy)]
pub(super) struct Lanes<T, V> {
    register: V,
    number: PhantomData<T>,
}

#[allow(unsafe_code)]
impl<T: Element, V: Vector<T>> Lanes<T, V> {
    #[inline(always)]
    fn of(register: V) -> Self {
        Self { register, number: PhantomData }
    }

    /// The first of these numbers.
    ///
    /// # Safety
    /// The processor must have the vector's instructions.
    #[inline(always)]
    unsafe fn load(numbers: &[T]) -> Self {
        let numbers = &numbers[..V::LANES];
        // SAFETY: there are as many, and the caller answers for the instructions.
        Self::of(unsafe { V::load(numbers.as_ptr()) })
    }

    /// Writes as many as there is room for.
    #[inline(always)]
    pub fn store(self, to: &mut [T]) {
        const { assert!(V::LANES <= LANES) };
        let mut all = [T::zero(); LANES];
        let whole = to.len() >= V::LANES;
        let to_all = if whole { to.as_mut_ptr() } else { all.as_mut_ptr() };
        // SAFETY: there is room for all, here or there.
        unsafe { self.register.store(to_all) };
        if !whole {
            to.copy_from_slice(&all[..to.len()]);
        }
    }

    /// `self + factor other`.
    #[inline(always)]
    pub fn plus(self, factor: f64, other: Self) -> Self {
        // SAFETY: there is this register.
        unsafe {
            let factor = V::splat(T::from_f64(factor));
            Self::of(other.register.multiply_add(factor, self.register))
        }
    }
}

#[allow(unsafe_code)]
impl<T: Element, V: Vector<T>> Add for Lanes<T, V> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: there is this register.
        Self::of(unsafe { self.register.add(other.register) })
    }
}

#[allow(unsafe_code)]
impl<T: Element, V: Vector<T>> Sub for Lanes<T, V> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: there is this register.
        Self::of(unsafe { self.register.subtract(other.register) })
    }
}

#[allow(unsafe_code)]
impl<T: Element, V: Vector<T>> Mul<f64> for Lanes<T, V> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: f64) -> Self {
        // SAFETY: there is this register.
        unsafe {
            let factor = V::splat(T::from_f64(factor));
            Self::of(self.register.multiply(factor))
        }
    }
}

/// A matrix of `R` rows and `C` columns, written out: it has few numbers but 0, 1 and those that
/// occur in pairs.
pub(super) trait Matrix<const R: usize, const C: usize> {
    /// Its product with a column.
    fn times<T: Element, V: Vector<T>>(column: [Lanes<T, V>; C]) -> [Lanes<T, V>; R];
}

/// `B^T`: pixels to places.
///
/// ```text
/// 4  0 -5  0  1  0
/// 0 -4 -4  1  1  0
/// 0  4 -4 -1  1  0
/// 0 -2 -1  2  1  0
/// 0  2 -1 -2  1  0
/// 0  4  0 -5  0  1
/// ```
pub(super) struct Pixels;

impl Matrix<IN, IN> for Pixels {
    #[inline(always)]
    fn times<T: Element, V: Vector<T>>([a, b, c, d, e, f]: [Lanes<T, V>; IN]) -> [Lanes<T, V>; IN] {
        let (even, odd) = (e.plus(-4.0, c), d.plus(-4.0, b));
        let (wide_even, wide_odd) = (e - c, d - b);
        [
            e.plus(4.0, a).plus(-5.0, c),
            even + odd,
            even - odd,
            wide_even.plus(2.0, wide_odd),
            wide_even.plus(-2.0, wide_odd),
            f.plus(4.0, b).plus(-5.0, d),
        ]
    }
}

/// `G`: taps to places.
///
/// ```text
///  1/4    0     0
/// -1/6  -1/6  -1/6
/// -1/6   1/6  -1/6
/// 1/24  1/12   1/6
/// 1/24 -1/12   1/6
///   0     0     1
/// ```
pub(super) struct Taps;

impl Matrix<IN, 3> for Taps {
    #[inline(always)]
    fn times<T: Element, V: Vector<T>>([a, b, c]: [Lanes<T, V>; 3]) -> [Lanes<T, V>; IN] {
        let (even, odd) = ((a + c) * (-1.0 / 6.0), b * (1.0 / 6.0));
        let wide_even = (a * (1.0 / 24.0)).plus(1.0 / 6.0, c);
        [
            a * 0.25,
            even - odd,
            even + odd,
            wide_even.plus(1.0 / 12.0, b),
            wide_even.plus(-1.0 / 12.0, b),
            c,
        ]
    }
}

/// `G^T`: the gradient of places to that of taps.
pub(super) struct TapsTransposed;

impl Matrix<3, IN> for TapsTransposed {
    #[inline(always)]
    fn times<T: Element, V: Vector<T>>([a, b, c, d, e, f]: [Lanes<T, V>; IN]) -> [Lanes<T, V>; 3] {
        let (near, far) = ((b + c) * (1.0 / 6.0), d + e);
        [
            (far * (1.0 / 24.0) - near).plus(0.25, a),
            ((c - b) * (1.0 / 6.0)).plus(1.0 / 12.0, d - e),
            (f - near).plus(1.0 / 6.0, far),
        ]
    }
}

/// `A^T`: places to outputs.
///
/// ```text
/// 1  1  1  1  1  0
/// 0  1 -1  2 -2  0
/// 0  1  1  4  4  0
/// 0  1 -1  8 -8  1
/// ```
pub(super) struct Outputs;

impl Matrix<OUT, IN> for Outputs {
    #[inline(always)]
    fn times<T: Element, V: Vector<T>>(
        [a, b, c, d, e, f]: [Lanes<T, V>; IN],
    ) -> [Lanes<T, V>; OUT] {
        let (even, odd) = (b + c, b - c);
        let (wide_even, wide_odd) = (d + e, d - e);
        [
            a + even + wide_even,
            odd.plus(2.0, wide_odd),
            even.plus(4.0, wide_even),
            (odd + f).plus(8.0, wide_odd),
        ]
    }
}

/// `A`: the gradient of outputs to that of places.
pub(super) struct OutputsTransposed;

impl Matrix<IN, OUT> for OutputsTransposed {
    #[inline(always)]
    fn times<T: Element, V: Vector<T>>([a, b, c, d]: [Lanes<T, V>; OUT]) -> [Lanes<T, V>; IN] {
        let (even, odd) = (a + c, b + d);
        let (wide_even, wide_odd) = (a.plus(4.0, c), (b * 2.0).plus(8.0, d));
        [a, even + odd, even - odd, wide_even + wide_odd, wide_even - wide_odd, d]
    }
}

/// `M tile M^T`, for some tiles at once: `load` tells where the numbers of a row and column begin.
///
/// # Safety
/// The processor must have the vector's instructions.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn transform<'a, T, V, M, const R: usize, const C: usize>(
    load: impl Fn(usize, usize) -> &'a [T],
    mut store: impl FnMut(usize, usize, Lanes<T, V>),
) where
    T: Element,
    V: Vector<T>,
    M: Matrix<R, C>,
{
    // SAFETY: as this asks.
    let zero = Lanes::of(unsafe { V::splat(T::zero()) });
    // Columns first: `half` holds the transposed `M tile`.
    let mut half = [[zero; R]; C];
    for (column, half) in half.iter_mut().enumerate() {
        let mut tile = [zero; C];
        for (row, lanes) in tile.iter_mut().enumerate() {
            // SAFETY: as this asks.
            *lanes = unsafe { Lanes::load(load(row, column)) };
        }
        *half = M::times(tile);
    }
    for row in 0..R {
        let mut tile = [zero; C];
        for (lanes, half) in tile.iter_mut().zip(&half) {
            *lanes = half[row];
        }
        for (column, lanes) in M::times(tile).into_iter().enumerate() {
            store(row, column, lanes);
        }
    }
}
