//! States of a random policy, by which sources are compared and matched before any tuning.

use super::ReinforcementConfig;
use super::playing::{Seen, seen_shape};
use crate::dataset::sample_rng;
use crate::start::{Labelled, Probe, Valued, ValuedBatch};
use crate::tensor::Tensor;
use crate::{Error, Result};
use std::cell::OnceCell;

/// Plays at random when it is asked for the first time.
pub(super) struct RandomProbe {
    settings: ReinforcementConfig,
    seed: u64,
    played: OnceCell<Played>,
}

/// States, and what came of them.
struct Played {
    /// `[C, H, W]`.
    shape: [usize; 3],
    states: Vec<f32>,
    rewards: Vec<f64>,
    /// Whether the episode ended with that step.
    ends: Vec<bool>,
}

/// Steps that are played.
const STEPS: usize = 2000;

/// Of these, states by which channels are matched.
const MATCHED: usize = 500;

/// What a reward counts one step later, in each of the values of a state.
const DISCOUNTS: [f64; 3] = [0.8, 0.95, 0.99];

impl RandomProbe {
    pub fn new(settings: &ReinforcementConfig, seed: u64) -> Self {
        Self { settings: settings.clone(), seed, played: OnceCell::new() }
    }

    fn played(&self) -> Result<&Played> {
        if let Some(played) = self.played.get() {
            return Ok(played);
        }
        let played = self.play()?;
        Ok(self.played.get_or_init(|| played))
    }

    fn play(&self) -> Result<Played> {
        let mut environment = self.settings.open_environment()?;
        let actions = environment.actions().len();
        let shape = seen_shape(&*environment);
        let (mut states, mut rewards, mut ends) = (vec![], vec![], vec![]);
        // Not what the agent will draw.
        let rng = &mut sample_rng(self.seed, u64::MAX, 0);
        let mut seen: Option<Seen> = None;
        for _ in 0..STEPS {
            let now = match seen.take() {
                Some(seen) => seen,
                None => {
                    environment.reset(rng.u64(..))?;
                    Seen::first(&*environment)
                }
            };
            let first = states.len();
            states.resize(first + shape.iter().product::<usize>(), 0.0);
            now.write(&mut states[first..]);
            let step = environment.step(rng.usize(..actions))?;
            rewards.push(f64::from(step.reward));
            ends.push(step.ended());
            let mut next = now;
            next.next(&*environment);
            seen = (!step.ended()).then_some(next);
        }
        Ok(Played { shape, states, rewards, ends })
    }
}

impl Played {
    /// The states of a range of steps, `[N, C, H, W]`, those in between left out.
    fn images(&self, steps: impl ExactSizeIterator<Item = usize>) -> Result<Tensor<f32>> {
        let [channels, height, width] = self.shape;
        let len = channels * height * width;
        let shape = [steps.len(), channels, height, width];
        let values = steps.flat_map(|step| &self.states[step * len..][..len]).copied().collect();
        Tensor::new(&shape, values)
    }

    /// The discounted sums of the rewards that followed each state.
    fn values(&self) -> Vec<Vec<Option<f64>>> {
        let mut after = [0.0; DISCOUNTS.len()];
        let mut values = vec![vec![]; self.rewards.len()];
        for step in (0..self.rewards.len()).rev() {
            let goes_on = if self.ends[step] { 0.0 } else { 1.0 };
            for (sum, discount) in after.iter_mut().zip(DISCOUNTS) {
                *sum = self.rewards[step] + goes_on * discount * *sum;
            }
            values[step] = after.map(Some).to_vec();
        }
        values
    }
}

/// `count` states `[N, C, H, W]` of a random policy, spread over 2000 steps that follow from `seed`.
///
/// # Errors
/// If the environment fails.
pub fn random_states(
    settings: &ReinforcementConfig,
    seed: u64,
    count: usize,
) -> Result<Tensor<f32>> {
    let count = count.min(STEPS);
    RandomProbe::new(settings, seed).played()?.images((0..count).map(|k| k * STEPS / count.max(1)))
}

impl Probe for RandomProbe {
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_> {
        let problem = "an agent has no classes";
        Box::new(std::iter::once(Err(Error::argument("Probe::labelled", problem))))
    }

    /// States of a random policy, and the discounted sums of the rewards that followed them.
    fn valued(&self) -> Option<Box<dyn Iterator<Item = Valued<f32>> + '_>> {
        const BATCH: usize = 100;
        let played = match self.played() {
            Ok(played) => played,
            Err(error) => return Some(Box::new(std::iter::once(Err(error)))),
        };
        let values = played.values();
        let batches = (0..STEPS / BATCH).map(move |batch| {
            let steps = batch * BATCH..(batch + 1) * BATCH;
            let images = played.images(steps.clone())?;
            Ok(ValuedBatch {
                images,
                values: values[steps.clone()].to_vec(),
                samples: steps.collect(),
            })
        });
        Some(Box::new(batches))
    }

    fn images(&self) -> Result<Tensor<f32>> {
        self.played()?.images((0..MATCHED).map(|k| k * STEPS / MATCHED))
    }
}
