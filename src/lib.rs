//! Zoo-Tuning from scratch: see the README.

#[cfg(feature = "cli")]
pub mod dataset;
#[cfg(feature = "cli")]
pub mod demo;
pub mod error;
pub mod export;
pub mod gradcheck;
pub mod kernel;
pub mod ops;
#[cfg(feature = "cli")]
pub mod report;
pub mod tape;
pub mod tensor;
pub mod zoo;

pub use error::{Error, Result};
