//! The start of a routed zoo: a router in closed form and by the leave-one-out loss, before any
//! tuning.
//!
//! Where sources know different conditions of the input, kernels that are mixed know less than each
//! of them; a sample that goes through the *one* source that fits it loses nothing and costs one
//! network. So every sample is described by what a frozen first layer sees in it
//! ([`Router`](crate::nn::Router)), and a linear map of that chooses the source:
//!
//! 1. *Expectation*: responsibilities `q` `[N, m]` of the sources. Ridge classifiers of each source's
//!    features, weighted by `q`, say how likely the label of each sample is that they were not
//!    shown; a regression of these log likelihoods on the descriptor gives new `q`.
//! 2. *Refinement*: gradient descent on the leave-one-out loss of one ridge classifier on the
//!    features `f_n = sum_i q_ni F_ni` that the softmax of the scores mixes.
//! 3. Of several such starts, the one whose hard routes have the least leave-one-out loss.
//! 4. *Folding*: the norms of each source, with the statistics of the samples that are routed to
//!    it, go into its kernels and biases, so that the routed network computes exactly what the
//!    sources compute; see [`Fitted::network`].
//!
//! It is ours, not the paper's. Where sources do not complement each other it harms: see
//! [`Fitted::is_worth_it`].

mod classifier;
mod expectation;
mod fold;
mod frozen;
mod map;
mod refinement;

use super::prior::best;
use super::ridge::Standardised;
use super::targets::{Goals, Targets};
use crate::nn::{Design, Network};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};
use frozen::{Frozen, Look};
use map::Map;

/// The constants of the fit of a router.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterSettings {
    /// With which penalties of the regression on the descriptor the search begins, and how often
    /// each result is refined.
    pub starts: [(f64, usize); 2],
    /// Rounds of the expectation.
    pub rounds: usize,
    /// In which part of them the responsibilities reach their full sharpness.
    pub warm: f64,
    /// What standardised scores are multiplied with to be logits of the responsibilities.
    pub sharpness: f64,
    /// What outputs of a ridge classifier are multiplied with to be logits.
    pub temperature: f64,
    /// The least weight of a sample in a source's classifier, where the mean is 1.
    pub least_weight: f64,
    /// What standardised scores are multiplied with before they are refined.
    pub scale: f64,
    /// Steps of a refinement.
    pub steps: usize,
    /// Their learning rate (Adam).
    pub learning_rate: f64,
    /// The penalty of `|V - V0|^2`.
    pub stay: f64,
    /// The penalty of the mean entropy of the routes.
    pub entropy: f64,
    /// The fewest samples whose statistics a source's norms take; with fewer, those of all.
    pub fewest: usize,
    /// The most samples that are looked at.
    pub most: usize,
    /// The leave-one-out error that is worth routing, in parts of the best source's.
    pub guard: f64,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            starts: [(0.3, 2), (0.1, 1)],
            rounds: 30,
            warm: 0.6,
            sharpness: 3.0,
            temperature: 6.0,
            least_weight: 0.02,
            scale: 6.0,
            steps: 100,
            learning_rate: 0.05,
            stay: 1e-3,
            entropy: 0.1,
            fewest: 8,
            most: 400,
            guard: 2.0 / 3.0,
        }
    }
}

/// A router that is fitted to samples, and what it promises.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Scores of the sources from the descriptor as it is.
    map: Map,
    settings: RouterSettings,
    /// The source whose first layer describes the samples.
    pub reference: usize,
    /// The source of each sample.
    pub routes: Vec<usize>,
    /// The leave-one-out score of the best source alone, on the same samples: its accuracy, or the share
    /// of the values' variance that it explains.
    pub best_alone: f64,
    /// That of the features that are routed.
    pub routed: f64,
}

impl Fitted {
    /// The error of the routed features in parts of the best source's; 1 where that makes none. A source that
    /// explains less of values than their mean is judged as that.
    pub fn error_ratio(&self) -> f64 {
        match 1.0 - self.best_alone.max(0.0) {
            error if error > 0.0 => (1.0 - self.routed) / error,
            _ => 1.0,
        }
    }

    /// Whether sources complement each other so much that routing is worth it: the leave-one-out
    /// error falls to [`RouterSettings::guard`] of the best source's at least. The leave-one-out
    /// score is optimistic, since the router was fitted to the same samples; so a mere gain says
    /// nothing.
    pub fn is_worth_it(&self) -> bool {
        self.error_ratio() <= self.settings.guard
    }

