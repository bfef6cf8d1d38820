//! `y[n, a] = v[n] + d[n, a] - mean_b d[n, b]` (Wang et al., 2016): the value of a state, and by how
//! much each action is better than the mean of all.

use super::{add, concat, mean_axes, reshape, slice, sub};
use crate::gradcheck::{Case, Draw};
use crate::tape::{Tape, Var};
use crate::tensor::Element;
use crate::{Error, Result};

/// The action values `[N, A K]` of `x` `[N, (1 + A) K]`: first the `K` atoms of the state's value
/// `v`, then those of the advantage `d` of each action in turn. `K` is 1 where values are numbers.
///
/// # Errors
/// If `x` does not have the atoms of a value and of one action at least.
pub fn dueling<T: Element>(tape: &mut Tape<T>, x: Var, atoms: usize) -> Result<Var> {
    let [batch, columns] = tape.value(x)?.dims("dueling", "input", "[N, (1 + A) K]")?;
    if atoms == 0 || columns % atoms != 0 || columns / atoms < 2 {
        let expected = format!("[N, (1 + A) K] with K = {atoms} and A of 1 at least");
        return Err(Error::shape("dueling", "input", expected, &[batch, columns]));
    }
    let actions = columns / atoms - 1;
    let value = slice(tape, x, 1, 0..atoms)?;
    let advantages = slice(tape, x, 1, atoms..columns)?;
    let by_action = reshape(tape, advantages, &[batch, actions, atoms])?;
    let mean = mean_axes(tape, by_action, &[1])?;
    let shift = sub(tape, value, mean)?;
    let shifts = concat(tape, &vec![shift; actions], 1)?;
    add(tape, advantages, shifts)
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let [batch, actions, atoms] = [draw.size(1, 3), draw.size(1, 4), draw.size(1, 3)];
    Case::new([draw.tensor(&[batch, (1 + actions) * atoms])], move |tape, v| {
        dueling(tape, v[0], atoms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    crate::gradcheck::gradient_test!(super::case);

    #[test]
    fn the_mean_over_actions_is_the_value() {
        let mut tape = Tape::<f64>::new();
        let x = Tensor::new(&[1, 6], vec![5.0, 7.0, 1.0, 0.0, 3.0, 4.0]).unwrap();
        let x = tape.constant(x);
        let y = dueling(&mut tape, x, 2).unwrap();
        assert_eq!(tape.value(y).unwrap().as_slice(), [4.0, 5.0, 6.0, 9.0]);
        assert!(dueling(&mut tape, x, 4).is_err() && dueling(&mut tape, x, 6).is_err());
    }
}
