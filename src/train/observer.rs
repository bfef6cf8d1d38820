//! Who looks on while a run goes, and what they are told.

use super::task::{Measured, Scores};
use super::{RoutingPromise, observe};

/// What happens in a run, to be shown.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Something that takes a while begins.
    Phase(&'a str),
    /// The sources were scored.
    Scored(&'a [observe::Source]),
    /// A router was fitted, and followed or not.
    Routed(&'a RoutingPromise),
    /// Training begins after `step` of `steps`.
    Begin {
        /// Steps done before.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Its epoch, counted from 1.
        epoch: u64,
        /// Its loss.
        loss: f64,
        /// Its learning rate.
        learning_rate: f64,
    },
    /// The task has seen something by the way.
    Measured {
        /// Steps done.
        step: u64,
        /// What was seen.
        measured: &'a Measured,
    },
    /// The network was measured after a step.
    Validated {
        /// Steps done.
        step: u64,
        /// What was found.
        scores: &'a Scores,
    },
    /// Something that a user should know, or that went wrong and the run does not depend on.
    Warning(&'a str),
}

/// Who looks on.
pub trait Observer {
    /// Is told what happens.
    fn note(&mut self, event: &Event);

    /// Whether the run should stop after this step, to be resumed later.
    fn stopped(&self) -> bool {
        false
    }
}

/// Looks on in silence.
impl Observer for () {
    fn note(&mut self, _: &Event) {}
}
