//! Channel alignment and the adaptive aggregation of kernels.
//!
//! The convolution of a zoo's layer is linear in everything: `y_n = sum_i g[n, i] T_i W_i * x_n`.
//! So there are two strategies, and [`cost`](super::cost) says which is the shorter one for a layer:
//!
//! ```text
//!  kernel space                              output space
//!    A_i = T_i W_i                             Z_i = W_i * x        one convolution of m O outputs
//!    K_n = sum_i g[n, i] A_i                   y_n = sum_i T_i (g[n, i] Z_in)
//!    y_n = K_n * x_n
//! ```
//!
//! Kernels are mixed where images are large, and outputs where they are small: the alignment of
//! kernels, `2 m O^2 C k^2` operations, does not shrink with the image. Where all samples share
//! a gate, `K = [g_1 T_1 .. g_m T_m] [W_1; ..; W_m]` is one product, and no `A_i` is ever made.
//!
//! The kernels of the samples are made some rows at a time, such that those of all samples are
//! still in a cache when they are used, and then they are forgotten; the backward pass makes
//! them again. The sources are read once for the whole batch.

mod kernels;
mod outputs;

use super::conv::add_bias;
use super::cost::{Rates, Sizes, Strategy, Wanted};
use super::dense;
use super::gemm::{Matrix, par_gemm};
use super::microkernel::{Isa, Vectorized};
use super::panel::Rows;
use super::parallel::Each;
use super::reduce;
use super::window::Geometry;
use crate::tensor::{Element, buffer, buffer::Buffer};
use rayon::prelude::*;
use std::ops::Range;

/// The sizes of the kernels of a zoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Sources, `m`.
    pub sources: usize,
    /// Output channels, `O`.
    pub outputs: usize,
    /// Values of one row of a kernel, `C k k`.
    pub row: usize,
}

impl Stack {
    /// Values of one source's kernel.
    pub fn kernel_len(&self) -> usize {
        self.outputs * self.row
    }
}

/// Mixes each source's kernel over its output channels: `A_i = T_i W_i`, for
/// `weight` `[m, O, C k k]` and `transform` `[m, O, O]`.
pub fn align<T: Element>(stack: Stack, weight: &[T], transform: &[T]) -> Vec<T> {
    let Stack { outputs, row, .. } = stack;
    let mut aligned = buffer::take(weight.len());
    aligned
        .par_chunks_mut(stack.kernel_len())
        .zip(weight.par_chunks(stack.kernel_len()))
        .zip(transform.par_chunks(outputs * outputs))
        .each(|((aligned, weight), transform)| {
            let transform = Matrix::new(transform, outputs, outputs);
            par_gemm(transform, Matrix::new(weight, outputs, row), aligned);
        });
    aligned
}

/// The gradient of `weight` in [`align`]: `dW_i = T_i^T dA_i`.
pub fn align_weight_gradient<T: Element>(stack: Stack, dy: &[T], transform: &[T]) -> Vec<T> {
    let Stack { outputs, row, .. } = stack;
    let mut dw = buffer::take(dy.len());
    dw.par_chunks_mut(stack.kernel_len())
        .zip(dy.par_chunks(stack.kernel_len()))
        .zip(transform.par_chunks(outputs * outputs))
        .each(|((dw, dy), transform)| {
            let transform = Matrix::new(transform, outputs, outputs);
            par_gemm(transform.t(), Matrix::new(dy, outputs, row), dw);
        });
    dw
}

/// The gradient of `transform` in [`align`]: `dT_i = dA_i W_i^T`.
pub fn align_transform_gradient<T: Element>(stack: Stack, dy: &[T], weight: &[T]) -> Vec<T> {
    let Stack { sources, outputs, row } = stack;
    let mut dt = buffer::take(sources * outputs * outputs);
    dt.par_chunks_mut(outputs * outputs)
        .zip(dy.par_chunks(stack.kernel_len()))
        .zip(weight.par_chunks(stack.kernel_len()))
        .each(|((dt, dy), weight)| {
            let weight = Matrix::new(weight, outputs, row);
            par_gemm(Matrix::new(dy, outputs, row), weight.t(), dt);
        });
    dt
}

/// One kernel for a whole batch (lite): `K = sum_i gate[i] A_i`, for `gate` `[m]` and
/// `values` `[m, len]`.
pub fn aggregate<T: Element>(gate: &[T], values: &[T]) -> Vec<T> {
    /// Values of a task.
    const CHUNK: usize = 1 << 14;
    let len = values.len() / gate.len();
    let mut out = buffer::take(len);
    // A product of one row would pack all values to use each once.
    out.par_chunks_mut(CHUNK).enumerate().each(|(chunk, out)| {
        Isa::native().run(WeightedSum { gate, values, len, first: chunk * CHUNK, out });
    });
    out
}

