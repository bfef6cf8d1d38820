//! The start of a zoo as a whole: sources are scored, matched, and give the gates their bias.

use super::{
    Fitted, RouterSettings, Targets, Valued, ValuedBatch, best, fit_router, gate_bias, matched,
    score, score_of_values,
};
use crate::nn::{Design, Network};
use crate::tensor::{State, Tensor};
use crate::{Error, Result};
use std::collections::BTreeSet;

/// Labelled images `[N, C, H, W]` of a batch, or why there are none.
pub type Labelled = Result<(Tensor<f32>, Vec<usize>)>;

/// Samples of the target by which sources are compared before any tuning.
pub trait Probe {
    /// Labelled batches, by which each source is scored (see [`score`]).
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_>;

    /// Batches with values, by which each source is scored (see [`score_of_values`]) where samples have
    /// no labels. A router is fitted to the first image of each sample.
    fn valued(&self) -> Option<Box<dyn Iterator<Item = Valued<f32>> + '_>> {
        None
    }

    /// Images `[N, C, H, W]` by whose activations channels are matched (see [`matched`]).
    ///
    /// # Errors
    /// If they cannot be read.
    fn images(&self) -> Result<Tensor<f32>>;
}

/// What is done with the sources of a zoo before it is built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preparation {
    /// Whether channels are brought into the order of the source that fits best.
    pub matches: bool,
    /// How strongly the gates are drawn to the source that fits best; `None` for not at all.
    pub prior: Option<f64>,
    /// Whether only the source that fits best is kept.
    pub chooses: bool,
    /// How a router is fitted, if one is wanted.
    pub router: Option<RouterSettings>,
}

/// Sources that are ready to become a zoo.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The sources, matched if they were to be; the best alone, if one was to be chosen.
    pub sources: Vec<State<f32>>,
    /// What they scored; empty if nothing depended on it.
    pub scores: Vec<f64>,
    /// What the gates' biases start with, if there is a prior: see
    /// [`Mixing::prior`](crate::nn::Mixing::prior).
    pub prior: Option<Vec<f64>>,
    /// The router that was fitted, if one was wanted.
    pub router: Option<Fitted>,
    /// The samples that it was fitted to, `[N, C, H, W]`.
    routed: Option<Tensor<f32>>,
}

impl Prepared {
    /// Sources that are taken as they are.
    pub fn unprepared(sources: Vec<State<f32>>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// The routed network of the sources, with a fresh head that follows from `seed`; see
    /// [`Fitted::network`].
    ///
    /// # Errors
    /// If no router was fitted.
    pub fn routed_network(&self, design: &Design, seed: u64) -> Result<Network<f32>> {
        let (Some(router), Some(images)) = (&self.router, &self.routed) else {
            return Err(Error::argument("routed_network", "no router was fitted"));
        };
        router.network(design, &self.sources, images, seed)
    }
}

impl Preparation {
    /// Scores and matches the sources, as far as this asks for it. `note` is told what goes on. A
    /// single source is left as it is.
    ///
    /// # Errors
    /// If a source is not of that design, or a sample cannot be read.
    pub fn prepare(
        &self,
        design: &Design,
        sources: Vec<State<f32>>,
        probe: &dyn Probe,
        mut note: impl FnMut(&str),
    ) -> Result<Prepared> {
        if sources.len() < 2 && self.router.is_some() {
            let problem = "a router chooses between sources: two at least";
            return Err(Error::argument("Preparation", problem));
        }
        let is_scored =
            self.matches || self.prior.is_some() || self.chooses || self.router.is_some();
        if sources.len() < 2 || !is_scored {
            return Ok(Prepared::unprepared(sources));
        }
        note("scoring the sources");
        let score = |source| match probe.valued() {
            Some(batches) => score_of_values(design, source, batches),
            None => score(design, source, probe.labelled()),
        };
        let scores = sources.iter().map(score).collect::<Result<Vec<_>>>()?;
        let mut prepared = Prepared { scores, ..Prepared::unprepared(sources) };
        if self.chooses {
            let best = best(&prepared.scores).unwrap_or(0);
            prepared.sources = vec![prepared.sources.swap_remove(best)];
            return Ok(prepared);
        }
        if self.matches {
            note("matching the sources");
            let reference = best(&prepared.scores).unwrap_or(0);
            prepared.sources = matched(design, &prepared.sources, reference, &probe.images()?)?;
        }
        prepared.prior = self.prior.map(|strength| gate_bias(&prepared.scores, strength));
        if let Some(settings) = &self.router {
            note("fitting the router");
            let reference = best(&prepared.scores).unwrap_or(0);
            let sources = &prepared.sources;
            let fit = |images: &_, targets| {
                fit_router(design, sources, reference, images, targets, settings)
            };
            let (fitted, images) = match probe.valued() {
                Some(batches) => {
                    let (images, values) = gathered(firsts(batches), settings.most)?;
                    (fit(&images, Targets::Values(&values))?, images)
                }
                None => {
                    let (images, labels) = gathered(probe.labelled(), settings.most)?;
                    (fit(&images, Targets::Classes(&labels))?, images)
                }
            };
            (prepared.router, prepared.routed) = (Some(fitted), Some(images));
        }
        Ok(prepared)
    }
}

/// Images and the values of each, or why there are none.
type Known = Result<(Tensor<f32>, Vec<Vec<Option<f64>>>)>;

/// Batches of the first image of each sample alone.
fn firsts<'a>(batches: impl Iterator<Item = Valued<f32>> + 'a) -> impl Iterator<Item = Known> + 'a {
    let mut seen = BTreeSet::new();
    let of_batch = move |batch| {
        let ValuedBatch { images, values, samples } = batch?;
        let is_new: Vec<bool> = samples.iter().map(|sample| seen.insert(*sample)).collect();
        let len = images.len() / values.len().max(1);
        let rows = images.as_slice().chunks(len.max(1)).zip(&is_new).filter(|(_, is_new)| **is_new);
        let mut shape = images.shape().to_vec();
        shape[0] = is_new.iter().filter(|is_new| **is_new).count();
        let pixels = rows.flat_map(|(row, _)| row.iter().copied()).collect();
        let values = values.into_iter().zip(&is_new).filter_map(|(v, is_new)| is_new.then_some(v));
        Ok((Tensor::new(&shape, pixels)?, values.collect()))
    };
    // In later rounds are other images of samples that were seen.
    batches.map(of_batch).take_while(|batch: &Known| match batch {
        Ok((_, known)) => !known.is_empty(),
        Err(_) => true,
    })
}

/// The first `most` of the samples, and what is known of them.
fn gathered<K>(
    batches: impl Iterator<Item = Result<(Tensor<f32>, Vec<K>)>>,
    most: usize,
) -> Result<(Tensor<f32>, Vec<K>)> {
    let (mut values, mut known, mut shape) = (vec![], vec![], vec![]);
    for batch in batches {
        let (images, of_batch) = batch?;
        let count = of_batch.len().min(most - known.len());
        let len = images.len() / of_batch.len().max(1);
        shape = images.shape().to_vec();
        values.extend_from_slice(&images.as_slice()[..count * len]);
        known.extend(of_batch.into_iter().take(count));
        if known.len() == most {
            break;
        }
    }
    match shape.first_mut() {
        Some(count) => *count = known.len(),
        None => return Err(Error::argument("fit_router", "there are no samples to fit it to")),
    }
    Ok((Tensor::new(&shape, values)?, known))
}
