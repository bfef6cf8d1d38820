//! The geometry of convolution and pooling windows, and unfolding.
//!
//! A window of `kh x kw` taps slides over an image; the tap `(u, v)` of the
//! output position `(y, x)` reads the input pixel
//! `(y * stride - padding + u * dilation, x * stride - padding + v * dilation)`,
//! or zero outside of the image. *Unfolding* writes what all taps read as a matrix,
//! one row per channel and tap, one column per output position, so that a
//! convolution becomes a matrix product:
//!
//! ```text
//!             positions                         positions
//!          +--------------+                   +-----------+
//!          | x[c, tap 0]  |    kernel         |           |
//!  C*kh*kw | x[c, tap 1]  |    [O, C*kh*kw] x | unfolded  | = output [O, positions]
//!          |  ...         |                   |           |
//!          +--------------+                   +-----------+
//! ```
//!
//! Only a *tile* of columns exists at a time, small enough to stay in cache.

use crate::tensor::{Element, product};
use crate::{Error, Result};
use std::ops::Range;

/// What a user chooses of a convolution or pooling; pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Step between neighbouring output positions.
    pub stride: [usize; 2],
    /// Rows and columns of zeros added on each side.
    pub padding: [usize; 2],
    /// Step between neighbouring taps.
    pub dilation: [usize; 2],
    /// Number of groups that the channels fall into; each sees only its own input channels.
    pub groups: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

impl Window {
    /// A window with the same stride and padding in both directions.
    pub fn square(stride: usize, padding: usize) -> Self {
        Self { stride: [stride; 2], padding: [padding; 2], ..Self::default() }
    }
}

/// Everything about the sizes of one convolution, computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Samples in the batch, `N`.
    pub batch: usize,
    /// Input channels, `C`, of all groups.
    pub channels: usize,
    /// Input height and width, `[H, W]`.
    pub input: [usize; 2],
    /// Output channels, `O`, of all groups.
    pub outputs: usize,
    /// Taps, `[kh, kw]`.
    pub taps: [usize; 2],
    /// Output height and width, `[H', W']`.
    pub output: [usize; 2],
    /// The user's choices.
    pub window: Window,
}

impl Geometry {
    /// The geometry of a convolution of `x` `[N, C, H, W]` with `weight`
    /// `[O, C / groups, kh, kw]`.
    ///
    /// # Errors
    /// If an axis is empty, the channels do not fit the groups, the window does not fit the padded
    /// image, or a stride, dilation or the number of groups is zero.
    pub fn new(
        operation: &'static str,
        x: [usize; 4],
        weight: [usize; 4],
        window: Window,
    ) -> Result<Self> {
        let ([batch, channels, height, width], [outputs, per_group, kh, kw]) = (x, weight);
        let Window { stride, padding, dilation, groups } = window;
        if stride.contains(&0) || dilation.contains(&0) || groups == 0 {
            return Err(Error::argument(
                operation,
                "stride, dilation and groups must be at least 1",
            ));
        }
        for (name, shape) in [("input", x), ("weight", weight)] {
            if shape.contains(&0) {
                return Err(Error::shape(operation, name, "at least 1 along every axis", &shape));
            }
        }
        if per_group.checked_mul(groups) != Some(channels) {
            let expected = format!("[N, {per_group} x {groups} groups, H, W]");
            return Err(Error::shape(operation, "input", expected, &x));
        }
        if outputs % groups != 0 {
            let expected = format!("[a multiple of {groups} groups, C, kh, kw]");
            return Err(Error::shape(operation, "weight", expected, &weight));
        }
        let mut output = [0; 2];
        for (axis, (size, taps)) in [(height, kh), (width, kw)].into_iter().enumerate() {
            output[axis] = (|| {
                let padded = padding[axis].checked_mul(2)?.checked_add(size)?;
                let reach = dilation[axis].checked_mul(taps - 1)?.checked_add(1)?;
                Some(padded.checked_sub(reach)? / stride[axis] + 1)
            })()
            .ok_or_else(|| {
                let expected = format!(
                    "large enough for a window of {kh}x{kw}, dilation {dilation:?}, padding {padding:?}"
                );
                Error::shape(operation, "input", expected, &x)
            })?;
        }
        let geometry = Self {
            batch,
            channels,
            input: [height, width],
            outputs,
            taps: [kh, kw],
            output,
            window,
        };
        let sizes = [batch, outputs, output[0], output[1]];
        product(&sizes).ok_or_else(|| {
            Error::argument(
                operation,
                format!("an output of {sizes:?} overflows the address space"),
            )
        })?;
        Ok(geometry)
    }