/// A part of the weighted sum of several rows of `len` values, from `first` on.
struct WeightedSum<'a, T> {
    gate: &'a [T],
    values: &'a [T],
    len: usize,
    first: usize,
    out: &'a mut [T],
}

impl<T: Element> Vectorized for WeightedSum<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { gate, values, len, first, out } = self;
        for (i, &gate) in gate.iter().enumerate() {
            let row = &values[i * len + first..][..out.len()];
            let places = out.iter_mut().zip(row);
            match i {
                0 => places.for_each(|(out, &value)| *out = gate * value),
                _ => places.for_each(|(out, &value)| *out += gate * value),
            }
        }
    }
}

/// The gradients of `gate` and `values` in [`aggregate`]:
/// `dg_i = <dK, A_i>` and `dA_i = g_i dK`.
pub fn aggregate_gradients<T: Element>(
    gate: &[T],
    values: &[T],
    dy: &[T],
    wanted: [bool; 2],
) -> [Option<Vec<T>>; 2] {
    let dgate = wanted[0].then(|| {
        let source = |i: usize| &values[i * dy.len()..][..dy.len()];
        (0..gate.len()).into_par_iter().map(|i| reduce::dot(dy, source(i))).collect()
    });
    let dvalues = wanted[1].then(|| {
        let mut dvalues = buffer::take(values.len());
        dvalues.par_chunks_mut(dy.len()).zip(gate).each(|(out, &gate)| {
            out.iter_mut().zip(dy).for_each(|(out, &dy)| *out = gate * dy);
        });
        dvalues
    });
    [dgate, dvalues]
}

/// The operands of a convolution whose kernel is aggregated from a zoo.
#[derive(Clone, Copy)]
pub struct Aggregated<'a, T> {
    /// Sizes of the convolution.
    pub geometry: &'a Geometry,
    /// Input, `[N, C, H, W]`.
    pub x: &'a [T],
    /// Kernels of the sources, `W` `[m, O, C / groups, kh, kw]`.
    pub weight: &'a [T],
    /// Channel alignment, `T` `[m, O, O]`.
    pub alignment: Option<&'a [T]>,
    /// Biases, `[m, O]`.
    pub bias: Option<&'a [T]>,
    /// Gate, `[N, m]`, or `[m]` for all samples.
    pub gate: &'a [T],
    /// Sources, `m`.
    pub sources: usize,
}

/// What the forward pass keeps for the backward pass, in buffers `B` of where it was made.
pub enum Kept<B> {
    /// Nothing: the kernels of the sources are used as they are.
    Nothing,
    /// The aligned kernels, `A` `[m, O, C / groups, kh, kw]`.
    Aligned(B),
    /// The one kernel of all samples, `[O, C / groups, kh, kw]`.
    Kernel(B),
    /// The outputs of the sources, `Z` `[N, m, O, H', W']`.
    Outputs(B),
}

impl<B> Kept<B> {
    /// The strategy that the forward pass followed.
    pub fn strategy(&self) -> Strategy {
        match self {
            Self::Outputs(_) => Strategy::OutputSpace,
            Self::Nothing | Self::Aligned(_) | Self::Kernel(_) => Strategy::KernelSpace,
        }
    }
}

/// The gradients of a convolution whose kernel is aggregated, of the shapes of the operands; those
/// that were wanted.
#[derive(Default)]
pub struct Gradients<T> {
    /// Of the input.
    pub x: Option<Vec<T>>,
    /// Of the sources' kernels.
    pub weight: Option<Vec<T>>,
    /// If there is an alignment.
    pub alignment: Option<Vec<T>>,
    /// If there are biases.
    pub bias: Option<Vec<T>>,
    /// Of the gate.
    pub gate: Option<Vec<T>>,
}

