//! `y[n, c, i, j] = sum_{r, s} R[i, r] S[j, s] x[n, c, r, s]`: images of another size, larger or
//! smaller. A row of `R` (for rows) and `S` (for columns) holds the shares of the pixels that an
//! output is made of: one, or two neighbours.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::resample::Interpolation;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor, product};
use crate::{Error, Result};

/// `x` `[N, C, H, W]` as `[N, C, H', W']`, for `size` `[H', W']`, linear along both axes between the
/// centres of pixels: `F.interpolate(mode="bilinear", align_corners=False)`.
///
/// Along an axis, output `i` is at `s = max(0, (i + 1/2) in / out - 1/2)` of the input, and made of
/// the pixels `floor(s)` and the next one, if there is one, by `1 - (s - floor(s))` and
/// `s - floor(s)`.
///
/// # Errors
/// If `x` is not of four dimensions, or an image has no pixel or is larger than 2^24 along an axis.
pub fn upsample_bilinear<T: Element>(tape: &mut Tape<T>, x: Var, size: [usize; 2]) -> Result<Var> {
    upsample("upsample_bilinear", Interpolation::Bilinear, tape, x, size)
}

/// `x` `[N, C, H, W]` as `[N, C, H', W']`, for `size` `[H', W']`; along an axis, output `i` is the
/// pixel `floor(i in / out)`: `F.interpolate(mode="nearest")`, with its rounding in single
/// precision.
///
/// # Errors
/// As [`upsample_bilinear`].
pub fn upsample_nearest<T: Element>(tape: &mut Tape<T>, x: Var, size: [usize; 2]) -> Result<Var> {
    upsample("upsample_nearest", Interpolation::Nearest, tape, x, size)
}

fn upsample<T: Element>(
    operation: &'static str,
    rule: Interpolation,
    tape: &mut Tape<T>,
    x: Var,
    size: [usize; 2],
) -> Result<Var> {
    /// Up to here, single precision counts pixels.
    const LARGEST: usize = 1 << 24;
    let value = tape.value(x)?;
    let [batch, channels, height, width] = value.dims(operation, "input", "[N, C, H, W]")?;
    let from = [height, width];
    let fits = |sizes: [usize; 2]| sizes.iter().all(|size| (1..=LARGEST).contains(size));
    if !fits(from) {
        let expected = "with 1 to 2^24 pixels along both axes";
        return Err(Error::shape(operation, "input", expected, value.shape()));
    }
    let sizes = [batch, channels, size[0], size[1]];
    if !fits(size) || product(&sizes).is_none() {
        return Err(Error::argument(operation, format!("an output of {sizes:?} is out of range")));
    }
    let y = value.device().engine().resample(rule, value, size)?;
    tape.record(operation, y, &[x], Upsample { rule, from })
}

struct Upsample {
    rule: Interpolation,
    from: [usize; 2],
}

impl<T: Element> Backward<T> for Upsample {
    /// `dx[n, c, r, s] = sum_{i, j} R[i, r] S[j, s] dy[n, c, i, j]`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        Ok(vec![Some(dy.device().engine().resample_gradient(self.rule, &dy, self.from)?)])
    }
}

/// Sizes from a quarter to four times as large, whole multiples among them.
fn drawn(draw: &mut Draw) -> (Tensor<f64>, [usize; 2]) {
    let shape = [draw.size(1, 2), draw.size(1, 2), draw.size(1, 5), draw.size(1, 5)];
    let size = [2, 3].map(|axis: usize| match draw.size(0, 2) {
        0 => 2 * shape[axis],
        1 => 4 * shape[axis],
        _ => draw.size(1, 9),
    });
    (draw.tensor(&shape), size)
}

pub(super) fn bilinear_case(draw: &mut Draw) -> Case {
    let (x, size) = drawn(draw);
    Case::new([x], move |tape, v| upsample_bilinear(tape, v[0], size))
}

pub(super) fn nearest_case(draw: &mut Draw) -> Case {
    let (x, size) = drawn(draw);
    Case::new([x], move |tape, v| upsample_nearest(tape, v[0], size))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::bilinear_case);

    mod nearest {
        crate::gradcheck::gradient_test!(super::super::nearest_case);
    }

    #[test]
    fn images_that_are_none_are_errors() {
        let mut tape = Tape::new();
        let mut upsample = |shape: &[usize], size| {
            let x = tape.constant(Tensor::<f32>::zeros(shape));
            upsample_bilinear(&mut tape, x, size).is_ok()
        };
        assert!(upsample(&[1, 1, 2, 2], [3, 1]) && upsample(&[0, 1, 2, 2], [3, 1]));
        assert!(!upsample(&[1, 1, 2, 2], [0, 2]));
        assert!(!upsample(&[1, 1, 2, 2], [1 << 25, 1]));
        assert!(!upsample(&[1, 1, 0, 2], [2, 2]));
        assert!(!upsample(&[1, 2, 2], [2, 2]));
    }
}
