//! Training: the loop, what it measures, what it keeps.
//!
//! | file | holds |
//! |---|---|
//! | `classification` | one step of training, logits, accuracy |
//! | `input` | what a network expects its images to be |
//! | `data` | finding out what data lies at a path, and showing it to a network |
//! | `model` | a network in a file, with all that is needed to use it |
//! | `evaluation` | accuracy and loss on a data set |
//! | `checkpoint` | the file that a run goes on from |

mod checkpoint;
pub mod classification;
mod data;
mod evaluation;
mod input;
mod model;

pub use data::{Augmentation, Data, Purpose};
pub use evaluation::{ClassEvaluation, Evaluation, evaluate, probabilities};
pub use input::Input;
pub use model::Model;
