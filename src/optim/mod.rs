//! Optimizers, parameter groups and learning-rate schedules.

mod optimizer;
mod schedule;

pub use optimizer::{Group, Groups, Optimizer, Rule};
pub use schedule::{Decay, Schedule};
