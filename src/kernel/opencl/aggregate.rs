//! Kernels of a zoo, aligned and mixed: in kernel space, and what both strategies have in common.

use super::plan::Plan;
use super::product::{Matrices, multiply, multiply_into};
use super::{AGGREGATE, conv, reduce};
use crate::Result;
use crate::kernel::aggregate::{Kept, Stack};
use crate::kernel::cost::{Rates, Strategy, Wanted};
use crate::kernel::engine::{self, Aggregation, Layer, LayerGradients};
use crate::kernel::window::Geometry;
use crate::tensor::opencl::{Memory, OpenCl};
use crate::tensor::{Element, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// What a graphics card does in a second, as an H100 was measured; of other devices, the ratio is
/// about the same.
const RATES: Rates = Rates { operations: 3.3e13, bytes: 3.3e12 };

/// The wanted gradients of a layer's operands, but for the biases'.
#[derive(Default)]
pub(super) struct Found {
    pub x: Option<Memory>,
    pub weight: Option<Memory>,
    pub alignment: Option<Memory>,
    pub gate: Option<Memory>,
}

/// The operands of a layer, on a device.
pub(super) struct Operands<'a, T> {
    pub device: &'a Arc<OpenCl>,
    pub layer: &'a Layer<T>,
    pub x: &'a Memory,
    pub weight: &'a Memory,
    pub alignment: Option<&'a Memory>,
    pub bias: Option<&'a Memory>,
    pub gate: &'a Memory,
}

impl<'a, T: Element> Operands<'a, T> {
    fn new(device: &'a Arc<OpenCl>, layer: &'a Layer<T>) -> Result<Self> {
        let memory = |tensor: &'a Tensor<T>| tensor.memory(device);
        Ok(Self {
            device,
            layer,
            x: memory(&layer.x)?,
            weight: memory(&layer.weight)?,
            alignment: layer.alignment.as_ref().map(memory).transpose()?,
            bias: layer.bias.as_ref().map(memory).transpose()?,
            gate: memory(&layer.gate)?,
        })
    }

    /// How many gates there are: one for each sample, or one for all.
    pub fn gates(&self) -> usize {
        if self.layer.is_shared() { 1 } else { self.layer.geometry.batch }
    }

    /// `T_i W_i`, in memory of its own.
    fn aligned(&self, transform: &Memory) -> Result<Memory> {
        align::<T>(self.device, self.layer.stack(), self.weight, transform)
    }
}

