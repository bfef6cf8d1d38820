//! Reverse-mode differentiation over arrays of `ndarray`: a curve is fitted by gradient descent,
//! without a network.
//!
//! A [`Tape`] records what is computed from its values. [`Tape::backward`] walks it from the loss
//! back to the parameters, and returns the gradient of each: how the loss changes with it.
//!
//! ```text
//! cargo run --example autograd
//! ```

use zoo_tuning::ndarray::{Array2, Ix2, array};
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::{Error, Result, ops};

/// A loss of one's own, composed of small operations: the mean of `(x w - y)^2`.
fn mean_square(tape: &mut Tape<f64>, x: Var, w: Var, y: Var) -> Result<Var> {
    let prediction = ops::matmul(tape, x, w)?; // [N, 3] [3, 1] -> [N, 1]
    let error = ops::sub(tape, prediction, y)?;
    let square = ops::mul(tape, error, error)?;
    ops::mean_all(tape, square) // one number, as backward asks for
}

fn main() -> Result<()> {
    // Points of a parabola, with noise: y = 0.5 - 2 t + 3 t^2 for t in -1..1.
    let truth = array![[0.5], [-2.0], [3.0]];
    let mut rng = fastrand::Rng::with_seed(1);
    let count = 100;
    let x = Array2::from_shape_fn((count, 3), |(n, power)| {
        let t = 2.0 * n as f64 / (count - 1) as f64 - 1.0;
        t.powi(power as i32)
    });
    let noise = Array2::from_shape_fn((count, 1), |_| 0.2 * (rng.f64() - 0.5));
    let y = x.dot(&truth) + noise;

    let mut w = Array2::zeros((3, 1));
    for step in 0..=100 {
        // Forward: arrays go in, and what is computed of them is recorded.
        let mut tape = Tape::new();
        let (xs, ys) = (tape.constant(x.view()), tape.constant(y.view()));
        let parameter = tape.parameter(w.view());
        let loss = mean_square(&mut tape, xs, parameter, ys)?;
        if step % 20 == 0 {
            println!("step {step:3}  loss {:.5}", tape.value(loss)?.item()?);
        }

        // Backward: the gradient comes out as an array of the parameter's shape.
        let mut gradients = tape.backward(loss)?;
        let missing = || Error::argument("autograd", "the loss does not depend on w");
        let gradient = gradients.take(parameter).ok_or_else(missing)?.into_array::<Ix2>()?;
        w.scaled_add(-0.5, &gradient); // w -= 0.5 gradient
    }

    // What remains of the loss is the noise's variance, 0.2^2 / 12 = 0.0033, or nearly.
    println!("found {:.2}, made with {:.2}", w.t(), truth.t());
    let largest = (&w - &truth).iter().fold(0.0, |most: f64, off| most.max(off.abs()));
    assert!(largest < 0.05, "the fit is off by {largest}");
    Ok(())
}
