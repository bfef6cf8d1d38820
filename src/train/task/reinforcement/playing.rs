//! Acting: what an agent sees, what its network makes of it, and whole episodes of it.

use super::head::{Estimates, Head};
use super::replay::write_values;
use crate::dataset::sample_rng;
use crate::environment::{Environment, Step};
use crate::nn::{Network, Parameters, Pass};
use crate::tensor::{Tensor, buffer};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The last frames of an episode; the first of it stands for those that there were not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Oldest first.
    frames: Vec<u8>,
    /// Bytes of a frame.
    frame: usize,
}

impl Seen {
    /// What is seen when an episode begins.
    pub fn first(environment: &dyn Environment) -> Self {
        let mut frame = vec![0; environment.frame().iter().product()];
        environment.observe(&mut frame);
        Self { frames: frame.repeat(environment.stack()), frame: frame.len() }
    }

    /// What is seen after a step.
    pub fn next(&mut self, environment: &dyn Environment) {
        self.frames.copy_within(self.frame.., 0);
        environment.observe(self.newest_mut());
    }

    /// The newest frame.
    pub fn newest(&self) -> &[u8] {
        &self.frames[self.frames.len() - self.frame..]
    }

    fn newest_mut(&mut self) -> &mut [u8] {
        let first = self.frames.len() - self.frame;
        &mut self.frames[first..]
    }

    /// Whether it is what `environment` shows.
    pub fn is_of(&self, environment: &dyn Environment) -> bool {
        let frame: usize = environment.frame().iter().product();
        self.frame == frame && self.frames.len() == frame * environment.stack()
    }

    /// Writes it as values of 0 to 1.
    pub fn write(&self, into: &mut [f32]) {
        write_values(&self.frames, into);
    }

    /// The state `[1, C, H, W]` of `environment` that it is.
    ///
    /// # Errors
    /// If it is another environment's.
    pub fn state(&self, environment: &dyn Environment) -> Result<Tensor<f32>> {
        let [channels, height, width] = seen_shape(environment);
        let mut values = buffer::take(self.frames.len());
        self.write(&mut values);
        Tensor::new(&[1, channels, height, width], values)
    }
}

/// The shape `[C, H, W]` of what a network sees of an environment: its frames one behind the other.
pub(super) fn seen_shape(environment: &dyn Environment) -> [usize; 3] {
    let [channels, height, width] = environment.frame();
    [channels * environment.stack(), height, width]
}

/// What a network with `parameters` holds of the actions in the states `[N, C, H, W]`; with the noise that
/// follows from `draws`, if its head is noisy. Nothing of the network changes: running averages of gates
/// stay as they are.
///
/// # Errors
/// If the states do not fit, or an output is another head's.
pub(super) fn estimates(
    network: &Network<f32>,
    parameters: &Parameters<f32>,
    head: &Head,
    states: Tensor<f32>,
    draws: Option<u64>,
) -> Result<Estimates> {
    let mut pass = Pass::evaluate(parameters);
    if let Some(seed) = draws {
        pass = pass.draw(seed);
    }
    let x = pass.input(states.to(&parameters.device())?);
    let output = network.forward(&mut pass, x)?;
    head.estimates(&mut pass, output)
}

/// An episode that was played to its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The sum of its rewards, as the environment gave them.
    #[serde(rename = "return")]
    pub sum: f64,
    /// Its steps.
    pub length: u64,
}

/// A network at play, seen after each step; see [`Player::watch`](super::Player::watch).
pub struct Moment<'a> {
    /// The environment after the step.
    pub environment: &'a dyn Environment,
    /// What the network saw before it, `[1, C, H, W]`.
    pub state: &'a Tensor<f32>,
    /// What it held of each action there.
    pub values: &'a [f32],
    /// The action that was taken.
    pub action: usize,
    /// What had come of the episode before.
    pub before: Episode,
}

