//! `y[n, c, i, j] = max_{u, v} x[n, c, i s - p + u d, j s - p + v d]`.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::engine::Indices;
use crate::kernel::{Geometry, Window};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The largest value under each window of `size` over `x` `[N, C, H, W]`.
///
/// # Errors
/// If the window does not fit the image, or padding is more than half of it or dilation
/// more than the image, so that a window could see padding only.
pub fn max_pool2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    size: [usize; 2],
    window: Window,
) -> Result<Var> {
    let value = tape.value(x)?;
    let shape = value.dims("max_pool2d", "input", "[N, C, H, W]")?;
    let geometry = pooling("max_pool2d", shape, size, window)?;
    let (y, argmax) = value.device().engine().max_pool(&geometry, value)?;
    tape.record("max_pool2d", y, &[x], MaxPool2d { geometry, argmax })
}

/// The geometry of a pooling whose windows see a pixel each.
pub(super) fn pooling(
    operation: &'static str,
    shape: [usize; 4],
    size: [usize; 2],
    window: Window,
) -> Result<Geometry> {
    if size.contains(&0) {
        return Err(Error::argument(operation, format!("the window {size:?} is empty")));
    }
    for (axis, &pixels) in shape[2..].iter().enumerate() {
        let (padding, dilation) = (window.padding[axis], window.dilation[axis]);
        if padding > size[axis] / 2 || (padding > 0 && dilation > pixels) {
            return Err(Error::argument(
                operation,
                format!(
                    "with padding {padding} and dilation {dilation}, a window of {} over {pixels} \
                     pixels could see padding only",
                    size[axis]
                ),
            ));
        }
    }
    // A pooling reads one channel at a time, like a convolution in as many groups.
    let window = Window { groups: shape[1].max(1), ..window };
    let geometry = Geometry::new(operation, shape, [shape[1], 1, size[0], size[1]], window)?;
    if u32::try_from(geometry.pixels()).is_err() {
        return Err(Error::shape(operation, "input", "of fewer than 2^32 pixels", &shape));
    }
    Ok(geometry)
}

struct MaxPool2d {
    geometry: Geometry,
    argmax: Indices,
}

impl<T: Element> Backward<T> for MaxPool2d {
    /// Each `dy` goes to the pixel that was the largest.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let Self { geometry, argmax } = *self;
        Ok(vec![Some(dy.device().engine().max_pool_gradient(&geometry, &argmax, &dy)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let size = [draw.size(1, 3), draw.size(1, 3)];
    let window = Window {
        stride: [draw.size(1, 3), draw.size(1, 3)],
        padding: size.map(|size| draw.size(0, size / 2)),
        ..Window::default()
    };
    let shape = [draw.size(1, 2), draw.size(1, 3), draw.size(3, 7), draw.size(3, 7)];
    Case::new([draw.distinct(&shape)], move |tape, v| max_pool2d(tape, v[0], size, window))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn a_window_that_sees_padding_only_is_an_error() {
        let mut tape = Tape::new();
        let x = tape.constant(Tensor::<f32>::zeros(&[1, 1, 2, 1]));
        // The taps would read the columns -1 and 1 of an image that has only column 0.
        let window = Window { padding: [0, 1], dilation: [1, 2], ..Window::default() };
        assert!(max_pool2d(&mut tape, x, [1, 2], window).is_err());
        let window = Window { padding: [1, 0], ..Window::default() };
        assert!(max_pool2d(&mut tape, x, [1, 1], window).is_err());
        assert!(max_pool2d(&mut tape, x, [2, 1], window).is_ok());
        assert!(max_pool2d(&mut tape, x, [0, 1], Window::default()).is_err());
    }
}
