//! The two innermost loops: sums over steps for a tile of outputs, and dot products of outputs'
//! gradients with shifted pixels.
//!
//! Both hold a tile of `R` rows and `C` registers, as a [micro-kernel](crate::kernel::microkernel)
//! does, but nothing is packed: the planes are read where they lie, each step at its shift. Their loops count
//! for the reason that is given there.

use crate::kernel::microkernel::InRegisters;
use crate::tensor::{Element, Vector};

/// Registers that a tile's sums take: of 32 where they have 512 bits, else of 16.
const fn most_sums<V>() -> usize {
    if size_of::<V>() == 64 { 24 } else { 12 }
}

/// One term of an output: where the pixel stands for the first output, and the weight in its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub pixel: usize,
    pub weight: usize,
}

/// `out[r][q] = sum_steps weights[r stride + weight] planes[pixel + q]` for all rows.
pub(super) struct Sums<'a, T> {
    pub steps: &'a [Step],
    pub planes: &'a [T],
    pub weights: &'a [T],
    /// From one row's weights to the next one's.
    pub stride: usize,
    /// Rows of `len` values, a multiple of the lanes of every register.
    pub out: &'a mut [T],
    pub len: usize,
}

/// Calls a loop with the sizes of its tile as constants.
macro_rules! sized {
    ($loop:ident, $sizes:expr, $arguments:tt, [$($rows:literal: $($columns:literal)*;)*]) => {
        match $sizes {
            $($(($rows, $columns) => sized!(@call $loop, $rows, $columns, $arguments),)*)*
            sizes => unreachable!("no tile is of {sizes:?} rows and columns"),
        }
    };
    (@call $loop:ident, $rows:literal, $columns:literal, ($($argument:expr),*)) => {
        $loop::<T, V, $rows, $columns>($($argument),*)
    };
}

/// Rows of the next tile, of so many that are left. Between 1 and 4 nothing is offered: every size
/// is compiled for every set of instructions.
fn height(left: usize) -> usize {
    if left < 4 { 1 } else { 4 }
}

/// Cuts `count` into the fewest parts of at most `most` each, which differ by one at most: where
/// each begins, and its size.
fn parts(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |i| (count * i / parts, count * (i + 1) / parts - count * i / parts))
}

impl<T: Element> InRegisters<T> for Sums<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { steps, planes, weights, stride, out, len } = self;
        let rows = out.len() / len.max(1);
        assert!(len % V::LANES == 0 && out.len() == rows * len);
        let last_row = rows.saturating_sub(1) * stride;
        let inside =
            |s: &Step| s.pixel + len <= planes.len() && s.weight + last_row < weights.len();
        assert!(steps.iter().all(inside), "a step leaves its operands");
        let mut row = 0;
        while row < rows {
            let height = height(rows - row);
            let most = (most_sums::<V>() / height).min(8);
            for (first, count) in parts(len / V::LANES, most) {
                let at = first * V::LANES;
                // SAFETY: all steps stay in the planes and in the weights for these rows and
                // registers, as asserted, and so does the tile in `out`; the caller answers for
                // the instructions.
                unsafe {
                    let planes = planes.as_ptr().add(at);
                    let weights = weights.as_ptr().add(row * stride);
                    let out = out.as_mut_ptr().add(row * len + at);
                    sized!(tile, (height, count), (steps, planes, weights, stride, out, len), [
                        1: 1 2 3 4 5 6 7 8;
                        4: 1 2 3 4 5 6;
                    ]);
                }
            }
            row += height;
        }
    }
}

/// # Safety
/// `planes` must hold `C` registers from each step's pixel on, `weights` have `R` rows of each step's
/// weight, `out` room for `R` rows of `C` registers; the processor must have the vector's
/// instructions.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
unsafe fn tile<T: Element, V: Vector<T>, const R: usize, const C: usize>(
    steps: &[Step],
    planes: *const T,
    weights: *const T,
    stride: usize,
    out: *mut T,
    len: usize,
) {
    // SAFETY: as this asks.
    unsafe {
        let mut sums = [[V::splat(T::zero()); C]; R];
        for step in steps {
            let mut pixels = [V::splat(T::zero()); C];
            for i in 0..C {
                pixels[i] = V::load(planes.add(step.pixel + i * V::LANES));
            }
            for r in 0..R {
                let weight = V::splat(*weights.add(r * stride + step.weight));
                for i in 0..C {
                    sums[r][i] = weight.multiply_add(pixels[i], sums[r][i]);
                }
            }
        }
        for r in 0..R {
            for i in 0..C {
                sums[r][i].store(out.add(r * len + i * V::LANES));
            }
        }
    }
}