    /// Shape of the input, `[N, C, H, W]`.
    pub fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.channels, self.input[0], self.input[1]]
    }

    /// Shape of the output, `[N, O, H', W']`.
    pub fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.outputs, self.output[0], self.output[1]]
    }

    /// Shape of the kernel, `[O, C / groups, kh, kw]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.outputs, self.channels_per_group(), self.taps[0], self.taps[1]]
    }

    /// Input channels of one group.
    pub fn channels_per_group(&self) -> usize {
        self.channels / self.window.groups
    }

    /// Output channels of one group.
    pub fn outputs_per_group(&self) -> usize {
        self.outputs / self.window.groups
    }

    /// Values of one input sample, `C H W`.
    pub fn sample_len(&self) -> usize {
        self.channels * self.pixels()
    }

    /// Pixels of one input channel, `H W`.
    pub fn pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Output positions of one sample, `H' W'`.
    pub fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Taps of one channel, `kh kw`.
    pub fn taps_len(&self) -> usize {
        self.taps[0] * self.taps[1]
    }

    /// Values of one row of the kernel matrix, `C / groups * kh * kw`.
    pub fn row_len(&self) -> usize {
        self.channels_per_group() * self.taps_len()
    }

    /// Whether unfolding would only repeat the input: 1x1 taps at every pixel.
    pub fn is_pointwise(&self) -> bool {
        self.taps == [1, 1] && self.window.stride == [1, 1] && self.window.padding == [0, 0]
    }

    /// Multiply-adds of the forward pass.
    pub fn multiply_adds(&self) -> u64 {
        let outputs = (self.batch * self.outputs * self.positions()) as u64;
        outputs.saturating_mul(self.row_len() as u64)
    }

    /// Output columns `v` for which tap column `tap` reads inside the image.
    fn inside(&self, axis: usize, tap: usize) -> Range<usize> {
        let Window { stride, padding, dilation, .. } = self.window;
        let (stride, offset) = (stride[axis], tap * dilation[axis]);
        // Need 0 <= v * stride + offset - padding < size.
        let begin = padding[axis].saturating_sub(offset).div_ceil(stride);
        let end = (self.input[axis] + padding[axis]).saturating_sub(offset).div_ceil(stride);
        let end = end.min(self.output[axis]);
        begin.min(end)..end
    }
}

/// Unfolds `channels` of one sample `x` `[C, H, W]` at the output positions `tile`
/// into `columns`: one row per channel and tap, rows `row_stride` values apart,
/// one column per position.
pub fn unfold<T: Element>(
    geometry: &Geometry,
    x: &[T],
    channels: Range<usize>,
    tile: Range<usize>,
    columns: &mut [T],
    row_stride: usize,
) {
    let (pixels, taps) = (geometry.pixels(), Tap::all(geometry));
    let mut rows = columns.chunks_mut(row_stride);
    for channel in channels {
        let image = &x[channel * pixels..][..pixels];
        for (tap, row) in taps.iter().zip(&mut rows) {
            let row = &mut row[..tile.len()];
            if let Some(shift) = tap.shift {
                let (inside, source) = tap.shifted(geometry, shift, &tile);
                row[..inside.start].fill(T::zero());
                row[inside.end..].fill(T::zero());
                let piece = &image[source..][..inside.len()];
                row[inside].copy_from_slice(piece);
                tap.clear_padding(geometry, &tile, row);
                continue;
            }
            for_each_run(geometry, tap, &tile, |run| match run {
                Run::Outside { at, len } => row[at..at + len].fill(T::zero()),
                Run::Inside { at, len, pixel } => {
                    let source = image[pixel..].iter().step_by(geometry.window.stride[1]);
                    row[at..at + len].iter_mut().zip(source).for_each(|(out, &value)| *out = value);
                }
            });
        }
    }
}

