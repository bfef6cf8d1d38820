//! What a zoo begins with on a target.
//!
//! Kernels of networks that were trained apart have their channels in different orders, so
//! their mean knows less than each of them. Two starts mend it; both look only at the
//! target's training samples, and both are ours, not the paper's:
//!
//! - [`matched`]: permutes the channels of each source to those of a reference, which
//!   changes nothing that the source computes;
//! - [`score`] and [`gate_bias`], the gate prior: scores the frozen sources and lets the gates
//!   begin near the best of them; [`score_of_values`] where samples have values instead of classes.
//!
//! Of the field are [`linear_probe`], which fits the head before anything is tuned, and
//! [`channel_attention`], by which DELTA weighs channels, and the scores of [`Transferability`].
//!
//! Before all of them, [`absorb`] makes sources of other normalisations see the same images.
//!
//! [`fit_router`] begins a zoo that routes each sample through one source.
//!
//! [`Preparation`] does the first two, by samples that a [`Probe`] shows.

mod absorption;
mod assignment;
mod attention;
mod linear_probe;
mod matching;
mod prior;
mod probe;
mod ridge;
mod routing;
mod spectrum;
mod targets;
mod transferability;
mod values;

pub use absorption::{Normalisation, absorb};
pub use attention::channel_attention;
pub use linear_probe::linear_probe;
pub use matching::matched;
pub use prior::{STRENGTH, best, gate_bias, leave_one_out_accuracy, score};
pub use probe::{Labelled, Preparation, Prepared, Probe};
pub use routing::{Fitted, RouterSettings, fit_router};
pub use targets::Targets;
pub use transferability::{Transferability, h_score, leep, log_me};
pub use values::{Valued, ValuedBatch, leave_one_out_fit, score_of_values};

/// Samples that are looked at where a Gram matrix has a row for each.
const MOST: usize = 2000;
