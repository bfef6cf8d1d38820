//! An agent: it acts in its environment, remembers, and draws from what it remembers.

use super::head::Estimates;
use super::playing::{Seen, seen_shape};
use super::replay::{Horizon, Move, Replay, Then, Transition};
use super::sum_tree::SumTree;
use super::{Head, ReinforcementConfig};
use crate::dataset::sample_rng;
use crate::environment::Environment;
use crate::tensor::{State, Tensor, buffer};
use crate::train::Meter;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What an agent has been through.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Course {
    /// Steps made.
    steps: u64,
    /// Episodes begun.
    episodes: u64,
    /// Of the present episode: the return so far, and its steps.
    sum: f64,
    length: u64,
    /// Slots of the replay that were written.
    written: u64,
    /// The largest priority so far, that of what is new.
    largest: f64,
    /// Of the episodes that have ended since they were asked for.
    returns: Meter,
    lengths: Meter,
    values: Meter,
}

/// What a network holds of the actions in the states `[N, C, H, W]`, by noise that follows from a seed.
pub(super) type Estimate<'a> = dyn FnMut(Tensor<f32>, Option<u64>) -> Result<Estimates> + 'a;

/// Acts, remembers, and draws what is learned from.
pub(super) struct Agent {
    environment: Box<dyn Environment>,
    settings: ReinforcementConfig,
    head: Head,
    horizon: Horizon,
    seed: u64,
    replay: Replay,
    /// By the remainder of its number, the priority of each slot that is remembered, if they are drawn
    /// by them.
    priorities: Option<SumTree>,
    /// `None` before the first episode.
    seen: Option<Seen>,
    course: Course,
}

/// What a part of a seed is used for, so that none is used twice.
#[derive(Clone, Copy)]
enum Draws {
    Episode = 1,
    Action = 2,
    Transitions = 3,
    /// The noise of a step.
    Noise = 4,
    /// The noise by which the network chooses in an update; the pass that learns has its own.
    Online = 5,
    /// That of the target network.
    Target = 6,
}

impl Agent {
    /// An agent in `environment`, which makes at most `spare` steps between two checkpoints, and keeps what it
    /// remembers in `file`.
    pub fn new(
        environment: Box<dyn Environment>,
        settings: &ReinforcementConfig,
        seed: u64,
        spare: u64,
        file: PathBuf,
    ) -> Self {
        let frame = environment.frame().iter().product();
        // An episode that is cut short has a slot more than steps.
        let spare = spare.saturating_mul(2);
        let (sizes, counts) = ([frame, environment.stack()], [settings.replay, spare]);
        let replay = Replay::new(sizes, counts, file, Replay::IN_MEMORY);
        let priorities =
            (settings.prioritized > 0.0).then(|| SumTree::new(settings.replay as usize));
        let (head, horizon) = (settings.head(environment.actions().len()), settings.horizon());
        let course = Course { largest: 1.0, ..Course::default() };
        let settings = settings.clone();
        Self { environment, settings, head, horizon, seed, replay, priorities, seen: None, course }
    }

    /// What it acts in.
    pub fn environment(&self) -> &dyn Environment {
        &*self.environment
    }

    /// Steps made.
    pub fn steps(&self) -> u64 {
        self.course.steps
    }

    /// What noise is drawn by, if layers are noisy.
    fn noise(&self, use_of: Draws, number: u64) -> Option<u64> {
        (self.settings.noisy > 0.0).then(|| self.rng(use_of, number).u64(..))
    }

    fn rng(&self, use_of: Draws, number: u64) -> fastrand::Rng {
        sample_rng(self.seed, number, use_of as usize)
    }

