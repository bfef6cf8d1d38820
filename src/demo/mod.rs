//! The main job on the data inside of the repository.

mod outcome;

pub use outcome::*;
