//! A zoo of fewer sources.
//!
//! In a tuned zoo some sources are worth little: the gates hardly take them, or no sample is routed to
//! them. Without them the file shrinks, and a step of training costs less.

use crate::nn::{Blueprint, Conv, Form, Mix, Mixing, Network, Parameters};
use crate::ops::GateFunction;
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// The network of those sources alone, in that order.
///
/// What a softmax gate gave the others is shared out among these, in proportion: `g[i] / sum_j g[j]`
/// over the kept `j`, which is what the softmax of the kept scores is. The moving averages of a lite
/// network are divided in the same way, which is exact as far as its gates do not depend on the input.
/// A sigmoid gate leaves each as it was. In a routed network each sample goes to the likeliest of the
/// kept sources.
///
/// # Errors
/// If the network has no zoo, or `kept` is empty or names a source twice or one that there is not.
pub fn pruned<T: Element>(network: &Network<T>, kept: &[usize]) -> Result<Network<T>> {
    let Blueprint { design, form, sources } = network.blueprint();
    if matches!(form, Form::Plain) {
        return Err(Error::Impossible {
            request: "drop sources of the network",
            reason: "it is a plain network, which keeps none".to_owned(),
            hint: "prune a network of the form zoo, lite or routed",
        });
    }
    let is_known = |(at, source): (usize, &usize)| source < sources && !kept[..at].contains(source);
    if kept.is_empty() || !kept.iter().enumerate().all(is_known) {
        let problem = format!("{kept:?} should be some of the sources 0 to {}", sources - 1);
        return Err(Error::argument("pruned", problem));
    }
    let old = network.parameters();
    let mut state = old.state("the pruned network");
    for conv in network.convolutions() {
        match (&conv.mix, &conv.routes) {
            (Some(mix), _) => mixed(&mut state, old, conv, mix, kept)?,
            // Tensors are named by their place among the sources.
            (_, Some(routes)) => {
                for ids in [&routes.kernels, &routes.biases] {
                    for (place, &id) in ids.iter().enumerate() {
                        match kept.get(place) {
                            Some(&from) => state.insert(old.name(id), old.value(ids[from]).clone()),
                            None => drop(state.tensors.remove(old.name(id))),
                        };
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(router) = network.router() {
        for id in [router.weight, router.bias] {
            state.insert(old.name(id), rows(old.value(id), kept)?);
        }
    }
    // A prior is only what training started with.
    let without_prior = |mixing: &Mixing| Mixing { prior: None, ..mixing.clone() };
    let form = match form {
        Form::Zoo(mixing) => Form::Zoo(without_prior(mixing)),
        Form::Lite(mixing) => Form::Lite(without_prior(mixing)),
        other => other.clone(),
    };
    design.in_form(form, kept.len()).build(&state)
}

/// The tensors of a layer whose kernels are mixed.
fn mixed<T: Element>(
    state: &mut State<T>,
    old: &Parameters<T>,
    conv: &Conv,
    mix: &Mix,
    kept: &[usize],
) -> Result<()> {
    let gate = &mix.gate;
    let stacked = [Some(conv.weight), conv.bias, mix.alignment, Some(gate.expand), Some(gate.bias)];
    for id in stacked.into_iter().flatten() {
        state.insert(old.name(id), rows(old.value(id), kept)?);
    }
    let Some(average) = gate.average else { return Ok(()) };
    let mut sum = rows(old.value(average.sum), kept)?;
    if gate.function == GateFunction::Softmax {
        // All gates together are 1, and so is their average: `sum / weight`.
        let weight = old.value(average.weight).item()?;
        let of_kept: T = sum.as_slice().iter().copied().sum();
        if of_kept > T::zero() {
            sum.as_mut_slice().iter_mut().for_each(|sum| *sum = *sum * weight / of_kept);
        }
    }
    state.insert(old.name(average.sum), sum);
    Ok(())
}

/// Those rows of a tensor's first axis.
fn rows<T: Element>(tensor: &Tensor<T>, kept: &[usize]) -> Result<Tensor<T>> {
    let shape = [&[kept.len()], &tensor.shape()[1..]].concat();
    let row = tensor.len() / tensor.shape()[0].max(1);
    let values = tensor.as_slice();
    let kept = kept.iter().flat_map(|&source| &values[source * row..][..row]);
    Tensor::new(&shape, kept.copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Aligned, Design, Pass, Values};

    fn design() -> Design {
        Design::named("convnet_small", 1, 3).unwrap()
    }

    fn drawn(form: Form, sources: usize) -> Network<f64> {
        let network = Network::new(&design().in_form(form, sources), Values::drawn(5));
        network.unwrap()
    }

    fn images() -> Tensor<f64> {
        Tensor::normal(&[4, 1, 12, 12], 1.0, &mut fastrand::Rng::with_seed(2))
    }

    fn output(network: &Network<f64>) -> Tensor<f64> {
        let mut pass = Pass::evaluate(network.parameters());
        let x = pass.input(images());
        let y = network.forward(&mut pass, x).unwrap();
        pass.value(y).unwrap().clone()
    }

    fn mixing(function: GateFunction) -> Mixing {
        Mixing { function, aligned: Aligned::everywhere(), ..Mixing::default() }
    }

    /// A score so low that the softmax gives the second source nothing, and a sigmoid too.
    fn silence(network: &mut Network<f64>) {
        let gates: Vec<_> = network
            .convolutions()
            .filter_map(|conv| Some(conv.mix.as_ref()?.gate.bias))
            .chain(network.router().map(|router| router.bias))
            .collect();
        for bias in gates {
            let bias = network.parameters_mut().value_mut(bias);
            bias.as_mut_slice().copy_from_slice(&[0.5, -1e3, 0.0]);
        }
    }

    #[test]
    fn a_source_that_is_never_taken_is_dropped_without_a_trace() {
        for form in [
            Form::Zoo(mixing(GateFunction::Softmax)),
            Form::Zoo(mixing(GateFunction::Sigmoid)),
            Form::Lite(mixing(GateFunction::Softmax)),
            Form::Routed,
        ] {
            let mut network = drawn(form.clone(), 3);
            silence(&mut network);
            let fewer = pruned(&network, &[2, 0]).unwrap();
            assert_eq!(fewer.blueprint().sources, 2);
            assert!(fewer.parameters().count() < network.parameters().count());
            let error = output(&network).relative_difference(&output(&fewer)).unwrap();
            assert!(error < 1e-12, "{form:?}: {error}");
        }
    }

    /// A lite network that has settled: what the others' gates were is shared out.
    #[test]
    fn averages_of_softmax_gates_are_one_again() {
        let mut network = drawn(Form::Lite(mixing(GateFunction::Softmax)), 3);
        let averages: Vec<_> =
            network.convolutions().filter_map(|conv| conv.mix.as_ref()?.gate.average).collect();
        for average in &averages {
            let parameters = network.parameters_mut();
            *parameters.value_mut(average.sum) = Tensor::new(&[3], vec![0.1, 0.3, 0.1]).unwrap();
            *parameters.value_mut(average.weight) = Tensor::scalar(0.5);
        }
        let fewer = pruned(&network, &[0, 1]).unwrap();
        let average = fewer.convolutions().next().unwrap().mix.as_ref().unwrap().gate.average;
        let value = average.unwrap().value(fewer.parameters()).unwrap().unwrap();
        let expected = Tensor::new(&[2], vec![0.25, 0.75]).unwrap();
        assert!(value.relative_difference(&expected).unwrap() < 1e-12);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let network = drawn(Form::Routed, 2);
        for kept in [&[][..], &[2], &[0, 0]] {
            let error = pruned(&network, kept).map(drop).unwrap_err().to_string();
            assert!(error.contains("some of the sources 0 to 1"), "{error}");
        }
        let plain = Network::<f64>::drawn(&design(), 1).unwrap();
        let error = pruned(&plain, &[0]).map(drop).unwrap_err().to_string();
        assert!(error.contains("plain network"), "{error}");
    }
}
