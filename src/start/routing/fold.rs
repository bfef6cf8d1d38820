//! The routed network before its first step: what norms do goes into kernels and biases.

use super::Fitted;
use super::frozen::{Frozen, Means, no_router, parts, rows};
use crate::nn::{BatchNorm, Conv, Design, Form, Id, Network, Parameters, Pass};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// The routed network that computes what the `frozen` sources compute, each of the samples that are
/// routed to it.
///
/// The kernel of source i becomes `W_i gamma_i / sqrt(var_i + epsilon)`, and its bias
/// `beta_i + (b_i - mean_i) gamma_i / sqrt(var_i + epsilon)`. The norms that all sources share begin
/// as the identity on the samples: their weight is `sqrt(var + epsilon)` and their bias the mean of
/// what comes in.
pub(super) fn folded<T: Element>(
    design: &Design,
    sources: &[State<T>],
    frozen: &Frozen<T>,
    fitted: &Fitted,
    seed: u64,
) -> Result<Network<T>> {
    let mut network = Network::from_sources(design, Form::Routed, sources, seed)?;
    let layers: Vec<Conv> = network.convolutions().cloned().collect();
    for (source, plain) in frozen.networks.iter().enumerate() {
        for (layer, of_source) in layers.iter().zip(plain.convolutions()) {
            let Some(routes) = &layer.routes else { continue };
            let [kernel, bias] = folded_layer(plain, of_source)?;
            let parameters = network.parameters_mut();
            *parameters.value_mut(routes.kernels[source]) = kernel;
            *parameters.value_mut(routes.biases[source]) = bias;
        }
    }
    let router = network.router().cloned().ok_or_else(no_router)?;
    describe_by(&mut network, design, &sources[fitted.reference])?;
    let parameters = network.parameters_mut();
    for (id, values) in [(router.weight, &fitted.map.weight), (router.bias, &fitted.map.bias)] {
        set(parameters, id, values)?;
    }
    let routed = layers.iter().filter(|layer| layer.routes.is_some());
    let norms: Vec<BatchNorm> =
        routed.filter_map(|layer| network.norm_behind(layer).cloned()).collect();
    begin_as_identity(&mut network, &norms, frozen.images, &fitted.routes)?;
    Ok(network)
}

/// A routed network whose router sees what the first layer of `reference` sees; nothing else of it is
/// of use.
pub(super) fn router_of<T: Element>(design: &Design, reference: &State<T>) -> Result<Network<T>> {
    let (design_of_one, source) = (design.with_outputs(1), std::slice::from_ref(reference));
    let mut network = Network::from_sources(&design_of_one, Form::Routed, source, 0)?;
    describe_by(&mut network, design, reference)?;
    Ok(network)
}

/// Gives the router the first layer of `reference`, with its norm and the statistics of its training.
fn describe_by<T: Element>(
    network: &mut Network<T>,
    design: &Design,
    reference: &State<T>,
) -> Result<()> {
    let source = std::slice::from_ref(reference);
    let plain = Network::from_sources(&design.with_outputs(1), Form::Plain, source, 0)?;
    let first = design.first_layer()?.ok_or_else(no_router)?;
    let is_first = |conv: &&Conv| plain.parameters().name(conv.weight) == first.weight;
    let first = plain.convolutions().find(is_first).ok_or_else(no_router)?;
    let [kernel, bias] = folded_layer(&plain, first)?;
    let stem = network.router().ok_or_else(no_router)?.stem.clone();
    let parameters = network.parameters_mut();
    *parameters.value_mut(stem.weight) = kernel;
    if let Some(id) = stem.bias {
        *parameters.value_mut(id) = bias;
    }
    Ok(())
}