impl<T: Element> Aggregated<'_, T> {
    /// `y_n = conv(x_n, sum_i gate[n, i] T_i W_i) + sum_i gate[n, i] bias_i`, of shape
    /// `[N, O, H', W']`, and what the backward pass needs of it.
    pub fn forward(&self, strategy: Strategy) -> (Vec<T>, Kept<Buffer<T>>) {
        let (mut y, kept) = match strategy {
            Strategy::KernelSpace if self.is_shared() => self.forward_by_one_kernel(),
            Strategy::KernelSpace => self.forward_by_kernels(),
            Strategy::OutputSpace => self.forward_by_outputs(),
        };
        if let Some(bias) = self.bias {
            for (n, y) in y.chunks_mut(self.geometry.output_len()).enumerate() {
                add_bias(self.geometry, &aggregate(self.gate_of(n), bias), y);
            }
        }
        (y, kept)
    }

    /// The wanted gradients for `dy` `[N, O, H', W']`. The values of one do not depend on which
    /// others are wanted.
    pub fn backward(&self, dy: &[T], kept: Kept<Buffer<T>>, wanted: Wanted) -> Gradients<T> {
        let mut gradients = match kept {
            Kept::Outputs(outputs) => self.backward_by_outputs(dy, outputs, wanted),
            Kept::Kernel(kernel) => self.backward_by_one_kernel(dy, kernel, wanted),
            Kept::Aligned(aligned) => self.backward_by_kernels(dy, &aligned, wanted),
            Kept::Nothing => self.backward_by_kernels(dy, self.weight, wanted),
        };
        if let Some(bias) = self.bias {
            let [dbias, dgate] = self.bias_gradients(bias, dy, [wanted.bias, wanted.gate]);
            if let Some((gate, share)) = gradients.gate.as_mut().zip(dgate) {
                reduce::add_scaled(gate, T::one(), &share);
            }
            gradients.bias = dbias;
        }
        gradients
    }

    /// The shorter strategy here: of the forward pass alone, or of forward and backward pass.
    ///
    /// A fully connected layer uses the kernel of each sample at one position only: to mix outputs is
    /// shorter, also where nothing aligns them.
    pub fn shortest(&self, is_training: bool) -> Strategy {
        if dense::wins(self.geometry) && !self.is_shared() {
            return Strategy::OutputSpace;
        }
        self.sizes().shortest(is_training, Rates::CORE)
    }

    /// What its cost depends on.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            geometry: *self.geometry,
            sources: self.sources,
            is_aligned: self.alignment.is_some(),
            is_shared: self.is_shared(),
            value: size_of::<T>(),
        }
    }

    /// Whether all samples share a gate.
    fn is_shared(&self) -> bool {
        self.gate.len() == self.sources
    }

    /// The gate of a sample, `[m]`.
    fn gate_of(&self, n: usize) -> &[T] {
        let first = if self.is_shared() { 0 } else { n * self.sources };
        &self.gate[first..first + self.sources]
    }

    /// The gate as a matrix, with a row for each sample or one for all.
    fn gates(&self) -> Matrix<'_, T> {
        Matrix::new(self.gate, self.gate.len() / self.sources, self.sources)
    }

    fn stack(&self) -> Stack {
        let (outputs, row) = (self.geometry.outputs, self.geometry.row_len());
        Stack { sources: self.sources, outputs, row }
    }

    /// The gradients of `bias` `[m, O]`, and the biases' share of the gate's, if they are wanted.
    fn bias_gradients(&self, bias: &[T], dy: &[T], wanted: [bool; 2]) -> [Option<Vec<T>>; 2] {
        let (g, m) = (self.geometry, self.sources);
        let mut dbias = wanted[0].then(|| buffer::zeros(bias.len()));
        let mut dgate = wanted[1].then(|| buffer::zeros(self.gate.len()));
        if wanted == [false; 2] {
            return [None, None];
        }
        for (n, dy) in dy.chunks(g.output_len()).enumerate() {
            let db: Vec<T> = dy.chunks(g.positions()).map(reduce::sum).collect();
            for (i, &gate) in self.gate_of(n).iter().enumerate() {
                let source = i * g.outputs..(i + 1) * g.outputs;
                if let Some(dbias) = &mut dbias {
                    reduce::add_scaled(&mut dbias[source.clone()], gate, &db);
                }
                if let Some(dgate) = &mut dgate {
                    let at = if self.is_shared() { i } else { n * m + i };
                    dgate[at] += reduce::dot(&bias[source], &db);
                }
            }
        }
        [dbias, dgate]
    }
}

/// The alignments of all sources side by side, `[O, m O]`: row `o` holds `T_i[o]` for one source
/// after the other.
struct SideBySide<'a, T> {
    transforms: &'a [T],
    outputs: usize,
}

impl<T: Element> Rows<T> for SideBySide<'_, T> {
    #[inline(always)]
    fn row<'a>(&'a self, row: usize, columns: Range<usize>, line: &'a mut [T]) -> &'a [T] {
        let outputs = self.outputs;
        let mut at = columns.start;
        while at < columns.end {
            let (source, first) = (at / outputs, at % outputs);
            let len = (outputs - first).min(columns.end - at);
            let from = (source * outputs + row) * outputs + first;
            line[at - columns.start..][..len].copy_from_slice(&self.transforms[from..from + len]);
            at += len;
        }
        line
    }
}

/// Each source's part of `values` `[m, len]`, or of `[N, m, len]` sample by sample, times its
/// gate.
fn scaled<T: Element>(gate: impl Fn(usize) -> T + Sync, values: &[T], len: usize) -> Vec<T> {
    let mut out = buffer::take(values.len());
    out.par_chunks_mut(len).zip(values.par_chunks(len)).enumerate().each(
        |(part, (out, values))| {
            let gate = gate(part);
            out.iter_mut().zip(values).for_each(|(out, &value)| *out = gate * value);
        },
    );
    out
}

#[cfg(test)]
mod tests;
