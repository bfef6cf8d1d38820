//! The second job: a zoo tuned to find the points of a mouse in few frames.
//!
//! Sources were trained on pictures that were drawn, with exact points (`examples/draw_animals.rs`): two
//! of them imitate the rig that the mouse walks in, two know animals or faces in general. The target is 75
//! frames that were labelled by hand; 15 others chose every setting. See `data/mouse/ORIGIN.md`.

mod data;
mod experiment;
mod outcome;
mod page;

pub use data::is_for_settings;
pub use experiment::{Options, STEPS, run};
pub use outcome::{Kind, Method, Outcome, Settings, differences};
pub use page::page;
