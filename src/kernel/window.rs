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
//! The matrix of unfolded columns never exists: [`Unfolded`] reads pieces of its rows, as they
//! are [packed](super::panel).

use super::panel::Rows;
use crate::tensor::{Element, product};
use crate::{Error, Result};
use std::ops::Range;

/// The largest padding, stride and dilation, so that offsets in pixels can be computed.
const LARGEST: usize = 1 << 24;

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
        let reach = [padding, stride, dilation].concat();
        if reach.iter().any(|&size| size > LARGEST) {
            let problem = format!("a window whose {reach:?} exceed {LARGEST} is out of range");
            return Err(Error::argument(operation, problem));
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

    /// The same for one sample of the batch.
    pub fn of_one_sample(&self) -> Self {
        Self { batch: 1, ..*self }
    }

    /// Values of one output sample, `O H' W'`.
    pub fn output_len(&self) -> usize {
        self.outputs * self.positions()
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

    /// The taps of the window in row-major order, numbered.
    fn all_taps(&self) -> impl Iterator<Item = (usize, [usize; 2])> + use<> {
        let [rows, columns] = self.taps;
        (0..rows * columns).map(move |index| (index, [index / columns, index % columns]))
    }

    /// Multiply-adds of the forward pass.
    pub fn multiply_adds(&self) -> u64 {
        let outputs = (self.batch * self.outputs * self.positions()) as u64;
        outputs.saturating_mul(self.row_len() as u64)
    }
}

/// Images, read as the taps of a window see them: row `c taps + t` holds what tap `t` reads in
/// channel `c`, column `n positions + p` is position `p` of image `n`.
///
/// Position `(i, j)` of a grid lies at the pixel `(i, j) * stride`; a tap reads the pixel that
/// is its offset away, or zero outside of the image.
pub struct Unfolded<'a, T> {
    images: &'a [T],
    /// Values of all channels of one image.
    image_len: usize,
    /// The channel of row 0.
    first_channel: usize,
    /// Height and width of an image.
    size: [usize; 2],
    /// Rows and columns of the positions.
    grid: [usize; 2],
    stride: [usize; 2],
    taps: Vec<Tap>,
}

/// One tap, as pixels from a position's.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// Down, right.
    pub offset: [isize; 2],
    /// Where the taps of the whole window have it.
    pub index: usize,
}

impl Tap {
    /// The taps of a convolution, from the pixel of an output's position.
    pub fn all(g: &Geometry) -> impl Iterator<Item = Self> + use<> {
        let Window { padding, dilation, .. } = g.window;
        let offset = move |tap: [usize; 2]| {
            [0, 1].map(|axis| (tap[axis] * dilation[axis]) as isize - padding[axis] as isize)
        };
        g.all_taps().map(move |(index, tap)| Self { offset: offset(tap), index })
    }
}

impl<'a, T: Element> Unfolded<'a, T> {
    /// What the window reads in the images `x` `[N, C, H, W]` of one group: the columns of the
    /// forward pass.
    pub fn forward(g: &Geometry, x: &'a [T], group: usize) -> Self {
        let taps = Tap::all(g).collect();
        let first_channel = group * g.channels_per_group();
        Self::new(x, g.channels, first_channel, g.input, g.output, g.window.stride, taps)
    }

    /// What reaches the pixels of one phase from the outputs' gradients `dy` `[N, O, H', W']`,
    /// from output channel `first` on: the columns of the input gradient.
    pub fn backward(g: &Geometry, dy: &'a [T], first: usize, phase: &Phase) -> Self {
        let taps = phase.taps.clone();
        Self::new(dy, g.outputs, first, g.output, phase.grid, [1, 1], taps)
    }

    /// The rows of `images` `[N, C, L]` as they are.
    pub fn flat(images: &'a [T], channels: usize, first_channel: usize, len: usize) -> Self {
        let taps = vec![Tap { offset: [0, 0], index: 0 }];
        Self::new(images, channels, first_channel, [1, len], [1, len], [1, 1], taps)
    }

    fn new(
        images: &'a [T],
        channels: usize,
        first_channel: usize,
        size: [usize; 2],
        grid: [usize; 2],
        stride: [usize; 2],
        taps: Vec<Tap>,
    ) -> Self {
        let image_len = channels * size[0] * size[1];
        Self { images, image_len, first_channel, size, grid, stride, taps }
    }

