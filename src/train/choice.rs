//! What may be chosen in a configuration, by name, and presets of several keys.

use super::task::landmarks::FacePreset;
use super::task::reinforcement::AgentPreset;
use crate::dataset::{Check, Views};
use serde::{Deserialize, Serialize};

/// Defines an enum that is written as its names.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $enum {
            $($(#[$variant_doc])* #[serde(rename = $name)] $variant),+
        }

        impl $enum {
            /// The names, as in files and flags.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The one of that name.
            ///
            /// # Errors
            /// If there is none.
            pub fn named(name: &str) -> crate::Result<Self> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => {
                        let problem = format!("there is no {name:?}; there are {}", Self::NAMES.join(", "));
                        Err(crate::Error::argument(stringify!($enum), problem))
                    }
                }
            }

            /// The name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

names! {
    /// What becomes of the sources.
    FormName {
        /// One source is tuned.
        Single = "single",
        /// Of several sources, the one that fits the target best is tuned.
        Chosen = "chosen",
        /// The mean of the sources is tuned.
        Average = "average",
        /// Zoo-Tuning: a kernel for each sample.
        Zoo = "zoo",
        /// Lite Zoo-Tuning: a kernel for each batch.
        Lite = "lite",
        /// Each sample goes through the source that fits it, if sources complement each other.
        Routed = "routed",
        /// No source is used.
        Scratch = "scratch",
    }
}

names! {
    /// What becomes of sources that do not complement each other, so that no sample is routed.
    Otherwise {
        /// Zoo-Tuning: a kernel for each sample.
        Zoo = "zoo",
        /// Lite Zoo-Tuning: a kernel for each batch.
        Lite = "lite",
    }
}

names! {
    /// The order of the sources' channels at the start.
    Start {
        /// That of the source that fits the target best.
        Matched = "matched",
        /// As they were trained.
        Plain = "plain",
    }
}

names! {
    /// What makes weights of a gate's scores.
    GateName {
        /// They sum to 1.
        Softmax = "softmax",
        /// Each from 0 to 1.
        Sigmoid = "sigmoid",
    }
}

names! {
    /// By which rule gradients change parameters; see [`crate::optim::Rule`].
    RuleName {
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
        /// Adam.
        Adam = "adam",
        /// Adam with a weight decay of its own.
        AdamW = "adamw",
        /// RMSProp.
        RmsProp = "rmsprop",
    }
}

names! {
    /// How the learning rate falls.
    ScheduleName {
        /// By `factor` at each of the `milestones`.
        Step = "step",
        /// Along half a cosine.
        Cosine = "cosine",
        /// Not at all.
        Constant = "constant",
    }
}

names! {
    /// How images are changed at random.
    AugmentationName {
        /// Not at all.
        None = "none",
        /// See [`super::Augmentation::Shift`].
        Shift = "shift",
        /// See [`super::Augmentation::Crop`].
        Crop = "crop",
    }
}

names! {
    /// What is done to images at random beside that.
    AutoAugment {
        /// Nothing.
        None = "none",
        /// See [`crate::dataset::Transform::RandAugment`].
        Rand = "randaugment",
        /// See [`crate::dataset::Transform::TrivialAugment`].
        Trivial = "trivialaugment",
    }
}

names! {
    /// How much each class counts in the loss.
    #[derive(Default)]
    ClassWeights {
        /// As many images as it has.
        #[default]
        None = "none",
        /// All alike.
        Balanced = "balanced",
    }
}

names! {
    /// Which training images make an epoch.
    Sampler {
        /// Each of them once.
        Shuffled = "shuffled",
        /// As many, of all classes alike.
        Balanced = "balanced",
    }
}

names! {
    /// Which network a run leaves.
    Keep {
        /// The one after the last step, as `model.safetensors`.
        Last = "last",
        /// The one with the best validation score, as `model.safetensors`.
        Best = "best",
        /// The last one, and beside it the best as `best.safetensors`.
        Both = "both",
    }
}

names! {
    /// How often an image is looked at; see [`crate::dataset::Views`].
    ViewsName {
        /// Once.
        One = "one",
        /// As it is and mirrored.
        Flip = "flip",
        /// Four corners, the middle, and the same mirrored.
        Ten = "ten",
    }
}