    /// The share of samples that goes to each of the `sources` sources.
    pub fn shares(&self, sources: usize) -> Vec<f64> {
        let count = |source| self.routes.iter().filter(|&&route| route == source).count();
        (0..sources).map(|source| count(source) as f64 / self.routes.len() as f64).collect()
    }

    /// The routed network that computes what the sources compute of the samples routed to them, with
    /// a fresh head that follows from `seed`; `sources` and `images` are those of [`fit_router`].
    ///
    /// # Errors
    /// If the architecture cannot be routed.
    pub fn network<T: Element>(
        &self,
        design: &Design,
        sources: &[State<T>],
        images: &Tensor<T>,
        seed: u64,
    ) -> Result<Network<T>> {
        let images = Frozen::<T>::first(images, self.routes.len())?;
        let mut frozen = Frozen::new(design, sources, &images, Look::Features)?;
        frozen.route(&self.routes, self.settings.fewest)?;
        fold::folded(design, sources, &frozen, self, seed)
    }
}

/// Fits a router to `images` `[N, C, H, W]` of the target, of which what is known is `targets`;
/// [`RouterSettings::most`] are looked at. The `sources` should be [`matched`](super::matched).
/// `reference` is the source whose first layer describes the images.
///
/// # Errors
/// If nothing is said of an image, there are fewer than two, a source is not of that architecture, its
/// features are not finite, or the architecture cannot be routed.
pub fn fit_router<T: Element>(
    design: &Design,
    sources: &[State<T>],
    reference: usize,
    images: &Tensor<T>,
    targets: Targets,
    settings: &RouterSettings,
) -> Result<Fitted> {
    let [count, ..] = images.dims::<4>("fit_router", "images", "[N, C, H, W]")?;
    if count != targets.samples() || count < 2 || reference >= sources.len() {
        let problem = format!(
            "{count} images, {} of which something is known, and source {reference} of {}; a router is \
             fitted to two images at least",
            targets.samples(),
            sources.len()
        );
        return Err(Error::argument("fit_router", problem));
    }
    let count = count.min(settings.most);
    let images = Frozen::<T>::first(images, count)?;
    let goals = Goals::of(targets, count)?;
    let look = match targets {
        Targets::Classes(_) => Look::Features,
        Targets::Values(_) => Look::Parts,
    };
    let mut frozen = Frozen::new(design, sources, &images, look)?;
    let phi = Standardised::of(&frozen.descriptor(design, &sources[reference])?, count)?;
    let alone = frozen.features()?;
    let of_sources =
        alone.iter().map(|f| Standardised::of(f, count)).collect::<Result<Vec<_>>>()?;
    let judged: Vec<f64> = of_sources.iter().map(|features| goals.judged(features).score).collect();
    let best_alone = best(&judged).map_or(0.0, |at| judged[at]);
    let mut found: Option<(f64, Fitted)> = None;
    // Of values, a source often tells all a little better than the others, and would take all samples.
    let balances: &[bool] = match targets {
        Targets::Classes(_) => &[false],
        Targets::Values(_) => &[false, true],
    };
    let starts = settings.starts.iter().flat_map(|start| balances.iter().map(move |b| (start, *b)));
    for (&(penalty, refinements), balanced) in starts {
        let map = expectation::expected(&of_sources, &goals, &phi, penalty, balanced, settings);
        let mut map = map.scaled(settings.scale);
        let mut features = frozen.routed_by(&map.routes(&phi), settings.fewest)?;
        for _ in 0..refinements {
            map = refinement::refined(&map, &features, &goals, &phi, settings)?;
            let routes = map.routes(&phi);
            features = frozen.routed_by(&routes, settings.fewest)?;
            let routed = frozen::routed(&features, &routes)?;
            let judged = goals.judged(&Standardised::of(&routed, count)?);
            if found.as_ref().is_none_or(|(loss, _)| judged.loss < *loss) {
                let (map, settings) = (map.of_raw(&phi), *settings);
                let routed = judged.score;
                let fitted = Fitted { map, settings, reference, routes, best_alone, routed };
                found = Some((judged.loss, fitted));
            }
        }
    }
    let problem = "there is no start that is refined";
    found.map(|(_, fitted)| fitted).ok_or_else(|| Error::argument("fit_router", problem))
}

#[cfg(test)]
mod tests;
