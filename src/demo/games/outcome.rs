//! What the demo of games found.

use crate::compare::{Difference, Summary, summary};
use crate::train::observe::{LayerGates, Source};
use serde::{Deserialize, Serialize};

/// Everything that the demo found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of the program.
    pub version: String,
    /// What it was asked to do.
    pub settings: Settings,
    /// What is compared, for each game in the order of the table.
    pub methods: Vec<Method>,
    /// The sources, as the first lite run describes them.
    pub sources: Vec<Source>,
    /// Gates of the zoo in the first game, with the first seed.
    pub gates: Vec<LayerGates>,
    /// The largest difference of an action's value between the lite network and its collapsed form, in
    /// parts of the largest value.
    pub collapse_error: f64,
    /// Seconds that all of it took.
    pub seconds: f64,
}

/// What the demo was asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Games that are learned.
    pub games: Vec<String>,
    /// Steps in the game, of every way.
    pub steps: u64,
    /// Episodes that a run is measured on at the end.
    pub episodes: usize,
    /// The learning rates: from scratch, and of what has sources.
    pub rates: [f64; 2],
}

/// Ways of coming to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every action at random.
    Random,
    /// From random weights.
    Scratch,
    /// One source alone.
    Single,
    /// The mean over the singles: what one may expect who picks one at random.
    MeanSingle,
    /// The single that turned out best: known with hindsight only.
    Hindsight,
    /// The mean of the sources.
    Average,
    /// Zoo-Tuning.
    Zoo,
    /// Lite Zoo-Tuning.
    Lite,
    /// The lite network as a plain one, read back from its file.
    Collapsed,
}

/// One way, in one game.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Method {
    /// What it is.
    pub kind: Kind,
    /// Name, as in the table.
    pub name: String,
    /// The game.
    pub game: String,
    /// With each seed the mean return of the episodes at the end.
    pub means: Vec<f64>,
    /// With each seed the interquartile mean of their returns.
    pub interquartile_means: Vec<f64>,
    /// With each seed the mean return at several steps, while it learned.
    pub curves: Vec<Vec<(u64, f64)>>,
    /// Mean seconds of learning.
    pub seconds: f64,
}

impl Method {
    /// The mean return over the seeds.
    pub fn summary(&self) -> Summary {
        summary(&self.means)
    }

    /// The mean of the interquartile means over the seeds.
    pub fn interquartile_mean(&self) -> f64 {
        summary(&self.interquartile_means).mean
    }
}

impl Outcome {
    /// The way of that kind in a game; the first of several.
    pub fn method(&self, kind: Kind, game: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.kind == kind && method.game == game)
    }
}

/// The mean returns of one method less those of another, seed by seed.
pub fn differences(method: &Method, other: &Method) -> Difference {
    let each: Vec<f64> = method.means.iter().zip(&other.means).map(|(a, b)| a - b).collect();
    let Summary { mean, interval, .. } = summary(&each);
    Difference { mean, interval, each }
}
