//! `y = a - b` and `y = a b` for two tensors of one shape, `y = factor x` for one.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The difference `a - b` of two tensors of the same shape.
///
/// # Errors
/// If the shapes differ.
pub fn sub<T: Element>(tape: &mut Tape<T>, a: Var, b: Var) -> Result<Var> {
    let (x, y) = alike("sub", tape, a, b)?;
    let difference = Device::of("sub", [x, y])?.engine().blend([T::one(), -T::one()], x, y)?;
    tape.record("sub", difference, &[a, b], Sub)
}

/// The product `a b` of two tensors of the same shape, value by value.
///
/// # Errors
/// If the shapes differ.
pub fn mul<T: Element>(tape: &mut Tape<T>, a: Var, b: Var) -> Result<Var> {
    let (x, y) = alike("mul", tape, a, b)?;
    let product = Device::of("mul", [x, y])?.engine().mul(x, y)?;
    let rule = Mul { a: x.clone(), b: y.clone() };
    tape.record("mul", product, &[a, b], rule)
}

/// The product `factor x` of a constant and a tensor of any shape.
///
/// # Errors
/// If `x` belongs to another tape.
pub fn scale<T: Element>(tape: &mut Tape<T>, x: Var, factor: f64) -> Result<Var> {
    let (value, factor) = (tape.value(x)?, T::from_f64(factor));
    let y = value.device().engine().scale(value, factor)?;
    tape.record("scale", y, &[x], Scale { factor })
}

/// The operands, if they are of one shape.
fn alike<'a, T: Element>(
    operation: &'static str,
    tape: &'a Tape<T>,
    a: Var,
    b: Var,
) -> Result<(&'a Tensor<T>, &'a Tensor<T>)> {
    let (x, y) = (tape.value(a)?, tape.value(b)?);
    if x.shape() != y.shape() {
        let expected = format!("{:?}, like the first operand", x.shape());
        return Err(Error::shape(operation, "second operand", expected, y.shape()));
    }
    Ok((x, y))
}

struct Sub;

impl<T: Element> Backward<T> for Sub {
    /// `da = dy`, `db = -dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let db = wanted[1].then(|| dy.device().engine().scale(&dy, -T::one())).transpose()?;
        Ok(vec![wanted[0].then_some(dy), db])
    }
}

struct Mul<T> {
    a: Tensor<T>,
    b: Tensor<T>,
}

impl<T: Element> Backward<T> for Mul<T> {
    /// `da = dy b`, `db = dy a`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { a, b } = *self;
        let device = Device::of("mul", [&dy, &a])?;
        let times = |other| device.engine().mul(&dy, other);
        Ok(vec![
            wanted[0].then(|| times(&b)).transpose()?,
            wanted[1].then(|| times(&a)).transpose()?,
        ])
    }
}

struct Scale<T> {
    factor: T,
}

impl<T: Element> Backward<T> for Scale<T> {
    /// `dx = factor dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        Ok(vec![Some(dy.device().engine().scale(&dy, self.factor)?)])
    }
}

pub(super) fn sub_case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    Case::new([draw.tensor(&shape), draw.tensor(&shape)], |tape, v| sub(tape, v[0], v[1]))
}

pub(super) fn mul_case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    let mut inputs = vec![draw.tensor(&shape)];
    // Also a square, whose input receives both gradients.
    if draw.flip() {
        inputs.push(draw.tensor(&shape));
    }
    Case::new(inputs, |tape, v| mul(tape, v[0], v[v.len() - 1]))
}

pub(super) fn scale_case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4)];
    let factor = draw.size(0, 6) as f64 / 2.0 - 1.5;
    Case::new([draw.tensor(&shape)], move |tape, v| scale(tape, v[0], factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    mod sub {
        crate::gradcheck::gradient_test!(super::sub_case);
    }

    mod mul {
        crate::gradcheck::gradient_test!(super::mul_case);
    }

    mod scale {
        crate::gradcheck::gradient_test!(super::scale_case);
    }

    #[test]
    fn other_shapes_are_errors() {
        let mut tape = Tape::<f32>::new();
        let (a, b) = (tape.constant(Tensor::zeros(&[2, 1])), tape.constant(Tensor::zeros(&[2])));
        assert!(matches!(super::sub(&mut tape, a, b), Err(Error::Shape { .. })));
        assert!(matches!(super::mul(&mut tape, a, b), Err(Error::Shape { .. })));
    }
}
