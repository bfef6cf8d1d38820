//! The table `[task]`: what is trained for.

use super::DataConfig;
use crate::Result;
use crate::train::task::ClassificationConfig;
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
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self::Classification(ClassificationConfig::default())
    }
}

impl TaskConfig {
    /// The names of all tasks.
    pub const NAMES: &[&str] = &["classification"];

    /// An error unless every value has a meaning, and `data` is what the task needs.
    pub(super) fn check(&self, data: &DataConfig) -> Result<()> {
        match self {
            Self::Classification(settings) => {
                data.check_path()?;
                settings.check()
            }
        }
    }
}
