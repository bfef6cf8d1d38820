//! The file that a run goes on from: the network, the optimizer, and where it stopped.
//!
//! It holds tensors and texts only: the network's tensors by their names, the optimizer's
//! moments as `optimizer.NAME.0` (and `.1`), and texts whose keys begin with `run.`.

use crate::Result;
use crate::tensor::State;
use crate::zoo::Checkpoint;
use std::collections::BTreeMap;

/// What the names of the optimizer's tensors begin with.
const OPTIMIZER: &str = "optimizer.";

/// What the keys of a run's texts begin with.
const RUN: &str = "run.";

/// The network's tensors and texts, without the run's.
pub(super) fn network_part(
    checkpoint: &Checkpoint,
) -> Result<(State<f32>, BTreeMap<String, String>)> {
    let mut state = State::mapped(checkpoint)?;
    state.tensors.retain(|name, _| !name.starts_with(OPTIMIZER));
    let mut metadata = checkpoint.metadata().clone();
    metadata.retain(|key, _| !key.starts_with(RUN));
    Ok((state, metadata))
}
