//! The settings of reinforcement learning in the table `[task]`.

use super::head::Head;
use super::projection::Support;
use super::replay::Horizon;
use crate::environment::{self, Environment};
use crate::train::Config;
use crate::train::choice::{FormName, Preset};
use crate::train::config::{MOST_STEPS, within};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The settings of the task, beside its `name` in the table `[task]`. Steps are those of the
/// environment, whatever it makes of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReinforcementConfig {
    /// What the agent acts in, see [`environment::open`].
    pub environment: String,
    /// How often the last action is taken again instead of the one that was asked for; without it as
    /// usual for the environment.
    pub sticky: Option<f64>,
    /// Steps after which an episode is cut; without it as usual for the environment.
    pub longest: Option<u64>,
    /// Whether a native game becomes harder while an episode lasts.
    pub ramp: bool,
    /// Atari: emulated frames of a step.
    pub frame_skip: usize,
    /// Atari: the most frames of doing nothing before an episode.
    pub no_ops: u64,
    /// Atari: whether all 18 actions can be chosen, so that agents of several games have the same.
    pub all_actions: bool,
    /// The interpreter of Python, for Atari and Gymnasium.
    pub python: Option<PathBuf>,
    /// Steps of the whole training.
    pub total_steps: u64,
    /// Steps at random before the first update.
    pub learning_starts: u64,
    /// Steps between two updates.
    pub train_every: u64,
    /// Steps between two copies of the network to the target network.
    pub target_every: u64,
    /// Steps that are remembered.
    pub replay: u64,
    /// What a reward counts that is one step later.
    pub discount: f64,
    /// Rewards of a transition, whose next state is as many steps later.
    pub n_step: usize,
    /// Whether the network chooses the action of the next state, which the target network values (van
    /// Hasselt et al., 2016).
    pub double: bool,
    /// Whether outputs are a state's value and its actions' advantages (Wang et al., 2016).
    pub dueling: bool,
    /// What the noise of the head's weights begins with (Fortunato et al., 2018); 0 for none. An agent then
    /// acts by weights that are drawn anew for every step, and needs few random actions or none.
    pub noisy: f64,
    /// Atoms of a distribution of returns (Bellemare et al., 2017); 1 for values.
    pub atoms: usize,
    /// The least and the largest of them.
    pub returns: [f64; 2],
    /// By which power of its error a transition is drawn (Schaul et al., 2016); 0 for all alike.
    pub prioritized: f64,
    /// By which power that is made up for at first; 1 at the end.
    pub importance: f64,
    /// Share of random actions at first.
    pub epsilon_start: f64,
    /// The same in the end.
    pub epsilon_end: f64,
    /// Steps over which it falls.
    pub epsilon_steps: u64,
    /// Whether rewards count as -1, 0 or 1 for learning.
    pub clip_rewards: bool,
    /// Whether a lost life ends an episode for learning.
    pub life_loss: bool,
    /// Episodes of a measurement while it is trained.
    pub episodes: usize,
    /// Those at the end.
    pub test_episodes: usize,
    /// Share of random actions in both.
    pub test_epsilon: f64,
}

/// Of a small board.
impl Default for ReinforcementConfig {
    fn default() -> Self {
        Self {
            environment: String::new(),
            sticky: None,
            longest: None,
            ramp: true,
            frame_skip: 4,
            no_ops: 30,
            all_actions: false,
            python: None,
            total_steps: 1_000_000,
            learning_starts: 5_000,
            train_every: 4,
            target_every: 1_000,
            replay: 100_000,
            discount: 0.99,
            n_step: 1,
            double: true,
            dueling: false,
            noisy: 0.0,
            atoms: 1,
            returns: [-10.0, 10.0],
            prioritized: 0.0,
            importance: 0.4,
            epsilon_start: 1.0,
            epsilon_end: 0.05,
            epsilon_steps: 100_000,
            clip_rewards: false,
            life_loss: false,
            episodes: 10,
            test_episodes: 100,
            test_epsilon: 0.001,
        }
    }
}

impl ReinforcementConfig {
    /// Checks all values.
    ///
    /// # Errors
    /// If one has no meaning.
    pub fn check(&self) -> Result<()> {
        if self.environment.is_empty() {
            let games: Vec<_> = environment::games().iter().map(|game| game.name).collect();
            let problem = format!(
                "is missing: what does the agent act in? --environment NAME, one of {} or another of \
                 docs/environments.md",
                games.join(", ")
            );
            return Err(Error::config("task.environment", problem));
        }
        for (key, value, least) in [
            ("total_steps", self.total_steps, 1),
            ("learning_starts", self.learning_starts, 1),
            ("train_every", self.train_every, 1),
            ("target_every", self.target_every, 1),
            ("longest", self.longest.unwrap_or(1), 1),
            ("epsilon_steps", self.epsilon_steps, 0),
            ("episodes", self.episodes as u64, 1),
            ("test_episodes", self.test_episodes as u64, 1),
        ] {
            within(&format!("task.{key}"), value, least, MOST_STEPS)?;
        }
        within("task.replay", self.replay, 1, 1 << 26)?;
        within("task.n_step", self.n_step, 1, 1000)?;
        within("task.atoms", self.atoms, 1, 10_000)?;
        for (key, value) in [
            ("sticky", self.sticky.unwrap_or(0.0)),
            ("discount", self.discount),
            ("prioritized", self.prioritized),
            ("importance", self.importance),
            ("epsilon_start", self.epsilon_start),
            ("epsilon_end", self.epsilon_end),
            ("test_epsilon", self.test_epsilon),
        ] {
            within(&format!("task.{key}"), value, 0.0, 1.0)?;
        }
        within("task.noisy", self.noisy, 0.0, 10.0)?;
        let [low, high] = self.returns;
        if !(low.is_finite() && high.is_finite() && low < high) {
            let problem = format!("{low} and {high} should be the least and the largest return");
            return Err(Error::config("task.returns", problem));
        }
        if self.total_steps <= self.learning_starts {
            let problem = format!(
                "{} leaves nothing to learn after the {} steps of --learning-starts",
                self.total_steps, self.learning_starts
            );
            return Err(Error::config("task.total_steps", problem));
        }
        if self.learning_starts > self.replay {
            let problem = format!(
                "{} remembers fewer steps than the {} of --learning-starts",
                self.replay, self.learning_starts
            );
            return Err(Error::config("task.replay", problem));
        }
        Ok(())
    }

