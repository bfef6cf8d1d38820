//! The third job: a zoo of agents tuned to a game that none of them knows.
//!
//! Three agents have learned a native game each (`data/games/ORIGIN.md` says how). All games have one
//! observation and one set of actions; see [`environment`](crate::environment). Every way of using the
//! agents, and learning from scratch, gets the same number of steps in the new game. The settings were
//! chosen on [`SETTING`], which the table does not use.

mod data;
mod experiment;
mod outcome;
mod page;

pub use data::{SETTING, SOURCES, TARGETS};
pub use experiment::{Options, STEPS, episodes, run};
pub use outcome::{Kind, Method, Outcome, Settings, differences};
pub use page::page;
