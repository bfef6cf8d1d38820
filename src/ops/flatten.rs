//! `[N, C, H, W]` as `[N, C H W]`.

use crate::gradcheck::{Case, Draw};
use crate::tape::{Tape, Var};
use crate::tensor::Element;
use crate::{Error, Result};

/// Reads `x` `[N, ...]` as one row of values for each sample, `[N, K]`; nothing is copied. Its
/// gradient is that of [`reshape`](super::reshape()).
///
/// # Errors
/// If `x` has no axis.
pub fn flatten<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let shape = tape.value(x)?.shape();
    let &[batch, ref sample @ ..] = shape else {
        return Err(Error::shape("flatten", "input", "[N, ...]", shape));
    };
    let shape = [batch, sample.iter().product()];
    super::reshape(tape, x, &shape)
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 3), draw.size(1, 3), draw.size(1, 3), draw.size(1, 3)];
    Case::new([draw.tensor(&shape)], |tape, v| flatten(tape, v[0]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
