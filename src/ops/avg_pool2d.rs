//! `y[n, c, i, j] = sum_{u, v} x[n, c, i s - p + u d, j s - p + v d] / divisor[i, j]`.

use super::Gradients;
use super::max_pool2d::pooling;
use crate::Result;
use crate::gradcheck::{Case, Draw};
use crate::kernel::{Divisor, Geometry, Window};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};

/// The mean under each window of `size` over `x` `[N, C, H, W]`, in which the padding is zero;
/// `divisor` says whether it counts: by default it does, as in PyTorch.
///
/// # Errors
/// As [`max_pool2d`](super::max_pool2d()).
pub fn avg_pool2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    size: [usize; 2],
    window: Window,
    divisor: Divisor,
) -> Result<Var> {
    let value = tape.value(x)?;
    let shape = value.dims("avg_pool2d", "input", "[N, C, H, W]")?;
    let geometry = pooling("avg_pool2d", shape, size, window)?;
    let y = value.device().engine().avg_pool(&geometry, divisor, value)?;
    tape.record("avg_pool2d", y, &[x], AvgPool2d { geometry, divisor })
}

struct AvgPool2d {
    geometry: Geometry,
    divisor: Divisor,
}

impl<T: Element> Backward<T> for AvgPool2d {
    /// Each `dy / divisor` goes to all pixels under its window.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let Self { geometry, divisor } = *self;
        Ok(vec![Some(dy.device().engine().avg_pool_gradient(&geometry, divisor, &dy)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let size = [draw.size(1, 3), draw.size(1, 3)];
    let window = Window {
        stride: [draw.size(1, 3), draw.size(1, 3)],
        padding: size.map(|size| draw.size(0, size / 2)),
        dilation: [draw.size(1, 2), draw.size(1, 2)],
        ..Window::default()
    };
    let shape = [draw.size(1, 2), draw.size(1, 3), draw.size(5, 7), draw.size(5, 7)];
    let divisor = if draw.flip() { Divisor::Taps } else { Divisor::Pixels };
    Case::new([draw.tensor(&shape)], move |tape, v| avg_pool2d(tape, v[0], size, window, divisor))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
