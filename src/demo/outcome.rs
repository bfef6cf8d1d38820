//! What the demo found: plain numbers, for the table, the page and `--json`.

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

/// One way of coming to a network for the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Method {
    /// Name, as in the table.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// What it is compared as.
    pub kind: MethodKind,
    /// One run for each seed.
    pub runs: Vec<Run>,
    /// Mean accuracy over the runs, 0 to 1.
    pub mean: f64,
    /// Standard deviation between the runs (n - 1); 0 for a single run.
    pub deviation: f64,
    /// Half width of the 95 % confidence interval of the mean (Student's t); `None` for a
    /// single run.
    pub interval: Option<f64>,
    /// Parameters that inference needs.
    pub parameters: u64,
    /// Multiply-adds of inference for one image.
    pub multiply_adds: u64,
    /// Mean seconds of training of a run; sums over networks where several were trained.
    pub seconds: f64,
    /// Bytes of what has to be kept for inference.
    pub bytes: u64,
}

/// Kinds of methods, which the page shows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Uses no source.
    Scratch,
    /// Fine-tunes one source.
    Single,
    /// The single that turned out best on the test samples: known with hindsight only.
    Hindsight,
    /// Uses all sources, one network each.
    Ensemble,
    /// Fine-tunes the plain mean of the sources.
    Average,
    /// Zoo-Tuning.
    Zoo,
    /// Lite Zoo-Tuning.
    Lite,
    /// The lite network as one plain network, read back from its file.
    Collapsed,
}

/// One run of a method.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Accuracy on all test samples after the last step, 0 to 1.
    pub accuracy: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// The course of training; empty for methods that train nothing themselves.
    pub curve: Vec<Point>,
}

/// One point of a learning curve.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the point before.
    pub loss: f64,
    /// Accuracy on a fixed part of the test samples, 0 to 1; shown only, nothing is chosen by it.
    pub accuracy: f64,
}
