//! The list of names: what a place where tensors live has to be able to do.
//!
//! An [operation](crate::ops) knows shapes and rules of differentiation; what it asks to be
//! computed stands here, by subject. [`Cpu`](super::cpu::Cpu) answers with the slices' kernels of
//! this module's neighbours. Whatever else computes implements the same traits, so that a name that it
//! lacks does not compile.
//!
//! All operands of a call are in one place, which [`Device::of`](crate::tensor::Device::of) has found. Shapes are the
//! caller's business: they fit each other. Where a result may take an operand's place, that
//! operand is given away.

use super::aggregate::{self, Stack};
use super::cost::{Sizes, Strategy, Wanted};
use super::elementwise::Rectifier;
use super::loss::AdaptiveWing;
use super::norm::{Channels, Epilogue};
use super::pool::Divisor;
use super::resample::Interpolation;
use super::update::{Adam, Moments, RmsProp, Sgd};
use super::window::Geometry;
use crate::Result;
use crate::tensor::{Element, Tensor, buffer::Buffer};
use std::ops::Range;

/// Everything that a step of training asks for.
pub trait Engine<T>:
    Products<T>
    + Reductions<T>
    + Convolutions<T>
    + Aggregation<T>
    + Norms<T>
    + Pools<T>
    + Resampling<T>
    + Pieces<T>
    + Elementwise<T>
    + Losses<T>
    + Updates<T>
{
}

impl<T, E> Engine<T> for E where
    E: Products<T>
        + Reductions<T>
        + Convolutions<T>
        + Aggregation<T>
        + Norms<T>
        + Pools<T>
        + Resampling<T>
        + Pieces<T>
        + Elementwise<T>
        + Losses<T>
        + Updates<T>
{
}

/// A matrix of a product: a tensor of two axes, as it is or transposed.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a, T> {
    /// `[rows, columns]`.
    pub matrix: &'a Tensor<T>,
    /// Whether the product sees `[columns, rows]`.
    pub is_transposed: bool,
}

impl<'a, T> Factor<'a, T> {
    /// The matrix as it is.
    pub fn new(matrix: &'a Tensor<T>) -> Self {
        Self { matrix, is_transposed: false }
    }

    /// The transposed matrix; nothing moves.
    pub fn t(self) -> Self {
        Self { is_transposed: !self.is_transposed, ..self }
    }
}

impl<T: Element> Factor<'_, T> {
    /// Rows and columns, as the product sees them.
    ///
    /// # Errors
    /// If the tensor is no matrix.
    pub fn sizes(&self) -> Result<[usize; 2]> {
        let [rows, columns] = self.matrix.dims("product", "factor", "[rows, columns]")?;
        Ok(if self.is_transposed { [columns, rows] } else { [rows, columns] })
    }
}

/// Products of matrices, and what goes over the rows of one.
pub trait Products<T> {
    /// `A B`, of shape `[M, N]`.
    fn product(&self, a: Factor<T>, b: Factor<T>) -> Result<Tensor<T>>;

    /// `y[n, k] + bias[k]`, for `y` `[N, K]`.
    fn add_to_rows(&self, y: Tensor<T>, bias: &Tensor<T>) -> Result<Tensor<T>>;
}

/// Sums over axes, and values repeated along axes; see [`reduce`](super::reduce).
pub trait Reductions<T> {
    /// `factor sum x` over neighbouring `axes`, which the result lacks.
    fn sum_axes(&self, x: &Tensor<T>, axes: Range<usize>, factor: T) -> Result<Tensor<T>>;

    /// `factor x`, repeated along new axes of these `sizes` before axis `at`.
    fn repeat(&self, x: &Tensor<T>, at: usize, sizes: &[usize], factor: T) -> Result<Tensor<T>>;
}

/// See [`conv`](super::conv).
pub trait Convolutions<T> {
    /// `[N, O, H', W']` of `x` `[N, C, H, W]`, `weight` `[O, C / groups, kh, kw]`, `bias` `[O]`.
    fn conv(
        &self,
        g: &Geometry,
        x: &Tensor<T>,
        weight: &Tensor<T>,
        bias: Option<&Tensor<T>>,
    ) -> Result<Tensor<T>>;

