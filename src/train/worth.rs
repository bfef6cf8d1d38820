//! What each source of a tuned zoo is worth.

use super::evaluation::{add, for_each_batch};
use super::observe::{LayerGates, gates, noted_sources};
use super::{Measures, Model};
use crate::Result;
use crate::dataset::Loader;
use crate::nn::Pass;
use crate::start::leave_one_out_accuracy;
use crate::tensor::Tensor;
use serde::Serialize;

/// How good a network is on labelled images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The share of right answers, 0 to 1.
    pub accuracy: f64,
    /// The leave-one-out accuracy, 0 to 1, of a ridge classifier on the features that go into the head
    /// (see [`leave_one_out_accuracy`]): what the kernels know, whatever the head makes of it.
    pub leave_one_out: f64,
}

/// What one source of a zoo is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worth {
    /// The source's name, if the model's file tells, or its place.
    pub name: String,
    /// The mean over images and layers of its gate; of a routed zoo, how likely the router finds it.
    pub share: f64,
    /// The same for each layer.
    pub layers: Vec<LayerShare>,
    /// The network without it; `None` if it is the only one.
    pub without: Option<Standing>,
}

/// A source's share in one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerShare {
    /// The layer's name.
    pub layer: String,
    /// The mean over images of the source's gate.
    pub share: f64,
}

/// How good a network is on the images of `loader`, which is in order; `numbers` is its class for each
/// of the data's.
///
/// # Errors
/// If an image cannot be read or does not fit.
pub fn standing(model: &Model, loader: &Loader, numbers: &[usize]) -> Result<Standing> {
    let network = &model.network;
    let mut measures = Measures::default();
    let (mut values, mut labels, mut columns) = (vec![], vec![], 0);
    // Evenly spread: data are often sorted by class.
    let every = loader.samples().div_ceil(MOST).max(1);
    let mut place = 0usize;
    for_each_batch(loader, |batch| {
        add(&mut measures, network, batch, numbers, &mut |_| Ok(()))?;
        let mut pass = Pass::evaluate(network.parameters());
        let x = pass.input(batch.images.clone());
        let features = network.features(&mut pass, x)?;
        let features = pass.value(features)?;
        [_, columns] = features.dims("standing", "features", "[N, D]")?;
        for (row, label) in features.as_slice().chunks(columns.max(1)).zip(&batch.labels) {
            if place.is_multiple_of(every) {
                values.extend_from_slice(row);
                labels.push(*label);
            }
            place += 1;
        }
        Ok(())
    })?;
    let accuracy = measures.evaluation(&model.classes)?.accuracy;
    let features = Tensor::new(&[labels.len(), columns], values)?;
    Ok(Standing { accuracy, leave_one_out: leave_one_out_accuracy(&features, &labels)? })
}

/// What each source of a zoo is worth on the images of `loader`; as [`standing`].
///
/// # Errors
/// As [`standing`]; if the network has no zoo.
pub fn worths(model: &Model, loader: &Loader, numbers: &[usize]) -> Result<Vec<Worth>> {
    let sources = model.network.blueprint().sources;
    let names = noted_sources(&model.notes);
    let layers = mean_gates(model, loader)?;
    let worth = |source: usize| {
        let kept: Vec<usize> = (0..sources).filter(|&other| other != source).collect();
        let without = match kept.is_empty() {
            true => None,
            false => Some(standing(&model.pruned(&kept)?, loader, numbers)?),
        };
        let share = |gates: &LayerGates| gates.mean.get(source).copied().unwrap_or(0.0);
        let of_layer = |gates: &LayerGates| LayerShare {
            layer: gates.layer.trim_end_matches(".gate").to_owned(),
            share: share(gates),
        };
        let name = names.get(source).map(|(name, _)| name.clone());
        Ok(Worth {
            name: name.unwrap_or_else(|| format!("source {}", source + 1)),
            share: layers.iter().map(share).sum::<f64>() / layers.len().max(1) as f64,
            layers: layers.iter().map(of_layer).collect(),
            without,
        })
    };
    (0..sources).map(worth).collect()
}

/// The gates of all layers, the mean over all images.
fn mean_gates(model: &Model, loader: &Loader) -> Result<Vec<LayerGates>> {
    let mut sums: Vec<LayerGates> = Vec::new();
    for_each_batch(loader, |batch| {
        let part = batch.labels.len() as f64 / loader.samples() as f64;
        for (at, mut layer) in gates(&model.network, &batch.images)?.into_iter().enumerate() {
            layer.mean.iter_mut().for_each(|share| *share *= part);
            match sums.get_mut(at) {
                Some(sum) => {
                    sum.mean.iter_mut().zip(&layer.mean).for_each(|(sum, share)| *sum += share);
                }
                None => sums.push(layer),
            }
        }
        Ok(())
    })?;
    Ok(sums)
}

/// The one without which the network is best: by accuracy, then by what its features know, then by its
/// share; `None` of a single one.
pub fn least(worths: &[Worth]) -> Option<usize> {
    let better = |&a: &usize, &b: &usize| {
        let key = |at: usize| {
            let worth: &Worth = &worths[at];
            let without = worth.without?;
            Some([without.accuracy, without.leave_one_out, -worth.share])
        };
        key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)
    };
    (0..worths.len()).filter(|&at| worths[at].without.is_some()).max_by(better)
}

/// Images whose features are looked at, at most.
const MOST: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_missed_least_goes_first() {
        let worth = |accuracy: f64, share: f64| Worth {
            name: String::new(),
            share,
            layers: vec![],
            without: Some(Standing { accuracy, leave_one_out: 0.5 }),
        };
        let all = [worth(0.8, 0.1), worth(0.9, 0.5), worth(0.9, 0.3), worth(0.7, 0.1)];
        assert_eq!(least(&all), Some(2));
        assert_eq!(least(&[Worth { without: None, ..worth(0.9, 1.0) }]), None);
    }
}
