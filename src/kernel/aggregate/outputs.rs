//! In output space: the input is convolved with the kernels of all sources, and the outputs are
//! mixed.

use super::kernels::side_by_side;
use super::{Aggregated, Gradients, Kept, SideBySide, scaled};
use crate::kernel::conv;
use crate::kernel::cost::Wanted;
use crate::kernel::panel::{Layout, Operand, Target, multiply};
use crate::kernel::parallel::Each;
use crate::kernel::reduce;
use crate::kernel::window::{Geometry, Unfolded};
use crate::tensor::{Element, buffer, buffer::Buffer};
use rayon::prelude::*;

impl<T: Element> Aggregated<'_, T> {
    /// The convolution whose outputs are those of all sources, in one group.
    fn of_all_sources(&self) -> Geometry {
        let outputs = self.sources * self.geometry.outputs;
        Geometry { outputs, ..*self.geometry }
    }

    /// `[O, m O]`.
    fn transforms(&self) -> SideBySide<'_, T> {
        let transforms = self.alignment.unwrap_or_default();
        SideBySide { transforms, outputs: self.geometry.outputs }
    }

    /// `g[n, i] Z_in`, for the outputs of all sources or their gradients.
    fn gated_outputs(&self, values: &[T]) -> Vec<T> {
        let m = self.sources;
        scaled(|part| self.gate_of(part / m)[part % m], values, self.geometry.output_len())
    }

    /// `[N, m O, H', W']` as a matrix `[m O, N H' W']`.
    fn all_outputs_layout(&self) -> Layout {
        let all = self.of_all_sources();
        Layout {
            rows: all.outputs,
            samples: all.batch,
            positions: all.positions(),
            row_stride: all.positions(),
            sample_stride: all.output_len(),
        }
    }

    /// `Z = W * x`, then `Y = T (g Z)`.
    pub(super) fn forward_by_outputs(&self) -> (Vec<T>, Kept<Buffer<T>>) {
        let (g, all) = (self.geometry, self.of_all_sources());
        let outputs = conv::forward(&all, self.x, self.weight, None);
        if self.alignment.is_none() {
            let y = self.summed(&outputs);
            return (y, Kept::Outputs(outputs.into()));
        }
        let gated = self.gated_outputs(&outputs);
        let columns = Unfolded::flat(&gated, all.outputs, 0, g.positions());
        let mut y = buffer::take(g.batch * g.output_len());
        let layout =
            Layout { rows: g.outputs, sample_stride: g.output_len(), ..self.all_outputs_layout() };
        let target = Target::new(&mut y, layout);
        let transforms = self.transforms();
        multiply(Operand::Lanes(&transforms), Operand::Steps(&columns), all.outputs, target, false);
        buffer::give_back(gated);
        (y, Kept::Outputs(outputs.into()))
    }

    /// `sum_i g[n, i] Z_in`, of shape `[N, O, H', W']`.
    fn summed(&self, outputs: &[T]) -> Vec<T> {
        let len = self.geometry.output_len();
        let mut y = buffer::zeros(self.geometry.batch * len);
        let samples = y.par_chunks_mut(len).zip(outputs.par_chunks(self.sources * len));
        samples.enumerate().each(|(n, (y, outputs))| {
            let parts = self.gate_of(n).iter().zip(outputs.chunks(len));
            parts.for_each(|(&gate, outputs)| reduce::add_scaled(y, gate, outputs));
        });
        y
    }

    /// What comes back to the outputs of all sources, where nothing aligns them: `dY` to each,
    /// `[N, m, O, H', W']`.
    fn for_each_source(&self, dy: &[T]) -> Vec<T> {
        let len = self.geometry.output_len();
        let mut each = buffer::take(dy.len() * self.sources);
        each.par_chunks_mut(self.sources * len).zip(dy.par_chunks(len)).each(|(each, dy)| {
            each.chunks_mut(len).for_each(|each| each.copy_from_slice(dy));
        });
        each
    }

    /// With `dZ' = T^T dY`: `dT = dY (g Z)^T`, `dg[n, i] = <dZ'_in, Z_in>`, and with
    /// `dZ = g dZ'` the gradients of the convolution.
    pub(super) fn backward_by_outputs(
        &self,
        dy: &[T],
        outputs: Buffer<T>,
        wanted: Wanted,
    ) -> Gradients<T> {
        let (g, all) = (self.geometry, self.of_all_sources());
        let alignment = (wanted.alignment && self.alignment.is_some())
            .then(|| self.alignment_gradient(dy, &outputs));
        let found = Gradients { alignment, ..Gradients::default() };
        // The gate's gradient needs `dZ'`, also where the input and the kernels have none.
        if !(wanted.x || wanted.weight || wanted.gate) {
            return found;
        }
        let dgated = match self.alignment {
            None => self.for_each_source(dy),
            Some(_) => self.through_alignment(dy, outputs.len()),
        };
        let gate = wanted.gate.then(|| {
            let parts = dgated.par_chunks(g.output_len()).zip(outputs.par_chunks(g.output_len()));
            let of_parts: Vec<T> = parts.map(|(d, outputs)| reduce::dot(d, outputs)).collect();
            let mut gate = buffer::zeros(self.gate.len());
            let shared = self.gate.len();
            of_parts.iter().enumerate().for_each(|(part, &d)| gate[part % shared] += d);
            gate
        });
        drop(outputs);
        if !(wanted.x || wanted.weight) {
            buffer::give_back(dgated);
            return Gradients { gate, ..found };
        }
        let doutputs = self.gated_outputs(&dgated);
        buffer::give_back(dgated);
        let x = wanted.x.then(|| conv::input_gradient(&all, &doutputs, self.weight));
        let weight = wanted.weight.then(|| conv::kernel_gradient(&all, self.x, &doutputs));
        buffer::give_back(doutputs);
        Gradients { x, weight, gate, ..found }
    }

    /// `dZ' = T^T dY`, of `len` values.
    fn through_alignment(&self, dy: &[T], len: usize) -> Vec<T> {
        let g = self.geometry;
        let columns = Unfolded::flat(dy, g.outputs, 0, g.positions());
        let mut dgated = buffer::take(len);
        let target = Target::new(&mut dgated, self.all_outputs_layout());
        let transforms = self.transforms();
        multiply(Operand::Steps(&transforms), Operand::Steps(&columns), g.outputs, target, false);
        dgated
    }

    /// `dT = dY (g Z)^T`.
    fn alignment_gradient(&self, dy: &[T], outputs: &[T]) -> Vec<T> {
        let (g, all, m) = (self.geometry, self.of_all_sources(), self.sources);
        let columns = Unfolded::flat(dy, g.outputs, 0, g.positions());
        let gated = self.gated_outputs(outputs);
        let mut alignment = buffer::take(m * g.outputs * g.outputs);
        let target = Target::new(&mut alignment, side_by_side(m, g.outputs));
        let gated_columns = Unfolded::flat(&gated, all.outputs, 0, g.positions());
        let depth = g.batch * g.positions();
        multiply(Operand::Lanes(&columns), Operand::Lanes(&gated_columns), depth, target, false);
        buffer::give_back(gated);
        alignment
    }
}