    /// The gradient of `x`.
    fn conv_input_gradient(
        &self,
        g: &Geometry,
        dy: &Tensor<T>,
        weight: &Tensor<T>,
    ) -> Result<Tensor<T>>;

    /// The gradient of `weight`.
    fn conv_kernel_gradient(
        &self,
        g: &Geometry,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>>;

    /// The gradient of `bias`.
    fn conv_bias_gradient(&self, g: &Geometry, dy: &Tensor<T>) -> Result<Tensor<T>>;
}

/// A convolution whose kernel is aggregated from a zoo; see [`aggregate`].
#[derive(Clone, Debug)]
pub struct Layer<T> {
    /// Sizes of the convolution.
    pub geometry: Geometry,
    /// Sources, `m`.
    pub sources: usize,
    /// Input, `[N, C, H, W]`.
    pub x: Tensor<T>,
    /// Kernels of the sources, `W` `[m, O, C / groups, kh, kw]`.
    pub weight: Tensor<T>,
    /// Channel alignment, `T` `[m, O, O]`.
    pub alignment: Option<Tensor<T>>,
    /// Biases, `[m, O]`.
    pub bias: Option<Tensor<T>>,
    /// Gate, `[N, m]`, or `[m]` for all samples.
    pub gate: Tensor<T>,
}

impl<T: Element> Layer<T> {
    /// All operands.
    pub fn operands(&self) -> impl Iterator<Item = &Tensor<T>> {
        let Self { x, weight, gate, alignment, bias, .. } = self;
        [x, weight, gate].into_iter().chain(alignment).chain(bias)
    }

    /// The sizes of the sources' kernels.
    pub fn stack(&self) -> Stack {
        let (outputs, row) = (self.geometry.outputs, self.geometry.row_len());
        Stack { sources: self.sources, outputs, row }
    }

    /// Whether all samples share a gate.
    pub fn is_shared(&self) -> bool {
        self.gate.shape().len() == 1
    }

    /// What the cost of it depends on.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            geometry: self.geometry,
            sources: self.sources,
            is_aligned: self.alignment.is_some(),
            is_shared: self.is_shared(),
            value: size_of::<T>(),
        }
    }
}

/// What the forward pass of a [`Layer`] keeps for the backward pass, where it was made.
pub enum Kept<T> {
    /// By the processor.
    Cpu(aggregate::Kept<Buffer<T>>),
    /// By a device.
    #[cfg(feature = "opencl")]
    OpenCl(aggregate::Kept<crate::tensor::opencl::Memory>),
}

impl<T> Kept<T> {
    /// The strategy that the forward pass followed.
    pub fn strategy(&self) -> Strategy {
        match self {
            Self::Cpu(kept) => kept.strategy(),
            #[cfg(feature = "opencl")]
            Self::OpenCl(kept) => kept.strategy(),
        }
    }
}

/// The gradients of a [`Layer`]'s operands, of their shapes; those that were wanted.
pub struct LayerGradients<T> {
    /// Of the input.
    pub x: Option<Tensor<T>>,
    /// Of the sources' kernels.
    pub weight: Option<Tensor<T>>,
    /// If there is an alignment.
    pub alignment: Option<Tensor<T>>,
    /// If there are biases.
    pub bias: Option<Tensor<T>>,
    /// Of the gate.
    pub gate: Option<Tensor<T>>,
}

/// Kernels of a zoo, aligned and mixed; see [`aggregate`].
pub trait Aggregation<T> {
    /// `A_i = T_i W_i`, for `weight` `[m, O, C, kh, kw]` and `transform` `[m, O, O]`.
    fn align(&self, stack: Stack, weight: &Tensor<T>, transform: &Tensor<T>) -> Result<Tensor<T>>;

    /// `dW_i = T_i^T dA_i`.
    fn align_weight_gradient(
        &self,
        stack: Stack,
        dy: &Tensor<T>,
        transform: &Tensor<T>,
    ) -> Result<Tensor<T>>;

    /// `dT_i = dA_i W_i^T`, of shape `[m, O, O]`.
    fn align_transform_gradient(
        &self,
        stack: Stack,
        dy: &Tensor<T>,
        weight: &Tensor<T>,
    ) -> Result<Tensor<T>>;

    /// `K = sum_i gate[i] A_i`, for `gate` `[m]` and `values` `[m, ...]`.
    fn aggregate(&self, gate: &Tensor<T>, values: &Tensor<T>) -> Result<Tensor<T>>;