    /// Makes one step: by what `network` holds of actions, or at random, as likely as that is now.
    ///
    /// # Errors
    /// If the environment fails, or does not fit the network.
    pub fn act(&mut self, network: &mut Estimate) -> Result<()> {
        let mut seen = match self.seen.take() {
            Some(seen) => seen,
            None => {
                let seed = self.rng(Draws::Episode, self.course.episodes).u64(..);
                self.environment.reset(seed)?;
                self.course.episodes += 1;
                (self.course.sum, self.course.length) = (0.0, 0);
                Seen::first(&*self.environment)
            }
        };
        let rng = &mut self.rng(Draws::Action, self.course.steps);
        let action = match rng.f64() < self.settings.epsilon_at(self.course.steps) {
            true => rng.usize(..self.head.actions),
            false => {
                let state = seen.state(&*self.environment)?;
                network(state, self.noise(Draws::Noise, self.course.steps))?.best()[0]
            }
        };
        let begins = self.course.length == 0;
        let step = self.environment.step(action)?;
        self.course.steps += 1;
        self.course.length += 1;
        self.course.sum += f64::from(step.reward);
        let is_over = step.terminated || (step.life_lost && self.settings.life_loss);
        let then = match (is_over, step.truncated) {
            (true, _) => Then::Over,
            (false, true) => Then::Cut,
            (false, false) => Then::On,
        };
        let action = action as u16;
        self.remember(seen.newest(), Move { action, reward: step.reward, begins, then })?;
        let has_ended = step.terminated || step.truncated;
        seen.next(&*self.environment);
        if then == Then::Cut {
            let nothing = Move { action: 0, reward: 0.0, begins: false, then: Then::Nothing };
            self.remember(seen.newest(), nothing)?;
        }
        if has_ended {
            self.course.returns.add(self.course.sum);
            self.course.lengths.add(self.course.length as f64);
        } else {
            self.seen = Some(seen);
        }
        Ok(())
    }

    fn remember(&mut self, frame: &[u8], of: Move) -> Result<()> {
        let slot = self.replay.push(frame, of)?;
        let place = self.place(slot);
        if let Some(priorities) = &mut self.priorities {
            // In place of that of the slot that is forgotten.
            let is_move = of.then != Then::Nothing;
            priorities.set(place, if is_move { self.course.largest } else { 0.0 });
        }
        Ok(())
    }

    /// Where the priority of a slot is.
    fn place(&self, slot: u64) -> usize {
        (slot % self.settings.replay) as usize
    }

    /// Draws what update number `update` learns from, with weights that make up for how likely each was
    /// drawn, the largest 1.
    ///
    /// # Errors
    /// If nothing that is remembered can be learned from.
    pub fn draw(&self, count: usize, update: u64, share: f64) -> Result<Drawn> {
        /// Draws in vain one after the other, after which there is none.
        const MOST: usize = 100_000;
        let mut in_vain = 0;
        let rng = &mut self.rng(Draws::Transitions, update);
        let (slots, mut transitions) = (self.replay.slots(), Vec::with_capacity(count));
        let mut weights = Vec::with_capacity(count);
        // From the first value to 1 at the end.
        let power = self.settings.importance + (1.0 - self.settings.importance) * share;
        while in_vain < MOST {
            let slot = match &self.priorities {
                Some(priorities) => {
                    let place = priorities.find(rng.f64()) as u64;
                    // The newest of that remainder.
                    let newest = slots.end - 1;
                    let count = self.settings.replay;
                    newest - (newest % count + count - place) % count
                }
                None => rng.u64(slots.clone()),
            };
            let Some(transition) = self.replay.transition(slot, &self.horizon) else {
                in_vain += 1;
                continue;
            };
            in_vain = 0;
            transitions.push(transition);
            if let Some(priorities) = &self.priorities {
                let likely = priorities.get(self.place(slot)) / priorities.total();
                weights.push((likely * (slots.end - slots.start) as f64).powf(-power));
            }
            if transitions.len() == count {
                let largest = weights.iter().copied().fold(0.0, f64::max);
                let weights = weights.iter().map(|weight| (weight / largest) as f32).collect();
                return Ok(Drawn { transitions, weights });
            }
        }
        let problem = format!(
            "no transition of {} steps could be drawn from {} that are remembered",
            self.horizon.moves,
            slots.end - slots.start
        );
        Err(Error::config("task.learning_starts", problem))
    }

