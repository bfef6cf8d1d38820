//! Reinforcement learning: an agent learns the values of actions while it acts.
//!
//! DQN (Mnih et al., 2015) and what Rainbow (Hessel et al., 2018) puts together, each by a switch of
//! its own: see [`ReinforcementConfig`]. One update is a step of the one loop that trains; between two
//! of them the agent makes a few steps in its environment.

mod agent;
mod fixed;
mod head;
mod player;
mod playing;
mod presets;
mod probe;
mod projection;
mod replay;
mod returns;
mod settings;
mod sum_tree;
#[cfg(test)]
mod tests;

pub use player::Player;
pub use playing::{Episode, Moment};
pub(in crate::train) use presets::AgentPreset;
pub use probe::random_states;
pub use returns::{Returns, human_normalised, interquartile_interval, interquartile_mean};
pub use settings::ReinforcementConfig;

use super::{Exhibits, Measured, Opened, Part, Samples, Scores, Task, rows_of};
use crate::environment::Environment;
use crate::nn::{Network, Pass};
use crate::start::Probe;
use crate::tape::Var;
use crate::tensor::{Device, State, Tensor};
use crate::train::config::TaskConfig;
use crate::train::{Config, Material};
use crate::{Error, Result, ops};
use agent::Agent;
use fixed::Fixed;
use head::Head;
use playing::{check_fit, estimates, play_all, seen_shape};
use probe::RandomProbe;
use std::ops::Range;
use std::path::Path;

/// The key of a network's file that holds the table `[task]` as JSON.
pub(super) const TASK: &str = "task";

/// The file of a run that holds what its agent remembers.
pub(in crate::train) const REPLAY: &str = "replay.bin";

impl ReinforcementConfig {
    /// Writes into the configuration what follows from the environment: which network sees it, where
    /// nothing says that, and as what.
    ///
    /// # Errors
    /// If the environment cannot be opened, or the form of the method needs classes.
    pub(in crate::train) fn complete(&self, config: &mut Config) -> Result<()> {
        Self::check_method(config)?;
        let environment = self.open_environment()?;
        let [channels, height, width] = seen_shape(&*environment);
        let method = &mut config.method;
        if method.architecture.is_none() && method.zoo.is_empty() && method.from.is_none() {
            method.architecture =
                Some(presets::usual_architecture([height, width], self.atoms > 1));
        }
        // The length is that of the whole training, and an epoch a part of it that ends with a measurement.
        let optimizer = &mut config.optimizer;
        let epochs = optimizer.epochs.take().unwrap_or(1).max(1);
        let updates = *optimizer.steps.get_or_insert(self.updates());
        if config.record.validate_every == 0 {
            config.record.validate_every = updates.div_ceil(epochs);
        }
        let data = &mut config.data;
        data.channels = Some(channels);
        // Bytes are divided by 255, and nothing else is done to them.
        (data.mean, data.std) = (Some(vec![0.0]), Some(vec![1.0]));
        Ok(())
    }

    /// The task of a run in `folder`, whose configuration is complete.
    ///
    /// # Errors
    /// If the environment cannot be opened.
    pub(in crate::train) fn open(
        &self,
        config: &Config,
        folder: &Path,
    ) -> Result<Opened<Reinforcement>> {
        let environment = self.open_environment()?;
        let actions = environment.actions().to_vec();
        let head = self.head(actions.len());
        let updates = config.optimizer.steps.unwrap_or(self.updates());
        let steps = updates.saturating_mul(self.train_every).saturating_add(self.learning_starts);
        let spare = config.record.checkpoint_every.saturating_mul(self.train_every).min(steps);
        let outputs = head.outputs();
        let classes = if outputs == actions.len() { actions } else { vec![] };
        // The interpreter is this machine's; and a file of a network names no program that is run.
        let saved = TaskConfig::Reinforcement(Self { python: None, ..self.clone() });
        let text = serde_json::to_string(&saved)
            .map_err(|error| Error::config("task", error.to_string()))?;
        let task = Reinforcement {
            agent: Agent::new(environment, self, config.seed, spare, folder.join(REPLAY)),
            probe: RandomProbe::new(self, config.seed),
            settings: self.clone(),
            head,
            target: None,
            updates,
            batch: config.optimizer.batch,
            seed: config.seed,
            played: vec![],
        };
        Ok(Opened {
            task,
            outputs,
            classes,
            samples: usize::try_from(steps).unwrap_or(usize::MAX),
            batches_per_epoch: config.record.validate_every,
            notes: vec![],
            material: Material::default(),
            metadata: [(TASK.to_owned(), text)].into(),
        })
    }
}

