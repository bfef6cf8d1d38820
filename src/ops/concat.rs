//! `y[.., o_i + k, ..] = x_i[.., k, ..]` along one axis, with `o_i` the places of the parts before.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor, product};
use crate::{Error, Result};

/// Tensors one behind the other along `axis`, which is 1 for the channels of `[N, C, H, W]`.
/// [`slice`](super::slice()) cuts them out again.
///
/// # Errors
/// If there is none, they have no such axis, or they differ along another one.
pub fn concat<T: Element>(tape: &mut Tape<T>, parts: &[Var], axis: usize) -> Result<Var> {
    let values = parts.iter().map(|&part| tape.value(part)).collect::<Result<Vec<_>>>()?;
    let Some(first) = values.first() else {
        return Err(Error::argument("concat", "there is nothing to put together"));
    };
    let mut shape = first.shape().to_vec();
    if axis >= shape.len() {
        let expected = format!("with an axis {axis}");
        return Err(Error::shape("concat", "first operand", expected, &shape));
    }
    for other in &values {
        let mut like_first = other.shape().to_vec();
        like_first.get_mut(axis).into_iter().for_each(|size| *size = first.shape()[axis]);
        if like_first != first.shape() {
            let expected = format!("{:?} but for axis {axis}, like the first", first.shape());
            return Err(Error::shape("concat", "another operand", expected, other.shape()));
        }
    }
    let lens: Vec<usize> = values.iter().map(|value| value.shape()[axis]).collect();
    let len = lens.iter().try_fold(0usize, |sum, &len| sum.checked_add(len));
    shape[axis] = len.unwrap_or(usize::MAX);
    if product(&shape).is_none() {
        return Err(Error::argument("concat", format!("{shape:?} overflows the address space")));
    }
    let y = Device::of("concat", values.iter().copied())?.engine().concat(&values, axis)?;
    tape.record("concat", y, parts, Concat { axis, lens })
}

struct Concat {
    axis: usize,
    /// Places of each part along the axis.
    lens: Vec<usize>,
}

impl<T: Element> Backward<T> for Concat {
    /// `dx_i[.., k, ..] = dy[.., o_i + k, ..]`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let (device, mut start) = (dy.device(), 0);
        let pieces = self.lens.iter().zip(wanted).map(|(&len, &wanted)| {
            let piece = start..start + len;
            start += len;
            wanted.then(|| device.engine().slice(&dy, self.axis, piece)).transpose()
        });
        pieces.collect()
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 3), draw.size(1, 3), draw.size(1, 3)];
    let (axis, count) = (draw.size(0, 2), draw.size(1, 4));
    let part = |_| {
        let mut shape = shape;
        shape[axis] = draw.size(1, 4);
        draw.tensor(&shape)
    };
    let parts: Vec<_> = (0..count).map(part).collect();
    Case::new(parts, move |tape, v| concat(tape, v, axis))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn parts_that_do_not_fit_are_errors() {
        let mut tape = Tape::new();
        let [a, b, c] =
            [&[2, 3][..], &[2, 1], &[2]].map(|s| tape.constant(Tensor::<f32>::zeros(s)));
        assert!(concat(&mut tape, &[a, b], 1).is_ok());
        assert!(concat(&mut tape, &[a, b], 0).is_err());
        assert!(concat(&mut tape, &[a, b], 2).is_err());
        assert!(concat(&mut tape, &[a, c], 1).is_err());
        assert!(concat(&mut tape, &[], 0).is_err());
    }
}
