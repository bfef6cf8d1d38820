//! Zoo-Tuning from scratch: see the README.

#[cfg(feature = "cli")]
pub mod dataset;
pub mod error;
pub mod export;
#[cfg(feature = "cli")]
pub mod report;
pub mod zoo;

pub use error::{Error, Result};
