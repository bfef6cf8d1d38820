//! Images of another size: `[N, C, H, W]` becomes `[N, C, H', W']`.
//!
//! Both rules are separable. A table says, for each axis, of which pixels each output is made; it
//! is computed once for all planes. Rows are first stretched sideways, each once, into a line that
//! stays in the cache, and then mixed with their neighbours in whole vectors.
//!
//! The gradient goes the other way: a second table says, for each pixel, to which outputs it gave,
//! and with what share. These lie side by side, so a pixel *gathers* its gradient in the order of
//! the outputs, whatever the number of threads.

use super::parallel::Each;
use crate::tensor::{Element, buffer};
use rayon::prelude::*;

/// How the value of a place between pixels is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Output `i` is the pixel `floor(i in / out)`, as `F.interpolate(mode="nearest")` has it.
    Nearest,
    /// Linear along both axes, between the centres of pixels (`align_corners=False`): output `i`
    /// is at `(i + 1/2) in / out - 1/2` of the input, or at its border where that is beyond.
    Bilinear,
}

/// What one output of an axis is made of: `shares[0] x[low] + shares[1] x[high]`.
#[derive(Clone, Copy, Debug)]
struct Pair<T> {
    low: u32,
    high: u32,
    shares: [T; 2],
}

impl Interpolation {
    /// `in / out`. For the nearest pixel in single precision, as in PyTorch: where its product with
    /// an output should be a whole number, its rounding decides between two pixels.
    pub(super) fn scale(self, input: usize, output: usize) -> f64 {
        match self {
            Self::Nearest => f64::from(input as f32 / output as f32),
            Self::Bilinear => input as f64 / output as f64,
        }
    }

    /// The pixels of an axis that each of its outputs is made of.
    fn pairs<T: Element>(self, input: usize, output: usize) -> Vec<Pair<T>> {
        let (last, scale) = (input.saturating_sub(1), self.scale(input, output));
        let pair = |i: usize| match self {
            Self::Nearest => {
                let low = ((i as f32 * scale as f32) as usize).min(last) as u32;
                Pair { low, high: low, shares: [T::one(), T::zero()] }
            }
            Self::Bilinear => {
                let at = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, last as f64);
                let low = at as usize;
                let share = T::from_f64(at - low as f64);
                let high = (low + 1).min(last) as u32;
                Pair { low: low as u32, high, shares: [T::one() - share, share] }
            }
        };
        (0..output).map(pair).collect()
    }

    /// `y` `[..., H', W']`, of planes `x` `[..., H, W]`; the sizes are of one pixel at least.
    pub fn resample<T: Element>(self, x: &[T], from: [usize; 2], to: [usize; 2]) -> Vec<T> {
        let (len, out) = (from[0] * from[1], to[0] * to[1]);
        let [rows, columns] = [0, 1].map(|axis| self.pairs::<T>(from[axis], to[axis]));
        let mut y = buffer::take(x.len() / len * out);
        let planes = y.par_chunks_mut(out).zip(x.par_chunks(len)).with_min_len(task(len.max(out)));
        match self {
            Self::Nearest => planes.each(|(y, x)| pick(x, from[1], y, &rows, &columns)),
            Self::Bilinear => planes.each_init(
                || [(); 2].map(|()| buffer::scratch(to[1])),
                |lines, (y, x)| {
                    let [first, second] = lines;
                    mix(x, from[1], y, &rows, &columns, [first, second]);
                },
            ),
        }
        y
    }

    /// The gradient of `x` `[..., H, W]` in [`resample`](Self::resample), of `dy` `[..., H', W']`.
    pub fn resample_gradient<T: Element>(
        self,
        dy: &[T],
        from: [usize; 2],
        to: [usize; 2],
    ) -> Vec<T> {
        let (len, out) = (from[0] * from[1], to[0] * to[1]);
        let [rows, columns] =
            [0, 1].map(|axis| Shares::of(&self.pairs::<T>(from[axis], to[axis]), from[axis]));
        let mut dx = buffer::take(dy.len() / out * len);
        let planes =
            dx.par_chunks_mut(len).zip(dy.par_chunks(out)).with_min_len(task(len.max(out)));
        planes.each_init(
            || buffer::scratch(to[1]),
            |line, (dx, dy)| {
                for (row, dx) in dx.chunks_mut(from[1]).enumerate() {
                    let (first, shares) = rows.of_pixel(row);
                    weighted_rows(line, &dy[first * to[1]..], shares);
                    columns.gather(line, dx);
                }
            },
        );
        dx
    }
}

