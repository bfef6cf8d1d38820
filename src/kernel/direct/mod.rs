//! Convolutions of groups with few channels, without products of packed panels.
//!
//! A group of 4 channels makes a product of 4 rows, and one of a single channel (*depthwise*) of one
//! row: panels would stay empty, and unfolding would take longer than multiplying. Here a group's
//! images are copied once, with zeros around them, such that every step of the convolution (a
//! channel and a tap) reads a whole row of registers at one shift; see [`planes`]. The sums of a few
//! outputs at many positions stay in registers; see [`registers`].
//!
//! ```text
//! forward           y[o]     = sum_{c, t} w[o, c, t] x[c] shifted by t
//! input gradient    dx[c]    = sum_{o, t} w[o, c, t] dy[o] shifted back by t, phase by phase
//! kernel gradient   w[o,c,t] = sum_n <dy[o], x[c] shifted by t>
//! ```
//!
//! A task is one group of one sample (of all samples, for the gradient of a kernel that they
//! share), so that no sum depends on the number of threads.

mod planes;
mod registers;

use super::microkernel::Isa;
use super::parallel::Each;
use super::window::{Geometry, Phase, Window};
use crate::tensor::{Element, buffer, buffer::Buffer};
use planes::{Fill, Interleave, Planes};
use rayon::prelude::*;
use registers::{Dots, Step, Sums};
use std::ops::Range;

/// Whether this is the shorter way: where no group has more channels than a register has lanes,
/// since it is then the packing that a product takes its time for.
pub(super) fn wins(g: &Geometry) -> bool {
    /// Channels of a group.
    const MOST: usize = 32;
    /// Beyond such windows, zeros would be most of what is copied.
    const REACH: usize = 16;
    let Window { stride, padding, dilation, groups } = g.window;
    let is_small = |axis: usize| {
        let reach = (g.taps[axis] - 1).saturating_mul(dilation[axis]);
        reach < REACH && padding[axis] < REACH && stride[axis] <= 4
    };
    groups > 1
        && g.channels_per_group().max(g.outputs_per_group()) <= MOST
        && is_small(0)
        && is_small(1)
}

/// Multiply-adds that are worth a task.
const WORTH_A_TASK: usize = 1 << 16;

/// The least groups of a task, with so many positions each.
fn least(g: &Geometry, positions: usize) -> usize {
    let of_group = g.outputs_per_group() * g.row_len() * positions;
    (WORTH_A_TASK / of_group.max(1)).max(1)
}

/// The kernels of some groups: the same for all samples, or some for each.
struct Kernels<'a, T> {
    values: &'a [T],
    /// Values of one group's.
    group: usize,
    /// From one sample's to the next one's.
    sample: usize,
}

impl<'a, T> Kernels<'a, T> {
    fn new(g: &Geometry, groups: &Range<usize>, values: &'a [T]) -> Self {
        let group = g.outputs_per_group() * g.row_len();
        let of_all = group * groups.len();
        Self { values, group, sample: if values.len() > of_all { of_all } else { 0 } }
    }

    /// Of one sample's `i`-th group.
    fn of(&self, n: usize, i: usize) -> &'a [T] {
        &self.values[n * self.sample + i * self.group..][..self.group]
    }
}

/// Writes the output channels of some groups of `y` `[N, O, H', W']`, for `kernels`
/// `[outputs, C / groups, kh, kw]` or such ones of each sample.
pub(super) fn forward<T: Element>(
    g: &Geometry,
    groups: &Range<usize>,
    x: &[T],
    kernels: &[T],
    y: &mut [T],
) {
    let (planes, taps) = Planes::forward(g);
    let kernels = Kernels::new(g, groups, kernels);
    let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
    let steps: Vec<Step> = (0..channels)
        .flat_map(|c| taps.iter().map(move |tap| (c, tap)))
        .map(|(c, tap)| Step {
            pixel: c * planes.channel_len() + planes.shift(tap),
            weight: c * taps.len() + tap.index,
        })
        .collect();
    let (of_group, of_input) = (outputs * g.positions(), channels * g.pixels());
    y.par_chunks_mut(g.output_len()).enumerate().each(|(n, y)| {
        let y = &mut y[groups.start * of_group..groups.end * of_group];
        let tasks = y.par_chunks_mut(of_group).enumerate().with_min_len(least(g, g.positions()));
        let rooms = || Rooms::new(channels * planes.channel_len(), outputs * planes.outputs);
        tasks.each_init(rooms, |rooms, (i, y)| {
            let first = n * g.sample_len() + (groups.start + i) * of_input;
            rooms.fill(&planes, &x[first..first + of_input]);
            rooms.sums(&steps, kernels.of(n, i), g.row_len(), &planes, 0..outputs);
            planes.take(g.output, &rooms.sums, y);
        });
    });
}

