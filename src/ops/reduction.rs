//! `y = sum x` and `y = mean x`, over some axes or over all.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use std::ops::Range;

/// The sum over the given axes of `x`, which the result lacks: over axes 0 and 2 of
/// `[N, C, H, W]`, a tensor `[C, W]`.
///
/// # Errors
/// If an axis is named twice, or `x` lacks it.
pub fn sum_axes<T: Element>(tape: &mut Tape<T>, x: Var, axes: &[usize]) -> Result<Var> {
    reduced("sum_axes", tape, x, Some(axes), false)
}

/// The sum of all values of `x`, of shape `[]`.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn sum_all<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    reduced("sum_all", tape, x, None, false)
}

/// The mean over the given axes of `x`, which the result lacks.
///
/// # Errors
/// If an axis is named twice, `x` lacks it, or there are no values along it.
pub fn mean_axes<T: Element>(tape: &mut Tape<T>, x: Var, axes: &[usize]) -> Result<Var> {
    reduced("mean_axes", tape, x, Some(axes), true)
}

/// The mean of all values of `x`, of shape `[]`.
///
/// # Errors
/// If there are no values.
pub fn mean_all<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    reduced("mean_all", tape, x, None, true)
}

/// The sum or mean over `axes`, or over all.
fn reduced<T: Element>(
    operation: &'static str,
    tape: &mut Tape<T>,
    x: Var,
    axes: Option<&[usize]>,
    is_mean: bool,
) -> Result<Var> {
    let value = tape.value(x)?;
    let shape = value.shape().to_vec();
    let runs = match axes {
        Some(axes) => runs(operation, &shape, axes)?,
        None => std::iter::once(0..shape.len()).collect(),
    };
    let mut factor = T::one();
    if is_mean {
        let count: usize = runs.iter().flat_map(|run| &shape[run.clone()]).product();
        if count == 0 {
            let expected = "with at least one value to take the mean of";
            return Err(Error::shape(operation, "input", expected, &shape));
        }
        factor = T::from_f64(1.0 / count as f64);
    }
    let device = value.device();
    // From the last run to the first, so that the axes before keep their places.
    let mut y = value.clone();
    let mut remaining = factor;
    for run in runs.iter().rev() {
        y = device.engine().sum_axes(&y, run.clone(), remaining)?;
        remaining = T::one();
    }
    tape.record(operation, y, &[x], Reduction { shape, runs, factor })
}

/// The axes in increasing order, neighbours as one range.
fn runs(operation: &'static str, shape: &[usize], axes: &[usize]) -> Result<Vec<Range<usize>>> {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for axis in sorted {
        if axis >= shape.len() {
            let problem = format!("there is no axis {axis} in a tensor of shape {shape:?}");
            return Err(Error::argument(operation, problem));
        }
        match runs.last_mut() {
            Some(run) if run.end > axis => {
                return Err(Error::argument(operation, format!("axis {axis} is named twice")));
            }
            Some(run) if run.end == axis => run.end += 1,
            _ => runs.push(axis..axis + 1),
        }
    }
    Ok(runs)
}

struct Reduction<T> {
    shape: Vec<usize>,
    runs: Vec<Range<usize>>,
    factor: T,
}

impl<T: Element> Backward<T> for Reduction<T> {
    /// `dx = factor dy`, repeated along the axes that were summed over; `factor` is 1 for a sum,
    /// and for a mean 1 by the count of values.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let Self { shape, runs, mut factor } = *self;
        let (device, mut dx) = (dy.device(), dy);
        for run in runs {
            dx = device.engine().repeat(&dx, run.start, &shape[run], factor)?;
            factor = T::one();
        }
        Ok(vec![Some(dx)])
    }
}

/// A tensor of one to four axes, and some of them.
fn drawn(draw: &mut Draw) -> (Tensor<f64>, Vec<usize>) {
    let sizes = [draw.size(1, 3), draw.size(1, 4), draw.size(1, 3), draw.size(1, 3)];
    let shape = &sizes[..draw.size(1, 4)];
    let axes = (0..shape.len()).rev().filter(|_| draw.flip()).collect();
    (draw.tensor(shape), axes)
}

