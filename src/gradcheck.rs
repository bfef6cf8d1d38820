//! Gradients against finite differences.
//!
//! A [`Case`] is an operation with inputs. [`max_relative_error`] compares what its
//! backward rule says with central differences, in `f64`:
//!
//! `(f(x + h) - f(x - h)) / 2h`, `h = 1e-5`, whose own error is of the order `h^2`.
//!
//! ```
//! use zoo_tuning::{gradcheck::{Case, max_relative_error}, ops, tensor::Tensor};
//! # fn main() -> zoo_tuning::Result<()> {
//! let x = Tensor::new(&[3], vec![0.5, -1.0, 2.0])?;
//! let case = Case::new([x], |tape, v| ops::relu(tape, v[0]));
//! assert!(max_relative_error(&case)? < 1e-6);
//! # Ok(())
//! # }
//! ```

use crate::kernel::{Geometry, Window};
use crate::tape::{Tape, Var};
use crate::tensor::{Device, Tensor};
use crate::{Error, Result};

/// A function that draws a case.
pub type DrawCase = fn(&mut Draw) -> Case;

type Operation = dyn Fn(&mut Tape<f64>, &[Var]) -> Result<Var>;

/// An operation and the inputs at which its gradient is to be checked.
pub struct Case {
    inputs: Vec<Tensor<f64>>,
    operation: Box<Operation>,
}

impl Case {
    /// The gradient of `operation` with respect to each of `inputs`.
    pub fn new(
        inputs: impl Into<Vec<Tensor<f64>>>,
        operation: impl Fn(&mut Tape<f64>, &[Var]) -> Result<Var> + 'static,
    ) -> Self {
        Self { inputs: inputs.into(), operation: Box::new(operation) }
    }

    /// Shapes of the inputs, for messages.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.inputs.iter().map(Tensor::shape).collect()
    }

    fn output(
        &self,
        inputs: &[Tensor<f64>],
        device: &Device,
    ) -> Result<(Tape<f64>, Vec<Var>, Var)> {
        let mut tape = Tape::new();
        let mut vars = Vec::new();
        for x in inputs {
            vars.push(tape.parameter(x.to(device)?));
        }
        let y = (self.operation)(&mut tape, &vars)?;
        Ok((tape, vars, y))
    }
}

/// The largest error of any gradient entry, relative to the largest entry of the
/// gradient of the same input (at least 1e-3, so that a gradient that vanishes does
/// not divide by zero). The output is reduced to a number by random weights.
///
/// # Errors
/// Whatever the operation finds wrong with its inputs.
pub fn max_relative_error(case: &Case) -> Result<f64> {
    max_relative_error_on(&Device::Cpu, case)
}

/// As [`max_relative_error`], of a gradient that `device` computes.
///
/// # Errors
/// As there; also if the device does not compute in `f64`.
pub fn max_relative_error_on(device: &Device, case: &Case) -> Result<f64> {
    const STEP: f64 = 1e-5;
    let (mut tape, vars, y) = case.output(&case.inputs, device)?;
    let mut rng = fastrand::Rng::with_seed(0x5eed);
    let weights = Tensor::normal(tape.value(y)?.shape(), 1.0, &mut rng);
    let mut gradients = tape.backward_from(y, weights.to(device)?)?;

    let value = |inputs: &[Tensor<f64>]| -> Result<f64> {
        let (tape, _, y) = case.output(inputs, device)?;
        let y = tape.value(y)?.as_slice();
        Ok(y.iter().zip(weights.as_slice()).map(|(y, w)| y * w).sum())
    };
    let mut worst = 0.0f64;
    for (which, var) in vars.into_iter().enumerate() {
        let analytic = gradients.take(var).ok_or_else(|| {
            Error::argument("gradcheck", format!("input {which} received no gradient"))
        })?;
        let mut inputs = case.inputs.clone();
        let mut numeric = Vec::with_capacity(analytic.len());
        for at in 0..analytic.len() {
            let x = case.inputs[which].as_slice()[at];
            inputs[which].as_mut_slice()[at] = x + STEP;
            let above = value(&inputs)?;
            inputs[which].as_mut_slice()[at] = x - STEP;
            let below = value(&inputs)?;
            inputs[which].as_mut_slice()[at] = x;
            numeric.push((above - below) / (2.0 * STEP));
        }
        let scale = numeric.iter().fold(1e-3f64, |largest, n| largest.max(n.abs()));
        for (a, n) in analytic.as_slice().iter().zip(&numeric) {
            // `max` would let a NaN pass.
            let error = (a - n).abs() / scale;
            worst = if error > worst || error.is_nan() { error } else { worst };
        }
    }
    Ok(worst)
}

