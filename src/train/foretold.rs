//! What is said of the sources of a run before any tuning.

use super::Config;
use super::config::TaskConfig;
use super::sources::Sources;
use super::task::Task;
use crate::start::Transferability;
use crate::{Error, Result};

/// The scores of each source of `config` on the images that the run trains on.
///
/// # Errors
/// If sources or images cannot be read, or a feature is not finite.
pub fn transferability(config: &Config) -> Result<Vec<Transferability>> {
    let sources = Sources::open(config)?;
    let input = config.data.input(sources.input.clone())?;
    let TaskConfig::Classification(settings) = &config.task;
    let opened = settings.open(config, &input)?;
    let design = sources.design.with_outputs(opened.outputs);
    let none = || Error::config("data.path", "there are no labelled samples to score sources on");
    let probe = opened.task.probe().ok_or_else(none)?;
    let of = |source| Transferability::of(&design, source, probe.labelled());
    sources.states.iter().map(of).collect()
}
