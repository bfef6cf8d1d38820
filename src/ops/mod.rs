//! Differentiable operations, one subject per file: formula, forward, backward, gradient test.
//!
//! Each is a function that reads its inputs' values from the [`Tape`](crate::tape::Tape),
//! lets a [`kernel`](crate::kernel) compute, and records the value together with a small
//! struct, its backward rule, which holds what the forward pass saved. Saved tensors
//! share their values with the tape, so saving costs nothing.

mod adaptive_wing;
mod add;
mod aggregate;
mod aggregated_conv2d;
mod align;
mod arithmetic;
mod avg_pool2d;
mod batch_mean;
mod batch_norm;
mod concat;
mod conv2d;
mod cross_entropy;
mod dueling;
mod exponential;
mod flatten;
mod gate;
mod global_mean_pool;
mod huber;
mod linear;
mod log_softmax;
mod matmul;
mod max_pool2d;
mod mse;
mod noisy_linear;
mod reduction;
mod relu;
mod relu6;
mod reorder;
mod reshape;
mod routed_conv2d;
mod select;
mod sigmoid;
mod slice;
mod soft_cross_entropy;
mod softmax;
mod sum;
mod upsample;

pub use crate::kernel::loss::AdaptiveWing;
pub use adaptive_wing::adaptive_wing;
pub use add::add;
pub use aggregate::aggregate;
pub use aggregated_conv2d::{ZooKernels, aggregated_conv2d};
pub use align::align;
pub use arithmetic::{mul, scale, sub};
pub use avg_pool2d::avg_pool2d;
pub use batch_mean::{batch_mean, batch_mean_together};
pub use batch_norm::{Moments, batch_moments, batch_norm, batch_norm_frozen, batch_norm_together};
pub use concat::concat;
pub use conv2d::conv2d;
pub use cross_entropy::cross_entropy;
pub use dueling::dueling;
pub use exponential::{exp, log};
pub use flatten::flatten;
pub use gate::{GateFunction, GateWeights, gate};
pub use global_mean_pool::global_mean_pool;
pub use huber::{huber, huber_per_sample};
pub use linear::linear;
pub use log_softmax::log_softmax;
pub use matmul::matmul;
pub use max_pool2d::max_pool2d;
pub use mse::mse;
pub use noisy_linear::{Noise, NoisyWeights, noisy_linear};
pub use reduction::{mean_all, mean_axes, sum_all, sum_axes};
pub use relu::relu;
pub use relu6::relu6;
pub use reorder::reorder;
pub(crate) use reorder::rows_of;
pub use reshape::reshape;
pub use routed_conv2d::{RoutedKernels, routed_conv2d};
pub use select::select;
pub use sigmoid::sigmoid;
pub use slice::slice;
pub use soft_cross_entropy::soft_cross_entropy_per_sample;
pub use softmax::softmax;
pub use sum::sum;
pub use upsample::{upsample_bilinear, upsample_nearest};

use crate::gradcheck::DrawCase;

/// What each operation's backward rule returns.
type Gradients<T> = crate::Result<Vec<Option<crate::tensor::Tensor<T>>>>;

/// Every operation by name, with a way to draw a case for its gradient check.
pub const GRADIENT_CASES: &[(&str, DrawCase)] = &[
    ("adaptive_wing", adaptive_wing::case),
    ("add", add::case),
    ("aggregate", aggregate::case),
    ("aggregated_conv2d", aggregated_conv2d::case),
    ("align", align::case),
    ("avg_pool2d", avg_pool2d::case),
    ("batch_mean", batch_mean::case),
    ("batch_norm", batch_norm::case),
    ("batch_norm_frozen", batch_norm::frozen_case),
    ("concat", concat::case),
    ("conv2d", conv2d::case),
    ("cross_entropy", cross_entropy::case),
    ("dueling", dueling::case),
    ("exp", exponential::exp_case),
    ("flatten", flatten::case),
    ("gate", gate::case),
    ("global_mean_pool", global_mean_pool::case),
    ("huber", huber::case),
    ("huber_per_sample", huber::per_sample_case),
    ("linear", linear::case),
    ("log", exponential::log_case),
    ("log_softmax", log_softmax::case),
    ("matmul", matmul::case),
    ("max_pool2d", max_pool2d::case),
    ("mean_all", reduction::mean_all_case),
    ("mean_axes", reduction::mean_axes_case),
    ("mse", mse::case),
    ("mul", arithmetic::mul_case),
    ("noisy_linear", noisy_linear::case),
    ("relu", relu::case),
    ("relu6", relu6::case),
    ("reorder", reorder::case),
    ("reshape", reshape::case),
    ("routed_conv2d", routed_conv2d::case),
    ("scale", arithmetic::scale_case),
    ("select", select::case),
    ("sigmoid", sigmoid::case),
    ("slice", slice::case),
    ("soft_cross_entropy_per_sample", soft_cross_entropy::case),
    ("softmax", softmax::case),
    ("sub", arithmetic::sub_case),
    ("sum", sum::case),
    ("sum_all", reduction::sum_all_case),
    ("sum_axes", reduction::sum_axes_case),
    ("upsample_bilinear", upsample::bilinear_case),
    ("upsample_nearest", upsample::nearest_case),
];