    /// An error if the method needs labels, or samples that do not come from acting.
    pub(super) fn check_method(config: &Config) -> Result<()> {
        let refuse = |key: &str, problem: &str| Err(Error::config(key, problem));
        let method = &config.method;
        if method.form == FormName::Routed {
            let problem = "agents are not routed; take zoo or lite";
            return refuse("method.form", problem);
        }
        if method.linear_probe {
            let problem = "fits a classifier, and an agent has no classes";
            return refuse("method.linear_probe", problem);
        }
        if method.delta.is_some() && method.delta_attention {
            let problem =
                "weighs channels by a classifier, and an agent has none: --delta-attention off";
            return refuse("method.delta_attention", problem);
        }
        if config.optimizer.accumulate > 1 {
            let problem = "an agent acts between batches; take a larger batch instead";
            return refuse("optimizer.accumulate", problem);
        }
        Ok(())
    }

    /// Opens the environment.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be started.
    pub fn open_environment(&self) -> Result<Box<dyn Environment>> {
        let usual = environment::Settings::default();
        let settings = environment::Settings {
            sticky: self.sticky.unwrap_or(usual.sticky),
            longest: self.longest,
            ramp: self.ramp,
            frame_skip: self.frame_skip,
            no_ops: self.no_ops,
            all_actions: self.all_actions,
            python: self.python.clone(),
            ..usual
        };
        environment::open(&self.environment, &settings)
    }

    /// The published settings that are usual for the environment: by whether an agent sees a board, or
    /// several pictures at once.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn usual_preset(&self) -> Result<Preset> {
        Ok(match self.open_environment()?.stack() {
            1 => Preset::Minatar,
            _ => Preset::DataEfficientRainbow,
        })
    }

    /// Updates of the whole training.
    pub(super) fn updates(&self) -> u64 {
        (self.total_steps.saturating_sub(self.learning_starts) / self.train_every).max(1)
    }

    /// Share of random actions after so many steps.
    pub(super) fn epsilon_at(&self, steps: u64) -> f64 {
        let Self { epsilon_start, epsilon_end, epsilon_steps, learning_starts, .. } = *self;
        if steps < learning_starts {
            return 1.0;
        }
        let share = (steps - learning_starts) as f64 / epsilon_steps.max(1) as f64;
        epsilon_start + (epsilon_end - epsilon_start) * share.min(1.0)
    }

    /// What a network's outputs mean, of so many actions.
    pub(super) fn head(&self, actions: usize) -> Head {
        let [low, high] = self.returns;
        let atoms = self.atoms;
        let support = (atoms > 1).then_some(Support { low, high, atoms });
        Head { actions, dueling: self.dueling, support }
    }

    /// How transitions are made of steps.
    pub(super) fn horizon(&self) -> Horizon {
        Horizon { moves: self.n_step, discount: self.discount, clips: self.clip_rewards }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_actions_become_fewer() {
        let settings = ReinforcementConfig {
            learning_starts: 10,
            epsilon_steps: 100,
            epsilon_end: 0.1,
            ..ReinforcementConfig::default()
        };
        let found = [0, 9, 10, 60, 110, 1000].map(|steps| settings.epsilon_at(steps));
        for (found, expected) in found.into_iter().zip([1.0, 1.0, 1.0, 0.55, 0.1, 0.1]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_setting_without_meaning_names_its_key() {
        let right = || ReinforcementConfig { environment: "b".into(), ..Default::default() };
        right().check().unwrap();
        type Change = fn(&mut ReinforcementConfig);
        let wrong: [(&str, Change); 8] = [
            ("task.environment", |s| s.environment.clear()),
            ("task.discount", |s| s.discount = f64::NAN),
            ("task.epsilon_end", |s| s.epsilon_end = 1.5),
            ("task.returns", |s| s.returns = [1.0, 1.0]),
            ("task.train_every", |s| s.train_every = 0),
            ("task.total_steps", |s| s.total_steps = s.learning_starts),
            ("task.replay", |s| s.replay = 10),
            ("task.atoms", |s| s.atoms = 0),
        ];
        for (key, change) in wrong {
            let mut settings = right();
            change(&mut settings);
            let problem = settings.check().unwrap_err().to_string();
            assert!(problem.starts_with(key), "{key}: {problem}");
        }
    }
}
