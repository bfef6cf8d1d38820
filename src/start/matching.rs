//! The matched start: permutations of channels that make kernels of different sources mean
//! the same.
//!
//! For every set of channels that must share an order (see
//! [`Design::channel_groups`]), the activations of a source are correlated with those
//! of a reference over samples and positions, and the permutation with the largest sum of
//! correlations is applied to all tensors that produce or read these channels. Each source
//! computes what it computed before. (The idea is that of model fusion, Singh and Jaggi,
//! 2020, and of Git Re-Basin, Ainsworth et al., 2023.)

use super::assignment::assign;
use crate::kernel::gemm::{Matrix, par_gemm};
use crate::nn::{ChannelGroup, ChannelPlace, Design, Form, Network, Pass};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};
use rayon::prelude::*;

/// Images that pass through the networks at once.
const BATCH: usize = 16;

/// The sources with their channels in the order of source `reference`, by their activations on
/// `images` `[N, C, H, W]`. A source's own classifier follows, if it has one.
///
/// # Errors
/// If `reference` is no source, or a source is not of that architecture.
pub fn matched<T: Element>(
    design: &Design,
    sources: &[State<T>],
    reference: usize,
    images: &Tensor<T>,
) -> Result<Vec<State<T>>> {
    if reference >= sources.len() {
        let problem = format!("there is no source {reference} among {}", sources.len());
        return Err(Error::argument("matched", problem));
    }
    let groups = design.channel_groups()?;
    let [count, ..] = images.dims::<4>("matched", "images", "[N, C, H, W]")?;
    if count == 0 {
        return Err(Error::argument("matched", "no images to compare the sources on"));
    }
    let networks = sources.iter().map(|s| features_of(design, s)).collect::<Result<Vec<_>>>()?;
    let others: Vec<usize> = (0..sources.len()).filter(|&i| i != reference).collect();
    let mut joint: Vec<Vec<Joint>> = Vec::new();
    joint.resize_with(others.len(), || groups.iter().map(|_| Joint::default()).collect());
    let len = images.len() / count;
    for part in images.as_slice().chunks((BATCH * len).max(1)) {
        let shape = [&[part.len() / len], &images.shape()[1..]].concat();
        let part = Tensor::new(&shape, part.to_vec())?;
        let goal = activations(&networks[reference], &part, &groups)?;
        for (&source, joint) in others.iter().zip(&mut joint) {
            let own = activations(&networks[source], &part, &groups)?;
            for (joint, (goal, own)) in joint.iter_mut().zip(goal.iter().zip(own)) {
                goal.iter().zip(&own).try_for_each(|(goal, own)| joint.add(goal, own))?;
            }
        }
    }
    let mut result = sources.to_vec();
    for (&source, joint) in others.iter().zip(&joint) {
        let orders: Vec<_> =
            joint.par_iter().map(|joint| assign(joint.channels(), &joint.correlations())).collect();
        for (group, order) in groups.iter().zip(&orders) {
            permute(&mut result[source], design, group, order)?;
        }
    }
    Ok(result)
}

/// A source without its classifier.
fn features_of<T: Element>(design: &Design, source: &State<T>) -> Result<Network<T>> {
    Network::from_sources(&design.with_outputs(1), Form::Plain, std::slice::from_ref(source), 0)
}

/// For each set of channels, its activations `[N, C, H, W]`.
fn activations<T: Element>(
    network: &Network<T>,
    images: &Tensor<T>,
    groups: &[ChannelGroup],
) -> Result<Vec<Vec<Tensor<T>>>> {
    let mut pass = Pass::evaluate(network.parameters()).keep_activations();
    let x = pass.input(images.clone());
    network.forward(&mut pass, x)?;
    let of_group = |group: &ChannelGroup| {
        let shown = group.activations.iter();
        let channels = |&(node, first)| part(pass.activation(node)?, first, group.channels);
        shown.map(channels).collect()
    };
    groups.iter().map(of_group).collect()
}

/// Channels of `x` `[N, C, ...]`, from `first` on.
fn part<T: Element>(x: &Tensor<T>, first: usize, channels: usize) -> Result<Tensor<T>> {
    if first == 0 && x.shape().get(1) == Some(&channels) {
        return Ok(x.clone());
    }
    take(x, 1, &(first..first + channels).collect::<Vec<_>>())
}

