//! What can be chosen about an environment.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What can be chosen about an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often the last action is taken again instead of the one that was asked for, 0 to 1
    /// (Machado et al., 2018). The field takes 0.1 for small boards; for Atari, where it is asked for
    /// every emulated frame, 0.25 or 0. Environments of Gymnasium have their own.
    pub sticky: f64,
    /// Whether a native game becomes harder while it goes on.
    pub ramp: bool,
    /// Steps after which an episode is cut; `None` is what the game has: 1 000 for native ones,
    /// 108 000 emulated frames for Atari, what Gymnasium says for its own, and at most 108 000 steps.
    pub longest: Option<u64>,
    /// Atari: emulated frames of a step, of which the last two are seen.
    pub frame_skip: usize,
    /// Atari: an episode begins with 1 to this many frames of doing nothing, drawn by its seed.
    pub no_ops: u64,
    /// Atari: whether all 18 actions can be chosen, or those alone that the game knows.
    pub all_actions: bool,
    /// The interpreter of Python for Atari and Gymnasium; `None` is the environment variable
    /// `ZOO_PYTHON`, or else `python3`.
    pub python: Option<PathBuf>,
    /// Seconds after which a worker that does not answer is given up.
    pub patience: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sticky: 0.1,
            ramp: true,
            longest: None,
            frame_skip: 4,
            no_ops: 30,
            all_actions: false,
            python: None,
            patience: 20.0,
        }
    }
}

impl Settings {
    /// An error unless every value has a meaning.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |key: &str, problem: String| Err(Error::config(key, problem));
        if !(0.0..=1.0).contains(&self.sticky) {
            return wrong("sticky", format!("is a share from 0 to 1, not {}", self.sticky));
        }
        if self.longest == Some(0) {
            return wrong("longest", "an episode has at least one step".to_owned());
        }
        if !(1..=1000).contains(&self.frame_skip) {
            let problem = format!("a step has 1 to 1000 frames, not {}", self.frame_skip);
            return wrong("frame_skip", problem);
        }
        if self.no_ops > 10_000 {
            return wrong("no_ops", format!("there are 0 to 10000, not {}", self.no_ops));
        }
        if !(0.001..=1e6).contains(&self.patience) {
            let problem = format!("is 0.001 to 1000000 seconds, not {}", self.patience);
            return wrong("patience", problem);
        }
        Ok(())
    }

    /// The interpreter of Python.
    pub(super) fn interpreter(&self) -> PathBuf {
        let named = || std::env::var_os("ZOO_PYTHON").filter(|name| !name.is_empty());
        self.python.clone().or_else(|| named().map(PathBuf::from)).unwrap_or("python3".into())
    }
}
