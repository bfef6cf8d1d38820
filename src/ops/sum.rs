//! `y = ((x_1 + x_2) + x_3) + ...`, for tensors of one shape.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The sum of tensors of the same shape in one pass, from the first to the last: what the branches
/// of a network are fused by.
///
/// # Errors
/// If there is none, or the shapes differ.
pub fn sum<T: Element>(tape: &mut Tape<T>, parts: &[Var]) -> Result<Var> {
    let values = parts.iter().map(|&part| tape.value(part)).collect::<Result<Vec<_>>>()?;
    let Some((first, others)) = values.split_first() else {
        return Err(Error::argument("sum", "there is nothing to sum up"));
    };
    if let Some(other) = others.iter().find(|other| other.shape() != first.shape()) {
        let expected = format!("{:?}, like the first operand", first.shape());
        return Err(Error::shape("sum", "another operand", expected, other.shape()));
    }
    let y = Device::of("sum", values.iter().copied())?.engine().sum(&values)?;
    tape.record("sum", y, parts, Sum)
}

struct Sum;

impl<T: Element> Backward<T> for Sum {
    /// `dx_i = dy`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let mut gradients: Vec<_> =
            wanted.iter().map(|&wanted| wanted.then(|| dy.clone())).collect();
        // Its own, so that where only one is wanted, that can be written to in place.
        if let Some(last) = gradients.iter_mut().rfind(|gradient| gradient.is_some()) {
            *last = Some(dy);
        }
        Ok(gradients)
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let (count, shape) = (draw.size(1, 6), [draw.size(1, 4), draw.size(1, 4)]);
    let parts: Vec<_> = (0..count).map(|_| draw.tensor(&shape)).collect();
    Case::new(parts, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn a_value_may_be_several_parts() {
        let mut tape = Tape::new();
        let x = tape.parameter(Tensor::<f32>::full(&[2], 1.5));
        let y = sum(&mut tape, &[x, x, x]).unwrap();
        assert_eq!(tape.value(y).unwrap().as_slice(), [4.5; 2]);
        let mut gradients = tape.backward_from(y, Tensor::full(&[2], 1.0)).unwrap();
        assert_eq!(gradients.take(x).unwrap().as_slice(), [3.0; 2]);
    }

    #[test]
    fn parts_have_to_be_there_and_alike() {
        let mut tape = Tape::new();
        let [a, b] = [&[2, 3], &[3, 2]].map(|s| tape.constant(Tensor::<f32>::zeros(s)));
        assert!(sum(&mut tape, &[]).is_err());
        assert!(sum(&mut tape, &[a, a, b]).is_err());
    }
}
