//! A lite network becomes a plain one.
//!
//! In lite, the gate at inference is its moving average: it depends on no input, so that
//! `K = sum_i g[i] T_i W_i` can be computed once, for every layer. A routed network is a plain one where
//! its router sends every sample to the same source.

use crate::kernel::aggregate::{self, Stack};
use crate::nn::{Conv, Form, Id, Mix, Network, Parameters};
use crate::prune::pruned;
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};
use std::collections::HashSet;

/// The plain network that computes what the lite network computes in evaluation, or a routed one whose
/// router scores all samples alike, with torchvision's names and shapes.
///
/// # Errors
/// If the network is neither, if a layer gates each sample on its own, or if it was not
/// trained yet, so that there is no average.
pub fn collapse<T: Element>(network: &Network<T>) -> Result<Network<T>> {
    if network.blueprint().form == Form::Routed {
        return collapsed_routes(&pruned(network, &[only_source(network)?])?);
    }
    let parameters = network.parameters();
    let mut state = State::new("the collapsed network");
    let mixing: Vec<Id> =
        network.convolutions().filter_map(|c| c.mix.as_ref()).flat_map(Mix::ids).collect();
    for id in parameters.ids().filter(|id| !mixing.contains(id)) {
        state.insert(parameters.name(id), parameters.value(id).clone());
    }
    // The head is a plain network's already.
    for conv in network.convolutions().filter(|conv| !conv.is_head) {
        let (weight, bias) = collapsed(parameters, conv)?;
        state.insert(parameters.name(conv.weight), weight);
        if let (Some(id), Some(bias)) = (conv.bias, bias) {
            state.insert(parameters.name(id), bias);
        }
    }
    network.design().plain().build(&state)
}

fn impossible(reason: String, hint: &'static str) -> Error {
    Error::Impossible { request: "collapse the network into a plain one", reason, hint }
}

/// The source that every sample goes through, if the scores of all samples are the same.
fn only_source<T: Element>(network: &Network<T>) -> Result<usize> {
    let Some(router) = network.router() else { return Ok(0) };
    let [weight, bias] = [router.weight, router.bias].map(|id| network.parameters().value(id));
    // What all sources have in common does not choose between them.
    let channels = weight.len() / bias.len().max(1);
    let mut rows = weight.as_slice().chunks(channels.max(1));
    let first = rows.next();
    if rows.any(|row| Some(row) != first) {
        return Err(impossible(
            "each sample goes through the source that its router chooses".to_owned(),
            "train a lite network with it as a teacher (train --form lite --teachers MODEL), and \
             collapse that; or keep one source (zoo prune MODEL --data IMAGES --keep 1 --out OUT)",
        ));
    }
    let scores = bias.as_slice();
    let places = (0..scores.len()).rev();
    Ok(places.max_by(|&a, &b| scores[a].widen().total_cmp(&scores[b].widen())).unwrap_or(0))
}

/// The plain network of a routed one of one source. A bias that a plain layer does not have goes into
/// the batch norm behind it, whose mean it moves: `y + b - mean = y - (mean - b)`.
fn collapsed_routes<T: Element>(network: &Network<T>) -> Result<Network<T>> {
    let parameters = network.parameters();
    let names: HashSet<String> =
        network.design().tensors()?.into_iter().map(|(name, _)| name).collect();
    let mut state = parameters.state("the collapsed network");
    for conv in network.convolutions() {
        let Some(routes) = &conv.routes else { continue };
        let [kernel, bias] =
            [routes.kernels[0], routes.biases[0]].map(|id| parameters.value(id).clone());
        state.insert(format!("{}.weight", conv.name()), kernel);
        let of_bias = format!("{}.bias", conv.name());
        if names.contains(&of_bias) {
            state.insert(of_bias, bias);
        } else if let Some(norm) = network.norm_behind(conv) {
            let mut mean = parameters.value(norm.running_mean).clone();
            let moved = mean.as_mut_slice().iter_mut().zip(bias.as_slice());
            moved.for_each(|(mean, &bias)| *mean -= bias);
            state.insert(parameters.name(norm.running_mean), mean);
        } else {
            let reason = format!("{} has a bias, and no batch norm behind it", conv.name());
            return Err(impossible(reason, "use the routed network as it is"));
        }
    }
    state.tensors.retain(|name, _| names.contains(name));
    network.design().plain().build(&state)
}

/// The one kernel, and bias, of a convolution.
fn collapsed<T: Element>(
    parameters: &Parameters<T>,
    conv: &Conv,
) -> Result<(Tensor<T>, Option<Tensor<T>>)> {
    let Some(mix) = &conv.mix else {
        return Err(impossible(
            "it is a plain network already".to_owned(),
            "use the file as it is",
        ));
    };
    let average = mix.gate.average.filter(|_| mix.lite).ok_or_else(|| {
        impossible(
            format!(
                "{} gates every sample on its own, so that its kernel depends on the input",
                conv.name()
            ),
            "train it in the lite form, shortcuts included, which gates a batch as a whole",
        )
    })?;
    let gate = average.value(parameters)?.ok_or_else(|| {
        impossible(
            format!("the gate of {} has no moving average yet", conv.name()),
            "train the network for one step at least",
        )
    })?;
    let weight = parameters.value(conv.weight);
    let (sources, shape) = (gate.len(), &weight.shape()[1..]);
    let outputs = conv.shape[0];
    let gate = gate.as_slice();
    let aligned = |values: &Tensor<T>| match mix.alignment {
        Some(alignment) => {
            let stack = Stack { sources, outputs, row: values.len() / (sources * outputs).max(1) };
            let transform = parameters.value(alignment).as_slice();
            let aligned = aggregate::align(stack, values.as_slice(), transform);
            aggregate::aggregate(gate, &aligned)
        }
        None => aggregate::aggregate(gate, values.as_slice()),
    };
    let kernel = Tensor::new(shape, aligned(weight))?;
    let bias = conv.bias.map(|id| Tensor::new(&[outputs], aligned(parameters.value(id))));
    Ok((kernel, bias.transpose()?))
}