    /// What came of the move of a slot, if that is known.
    #[cfg(test)]
    pub fn transition(&self, slot: u64) -> Option<Transition> {
        self.replay.transition(slot, &self.horizon)
    }

    /// States `[N, C, H, W]` of slots.
    ///
    /// # Errors
    /// If there are too many.
    pub fn states(&self, slots: impl ExactSizeIterator<Item = u64>) -> Result<Tensor<f32>> {
        let [channels, height, width] = seen_shape(&*self.environment);
        let shape = [slots.len(), channels, height, width];
        let mut values = buffer::take(shape.iter().product());
        let states = values.chunks_mut(channels * height * width);
        slots.zip(states).for_each(|(slot, state)| self.replay.write_state(slot, state));
        Tensor::new(&shape, values)
    }

    /// What the network should say of the transitions: by the target network, and which action is the best
    /// by the network itself if learning is double; in update number `update`.
    ///
    /// # Errors
    /// If a network does not fit.
    pub fn targets(
        &self,
        network: &mut Estimate,
        target: &mut Estimate,
        transitions: &[Transition],
        update: u64,
    ) -> Result<Vec<f32>> {
        // Where nothing follows any state will do: it counts nothing.
        let next = transitions.iter().map(|of| of.next.unwrap_or(of.slot));
        let states = self.states(next)?;
        let by_target = target(states.clone(), self.noise(Draws::Target, update))?;
        let chosen = match self.settings.double {
            true => network(states, self.noise(Draws::Online, update))?.best(),
            false => by_target.best(),
        };
        let steps: Vec<_> = transitions.iter().map(|of| (of.reward, of.discount)).collect();
        Ok(self.head.targets(&by_target, &chosen, &steps))
    }

    /// Takes up how wrong the network was about what was drawn.
    pub fn learned(&mut self, slots: &[u64], errors: &[f32]) {
        /// So that nothing is never drawn again.
        const LEAST: f64 = 1e-6;
        let count = self.settings.replay;
        let Some(priorities) = &mut self.priorities else { return };
        for (&slot, &error) in slots.iter().zip(errors) {
            let priority = (f64::from(error.abs()) + LEAST).powf(self.settings.prioritized);
            // As it is kept, so that a resumed run has the same.
            let priority = f64::from(priority as f32);
            self.course.largest = self.course.largest.max(priority);
            priorities.set((slot % count) as usize, priority);
        }
    }

    /// Notes what the network holds of the actions that were taken.
    pub fn valued(&mut self, mean: f64) {
        self.course.values.add(mean);
    }