/// The adjoint of [`unfold`]: adds what the columns hold to the pixels they were read
/// from. What they hold for the padding is lost.
pub fn fold<T: Element>(
    geometry: &Geometry,
    columns: &mut [T],
    row_stride: usize,
    channels: Range<usize>,
    tile: Range<usize>,
    dx: &mut [T],
) {
    let (pixels, taps) = (geometry.pixels(), Tap::all(geometry));
    let mut rows = columns.chunks_mut(row_stride);
    for channel in channels {
        let image = &mut dx[channel * pixels..][..pixels];
        for (tap, row) in taps.iter().zip(&mut rows) {
            let row = &mut row[..tile.len()];
            if let Some(shift) = tap.shift {
                let (inside, target) = tap.shifted(geometry, shift, &tile);
                tap.clear_padding(geometry, &tile, row);
                let piece = &mut image[target..][..inside.len()];
                piece.iter_mut().zip(&row[inside]).for_each(|(out, &value)| *out += value);
                continue;
            }
            for_each_run(geometry, tap, &tile, |run| {
                if let Run::Inside { at, len, pixel } = run {
                    let target = image[pixel..].iter_mut().step_by(geometry.window.stride[1]);
                    row[at..at + len].iter().zip(target).for_each(|(&value, out)| *out += value);
                }
            });
        }
    }
}

/// What one tap reads, for all channels alike.
struct Tap {
    /// Its place in the window.
    place: [usize; 2],
    /// Output rows for which it reads inside the image.
    rows: Range<usize>,
    /// Output columns for which it reads inside the image.
    columns: Range<usize>,
    /// Where the output is as wide as the input and no pixel is skipped, position `p`
    /// reads the pixel `p + shift`: the whole row of unfolded columns is one piece of
    /// the image, but for the columns that read the padding left and right.
    shift: Option<isize>,
}

impl Tap {
    /// The taps of a window in row-major order.
    fn all(geometry: &Geometry) -> Vec<Self> {
        let Window { stride, padding, dilation, .. } = geometry.window;
        let [_, width] = geometry.input;
        let is_shift = stride == [1, 1] && geometry.output[1] == width;
        let mut taps = Vec::with_capacity(geometry.taps_len());
        for u in 0..geometry.taps[0] {
            for v in 0..geometry.taps[1] {
                let [down, right] = [u * dilation[0], v * dilation[1]];
                // A tap that wraps around here reads padding only, and is never used.
                let down = down.wrapping_sub(padding[0]).wrapping_mul(width);
                let shift = down.wrapping_add(right.wrapping_sub(padding[1])) as isize;
                taps.push(Self {
                    place: [u, v],
                    rows: geometry.inside(0, u),
                    columns: geometry.inside(1, v),
                    shift: is_shift.then_some(shift),
                });
            }
        }
        taps
    }

    /// The columns of a tile that read a piece of the image, and where that begins.
    fn shifted(&self, g: &Geometry, shift: isize, tile: &Range<usize>) -> (Range<usize>, usize) {
        let width = g.output[1];
        let within = |position: usize| position.clamp(tile.start, tile.end);
        // The first or last positions may read left of the first pixel or right of the last.
        let first = (self.rows.start * width).max(shift.min(0).unsigned_abs());
        let last = (self.rows.end * width).min(g.pixels().saturating_sub_signed(shift));
        let (first, last) = (within(first), within(last.max(first)));
        if first == last {
            return (0..0, 0);
        }
        (first - tile.start..last - tile.start, first.saturating_add_signed(shift))
    }

    /// Sets to zero what lies left and right of the image in a row of unfolded columns.
    fn clear_padding<T: Element>(&self, g: &Geometry, tile: &Range<usize>, row: &mut [T]) {
        let width = g.output[1];
        for y in tile.start / width..tile.end.div_ceil(width) {
            for x in (0..self.columns.start).chain(self.columns.end..width) {
                if let Some(at) =
                    (y * width + x).checked_sub(tile.start).filter(|&at| at < row.len())
                {
                    row[at] = T::zero();
                }
            }
        }
    }
}

/// A stretch of one row of unfolded columns.
enum Run {
    /// `len` columns from `at` on read the padding.
    Outside { at: usize, len: usize },
    /// `len` columns from `at` on read the pixels `pixel`, `pixel + stride`, ...
    Inside { at: usize, len: usize, pixel: usize },
}

