//! What networks are trained for.
//!
//! A [`Task`] gives batches, says what is to become small on them, and measures how good a network
//! is. The one loop that trains, [`Trainer`](super::Trainer), knows nothing else of it. A task is a
//! file beside this one, or in a program of one's own. One that a configuration may choose has
//! settings in the table `[task]`, see [`TaskConfig`](super::config::TaskConfig), and opens its
//! samples by them, as [`Opened`].

mod classification;
pub mod landmarks;
mod mixing;
pub mod reinforcement;
mod teachers;

pub use classification::{Classification, ClassificationConfig, One, Whole};
pub use landmarks::LandmarksConfig;
pub use mixing::{Mixed, Mixing};
pub use reinforcement::ReinforcementConfig;

use super::{ClassEvaluation, Material};
use crate::nn::{Network, Pass};
use crate::start::Probe;
use crate::tape::Var;
use crate::tensor::{State, Tensor};
use crate::{Error, Result};
use landmarks::LandmarkEvaluation;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// What networks are trained for: where samples come from, what a network should make of them, and
/// how good it is at it.
pub trait Task {
    /// What one step works on.
    type Batch: Samples;

    /// The batch of a step, counted from 0. An agent acts here; a loader gives what it has made
    /// ahead.
    ///
    /// # Errors
    /// If a sample cannot be had.
    fn batch(&mut self, step: u64, network: &Network<f32>) -> Result<Self::Batch>;

    /// What is to become small: a single value, for the network's `output` on a batch.
    ///
    /// # Errors
    /// If the output does not fit the batch.
    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Self::Batch) -> Result<Var>;

    /// What the loss on a batch is a mean over: several processes weigh theirs by it. The number of samples,
    /// unless some count more than others.
    fn weight(&self, batch: &Self::Batch) -> f64 {
        batch.indices().len() as f64
    }

    /// How good the network is on a part of the samples that it is not trained on; `None` if there
    /// is no such part.
    ///
    /// # Errors
    /// If a sample cannot be had, or an output is not finite.
    fn evaluate(&mut self, network: &Network<f32>, part: Part) -> Result<Option<Scores>>;

    /// Samples by which sources are compared before any tuning, if the task has labelled ones.
    fn probe(&self) -> Option<&dyn Probe> {
        None
    }

    /// Whether the scores are all that an evaluation leaves; else it is made again where what it leaves is
    /// that of another network.
    fn leaves_scores_alone(&self) -> bool {
        false
    }

    /// What the last evaluation of that part found for each class, if there are classes.
    fn classes(&self, _part: Part) -> &[ClassEvaluation] {
        &[]
    }

    /// What the last evaluation of that part found of points, if the task is about points.
    fn landmarks(&self, _part: Part) -> Option<&LandmarkEvaluation> {
        None
    }

    /// Samples to look into the network by: its gates are observed on them, and a few are shown.
    /// `None` for a task without images.
    ///
    /// # Errors
    /// If a sample cannot be had.
    fn exhibits(&self) -> Result<Option<Exhibits>> {
        Ok(None)
    }

    /// What the task has seen since this was asked last, to be written down beside the loss.
    fn measures(&mut self) -> Option<Measured> {
        None
    }

    /// What has to be kept so that training goes on as if it had never stopped, beyond what follows
    /// from the step. What is too large for a checkpoint lies on the disk when this returns.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn state(&mut self) -> Result<State<f32>> {
        Ok(State::new("the task"))
    }

    /// Takes up what [`Task::state`] gave, of a run whose network is now `network`.
    ///
    /// # Errors
    /// If it is the state of another task.
    fn restore(&mut self, _network: &Network<f32>, _state: &State<f32>) -> Result<()> {
        Ok(())
    }
}

/// What a task sees by the way, such as the returns of episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How far the task was by its own count, such as steps in an environment.
    pub at: u64,
    /// Names and numbers; in JSON beside the other.
    #[serde(flatten, serialize_with = "to_map", deserialize_with = "from_map")]
    pub values: Vec<(String, f64)>,
}

impl Measured {
    /// The number of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// The samples of one step.
pub trait Samples: Send + Sized {
    /// What goes into the network, `[N, C, H, W]`.
    fn images(&self) -> &Tensor<f32>;