/// One kernel for all samples: `K = sum_i g_i T_i W_i = T' W`, with `T'_i = g_i T_i`.
impl<T: Element> Operands<'_, T> {
    fn forward_by_one_kernel(&self) -> Result<(Memory, Kept<Memory>)> {
        let Stack { sources, outputs, row } = self.layer.stack();
        let kernel = match self.alignment {
            None => {
                let mixed = self.device.take::<T>(outputs * row)?;
                let gate = Mixer { weights: self.gate, strides: [sources, 1] };
                gate.mix::<T>(
                    self.device,
                    self.weight,
                    &mixed,
                    [1, sources, outputs * row],
                    false,
                )?;
                mixed
            }
            Some(transform) => {
                let gated = self.gated_side_by_side(transform)?;
                let gated = Matrices::new(&gated, outputs, sources * outputs);
                let weight = Matrices::new(self.weight, sources * outputs, row);
                multiply::<T>(self.device, gated, weight, 1)?
            }
        };
        let y = conv::forward::<T>(self.device, &self.layer.geometry, self.x, &kernel)?;
        Ok((y, Kept::Kernel(kernel)))
    }

    /// `dW = T'^T dK`, and with `dT' = dK W^T`: `dT_i = g_i dT'_i`, `dg_i = <dT'_i, T_i>`.
    fn backward_by_one_kernel(&self, dy: &Memory, kernel: Memory, wanted: Wanted) -> Result<Found> {
        let (device, g) = (self.device, &self.layer.geometry);
        let Stack { sources, outputs, row } = self.layer.stack();
        let len = outputs * row;
        let x = wanted.x.then(|| conv::input_gradient::<T>(device, g, dy, &kernel)).transpose()?;
        drop(kernel);
        // The gate's gradient needs `dK`, also where kernels and alignments are frozen.
        if !wanted.mixed() {
            return Ok(Found { x, ..Found::default() });
        }
        let dkernel = conv::kernel_gradient::<T>(device, g, self.x, dy)?;
        let Some(transform) = self.alignment else {
            let sizes = [sources, len];
            let dots = || reduce::row_dots::<T>(device, &dkernel, self.weight, sizes, sources);
            let gate = wanted.gate.then(dots).transpose()?;
            let weight = wanted.weight.then(|| shares::<T>(device, self.gate, &dkernel, sizes));
            return Ok(Found { x, weight: weight.transpose()?, alignment: None, gate });
        };
        let (all, square) = (sources * outputs, outputs * outputs);
        let of_kernel = Matrices::new(&dkernel, outputs, row);
        let weight = wanted.weight.then(|| {
            let gated = self.gated_side_by_side(transform)?;
            multiply::<T>(device, Matrices::new(&gated, outputs, all).t(), of_kernel, 1)
        });
        let found = Found { x, weight: weight.transpose()?, ..Found::default() };
        // `dT'` is an alignment's gradient but for the gate, and what the gate's is made of.
        if !wanted.alignment && !wanted.gate {
            return Ok(found);
        }
        let sources_rows = Matrices::new(self.weight, all, row);
        let dgated = multiply::<T>(device, of_kernel, sources_rows.t(), 1)?;
        // Back from `[O, m O]` to `[m, O, O]`.
        let dgated = side_by_side::<T>(device, &dgated, [outputs, sources, outputs])?;
        let sizes = [sources, square];
        let gate = wanted.gate.then(|| reduce::row_dots::<T>(device, &dgated, transform, sizes, 1));
        let alignment =
            wanted.alignment.then(|| gated_parts::<T>(device, self.gate, sources, &dgated, sizes));
        Ok(Found { alignment: alignment.transpose()?, gate: gate.transpose()?, ..found })
    }

    /// `g_i T_i` for one source after the other in each row, `[O, m O]`.
    fn gated_side_by_side(&self, transform: &Memory) -> Result<Memory> {
        let Stack { sources, outputs, .. } = self.layer.stack();
        let parts = [sources, outputs * outputs];
        let gated = gated_parts::<T>(self.device, self.gate, sources, transform, parts)?;
        side_by_side::<T>(self.device, &gated, [sources, outputs, outputs])
    }
}

