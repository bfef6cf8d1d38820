//! In kernel space: kernels are mixed, and the input is convolved with the mixed one.

use super::{Aggregated, Gradients, Kept, SideBySide, align, scaled};
use super::{align_transform_gradient, align_weight_gradient};
use crate::kernel::conv::{self, InputGradient, KernelRows};
use crate::kernel::cost::Wanted;
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::kernel::panel::{Layout, Operand, Target, multiply};
use crate::kernel::reduce;
use crate::tensor::{Element, buffer, buffer::Buffer};

/// A kernel for each sample.
impl<T: Element> Aggregated<'_, T> {
    pub(super) fn forward_by_kernels(&self) -> (Vec<T>, Kept<Buffer<T>>) {
        let g = self.geometry;
        let aligned = self
            .alignment
            .map(|transform| Buffer::from(align(self.stack(), self.weight, transform)));
        let kernels = aligned.as_deref().unwrap_or(self.weight);
        let mut y = buffer::take(g.batch * g.output_len());
        for rows in self.blocks() {
            rows.forward(g, self.x, &self.mixed(&rows, kernels), &mut y);
        }
        (y, aligned.map_or(Kept::Nothing, Kept::Aligned))
    }

    /// With `D` `[N, rows C k k]` the gradients of all samples' kernels, some rows at a time:
    /// `dA = g^T D` and `dg += D A^T`, while `D` is in the cache; then `dW_i = T_i^T dA_i` and
    /// `dT_i = dA_i W_i^T`.
    pub(super) fn backward_by_kernels(
        &self,
        dy: &[T],
        kernels: &[T],
        wanted: Wanted,
    ) -> Gradients<T> {
        let (g, stack) = (self.geometry, self.stack());
        let mut dx = wanted.x.then(|| InputGradient::new(g));
        let mut dkernels = wanted.aligned().then(|| buffer::take(kernels.len()));
        let mut dgate = wanted.gate.then(|| buffer::zeros(self.gate.len()));
        for rows in self.blocks() {
            if let Some(dx) = &mut dx {
                dx.add(g, dy, &rows, &self.mixed(&rows, kernels));
            }
            // The gate's gradient needs `D`, also where kernels and alignments are frozen.
            if !wanted.mixed() {
                continue;
            }
            let range = rows.kernel(g);
            let mut d = buffer::scratch(g.batch * range.len());
            rows.kernel_gradient(g, self.x, dy, &mut d);
            let (d, gates) = (Matrix::new(&d, g.batch, range.len()), self.gates());
            let sources = self.of_sources(&rows, kernels);
            if let Some(dkernels) = &mut dkernels {
                let layout = Layout {
                    row_stride: stack.kernel_len(),
                    ..Layout::matrix(self.sources, range.len())
                };
                let target = Target::new(&mut dkernels[range.start..], layout);
                multiply(Operand::Steps(&gates), Operand::Steps(&d), g.batch, target, false);
            }
            if let Some(dgate) = &mut dgate {
                let target = Target::new(dgate, Layout::matrix(g.batch, self.sources));
                multiply(Operand::Lanes(&d), Operand::Lanes(&sources), range.len(), target, true);
            }
        }
        let x = dx.map(|dx| dx.finish(g));
        let found = Gradients { x, gate: dgate, ..Gradients::default() };
        let Some(dkernels) = dkernels else { return found };
        let Some(transform) = self.alignment else {
            return Gradients { weight: Some(dkernels), ..found };
        };
        let weight = wanted.weight.then(|| align_weight_gradient(stack, &dkernels, transform));
        let alignment =
            wanted.alignment.then(|| align_transform_gradient(stack, &dkernels, self.weight));
        buffer::give_back(dkernels);
        Gradients { weight, alignment, ..found }
    }

    /// Blocks of the kernel's rows, such that the kernels of all samples fit the third-level
    /// cache.
    fn blocks(&self) -> Vec<KernelRows> {
        const VALUES: usize = 1 << 21;
        KernelRows::blocks(self.geometry, VALUES / self.geometry.batch.max(1))
    }

    /// The sources' rows of a block, `[m, rows C k k]`.
    fn of_sources<'a>(&self, rows: &KernelRows, kernels: &'a [T]) -> Matrix<'a, T> {
        let range = rows.kernel(self.geometry);
        let stride = self.stack().kernel_len();
        Matrix::strided(&kernels[range.start..], self.sources, range.len(), stride)
    }

    /// The kernels of all samples, `[N, rows C k k]`: `K = g A`.
    fn mixed(&self, rows: &KernelRows, kernels: &[T]) -> Buffer<T> {
        let batch = self.geometry.batch;
        let mut mixed = buffer::scratch(batch * rows.kernel(self.geometry).len());
        par_gemm(self.gates(), self.of_sources(rows, kernels), &mut mixed);
        mixed
    }
}