    /// What a tap reads in one channel at the positions `range`.
    #[inline(always)]
    fn read(&self, tap: Tap, channel: &[T], range: Range<usize>, line: &mut [T]) {
        let ([_, width], [down, right]) = (self.size, tap.offset);
        let columns = self.inside(tap, 1);
        // Where positions are pixels, all of a tap is one piece of the channel, but for what it
        // reads left and right of the image.
        if self.stride == [1, 1] && self.grid[1] == width {
            let rows = self.inside(tap, 0);
            let shift = down.wrapping_mul(width as isize).wrapping_add(right);
            let begin = (rows.start * width).max(shift.min(0).unsigned_abs());
            let end = (rows.end * width).min(channel.len().saturating_sub_signed(shift));
            let begin = begin.clamp(range.start, range.end);
            let end = end.clamp(begin, range.end);
            line[..begin - range.start].fill(T::zero());
            line[end - range.start..].fill(T::zero());
            if begin < end {
                let from = begin.wrapping_add_signed(shift);
                line[begin - range.start..end - range.start]
                    .copy_from_slice(&channel[from..from + end - begin]);
            }
            for row in range.start / width..range.end.div_ceil(width) {
                for column in (0..columns.start).chain(columns.end..width) {
                    let at = (row * width + column).wrapping_sub(range.start);
                    if let Some(value) = line.get_mut(at) {
                        *value = T::zero();
                    }
                }
            }
            return;
        }
        let (mut position, grid_width) = (range.start, self.grid[1]);
        while position < range.end {
            let (row, begin) = (position / grid_width, position % grid_width);
            let end = grid_width.min(begin + range.end - position);
            let piece = &mut line[position - range.start..][..end - begin];
            let from = (row * self.stride[0]).wrapping_add_signed(down);
            if from < self.size[0] {
                let (first, last) =
                    (columns.start.clamp(begin, end), columns.end.clamp(begin, end));
                piece[..first - begin].fill(T::zero());
                piece[last - begin..].fill(T::zero());
                if first < last {
                    let from = from * width + (first * self.stride[1]).wrapping_add_signed(right);
                    take_every(
                        self.stride[1],
                        &channel[from..],
                        &mut piece[first - begin..last - begin],
                    );
                }
            } else {
                piece.fill(T::zero());
            }
            position += end - begin;
        }
    }

    /// Rows or columns of the grid at which a tap reads inside of the image.
    fn inside(&self, tap: Tap, axis: usize) -> Range<usize> {
        let (stride, offset) = (self.stride[axis], tap.offset[axis]);
        // 0 <= i stride + offset < size
        let begin = offset.min(0).unsigned_abs().div_ceil(stride);
        let end = self.size[axis].saturating_add_signed(-offset).div_ceil(stride);
        let end = end.min(self.grid[axis]);
        begin.min(end)..end
    }
}

/// `out[i] = values[i stride]`.
#[inline(always)]
pub(super) fn take_every<T: Element>(stride: usize, values: &[T], out: &mut [T]) {
    match stride {
        1 => out.copy_from_slice(&values[..out.len()]),
        2 => {
            // But for the last one in pairs, which registers can be made of.
            let Some((last, most)) = out.split_last_mut() else { return };
            *last = values[2 * most.len()];
            for (to, pair) in most.iter_mut().zip(values.chunks_exact(2)) {
                *to = pair[0];
            }
        }
        _ => take_apart(stride, values, out),
    }
}

/// One number after the other, which is faster than the gathering loads that the compiler would
/// take if this were inlined.
#[inline(never)]
fn take_apart<T: Element>(stride: usize, values: &[T], out: &mut [T]) {
    out.iter_mut().zip(values.iter().step_by(stride)).for_each(|(to, &value)| *to = value);
}

impl<T: Element> Rows<T> for Unfolded<'_, T> {
    #[inline(always)]
    fn row<'a>(&'a self, row: usize, columns: Range<usize>, line: &'a mut [T]) -> &'a [T] {
        let (channel, tap) = (row / self.taps.len(), self.taps[row % self.taps.len()]);
        let (positions, pixels) = (self.grid[0] * self.grid[1], self.size[0] * self.size[1]);
        let channel = |sample: usize| {
            let first = sample * self.image_len + (self.first_channel + channel) * pixels;
            &self.images[first..first + pixels]
        };
        let is_whole = tap.offset == [0, 0] && self.stride == [1, 1] && self.grid == self.size;
        let sample = columns.start / positions;
        if is_whole && columns.end <= (sample + 1) * positions {
            let first = sample * positions;
            return &channel(sample)[columns.start - first..columns.end - first];
        }
        let mut column = columns.start;
        while column < columns.end {
            let (sample, begin) = (column / positions, column % positions);
            let end = positions.min(begin + columns.end - column);
            let piece = &mut line[column - columns.start..][..end - begin];
            self.read(tap, channel(sample), begin..end, piece);
            column += end - begin;
        }
        line
    }
}

/// Pixels of an image that the same taps read: every `stride`-th of each direction.
#[derive(Clone, Debug)]
pub struct Phase {
    /// The first pixel.
    pub first: [usize; 2],
    /// Rows and columns of such pixels.
    pub grid: [usize; 2],
    /// Where from a pixel of the phase, in outputs, the taps' outputs stand.
    pub taps: Vec<Tap>,
}