/// A kernel for each sample. Those of some samples are made at a time, in a scratch that does not
/// grow with the batch; the backward pass makes them again.
impl<T: Element> Operands<'_, T> {
    fn forward_by_kernels(&self) -> Result<(Memory, Kept<Memory>)> {
        let (device, g) = (self.device, &self.layer.geometry);
        let aligned = self.alignment.map(|transform| self.aligned(transform)).transpose()?;
        let kernels = aligned.as_ref().unwrap_or(self.weight);
        let mut y = None;
        for samples in self.blocks() {
            let x = self.part(self.x, &samples, g.sample_len())?;
            let mixed = self.mixed(&samples, kernels)?;
            let part = conv::forward::<T>(
                device,
                &side_by_side_samples(g, samples.len()),
                x.memory(),
                &mixed,
            )?;
            self.put(&mut y, part, &samples, g.output_len())?;
        }
        let y = y.map_or_else(|| device.take::<T>(0), Ok)?;
        Ok((y, aligned.map_or(Kept::Nothing, Kept::Aligned)))
    }

    /// With `dK_n` the gradients of the samples' kernels: `dA_i = sum_n g[n, i] dK_n` and
    /// `dg[n, i] = <dK_n, A_i>`; then `dW_i = T_i^T dA_i` and `dT_i = dA_i W_i^T`.
    fn backward_by_kernels(&self, dy: &Memory, kernels: &Memory, wanted: Wanted) -> Result<Found> {
        let (device, g, stack) = (self.device, &self.layer.geometry, self.layer.stack());
        let (m, len) = (stack.sources, stack.kernel_len());
        let dkernels = wanted.aligned().then(|| device.zeros::<T>(m * len)).transpose()?;
        let (mut dx, mut dgate) = (None, None);
        for samples in self.blocks() {
            let sizes = side_by_side_samples(g, samples.len());
            let x = self.part(self.x, &samples, g.sample_len())?;
            let dy = self.part(dy, &samples, g.output_len())?;
            if wanted.x {
                let mixed = self.mixed(&samples, kernels)?;
                let part = conv::input_gradient::<T>(device, &sizes, dy.memory(), &mixed)?;
                self.put(&mut dx, part, &samples, g.sample_len())?;
            }
            // The gate's gradient needs `dK_n`, also where kernels and alignments are frozen.
            if !wanted.mixed() {
                continue;
            }
            let d = conv::kernel_gradient::<T>(device, &sizes, x.memory(), dy.memory())?;
            if let Some(dkernels) = &dkernels {
                let gate = self.part(self.gate, &samples, m)?;
                let transposed = Mixer { weights: gate.memory(), strides: [1, m] };
                transposed.mix::<T>(device, &d, dkernels, [m, samples.len(), len], true)?;
            }
            if wanted.gate {
                let part = reduce::all_dots::<T>(device, &d, kernels, [samples.len(), m, len])?;
                self.put(&mut dgate, part, &samples, m)?;
            }
        }
        let gate = match dgate {
            None if wanted.gate => Some(device.take::<T>(0)?),
            gate => gate,
        };
        let found = Found { x: dx, gate, ..Found::default() };
        let Some(dkernels) = dkernels else { return Ok(found) };
        let Some(transform) = self.alignment else {
            return Ok(Found { weight: Some(dkernels), ..found });
        };
        let weight =
            wanted.weight.then(|| align_weight_gradient::<T>(device, stack, &dkernels, transform));
        let alignment = wanted
            .alignment
            .then(|| align_transform_gradient::<T>(device, stack, &dkernels, self.weight));
        Ok(Found { weight: weight.transpose()?, alignment: alignment.transpose()?, ..found })
    }

    /// Samples whose kernels are made at a time.
    fn blocks(&self) -> Vec<Range<usize>> {
        let (batch, values) = (self.layer.geometry.batch, Plan::of::<T>(self.device).scratch());
        let count = (values / self.layer.stack().kernel_len().max(1)).clamp(1, batch.max(1));
        (0..batch).step_by(count).map(|first| first..batch.min(first + count)).collect()
    }

    /// The part of `values` `[N, len]` that is of some samples.
    fn part<'a>(&self, values: &'a Memory, samples: &Range<usize>, len: usize) -> Result<Part<'a>> {
        if samples.len() == self.layer.geometry.batch {
            return Ok(Part::Whole(values));
        }
        let part = self.device.take::<T>(samples.len() * len)?;
        self.device.copy::<T>(values, samples.start * len, &part, 0, samples.len() * len)?;
        Ok(Part::Copy(part))
    }

    /// Puts the part that is of some samples into `whole` `[N, len]`.
    fn put(
        &self,
        whole: &mut Option<Memory>,
        part: Memory,
        samples: &Range<usize>,
        len: usize,
    ) -> Result<()> {
        let batch = self.layer.geometry.batch;
        if samples.len() == batch {
            *whole = Some(part);
            return Ok(());
        }
        let all = match whole.take() {
            Some(all) => all,
            None => self.device.take::<T>(batch * len)?,
        };
        self.device.copy::<T>(&part, 0, &all, samples.start * len, samples.len() * len)?;
        *whole = Some(all);
        Ok(())
    }

    /// The kernels of some samples, `K_n = sum_i g[n, i] A_i`.
    fn mixed(&self, samples: &Range<usize>, kernels: &Memory) -> Result<Memory> {
        let (m, len) = (self.layer.sources, self.layer.stack().kernel_len());
        let gate = self.part(self.gate, samples, m)?;
        let mixed = self.device.take::<T>(samples.len() * len)?;
        let gates = Mixer { weights: gate.memory(), strides: [m, 1] };
        gates.mix::<T>(self.device, kernels, &mixed, [samples.len(), m, len], false)?;
        Ok(mixed)
    }
}