pub(super) fn sum_axes_case(draw: &mut Draw) -> Case {
    let (x, axes) = drawn(draw);
    Case::new([x], move |tape, v| sum_axes(tape, v[0], &axes))
}

pub(super) fn sum_all_case(draw: &mut Draw) -> Case {
    Case::new([drawn(draw).0], |tape, v| sum_all(tape, v[0]))
}

pub(super) fn mean_axes_case(draw: &mut Draw) -> Case {
    let (x, axes) = drawn(draw);
    Case::new([x], move |tape, v| mean_axes(tape, v[0], &axes))
}

pub(super) fn mean_all_case(draw: &mut Draw) -> Case {
    Case::new([drawn(draw).0], |tape, v| mean_all(tape, v[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, Axis, Ix2};

    mod sum_axes {
        crate::gradcheck::gradient_test!(super::super::sum_axes_case);
    }

    mod sum_all {
        crate::gradcheck::gradient_test!(super::super::sum_all_case);
    }

    mod mean_axes {
        crate::gradcheck::gradient_test!(super::super::mean_axes_case);
    }

    mod mean_all {
        crate::gradcheck::gradient_test!(super::super::mean_all_case);
    }

    #[test]
    fn axes_that_are_apart() {
        let x = Array4::from_shape_fn((2, 3, 4, 5), |(n, c, h, w)| (n + 2 * c + 3 * h * w) as f64);
        let expected = x.sum_axis(Axis(2)).sum_axis(Axis(0));
        let mut tape = Tape::new();
        let x = tape.constant(x);
        let y = super::sum_axes(&mut tape, x, &[2, 0]).unwrap();
        assert_eq!(tape.value(y).unwrap().view::<Ix2>().unwrap(), expected);
        let y = super::mean_axes(&mut tape, x, &[0, 2]).unwrap();
        assert_eq!(tape.value(y).unwrap().view::<Ix2>().unwrap(), expected / 8.0);
    }

    #[test]
    fn no_axis_is_no_change() {
        let mut tape = Tape::new();
        let x = tape.constant(ndarray::array![[1.0f32, 2.0]]);
        let y = super::mean_axes(&mut tape, x, &[]).unwrap();
        assert_eq!(tape.value(y).unwrap().shape(), [1, 2]);
        let scalar = tape.constant(Tensor::scalar(3.0));
        let y = super::sum_all(&mut tape, scalar).unwrap();
        assert_eq!(tape.value(y).unwrap().item().unwrap(), 3.0);
    }

    #[test]
    fn a_sum_over_nothing_is_zero_and_a_mean_an_error() {
        let mut tape = Tape::<f32>::new();
        let x = tape.constant(Tensor::zeros(&[2, 0]));
        let y = super::sum_axes(&mut tape, x, &[1]).unwrap();
        assert_eq!(tape.value(y).unwrap().as_slice(), [0.0; 2]);
        assert!(matches!(super::mean_axes(&mut tape, x, &[1]), Err(Error::Shape { .. })));
        assert!(matches!(super::mean_all(&mut tape, x), Err(Error::Shape { .. })));
        let y = super::mean_axes(&mut tape, x, &[0]).unwrap();
        assert_eq!(tape.value(y).unwrap().shape(), [0]);
    }

    #[test]
    fn axes_that_are_not_there_are_errors() {
        let mut tape = Tape::<f32>::new();
        let x = tape.constant(Tensor::zeros(&[2, 3]));
        let message = super::sum_axes(&mut tape, x, &[2]).unwrap_err().to_string();
        assert_eq!(message, "sum_axes: there is no axis 2 in a tensor of shape [2, 3]");
        let message = super::mean_axes(&mut tape, x, &[1, 0, 1]).unwrap_err().to_string();
        assert_eq!(message, "mean_axes: axis 1 is named twice");
    }
}
