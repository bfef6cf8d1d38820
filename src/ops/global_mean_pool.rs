//! `y[n, c] = mean_{i, j} x[n, c, i, j]`.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The mean of each channel of `x` `[N, C, H, W]`, of shape `[N, C]`.
///
/// # Errors
/// If `x` is not of four dimensions or has no pixels.
pub fn global_mean_pool<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let value = tape.value(x)?;
    let shape @ [_, _, height, width] = value.dims("global_mean_pool", "input", "[N, C, H, W]")?;
    if height * width == 0 {
        return Err(Error::shape("global_mean_pool", "input", "with pixels", &shape));
    }
    let y = value.device().engine().plane_means(value)?;
    tape.record("global_mean_pool", y, &[x], GlobalMeanPool { shape })
}

struct GlobalMeanPool {
    shape: [usize; 4],
}

impl<T: Element> Backward<T> for GlobalMeanPool {
    /// `dx[n, c, i, j] = dy[n, c] / (H W)`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        Ok(vec![Some(dy.device().engine().plane_means_gradient(&dy, self.shape)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 3), draw.size(1, 3), draw.size(1, 5), draw.size(1, 5)];
    Case::new([draw.tensor(&shape)], |tape, v| global_mean_pool(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