/// A network is to tell what actions are worth.
pub struct Reinforcement {
    agent: Agent,
    probe: RandomProbe,
    settings: ReinforcementConfig,
    head: Head,
    /// The network as it was when it was copied last.
    target: Option<Fixed>,
    /// Of the whole training.
    updates: u64,
    batch: usize,
    seed: u64,
    /// Where measurements are played.
    played: Vec<Box<dyn Environment>>,
}

/// Transitions, and what the network should say of them.
pub struct Experience {
    /// States, `[N, C, H, W]`.
    states: Tensor<f32>,
    /// The slots that they are in.
    slots: Vec<u64>,
    indices: Vec<usize>,
    actions: Vec<usize>,
    /// A value for each, or a distribution.
    targets: Vec<f32>,
    /// Empty where all count alike.
    weights: Vec<f32>,
}

impl Task for Reinforcement {
    type Batch = Experience;

    /// Acts, copies the network to the target network when that is due, and draws.
    fn batch(&mut self, step: u64, network: &Network<f32>) -> Result<Experience> {
        let Self { agent, settings, head, .. } = self;
        if agent.steps() == 0 {
            check_fit(network, agent.environment())?;
        }
        let wanted = settings.learning_starts + (step + 1) * settings.train_every;
        let before = agent.steps();
        let mut acting = Fixed::faster(network)?;
        let mut online = |states: Tensor<f32>, draws| match &mut acting {
            Some(acting) => acting.estimates(network, head, states, draws),
            None => estimates(network, network.parameters(), head, states, draws),
        };
        while agent.steps() < wanted {
            agent.act(&mut online)?;
        }
        let copies = |steps: u64| steps / settings.target_every;
        if self.target.is_none() || copies(agent.steps()) > copies(before) {
            self.target = Some(Fixed::of(network)?);
        }
        let Some(target) = &mut self.target else { unreachable!("it was copied just now") };
        let share = step as f64 / self.updates as f64;
        let drawn = agent.draw(self.batch, step, share.min(1.0))?;
        let mut by_target =
            |states: Tensor<f32>, draws| target.estimates(network, head, states, draws);
        let targets = agent.targets(&mut online, &mut by_target, &drawn.transitions, step)?;
        let slots: Vec<u64> = drawn.transitions.iter().map(|of| of.slot).collect();
        Ok(Experience {
            states: agent.states(slots.iter().copied())?,
            indices: slots.iter().map(|&slot| slot as usize).collect(),
            slots,
            actions: drawn.transitions.iter().map(|of| of.action).collect(),
            targets,
            weights: drawn.weights,
        })
    }