/// `sums[r][s] += sum_n sum_q dy[n][r][q] planes[n][shifts[s] + q]`.
pub(super) struct Dots<'a, T> {
    pub shifts: &'a [usize],
    /// Samples, each as long.
    pub planes: &'a [T],
    /// Samples of rows of `len` values, a multiple of the lanes of every register.
    pub dy: &'a [T],
    pub len: usize,
    pub samples: usize,
    /// `[rows, shifts]`.
    pub sums: &'a mut [T],
}

impl<T: Element> InRegisters<T> for Dots<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { shifts, planes, dy, len, samples, sums } = self;
        let rows = sums.len() / shifts.len().max(1);
        let [of_planes, of_dy] = [planes.len(), dy.len()].map(|len| len / samples.max(1));
        assert!(len % V::LANES == 0 && rows * len <= of_dy);
        assert!(shifts.iter().all(|shift| shift + len <= of_planes), "a shift leaves the planes");
        let walk = Walk { registers: len / V::LANES, samples, planes: of_planes, dy: of_dy };
        let mut row = 0;
        while row < rows {
            let height = height(rows - row);
            let most = (most_sums::<V>() / height).min(9);
            for (first, count) in parts(shifts.len(), most) {
                let (shifts, width) = (&shifts[first..first + count], shifts.len());
                let sums =
                    &mut sums[row * width + first..(row + height - 1) * width + first + count];
                let dy = &dy[row * len..];
                // SAFETY: all shifts stay in each sample's planes, and the rows in its `dy`, as
                // asserted; the caller answers for the instructions.
                unsafe {
                    sized!(dots, (height, count), (shifts, planes, dy, len, &walk, sums, width), [
                        1: 1 2 3 4 5 6 7 8 9;
                        4: 1 2 3 4 5 6;
                    ]);
                }
            }
            row += height;
        }
    }
}

/// How long the samples of [`Dots`] are.
struct Walk {
    registers: usize,
    samples: usize,
    planes: usize,
    dy: usize,
}

/// # Safety
/// Each sample's planes must hold the registers of each shift, its `dy` those of `R` rows; the
/// processor must have the vector's instructions.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
unsafe fn dots<T: Element, V: Vector<T>, const R: usize, const C: usize>(
    shifts: &[usize],
    planes: &[T],
    dy: &[T],
    len: usize,
    walk: &Walk,
    found: &mut [T],
    width: usize,
) {
    // SAFETY: as this asks.
    unsafe {
        let mut sums = [[V::splat(T::zero()); C]; R];
        for n in 0..walk.samples {
            let (planes, dy) = (planes.as_ptr().add(n * walk.planes), dy.as_ptr().add(n * walk.dy));
            for q in 0..walk.registers {
                let mut gradients = [V::splat(T::zero()); R];
                for r in 0..R {
                    gradients[r] = V::load(dy.add(r * len + q * V::LANES));
                }
                for s in 0..C {
                    let pixels = V::load(planes.add(*shifts.get_unchecked(s) + q * V::LANES));
                    for r in 0..R {
                        sums[r][s] = gradients[r].multiply_add(pixels, sums[r][s]);
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (s, sum) in sums.into_iter().enumerate() {
                let mut lanes = [T::zero(); 16];
                sum.store(lanes.as_mut_ptr());
                // Halved until one is left, which takes fewer dependent additions than there are.
                let mut half = V::LANES / 2;
                while half > 0 {
                    for lane in 0..half {
                        lanes[lane] += lanes[lane + half];
                    }
                    half /= 2;
                }
                found[r * width + s] += lanes[0];
            }
        }
    }
}