impl Phase {
    /// How many pixels of one channel belong to it.
    pub fn len(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Whether no pixel does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The phases of the input of a convolution, but for those that no tap reads: with a stride
    /// of 1 there is one.
    ///
    /// Tap `u` of output `i` reads the pixel `q = i s - p + u d`. Of the pixels `q = a + s r` of
    /// phase `a` it reads one for each output if `s` divides `a + p - u d`, and that output
    /// stands at `i = r + (a + p - u d) / s`.
    pub fn all(g: &Geometry) -> Vec<Self> {
        let Window { stride, padding, dilation, .. } = g.window;
        let mut phases = Vec::new();
        // Beyond the image there are no pixels to begin with.
        let firsts = [0, 1].map(|axis| 0..stride[axis].min(g.input[axis]));
        let [downs, rights] = firsts;
        for first in downs.flat_map(|a| rights.clone().map(move |b| [a, b])) {
            let offset = |axis: usize, tap: usize| {
                let from = (first[axis] + padding[axis]) as isize - (tap * dilation[axis]) as isize;
                let stride = stride[axis] as isize;
                (from % stride == 0).then_some(from / stride)
            };
            let taps = g.all_taps().filter_map(|(index, [u, v])| {
                Some(Tap { offset: [offset(0, u)?, offset(1, v)?], index })
            });
            let grid =
                [0, 1].map(|axis| g.input[axis].saturating_sub(first[axis]).div_ceil(stride[axis]));
            phases.push(Self { first, grid, taps: taps.collect() });
        }
        phases.retain(|phase: &Self| !phase.is_empty() && !phase.taps.is_empty());
        phases
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
        fn unfolded_rows_hold_what_the_definition_says(
            (h, w, kh, kw) in (1..8usize, 1..8usize, 1..4usize, 1..4usize),
            stride in prop_oneof![Just([1, 1]), [1..4usize, 1..4usize]],
            padding in [0..4usize, 0..4usize],
            dilation in [1..3usize, 1..3usize],
            cut in 0..20usize,
        ) {
            let window = Window { stride, padding, dilation, groups: 1 };
            let Ok(g) = Geometry::new("test", [2, 2, h, w], [1, 2, kh, kw], window) else {
                return Ok(()); // the window does not fit this image
            };
            let mut rng = fastrand::Rng::with_seed(7);
            let x: Vec<f64> = (0..2 * g.sample_len()).map(|_| rng.f64()).collect();
            let unfolded = Unfolded::forward(&g, &x, 0);
            let columns = cut.min(g.positions() - 1)..2 * g.positions();
            let mut line = vec![f64::NAN; columns.len()];
            for channel in 0..2 {
                for tap in 0..kh * kw {
                    let row = unfolded.row(channel * kh * kw + tap, columns.clone(), &mut line);
                    for (column, &value) in columns.clone().zip(row) {
                        let (n, p) = (column / g.positions(), column % g.positions());
                        let image = &x[n * g.sample_len()..][..g.sample_len()];
                        prop_assert_eq!(value, read(&g, image, channel, tap / kw, tap % kw, p));
                    }
                }
            }
            // Backwards: a tap of a phase's pixel is the output that reads that pixel by it.
            let dy: Vec<f64> = (0..2 * g.positions()).map(|_| rng.f64()).collect();
            for phase in Phase::all(&g) {
                let unfolded = Unfolded::backward(&g, &dy, 0, &phase);
                let positions = phase.grid[0] * phase.grid[1];
                let mut line = vec![f64::NAN; 2 * positions];
                for (row, tap) in phase.taps.iter().enumerate() {
                    let row = unfolded.row(row, 0..2 * positions, &mut line);
                    for (column, &value) in row.iter().enumerate() {
                        let (n, p) = (column / positions, column % positions);
                        let pixel = [
                            phase.first[0] + p / phase.grid[1] * stride[0],
                            phase.first[1] + p % phase.grid[1] * stride[1],
                        ];
                        let reads = |p: &usize| {
                            let place = [*p / g.output[1], *p % g.output[1]];
                            let tap = [tap.index / kw, tap.index % kw];
                            [0, 1].iter().all(|&axis| {
                                place[axis] * stride[axis] + tap[axis] * dilation[axis]
                                    == pixel[axis] + padding[axis]
                            })
                        };
                        let expected = (0..g.positions()).find(reads);
                        let expected = expected.map_or(0.0, |p| dy[n * g.positions() + p]);
                        prop_assert_eq!(value, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_stride_beyond_the_image_makes_no_phases_beyond_it() {
        let window = Window::square(1_000_000, 0);
        let g = Geometry::new("test", [1, 1, 3, 3], [1, 1, 3, 3], window).unwrap();
        let phases = Phase::all(&g);
        assert_eq!(phases.len(), 9);
        assert!(phases.iter().all(|phase| phase.len() == 1 && phase.taps.len() == 1));
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
        let far = Window { dilation: [1 << 63, 1], padding: [1 << 62, 0], ..ok };
        assert!(geometry([1, 1, 1, 1], [1, 1, 2, 1], far).is_err());
    }
}
