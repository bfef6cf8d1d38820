//! `K = sum_i g[i] A[i]`: one kernel for a whole batch, in lite.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

/// The mean of `values` `[m, ...]` weighted by `gate` `[m]`, of the shape `[...]`.
///
/// # Errors
/// If `gate` does not have one value for each source.
pub fn aggregate<T: Element>(tape: &mut Tape<T>, values: Var, gate: Var) -> Result<Var> {
    let (a, g) = (tape.value(values)?.clone(), tape.value(gate)?.clone());
    let [sources] = g.dims("aggregate", "gate", "[m]")?;
    if a.shape().first() != Some(&sources) || a.is_empty() {
        let expected = format!("[{sources}, ...], as the gate says");
        return Err(Error::shape("aggregate", "values", expected, a.shape()));
    }
    let k = Device::of("aggregate", [&a, &g])?.engine().aggregate(&g, &a)?;
    tape.record("aggregate", k, &[values, gate], Aggregate { values: a, gate: g })
}

struct Aggregate<T> {
    values: Tensor<T>,
    gate: Tensor<T>,
}

impl<T: Element> Backward<T> for Aggregate<T> {
    /// `dA_i = g_i dK`, `dg_i = <dK, A_i>`.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { gate, values } = *self;
        let device = Device::of("aggregate", [&dy, &values])?;
        let wanted = [wanted[1], wanted[0]];
        let [dgate, dvalues] = device.engine().aggregate_gradients(&gate, &values, &dy, wanted)?;
        Ok(vec![dvalues, dgate])
    }

    fn multiply_adds(&self) -> u64 {
        self.values.len() as u64
    }

    fn multiply_adds_of_parameters(&self) -> u64 {
        self.multiply_adds()
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [m, a, b] = [draw.size(1, 6), draw.size(1, 4), draw.size(1, 20)];
    Case::new([draw.tensor(&[m, a, b]), draw.tensor(&[m])], |tape, v| aggregate(tape, v[0], v[1]))
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
