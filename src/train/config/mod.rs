//! What a run is to do, as a file says it: `config.toml`.
//!
//! | table | in | holds |
//! |---|---|---|
//! | | here | the seed, the threads |
//! | `[method]` | `method` | the sources, and what becomes of them |
//! | `[optimizer]` | `optimizer` | how the network is trained, and for how long |
//! | `[data]` | `data` | the samples, and how the network sees them |
//! | `[task]` | `task` | what is trained for |
//! | `[record]` | `record` | what is written down, and how often |
//!
//! A configuration is made of [layers](Config::layered), each over the one before: the defaults, a
//! file, flags. In all of them the keys have the same names; a preset of a layer lies right under
//! it. `docs/configuration.md` describes every key.

mod data;
mod layers;
mod method;
mod optimizer;
mod record;
mod task;

pub use data::DataConfig;
pub use method::MethodConfig;
pub use optimizer::OptimizerConfig;
pub use record::RecordConfig;
pub use task::TaskConfig;

use crate::optim::Groups;
use crate::train::task::{LandmarksConfig, ReinforcementConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::Path;
use toml::Table;

/// More steps than any run can take.
pub(in crate::train) const MOST_STEPS: u64 = 1 << 40;

/// Everything that decides what a run computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md describes each key")]
pub struct Config {
    pub seed: u64,
    pub threads: Option<u16>,
    pub method: MethodConfig,
    pub optimizer: OptimizerConfig,
    pub data: DataConfig,
    pub task: TaskConfig,
    pub record: RecordConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            threads: None,
            method: MethodConfig::default(),
            optimizer: OptimizerConfig::default(),
            data: DataConfig::default(),
            task: TaskConfig::default(),
            record: RecordConfig::default(),
        }
    }
}

impl Config {
    /// The names of the tables.
    pub const TABLES: [&str; 5] = ["method", "optimizer", "data", "task", "record"];

    /// All keys, such as `seed` and `method.form`, those of all tasks among them.
    pub fn keys() -> Vec<String> {
        let mut keys = Self::default().own_keys();
        for task in [
            TaskConfig::Landmarks(LandmarksConfig::default()),
            TaskConfig::Reinforcement(ReinforcementConfig::default()),
        ] {
            let own = Self { task, ..Self::default() }.own_keys();
            keys.extend(
                own.into_iter().filter(|key| key.starts_with("task.") && key != "task.name"),
            );
        }
        keys
    }

    /// All keys that a configuration of this task has.
    fn own_keys(&self) -> Vec<String> {
        // As JSON, where nothing is left out: TOML has no null.
        let Ok(serde_json::Value::Object(map)) = serde_json::to_value(self) else { return vec![] };
        let mut keys = Vec::new();
        for (key, value) in map {
            match value {
                serde_json::Value::Object(table) => {
                    keys.extend(table.into_iter().map(|(name, _)| format!("{key}.{name}")));
                }
                _ => keys.push(key),
            }
        }
        keys
    }

    /// The option of the command line that sets a key: `--learning-rate` for
    /// `optimizer.learning_rate`.
    pub fn flag(key: &str) -> String {
        let name = match key {
            "optimizer.rule" => "optimizer",
            "data.path" => "data",
            "task.name" => "task",
            _ => key.rsplit('.').next().unwrap_or(key),
        };
        format!("--{}", name.replace('_', "-"))
    }

    /// Reads the file at `path` and puts `flags` over it.
    ///
    /// # Errors
    /// If the file cannot be read or is no TOML; if a key is unknown or its value unusable.
    pub fn read(path: Option<&Path>, flags: Table) -> Result<Self> {
        let (mut file, mut origin) = (Table::new(), String::new());
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
            file = text
                .parse()
                .map_err(|error: toml::de::Error| Error::format(path, error.to_string().trim()))?;
            origin = path.display().to_string();
        }
        Self::layered(&origin, file, flags)
    }

    /// As the text of a file that [`Config::read`] reads.
    ///
    /// # Errors
    /// If a number is too large for TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::config("config.toml", error.to_string()))
    }

    /// The settings of each parameter group. Where the network is kept near where it began, that
    /// takes the place of the backbone's weight decay, unless it has one of its own.
    pub fn groups(&self) -> Groups {
        let mut groups = self.optimizer.groups();
        if self.method.stays_near() && self.optimizer.backbone_decay.is_none() {
            groups.backbone.decay = 0.0;
        }
        groups
    }

    /// Checks all values that have a meaning of their own.
    ///
    /// # Errors
    /// If one of them has not.
    pub fn check(&self) -> Result<()> {
        within("seed", self.seed, 0, i64::MAX as u64)?;
        within("threads", self.threads.unwrap_or(1), 1, 1024)?;
        self.method.check()?;
        self.optimizer.check(&self.data)?;
        self.data.check()?;
        self.task.check(&self.data)?;
        self.record.check(&self.data)
    }
}

/// An error unless the value of a key lies from `low` to `high`.
pub(super) fn within<V: PartialOrd + Display>(key: &str, value: V, low: V, high: V) -> Result<()> {
    if (&low..=&high).contains(&&value) {
        return Ok(());
    }
    Err(Error::config(key, format!("{value} should be a number from {low} to {high}")))
}

/// An error unless the value of a key is 1 or more.
fn one_or_more(key: &str, value: u64) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::config(key, "0 should be 1 or more")) }
}