    /// What has been seen since this was asked last, under CleanRL's names.
    pub fn measures(&mut self) -> Vec<(String, f64)> {
        let epsilon = self.settings.epsilon_at(self.course.steps);
        let Course { returns, lengths, values, .. } = &mut self.course;
        let all = [
            ("charts/episodic_return", returns.take()),
            ("charts/episodic_length", lengths.take()),
            ("charts/epsilon", Some(epsilon)),
            ("losses/q_values", values.take()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Up to `most` of the states that are remembered, spread over all.
    ///
    /// # Errors
    /// If there is none.
    pub fn remembered(&self, most: usize) -> Result<Tensor<f32>> {
        let slots = self.replay.slots();
        let one = Horizon { moves: 1, ..self.horizon };
        let usable: Vec<u64> =
            slots.filter(|&slot| self.replay.transition(slot, &one).is_some()).collect();
        let count = most.min(usable.len());
        self.states((0..count).map(|k| usable[k * usable.len() / count]))
    }

    /// Writes the replay to a file, and gives what else has to be kept.
    ///
    /// # Errors
    /// If the file cannot be written, or the environment cannot be saved.
    pub fn save(&mut self) -> Result<State<f32>> {
        self.replay.save()?;
        self.course.written = self.replay.slots().end;
        let mut state = State::new("the agent");
        let json = |value: serde_json::Result<Vec<u8>>| {
            value.map_err(|error| Error::config("agent", error.to_string()))
        };
        state.insert(COURSE, from_bytes(&json(serde_json::to_vec(&self.course))?)?);
        if let Some(seen) = &self.seen {
            state.insert(SEEN, from_bytes(&json(serde_json::to_vec(seen))?)?);
            state.insert(ENVIRONMENT, from_bytes(&self.environment.save()?)?);
        }
        if let Some(priorities) = &self.priorities {
            let slots = self.replay.slots();
            let weights: Vec<f32> =
                slots.map(|slot| priorities.get(self.place(slot)) as f32).collect();
            state.insert(PRIORITIES, Tensor::new(&[weights.len()], weights)?);
        }
        Ok(state)
    }

    /// Takes up what [`Agent::save`] wrote and gave.
    ///
    /// # Errors
    /// If it is that of another run.
    pub fn restore(&mut self, state: &State<f32>) -> Result<()> {
        /// More than any run makes.
        const MOST: u64 = 1 << 48;
        let damaged = |name: &str, problem: &str| {
            Error::format_of(&state.origin, format!("task.{name}"), problem.to_owned())
        };
        let course = to_bytes(state.get(COURSE)?);
        let course = course.and_then(|bytes| serde_json::from_slice::<Course>(&bytes).ok());
        self.course = course.ok_or_else(|| damaged(COURSE, "does not say where an agent was"))?;
        if self.course.steps.max(self.course.written).max(self.course.episodes) > MOST {
            return Err(damaged(COURSE, "counts more steps than any run makes"));
        }
        self.replay.load(self.course.written, self.head.actions)?;
        self.seen = None;
        if let Some(seen) = state.tensors.get(SEEN) {
            let seen = to_bytes(seen).and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok());
            let seen = seen.filter(|seen| seen.is_of(&*self.environment));
            self.seen = Some(seen.ok_or_else(|| damaged(SEEN, "is not what the agent sees"))?);
            let bytes = to_bytes(state.get(ENVIRONMENT)?);
            let bytes = bytes.ok_or_else(|| damaged(ENVIRONMENT, "should be bytes"))?;
            self.environment.restore(&bytes)?;
        }
        if let Some(priorities) = &mut self.priorities {
            let weights = state.get(PRIORITIES)?.as_slice();
            let slots = self.replay.slots();
            if weights.len() as u64 != slots.end - slots.start {
                return Err(damaged(PRIORITIES, "has not one weight for each step remembered"));
            }
            for (slot, &weight) in slots.zip(weights) {
                priorities.set((slot % self.settings.replay) as usize, f64::from(weight));
            }
        }
        Ok(())
    }
}

const COURSE: &str = "course";
const SEEN: &str = "seen";
const ENVIRONMENT: &str = "environment";
const PRIORITIES: &str = "priorities";

/// What is learned from in one update.
pub(super) struct Drawn {
    pub transitions: Vec<Transition>,
    /// Empty where all are drawn alike.
    pub weights: Vec<f32>,
}

/// Bytes as values of a checkpoint.
fn from_bytes(bytes: &[u8]) -> Result<Tensor<f32>> {
    Tensor::new(&[bytes.len()], bytes.iter().map(|&byte| f32::from(byte)).collect())
}

fn to_bytes(tensor: &Tensor<f32>) -> Option<Vec<u8>> {
    let byte = |value: &f32| (*value == f32::from(*value as u8)).then_some(*value as u8);
    tensor.as_slice().iter().map(byte).collect()
}