/// How the channels of one set vary together in the reference and in a source.
///
/// Updated one block of values after the other, each around its own mean (Chan, Golub and
/// LeVeque, 1983), so that the activations of all images are never held at once.
#[derive(Default)]
struct Joint {
    count: f64,
    /// Of the reference and of the source, `[C]`.
    mean: [Vec<f64>; 2],
    /// Sums of squares around the mean, `[C]`.
    squares: [Vec<f64>; 2],
    /// Sums of products around the means, `[C of the reference, C of the source]`.
    products: Vec<f64>,
}

impl Joint {
    fn channels(&self) -> usize {
        self.mean[0].len()
    }

    /// Adds the activations `[N, C, H, W]` of both networks on the same images.
    fn add<T: Element>(&mut self, goal: &Tensor<T>, own: &Tensor<T>) -> Result<()> {
        let [samples, c, height, width] = goal.dims("matched", "activations", "[N, C, H, W]")?;
        let len = samples * height * width;
        let blocks = [Block::new(goal, c, height * width), Block::new(own, c, height * width)];
        let mut products = vec![T::zero(); c * c];
        let [goal, own] = blocks.each_ref().map(|block| Matrix::new(&block.rows, c, len));
        par_gemm(goal, own.t(), &mut products);
        if self.count == 0.0 {
            (self.mean, self.squares) = Default::default();
            self.mean.iter_mut().chain(&mut self.squares).for_each(|sums| sums.resize(c, 0.0));
            self.products = vec![0.0; c * c];
        }
        let (old, new) = (self.count, len as f64);
        let weight = old * new / (old + new);
        let differences = [0, 1].map(|side| -> Vec<f64> {
            blocks[side].mean.iter().zip(&self.mean[side]).map(|(new, old)| new - old).collect()
        });
        let rows = self.products.chunks_mut(c.max(1)).zip(products.chunks(c.max(1)));
        for ((sums, products), &of_goal) in rows.zip(&differences[0]) {
            for ((sum, &product), &of_own) in sums.iter_mut().zip(products).zip(&differences[1]) {
                *sum += product.widen() + weight * of_goal * of_own;
            }
        }
        for (side, block) in blocks.iter().enumerate() {
            for (channel, &difference) in differences[side].iter().enumerate() {
                self.mean[side][channel] += difference * new / (old + new);
                self.squares[side][channel] +=
                    block.squares[channel] + weight * difference * difference;
            }
        }
        self.count += new;
        Ok(())
    }

    /// `[C of the reference, C of the source]`; a constant correlates with nothing.
    fn correlations(&self) -> Vec<f64> {
        let scales = [0, 1].map(|side| -> Vec<f64> {
            let channels = self.mean[side].iter().zip(&self.squares[side]);
            let scale = |(&mean, &squares): (&f64, &f64)| {
                // What rounding makes of a constant is no variation.
                let varies = squares > 1e-10 * self.count * mean * mean && squares > 1e-24;
                if varies { 1.0 / squares.sqrt() } else { 0.0 }
            };
            channels.map(scale).collect()
        });
        let c = self.channels();
        // A value that is not finite must not mislead the assignment's search.
        let number = |v: f64| if v.is_finite() { v } else { 0.0 };
        let correlation = |(at, &product)| number(product * scales[0][at / c] * scales[1][at % c]);
        self.products.iter().enumerate().map(correlation).collect()
    }
}