/// What is of all samples as it is, and what is of some in a copy.
enum Part<'a> {
    Whole(&'a Memory),
    Copy(Memory),
}

impl Part<'_> {
    fn memory(&self) -> &Memory {
        match self {
            Self::Whole(memory) => memory,
            Self::Copy(memory) => memory,
        }
    }
}

/// One sample whose groups are those of all samples, since each sample has a kernel of its own.
fn side_by_side_samples(g: &Geometry, samples: usize) -> Geometry {
    let mut all = *g;
    all.batch = 1;
    all.channels *= samples;
    all.outputs *= samples;
    all.window.groups *= samples;
    all
}

/// Weights of a sum, `[rows, terms]`, the strides those of a row and a term.
struct Mixer<'a> {
    weights: &'a Memory,
    strides: [usize; 2],
}

impl Mixer<'_> {
    /// `out[r, k] = sum_c weights[r, c] values[c, k]`, or onto it.
    fn mix<T: Element>(
        &self,
        device: &Arc<OpenCl>,
        values: &Memory,
        out: &Memory,
        [rows, terms, len]: [usize; 3],
        adds: bool,
    ) -> Result<()> {
        Plan::launch::<T>(device, AGGREGATE, "mix_kernels")
            .memory(self.weights)
            .ints(&self.strides)
            .memory(values)
            .memory(out)
            .int(rows)
            .int(terms)
            .long(len)
            .int(usize::from(adds))
            .run(Plan::of::<T>(device).runs(len, 1))
    }
}

/// `gate[i] values[k]`, `[m, len]`: what each source has of a gradient.
fn shares<T: Element>(
    device: &Arc<OpenCl>,
    gate: &Memory,
    values: &Memory,
    [sources, len]: [usize; 2],
) -> Result<Memory> {
    let out = device.take::<T>(sources * len)?;
    Plan::launch::<T>(device, AGGREGATE, "mix_outputs_gradient")
        .memory(gate)
        .int(0)
        .memory(values)
        .memory(&out)
        .int(sources)
        .long(len)
        .run(Plan::of::<T>(device).runs(len, 1))?;
    Ok(out)
}

/// `gate[part % gates] values[part, k]`, for parts of `len` values.
pub(super) fn gated_parts<T: Element>(
    device: &Arc<OpenCl>,
    gate: &Memory,
    gates: usize,
    values: &Memory,
    [parts, len]: [usize; 2],
) -> Result<Memory> {
    let out = device.take::<T>(parts * len)?;
    Plan::launch::<T>(device, AGGREGATE, "gated")
        .memory(gate)
        .int(gates)
        .memory(values)
        .memory(&out)
        .long(len)
        .run(Plan::of::<T>(device).runs(len, parts))?;
    Ok(out)
}

/// `[second, first, len]` of `[first, second, len]`.
pub(super) fn side_by_side<T: Element>(
    device: &Arc<OpenCl>,
    values: &Memory,
    [first, second, len]: [usize; 3],
) -> Result<Memory> {
    let out = device.take::<T>(first * second * len)?;
    Plan::launch::<T>(device, AGGREGATE, "side_by_side")
        .memory(values)
        .memory(&out)
        .int(first)
        .int(second)
        .long(len)
        .run(Plan::of::<T>(device).runs_of(len, second, first))?;
    Ok(out)
}

fn align<T: Element>(
    device: &Arc<OpenCl>,
    stack: Stack,
    weight: &Memory,
    transform: &Memory,
) -> Result<Memory> {
    let Stack { sources, outputs, row } = stack;
    let (transform, weight) =
        (Matrices::new(transform, outputs, outputs), Matrices::new(weight, outputs, row));
    multiply::<T>(device, transform, weight, sources)
}

fn align_weight_gradient<T: Element>(
    device: &Arc<OpenCl>,
    stack: Stack,
    dy: &Memory,
    transform: &Memory,
) -> Result<Memory> {
    let Stack { sources, outputs, row } = stack;
    let transform = Matrices::new(transform, outputs, outputs);
    multiply::<T>(device, transform.t(), Matrices::new(dy, outputs, row), sources)
}

