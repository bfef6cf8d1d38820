//! Ways of coming to a network for a target, and what their runs say of them.

use super::statistics::{Difference, Summary, summary};
use crate::Result;
use crate::nn::Pass;
use crate::tensor::Tensor;
use crate::train::{Input, Model, accuracy};
use serde::{Deserialize, Serialize};

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
    #[serde(alias = "deviation")]
    pub std: f64,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Uses no source.
    Scratch,
    /// Fine-tunes one source.
    Single,
    /// The single that scored best before any tuning.
    Chosen,
    /// The single that turned out best on the test samples: known with hindsight only.
    Hindsight,
    /// Uses all sources, one network each.
    Ensemble,
    /// Fits a classifier to the source that scores best, then fine-tunes all.
    Probed,
    /// Fine-tunes the source that scores best, its weights kept near where they began.
    L2Sp,
    /// Fine-tunes the source that scores best, its last maps kept near what they were.
    Delta,
    /// The average of networks tuned from the source that scores best, at several learning rates.
    Soup,
    /// Fine-tunes the source that scores best, by the labels and by the answers of all tuned sources.
    Distilled,
    /// Fine-tunes the plain mean of the sources.
    Average,
    /// Fine-tunes the mean of the sources, their channels permuted so that they match.
    Matched,
    /// Zoo-Tuning.
    Zoo,
    /// Each sample through the source that fits it, or Zoo-Tuning where that is not worth it.
    Routed,
    /// The routed network, its two likeliest sources mixed.
    Mixed,
    /// Lite Zoo-Tuning.
    Lite,
    /// The lite network as one plain network, read back from its file.
    Collapsed,
}

impl MethodKind {
    /// The name, as in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Single => "single",
            Self::Chosen => "chosen",
            Self::Hindsight => "hindsight",
            Self::Ensemble => "ensemble",
            Self::Probed => "probed",
            Self::L2Sp => "l2_sp",
            Self::Delta => "delta",
            Self::Soup => "soup",
            Self::Distilled => "distilled",
            Self::Average => "average",
            Self::Matched => "matched",
            Self::Zoo => "zoo",
            Self::Routed => "routed",
            Self::Mixed => "mixed",
            Self::Lite => "lite",
            Self::Collapsed => "collapsed",
        }
    }
}

impl Method {
    /// What these runs say of a method; `sizes` are its parameters, multiply-adds and bytes.
    pub fn new(
        kind: MethodKind,
        name: &str,
        description: &str,
        runs: Vec<Run>,
        [parameters, multiply_adds, bytes]: [u64; 3],
    ) -> Self {
        let accuracies: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
        let summary = summary(&accuracies);
        let seconds = runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len().max(1) as f64;
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            kind,
            mean: summary.mean,
            std: summary.std,
            interval: summary.interval,
            runs,
            parameters,
            multiply_adds,
            seconds,
            bytes,
        }
    }
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
    /// The highest learning rate, where it is the method's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Whether each sample goes through a source of its own, where the guard had to decide that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routed: Option<bool>,
    /// The course of training, where it was measured; empty for methods that train nothing themselves.
    pub curve: Vec<Point>,
}

/// One point of a learning curve.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the point before.
    pub loss: f64,
    /// Accuracy on the validation samples, 0 to 1.
    pub accuracy: f64,
}

/// Multiply-adds of the inference of one image.
///
/// # Errors
/// If the network does not take what it says its images are.
pub fn multiply_adds(model: &Model) -> Result<u64> {
    let Input { channels, size, .. } = model.input;
    let mut pass = Pass::evaluate(model.network.parameters());
    let x = pass.input(Tensor::zeros(&[1, channels, size, size]));
    model.network.forward(&mut pass, x)?;
    Ok(pass.multiply_adds())
}

/// The accuracy of the mean of several networks' probabilities, each of them those of all classes,
/// an image after the other.
///
/// # Errors
/// If there is not one label for each image.
pub fn ensemble_accuracy(members: impl Iterator<Item = Vec<f64>>, labels: &[usize]) -> Result<f64> {
    let mut sum: Vec<f64> = Vec::new();
    for member in members {
        sum.resize(member.len(), 0.0);
        sum.iter_mut().zip(member).for_each(|(sum, p)| *sum += p);
    }
    let mean = Tensor::new(&[labels.len(), sum.len() / labels.len().max(1)], sum)?;
    accuracy(&mean, labels)
}

/// `method` less `other`, over the seeds that both have; `None` if there is no such seed.
///
/// Runs with the same seed see the same samples, so differences are taken within a seed: what a
/// seed makes easy or hard for all methods alike cancels.
pub fn paired(method: &[Run], other: &[Run]) -> Option<Difference> {
    let each: Vec<f64> = method
        .iter()
        .filter_map(|run| {
            let twin = other.iter().find(|twin| twin.seed == run.seed)?;
            Some(run.accuracy - twin.accuracy).filter(|difference| difference.is_finite())
        })
        .collect();
    if each.is_empty() {
        return None;
    }
    let Summary { mean, interval, .. } = summary(&each);
    Some(Difference { mean, interval, each })
}

/// The mean over all methods that fine-tune one source, as if it were a method's runs:
/// what someone may expect who picks a source at random.
pub fn mean_single(methods: &[Method]) -> Vec<Run> {
    let singles: Vec<&Method> = methods.iter().filter(|m| m.kind == MethodKind::Single).collect();
    let Some(first) = singles.first() else { return Vec::new() };
    first
        .runs
        .iter()
        .filter_map(|run| {
            let found: Vec<f64> = singles
                .iter()
                .filter_map(|m| m.runs.iter().find(|twin| twin.seed == run.seed))
                .map(|twin| twin.accuracy)
                .collect();
            // A mean over fewer sources for some seeds would not be the same quantity.
            (found.len() == singles.len()).then(|| Run {
                seed: run.seed,
                accuracy: found.iter().sum::<f64>() / found.len() as f64,
                seconds: 0.0,
                learning_rate: None,
                routed: None,
                curve: Vec::new(),
            })
        })
        .collect()
}
