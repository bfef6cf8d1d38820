//! Convolutions.

use super::plan::Plan;
use super::product::{Matrices, multiply};
use super::tiling::Product;
use super::{CONV, ELEMENTWISE, reduce, winograd};
use crate::kernel::engine::Convolutions;
use crate::kernel::window::Geometry;
use crate::tensor::opencl::{Launch, Memory, OpenCl};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use std::sync::Arc;

/// `[N, O, H', W']` of `x` and `weight`.
pub(super) fn forward<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    x: &Memory,
    weight: &Memory,
) -> Result<Memory> {
    if winograd::wins::<T>(device, g) {
        return winograd::forward::<T>(device, g, x, weight);
    }
    if is_product(g) {
        return multiply::<T>(device, kernels(g, weight), inputs(g, x), g.window.groups);
    }
    let product = Product {
        program: CONV,
        kernel: "conv_forward",
        rows: g.outputs_per_group(),
        columns: g.batch * g.positions(),
        times: g.window.groups,
        depth: g.row_len(),
    };
    write::<T>(device, product, g.batch * g.output_len(), [x, weight], g)
}

/// The gradient of `x` `[N, C, H, W]`.
pub(super) fn input_gradient<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    dy: &Memory,
    weight: &Memory,
) -> Result<Memory> {
    if winograd::wins::<T>(device, g) {
        return winograd::input_gradient::<T>(device, g, dy, weight);
    }
    if is_product(g) {
        return multiply::<T>(device, kernels(g, weight).t(), outputs(g, dy), g.window.groups);
    }
    let mut g = *g;
    // A single position makes no step, and each phase of a step is a product of its own.
    (0..2).filter(|&axis| g.output[axis] == 1).for_each(|axis| g.window.stride[axis] = 1);
    let (groups, [down, right]) = (g.window.groups, g.window.stride);
    let times = groups.saturating_mul(down).saturating_mul(right);
    if times > 1 << 24 {
        let problem = format!("{groups} groups with a stride of {down}x{right} are too many");
        return Err(Error::device(device.properties(), "run conv_input_gradient", problem));
    }
    let product = Product {
        program: CONV,
        kernel: "conv_input_gradient",
        rows: g.channels_per_group(),
        columns: g.batch * g.input[0].div_ceil(down) * g.input[1].div_ceil(right),
        times,
        depth: g.outputs_per_group() * (g.taps_len() / (down * right)).max(1),
    };
    write::<T>(device, product, g.batch * g.sample_len(), [dy, weight], &g)
}

/// The gradient of `weight` `[O, C / groups, kh, kw]`.
pub(super) fn kernel_gradient<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    x: &Memory,
    dy: &Memory,
) -> Result<Memory> {
    if winograd::wins::<T>(device, g) {
        return winograd::kernel_gradient::<T>(device, g, x, dy);
    }
    if is_product(g) {
        return multiply::<T>(device, outputs(g, dy), inputs(g, x).t(), g.window.groups);
    }
    let product = Product {
        program: CONV,
        kernel: "conv_kernel_gradient",
        rows: g.outputs_per_group(),
        columns: g.row_len(),
        times: g.window.groups,
        depth: g.batch * g.positions(),
    };
    write::<T>(device, product, g.outputs * g.row_len(), [x, dy], g)
}

/// Whether it is nothing but a product for each group: one tap of one sample, as where each of some
/// samples has a kernel of its own and they stand side by side as groups.
fn is_product(g: &Geometry) -> bool {
    let window = &g.window;
    g.batch == 1 && g.taps == [1, 1] && window.stride == [1, 1] && window.padding == [0, 0]
}

/// The kernels of each group of such a convolution, its input, and its output.
fn kernels<'a>(g: &Geometry, weight: &'a Memory) -> Matrices<'a> {
    Matrices::new(weight, g.outputs_per_group(), g.channels_per_group())
}

fn inputs<'a>(g: &Geometry, x: &'a Memory) -> Matrices<'a> {
    Matrices::new(x, g.channels_per_group(), g.positions())
}

