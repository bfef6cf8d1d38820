//! What agents act in.
//!
//! An [`Environment`] is one game: it begins with a seed, takes an action a step, and shows a frame
//! of bytes. [`open`] makes one by its name:
//!
//! | name | what it is |
//! |---|---|
//! | `bricks`, and what else [`games`] lists | one of the native games: a board of 10x10 cells, see [`board`] |
//! | `bricks:pixels` | the same, as one grey picture of 84x84 pixels, of which an agent needs four |
//! | `atari:UpNDown` | a game of the Arcade Learning Environment, as grey pictures of 84x84 pixels |
//! | `gym:MinAtar/Breakout-v1` | an environment of Gymnasium, by its ID |
//!
//! The last two run in a process of Python, which has `ale-py` and `numpy`, or `gymnasium`.
//!
//! Everything random follows from the seed of an episode, and the whole state can be saved: what is
//! restored in another process goes on to the same bits.

mod area;
mod atari;
pub mod board;
mod games;
mod gym;
mod native;
mod picture;
mod pixels;
mod settings;
mod worker;

pub use native::{Native, games};
pub use settings::Settings;

use crate::dataset::Image;
use crate::{Error, Result};

/// What an agent acts in.
pub trait Environment: Send {
    /// Its name, as a command names it: `bricks`, `bricks:pixels`, `atari:Alien`,
    /// `gym:MinAtar/Breakout-v1`.
    fn name(&self) -> &str;

    /// The shape `[C, H, W]` of one frame, in bytes. A network sees them divided by 255; putting
    /// several frames together is the agent's work.
    fn frame(&self) -> [usize; 3];

    /// How many of the last frames an agent needs to see: 1 of a board, 4 of pictures.
    fn stack(&self) -> usize;

    /// What each action is called.
    fn actions(&self) -> &[String];

    /// Begins an episode. Everything random in it follows from `seed`, and nothing of an earlier
    /// episode remains.
    ///
    /// # Errors
    /// If a worker of the environment fails.
    fn reset(&mut self, seed: u64) -> Result<()>;

    /// Takes an action.
    ///
    /// # Errors
    /// If there is no such action, if the episode is over (or none has begun), or if a worker of
    /// the environment fails.
    fn step(&mut self, action: usize) -> Result<Step>;

    /// Writes the present frame to `into`.
    ///
    /// # Panics
    /// If `into` does not hold as many values as [`frame`](Self::frame) says.
    fn observe(&self, into: &mut [u8]);

    /// The whole state, so that [`restore`](Self::restore) in another process goes on to the same
    /// bits.
    ///
    /// # Errors
    /// If a worker of the environment fails.
    fn save(&self) -> Result<Vec<u8>>;

    /// Goes back to a state that was saved by an environment of the same name and settings.
    ///
    /// # Errors
    /// If the bytes are no state of it, or if a worker of the environment fails.
    fn restore(&mut self, state: &[u8]) -> Result<()>;

    /// A picture for people: red, green and blue, `[3, H, W]`.
    ///
    /// # Errors
    /// If a worker of the environment fails.
    fn render(&self) -> Result<Image>;
}

/// What came of an action.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The reward as the game has it, never clipped.
    pub reward: f32,
    /// The game is over: nothing can follow this state.
    pub terminated: bool,
    /// The episode was cut, by its length: much could follow this state.
    pub truncated: bool,
    /// A life was lost, the last one too. The game goes on unless it is over as well.
    pub life_lost: bool,
}

impl Step {
    /// Whether `reset` has to follow.
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Opens an environment by its name. No episode has begun: [`reset`](Environment::reset) comes next.
///
/// # Errors
/// If there is no such environment, the message lists what there is; if a setting has no meaning; if
/// Python or one of its packages is missing.
pub fn open(name: &str, settings: &Settings) -> Result<Box<dyn Environment>> {
    settings.check()?;
    if let Some(game) = name.strip_prefix("atari:") {
        return Ok(Box::new(atari::Atari::open(game, settings)?));
    }
    if let Some(id) = name.strip_prefix("gym:") {
        return Ok(Box::new(gym::Gym::open(id, settings)?));
    }
    let (game, as_pixels) = match name.strip_suffix(":pixels") {
        Some(game) => (game, true),
        None => (name, false),
    };
    let Some(native) = games().iter().find(|native| native.name == game) else {
        return Err(unknown(name));
    };
    let board = native.open(settings);
    Ok(if as_pixels { Box::new(pixels::Pixels::new(board)) } else { board })
}

fn unknown(name: &str) -> Error {
    let games: Vec<&str> = games().iter().map(|native| native.name).collect();
    let problem = format!(
        "there is no {name:?}; there are {}, each also as NAME:pixels, and with Python atari:GAME and \
         gym:ID",
        games.join(", ")
    );
    Error::config("environment", problem)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod worker_tests;
