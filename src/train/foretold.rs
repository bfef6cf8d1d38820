//! What is said of the sources of a run before any tuning.

use super::Config;
use super::sources::Sources;
use super::task::Task;
use crate::dataset::Dataset;
use crate::start::Transferability;
use crate::{Error, Result};
use std::sync::Arc;

/// The scores of each source of `config` on the images that the run trains on: of those at its path,
/// or of those that are `given`.
///
/// # Errors
/// If sources or images cannot be read, or a feature is not finite.
pub fn transferability(
    config: &Config,
    given: Option<Arc<dyn Dataset>>,
) -> Result<Vec<Transferability>> {
    let sources = Sources::open(config)?;
    let input = config.data.input(sources.input.clone())?;
    let settings = config.task.classification("scoring by classes")?;
    let opened = settings.open(config, &input, &given, None)?;
    let design = sources.design.with_outputs(opened.outputs);
    let none = || Error::config("data.path", "there are no labelled samples to score sources on");
    let probe = opened.task.probe().ok_or_else(none)?;
    let of = |source| Transferability::of(&design, source, probe.labelled());
    sources.states.iter().map(of).collect()
}
