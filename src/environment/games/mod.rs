//! The native games, one in a file.

mod bricks;
mod catch;
mod collect;
mod cross;
mod crosser;
mod dive;
mod invade;

pub(super) use bricks::Bricks;
pub(super) use catch::Catch;
pub(super) use collect::Collect;
pub(super) use cross::Cross;
pub(super) use dive::Dive;
pub(super) use invade::Invade;

/// What a game is written with.
mod prelude {
    pub(super) use crate::environment::board::{Action, Board, Cell, LAST, Plane};
    pub(super) use crate::environment::native::{Game, Outcome};
    pub(super) use fastrand::Rng;
    pub(super) use serde::{Deserialize, Serialize};
}