    /// The mean of Huber's losses of values, or of the cross-entropies of distributions; each weighted,
    /// if transitions are drawn by their priorities.
    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Experience) -> Result<Var> {
        let losses = self.head.losses(pass, output, &batch.actions, &batch.targets)?;
        let held = self.head.estimates(pass, output)?;
        let held: Vec<f64> =
            batch.actions.iter().enumerate().map(|(n, &a)| f64::from(held.of(n)[a])).collect();
        self.agent.valued(held.iter().sum::<f64>() / held.len().max(1) as f64);
        if batch.weights.is_empty() {
            return ops::mean_all(pass.tape(), losses);
        }
        // Errors of values; of distributions the cross-entropy, as Rainbow has it.
        let errors: Vec<f32> = match self.head.support {
            None => batch.targets.iter().zip(&held).map(|(y, q)| y - *q as f32).collect(),
            Some(_) => pass.value(losses)?.to(&Device::Cpu)?.into_vec(),
        };
        self.agent.learned(&batch.slots, &errors);
        let device = pass.value(losses)?.device();
        let weights = Tensor::new(&[batch.weights.len()], batch.weights.clone())?.to(&device)?;
        let weights = pass.input(weights);
        let weighted = ops::mul(pass.tape(), losses, weights)?;
        ops::mean_all(pass.tape(), weighted)
    }

    /// `return`, the mean over episodes that begin elsewhere than those of training, without clipping;
    /// its `std`, the interquartile mean `IQM`, and the mean `length`.
    fn evaluate(&mut self, network: &Network<f32>, part: Part) -> Result<Option<Scores>> {
        let (count, first) = match part {
            Part::Validation => (self.settings.episodes, player::VALIDATION),
            Part::Test => (self.settings.test_episodes, player::TEST),
        };
        while self.played.len() < player::SIDE_BY_SIDE.min(count) {
            self.played.push(self.settings.open_environment()?);
        }
        let (seeds, epsilon) = (first.wrapping_add(self.seed << 32), self.settings.test_epsilon);
        let (head, played) = (&self.head, &mut self.played);
        let episodes = play_all(network, head, played, count, seeds, epsilon, |_| Ok(()))?;
        Ok(Some(Returns::of(&episodes).scores()))
    }

    fn leaves_scores_alone(&self) -> bool {
        true
    }

    fn probe(&self) -> Option<&dyn Probe> {
        Some(&self.probe)
    }

    /// States that the agent remembers.
    fn exhibits(&self) -> Result<Option<Exhibits>> {
        const MOST: usize = 64;
        let images = self.agent.remembered(MOST)?;
        Ok(Some(Exhibits { part: "training", images, labels: vec![] }))
    }

    fn measures(&mut self) -> Option<Measured> {
        Some(Measured { at: self.agent.steps(), values: self.agent.measures() })
    }

    fn state(&mut self) -> Result<State<f32>> {
        let mut state = self.agent.save()?;
        if let Some(target) = &self.target {
            let tensors = target.state().tensors.into_iter();
            tensors.for_each(|(name, tensor)| state.insert(format!("{TARGET}{name}"), tensor));
        }
        Ok(state)
    }

    fn restore(&mut self, network: &Network<f32>, state: &State<f32>) -> Result<()> {
        self.agent.restore(state)?;
        let target = state.below(TARGET);
        if !target.tensors.is_empty() {
            self.target = Some(Fixed::restored(network, &target)?);
        }
        Ok(())
    }
}

/// What the names of the target network's tensors begin with.
const TARGET: &str = "target.";

impl Returns {
    /// As scores, the mean return first.
    pub fn scores(&self) -> Scores {
        let values = [
            ("return", self.mean),
            ("std", self.std),
            ("IQM", self.interquartile_mean),
            ("length", self.length),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Scores { samples: self.episodes, larger_is_better: true, values }
    }
}

impl Samples for Experience {
    fn images(&self) -> &Tensor<f32> {
        &self.states
    }

    fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn part(&self, samples: Range<usize>) -> Result<Self> {
        let n = self.slots.len();
        let states = rows_of(&self.states, &samples, n)?;
        let of_target = self.targets.len() / n.max(1);
        Ok(Self {
            states,
            slots: self.slots[samples.clone()].to_vec(),
            indices: self.indices[samples.clone()].to_vec(),
            actions: self.actions[samples.clone()].to_vec(),
            targets: self.targets[samples.start * of_target..samples.end * of_target].to_vec(),
            weights: self.weights.get(samples).unwrap_or_default().to_vec(),
        })
    }
}
