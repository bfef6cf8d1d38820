//! The table `[record]`: what is written down, and how often.

use super::{DataConfig, one_or_more};
use crate::train::choice::Keep;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a run writes down, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md describes each key")]
pub struct RecordConfig {
    pub log_every: u64,
    /// In steps; 0 is once an epoch.
    pub validate_every: u64,
    pub checkpoint_every: u64,
    pub tensorboard: bool,
    pub keep: Keep,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self {
            log_every: 1,
            validate_every: 0,
            checkpoint_every: 100,
            tensorboard: false,
            keep: Keep::Both,
        }
    }
}

impl RecordConfig {
    /// An error unless every value has a meaning.
    pub(super) fn check(&self, data: &DataConfig) -> Result<()> {
        if self.keep == Keep::Best && !data.has_validation() {
            let problem = "best of what? There are no validation samples";
            return Err(Error::config("record.keep", problem));
        }
        one_or_more("record.log_every", self.log_every)?;
        one_or_more("record.checkpoint_every", self.checkpoint_every)
    }
}
