//! `y[n] = x[n, indices[n]]`: one value of each row, such as the action that was taken.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::engine::Indices;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The value of each row of `x` `[N, A]` in the column that `indices` (one of `0..A` for each row)
/// names; of shape `[N]`.
///
/// # Errors
/// If there is not one index for each row, or an index is out of range.
pub fn select<T: Element>(tape: &mut Tape<T>, x: Var, indices: &[usize]) -> Result<Var> {
    let value = tape.value(x)?;
    let [rows, columns] = value.dims("select", "input", "[N, A]")?;
    if indices.len() != rows {
        let expected = format!("[{}, A], a row for each index", indices.len());
        return Err(Error::shape("select", "input", expected, value.shape()));
    }
    if let Some((n, index)) = indices.iter().enumerate().find(|&(_, &index)| index >= columns) {
        let problem = format!("index {index} of row {n} is out of range of {columns} columns");
        return Err(Error::argument("select", problem));
    }
    let narrow: Option<Vec<u32>> = indices.iter().map(|&index| index.try_into().ok()).collect();
    let narrow = narrow.ok_or_else(|| {
        Error::shape("select", "input", "of fewer than 2^32 columns", value.shape())
    })?;
    let device = value.device();
    let engine = device.engine::<T>();
    let indices = engine.indices(narrow)?;
    let y = engine.select(value, &indices)?;
    tape.record("select", y, &[x], Select { indices, columns })
}

struct Select {
    indices: Indices,
    columns: usize,
}

impl<T: Element> Backward<T> for Select {
    /// `dx[n, k] = dy[n]` where `k = indices[n]`, else 0.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        let device = dy.device();
        Ok(vec![Some(device.engine().select_gradient(&dy, &self.indices, self.columns)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [rows, columns] = [draw.size(1, 4), draw.size(1, 5)];
    let indices: Vec<usize> = (0..rows).map(|_| draw.size(0, columns - 1)).collect();
    Case::new([draw.tensor(&[rows, columns])], move |tape, v| select(tape, v[0], &indices))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn indices_that_do_not_fit_are_errors() {
        let mut tape = Tape::<f32>::new();
        let x = tape.constant(Tensor::zeros(&[2, 3]));
        let message = select(&mut tape, x, &[0, 3]).unwrap_err().to_string();
        assert_eq!(message, "select: index 3 of row 1 is out of range of 3 columns");
        assert!(matches!(select(&mut tape, x, &[0]), Err(Error::Shape { .. })));
        let nothing = tape.constant(Tensor::zeros(&[0, 3]));
        let y = select(&mut tape, nothing, &[]).unwrap();
        assert_eq!(tape.value(y).unwrap().shape(), [0]);
    }
}