fn align_transform_gradient<T: Element>(
    device: &Arc<OpenCl>,
    stack: Stack,
    dy: &Memory,
    weight: &Memory,
) -> Result<Memory> {
    let Stack { sources, outputs, row } = stack;
    let (dy, weight) = (Matrices::new(dy, outputs, row), Matrices::new(weight, outputs, row));
    multiply::<T>(device, dy, weight.t(), sources)
}

/// Biases: `y_n += sum_i gate[n, i] bias_i`.
impl<T: Element> Operands<'_, T> {
    fn add_biases(&self, y: &Memory, bias: &Memory) -> Result<()> {
        let (g, m, gates) = (&self.layer.geometry, self.layer.sources, self.gates());
        let mixed = self.device.take::<T>(gates * g.outputs)?;
        let mixer = Mixer { weights: self.gate, strides: [m, 1] };
        mixer.mix::<T>(self.device, bias, &mixed, [gates, m, g.outputs], false)?;
        conv::add_bias::<T>(self.device, g, y, &mixed, !self.layer.is_shared())
    }

    /// The gradient of the biases `[m, O]`, if it is wanted; their share of the gate's is added to
    /// `dgate`.
    fn bias_gradient(
        &self,
        bias: &Memory,
        dy: &Memory,
        dgate: Option<&Memory>,
        is_wanted: bool,
    ) -> Result<Option<Memory>> {
        if !is_wanted && dgate.is_none() {
            return Ok(None);
        }
        let (device, g, m) = (self.device, &self.layer.geometry, self.layer.sources);
        let (gates, outputs) = (self.gates(), g.outputs);
        let mut sums = conv::plane_sums::<T>(device, g, dy)?;
        if self.layer.is_shared() {
            sums = reduce::column_sums(device, &sums, T::one(), g.batch, outputs)?;
        }
        let dbias = is_wanted.then(|| {
            let dbias = device.take::<T>(m * outputs)?;
            let transposed = Mixer { weights: self.gate, strides: [1, m] };
            transposed.mix::<T>(device, &sums, &dbias, [m, gates, outputs], false)?;
            Result::Ok(dbias)
        });
        let dbias = dbias.transpose()?;
        if let Some(dgate) = dgate {
            let sums = Matrices::new(&sums, gates, outputs);
            let bias = Matrices::new(bias, m, outputs);
            multiply_into::<T>(device, sums, bias.t(), dgate, 1, true)?;
        }
        Ok(dbias)
    }
}

impl<T: Element> Aggregation<T> for Arc<OpenCl> {
    fn align(&self, stack: Stack, weight: &Tensor<T>, transform: &Tensor<T>) -> Result<Tensor<T>> {
        let aligned = align::<T>(self, stack, weight.memory(self)?, transform.memory(self)?)?;
        Ok(Tensor::resident(weight.shape().to_vec(), aligned))
    }

    fn align_weight_gradient(
        &self,
        stack: Stack,
        dy: &Tensor<T>,
        transform: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let (d, transform) = (dy.memory(self)?, transform.memory(self)?);
        let dw = align_weight_gradient::<T>(self, stack, d, transform)?;
        Ok(Tensor::resident(dy.shape().to_vec(), dw))
    }

    fn align_transform_gradient(
        &self,
        stack: Stack,
        dy: &Tensor<T>,
        weight: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let (d, weight) = (dy.memory(self)?, weight.memory(self)?);
        let dt = align_transform_gradient::<T>(self, stack, d, weight)?;
        Ok(Tensor::resident(vec![stack.sources, stack.outputs, stack.outputs], dt))
    }

    fn aggregate(&self, gate: &Tensor<T>, values: &Tensor<T>) -> Result<Tensor<T>> {
        let (sources, shape) = (gate.len(), values.shape()[1..].to_vec());
        let len = values.len() / sources.max(1);
        let mixed = self.take::<T>(len)?;
        let gate = Mixer { weights: gate.memory(self)?, strides: [sources, 1] };
        gate.mix::<T>(self, values.memory(self)?, &mixed, [1, sources, len], false)?;
        Ok(Tensor::resident(shape, mixed))
    }

