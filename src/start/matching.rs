//! The matched start: permutations of channels that make kernels of different sources mean
//! the same.
//!
//! For every set of channels that must share an order (see
//! [`Architecture::channel_groups`]), the activations of a source are correlated with those
//! of a reference over samples and positions, and the permutation with the largest sum of
//! correlations is applied to all tensors that produce or read these channels. Each source
//! computes what it computed before. (The idea is that of model fusion, Singh and Jaggi,
//! 2020, and of Git Re-Basin, Ainsworth et al., 2023.)

use super::assignment::assign;
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::nn::{Architecture, Builder, ChannelGroup, Form, Head, Network, Pass, Resnet};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// The sources with their channels in the order of source `reference`, by their activations on
/// `images` `[N, C, H, W]`. A source's own classifier follows, if it has one.
///
/// # Errors
/// If `reference` is no source, or a source is not of that architecture.
pub fn matched<T: Element>(
    architecture: &Architecture,
    sources: &[State<T>],
    reference: usize,
    images: &Tensor<T>,
) -> Result<Vec<State<T>>> {
    if reference >= sources.len() {
        let problem = format!("there is no source {reference} among {}", sources.len());
        return Err(Error::argument("matched", problem));
    }
    let groups = architecture.channel_groups();
    let goal = activations(architecture, &sources[reference], images, &groups)?;
    let mut result = Vec::with_capacity(sources.len());
    for (i, source) in sources.iter().enumerate() {
        if i == reference {
            result.push(source.clone());
            continue;
        }
        let own = activations(architecture, source, images, &groups)?;
        let mut permuted = source.clone();
        for ((group, goal), own) in groups.iter().zip(&goal).zip(&own) {
            let order = assign(goal.channels, &correlations(goal, own));
            permute(&mut permuted, group, &order)?;
        }
        result.push(permuted);
    }
    Ok(result)
}

/// The activations of one set of channels, standardised: `[C, samples and positions]`.
struct Activations<T> {
    channels: usize,
    values: Vec<T>,
}

fn activations<T: Element>(
    architecture: &Architecture,
    source: &State<T>,
    images: &Tensor<T>,
    groups: &[ChannelGroup],
) -> Result<Vec<Activations<T>>> {
    let architecture = Architecture { classes: 1, ..architecture.clone() };
    let builder = Builder::from_sources(std::slice::from_ref(source), Form::Plain, 0)?;
    let network = Resnet::new(&architecture, builder.head(Head::Fresh))?;
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(images.clone());
    network.features(&mut pass, x)?;
    let observed: BTreeMap<&str, _> = pass.observed().collect();
    let of_group = |group: &ChannelGroup| {
        let mut rows: Vec<Vec<T>> = Vec::new();
        for name in &group.activations {
            let var = observed.get(name.as_str()).ok_or_else(|| {
                Error::missing(name, "the forward pass", observed.keys().copied())
            })?;
            let value = pass.value(*var)?;
            let [_, channels, height, width] = value.dims("matched", name, "[N, C, H, W]")?;
            rows.resize_with(channels, Vec::new);
            for (i, part) in value.as_slice().chunks(height * width).enumerate() {
                rows[i % channels].extend_from_slice(part);
            }
        }
        rows.iter_mut().for_each(|row| standardise(row));
        Ok(Activations { channels: rows.len(), values: rows.concat() })
    };
    groups.iter().map(of_group).collect()
}

/// Mean 0 and length 1; a constant becomes 0, which correlates with nothing.
fn standardise<T: Element>(row: &mut [T]) {
    let mean = row.iter().copied().sum::<T>() / T::from_f64(row.len().max(1) as f64);
    row.iter_mut().for_each(|v| *v -= mean);
    let length = row.iter().map(|&v| v * v).sum::<T>().sqrt();
    let scale = if length > T::from_f64(1e-12) { T::one() / length } else { T::zero() };
    row.iter_mut().for_each(|v| *v *= scale);
}

/// `[C of the reference, C of the source]`.
fn correlations<T: Element>(goal: &Activations<T>, own: &Activations<T>) -> Vec<f64> {
    let (c, len) = (goal.channels, goal.values.len() / goal.channels.max(1));
    let mut product = vec![T::zero(); c * c];
    let (goal, own) = (Matrix::new(&goal.values, c, len), Matrix::new(&own.values, c, len));
    par_gemm(goal, own.t(), &mut product);
    // A value that is not finite must not mislead the assignment's search.
    let number = |v: T| if v.is_finite() { v.widen() } else { 0.0 };
    product.into_iter().map(number).collect()
}

/// Puts channel `order[k]` of `source` to place `k`, wherever the group's channels occur.
fn permute<T: Element>(source: &mut State<T>, group: &ChannelGroup, order: &[usize]) -> Result<()> {
    for (names, axis) in [(&group.producers, 0), (&group.consumers, 1)] {
        for name in names {
            // A checkpoint of features only has no classifier.
            let Some(tensor) = source.tensors.get(name) else { continue };
            let permuted = take(tensor, axis, order).ok_or_else(|| {
                let expected = format!("with {} channels along axis {axis}", order.len());
                Error::shape("matched", name, expected, tensor.shape())
            })?;
            source.insert(name.clone(), permuted);
        }
    }
    Ok(())
}

/// The tensor with entry `order[k]` along `axis` at place `k`; `None` if the sizes differ.
fn take<T: Element>(tensor: &Tensor<T>, axis: usize, order: &[usize]) -> Option<Tensor<T>> {
    let shape = tensor.shape();
    if shape.get(axis) != Some(&order.len()) {
        return None;
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let mut values = Vec::with_capacity(tensor.len());
    for outer in tensor.as_slice().chunks((inner * order.len()).max(1)) {
        order.iter().for_each(|&from| values.extend_from_slice(&outer[from * inner..][..inner]));
    }
    Some(Tensor::owned(shape.to_vec(), values))
}