/// Calls `f` with the runs of a tap over the positions `tile`, in order.
fn for_each_run(geometry: &Geometry, tap: &Tap, tile: &Range<usize>, mut f: impl FnMut(Run)) {
    let Window { stride, padding, dilation, .. } = geometry.window;
    let ([u, v], width) = (tap.place, geometry.output[1]);
    let mut position = tile.start;
    while position < tile.end {
        let (y, begin) = (position / width, position % width);
        let end = width.min(begin + tile.end - position);
        let at = position - tile.start;
        if tap.rows.contains(&y) {
            let inside = tap.columns.start.clamp(begin, end)..tap.columns.end.clamp(begin, end);
            f(Run::Outside { at, len: inside.start - begin });
            if !inside.is_empty() {
                let row = y * stride[0] + u * dilation[0] - padding[0];
                let column = inside.start * stride[1] + v * dilation[1] - padding[1];
                f(Run::Inside {
                    at: at + inside.start - begin,
                    len: inside.len(),
                    pixel: row * geometry.input[1] + column,
                });
            }
            f(Run::Outside { at: at + inside.end - begin, len: end - inside.end });
        } else {
            f(Run::Outside { at, len: end - begin });
        }
        position += end - begin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What tap `(u, v)` of output position `p` reads, by the definition above.
    fn read(g: &Geometry, x: &[f64], channel: usize, u: usize, v: usize, p: usize) -> f64 {
        let Window { stride, padding, dilation, .. } = g.window;
        let row = (p / g.output[1] * stride[0] + u * dilation[0]) as isize - padding[0] as isize;
        let column = (p % g.output[1] * stride[1] + v * dilation[1]) as isize - padding[1] as isize;
        let inside = |i: isize, size: usize| (0..size as isize).contains(&i);
        if inside(row, g.input[0]) && inside(column, g.input[1]) {
            x[(channel * g.input[0] + row as usize) * g.input[1] + column as usize]
        } else {
            0.0
        }
    }

    proptest! {
        #[test]
        fn unfold_reads_what_the_definition_says_and_fold_is_its_adjoint(
            (h, w, kh, kw) in (1..8usize, 1..8usize, 1..4usize, 1..4usize),
            stride in prop_oneof![Just([1, 1]), [1..4usize, 1..4usize]],
            padding in [0..4usize, 0..4usize],
            dilation in [1..3usize, 1..3usize],
            cut in 0..20usize,
        ) {
            let window = Window { stride, padding, dilation, groups: 1 };
            let Ok(g) = Geometry::new("test", [1, 2, h, w], [1, 2, kh, kw], window) else {
                return Ok(()); // the window does not fit this image
            };
            let mut rng = fastrand::Rng::with_seed(7);
            let x: Vec<f64> = (0..g.sample_len()).map(|_| rng.f64()).collect();
            let tile = cut.min(g.positions() - 1)..g.positions();
            let mut columns = vec![f64::NAN; g.row_len() * tile.len()];
            unfold(&g, &x, 0..2, tile.clone(), &mut columns, tile.len());
            let mut row = columns.chunks(tile.len());
            for channel in 0..2 {
                for u in 0..kh {
                    for v in 0..kw {
                        let row = row.next().unwrap();
                        for (p, &value) in tile.clone().zip(row) {
                            prop_assert_eq!(value, read(&g, &x, channel, u, v, p));
                        }
                    }
                }
            }
            // <unfold(x), c> = <x, fold(c)>
            let c: Vec<f64> = columns.iter().map(|_| rng.f64()).collect();
            let mut folded = vec![0.0; x.len()];
            fold(&g, &mut c.clone(), tile.len(), 0..2, tile, &mut folded);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            prop_assert!((dot(&columns, &c) - dot(&x, &folded)).abs() < 1e-10);
        }
    }

    #[test]
    fn windows_that_cannot_be_are_errors() {
        let ok = Window::square(1, 0);
        let geometry = |x, w, window| Geometry::new("conv2d", x, w, window);
        assert!(geometry([1, 3, 8, 8], [4, 3, 3, 3], ok).is_ok());
        assert!(geometry([1, 3, 2, 8], [4, 3, 3, 3], ok).is_err(), "too small");
        assert!(geometry([1, 4, 8, 8], [4, 3, 3, 3], ok).is_err(), "channels");
        assert!(geometry([1, 3, 8, 8], [4, 3, 0, 3], ok).is_err(), "no taps");
        assert!(geometry([1, 3, 8, 8], [4, 3, 3, 3], Window::square(0, 0)).is_err(), "stride");
        assert!(
            geometry([1, 4, 8, 8], [3, 2, 3, 3], Window { groups: 2, ..ok }).is_err(),
            "groups"
        );
        assert!(geometry([1, 3, 8, 8], [4, 3, 3, 3], Window::square(1, usize::MAX)).is_err());
    }
}