/// Kernel and bias of a layer together with the norm behind it, by that's running statistics.
fn folded_layer<T: Element>(network: &Network<T>, conv: &Conv) -> Result<[Tensor<T>; 2]> {
    let parameters = network.parameters();
    let (weight, outputs) = (parameters.value(conv.weight), conv.shape[0]);
    let wide = |id: Id| parameters.value(id).as_slice().iter().map(|v| v.widen()).collect();
    let mut bias: Vec<f64> = conv.bias.map_or_else(|| vec![0.0; outputs], wide);
    let mut kernel = weight.clone();
    if let Some(norm) = network.norm_behind(conv) {
        let [gamma, beta, mean, variance]: [Vec<f64>; 4] =
            [norm.weight, norm.bias, norm.running_mean, norm.running_variance].map(wide);
        let row = weight.len() / outputs.max(1);
        for (output, values) in kernel.as_mut_slice().chunks_mut(row.max(1)).enumerate() {
            let scale = gamma[output] / (variance[output] + norm.epsilon).sqrt();
            values.iter_mut().for_each(|v| *v = T::from_f64(v.widen() * scale));
            bias[output] = beta[output] + (bias[output] - mean[output]) * scale;
        }
    }
    let bias = bias.into_iter().map(T::from_f64).collect();
    Ok([kernel, Tensor::new(&[outputs], bias)?])
}

/// Gives the norms weights, biases and statistics by which they leave the images as they are.
fn begin_as_identity<T: Element>(
    network: &mut Network<T>,
    norms: &[BatchNorm],
    images: &Tensor<T>,
    routes: &[usize],
) -> Result<()> {
    let all: Vec<usize> = (0..routes.len()).collect();
    // Of means, and of mean squares, which add up.
    let (mut means, mut squares) = (Means::default(), Means::default());
    for samples in parts(&all, images) {
        let of_samples: Vec<usize> = samples.iter().map(|&sample| routes[sample]).collect();
        let mut pass = Pass::transparent(network.parameters()).give_routes(&of_samples);
        let x = pass.input(rows(images, samples)?);
        network.features(&mut pass, x)?;
        let mut step = pass.end();
        step.update_buffers(network.parameters_mut());
        let parameters = network.parameters();
        let moments = norms.iter().map(|norm| {
            let [mean, variance] =
                [norm.running_mean, norm.running_variance].map(|id| parameters.value(id));
            let squares = mean.as_slice().iter().zip(variance.as_slice());
            let squares = squares.map(|(&mean, &variance)| mean * mean + variance).collect();
            Ok((norm, mean.clone(), Tensor::new(mean.shape(), squares)?))
        });
        let moments = moments.collect::<Result<Vec<_>>>()?;
        means.add(moments.iter().map(|(norm, mean, _)| (norm.running_mean, mean)), samples.len());
        squares.add(moments.iter().map(|(norm, _, s)| (norm.running_mean, s)), samples.len());
    }
    let parameters = network.parameters_mut();
    for norm in norms {
        let id = norm.running_mean;
        let (Some(mean), Some(squares)) = (means.of(id), squares.of(id)) else { continue };
        let variance =
            mean.iter().zip(squares).map(|(mean, square)| (square - mean * mean).max(0.0));
        let variance: Vec<f64> = variance.collect();
        let weight: Vec<f64> = variance.iter().map(|v| (v + norm.epsilon).sqrt()).collect();
        set(parameters, norm.weight, &weight)?;
        set(parameters, norm.bias, &mean)?;
        set(parameters, norm.running_mean, &mean)?;
        set(parameters, norm.running_variance, &variance)?;
    }
    Ok(())
}

/// Gives a parameter its values.
pub(super) fn set<T: Element>(
    parameters: &mut Parameters<T>,
    id: Id,
    values: &[f64],
) -> Result<()> {
    let place = parameters.value_mut(id);
    if place.len() != values.len() {
        let expected = format!("of {} values", place.len());
        return Err(Error::shape("fit_router", "values", expected, &[values.len()]));
    }
    *place = Tensor::new(place.shape(), values.iter().map(|&v| T::from_f64(v)).collect())?;
    Ok(())
}