    /// The gradients of `gate` and `values` in [`aggregate`](Self::aggregate), if they are
    /// wanted: `dg_i = <dK, A_i>` and `dA_i = g_i dK`.
    fn aggregate_gradients(
        &self,
        gate: &Tensor<T>,
        values: &Tensor<T>,
        dy: &Tensor<T>,
        wanted: [bool; 2],
    ) -> Result<[Option<Tensor<T>>; 2]>;

    /// `y_n = conv(x_n, sum_i gate[n, i] T_i W_i) + sum_i gate[n, i] bias_i`, of shape
    /// `[N, O, H', W']`, and what the backward pass needs of it; by the strategy that is the
    /// shorter one here, of the forward pass alone or of forward and backward pass.
    fn aggregated_conv(&self, layer: &Layer<T>, is_training: bool) -> Result<(Tensor<T>, Kept<T>)>;

    /// The same by a given strategy, which the layer's [`sizes`](Layer::sizes) allow.
    fn aggregated_conv_in(
        &self,
        strategy: Strategy,
        layer: &Layer<T>,
    ) -> Result<(Tensor<T>, Kept<T>)>;

    /// The wanted gradients for `dy` `[N, O, H', W']`. The values of one do not depend on which
    /// others are wanted.
    fn aggregated_conv_gradients(
        &self,
        layer: &Layer<T>,
        dy: &Tensor<T>,
        kept: Kept<T>,
        wanted: Wanted,
    ) -> Result<LayerGradients<T>>;
}

/// What a batch is normalised by, channel by channel.
#[derive(Clone, Debug)]
pub struct Norm<T> {
    /// Sizes of the batch.
    pub channels: Channels,
    /// `[C]`.
    pub mean: Tensor<T>,
    /// `1 / sqrt(variance + epsilon)`, `[C]`.
    pub inverse: Tensor<T>,
    /// `[C]`.
    pub weight: Tensor<T>,
    /// Whether mean and variance are constants rather than functions of the batch.
    pub is_frozen: bool,
}

/// The gradients of a batch norm.
pub struct NormGradients<T> {
    /// Of the batch, if it was wanted.
    pub x: Option<Tensor<T>>,
    /// `[C]`.
    pub weight: Tensor<T>,
    /// `[C]`.
    pub bias: Tensor<T>,
    /// Of the residual, if it was wanted: what of `dy` passes back through the rectifier.
    pub residual: Option<Tensor<T>>,
}

/// What came out behind a rectifier.
#[derive(Clone, Copy, Debug)]
pub struct Rectified<'a, T> {
    /// The rectifier.
    pub by: Rectifier,
    /// Of the shape of the batch.
    pub y: &'a Tensor<T>,
}

/// Batch normalisation of `[N, C, ...]`; see [`norm`](super::norm).
pub trait Norms<T> {
    /// Mean and (biased) variance of each channel, `[C]` each.
    fn moments(&self, channels: Channels, x: &Tensor<T>) -> Result<[Tensor<T>; 2]>;

    /// `1 / sqrt(variance + epsilon)`.
    fn inverse_std(&self, variance: &Tensor<T>, epsilon: T) -> Result<Tensor<T>>;

    /// `y = (x - mean) inverse weight + bias`, and what follows on it.
    fn normalise(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        bias: &Tensor<T>,
        then: Epilogue<&Tensor<T>>,
    ) -> Result<Tensor<T>>;

    /// With `z = (x - mean) inverse`: `dweight = sum dy z`, `dbias = sum dy`, and
    /// `dx = weight inverse (dy - mean(dy) - z mean(dy z))`; the two means are absent where the
    /// statistics are constants. Where a rectifier follows, `dy` is what passes back through it.
    fn norm_gradients(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        dy: Tensor<T>,
        rectified: Option<Rectified<T>>,
        wanted: WantedOfNorm,
    ) -> Result<NormGradients<T>>;
}

/// Which of the large gradients of a batch norm are wanted.
#[derive(Clone, Copy, Debug)]
pub struct WantedOfNorm {
    /// That of the batch.
    pub x: bool,
    /// That of the residual.
    pub residual: bool,
}

