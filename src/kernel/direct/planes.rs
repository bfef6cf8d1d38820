//! Images with zeros around them, in which every step of a convolution is one shift.
//!
//! Rows lie behind each other with a gap of zeros between them, so that the right edge of a row
//! and the left edge of the next share it. With a stride, the pixels that one tap reads go to a
//! plane of their own, a *phase*: the pixels `r`, `r + s`, `r + 2 s`, ... of each direction. Then
//! what a tap reads at all positions of an output is one piece of one plane:
//!
//! ```text
//!    0 0 0 0 0
//!    0 a b c 0        outputs:  0 1 2 - 3 4 5 - 6 7 8      (-: in a gap, and thrown away)
//!    d e f 0 g        a tap one to the right and one down reads from e on: e f 0 g h ...
//!    h i 0 ...
//! ```

use crate::kernel::microkernel::Vectorized;
use crate::kernel::window::{Geometry, Phase, Tap, take_every};
use crate::tensor::Element;

/// Values of the widest register of all.
const LANES: usize = 16;

/// Where pixels stand, and what outputs see of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    /// Height and width of an image.
    size: [usize; 2],
    stride: [usize; 2],
    /// From one row to the next, of pixels and of outputs.
    pitch: usize,
    /// Where the first pixel stands in its phase.
    origin: usize,
    /// Values of one phase.
    phase: usize,
    /// Places of the outputs, gaps and what fills up the last register included.
    pub outputs: usize,
}

impl Planes {
    /// What `x` is put into for its convolution, with the taps.
    pub fn forward(g: &Geometry) -> (Self, Vec<Tap>) {
        let taps: Vec<Tap> = Tap::all(g).collect();
        (Self::new(g.input, g.output, g.window.stride, &taps), taps)
    }

    /// What `dy` is put into for the gradient of `x`, all phases of which read it.
    pub fn backward(g: &Geometry, phases: &[Phase]) -> Self {
        let grid =
            [0, 1].map(|axis| phases.iter().map(|phase| phase.grid[axis]).max().unwrap_or(0));
        let taps: Vec<Tap> = phases.iter().flat_map(|phase| phase.taps.iter().copied()).collect();
        Self::new(g.output, grid, [1, 1], &taps)
    }

    fn new(size: [usize; 2], grid: [usize; 2], stride: [usize; 2], taps: &[Tap]) -> Self {
        // Pixels of the largest phase, zeros before its first and behind its last one.
        let pixels = [0, 1].map(|axis| size[axis].div_ceil(stride[axis]));
        let edges = [0, 1].map(|axis| {
            let steps = taps.iter().map(|tap| tap.offset[axis].div_euclid(stride[axis] as isize));
            let (first, last) = steps.fold((0, 0), |(a, b), step| (step.min(a), step.max(b)));
            // The smallest phase has a pixel less.
            let end = grid[axis].saturating_add_signed(last);
            let least = size[axis] / stride[axis];
            (first.unsigned_abs(), end.saturating_sub(least))
        });
        let [(top, bottom), (left, right)] = edges;
        let pitch = grid[1].max(pixels[1] + left.max(right));
        let outputs = (grid[0].saturating_sub(1) * pitch + grid[1]).next_multiple_of(LANES);
        let origin = top * pitch + left;
        // Below the last row there is room for the last register, wherever a tap shifts it.
        let phase = origin + (pixels[0] + bottom) * pitch + right + LANES;
        Self { size, stride, pitch, origin, phase, outputs }
    }

    /// Values of all phases of one channel.
    pub fn channel_len(&self) -> usize {
        self.stride[0] * self.stride[1] * self.phase
    }

    /// What stands where a tap reads for output 0.
    pub fn shift(&self, tap: &Tap) -> usize {
        let [down, right] = [0, 1].map(|axis| {
            let stride = self.stride[axis] as isize;
            (tap.offset[axis].div_euclid(stride), tap.offset[axis].rem_euclid(stride) as usize)
        });
        let phase = down.1 * self.stride[1] + right.1;
        let step = down.0 * self.pitch as isize + right.0;
        phase * self.phase + self.origin.wrapping_add_signed(step)
    }
}

