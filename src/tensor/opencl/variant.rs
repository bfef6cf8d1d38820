//! The two kinds of kernels.

use super::Properties;
use crate::{Error, Result};

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Processors: groups of one work-item, which computes in vectors.
    Vector,
    /// Everything else: groups of many work-items, which share local memory.
    Local,
}

impl Variant {
    /// What a device gets: what suits it, or what the environment variable `ZOO_OPENCL_VARIANT`
    /// says, so that one kind can be tested on the other's device.
    ///
    /// # Errors
    /// If the variable names neither.
    pub fn of(properties: &Properties) -> Result<Self> {
        const NAME: &str = "ZOO_OPENCL_VARIANT";
        match std::env::var_os(NAME).as_deref().map(|name| name.to_string_lossy()).as_deref() {
            None | Some("") => Ok(if properties.is_cpu { Self::Vector } else { Self::Local }),
            Some("vector") => Ok(Self::Vector),
            Some("local") => Ok(Self::Local),
            Some(other) => {
                let problem = format!("should be vector or local, but is {other:?}");
                Err(Error::config(NAME, problem))
            }
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Local => "local",
        }
    }
}
