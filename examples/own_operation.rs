//! An operation of one's own: Swish, `y = x / (1 + exp(-x))` (Ramachandran et al., 2017).
//!
//! An operation is a function that computes a value and records it on the tape, and a
//! struct, its backward rule, which keeps what the forward pass has to remember. The
//! crate's own operations are made in the same way.
//!
//! ```text
//! cargo run --example own_operation
//! ```

use zoo_tuning::Result;
use zoo_tuning::gradcheck::{Case, max_relative_error};
use zoo_tuning::ndarray::array;
use zoo_tuning::ops;
use zoo_tuning::tape::{Backward, Tape, Var};
use zoo_tuning::tensor::{Element, Tensor};

/// Forward: read the input from the tape, compute, record.
fn swish<T: Element>(tape: &mut Tape<T>, x: Var) -> Result<Var> {
    let x_value = tape.value(x)?.clone(); // shares the values, copies nothing
    let y = x_value.as_slice().iter().map(|&x| x * logistic(x)).collect();
    let y = Tensor::new(x_value.shape(), y)?;
    tape.record("swish", y, &[x], Swish { x: x_value })
}

fn logistic<T: Element>(x: T) -> T {
    T::one() / (T::one() + (-x).exp())
}

/// What the backward pass needs.
struct Swish<T> {
    x: Tensor<T>,
}

impl<T: Element> Backward<T> for Swish<T> {
    /// With `s` the logistic function of `x`: `dx = dy (s + x s (1 - s))`.
    fn backward(self: Box<Self>, dy: Tensor<T>, _: &[bool]) -> Result<Vec<Option<Tensor<T>>>> {
        let slope = |x| {
            let s = logistic(x);
            s + x * s * (T::one() - s)
        };
        let dx = dy.as_slice().iter().zip(self.x.as_slice()).map(|(&dy, &x)| dy * slope(x));
        let dx = Tensor::new(self.x.shape(), dx.collect())?;
        Ok(vec![Some(dx)]) // one gradient for each input
    }
}

fn main() -> Result<()> {
    // First check the rule against finite differences, in double precision.
    let x = Tensor::normal(&[4, 5], 2.0, &mut fastrand::Rng::with_seed(1));
    let error = max_relative_error(&Case::new([x], |tape, inputs| swish(tape, inputs[0])))?;
    println!("largest relative error of the gradient: {error:.1e}");
    assert!(error < 1e-6);

    // Then use it among the others: one step of a linear layer with Swish behind it.
    let mut tape = Tape::new();
    let x = tape.constant(array![[1.0f32, 2.0], [-1.0, 0.5]]);
    let target = tape.constant(array![[1.0], [0.0]]);
    let weight = tape.parameter(array![[0.3, -0.2]]);
    let y = ops::linear(&mut tape, x, weight, None)?;
    let y = swish(&mut tape, y)?;
    let loss = ops::mse(&mut tape, y, target)?;
    println!("loss: {}", tape.value(loss)?.item()?);
    let mut gradients = tape.backward(loss)?;
    if let Some(gradient) = gradients.take(weight) {
        println!("gradient of the weight: {:?}", gradient.as_slice());
    }
    Ok(())
}