fn outputs<'a>(g: &Geometry, y: &'a Memory) -> Matrices<'a> {
    Matrices::new(y, g.outputs_per_group(), g.positions())
}

/// The `count` values that a kernel makes of its operands.
fn write<'d, T: Element>(
    device: &'d Arc<OpenCl>,
    product: Product,
    count: usize,
    operands: [&'d Memory; 2],
    g: &Geometry,
) -> Result<Memory> {
    let found = device.take::<T>(count)?;
    let operands = |launch: Launch<'d>| operands.into_iter().fold(launch, Launch::memory);
    product.write::<T>(device, &found, count, false, operands, |launch, to| {
        geometry(launch, g).int(to.parts)
    })?;
    Ok(found)
}

/// `y[n, o, p] += biases[o]`, or where there are some for each sample, `biases[n, o]`.
pub(super) fn add_bias<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    y: &Memory,
    biases: &Memory,
    of_samples: bool,
) -> Result<()> {
    Plan::launch::<T>(device, ELEMENTWISE, "add_to_planes")
        .memory(y)
        .memory(biases)
        .int(g.outputs)
        .int(g.positions())
        .int(usize::from(of_samples))
        .run(Plan::of::<T>(device).runs(g.positions(), g.batch * g.outputs))
}

/// The sums of all planes of `dy`, `[N, O]`.
pub(super) fn plane_sums<T: Element>(
    device: &Arc<OpenCl>,
    g: &Geometry,
    dy: &Memory,
) -> Result<Memory> {
    reduce::row_sums(device, dy, T::one(), g.batch * g.outputs, g.positions())
}

/// The argument `Geometry` of `common.cl`.
pub(super) fn geometry<'a>(launch: Launch<'a>, g: &Geometry) -> Launch<'a> {
    let window = g.window;
    let images = [g.batch, g.channels, g.input[0], g.input[1], g.outputs];
    let pairs = [g.taps, g.output, window.stride, window.padding, window.dilation].concat();
    let launch = launch
        .works_out(g.batch.saturating_mul(g.positions()))
        .works_out(g.batch.saturating_mul(g.pixels()))
        .works_out(g.outputs_per_group().saturating_mul(g.row_len()))
        .works_out(g.channels_per_group().saturating_mul(g.pixels()))
        .works_out(g.outputs_per_group().saturating_mul(g.positions()));
    launch.ints(&[&images[..], &pairs, &[window.groups]].concat())
}

impl<T: Element> Convolutions<T> for Arc<OpenCl> {
    fn conv(
        &self,
        g: &Geometry,
        x: &Tensor<T>,
        weight: &Tensor<T>,
        bias: Option<&Tensor<T>>,
    ) -> Result<Tensor<T>> {
        let y = forward::<T>(self, g, x.memory(self)?, weight.memory(self)?)?;
        if let Some(bias) = bias {
            add_bias::<T>(self, g, &y, bias.memory(self)?, false)?;
        }
        Ok(Tensor::resident(g.output_shape().to_vec(), y))
    }

    fn conv_input_gradient(
        &self,
        g: &Geometry,
        dy: &Tensor<T>,
        weight: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dx = input_gradient::<T>(self, g, dy.memory(self)?, weight.memory(self)?)?;
        Ok(Tensor::resident(g.input_shape().to_vec(), dx))
    }

    fn conv_kernel_gradient(
        &self,
        g: &Geometry,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dw = kernel_gradient::<T>(self, g, x.memory(self)?, dy.memory(self)?)?;
        Ok(Tensor::resident(g.weight_shape().to_vec(), dw))
    }

    fn conv_bias_gradient(&self, g: &Geometry, dy: &Tensor<T>) -> Result<Tensor<T>> {
        let sums = plane_sums::<T>(self, g, dy.memory(self)?)?;
        let db = reduce::column_sums(self, &sums, T::one(), g.batch, g.outputs)?;
        Ok(Tensor::resident(vec![g.outputs], db))
    }
}