/// One kernel for all samples: `K = sum_i g_i T_i W_i = T' W`, with `T'_i = g_i T_i`.
impl<T: Element> Aggregated<'_, T> {
    pub(super) fn forward_by_one_kernel(&self) -> (Vec<T>, Kept<Buffer<T>>) {
        let stack = self.stack();
        let kernel = match self.alignment {
            None => super::aggregate(self.gate, self.weight),
            Some(transform) => {
                let gated = self.gated(transform);
                let gated = SideBySide { transforms: &gated, outputs: stack.outputs };
                let weight = Matrix::new(self.weight, stack.sources * stack.outputs, stack.row);
                let mut kernel = buffer::take(stack.kernel_len());
                let target = Target::new(&mut kernel, Layout::matrix(stack.outputs, stack.row));
                let depth = stack.sources * stack.outputs;
                multiply(Operand::Lanes(&gated), Operand::Steps(&weight), depth, target, false);
                kernel
            }
        };
        (conv::forward(self.geometry, self.x, &kernel, None), Kept::Kernel(kernel.into()))
    }

    /// `dW = T'^T dK`, and with `dT' = dK W^T`: `dT_i = g_i dT'_i`, `dg_i = <dT'_i, T_i>`.
    pub(super) fn backward_by_one_kernel(
        &self,
        dy: &[T],
        kernel: Buffer<T>,
        wanted: Wanted,
    ) -> Gradients<T> {
        let (g, stack) = (self.geometry, self.stack());
        let x = wanted.x.then(|| conv::input_gradient(g, dy, &kernel));
        drop(kernel);
        // The gate's gradient needs `dK`, also where kernels and alignments are frozen.
        if !wanted.mixed() {
            return Gradients { x, ..Gradients::default() };
        }
        let dkernel = conv::kernel_gradient(g, self.x, dy);
        let Some(transform) = self.alignment else {
            let wanted = [wanted.gate, wanted.weight];
            let [gate, weight] =
                super::aggregate_gradients(self.gate, self.weight, &dkernel, wanted);
            buffer::give_back(dkernel);
            return Gradients { x, weight, gate, ..Gradients::default() };
        };
        let (outputs, all) = (stack.outputs, stack.sources * stack.outputs);
        let of_kernel = Matrix::new(&dkernel, outputs, stack.row);
        let weight = wanted.weight.then(|| {
            let gated = self.gated(transform);
            let gated_rows = SideBySide { transforms: &gated, outputs };
            let mut weight = buffer::take(self.weight.len());
            let target = Target::new(&mut weight, Layout::matrix(all, stack.row));
            let (rows, of_kernel) = (Operand::Steps(&gated_rows), Operand::Steps(&of_kernel));
            multiply(rows, of_kernel, outputs, target, false);
            buffer::give_back(gated);
            weight
        });
        // `dT'` is an alignment's gradient but for the gate, and what the gate's is made of.
        if !wanted.alignment && !wanted.gate {
            buffer::give_back(dkernel);
            return Gradients { x, weight, ..Gradients::default() };
        }
        let mut dgated = buffer::take(transform.len());
        let target = Target::new(&mut dgated, side_by_side(stack.sources, outputs));
        let sources = Matrix::new(self.weight, all, stack.row);
        multiply(Operand::Lanes(&of_kernel), Operand::Lanes(&sources), stack.row, target, false);
        buffer::give_back(dkernel);
        let parts = dgated.chunks(outputs * outputs).zip(transform.chunks(outputs * outputs));
        let dots = parts.map(|(d, transform)| reduce::dot(d, transform));
        let gate = wanted.gate.then(|| dots.collect());
        let alignment = wanted.alignment.then(|| self.gated(&dgated));
        buffer::give_back(dgated);
        Gradients { x, weight, alignment, gate, bias: None }
    }

    /// `g_i T_i`.
    fn gated(&self, transforms: &[T]) -> Vec<T> {
        let outputs = self.geometry.outputs;
        scaled(|i| self.gate[i], transforms, outputs * outputs)
    }
}

/// Where a matrix `[O, m O]` goes that is kept as `[m, O, O]`.
pub(super) fn side_by_side(sources: usize, outputs: usize) -> Layout {
    Layout {
        rows: outputs,
        samples: sources,
        positions: outputs,
        row_stride: outputs,
        sample_stride: outputs * outputs,
    }
}
