//! `y[.., k, ..] = x[.., start + k, ..]` along one axis.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use std::ops::Range;

/// The places `range` of `axis`, which is 1 for the channels of `[N, C, H, W]`; all of the other
/// axes. [`concat`](super::concat()) puts pieces together again.
///
/// # Errors
/// If `x` has no such axis, or that has no such places.
pub fn slice<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    axis: usize,
    range: Range<usize>,
) -> Result<Var> {
    let value = tape.value(x)?;
    let Some(&len) = value.shape().get(axis) else {
        let expected = format!("with an axis {axis}");
        return Err(Error::shape("slice", "input", expected, value.shape()));
    };
    if range.start > range.end || range.end > len {
        let problem = format!("{range:?} is not within the {len} places of axis {axis}");
        return Err(Error::argument("slice", problem));
    }
    let y = value.device().engine().slice(value, axis, range.clone())?;
    tape.record("slice", y, &[x], Slice { axis, start: range.start, len })
}

struct Slice {
    axis: usize,
    start: usize,
    /// Places of the input along the axis.
    len: usize,
}

impl<T: Element> Backward<T> for Slice {
    /// `dx[.., start + k, ..] = dy[.., k, ..]`, and 0 elsewhere.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let Self { axis, start, len } = *self;
        Ok(vec![Some(dy.device().engine().slice_gradient(&dy, axis, start, len)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 4), draw.size(1, 4), draw.size(1, 4)];
    let axis = draw.size(0, 2);
    let start = draw.size(0, shape[axis] - 1);
    let end = draw.size(start + 1, shape[axis]);
    Case::new([draw.tensor(&shape)], move |tape, v| slice(tape, v[0], axis, start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn places_that_are_not_there_are_errors() {
        let mut tape = Tape::new();
        let x = tape.constant(Tensor::<f32>::zeros(&[2, 3]));
        assert!(slice(&mut tape, x, 1, 1..3).is_ok());
        assert!(slice(&mut tape, x, 1, 1..1).is_ok());
        assert!(slice(&mut tape, x, 1, 1..4).is_err());
        assert!(slice(&mut tape, x, 1, Range { start: 2, end: 1 }).is_err());
        assert!(slice(&mut tape, x, 2, 0..1).is_err());
    }
}
