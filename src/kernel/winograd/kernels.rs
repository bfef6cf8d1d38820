//! Kernels and their transforms.

use super::panels::{self, Chunk, Panels};
use super::transform::{IN, LANES, Taps, transform};
use crate::kernel::microkernel::{InRegisters, Isa};
use crate::tensor::{Element, Vector};
use std::ops::Range;

/// A matrix of kernels with 3x3 taps: a kernel for each output and channel.
pub(super) trait Kernels<T>: Sync {
    /// One tap of an output's kernel for a channel.
    fn tap(&self, output: usize, channel: usize, tap: usize) -> T;
}

/// A kernel as it is, `[O, C, 3, 3]`.
pub(super) struct Forward<'a, T> {
    pub weight: &'a [T],
    /// `C`.
    pub channels: usize,
}

impl<T: Element> Kernels<T> for Forward<'_, T> {
    #[inline(always)]
    fn tap(&self, output: usize, channel: usize, tap: usize) -> T {
        self.weight[(output * self.channels + channel) * 9 + tap]
    }
}

/// With outputs and channels exchanged, and the taps in reverse: what the gradient of the input is
/// convolved with.
pub(super) struct Reversed<'a, T> {
    pub weight: &'a [T],
    /// `C`.
    pub channels: usize,
}

impl<T: Element> Kernels<T> for Reversed<'_, T> {
    #[inline(always)]
    fn tap(&self, channel: usize, output: usize, tap: usize) -> T {
        self.weight[(output * self.channels + channel) * 9 + 8 - tap]
    }
}

/// The transforms `G g G^T` of the kernels of some outputs over `depth` channels.
pub(super) fn transformed<T: Element>(
    taps: &impl Kernels<T>,
    outputs: Range<usize>,
    depth: usize,
) -> Panels<T> {
    Panels::new(outputs.len(), depth, panels::rows(), |rows, channels, chunk| {
        let rows = outputs.start + rows.start..outputs.start + rows.end;
        Isa::native().run_in_registers(Panel { taps, rows, channels, chunk });
    })
}

struct Panel<'a, T, K> {
    taps: &'a K,
    rows: Range<usize>,
    channels: Range<usize>,
    chunk: Chunk<'a, T>,
}

impl<T: Element, K: Kernels<T>> InRegisters<T> for Panel<'_, T, K> {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Vector<T>>(self) {
        let Self { taps, rows, channels, mut chunk } = self;
        // Channel after channel, and for each of them all rows.
        let (height, len) = (chunk.width, chunk.steps * chunk.width);
        for first in (0..len).step_by(LANES) {
            let taps = gathered(taps, &rows, height, &channels, first);
            for at in (0..LANES.min(len - first)).step_by(V::LANES) {
                // SAFETY: as this asks.
                unsafe {
                    transform::<T, V, Taps, IN, 3>(
                        |row, column| &taps[row * 3 + column][at..],
                        |row, column, found| {
                            found.store(&mut chunk.place(row * IN + column)[first + at..]);
                        },
                    );
                }
            }
        }
    }
}

/// The taps of some kernels side by side; apart from what is compiled for large registers, since
/// one number after the other is faster than the gathering loads that would be taken there.
#[inline(never)]
fn gathered<T: Element, K: Kernels<T>>(
    taps: &K,
    rows: &Range<usize>,
    height: usize,
    channels: &Range<usize>,
    first: usize,
) -> [[T; LANES]; 9] {
    let mut lanes = [[T::zero(); LANES]; 9];
    let (mut channel, mut row) = (channels.start + first / height, rows.start + first % height);
    for lane in 0..LANES {
        if channel < channels.end && row < rows.end {
            for (tap, lanes) in lanes.iter_mut().enumerate() {
                lanes[lane] = taps.tap(row, channel, tap);
            }
        }
        row += 1;
        if row == rows.start + height {
            (channel, row) = (channel + 1, rows.start);
        }
    }
    lanes
}
