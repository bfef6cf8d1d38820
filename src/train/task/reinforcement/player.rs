//! A tuned network at play.

use super::head::Head;
use super::playing::{Episode, Moment, check_fit, play, play_all};
use super::{ReinforcementConfig, TASK};
use crate::dataset::sample_rng;
use crate::nn::Network;
use crate::train::Model;
use crate::train::config::TaskConfig;
use crate::{Error, Result};

/// Where the seeds of measurements begin while a network is trained.
pub(super) const VALIDATION: u64 = 1 << 61;
/// Where they begin at the end.
pub(super) const TEST: u64 = 1 << 62;
/// Episodes that are played side by side.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// An agent that has learned: a network, and how its outputs are to be read.
pub struct Player<'a> {
    model: &'a Model,
    settings: ReinforcementConfig,
    head: Head,
}

impl Model {
    /// How this network acts, if it is one of an agent.
    ///
    /// # Errors
    /// If its file says it in a way that has no meaning.
    pub fn agent(&self) -> Result<Option<ReinforcementConfig>> {
        let Some(text) = self.notes.get(TASK) else { return Ok(None) };
        let refuse = |problem: String| Error::format_of(&self.origin, TASK, problem);
        let task = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let TaskConfig::Reinforcement(settings) = task else { return Ok(None) };
        settings.check().map_err(|error| refuse(error.to_string()))?;
        // A file names no program that is run.
        Ok(Some(ReinforcementConfig { python: None, ..settings }))
    }
}

impl<'a> Player<'a> {
    /// The agent of `model` by `settings`, which are its own ([`Model::agent`]) or others'.
    ///
    /// # Errors
    /// If the environment cannot be opened, or the network is not one for it.
    pub fn new(model: &'a Model, settings: ReinforcementConfig) -> Result<Self> {
        let environment = settings.open_environment()?;
        let actions = environment.actions().len();
        let head = settings.head(actions);
        if model.design().outputs != head.outputs() {
            let problem = format!(
                "{} has {actions} actions, which take {} outputs, and {} has {}",
                environment.name(),
                head.outputs(),
                model.origin,
                model.design().outputs
            );
            return Err(Error::config("task.environment", problem));
        }
        check_fit(&model.network, &*environment)?;
        Ok(Self { model, settings, head })
    }

    /// Its network.
    pub fn network(&self) -> &Network<f32> {
        &self.model.network
    }

    /// Its settings.
    pub fn settings(&self) -> &ReinforcementConfig {
        &self.settings
    }

    /// Plays `count` episodes, which follow from `seed`, and calls `each` with how many are done.
    ///
    /// # Errors
    /// If an environment fails.
    pub fn episodes(
        &self,
        count: usize,
        epsilon: f64,
        seed: u64,
        each: impl FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Episode>> {
        let environments = (0..SIDE_BY_SIDE.min(count)).map(|_| self.settings.open_environment());
        let mut environments = environments.collect::<Result<Vec<_>>>()?;
        let (network, head) = (&self.model.network, &self.head);
        play_all(network, head, &mut environments, count, seeds(seed), epsilon, each)
    }

    /// Plays one episode, and calls `watch` after every step.
    ///
    /// # Errors
    /// If the environment fails; those of `watch`.
    pub fn watch(
        &self,
        epsilon: f64,
        seed: u64,
        watch: &mut dyn FnMut(&Moment) -> Result<()>,
    ) -> Result<Episode> {
        let mut environment = [self.settings.open_environment()?];
        let (network, head) = (&self.model.network, &self.head);
        let episodes = play(network, head, &mut environment, seeds(seed), epsilon, watch)?;
        Ok(episodes[0])
    }
}

impl ReinforcementConfig {
    /// What a random policy comes to in `count` episodes that follow from `seed`.
    ///
    /// # Errors
    /// If the environment fails.
    pub fn random_episodes(&self, count: usize, seed: u64) -> Result<Vec<Episode>> {
        let mut environment = self.open_environment()?;
        let actions = environment.actions().len();
        let first = seeds(seed);
        let episode = |number: u64| {
            let rng = &mut sample_rng(first.wrapping_add(number), 0, 1);
            environment.reset(first.wrapping_add(number))?;
            let mut episode = Episode { sum: 0.0, length: 0 };
            loop {
                let step = environment.step(rng.usize(..actions))?;
                episode.sum += f64::from(step.reward);
                episode.length += 1;
                if step.ended() {
                    return Ok(episode);
                }
            }
        };
        (0..count as u64).map(episode).collect()
    }
}

/// Where the seeds of episodes begin that are not those of training.
fn seeds(seed: u64) -> u64 {
    TEST.wrapping_add(seed << 32)
}
