//! Operations that operators of Python need beside those of the engine.

use crate::graph::{Rule, Variable};
use std::collections::TryReserveError;
use std::sync::Arc;
use zoo_tuning::ndarray::{ArrayD, Axis, IxDyn};
use zoo_tuning::tape::{Backward, Tape, Var};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::{Error, Result};

type Gradients = Result<Vec<Option<Tensor<f32>>>>;

/// A value repeated along axes of size 1, and along new ones before the first.
pub fn expanded(variable: Arc<Variable>, shape: &[usize]) -> Result<Arc<Variable>> {
    let value = variable.value();
    if value.shape() == shape {
        return Ok(variable);
    }
    let view = value.view::<IxDyn>()?;
    let repeated = view.broadcast(IxDyn(shape)).ok_or_else(|| {
        let expected = format!("one that is broadcast to {shape:?}");
        Error::shape("operator", "operand", expected, value.shape())
    })?;
    // What has no room is an error, and not the end of the process.
    let no_room =
        |error: TryReserveError| Error::argument("operator", format!("{shape:?}: {error}"));
    let mut values = Vec::new();
    values.try_reserve_exact(repeated.len()).map_err(no_room)?;
    values.extend(&repeated);
    let repeated = Tensor::new(shape, values)?;
    if !variable.needs_gradient() {
        return Ok(Variable::constant(repeated));
    }
    let rule = Expand { shape: value.shape().to_vec() };
    Ok(Variable::made(repeated, vec![variable], rule))
}

struct Expand {
    shape: Vec<usize>,
}

impl Rule for Expand {
    /// What was repeated is summed.
    fn back(self: Box<Self>, gradient: Tensor<f32>) -> Gradients {
        let mut sum: ArrayD<f32> = gradient.into_array::<IxDyn>()?;
        while sum.ndim() > self.shape.len() {
            sum = sum.sum_axis(Axis(0));
        }
        for (axis, &size) in self.shape.iter().enumerate() {
            if size == 1 && sum.shape()[axis] != 1 {
                sum = sum.sum_axis(Axis(axis)).insert_axis(Axis(axis));
            }
        }
        Ok(vec![Some(Tensor::from(sum))])
    }
}

/// A value for each of the values of two tensors of one shape.
fn zipped(
    a: &Tensor<f32>,
    b: &Tensor<f32>,
    value: impl Fn(f32, f32) -> f32,
) -> Result<Tensor<f32>> {
    let values = a.as_slice().iter().zip(b.as_slice()).map(|(&a, &b)| value(a, b)).collect();
    Tensor::new(a.shape(), values)
}

/// `a / b` of two tensors of one shape.
pub fn divided(tape: &mut Tape<f32>, a: Var, b: Var) -> Result<Var> {
    let (x, y) = (tape.value(a)?, tape.value(b)?);
    let quotient = zipped(x, y, |x, y| x / y)?;
    let rule = Divide { divisor: y.clone(), quotient: quotient.clone() };
    tape.record("divide", quotient, &[a, b], rule)
}

struct Divide {
    divisor: Tensor<f32>,
    quotient: Tensor<f32>,
}

impl Backward<f32> for Divide {
    /// `da = dy / b`, `db = -dy y / b`.
    fn backward(self: Box<Self>, dy: Tensor<f32>, wanted: &[bool]) -> Gradients {
        let da = zipped(&dy, &self.divisor, |dy, b| dy / b)?;
        let db = wanted[1].then(|| zipped(&da, &self.quotient, |da, y| -da * y)).transpose()?;
        Ok(vec![Some(da), db])
    }
}

/// `x` to the power of `exponent`.
pub fn power(tape: &mut Tape<f32>, x: Var, exponent: f32) -> Result<Var> {
    unary(tape, x, "power", move |x| x.powf(exponent), move |x| exponent * x.powf(exponent - 1.0))
}

/// `|x|`; at 0, its derivative is taken to be 0.
pub fn absolute(tape: &mut Tape<f32>, x: Var) -> Result<Var> {
    let sign = |x: f32| if x == 0.0 { 0.0 } else { x.signum() };
    unary(tape, x, "absolute", f32::abs, sign)
}

/// A function of each value, and its derivative.
fn unary(
    tape: &mut Tape<f32>,
    x: Var,
    name: &'static str,
    function: impl Fn(f32) -> f32,
    derivative: impl Fn(f32) -> f32 + Send + 'static,
) -> Result<Var> {
    let input = tape.value(x)?.clone();
    let values = input.as_slice().iter().map(|&x| function(x)).collect();
    let output = Tensor::new(input.shape(), values)?;
    tape.record(name, output, &[x], Unary { input, derivative })
}

struct Unary<D> {
    input: Tensor<f32>,
    derivative: D,
}

impl<D: Fn(f32) -> f32 + Send> Backward<f32> for Unary<D> {
    /// `dx = dy f'(x)`.
    fn backward(self: Box<Self>, dy: Tensor<f32>, _: &[bool]) -> Gradients {
        Ok(vec![Some(zipped(&dy, &self.input, |dy, x| dy * (self.derivative)(x))?)])
    }
}
