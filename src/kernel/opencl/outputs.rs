//! The second way to a zoo's layer: the input is convolved with the kernels of all sources, and
//! the outputs are mixed.

use super::aggregate::{Found, Operands, gated_parts, side_by_side};
use super::{conv, reduce};
use crate::kernel::aggregate::Kept;
use crate::kernel::window::{Geometry, Window};
use crate::tensor::Element;
use crate::tensor::opencl::Memory;
use crate::{Error, Result};

impl<T: Element> Operands<'_, T> {
    /// The convolution whose outputs are those of all sources, in one group.
    fn of_all_sources(&self) -> Geometry {
        let g = self.layer.geometry;
        Geometry { outputs: self.layer.sources * g.outputs, ..g }
    }

    /// The convolution of one tap that makes the outputs of all sources into one.
    fn of_outputs(&self) -> Geometry {
        let g = self.layer.geometry;
        Geometry {
            channels: self.layer.sources * g.outputs,
            input: g.output,
            taps: [1, 1],
            window: Window::default(),
            ..g
        }
    }

    /// `[O, m O]`.
    fn transforms(&self) -> Result<Memory> {
        let transform = self.alignment.ok_or_else(|| {
            Error::argument("aggregated_conv2d", "outputs are mixed by an alignment only")
        })?;
        let (m, outputs) = (self.layer.sources, self.layer.geometry.outputs);
        side_by_side::<T>(self.device, transform, [m, outputs, outputs])
    }

    /// `g[n, i] Z_in`, for the outputs of all sources or their gradients.
    fn gated_outputs(&self, values: &Memory) -> Result<Memory> {
        let (g, m) = (&self.layer.geometry, self.layer.sources);
        let parts = [g.batch * m, g.output_len()];
        gated_parts::<T>(self.device, self.gate, self.gates() * m, values, parts)
    }

    /// `Z = W * x`, then `Y = T (g Z)`.
    pub fn forward_by_outputs(&self) -> Result<(Memory, Kept<Memory>)> {
        let transforms = self.transforms()?;
        let outputs = conv::forward::<T>(self.device, &self.of_all_sources(), self.x, self.weight)?;
        let gated = self.gated_outputs(&outputs)?;
        let y = conv::forward::<T>(self.device, &self.of_outputs(), &gated, &transforms)?;
        Ok((y, Kept::Outputs(outputs)))
    }

    /// With `dZ' = T^T dY`: `dT = dY (g Z)^T`, `dg[n, i] = <dZ'_in, Z_in>`, and with
    /// `dZ = g dZ'` the gradients of the convolution.
    pub fn backward_by_outputs(
        &self,
        dy: &Memory,
        outputs: Memory,
        wants_x: bool,
    ) -> Result<Found> {
        let (device, g, m) = (self.device, &self.layer.geometry, self.layer.sources);
        let mixing = self.of_outputs();
        let dgated = conv::input_gradient::<T>(device, &mixing, dy, &self.transforms()?)?;
        let gated = self.gated_outputs(&outputs)?;
        let dtransforms = conv::kernel_gradient::<T>(device, &mixing, &gated, dy)?;
        drop(gated);
        let alignment = side_by_side::<T>(device, &dtransforms, [g.outputs, m, g.outputs])?;
        let sizes = [g.batch * m, g.output_len()];
        let mut gate = reduce::row_dots::<T>(device, &dgated, &outputs, sizes, 1)?;
        drop(outputs);
        if self.layer.is_shared() {
            gate = reduce::column_sums(device, &gate, T::one(), g.batch, m)?;
        }
        let doutputs = self.gated_outputs(&dgated)?;
        drop(dgated);
        let all = self.of_all_sources();
        let x = wants_x
            .then(|| conv::input_gradient::<T>(device, &all, &doutputs, self.weight))
            .transpose()?;
        let weight = conv::kernel_gradient::<T>(device, &all, self.x, &doutputs)?;
        Ok(Found { x, weight, alignment: Some(alignment), gate })
    }
}