/// Planes of `len` values that a task is given at least.
fn task(len: usize) -> usize {
    const VALUES: usize = 1 << 14;
    VALUES.div_ceil(len)
}

/// One plane of width `width`, by the nearest pixels.
fn pick<T: Element>(x: &[T], width: usize, y: &mut [T], rows: &[Pair<T>], columns: &[Pair<T>]) {
    let mut before = None;
    for (i, row) in rows.iter().enumerate() {
        let (done, y) = y.split_at_mut(i * columns.len());
        let y = &mut y[..columns.len()];
        if before == Some(row.low) {
            y.copy_from_slice(&done[done.len() - columns.len()..]);
        } else {
            let x = &x[row.low as usize * width..][..width];
            y.iter_mut().zip(columns).for_each(|(y, column)| *y = x[column.low as usize]);
        }
        before = Some(row.low);
    }
}

/// One plane of width `width`, linearly along both axes. `lines` hold two rows, stretched.
fn mix<T: Element>(
    x: &[T],
    width: usize,
    y: &mut [T],
    rows: &[Pair<T>],
    columns: &[Pair<T>],
    [mut first, mut second]: [&mut [T]; 2],
) {
    let stretch = |row: u32, line: &mut [T]| {
        let x = &x[row as usize * width..][..width];
        for (value, &Pair { low, high, shares: [a, b] }) in line.iter_mut().zip(columns) {
            *value = a * x[low as usize] + b * x[high as usize];
        }
    };
    let (mut in_first, mut in_second) = (None, None);
    for (row, y) in rows.iter().zip(y.chunks_mut(columns.len())) {
        if in_second == Some(row.low) {
            std::mem::swap(&mut first, &mut second);
            std::mem::swap(&mut in_first, &mut in_second);
        }
        if in_first != Some(row.low) {
            stretch(row.low, first);
            in_first = Some(row.low);
        }
        if row.high != row.low && in_second != Some(row.high) {
            stretch(row.high, second);
            in_second = Some(row.high);
        }
        let high: &[T] = if row.high == row.low { first } else { second };
        let [a, b] = row.shares;
        y.iter_mut().zip(&*first).zip(high).for_each(|((y, &l), &h)| *y = a * l + b * h);
    }
}

/// What the pixels of an axis gave to its outputs.
struct Shares<T> {
    /// For each pixel, the first output that it gave to, and where its shares begin and end.
    pixels: Vec<(usize, [usize; 2])>,
    shares: Vec<T>,
}

impl<T: Element> Shares<T> {
    fn of(pairs: &[Pair<T>], input: usize) -> Self {
        let (mut pixels, mut shares) = (Vec::with_capacity(input), Vec::new());
        // What an output took of a pixel.
        let taken = |pair: &Pair<T>, pixel| {
            let of = |at, share| if at == pixel { share } else { T::zero() };
            of(pair.low, pair.shares[0]) + of(pair.high, pair.shares[1])
        };
        let mut first = 0;
        for pixel in 0..input as u32 {
            // Both neighbours of an output move on with it, so what is left behind stays so.
            first += pairs[first..].iter().take_while(|pair| pair.high < pixel).count();
            let reached = pairs[first..].iter().take_while(|pair| pair.low <= pixel);
            let begin = shares.len();
            shares.extend(reached.map(|pair| taken(pair, pixel)));
            pixels.push((first, [begin, shares.len()]));
        }
        Self { pixels, shares }
    }