names! {
    /// How closely pictures are looked at before they are used; see [`crate::dataset::Check`].
    CheckName {
        /// Their headers, and whether their files are whole.
        Headers = "headers",
        /// Every pixel.
        Full = "full",
    }
}

names! {
    /// Several keys at once.
    Preset {
        /// The defaults: matched start, gate prior, softmax, lite everywhere.
        Default = "default",
        /// The method as in the authors' released code.
        Released = "released",
        /// The recipe of the paper and the released code: that method, its optimizer, all images.
        Paper = "paper",
        /// Landmarks of the faces of 300W.
        W300 = "300w",
        /// Landmarks of the faces of WFLW.
        Wflw = "wflw",
        /// Landmarks of the faces of COFW.
        Cofw = "cofw",
        /// Landmarks of the faces of AFLW.
        Aflw = "aflw",
        /// An agent on small boards.
        Minatar = "minatar",
        /// An agent that sees pixels, for a long time.
        Dqn = "dqn",
        /// An agent that sees pixels, for 100 000 steps.
        DataEfficientRainbow = "data-efficient-rainbow",
    }
}

names! {
    /// How points become heat maps, and are found in them.
    CodecName {
        /// Gaussians around the points themselves, found between pixels.
        Subpixel = "subpixel",
        /// As HRNet-Facial-Landmark-Detection: Gaussians around whole pixels, found to a quarter.
        Hrnet = "hrnet",
    }
}

names! {
    /// What is made small between heat maps.
    HeatMapLoss {
        /// The mean squared error.
        Squares = "squares",
        /// Adaptive wing loss (Wang, Bo and Fuxin, 2019).
        AdaptiveWing = "adaptive-wing",
        /// The same, where peaks and what is around them count eleven times as much.
        WeightedAdaptiveWing = "weighted-adaptive-wing",
    }
}

impl CheckName {
    /// What is looked at.
    pub fn check(self) -> Check {
        match self {
            Self::Headers => Check::Headers,
            Self::Full => Check::Full,
        }
    }
}

/// The keys of the method as in the authors' released code.
macro_rules! released {
    () => {
        "[method]\nform = 'lite'\nstart = 'plain'\ngate_prior = false\ngate = 'sigmoid'\n\
         shortcuts_per_sample = true\nalign = 'usual'\nalign_pointwise = false\n\
         [data]\naugmentation = 'crop'\nresize_mode = 'squash'\nviews = 'ten'\n"
    };
}

impl ViewsName {
    /// The views of images, of which a network sees `size` pixels.
    pub fn views(self, size: usize) -> Views {
        match self {
            Self::One => Views::One,
            Self::Flip => Views::Flip,
            Self::Ten => Views::Ten(size),
        }
    }
}

impl Preset {
    /// The sets of faces.
    pub const FACES: [&'static str; 4] = ["300w", "wflw", "cofw", "aflw"];

    /// The keys that the preset sets, as TOML.
    pub fn text(self) -> String {
        match self {
            Self::Default => String::new(),
            Self::Released => released!().to_owned(),
            Self::W300 => FacePreset::W300.text(),
            Self::Wflw => FacePreset::WFLW.text(),
            Self::Cofw => FacePreset::COFW.text(),
            Self::Aflw => FacePreset::AFLW.text(),
            Self::Minatar => AgentPreset::MINATAR.text.to_owned(),
            Self::Dqn => AgentPreset::DQN.text.to_owned(),
            Self::DataEfficientRainbow => AgentPreset::DATA_EFFICIENT_RAINBOW.text.to_owned(),
            Self::Paper => concat!(
                released!(),
                // Still of `[data]`.
                "validation = 0.0\n\
                 [optimizer]\nrule = 'sgd'\nlearning_rate = 0.01\nmomentum = 0.9\nnesterov = true\n\
                 weight_decay = 5e-4\nhead_rate = 10.0\nschedule = 'step'\n\
                 milestones = [6000, 12000]\nfactor = 0.1\nwarmup = 0\nbatch = 48\n\
                 steps = 15000\n"
            )
            .to_owned(),
        }
    }
}
