//! The forms that a network's convolutions take, and how sources are mixed.

use super::{Architecture, Conv};
use crate::ops::GateFunction;
use crate::{Error, Result};

/// The form of a network's convolutions.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Form {
    /// One kernel, as in any network. Of several sources it is the plain mean.
    #[default]
    Plain,
    /// Zoo-Tuning: a kernel for each sample, aggregated from the sources.
    Zoo(Mixing),
    /// Lite Zoo-Tuning: a kernel for each batch; collapses into a plain network.
    Lite(Mixing),
    /// Each sample goes through one source, which a [`Router`](super::Router) chooses for all
    /// layers.
    Routed,
}

impl Form {
    /// `plain`, `zoo`, `lite` or `routed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zoo(_) => "zoo",
            Self::Lite(_) => "lite",
            Self::Routed => "routed",
        }
    }

    /// How sources are mixed, if they are.
    pub fn mixing(&self) -> Option<&Mixing> {
        match self {
            Self::Plain | Self::Routed => None,
            Self::Zoo(mixing) | Self::Lite(mixing) => Some(mixing),
        }
    }
}

/// How the sources of a zoo are mixed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixing {
    /// What makes weights of the gate's scores.
    pub function: GateFunction,
    /// Which kernels are aligned.
    pub aligned: Aligned,
    /// What the biases of all gates start with, one for each source; see [`crate::start`].
    /// The last linear layer starts with zero weights then, so that every sample begins with
    /// the same gate, and batch norms start with the mean of the sources weighted by the
    /// softmax of the prior. `None` starts as the released code does: drawn weights, no bias.
    pub prior: Option<Vec<f64>>,
    /// In lite, gate the shortcuts' convolutions per sample nevertheless, as the authors'
    /// released code does; such a network does not collapse.
    pub shortcuts_per_sample: bool,
}

/// Which kernels are aligned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aligned {
    /// In which layers.
    pub layers: AlignedLayers,
    /// Kernels of one tap too.
    pub pointwise: bool,
}

/// The layers in which kernels are aligned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AlignedLayers {
    /// Those that the architecture says, as the authors' released code has it: in a residual
    /// network the stem and stages 3 and 4.
    #[default]
    Usual,
    /// All.
    All,
    /// None.
    None,
    /// Those of these names, and those below them: `layer3` stands for `layer3.0.conv1` too.
    Named(Vec<String>),
}

impl Aligned {
    /// Nothing is aligned.
    pub fn nowhere() -> Self {
        Self { layers: AlignedLayers::None, pointwise: false }
    }

    /// Every kernel of more than one tap is aligned.
    pub fn everywhere() -> Self {
        Self { layers: AlignedLayers::All, pointwise: false }
    }

    /// An error if a name is that of no layer.
    pub(super) fn check(&self, layers: &[Conv]) -> Result<()> {
        let AlignedLayers::Named(names) = &self.layers else { return Ok(()) };
        for name in names {
            if !layers.iter().any(|conv| is_within(conv.name(), name)) {
                let known = layers.iter().map(Conv::name);
                return Err(Error::missing(name, "the layers to be aligned", known));
            }
        }
        Ok(())
    }

    /// Whether the kernels of a layer, of so many taps, are aligned.
    pub(crate) fn applies(
        &self,
        architecture: &dyn Architecture,
        layer: &str,
        taps: usize,
    ) -> bool {
        (taps > 1 || self.pointwise)
            && match &self.layers {
                AlignedLayers::Usual => architecture.is_aligned(layer),
                AlignedLayers::All => true,
                AlignedLayers::None => false,
                AlignedLayers::Named(names) => names.iter().any(|name| is_within(layer, name)),
            }
    }
}

/// Whether a layer goes by that name, or is in the part that does.
fn is_within(layer: &str, name: &str) -> bool {
    layer.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl AlignedLayers {
    /// As one word: `usual`, `all`, `none`, or the names with commas between them.
    pub fn to_text(&self) -> String {
        match self {
            Self::Usual => "usual".to_owned(),
            Self::All => "all".to_owned(),
            Self::None => "none".to_owned(),
            Self::Named(names) => names.join(","),
        }
    }

    /// What [`AlignedLayers::to_text`] wrote.
    pub fn from_text(text: &str) -> Self {
        match text {
            "usual" => Self::Usual,
            "all" => Self::All,
            "none" => Self::None,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }
}
