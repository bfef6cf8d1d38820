//! Convolutions with 3x3 taps in transformed form: products of a quarter of the multiplications, a
//! batch of 36 for each group. See `winograd.cl`.

use super::WINOGRAD;
use super::plan::Plan;
use super::product::{Matrices, multiply};
use crate::Result;
use crate::kernel::cost::winograd_wins;
use crate::kernel::window::Geometry;
use crate::tensor::Element;
use crate::tensor::opencl::{Launch, Memory, OpenCl};
use std::sync::Arc;

/// Rows and columns of outputs that a tile has.
const OUT: usize = 4;
/// Places of a transformed tile.
const PLACES: usize = 36;

/// Whether this form is the shorter one, by the same count of operations as on the processor, and
/// its transforms, which are held at once, are no burden on the device's memory.
pub(super) fn wins<T: Element>(device: &OpenCl, g: &Geometry) -> bool {
    const MOST: usize = 1 << 27;
    let (channels, outputs) = (g.channels_per_group(), g.outputs);
    let images = tiles(g.batch, g.output).saturating_mul(g.channels.max(outputs));
    let values = PLACES.saturating_mul(images.max(outputs.saturating_mul(channels)));
    values <= MOST.min(Plan::of::<T>(device).room) && winograd_wins(g, g.outputs_per_group())
}

/// Tiles of so many samples with outputs of that size.
fn tiles(samples: usize, [height, width]: [usize; 2]) -> usize {
    samples * height.div_ceil(OUT) * width.div_ceil(OUT)
}

/// The argument `Tiles` of `winograd.cl`.
#[derive(Clone, Copy)]
struct Tiles {
    samples: usize,
    channels: usize,
    groups: usize,
    /// Of what the tiles see.
    size: [usize; 2],
    output: [usize; 2],
    padding: [usize; 2],
}

impl Tiles {
    /// What the convolution sees of its input.
    fn of_input(g: &Geometry) -> Self {
        Self {
            samples: g.batch,
            channels: g.channels,
            groups: g.window.groups,
            size: g.input,
            output: g.output,
            padding: g.window.padding,
        }
    }

    /// The same tiles of the outputs.
    fn of_output(g: &Geometry) -> Self {
        Self { channels: g.outputs, size: g.output, padding: [0; 2], ..Self::of_input(g) }
    }

    /// How many there are of one channel.
    fn count(&self) -> usize {
        tiles(self.samples, self.output)
    }

    fn argument<'a>(&self, launch: Launch<'a>) -> Launch<'a> {
        let Self { samples, channels, groups, size, output, padding } = *self;
        launch.ints(&[&[samples, channels, groups][..], &size, &output, &padding].concat())
    }

    /// Images `[N, channels, H, W]` in transformed form, `[groups, 36, channels, tiles]`.
    fn to_places<T: Element>(
        self,
        device: &Arc<OpenCl>,
        kernel: &'static str,
        images: &Memory,
    ) -> Result<Memory> {
        let places = device.take::<T>(PLACES * self.channels * self.count())?;
        let launch = Plan::launch::<T>(device, WINOGRAD, kernel).memory(images).memory(&places);
        self.argument(launch).run(Plan::of::<T>(device).runs_alone([
            self.count(),
            self.channels,
            1,
        ]))?;
        Ok(places)
    }

    /// What [`to_places`](Self::to_places) is of outputs, back as such.
    fn to_outputs<T: Element>(self, device: &Arc<OpenCl>, places: &Memory) -> Result<Memory> {
        let y = device.take::<T>(self.samples * self.channels * self.output[0] * self.output[1])?;
        let launch = Plan::launch::<T>(device, WINOGRAD, "places_to_outputs");
        self.argument(launch.memory(places).memory(&y)).run(Plan::of::<T>(device).runs_alone([
            self.count(),
            self.channels,
            1,
        ]))?;
        Ok(y)
    }
}

/// Kernels in transformed form, `[groups, 36, rows, depth]`; transposed for the input gradient, for
/// which outputs and channels change places.
fn kernels_to_places<T: Element>(
    device: &Arc<OpenCl>,
    weight: &Memory,
    [groups, rows, depth]: [usize; 3],
    is_transposed: bool,
) -> Result<Memory> {
    let places = device.take::<T>(groups * PLACES * rows * depth)?;
    Plan::launch::<T>(device, WINOGRAD, "kernels_to_places")
        .memory(weight)
        .memory(&places)
        .int(rows)
        .int(depth)
        .int(usize::from(is_transposed))
        .run(Plan::of::<T>(device).runs_alone([depth, rows, groups]))?;
    Ok(places)
}

/// `Y = A^T [(G W G^T) (B^T X B)] A`.
pub(super) fn forward<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    x: &Memory,
    weight: &Memory,
) -> Result<Memory> {
    let (groups, rows, depth) = (g.window.groups, g.outputs_per_group(), g.channels_per_group());
    let tiles = Tiles::of_input(g);
    let kernels = kernels_to_places::<T>(device, weight, [groups, rows, depth], false)?;
    let pixels = tiles.to_places::<T>(device, "pixels_to_places", x)?;
    let (kernels, pixels) =
        (Matrices::new(&kernels, rows, depth), Matrices::new(&pixels, depth, tiles.count()));
    let places = multiply::<T>(device, kernels, pixels, groups * PLACES)?;
    Tiles { channels: g.outputs, ..tiles }.to_outputs::<T>(device, &places)
}

/// The same of `dy`, with the kernels transposed.
pub(super) fn input_gradient<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    dy: &Memory,
    weight: &Memory,
) -> Result<Memory> {
    let (groups, rows, depth) = (g.window.groups, g.channels_per_group(), g.outputs_per_group());
    let padding = g.window.padding.map(|padding| 2 - padding);
    let tiles = Tiles { output: g.input, padding, ..Tiles::of_output(g) };
    let kernels = kernels_to_places::<T>(device, weight, [groups, rows, depth], true)?;
    let pixels = tiles.to_places::<T>(device, "pixels_to_places", dy)?;
    let (kernels, pixels) =
        (Matrices::new(&kernels, rows, depth), Matrices::new(&pixels, depth, tiles.count()));
    let places = multiply::<T>(device, kernels, pixels, groups * PLACES)?;
    Tiles { channels: g.channels, ..tiles }.to_outputs::<T>(device, &places)
}

/// `dW = G^T [(A dY A^T) (B^T X B)^T] G`, summed over the tiles.
pub(super) fn kernel_gradient<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    x: &Memory,
    dy: &Memory,
) -> Result<Memory> {
    let (groups, rows, depth) = (g.window.groups, g.outputs_per_group(), g.channels_per_group());
    let tiles = Tiles::of_input(g);
    let pixels = tiles.to_places::<T>(device, "pixels_to_places", x)?;
    let spread = Tiles::of_output(g).to_places::<T>(device, "outputs_to_places", dy)?;
    let (spread, pixels) =
        (Matrices::new(&spread, rows, tiles.count()), Matrices::new(&pixels, depth, tiles.count()));
    let places = multiply::<T>(device, spread, pixels.t(), groups * PLACES)?;
    let dw = device.take::<T>(g.outputs * g.row_len())?;
    Plan::launch::<T>(device, WINOGRAD, "places_to_kernels")
        .memory(&places)
        .memory(&dw)
        .int(rows)
        .int(depth)
        .run(Plan::of::<T>(device).runs_alone([depth, rows, groups]))?;
    Ok(dw)
}
