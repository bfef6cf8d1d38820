//! `y[k] = x[order[k]]`: samples in another order.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The rows of `x` `[N, ...]` in the order in which `order`, a permutation of `0..N`, names them.
///
/// # Errors
/// If `order` is no permutation of the rows.
pub fn reorder<T: Element>(tape: &mut Tape<T>, x: Var, order: &[usize]) -> Result<Var> {
    let value = tape.value(x)?;
    let rows = value.shape().first().copied().unwrap_or(0);
    let mut inverse = vec![usize::MAX; rows];
    let places = order.iter().enumerate();
    let is_permutation = order.len() == rows
        && places.into_iter().all(|(place, &row)| {
            let free = inverse.get_mut(row).filter(|place| **place == usize::MAX);
            free.map(|known| *known = place).is_some()
        });
    if !is_permutation {
        let problem = format!("{order:?} is no order of {rows} rows");
        return Err(Error::argument("reorder", problem));
    }
    let y = rows_of(value, order)?;
    tape.record("reorder", y, &[x], Reorder { inverse })
}

/// The rows `order` of `x` `[N, ...]`. Neighbours that stay neighbours move together.
pub(crate) fn rows_of<T: Element>(x: &Tensor<T>, order: &[usize]) -> Result<Tensor<T>> {
    let device = x.device();
    let engine = device.engine();
    let runs = order.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let runs = runs.map(|run| engine.slice(x, 0, run[0]..run[0] + run.len()));
    let runs = runs.collect::<Result<Vec<_>>>()?;
    match &runs.iter().collect::<Vec<_>>()[..] {
        [] => Ok(x.clone()),
        [one] => Ok((*one).clone()),
        runs => engine.concat(runs, 0),
    }
}

struct Reorder {
    inverse: Vec<usize>,
}

impl<T: Element> Backward<T> for Reorder {
    /// `dx[order[k]] = dy[k]`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Gradients<T> {
        Ok(vec![Some(rows_of(&dy, &self.inverse)?)])
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let shape = [draw.size(1, 6), draw.size(1, 3)];
    let mut order: Vec<usize> = (0..shape[0]).collect();
    (1..shape[0]).for_each(|at| order.swap(at, draw.size(0, at)));
    Case::new([draw.tensor(&shape)], move |tape, v| reorder(tape, v[0], &order))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn only_an_order_of_all_rows_is_taken() {
        let mut tape = Tape::new();
        let x = tape.constant(Tensor::new(&[3, 1], vec![10.0f32, 11.0, 12.0]).unwrap());
        let y = reorder(&mut tape, x, &[2, 0, 1]).unwrap();
        assert_eq!(tape.value(y).unwrap().as_slice(), [12.0, 10.0, 11.0]);
        for wrong in [&[0, 1][..], &[0, 0, 1], &[0, 1, 3]] {
            assert!(reorder(&mut tape, x, wrong).is_err(), "{wrong:?}");
        }
        let nothing = tape.constant(Tensor::<f32>::zeros(&[0, 2]));
        assert!(reorder(&mut tape, nothing, &[]).is_ok());
    }
}
