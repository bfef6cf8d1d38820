//! Environments of Gymnasium, in a worker.

use super::native::{no_action, no_episode};
use super::worker::{About, Worker};
use super::{Environment, Settings, Step, picture};
use crate::dataset::{Image, sample_rng};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Steps after which an episode is cut that Gymnasium does not cut: some of its environments never end. As
/// many as Atari has frames.
const LONGEST: u64 = 108_000;

/// An environment of Gymnasium with discrete actions, and pictures or vectors to see.
///
/// There is no way to save any of them, but for the one that all have: an episode is its seed and the
/// actions that were taken. Going back to it takes them again.
pub(super) struct Gym {
    name: String,
    longest: u64,
    about: About,
    worker: RefCell<Worker>,
    frame: Vec<u8>,
    lives: u32,
    episode: Episode,
}

/// An episode as it can be done again.
#[derive(Clone, Serialize, Deserialize)]
struct Episode {
    name: String,
    seed: u64,
    actions: Vec<u16>,
    over: bool,
    /// Of the last frame: whether an episode came out as it was.
    sum: u64,
}

impl Gym {
    /// Starts a worker with an environment, by its ID.
    pub(super) fn open(id: &str, settings: &Settings) -> Result<Self> {
        let (worker, about) = Worker::start(&["gym", id], settings)?;
        let values = about.frame.iter().try_fold(1usize, |values, side| values.checked_mul(*side));
        let Some(values) = values.filter(|values| (1..1 << 28).contains(values)) else {
            return Err(Error::argument("gym", format!("{id} has frames of {:?}", about.frame)));
        };
        let name = format!("gym:{id}");
        Ok(Self {
            name: name.clone(),
            longest: settings.longest.unwrap_or(LONGEST),
            about,
            worker: RefCell::new(worker),
            frame: vec![0; values],
            lives: 0,
            episode: Episode { name, seed: 0, actions: vec![], over: true, sum: 0 },
        })
    }
}

/// The sum of FNV-1a (Fowler, Noll and Vo).
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Environment for Gym {
    fn name(&self) -> &str {
        &self.name
    }

    fn frame(&self) -> [usize; 3] {
        self.about.frame
    }

    fn stack(&self) -> usize {
        self.about.stack
    }

    fn actions(&self) -> &[String] {
        &self.about.actions
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        // Gymnasium takes 32 bits: all of these have a part in them.
        let drawn = sample_rng(seed, 0, 0).u64(..);
        self.lives = self.worker.get_mut().reset(drawn, &mut self.frame)?;
        (self.episode.seed, self.episode.over) = (seed, false);
        self.episode.actions.clear();
        Ok(())
    }

    fn step(&mut self, action: usize) -> Result<Step> {
        if self.episode.over {
            return Err(no_episode(&self.name));
        }
        let count = self.about.actions.len();
        let taken = u16::try_from(action).ok().filter(|_| action < count);
        let taken = taken.ok_or_else(|| no_action(&self.name, action, count))?;
        let stepped = self.worker.get_mut().step(&[taken], &mut self.frame)?;
        let life_lost = stepped.lives < self.lives || stepped.terminated;
        self.lives = stepped.lives;
        self.episode.actions.push(taken);
        let cut = self.episode.actions.len() as u64 >= self.longest;
        let truncated = !stepped.terminated && (stepped.truncated || cut);
        self.episode.over = stepped.terminated || truncated;
        Ok(Step { reward: stepped.reward, terminated: stepped.terminated, truncated, life_lost })
    }

    fn observe(&self, into: &mut [u8]) {
        into.copy_from_slice(&self.frame);
    }

    fn save(&self) -> Result<Vec<u8>> {
        let episode = Episode { sum: sum(&self.frame), ..self.episode.clone() };
        serde_json::to_vec(&episode).map_err(|error| Error::argument("save", error.to_string()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let no_state = |problem: String| {
            Error::argument("restore", format!("this is no state of {}: {problem}", self.name))
        };
        let episode: Episode =
            serde_json::from_slice(state).map_err(|error| no_state(error.to_string()))?;
        if episode.name != self.name {
            return Err(no_state(format!("it is one of {}", episode.name)));
        }
        if episode.over && episode.actions.is_empty() {
            self.episode = episode;
            return Ok(());
        }
        self.reset(episode.seed)?;
        for action in &episode.actions {
            self.step(usize::from(*action))?;
        }
        if sum(&self.frame) != episode.sum {
            return Err(Error::Impossible {
                request: "go back to a saved state",
                reason: format!("{} does not do the same again by the same seed", self.name),
                hint: "begin a new episode, or a new run",
            });
        }
        Ok(())
    }

    fn render(&self) -> Result<Image> {
        let mut worker = self.worker.borrow_mut();
        let (size, pixels) = worker.picture()?;
        picture::of_pixels(size, pixels)
    }
}