/// Plays one episode in each of the environments, all side by side. That of number n begins from
/// `seeds + n`; with probability `epsilon` an action is random. `watch` is called after every step of
/// the first; it may end all by an error.
///
/// # Errors
/// If an environment fails, or does not fit the network.
pub(super) fn play(
    network: &Network<f32>,
    head: &Head,
    environments: &mut [Box<dyn Environment>],
    seeds: u64,
    epsilon: f64,
    watch: &mut dyn FnMut(&Moment) -> Result<()>,
) -> Result<Vec<Episode>> {
    let mut played = vec![Episode { sum: 0.0, length: 0 }; environments.len()];
    let mut rngs = Vec::with_capacity(environments.len());
    let mut seen = Vec::with_capacity(environments.len());
    for (environment, seed) in environments.iter_mut().zip(seeds..) {
        environment.reset(seed)?;
        // Not the dice of the environment.
        rngs.push(sample_rng(seed, 0, 1));
        seen.push(Seen::first(&**environment));
    }
    let mut going: Vec<usize> = (0..environments.len()).collect();
    while let Some(&first) = going.first() {
        let [channels, height, width] = seen_shape(&*environments[first]);
        let state = channels * height * width;
        let mut values = buffer::take(going.len() * state);
        let rows = values.chunks_mut(state);
        going.iter().zip(rows).for_each(|(&at, row)| seen[at].write(row));
        let states = Tensor::new(&[going.len(), channels, height, width], values)?;
        let estimates = estimates(network, network.parameters(), head, states, None)?;
        let best = estimates.best();
        let actions: Vec<usize> = going
            .iter()
            .zip(best)
            .map(|(&at, best)| match rngs[at].f64() < epsilon {
                true => rngs[at].usize(..head.actions),
                false => best,
            })
            .collect();
        // Some answer slowly: all are asked at once.
        let mut asked: Vec<_> = environments.iter_mut().enumerate().collect();
        asked.retain(|(at, _)| going.binary_search(at).is_ok());
        let steps: Vec<Step> = asked
            .par_iter_mut()
            .zip(&actions)
            .map(|((_, environment), &action)| environment.step(action))
            .collect::<Result<_>>()?;
        if first == 0 {
            let state = &seen[0].state(&*environments[0])?;
            let (environment, values) = (&*environments[0], estimates.of(0));
            let (action, before) = (actions[0], played[0]);
            watch(&Moment { environment, state, values, action, before })?;
        }
        let mut still = Vec::with_capacity(going.len());
        for (&at, step) in going.iter().zip(steps) {
            played[at].sum += f64::from(step.reward);
            played[at].length += 1;
            if !step.ended() {
                seen[at].next(&*environments[at]);
                still.push(at);
            }
        }
        going = still;
    }
    Ok(played)
}

/// Plays `count` episodes, as many side by side as there are environments, and calls `each` with how
/// many are done. Otherwise as [`play`].
///
/// # Errors
/// As [`play`]; those of `each`.
pub(super) fn play_all(
    network: &Network<f32>,
    head: &Head,
    environments: &mut [Box<dyn Environment>],
    count: usize,
    seeds: u64,
    epsilon: f64,
    mut each: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Episode>> {
    let mut episodes = Vec::with_capacity(count);
    while episodes.len() < count {
        let wave = environments.len().min(count - episodes.len());
        let seeds = seeds.wrapping_add(episodes.len() as u64);
        let wave = &mut environments[..wave];
        episodes.extend(play(network, head, wave, seeds, epsilon, &mut |_| Ok(()))?);
        each(episodes.len())?;
    }
    Ok(episodes)
}

/// An error unless a network sees just what an environment shows.
pub(super) fn check_fit(network: &Network<f32>, environment: &dyn Environment) -> Result<()> {
    let [channels, height, width] = seen_shape(environment);
    let (name, design) = (environment.name(), network.design());
    if design.channels != channels {
        let problem = format!(
            "{name} shows {channels} channels of {height}x{width}, and the network sees {}; a zoo is \
             of networks that saw the same kind of frames",
            design.channels
        );
        return Err(Error::config("task.environment", problem));
    }
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(Tensor::zeros(&[1, channels, height, width]));
    let output = network.forward(&mut pass, x).map_err(|error| {
        let problem = format!(
            "{name} shows {channels} channels of {height}x{width}, and {} takes none such: {error}",
            design.name()
        );
        Error::config("method.architecture", problem)
    })?;
    pass.value(output).map(drop)
}
