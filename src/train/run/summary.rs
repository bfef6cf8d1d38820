//! What came out of a run: the file `summary.json`.

use super::super::checkpoint::Best;
use super::super::sources::RoutingPromise;
use super::super::task::Scores;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What came out of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Version of the program.
    pub version: String,
    /// What became of the sources.
    pub form: String,
    /// Name of the architecture.
    pub architecture: String,
    /// Files of the sources.
    pub zoo: Vec<PathBuf>,
    /// What the sources scored on the training images before tuning, 0 to 1; empty if they
    /// were not asked.
    pub source_scores: Vec<f64>,
    /// What a router promised before tuning, if one was wanted, and whether it was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingPromise>,
    /// Steps of the optimizer.
    pub steps: u64,
    /// The key of the configuration that ended the run before its last step, if one did:
    /// `patience` or `time_limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// Samples that were trained on.
    pub training_samples: usize,
    /// Numbers in the network.
    pub parameters: usize,
    /// The last training loss.
    pub loss: Option<f64>,
    /// How good the network was on the validation samples, when it was measured last.
    pub validation: Option<Scores>,
    /// How good it was on the test samples, at the end.
    pub test: Option<Scores>,
    /// When it was best, if that network is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// The step that the last process went on from; 0 if there was only one.
    pub resumed_at_step: u64,
    /// Seconds that the last process took.
    pub seconds: f64,
}
