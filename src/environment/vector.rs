//! Several environments, side by side.

use super::{Environment, Settings, Step, open};
use crate::dataset::sample_rng;
use crate::{Error, Result};
use rayon::prelude::*;

/// Several environments of one name, stepped by several threads. What comes of them does not depend on
/// their number, since each has a seed of its own.
///
/// None is reset by a step: the one who steps sees the last frame of an episode, and resets.
pub struct Vector {
    environments: Vec<Box<dyn Environment>>,
}

impl Vector {
    /// That many environments of a name.
    ///
    /// # Errors
    /// As [`open`]; if `count` is 0.
    pub fn open(name: &str, settings: &Settings, count: usize) -> Result<Self> {
        if count == 0 {
            return Err(Error::argument("Vector::open", "there is at least one environment"));
        }
        let environments = (0..count).map(|_| open(name, settings)).collect::<Result<_>>()?;
        Ok(Self { environments })
    }

    /// The environments, in their order.
    pub fn each(&mut self) -> &mut [Box<dyn Environment>] {
        &mut self.environments
    }

    /// Begins an episode in all of them, with seeds that follow from `seed` and are apart.
    ///
    /// # Errors
    /// The first one of an environment.
    pub fn reset(&mut self, seed: u64) -> Result<()> {
        let places = self.environments.par_iter_mut().enumerate();
        places.try_for_each(|(at, one)| one.reset(sample_rng(seed, 1, at).u64(..)))
    }

    /// Takes an action in each of them.
    ///
    /// # Errors
    /// The first one of an environment; if there is not one action for each.
    pub fn step(&mut self, actions: &[usize]) -> Result<Vec<Step>> {
        if actions.len() != self.environments.len() {
            let (found, expected) = (actions.len(), self.environments.len());
            let problem = format!("{found} actions for {expected} environments");
            return Err(Error::argument("Vector::step", problem));
        }
        let pairs = self.environments.par_iter_mut().zip(actions);
        pairs.map(|(one, action)| one.step(*action)).collect()
    }

    /// Writes the present frame of each, one after the other, to `into`.
    ///
    /// # Panics
    /// If `into` does not hold as many values.
    pub fn observe(&self, into: &mut [u8]) {
        let values = into.len() / self.environments.len();
        assert_eq!(into.len() % self.environments.len(), 0, "values of all frames");
        for (one, frame) in self.environments.iter().zip(into.chunks_exact_mut(values)) {
            one.observe(frame);
        }
    }
}
