//! The table `[task]`: what is trained for.

use super::{Config, DataConfig};
use crate::train::task::{ClassificationConfig, LandmarksConfig, ReinforcementConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The task of a run, by the key `name`, with the task's own settings beside it.
///
/// A new task is a file in `train/task/` with its settings, a variant here, and a line in
/// [`Run::train`](crate::train::Run::train).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum TaskConfig {
    /// Labelled images are told apart.
    Classification(ClassificationConfig),
    /// Points are found in pictures.
    Landmarks(LandmarksConfig),
    /// An agent learns what actions are worth.
    Reinforcement(ReinforcementConfig),
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self::Classification(ClassificationConfig::default())
    }
}

impl TaskConfig {
    /// The names of all tasks.
    pub const NAMES: &[&str] = &["classification", "landmarks", "reinforcement"];

    /// The task's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classification(_) => "classification",
            Self::Landmarks(_) => "landmarks",
            Self::Reinforcement(_) => "reinforcement",
        }
    }

    /// What the noise of the head's weights begins with, if they are noisy.
    pub(in crate::train) fn noise(&self) -> Option<f64> {
        match self {
            Self::Reinforcement(settings) => Some(settings.noisy).filter(|noise| *noise > 0.0),
            Self::Classification(_) | Self::Landmarks(_) => None,
        }
    }

    /// What it is measured on.
    pub fn samples(&self) -> &'static str {
        match self {
            Self::Reinforcement(_) => "episodes",
            Self::Classification(_) | Self::Landmarks(_) => "samples",
        }
    }

    /// An error unless every value has a meaning, and `data` is what the task needs.
    pub(super) fn check(&self, data: &DataConfig) -> Result<()> {
        match self {
            Self::Classification(settings) => {
                data.check_path()?;
                settings.check()
            }
            Self::Landmarks(settings) => {
                data.check_path()?;
                settings.check()
            }
            Self::Reinforcement(settings) => settings.check(),
        }
    }

    /// An error if a key of `[data]` has no effect on the task.
    pub(super) fn check_effect(&self, key: &str) -> Result<()> {
        const OF_CLASSES: [&str; 8] = [
            "resize",
            "resize_mode",
            "augmentation",
            "auto_augment",
            "augment_operations",
            "augment_magnitude",
            "erasing",
            "sampler",
        ];
        if let Self::Reinforcement(_) = self {
            let problem = "has no effect on an agent, which sees its environment as it is";
            return Err(Error::config(Config::flag(&format!("data.{key}")), problem));
        }
        if matches!(self, Self::Landmarks(_)) && OF_CLASSES.contains(&key) {
            let problem = "has no effect on landmarks: what they are shown is said in [task]";
            return Err(Error::config(Config::flag(&format!("data.{key}")), problem));
        }
        Ok(())
    }

    /// The settings of classification.
    ///
    /// # Errors
    /// If the task is another; `what` needs classes.
    pub fn classification(&self, what: &'static str) -> Result<&ClassificationConfig> {
        match self {
            Self::Classification(settings) => Ok(settings),
            other => {
                let problem =
                    format!("{what} needs the task classification, found {}", other.name());
                Err(Error::config("task.name", problem))
            }
        }
    }
}