    fn aggregate_gradients(
        &self,
        gate: &Tensor<T>,
        values: &Tensor<T>,
        dy: &Tensor<T>,
        wanted: [bool; 2],
    ) -> Result<[Option<Tensor<T>>; 2]> {
        let (sources, len) = (gate.len(), dy.len());
        let [of_gate, of_values, d] = [gate, values, dy].map(|t| t.memory(self));
        let (of_gate, of_values, d) = (of_gate?, of_values?, d?);
        let dgate = wanted[0].then(|| {
            let dots = reduce::row_dots::<T>(self, d, of_values, [sources, len], sources)?;
            Result::Ok(Tensor::resident(gate.shape().to_vec(), dots))
        });
        let dvalues = wanted[1].then(|| {
            let dvalues = shares::<T>(self, of_gate, d, [sources, len])?;
            Result::Ok(Tensor::resident(values.shape().to_vec(), dvalues))
        });
        Ok([dgate.transpose()?, dvalues.transpose()?])
    }

    fn aggregated_conv(
        &self,
        layer: &Layer<T>,
        is_training: bool,
    ) -> Result<(Tensor<T>, engine::Kept<T>)> {
        let strategy = layer.sizes().shortest(is_training, RATES);
        self.aggregated_conv_in(strategy, layer)
    }

    fn aggregated_conv_in(
        &self,
        strategy: Strategy,
        layer: &Layer<T>,
    ) -> Result<(Tensor<T>, engine::Kept<T>)> {
        let operands = Operands::new(self, layer)?;
        let (y, kept) = match strategy {
            Strategy::KernelSpace if layer.is_shared() => operands.forward_by_one_kernel()?,
            Strategy::KernelSpace => operands.forward_by_kernels()?,
            Strategy::OutputSpace => operands.forward_by_outputs()?,
        };
        if let Some(bias) = operands.bias {
            operands.add_biases(&y, bias)?;
        }
        let y = Tensor::resident(layer.geometry.output_shape().to_vec(), y);
        Ok((y, engine::Kept::OpenCl(kept)))
    }

    fn aggregated_conv_gradients(
        &self,
        layer: &Layer<T>,
        dy: &Tensor<T>,
        kept: engine::Kept<T>,
        wanted: Wanted,
    ) -> Result<LayerGradients<T>> {
        let engine::Kept::OpenCl(kept) = kept else {
            let problem = "what the forward pass kept is elsewhere";
            return Err(crate::Error::device(self.properties(), "compute", problem));
        };
        let (operands, dy) = (Operands::new(self, layer)?, dy.memory(self)?);
        let found = match kept {
            Kept::Outputs(outputs) => operands.backward_by_outputs(dy, outputs, wanted)?,
            Kept::Kernel(kernel) => operands.backward_by_one_kernel(dy, kernel, wanted)?,
            Kept::Aligned(aligned) => operands.backward_by_kernels(dy, &aligned, wanted)?,
            Kept::Nothing => operands.backward_by_kernels(dy, operands.weight, wanted)?,
        };
        let bias = match operands.bias {
            Some(bias) => operands.bias_gradient(bias, dy, found.gate.as_ref(), wanted.bias)?,
            None => None,
        };
        let like = |tensor: &Tensor<T>, memory| Tensor::resident(tensor.shape().to_vec(), memory);
        let of = |operand: &Option<Tensor<T>>, memory: Option<Memory>| {
            operand.as_ref().zip(memory).map(|(operand, memory)| like(operand, memory))
        };
        Ok(LayerGradients {
            x: found.x.map(|memory| like(&layer.x, memory)),
            weight: found.weight.map(|memory| like(&layer.weight, memory)),
            alignment: of(&layer.alignment, found.alignment),
            bias: of(&layer.bias, bias),
            gate: found.gate.map(|memory| like(&layer.gate, memory)),
        })
    }
}