    /// The first output that a pixel gave to, and its share of this one and those behind it.
    fn of_pixel(&self, pixel: usize) -> (usize, &[T]) {
        let (first, [begin, end]) = self.pixels[pixel];
        (first, &self.shares[begin..end])
    }

    /// `dx[pixel] = sum_i share[pixel, i] dy[i]`, in the order of the outputs.
    fn gather(&self, dy: &[T], dx: &mut [T]) {
        for (dx, &(first, [begin, end])) in dx.iter_mut().zip(&self.pixels) {
            let shares = &self.shares[begin..end];
            let dy = &dy[first..][..shares.len()];
            *dx = dy.iter().zip(shares).fold(T::zero(), |sum, (&dy, &share)| sum + share * dy);
        }
    }
}

/// `line = sum_i shares[i] rows[i]`, for rows as long as the line, one after the other.
fn weighted_rows<T: Element>(line: &mut [T], rows: &[T], shares: &[T]) {
    let width = line.len();
    let row = |i: usize| &rows[i * width..][..width];
    let mut i = 0;
    line.fill(T::zero());
    // Four at a time, so that the line is read and written a quarter as often.
    while let Some(&[a, b, c, d]) = shares.get(i..i + 4) {
        let rows = row(i).iter().zip(row(i + 1)).zip(row(i + 2)).zip(row(i + 3));
        for (value, (((&p, &q), &r), &s)) in line.iter_mut().zip(rows) {
            *value = *value + a * p + b * q + c * r + d * s;
        }
        i += 4;
    }
    for (i, &share) in shares.iter().enumerate().skip(i) {
        line.iter_mut().zip(row(i)).for_each(|(value, &v)| *value += share * v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::reference;

    const SIZES: [([usize; 2], [usize; 2]); 7] = [
        ([4, 5], [8, 10]),
        ([3, 4], [24, 16]),
        ([7, 5], [3, 2]),
        ([9, 8], [1, 1]),
        ([1, 1], [3, 5]),
        ([5, 6], [7, 4]),
        ([6, 3], [6, 3]),
    ];

    #[test]
    fn agrees_with_its_readable_twin() {
        for (from, to) in SIZES {
            let x = Draw::seeded(3).tensor(&[2, 3, from[0], from[1]]);
            let found = Interpolation::Bilinear.resample(x.as_slice(), from, to);
            let twin = reference::upsample_bilinear(x.as_slice(), from, to);
            assert!(found.iter().zip(&twin).all(|(f, t)| (f - t).abs() < 1e-12), "{from:?} {to:?}");
            let found = Interpolation::Nearest.resample(x.as_slice(), from, to);
            assert_eq!(found, reference::upsample_nearest(x.as_slice(), from, to));
        }
    }

    /// `<dy, R x> = <R^T dy, x>`.
    #[test]
    fn the_gradient_is_the_transpose() {
        for (from, to) in SIZES {
            for rule in [Interpolation::Nearest, Interpolation::Bilinear] {
                let mut draw = Draw::seeded(5);
                let x = draw.tensor(&[2, 3, from[0], from[1]]).into_vec();
                let dy = draw.tensor(&[2, 3, to[0], to[1]]).into_vec();
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let forward = dot(&dy, &rule.resample(&x, from, to));
                let backward = dot(&rule.resample_gradient(&dy, from, to), &x);
                assert!((forward - backward).abs() < 1e-12, "{rule:?} {from:?} {to:?}");
            }
        }
    }

    #[test]
    fn the_nearest_pixel_is_copied_whatever_it_holds() {
        let y = Interpolation::Nearest.resample(&[f32::INFINITY, f32::NAN], [1, 2], [2, 4]);
        assert_eq!(y[..2], [f32::INFINITY; 2]);
        assert!(y[2..4].iter().all(|y| y.is_nan()));
    }
}