/// Copies a row: a short one by two registers that overlap, rather than by a call.
#[inline(always)]
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    #[inline(always)]
    fn ends<T: Copy, const N: usize>(from: &[T], to: &mut [T]) -> bool {
        if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>())
            && from.len() <= 2 * N
            && from.len() == to.len()
        {
            let last = *last;
            to[..N].copy_from_slice(first);
            to[from.len() - N..].copy_from_slice(&last);
            return true;
        }
        false
    }
    if !(ends::<T, 4>(from, to) || ends::<T, 8>(from, to) || ends::<T, 16>(from, to)) {
        to.copy_from_slice(from);
    }
}

/// Puts channels `[count, H, W]` into planes, whose zeros stay as they are.
pub(super) struct Fill<'a, T> {
    pub planes: &'a Planes,
    pub channels: &'a [T],
    pub to: &'a mut [T],
}

impl<T: Element> Vectorized for Fill<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Planes { size: [height, width], stride: [down, right], pitch, .. } = *self.planes;
        let channels = self.channels.chunks(height * width);
        for (channel, to) in channels.zip(self.to.chunks_mut(self.planes.channel_len())) {
            for (y, row) in channel.chunks(width).enumerate() {
                let at = self.planes.origin + y / down * pitch;
                for phase in 0..right.min(width) {
                    let plane = &mut to[(y % down * right + phase) * self.planes.phase..];
                    let count = (width - phase).div_ceil(right);
                    let to = &mut plane[at..at + count];
                    if right == 1 { copy(row, to) } else { take_every(right, &row[phase..], to) }
                }
            }
        }
    }
}

impl Planes {
    /// Takes outputs `[count, H', W']` from their places.
    pub fn take<T: Copy>(&self, grid: [usize; 2], places: &[T], out: &mut [T]) {
        let channels = out.chunks_mut(grid[0] * grid[1]).zip(places.chunks(self.outputs));
        for (out, places) in channels {
            for (row, out) in out.chunks_mut(grid[1]).enumerate() {
                copy(&places[row * self.pitch..][..grid[1]], out);
            }
        }
    }

    /// Puts outputs `[count, H', W']` to their places; what stands in the gaps stays.
    pub fn put<T: Copy>(&self, grid: [usize; 2], outputs: &[T], places: &mut [T]) {
        let channels = outputs.chunks(grid[0] * grid[1]).zip(places.chunks_mut(self.outputs));
        for (outputs, places) in channels {
            for (row, outputs) in outputs.chunks(grid[1]).enumerate() {
                copy(outputs, &mut places[row * self.pitch..][..grid[1]]);
            }
        }
    }
}

/// Puts the phases of a gradient together: pixel `first + s i` of a row is output `i` of its phase.
pub(super) struct Interleave<'a, T> {
    pub planes: &'a Planes,
    /// Where the places of each phase begin, row by row; none if no tap reads its pixels.
    pub phases: &'a [Option<usize>],
    pub places: &'a [T],
    pub stride: [usize; 2],
    pub width: usize,
    /// `[H, W]`.
    pub to: &'a mut [T],
}

impl<T: Element> Vectorized for Interleave<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { planes, phases, places, stride: [down, right], width, to } = self;
        for (y, to) in to.chunks_mut(width).enumerate() {
            let phases = &phases[y % down * right..][..right];
            let row = |phase: usize, first: usize| {
                let count = width.saturating_sub(first).div_ceil(right);
                &places[phase + y / down * planes.pitch..][..count]
            };
            match *phases {
                [Some(phase)] => to.copy_from_slice(row(phase, 0)),
                [Some(even), Some(odd)] => {
                    let (even, odd) = (row(even, 0), row(odd, 1));
                    for (pair, (&even, &odd)) in to.chunks_exact_mut(2).zip(even.iter().zip(odd)) {
                        (pair[0], pair[1]) = (even, odd);
                    }
                    if let ([last], Some(&even)) =
                        (to.chunks_exact_mut(2).into_remainder(), even.last())
                    {
                        *last = even;
                    }
                }
                _ => {
                    to.fill(T::zero());
                    for (first, &phase) in phases.iter().enumerate().take(width) {
                        let Some(phase) = phase else { continue };
                        let pixels = to[first..].iter_mut().step_by(right);
                        pixels.zip(row(phase, first)).for_each(|(pixel, &value)| *pixel = value);
                    }
                }
            }
        }
    }
}
