//! The file that a run goes on from: the network, the optimizer, and where it stopped.
//!
//! It holds tensors and texts only: the network's tensors by their names, the optimizer's
//! moments as `optimizer.NAME.velocity` and the like, the average of its parameters, where one is
//! kept, as `average.NAME`, what the task has to keep as `task.NAME`, and texts whose keys begin with
//! `run.`. Opened as a network, it is the average, where there is one. There is no state of a random generator to keep: a batch
//! follows from the seed and its step.

use super::RoutingPromise;
use super::task::Scores;
use super::{Meter, Model, Trainer};
use crate::export::write_safetensors;
use crate::optim::{Optimizer, WeightAverage};
use crate::tensor::{Device, State, Tensor};
use crate::zoo::Checkpoint;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the names of the optimizer's tensors begin with.
const OPTIMIZER: &str = "optimizer.";

/// What the names of the averages begin with.
const AVERAGE: &str = "average.";

/// What the names of the task's tensors begin with.
const TASK: &str = "task.";

/// What the keys of a run's texts begin with.
const RUN: &str = "run.";

/// The text that holds a run's [`Progress`], as JSON.
const PROGRESS: &str = "run.progress";

/// Where a run stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    /// Length of `metrics.jsonl` at that step, in bytes.
    pub metrics_bytes: u64,
    /// Length of `gates.jsonl` likewise.
    #[serde(default)]
    pub gates_bytes: u64,
    /// Losses since the last line of `metrics.jsonl`.
    pub meter: Meter,
    /// Norms of gradients since then, where they are clipped.
    pub gradient_norm: Meter,
    /// Samples that the run trains on.
    pub samples: usize,
    /// What the sources scored at the start.
    pub scores: Vec<f64>,
    /// What a router promised at the start, if one was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingPromise>,
    /// The loss of the last line of `metrics.jsonl`.
    pub loss: Option<f64>,
    /// What was measured last.
    pub validation: Option<Scores>,
    /// The best that was measured.
    #[serde(default)]
    pub best: Option<Best>,
    /// Measurements since then.
    #[serde(default)]
    pub waited: u64,
    /// Seconds of training, where they are limited: nothing else may depend on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// When the network was best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done then.
    pub step: u64,
    /// How good it was on the validation samples.
    pub validation: Scores,
    /// How good it was on the test samples, if there are some; known at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Scores>,
}

/// What [`load`] reads.
pub struct Saved {
    /// The network after its last step.
    pub model: Model,
    /// The optimizer, with its moments.
    pub optimizer: Optimizer<f32>,
    /// The average of the network's parameters, if one is kept.
    pub average: Option<State<f32>>,
    /// What the task has kept.
    pub task: State<f32>,
    /// Where the run stopped.
    pub progress: Progress,
}

/// Writes the file at `path`, whole or not at all.
///
/// # Errors
/// If a value is not finite, so that nothing could go on from there, or the file cannot be
/// written. The file that was there before is untouched then.
pub fn save(
    path: impl AsRef<Path>,
    model: &Model,
    trainer: &Trainer,
    task: &State<f32>,
    progress: &Progress,
) -> Result<()> {
    let parameters = model.network.parameters();
    let network = parameters.state("the network");
    let moments = trainer.optimizer.state(parameters);
    let average = trainer.average.as_ref().map(WeightAverage::state);
    let below = |prefix, state: &State<f32>| -> Vec<(String, Tensor<f32>)> {
        let tensors = state.tensors.iter();
        tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect()
    };
    let mut others = [below(OPTIMIZER, &moments), below(TASK, task)].concat();
    others.extend(average.iter().flat_map(|average| below(AVERAGE, average)));
    let mut tensors: Vec<_> = network.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    tensors.extend(others.iter().map(|(name, t)| (name.as_str(), t)));
    for (name, tensor) in &tensors {
        if !tensor.to(&Device::Cpu)?.is_finite() {
            let layer = format!("{name} (update)");
            return Err(Error::NotFinite { step: progress.step, batch: vec![], layer });
        }
    }
    let mut metadata = model.metadata();
    let text = serde_json::to_string(progress)
        .map_err(|error| Error::config(PROGRESS, error.to_string()))?;
    metadata.insert(PROGRESS.to_owned(), text);
    let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.into()));
    write_safetensors(path, tensors, &metadata)
}

/// Reads what [`save`] wrote; `optimizer`, a new one, takes up its moments.
///
/// # Errors
/// If the file cannot be read, or holds something else.
pub fn load(path: impl AsRef<Path>, mut optimizer: Optimizer<f32>) -> Result<Saved> {
    let checkpoint = Checkpoint::open(path)?;
    let progress = checkpoint.metadata().get(PROGRESS).map(|text| serde_json::from_str(text));
    let progress: Progress = match progress {
        Some(Ok(progress)) => progress,
        Some(Err(error)) => {
            return Err(Error::format_of(checkpoint.path(), PROGRESS, error.to_string()));
        }
        None => {
            let problem = "this is no checkpoint of a run: it does not say where it stopped";
            return Err(Error::format(checkpoint.path(), problem));
        }
    };
    let mut model = Model::open(checkpoint.path(), None)?;
    let state = State::<f32>::mapped(&checkpoint)?;
    model.network.parameters_mut().load(&without_run(state.clone()))?;
    let average = Some(state.below(AVERAGE)).filter(|average| !average.tensors.is_empty());
    optimizer.load(model.network.parameters(), &state.below(OPTIMIZER), progress.step)?;
    Ok(Saved { model, optimizer, average, task: state.below(TASK), progress })
}

/// The same file with the averages of a run, if it kept some, under the network's names.
///
/// # Errors
/// If it cannot be read again under them.
pub fn averaged(checkpoint: Checkpoint) -> Result<Checkpoint> {
    let averages: BTreeSet<String> = match checkpoint.metadata().contains_key(PROGRESS) {
        true => checkpoint.names().filter_map(|name| name.strip_prefix(AVERAGE)).map(str::to_owned),
        false => return Ok(checkpoint),
    }
    .collect();
    checkpoint.map_names(|name| match name.strip_prefix(AVERAGE) {
        Some(name) => Some(name.to_owned()),
        None => Some(name).filter(|name| !averages.contains(*name)).map(str::to_owned),
    })
}

/// The network's tensors and texts, without the run's.
pub(super) fn network_part(
    checkpoint: &Checkpoint,
) -> Result<(State<f32>, BTreeMap<String, String>)> {
    let state = without_run(State::mapped(checkpoint)?);
    let mut metadata = checkpoint.declared();
    metadata.retain(|key, _| !key.starts_with(RUN));
    Ok((state, metadata))
}

/// A checkpoint's tensors without those of the optimizer, the average and the task.
fn without_run(mut state: State<f32>) -> State<f32> {
    let of_run = |name: &str| [OPTIMIZER, AVERAGE, TASK].iter().any(|own| name.starts_with(own));
    state.tensors.retain(|name, _| !of_run(name));
    state
}