/// Activations by channel, each around its own mean.
struct Block<T> {
    /// `[C, samples and positions]`.
    rows: Vec<T>,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl<T: Element> Block<T> {
    /// Of `values` `[N, C, positions]`.
    fn new(values: &Tensor<T>, channels: usize, positions: usize) -> Self {
        let mut rows = Vec::with_capacity(values.len());
        let (mut mean, mut squares) = (Vec::new(), Vec::new());
        for channel in 0..channels {
            let first = rows.len();
            for sample in values.as_slice().chunks((channels * positions).max(1)) {
                rows.extend_from_slice(&sample[channel * positions..][..positions]);
            }
            let row = &mut rows[first..];
            let of_row = row.iter().map(|v| v.widen()).sum::<f64>() / row.len().max(1) as f64;
            row.iter_mut().for_each(|v| *v = T::from_f64(v.widen() - of_row));
            squares.push(row.iter().map(|v| v.widen() * v.widen()).sum());
            mean.push(of_row);
        }
        Self { rows, mean, squares }
    }
}

/// Puts channel `order[k]` of `source` to place `k`, wherever the group's channels occur.
fn permute<T: Element>(
    source: &mut State<T>,
    design: &Design,
    group: &ChannelGroup,
    order: &[usize],
) -> Result<()> {
    for ChannelPlace { tensor: name, axis, first, columns } in &group.places {
        // A checkpoint of features only has no head, and another task's may read something else.
        let is_head = design.architecture().head().iter().any(|head| name.starts_with(head));
        let Some(tensor) = source.tensors.get(name) else { continue };
        let size = tensor.shape().get(*axis).copied().unwrap_or(0);
        let end = first + columns * order.len();
        if size < end {
            if is_head {
                continue;
            }
            let expected = format!("with {end} values along axis {axis}");
            return Err(Error::shape("matched", name, expected, tensor.shape()));
        }
        // What stands before and behind the group stays.
        let group = order.iter().flat_map(|&from| {
            let begin = first + from * columns;
            begin..begin + columns
        });
        let order: Vec<usize> = (0..*first).chain(group).chain(end..size).collect();
        let permuted = take(tensor, *axis, &order)?;
        source.insert(name.clone(), permuted);
    }
    Ok(())
}

/// The tensor with entry `order[k]` along `axis` at place `k`.
///
/// # Errors
/// If it has no such entry or axis.
fn take<T: Element>(tensor: &Tensor<T>, axis: usize, order: &[usize]) -> Result<Tensor<T>> {
    let size = tensor.shape().get(axis).copied().unwrap_or(0);
    if order.iter().any(|&from| from >= size) {
        let expected = format!("{} values along axis {axis}", order.len());
        return Err(Error::shape("matched", "a tensor", expected, tensor.shape()));
    }
    let mut shape = tensor.shape().to_vec();
    shape[axis] = order.len();
    let inner: usize = shape[axis + 1..].iter().product();
    let mut values = Vec::with_capacity(shape.iter().product());
    for outer in tensor.as_slice().chunks((inner * size).max(1)) {
        order.iter().for_each(|&from| values.extend_from_slice(&outer[from * inner..][..inner]));
    }
    Tensor::new(&shape, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition of the correlation over all values at once.
    #[test]
    fn blocks_add_up_to_the_correlation_of_all() {
        let (channels, mut rng) = (3, fastrand::Rng::with_seed(2));
        let mut draw = |n: usize| {
            let noise = Tensor::<f64>::normal(&[n, channels, 2, 2], 1.0, &mut rng);
            // The last channel is constant, and the others are far from zero.
            let value = |(at, v): (usize, &f64)| if at / 4 % 3 == 2 { 0.3 } else { 5.0 + v };
            let values = noise.as_slice().iter().enumerate().map(value).collect();
            Tensor::new(noise.shape(), values).unwrap()
        };
        let blocks = [2, 3, 1].map(|n| [draw(n), draw(n)]);
        let mut joint = Joint::default();
        blocks.iter().for_each(|[goal, own]| joint.add(goal, own).unwrap());
        let row = |side: usize, channel: usize| -> Vec<f64> {
            let parts = blocks.iter().flat_map(|block| block[side].as_slice().chunks(4));
            let of_channel = parts.enumerate().filter(|(at, _)| at % channels == channel);
            let row: Vec<f64> = of_channel.flat_map(|(_, part)| part.to_vec()).collect();
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            row.iter().map(|v| v - mean).collect()
        };
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        for (at, found) in joint.correlations().into_iter().enumerate() {
            let (a, b) = (row(0, at / channels), row(1, at % channels));
            let expected = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
            let constant = at / channels == 2 || at % channels == 2;
            let expected = if constant { 0.0 } else { expected };
            assert!((found - expected).abs() < 1e-12, "{at}: {found} {expected}");
        }
    }
}
