//! Optimizers, parameter groups, learning-rate schedules and the moving average of parameters.

mod average;
mod optimizer;
mod schedule;

pub use average::WeightAverage;
pub use optimizer::{Group, Groups, Optimizer, Rule};
pub use schedule::{Decay, Schedule};
