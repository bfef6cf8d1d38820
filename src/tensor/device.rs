//! Where the values of a tensor are.

use super::{Element, Tensor};
use crate::{Error, Result};
use std::fmt;

/// Where the values of a tensor are, and therefore what computes with them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Device {
    /// The memory of the process, and the threads that rayon has.
    #[default]
    Cpu,
}

impl Device {
    /// Where all of `tensors`, the operands of `operation`, are.
    ///
    /// # Errors
    /// If they are not in one place.
    pub fn of<'a, T: Element>(
        operation: &'static str,
        tensors: impl IntoIterator<Item = &'a Tensor<T>>,
    ) -> Result<Self> {
        let mut devices = tensors.into_iter().map(Tensor::device);
        let first = devices.next().unwrap_or_default();
        match devices.find(|device| *device != first) {
            None => Ok(first),
            Some(other) => {
                let problem = format!(
                    "an operand is on {first} and another on {other}; Tensor::to brings them to \
                     one place"
                );
                Err(Error::argument(operation, problem))
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
        }
    }
}
