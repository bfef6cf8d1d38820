//! Gradient descent on the leave-one-out loss of the features that a router mixes.

use super::super::ridge::Standardised;
use super::super::targets::Goals;
use super::RouterSettings;
use super::classifier::{leave_one_out, mixed};
use super::map::Map;
use crate::kernel::update::{Adam, adam};
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::{Result, ops};

/// The map after [`RouterSettings::steps`] steps of Adam on
/// `loss + stay |V - V0|^2 + entropy mean_n H(q_n)`, where `q = softmax(V phi + c)`. The loss is
/// `CE(temperature P)` of classes, `mean (P - y)^2` of values, where `P` is what the ridge regression
/// says of each sample by all others, from the features `f_n = sum_i q_ni F_ni`; `features` are the
/// `F_i` `[N, D]`.
pub(super) fn refined(
    map: &Map,
    features: &[Tensor<f64>],
    goals: &Goals,
    phi: &Standardised,
    settings: &RouterSettings,
) -> Result<Map> {
    let (n, sources) = (phi.n, features.len());
    let x = Tensor::new(&[n, phi.d], phi.x.clone())?;
    let first = Tensor::new(&[sources, phi.d], map.weight.clone())?;
    let mut values = [map.weight.clone(), map.bias.clone()];
    let mut moments = values.clone().map(|v| [vec![0.0; v.len()], vec![0.0; v.len()]]);
    for step in 1..=settings.steps {
        let mut tape = Tape::new();
        let [x, first] = [&x, &first].map(|tensor| tape.constant(tensor.clone()));
        let weight = tape.parameter(Tensor::new(&[sources, phi.d], values[0].clone())?);
        let bias = tape.parameter(Tensor::new(&[sources], values[1].clone())?);
        let tape = &mut tape;
        let scores = ops::linear(tape, x, weight, Some(bias))?;
        let shares = ops::softmax(tape, scores)?;
        let f = mixed(tape, shares, features)?;
        let outputs = leave_one_out(tape, f, goals)?;
        let mut loss = goals.loss(tape, outputs, settings.temperature)?;
        let moved = ops::sub(tape, weight, first)?;
        let squares = ops::mul(tape, moved, moved)?;
        let log_shares = ops::log_softmax(tape, scores)?;
        let information = ops::mul(tape, shares, log_shares)?;
        for (values, factor) in
            [(squares, settings.stay), (information, -settings.entropy / n as f64)]
        {
            let sum = ops::sum_all(tape, values)?;
            let penalty = ops::scale(tape, sum, factor)?;
            loss = ops::add(tape, loss, penalty)?;
        }
        let mut gradients = tape.backward(loss)?;
        let by_adam = settings_of(step, settings.learning_rate);
        for ((values, [m, v]), var) in values.iter_mut().zip(&mut moments).zip([weight, bias]) {
            let gradient = gradients.take(var).map(Tensor::into_vec);
            let gradient = gradient.unwrap_or_else(|| vec![0.0; values.len()]);
            adam(values, &gradient, m, v, by_adam);
        }
    }
    let [weight, bias] = values;
    Ok(Map { weight, bias })
}

/// Adam with the usual decays (Kingma and Ba, 2015), at a step counted from 1.
fn settings_of(step: usize, learning_rate: f64) -> Adam<f64> {
    let betas = [0.9, 0.999];
    let [first, second] = betas.map(|beta: f64| 1.0 - beta.powf(step as f64));
    Adam {
        rate: learning_rate / first,
        decay: 0.0,
        keep: 1.0,
        betas,
        rest: betas.map(|beta| 1.0 - beta),
        root: 1.0 / second.sqrt(),
        epsilon: 1e-8,
    }
}
