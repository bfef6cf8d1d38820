//! Training: the loop, what it measures, what it keeps.
//!
//! | file | holds |
//! |---|---|
//! | `run` | a folder, and the training that fills it |
//! | `observer` | who looks on, and what they are told |
//! | `session` | its steps: what is measured, written down and saved after each |
//! | [`config`] | what a run is to do, as a file says it |
//! | `choice` | what may be chosen in a configuration, by name; presets |
//! | `parts` | which samples are for what |
//! | `sources` | from the files of the sources to the network before its first step |
//! | `penalties` | what keeps a network near where it began |
//! | `foretold` | what is said of the sources before any tuning |
//! | `expectation` | what each source expects its images to be, and what it is shown |
//! | `trainer` | the loop that trains, whatever the task |
//! | [`task`] | what networks are trained for, each in a file |
//! | `evaluation` | a network's logits on a data set, and what is made of them |
//! | `answers` | what a network answers to the samples that a run is measured on |
//! | `measures` | what is counted there: accuracy, precision, recall, calibration |
//! | `prediction` | what a network sees in single images |
//! | `room` | what is said where a device has no room for a batch |
//! | `tune` | measuring how a device is fastest, on steps of training |
//! | `checkpoint` | the file that a run goes on from |
//! | `rates` | how fast each layer learns |
//! | `record` | what a run writes down while it goes |
//! | [`observe`] | what can be seen inside of a network |
//! | `recorded` | what a run has left in its folder, read back |
//! | `tensorboard` | the same for TensorBoard |
//! | `kind` | what kind of data lies at a path |
//! | `data` | labelled images, and how they are shown to a network |
//! | `seen` | pictures that need no second look; `material`: what a resumed run compares its files with |
//! | `input` | what a network expects its images to be |
//! | `hub` | what files beside a checkpoint say of its images |
//! | `model` | a network in a file, with all that is needed to use it |

mod answers;
pub mod checkpoint;
pub mod choice;
pub mod config;
mod data;
mod evaluation;
mod expectation;
mod foretold;
mod hub;
mod input;
mod kind;
mod material;
mod measures;
mod model;
pub mod observe;
mod observer;
mod parts;
mod penalties;
mod prediction;
mod rates;
mod record;
mod recorded;
mod reduction;
mod room;
mod run;
mod seen;
mod session;
mod sources;
pub mod task;
mod tensorboard;
mod trainer;
#[cfg(feature = "opencl")]
pub mod tune;
mod worth;

pub use answers::Answers;
pub use config::Config;
pub use data::{Augmentation, Data, Purpose};
pub use evaluation::{accuracy, evaluate, logits, predictions, probabilities};
pub use foretold::transferability;
pub use input::Input;
pub use material::{Accepted, Material, Stamp};
pub use measures::{ClassEvaluation, Confusion, Evaluation, Measures, Told};
pub use model::Model;
pub use observer::{Event, Observer};
pub use prediction::{Prediction, PredictionFile};
pub use rates::rates;
pub use record::{Gates, Meter, Metrics};
pub use recorded::{Observations, Recorded};
pub use run::{Run, Summary};
pub use seen::Unreadable;
pub use sources::{CheckedZoo, RoutingPromise, check_zoo};
pub use tensorboard::EventFile;
pub use trainer::{Done, Forward, Penalty, Reduce, Trainer};
pub use worth::{LayerShare, Standing, Worth, least, standing, worths};
