//! The transforms of tiles and kernels: small constant matrices from the left and the right.

use crate::tensor::Element;

/// Outputs of a tile in each direction.
pub(super) const OUT: usize = 4;
/// Pixels of a tile in each direction, and places of its transform.
pub(super) const IN: usize = 6;
/// Places of a whole tile's transform.
pub(super) const PLACES: usize = IN * IN;
/// Tiles, or channels, that are transformed side by side.
pub(super) const LANES: usize = 16;

pub(super) type Lanes<T> = [T; LANES];
/// A matrix of constants.
pub(super) type Constants<const R: usize, const C: usize> = [[f64; C]; R];

/// `B^T`: pixels to places.
pub(super) const PIXELS: Constants<IN, IN> = [
    [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];
/// `G`: taps to places.
pub(super) const TAPS: Constants<IN, 3> = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
/// `A^T`: places to outputs.
pub(super) const OUTPUTS: Constants<OUT, IN> = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
    [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
    [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
];

pub(super) const fn transposed<const R: usize, const C: usize>(
    m: &Constants<R, C>,
) -> Constants<C, R> {
    let mut t = [[0.0; R]; C];
    let mut i = 0;
    while i < R * C {
        t[i % C][i / C] = m[i / C][i % C];
        i += 1;
    }
    t
}

/// `m tile m^T`, for lanes of tiles at once.
#[inline(always)]
pub(super) fn transform<T: Element, const R: usize, const C: usize>(
    m: &Constants<R, C>,
    load: impl Fn(usize, usize) -> Lanes<T>,
    mut store: impl FnMut(usize, usize, Lanes<T>),
) {
    // Columns first: `half` holds the transposed `m tile`.
    let mut half = [[[T::zero(); LANES]; R]; C];
    for (column, half) in half.iter_mut().enumerate() {
        let mut tile = [[T::zero(); LANES]; C];
        for (row, lanes) in tile.iter_mut().enumerate() {
            *lanes = load(row, column);
        }
        for (factors, lanes) in m.iter().zip(half) {
            *lanes = combine(factors, &tile);
        }
    }
    for row in 0..R {
        let mut tile = [[T::zero(); LANES]; C];
        for (lanes, half) in tile.iter_mut().zip(&half) {
            *lanes = half[row];
        }
        for (column, factors) in m.iter().enumerate() {
            store(row, column, combine(factors, &tile));
        }
    }
}

/// `sum_i factors[i] terms[i]`, without the terms of factor 0.
#[inline(always)]
pub(super) fn combine<T: Element, const C: usize>(
    factors: &[f64; C],
    terms: &[Lanes<T>; C],
) -> Lanes<T> {
    let mut sum = [T::zero(); LANES];
    for (&factor, term) in factors.iter().zip(terms) {
        if factor != 0.0 {
            let factor = T::from_f64(factor);
            for (sum, &term) in sum.iter_mut().zip(term) {
                *sum += factor * term;
            }
        }
    }
    sum
}

/// The lanes that begin at `from`.
#[inline(always)]
pub(super) fn lanes<T: Element>(values: &[T], from: usize) -> Lanes<T> {
    let mut lanes = [T::zero(); LANES];
    lanes.copy_from_slice(&values[from..from + LANES]);
    lanes
}
