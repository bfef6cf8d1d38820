//! What keeps a network near where it began: penalties of the field that a run may add to the loss.
//!
//! Both measure from the network before its first step, which a run writes down for that, so that it
//! can go on later as if it had never stopped.

mod delta;
mod l2_sp;

use super::{Config, Model, Penalty};
use crate::start::Probe;
use crate::{Error, Result};
use delta::Delta;
use l2_sp::L2Sp;
use std::path::Path;

/// The penalties that `config` asks for; `start` is the file of the network before its first step.
///
/// # Errors
/// If that cannot be read, or a sample by which channels are weighed cannot.
pub(super) fn penalties(
    config: &Config,
    start: &Path,
    probe: Option<&dyn Probe>,
) -> Result<Vec<Box<dyn Penalty>>> {
    let method = &config.method;
    let mut penalties: Vec<Box<dyn Penalty>> = vec![];
    if let Some(strength) = method.l2_sp {
        penalties.push(Box::new(L2Sp::new(strength, &Model::open(start, None)?.network)));
    }
    if let Some(strength) = method.delta {
        let problem = "weighs channels on labelled samples, and the task has none; turn it off";
        let none = || Error::config("method.delta_attention", problem);
        let labelled = method.delta_attention.then(|| probe.ok_or_else(none)).transpose()?;
        let start = Model::open(start, None)?.network;
        penalties.push(Box::new(Delta::new(strength, start, labelled.map(Probe::labelled))?));
    }
    Ok(penalties)
}