/// A source of sizes and values for cases: a list of numbers that something else has
/// drawn, so that a test can shrink them. When the list is used up, zeros follow.
pub struct Draw {
    numbers: std::vec::IntoIter<u32>,
    values: fastrand::Rng,
}

impl Draw {
    /// Draws from `numbers`.
    pub fn new(numbers: Vec<u32>) -> Self {
        let seed = numbers.iter().fold(0u64, |hash, &n| hash.wrapping_mul(31) ^ u64::from(n));
        Self { numbers: numbers.into_iter(), values: fastrand::Rng::with_seed(seed) }
    }

    /// Draws from a generator with the given seed.
    pub fn seeded(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        Self::new((0..32).map(|_| rng.u32(..)).collect())
    }

    /// A size between `least` and `most`, both included.
    pub fn size(&mut self, least: usize, most: usize) -> usize {
        least + self.numbers.next().unwrap_or(0) as usize % (most - least + 1)
    }

    /// True or false.
    pub fn flip(&mut self) -> bool {
        self.size(0, 1) == 1
    }

    /// Values from the standard normal distribution.
    pub fn tensor(&mut self, shape: &[usize]) -> Tensor<f64> {
        Tensor::normal(shape, 1.0, &mut self.values)
    }

    /// Values whose distance from zero and from each other is much larger than the
    /// step of the differences, for operations with a kink.
    pub fn distinct(&mut self, shape: &[usize]) -> Tensor<f64> {
        let count: usize = shape.iter().product();
        let mut values: Vec<f64> =
            (0..count).map(|i| (i as f64 + 0.5 - (count / 2) as f64) * 0.1).collect();
        self.values.shuffle(&mut values);
        Tensor::owned(shape.to_vec(), values)
    }

    /// A convolution that exists: stride 1 to 3, padding 0 to 3, dilation 1 or 2, up to
    /// `most_groups` groups.
    pub fn geometry(&mut self, most_groups: usize) -> Geometry {
        let taps = [self.size(1, 3), self.size(1, 3)];
        let window = Window {
            stride: [self.size(1, 3), self.size(1, 3)],
            padding: [self.size(0, 3), self.size(0, 3)],
            dilation: [self.size(1, 2), self.size(1, 2)],
            groups: self.size(1, most_groups),
        };
        let least = |axis: usize| {
            let reach = (taps[axis] - 1) * window.dilation[axis] + 1;
            reach.saturating_sub(2 * window.padding[axis]).max(1)
        };
        let [height, width] = [0, 1].map(|axis| least(axis) + self.size(0, 4));
        let (per_group, batch) = (self.size(1, 3), self.size(1, 3));
        let outputs = self.size(1, 3) * window.groups;
        Geometry::new(
            "gradcheck",
            [batch, per_group * window.groups, height, width],
            [outputs, per_group, taps[0], taps[1]],
            window,
        )
        .unwrap_or_else(|_| unreachable!("the image was made large enough for the window"))
    }
}

/// A proptest over a case's sizes, for the file of each operation.
#[cfg(test)]
macro_rules! gradient_test {
    ($case:path) => {
        #[test]
        fn gradient() {
            use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            let mut runner = TestRunner::new_with_rng(Config::with_cases(48), rng);
            let numbers = proptest::collection::vec(proptest::num::u32::ANY, 32);
            runner
                .run(&numbers, |numbers| {
                    let case = $case(&mut crate::gradcheck::Draw::new(numbers));
                    let error = crate::gradcheck::max_relative_error(&case).map_err(|error| {
                        proptest::test_runner::TestCaseError::fail(error.to_string())
                    })?;
                    proptest::prop_assert!(error < 1e-6, "{} for {:?}", error, case.shapes());
                    Ok(())
                })
                .unwrap();
        }
    };
}
#[cfg(test)]
pub(crate) use gradient_test;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Backward;

    #[test]
    fn a_wrong_rule_is_found() {
        /// Claims that the derivative of `x^2` is `x`.
        struct Wrong(Tensor<f64>);
        impl Backward<f64> for Wrong {
            fn backward(
                self: Box<Self>,
                dy: Tensor<f64>,
                _: &[bool],
            ) -> Result<Vec<Option<Tensor<f64>>>> {
                Tensor::new(&[1], vec![dy.item()? * self.0.item()?]).map(|dx| vec![Some(dx)])
            }
        }
        let case = Case::new([Tensor::full(&[1], 3.0)], |tape, v| {
            let x = tape.value(v[0])?.clone();
            let y = Tensor::new(&[1], vec![x.item()?.powi(2)])?;
            tape.record("wrong", y, v, Wrong(x))
        });
        let error = max_relative_error(&case).unwrap();
        assert!((error - 0.5).abs() < 1e-6, "{error}");
    }
}