/// Writes what some groups give back of `dy` `[N, O, H', W']` to their channels of `dx`
/// `[N, C, H, W]`.
pub(super) fn input_gradient<T: Element>(
    g: &Geometry,
    groups: &Range<usize>,
    dy: &[T],
    kernels: &[T],
    dx: &mut [T],
) {
    let phases = Phase::all(g);
    let planes = Planes::backward(g, &phases);
    let kernels = Kernels::new(g, groups, kernels);
    let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
    let [down, right] = g.window.stride;
    let of_phase = channels * planes.outputs;
    let mut places = vec![None; down * right];
    for (i, phase) in phases.iter().enumerate() {
        places[phase.first[0] * right + phase.first[1]] = Some(i);
    }
    let steps = |phase: &Phase| -> Vec<Step> {
        let step = |(o, tap): (usize, &super::window::Tap)| Step {
            pixel: o * planes.channel_len() + planes.shift(tap),
            weight: o * g.row_len() + tap.index,
        };
        (0..outputs).flat_map(|o| phase.taps.iter().map(move |tap| (o, tap))).map(step).collect()
    };
    let steps: Vec<Vec<Step>> = phases.iter().map(steps).collect();
    let (of_group, of_output) = (channels * g.pixels(), outputs * g.positions());
    dx.par_chunks_mut(g.sample_len()).enumerate().each(|(n, dx)| {
        let dx = &mut dx[groups.start * of_group..groups.end * of_group];
        let tasks = dx.par_chunks_mut(of_group).enumerate().with_min_len(least(g, g.positions()));
        let rooms = || Rooms::new(outputs * planes.channel_len(), phases.len() * of_phase);
        tasks.each_init(rooms, |rooms, (i, dx)| {
            let first = n * g.output_len() + (groups.start + i) * of_output;
            rooms.fill(&planes, &dy[first..first + of_output]);
            for (phase, steps) in steps.iter().enumerate() {
                let rows = phase * channels..(phase + 1) * channels;
                rooms.sums(steps, kernels.of(n, i), g.taps_len(), &planes, rows);
            }
            for (c, to) in dx.chunks_mut(g.pixels()).enumerate() {
                let begin = |i: usize| i * of_phase + c * planes.outputs;
                let phases: Vec<_> = places.iter().map(|place| place.map(begin)).collect();
                Isa::native().run(Interleave {
                    planes: &planes,
                    phases: &phases,
                    places: &rooms.sums,
                    stride: g.window.stride,
                    width: g.input[1],
                    to,
                });
            }
        });
    });
}

/// Writes the gradient of some groups' kernels `[outputs, C / groups, kh, kw]`, or of such ones of
/// each sample.
pub(super) fn kernel_gradient<T: Element>(
    g: &Geometry,
    groups: &Range<usize>,
    x: &[T],
    dy: &[T],
    kernels: &mut [T],
) {
    let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
    let of_group = outputs * g.row_len();
    let of_sample = of_group * groups.len();
    if kernels.len() > of_sample {
        let one = g.of_one_sample();
        let samples = x.par_chunks(g.sample_len()).zip(dy.par_chunks(g.output_len()));
        kernels
            .par_chunks_mut(of_sample)
            .zip(samples)
            .each(|(kernels, (x, dy))| kernel_gradient(&one, groups, x, dy, kernels));
        return;
    }
    /// Values of the samples that are multiplied at a time: they stay in the second-level cache.
    const VALUES: usize = 1 << 16;
    let (planes, taps) = Planes::forward(g);
    let shifts: Vec<usize> = (0..channels)
        .flat_map(|c| taps.iter().map(move |tap| c * planes.channel_len() + planes.shift(tap)))
        .collect();
    let (of_x, of_dy) = (channels * planes.channel_len(), outputs * planes.outputs);
    let some = (VALUES / (of_x + of_dy)).clamp(1, g.batch);
    let (len_x, len_dy) = (channels * g.pixels(), outputs * g.positions());
    let tasks = kernels.par_chunks_mut(of_group).enumerate();
    let tasks = tasks.with_min_len(least(g, g.batch * g.positions()));
    let rooms = || Rooms::new(some * of_x, some * of_dy);
    tasks.each_init(rooms, |rooms, (i, kernel)| {
        let group = groups.start + i;
        kernel.fill(T::zero());
        for first in (0..g.batch).step_by(some) {
            let samples = some.min(g.batch - first);
            for (i, n) in (first..first + samples).enumerate() {
                let x = &x[n * g.sample_len() + group * len_x..][..len_x];
                Isa::native().run(Fill {
                    planes: &planes,
                    channels: x,
                    to: &mut rooms.planes[i * of_x..(i + 1) * of_x],
                });
                let dy = &dy[n * g.output_len() + group * len_dy..][..len_dy];
                planes.put(g.output, dy, &mut rooms.sums[i * of_dy..(i + 1) * of_dy]);
            }
            Isa::native().run_in_registers(Dots {
                shifts: &shifts,
                planes: &rooms.planes[..samples * of_x],
                dy: &rooms.sums[..samples * of_dy],
                len: planes.outputs,
                samples,
                sums: kernel,
            });
        }
    });
}

/// What a task computes in.
struct Rooms<T> {
    /// Pixels, with zeros around them.
    planes: Buffer<T>,
    /// Outputs at their places, zeros in the gaps of those that are read.
    sums: Buffer<T>,
}

impl<T: Element> Rooms<T> {
    fn new(planes: usize, sums: usize) -> Self {
        let zeros = |len| Buffer::from(buffer::zeros(len));
        Self { planes: zeros(planes), sums: zeros(sums) }
    }

    fn fill(&mut self, planes: &Planes, channels: &[T]) {
        Isa::native().run(Fill { planes, channels, to: &mut self.planes });
    }

    /// Writes some rows of sums over all steps.
    fn sums(
        &mut self,
        steps: &[Step],
        weights: &[T],
        stride: usize,
        planes: &Planes,
        rows: Range<usize>,
    ) {
        Isa::native().run_in_registers(Sums {
            steps,
            planes: &self.planes,
            weights,
            stride,
            out: &mut self.sums[rows.start * planes.outputs..rows.end * planes.outputs],
            len: planes.outputs,
        });
    }
}

#[cfg(test)]
mod tests;
