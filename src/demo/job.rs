//! What the demo tunes, with what all networks of a seed have in common, and what came out.

use super::{CONDITIONS, Split, Tuned};
use crate::start::Prepared;
use crate::tensor::Tensor;

/// A network to be tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Scratch,
    Single(usize),
    Average,
    Zoo,
    Lite,
}

/// What all networks of a seed have in common.
pub(super) struct Setting {
    pub seed: u64,
    pub split: Split,
    /// The sources with their channels matched to the best one's, and what they scored.
    pub prepared: Prepared,
}

/// A network that was tuned, measured on all test samples.
pub(super) struct Finished {
    pub tuned: Tuned,
    pub logits: Tensor<f32>,
    pub accuracy: f64,
    pub parameters: u64,
    pub multiply_adds: u64,
    pub bytes: u64,
    pub collapsed: Option<Collapsed>,
}

/// A collapsed network, as it was read back from its file.
pub(super) struct Collapsed {
    pub accuracy: f64,
    pub parameters: u64,
    pub multiply_adds: u64,
    pub bytes: u64,
    pub error: f64,
}

impl Job {
    /// The highest learning rate: for each kind of network the better one of 0.05 and 0.1 on
    /// validation samples (`data/README.md`), so that none is compared at another's.
    pub fn rate(self) -> f64 {
        match self {
            Self::Average => 0.05,
            Self::Scratch | Self::Single(_) | Self::Zoo | Self::Lite => 0.1,
        }
    }

    pub fn file(self) -> String {
        match self {
            Self::Scratch => "scratch".to_owned(),
            Self::Single(i) => format!("single-{}", CONDITIONS[i]),
            Self::Average => "average".to_owned(),
            Self::Zoo => "zoo".to_owned(),
            Self::Lite => "lite".to_owned(),
        }
    }
}
