//! What the demo of landmarks found.

use crate::compare::{Difference, Summary, summary};
use crate::train::observe::{LayerGates, Source};
use crate::train::task::landmarks::ShownPicture;
use serde::{Deserialize, Serialize};

/// Everything that the demo found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of the program.
    pub version: String,
    /// What it was asked to do.
    pub settings: Settings,
    /// Names of the points, the two that hardly move left out.
    pub points: Vec<String>,
    /// What is compared, for each number of frames in the order of the table.
    pub methods: Vec<Method>,
    /// The sources, as the first lite run describes them.
    pub sources: Vec<Source>,
    /// Gates of the zoo, with the first seed and the fewest frames.
    pub gates: Vec<LayerGates>,
    /// Test frames, as the lite network sees them, with the first seed and the fewest frames.
    pub pictures: Vec<ShownPicture>,
    /// Seconds that all of it took.
    pub seconds: f64,
}

/// What the demo was asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Seeds of the draws.
    pub seeds: Vec<u64>,
    /// Numbers of frames to tune on.
    pub frames: Vec<usize>,
    /// Frames to measure on.
    pub test_frames: usize,
    /// Steps of every network, but for the longer one from scratch.
    pub steps: u64,
    /// The highest learning rates: from scratch, and of what has sources.
    pub rates: [f64; 2],
    /// Whether it looked at the frames that its settings were chosen on.
    pub validation: bool,
}

/// Ways of coming to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No network: each point where it is on average in the training frames.
    MeanPose,
    /// From random weights.
    Scratch,
    /// The same, four times as long.
    ScratchLonger,
    /// One source alone.
    Single,
    /// The single that scored best before any tuning.
    Chosen,
    /// The single that turned out best: known with hindsight only.
    Hindsight,
    /// The plain mean of the sources.
    Average,
    /// The mean of sources whose channels were matched.
    Matched,
    /// Zoo-Tuning.
    Zoo,
    /// Lite Zoo-Tuning.
    Lite,
    /// The lite network as a plain one, read back from its file.
    Collapsed,
    /// A routed zoo, whatever the guard says.
    Routed,
    /// The heat maps of all singles averaged.
    Ensemble,
}

/// One way, on one number of frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Method {
    /// What it is.
    pub kind: Kind,
    /// Name, as in the table.
    pub name: String,
    /// How many frames it was tuned on.
    pub frames: usize,
    /// With each seed the mean error of all points but the noses, in parts of the body's length.
    pub errors: Vec<f64>,
    /// The mean error of each point over all seeds, in the order of [`Outcome::points`].
    pub of_points: Vec<f64>,
    /// With each seed the errors of the test frames, the smallest first.
    pub of_frames: Vec<Vec<f64>>,
    /// Mean seconds of tuning.
    pub seconds: f64,
}

impl Method {
    /// The mean error over the seeds.
    pub fn summary(&self) -> Summary {
        summary(&self.errors)
    }
}

impl Outcome {
    /// The way of that kind on so many frames.
    pub fn method(&self, kind: Kind, frames: usize) -> Option<&Method> {
        self.methods.iter().find(|method| method.kind == kind && method.frames == frames)
    }
}

/// The errors of one method less those of another, seed by seed.
pub fn differences(method: &Method, other: &Method) -> Difference {
    let pairs = method.errors.iter().zip(&other.errors);
    let each: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
    let Summary { mean, interval, .. } = summary(&each);
    Difference { mean, interval, each }
}
