//! The start of a zoo as a whole: sources are scored, matched, and give the gates their bias.

use super::{best, gate_bias, matched, score};
use crate::Result;
use crate::nn::Design;
use crate::tensor::{State, Tensor};

/// Labelled images `[N, C, H, W]` of a batch, or why there are none.
pub type Labelled = Result<(Tensor<f32>, Vec<usize>)>;

/// Samples of the target by which sources are compared before any tuning.
pub trait Probe {
    /// Labelled batches, by which each source is scored (see [`score`]).
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_>;

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
        if sources.len() < 2 || !(self.matches || self.prior.is_some() || self.chooses) {
            return Ok(Prepared { sources, ..Prepared::default() });
        }
        note("scoring the sources");
        let scores = sources.iter().map(|source| score(design, source, probe.labelled()));
        let scores = scores.collect::<Result<Vec<_>>>()?;
        let mut prepared = Prepared { sources, scores, prior: None };
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
        Ok(prepared)
    }
}
