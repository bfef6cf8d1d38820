//! Zoo-Tuning from scratch: see the README.

pub mod collapse;
#[cfg(feature = "cli")]
pub mod dataset;
#[cfg(feature = "cli")]
pub mod demo;
pub mod error;
pub mod export;
pub mod gradcheck;
pub mod kernel;
pub mod nn;
pub mod ops;
pub mod optim;
#[cfg(feature = "cli")]
pub mod report;
pub mod start;
pub mod tape;
pub mod tensor;
#[cfg(feature = "cli")]
pub mod train;
pub mod zoo;

pub use error::{Error, Result};
