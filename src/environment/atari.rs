//! Atari games: the emulator of `ale-py` in a worker, and all that the field does with its frames.

use super::area::Area;
use super::native::{no_action, no_episode};
use super::worker::{About, Worker};
use super::{Environment, Settings, Step, picture};
use crate::dataset::{Image, sample_rng};
use crate::{Error, Result};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// The sides of a frame (Mnih et al., 2015).
const HEIGHT: usize = 84;
const WIDTH: usize = 84;

/// Emulated frames after which an episode is cut (Machado et al., 2018).
const LONGEST: u64 = 108_000;

/// A game of the Arcade Learning Environment, as `AtariPreprocessing` of Gymnasium shows it: the
/// brighter of the last two emulated frames, shrunk to 84x84 grey pixels. Rewards are never clipped, and
/// the emulator goes on when a life is lost.
///
/// Whatever is random is drawn here, the sticky actions for each emulated frame too, so that the
/// emulator is a machine whose state can be saved.
pub(super) struct Atari {
    name: String,
    settings: Settings,
    actions: Vec<String>,
    worker: RefCell<Worker>,
    area: Area,
    /// What the worker shows, in the size of the emulator.
    screen: Vec<u8>,
    frame: Vec<u8>,
    state: State,
    rng: Rng,
}

/// Where an episode stands, but for the emulator.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    /// What a sticky frame repeats.
    action: u16,
    lives: u32,
    steps: u64,
    over: bool,
}

/// The head of what is saved; behind it is that of the emulator.
#[derive(Serialize, Deserialize)]
struct Saved {
    name: String,
    rng: u64,
    state: State,
}

impl Atari {
    /// Starts a worker with a game, by the emulator's name or Gymnasium's: `up_n_down`, `UpNDown`.
    pub(super) fn open(game: &str, settings: &Settings) -> Result<Self> {
        let set = if settings.all_actions { "full" } else { "minimal" };
        let (worker, about) = Worker::start(&["atari", game, set], settings)?;
        let About { frame: [_, height, width], actions, .. } = about;
        if height < HEIGHT || width < WIDTH || height.max(width) > 1000 {
            let problem = format!("the screen of {game} has {height}x{width} pixels");
            return Err(Error::argument("atari", problem));
        }
        Ok(Self {
            name: format!("atari:{game}"),
            settings: settings.clone(),
            actions,
            worker: RefCell::new(worker),
            area: Area::new([height, width], [HEIGHT, WIDTH]),
            screen: vec![0; height * width],
            frame: vec![0; HEIGHT * WIDTH],
            state: State { action: 0, lives: 0, steps: 0, over: true },
            rng: Rng::with_seed(0),
        })
    }
}

impl Environment for Atari {
    fn name(&self) -> &str {
        &self.name
    }

    fn frame(&self) -> [usize; 3] {
        [1, HEIGHT, WIDTH]
    }

    fn stack(&self) -> usize {
        4
    }

    fn actions(&self) -> &[String] {
        &self.actions
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.rng = sample_rng(seed, 0, 0);
        // Doing nothing for some frames is the only way in which episodes begin differently.
        let waits = match self.settings.no_ops {
            0 => 0,
            most => self.rng.u64(1..=most),
        };
        let lives = self.worker.get_mut().reset(waits, &mut self.screen)?;
        self.state = State { action: 0, lives, steps: 0, over: false };
        self.area.shrink(&self.screen, &mut self.frame);
        Ok(())
    }

    fn step(&mut self, action: usize) -> Result<Step> {
        if self.state.over {
            return Err(no_episode(&self.name));
        }
        if action >= self.actions.len() {
            return Err(no_action(&self.name, action, self.actions.len()));
        }
        let Self { settings, state, rng, .. } = self;
        let frames: Vec<u16> = (0..settings.frame_skip)
            .map(|_| {
                if settings.sticky == 0.0 || rng.f64() >= settings.sticky {
                    state.action = action as u16;
                }
                state.action
            })
            .collect();
        let stepped = self.worker.get_mut().step(&frames, &mut self.screen)?;
        self.area.shrink(&self.screen, &mut self.frame);
        let Self { settings, state, .. } = self;
        let life_lost = stepped.lives < state.lives || stepped.terminated;
        (state.lives, state.steps) = (stepped.lives, state.steps.saturating_add(1));
        let longest = settings.longest.unwrap_or(LONGEST / settings.frame_skip as u64);
        let truncated = !stepped.terminated && state.steps >= longest;
        state.over = stepped.terminated || truncated;
        Ok(Step { reward: stepped.reward, terminated: stepped.terminated, truncated, life_lost })
    }

    fn observe(&self, into: &mut [u8]) {
        into.copy_from_slice(&self.frame);
    }

    fn save(&self) -> Result<Vec<u8>> {
        let head =
            Saved { name: self.name.clone(), rng: self.rng.get_seed(), state: self.state.clone() };
        let mut saved = serde_json::to_vec(&head)
            .map_err(|error| Error::argument("save", error.to_string()))?;
        saved.push(b'\n');
        saved.extend(self.worker.borrow_mut().clone_state()?);
        Ok(saved)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let no_state = |problem: String| {
            Error::argument("restore", format!("this is no state of {}: {problem}", self.name))
        };
        let end = state.iter().position(|byte| *byte == b'\n').unwrap_or(state.len());
        let head: Saved =
            serde_json::from_slice(&state[..end]).map_err(|error| no_state(error.to_string()))?;
        if head.name != self.name {
            return Err(no_state(format!("it is one of {}", head.name)));
        }
        let emulator = state.get(end + 1..).unwrap_or_default();
        self.worker.get_mut().load(emulator, &mut self.screen)?;
        (self.rng, self.state) = (Rng::with_seed(head.rng), head.state);
        self.area.shrink(&self.screen, &mut self.frame);
        Ok(())
    }

    fn render(&self) -> Result<Image> {
        let mut worker = self.worker.borrow_mut();
        let (size, pixels) = worker.picture()?;
        picture::of_pixels(size, pixels)
    }
}