    /// Which samples they are, for messages.
    fn indices(&self) -> &[usize];

    /// A part of them.
    ///
    /// # Errors
    /// If there are fewer.
    fn part(&self, samples: Range<usize>) -> Result<Self>;
}

/// The rows `samples` of a tensor `[N V, ...]`, of which each sample has V.
///
/// # Errors
/// If there are fewer than that of `count`.
fn rows_of(images: &Tensor<f32>, samples: &Range<usize>, count: usize) -> Result<Tensor<f32>> {
    let shape = images.shape();
    if samples.start > samples.end || samples.end > count || shape.is_empty() {
        let problem = format!("samples {} to {} of {count}", samples.start, samples.end);
        return Err(Error::argument("Samples::part", problem));
    }
    let rows = shape[0] / count.max(1);
    let len = rows * shape[1..].iter().product::<usize>();
    let shape = [&[rows * samples.len()], &shape[1..]].concat();
    Tensor::new(&shape, images.as_slice()[samples.start * len..samples.end * len].to_vec())
}

/// The task of a run, its samples found, and what a run has to know of it.
pub struct Opened<K> {
    /// The task.
    pub task: K,
    /// How many outputs the network has.
    pub outputs: usize,
    /// What they are called, classes or points; empty if they have no names.
    pub classes: Vec<String>,
    /// How many samples are trained on.
    pub samples: usize,
    /// How many batches show each of them once.
    pub batches_per_epoch: u64,
    /// What a user should know of the samples.
    pub notes: Vec<String>,
    /// The files that they are in, so that a resumed run can tell whether they changed.
    pub material: Material,
    /// What the file of a network keeps of the task.
    pub metadata: BTreeMap<String, String>,
}

/// Labelled images to look into a network by.
pub struct Exhibits {
    /// What they are for, if not for this: `validation`, `test` or `training`.
    pub part: &'static str,
    /// The images, `[N, C, H, W]`, as the network sees them.
    pub images: Tensor<f32>,
    /// Their labels; none of a task without classes.
    pub labels: Vec<usize>,
}

/// Samples that a network is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// While it is trained.
    Validation,
    /// Once, at the end.
    Test,
}

/// How good a network is: named numbers, the first of which decides where one has to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many samples were looked at.
    pub samples: usize,
    /// Whether a larger first number is the better one.
    pub larger_is_better: bool,
    /// Names and numbers; in JSON beside the others, in this order.
    #[serde(flatten, serialize_with = "to_map", deserialize_with = "from_map")]
    pub values: Vec<(String, f64)>,
}

fn to_map<S: Serializer>(
    values: &[(String, f64)],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, value)| (name, value)))
}

fn from_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<(String, f64)>, D::Error> {
    let map = serde_json::Map::deserialize(deserializer)?;
    // JSON has no number for what is not finite.
    Ok(map.into_iter().map(|(name, value)| (name, value.as_f64().unwrap_or(f64::NAN))).collect())
}

/// Whether the score of that name is a share, which people read in per cent: an accuracy, an error in
/// parts of a length, or one of those at a limit in per cent, such as `FR@8`.
pub fn is_share(name: &str) -> bool {
    ["accuracy", "NME"].contains(&name) || name.contains('@')
}

impl fmt::Display for Scores {
    /// Such as `accuracy 91.30 %, loss 0.2712`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.values.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            match is_share(name) {
                true => write!(f, "{comma}{name} {:.2} %", 100.0 * value)?,
                // Four digits of what is near 1, fewer of what is larger.
                false => {
                    let digits = if value.abs() < 10.0 { 4 } else { 2 };
                    write!(f, "{comma}{name} {value:.digits$}")?;
                }
            }
        }
        Ok(())
    }
}

impl Scores {
    /// The number that decides, with its name.
    pub fn deciding(&self) -> Option<(&str, f64)> {
        self.values.first().map(|(name, value)| (name.as_str(), *value))
    }

    /// The number of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Whether these are better than others, by the number that decides.
    pub fn is_better_than(&self, other: &Self) -> bool {
        match (self.deciding(), other.deciding()) {
            (Some((_, own)), Some((_, other))) if self.larger_is_better => own > other,
            (Some((_, own)), Some((_, other))) => own < other,
            (own, _) => own.is_some(),
        }
    }
}