/// Numbers that are places rather than values: classes of samples, pixels that won.
#[derive(Clone, Debug)]
pub enum Indices {
    /// In the memory of the process.
    Cpu(Vec<u32>),
    /// In the memory of a device.
    #[cfg(feature = "opencl")]
    OpenCl(std::sync::Arc<crate::tensor::opencl::Memory>),
}

/// Pooling of `[N, C, H, W]`; see [`pool`](super::pool).
pub trait Pools<T> {
    /// The largest value of each window, `[N, C, H', W']`, and the pixels that held them.
    fn max_pool(&self, g: &Geometry, x: &Tensor<T>) -> Result<(Tensor<T>, Indices)>;

    /// Gives each `dy` to the pixel that won: `[N, C, H, W]`.
    fn max_pool_gradient(
        &self,
        g: &Geometry,
        argmax: &Indices,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>>;

    /// The mean under each window, `[N, C, H', W']`.
    fn avg_pool(&self, g: &Geometry, divisor: Divisor, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// Each `dy` spread evenly over the pixels under its window: `[N, C, H, W]`.
    fn avg_pool_gradient(
        &self,
        g: &Geometry,
        divisor: Divisor,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>>;

    /// The mean of each plane, `[N, C]`.
    fn plane_means(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// Each `dy` spread evenly over its plane, `shape` = `[N, C, H, W]`.
    fn plane_means_gradient(&self, dy: &Tensor<T>, shape: [usize; 4]) -> Result<Tensor<T>>;
}

/// Images of another size; see [`resample`](super::resample).
pub trait Resampling<T> {
    /// `[N, C, H', W']` of `x` `[N, C, H, W]`, for `to` = `[H', W']`.
    fn resample(&self, rule: Interpolation, x: &Tensor<T>, to: [usize; 2]) -> Result<Tensor<T>>;

    /// Gives each pixel what its outputs took of it: `[N, C, H, W]` for `from` = `[H, W]`.
    fn resample_gradient(
        &self,
        rule: Interpolation,
        dy: &Tensor<T>,
        from: [usize; 2],
    ) -> Result<Tensor<T>>;
}

/// Tensors side by side, and pieces of one; see [`pieces`](super::pieces).
pub trait Pieces<T> {
    /// The parts, one behind the other along `axis`; one at least, their other axes alike.
    fn concat(&self, parts: &[&Tensor<T>], axis: usize) -> Result<Tensor<T>>;

    /// The places `piece` of `axis`.
    fn slice(&self, x: &Tensor<T>, axis: usize, piece: Range<usize>) -> Result<Tensor<T>>;

    /// `dy` at the places from `start` on of an axis that has `len` of them, and zeros elsewhere.
    fn slice_gradient(
        &self,
        dy: &Tensor<T>,
        axis: usize,
        start: usize,
        len: usize,
    ) -> Result<Tensor<T>>;
}

/// Passes in which every value stands alone; see [`elementwise`](super::elementwise).
pub trait Elementwise<T> {
    /// `a + b`.
    fn add(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>>;

    /// `((a + b) + c) + ...` of one tensor at least, in the order of the parts.
    fn sum(&self, parts: &[&Tensor<T>]) -> Result<Tensor<T>>;

    /// `sum += values`.
    fn add_to(&self, sum: &mut Tensor<T>, values: &Tensor<T>) -> Result<()>;

    /// `factors[0] x + factors[1] y`: a difference, a moving average.
    fn blend(&self, factors: [T; 2], x: &Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>>;

    /// `a b`.
    fn mul(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>>;

    /// `factor x`.
    fn scale(&self, x: &Tensor<T>, factor: T) -> Result<Tensor<T>>;

    /// `x *= factor`, in place.
    fn scale_in_place(&self, x: &mut Tensor<T>, factor: T) -> Result<()>;

    /// `x / divisor`.
    fn quotient(&self, x: &Tensor<T>, divisor: T) -> Result<Tensor<T>>;

    /// `max(x, 0)`.
    fn relu(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `dy` where `y = relu(x)` is positive, else 0.
    fn relu_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>>;

    /// `exp(x)`.
    fn exp(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// The natural logarithm of `x`.
    fn log(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `dy / x`.
    fn log_gradient(&self, dy: Tensor<T>, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `min(max(x, 0), 6)`.
    fn relu6(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `dy` where `y = relu6(x)` is between 0 and 6, else 0.
    fn relu6_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>>;

    /// `1 / (1 + exp(-x))`.
    fn sigmoid(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `dy y (1 - y)` for `y = sigmoid(x)`.
    fn sigmoid_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>>;
}

/// What a classifier is to say of each sample: `kept` for the label, and `spread` for every class.
#[derive(Clone, Debug)]
pub struct Targets<T> {
    /// Classes of the samples, `[N]`.
    pub labels: Indices,
    /// `1 - smoothing`.
    pub kept: T,
    /// `smoothing / K`.
    pub spread: T,
}

/// Softmax, and what a network is trained to make small; see [`loss`](super::loss).
pub trait Losses<T> {
    /// Brings indices to where this computes.
    fn indices(&self, values: Vec<u32>) -> Result<Indices>;

    /// The softmax of each row of `x` `[N, K]`.
    fn softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `y (dy - <dy, y>)`, row by row.
    fn softmax_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>>;

    /// The logarithm of the softmax of each row of `x` `[N, K]`.
    fn log_softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>>;

    /// `dy - exp(y) sum(dy)`, row by row.
    fn log_softmax_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>>;

    /// `x[n, columns[n]]`, for `x` `[N, K]`; of shape `[N]`.
    fn select(&self, x: &Tensor<T>, columns: &Indices) -> Result<Tensor<T>>;

    /// `[N, K]`: `dy[n]` at `columns[n]`, and 0 elsewhere.
    fn select_gradient(
        &self,
        dy: &Tensor<T>,
        columns: &Indices,
        classes: usize,
    ) -> Result<Tensor<T>>;

    /// The mean cross-entropy between the softmax of `logits` `[N, K]` and the targets, `[]`.
    fn cross_entropy(&self, logits: &Tensor<T>, targets: &Targets<T>) -> Result<Tensor<T>>;

    /// `scale (softmax(logits[n]) - q[n])`.
    fn cross_entropy_gradient(
        &self,
        logits: Tensor<T>,
        targets: &Targets<T>,
        scale: T,
    ) -> Result<Tensor<T>>;

    /// `mean((a - b)^2)`, `[]`.
    fn mse(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>>;

    /// `factor (a - b)`.
    fn mse_gradient(&self, factor: T, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>>;

    /// Huber's loss of each sample of `a` and `b` `[N, ...]`, of shape `[N]`; see
    /// [`loss::huber`](super::loss::huber).
    fn huber(&self, a: &Tensor<T>, b: &Tensor<T>, delta: T) -> Result<Tensor<T>>;

    /// The gradient of `a` for `dy` `[N]`.
    fn huber_gradient(
        &self,
        dy: &Tensor<T>,
        a: &Tensor<T>,
        b: &Tensor<T>,
        delta: T,
    ) -> Result<Tensor<T>>;

    /// See [`loss::adaptive_wing`](super::loss::adaptive_wing).
    fn adaptive_wing(
        &self,
        a: &Tensor<T>,
        t: &Tensor<T>,
        wing: AdaptiveWing<T>,
    ) -> Result<Tensor<T>>;

    /// Its slope in `a`.
    fn adaptive_wing_slope(
        &self,
        a: &Tensor<T>,
        t: &Tensor<T>,
        wing: AdaptiveWing<T>,
    ) -> Result<Tensor<T>>;
}

/// A step of the optimizer, and what clips gradients before it; see [`update`](super::update).
pub trait Updates<T> {
    /// The sum of the squares of all values of some tensors. Their parts' sums come to the host,
    /// which waits for them once.
    fn sum_of_squares(&self, tensors: &[&Tensor<T>]) -> Result<f64>;

    /// See [`sgd`](super::update::sgd).
    fn sgd(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        v: &mut Tensor<T>,
        settings: Sgd<T>,
    ) -> Result<()>;

    /// See [`adam`](super::update::adam); `moments` are `m` and `v`.
    fn adam(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        moments: [&mut Tensor<T>; 2],
        settings: Adam<T>,
    ) -> Result<()>;

    /// See [`rms_prop`](super::update::rms_prop).
    fn rms_prop(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        moments: Moments<&mut Tensor<T>>,
        settings: RmsProp<T>,
    ) -> Result<()>;
}
