//! A lite network becomes a plain one.
//!
//! In lite, the gate at inference is its moving average: it depends on no input, so that
//! `K = sum_i g[i] T_i W_i` can be computed once, for every layer.

use crate::kernel::aggregate::{self, Stack};
use crate::nn::{Conv, Id, Mix, Network, Parameters};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// The plain network that computes what the lite network computes in evaluation, with
/// torchvision's names and shapes.
///
/// # Errors
/// If the network is not lite, if a layer gates each sample on its own, or if it was not
/// trained yet, so that there is no average.
pub fn collapse<T: Element>(network: &Network<T>) -> Result<Network<T>> {
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

/// The one kernel, and bias, of a convolution.
fn collapsed<T: Element>(
    parameters: &Parameters<T>,
    conv: &Conv,
) -> Result<(Tensor<T>, Option<Tensor<T>>)> {
    let impossible = |reason: String, hint| Error::Impossible {
        request: "collapse the network into a plain one",
        reason,
        hint,
    };
    if conv.routes.is_some() {
        return Err(impossible(
            "each sample goes through the source that its router chooses".to_owned(),
            "train a lite network with it as a teacher (train --form lite --teachers MODEL), and \
             collapse that",
        ));
    }
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
