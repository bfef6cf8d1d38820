//! In output space: the input is convolved with the kernels of all sources, and the outputs are
//! mixed.

use super::aggregate::{Found, Operands, gated_parts, side_by_side};
use super::{conv, reduce};
use crate::kernel::aggregate::Kept;
use crate::kernel::cost::Wanted;
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
        wanted: Wanted,
    ) -> Result<Found> {
        let (device, g, m) = (self.device, &self.layer.geometry, self.layer.sources);
        let mixing = self.of_outputs();
        let alignment = wanted.alignment.then(|| {
            let gated = self.gated_outputs(&outputs)?;
            let dtransforms = conv::kernel_gradient::<T>(device, &mixing, &gated, dy)?;
            side_by_side::<T>(device, &dtransforms, [g.outputs, m, g.outputs])
        });
        let found = Found { alignment: alignment.transpose()?, ..Found::default() };
        // The gate's gradient needs `dZ'`, also where the input and the kernels have none.
        if !(wanted.x || wanted.weight || wanted.gate) {
            return Ok(found);
        }
        let dgated = conv::input_gradient::<T>(device, &mixing, dy, &self.transforms()?)?;
        let gate = wanted.gate.then(|| {
            let sizes = [g.batch * m, g.output_len()];
            let of_parts = reduce::row_dots::<T>(device, &dgated, &outputs, sizes, 1)?;
            if !self.layer.is_shared() {
                return Ok(of_parts);
            }
            reduce::column_sums(device, &of_parts, T::one(), g.batch, m)
        });
        let found = Found { gate: gate.transpose()?, ..found };
        drop(outputs);
        if !(wanted.x || wanted.weight) {
            return Ok(found);
        }
        let doutputs = self.gated_outputs(&dgated)?;
        drop(dgated);
        let all = self.of_all_sources();
        let x = wanted
            .x
            .then(|| conv::input_gradient::<T>(device, &all, &doutputs, self.weight))
            .transpose()?;
        let weight = wanted
            .weight
            .then(|| conv::kernel_gradient::<T>(device, &all, self.x, &doutputs))
            .transpose()?;
        Ok(Found { x, weight, ..found })
    }
}
