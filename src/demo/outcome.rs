//! What the demo found: plain numbers, for the table, the page and `--json`.

use crate::compare::Method;
use crate::train::observe::{LayerAlignment, LayerEma, LayerGates, SampleGates, Source};
use serde::{Deserialize, Serialize};

/// Everything that the demo measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of the program.
    pub version: String,
    /// Wall time of the whole demo, in seconds.
    pub seconds: f64,
    /// What was asked for.
    pub settings: Settings,
    /// The source networks.
    pub sources: Vec<Source>,
    /// One entry for each way of using the sources, in the order of the table.
    pub methods: Vec<Method>,
    /// What the gates came to be, of Zoo-Tuning with the first seed.
    pub gates: Vec<LayerGates>,
    /// Gates of some target images, one by one, of the same network.
    pub samples: Vec<SampleGates>,
    /// How far alignment went from the identity, of the same network.
    pub alignment: Vec<LayerAlignment>,
    /// The gates' moving averages while lite Zoo-Tuning with the first seed was trained.
    pub ema: Vec<LayerEma>,
    /// The largest difference between a logit of the collapsed file, read back, and of the
    /// lite network it came from, relative to the largest logit; over all seeds.
    pub collapse_error: f64,
}

/// What the demo was asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// One run of every method for each of them.
    pub seeds: Vec<u64>,
    /// Labelled target samples of each class.
    pub shots: usize,
    /// Passes over these samples.
    pub epochs: usize,
    /// Steps of the optimizer, of every network.
    pub steps: usize,
    /// Samples of a batch.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// Target samples that no method has seen, on which accuracy is measured.
    pub test_samples: usize,
    /// Number of classes of the target.
    pub classes: usize,
    /// Whether this was on the samples that settings were chosen on, not on those of the demo.
    pub validation: bool,
    /// The learning rate of every network, if the chosen ones were set aside.
    pub rate: Option<f64>,
}
