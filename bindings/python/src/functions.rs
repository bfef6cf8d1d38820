//! Losses and what else is no operator.

use crate::array::labels_from;
use crate::graph::{Variable, apply};
use crate::outside::outside;
use crate::tensor::{Tensor, variable};
use pyo3::prelude::*;
use std::sync::Arc;
use zoo_tuning::kernel::Window;
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::{Result, ops};

/// What an operation makes of several values.
fn applied(
    py: Python,
    inputs: Vec<Arc<Variable>>,
    operation: impl FnOnce(&mut Tape<f32>, &[Var]) -> Result<Var> + Send,
) -> PyResult<Tensor> {
    outside(py, move || apply(&inputs, operation)).map(Tensor::around)
}

/// The mean cross-entropy of logits `[N, K]` and class numbers `[N]`. With `smoothing` s, a target is
/// 1 - s for its class, and s is shared by all classes.
///
/// Raises ValueError if there is not one label from 0 to K - 1 for each row.
#[pyfunction]
#[pyo3(signature = (logits, labels, *, smoothing = 0.0))]
pub fn cross_entropy(
    py: Python,
    logits: &Bound<PyAny>,
    labels: &Bound<PyAny>,
    smoothing: f64,
) -> PyResult<Tensor> {
    let (inputs, labels) = (vec![variable(logits)?], labels_from(labels)?);
    applied(py, inputs, move |tape, v| ops::cross_entropy(tape, v[0], &labels, smoothing))
}

/// The mean cross-entropy of logits `[N, K]` and target distributions `[N, K]`.
///
/// Raises ValueError if the shapes differ.
#[pyfunction]
pub fn soft_cross_entropy(
    py: Python,
    logits: &Bound<PyAny>,
    targets: &Bound<PyAny>,
) -> PyResult<Tensor> {
    applied(py, vec![variable(logits)?, variable(targets)?], |tape, v| {
        let losses = ops::soft_cross_entropy_per_sample(tape, v[0], v[1])?;
        ops::mean_all(tape, losses)
    })
}

/// The mean of `(a - b)^2`.
///
/// Raises ValueError if the shapes differ.
#[pyfunction]
pub fn mse(py: Python, a: &Bound<PyAny>, b: &Bound<PyAny>) -> PyResult<Tensor> {
    applied(py, vec![variable(a)?, variable(b)?], |tape, v| ops::mse(tape, v[0], v[1]))
}

/// Huber's loss: the mean of `d^2 / 2` where `|d| = |a - b|` is at most `delta`, else of
/// `delta (|d| - delta / 2)`.
///
/// Raises ValueError if the shapes differ, or `delta` is not positive.
#[pyfunction]
#[pyo3(signature = (a, b, *, delta = 1.0))]
pub fn huber(py: Python, a: &Bound<PyAny>, b: &Bound<PyAny>, delta: f64) -> PyResult<Tensor> {
    applied(py, vec![variable(a)?, variable(b)?], move |tape, v| {
        ops::huber(tape, v[0], v[1], delta, None)
    })
}

/// Inputs, and one more if it is given.
fn with_bias(
    inputs: [&Bound<PyAny>; 2],
    bias: Option<&Bound<PyAny>>,
) -> PyResult<Vec<Arc<Variable>>> {
    inputs.into_iter().chain(bias).map(variable).collect()
}

/// `x w^T + bias` of rows `x` `[N, D]`, a weight `[K, D]` and a bias `[K]`.
///
/// Raises ValueError if the shapes do not fit.
#[pyfunction]
#[pyo3(signature = (x, weight, bias = None))]
pub fn linear(
    py: Python,
    x: &Bound<PyAny>,
    weight: &Bound<PyAny>,
    bias: Option<&Bound<PyAny>>,
) -> PyResult<Tensor> {
    let inputs = with_bias([x, weight], bias)?;
    applied(py, inputs, |tape, v| ops::linear(tape, v[0], v[1], v.get(2).copied()))
}

/// The convolution of `x` `[N, C, H, W]` with kernels `[O, C / groups, kh, kw]` and a bias `[O]`.
///
/// Raises ValueError if the shapes do not fit.
#[pyfunction]
#[pyo3(signature = (x, weight, bias = None, *, stride = 1, padding = 0, dilation = 1, groups = 1))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn conv2d(
    py: Python,
    x: &Bound<PyAny>,
    weight: &Bound<PyAny>,
    bias: Option<&Bound<PyAny>>,
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
) -> PyResult<Tensor> {
    let inputs = with_bias([x, weight], bias)?;
    let window = Window { dilation: [dilation; 2], groups, ..Window::square(stride, padding) };
    applied(py, inputs, move |tape, v| ops::conv2d(tape, v[0], v[1], v.get(2).copied(), window))
}

/// Tensors one behind the other along `axis`.
///
/// Raises ValueError if there is none, or they differ along another axis.
#[pyfunction]
#[pyo3(signature = (parts, axis = 0))]
pub fn concatenate(py: Python, parts: Vec<Bound<PyAny>>, axis: usize) -> PyResult<Tensor> {
    let inputs = parts.iter().map(variable).collect::<PyResult<_>>()?;
    applied(py, inputs, move |tape, v| ops::concat(tape, v, axis))
}
