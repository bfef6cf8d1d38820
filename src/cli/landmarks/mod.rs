//! What `eval` and `predict` do with networks for landmarks.

mod eval;
mod files;
mod predict;

pub(super) use eval::{measured, show};
pub(super) use predict::{PointOptions, find};
