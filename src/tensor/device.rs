//! Where the values of a tensor are.

#[cfg(feature = "opencl")]
use super::opencl::OpenCl;
use super::{Element, Tensor};
use crate::{Error, Result, profile};
use std::fmt;
#[cfg(feature = "opencl")]
use std::sync::Arc;

/// Where the values of a tensor are, and therefore what computes with them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Device {
    /// The memory of the process, and the threads that rayon has.
    #[default]
    Cpu,
    /// The memory of a device, and the device.
    #[cfg(feature = "opencl")]
    OpenCl(Arc<OpenCl>),
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cpu, Self::Cpu) => true,
            #[cfg(feature = "opencl")]
            (Self::OpenCl(one), Self::OpenCl(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "opencl")]
            _ => false,
        }
    }
}

impl Device {
    /// The OpenCL device of that number, among those of all drivers.
    ///
    /// # Errors
    /// If there is none, or this program was built without the feature `opencl`.
    pub fn opencl(index: usize) -> Result<Self> {
        #[cfg(feature = "opencl")]
        return OpenCl::open(index).map(Self::OpenCl);
        #[cfg(not(feature = "opencl"))]
        return Err(Error::device(format_args!("opencl:{index}"), "open it", WITHOUT));
    }

    /// Waits until everything is done that was asked of it so far.
    ///
    /// # Errors
    /// If something of it could not be done.
    pub fn finish(&self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "opencl")]
            Self::OpenCl(device) => device.finish(),
        }
    }

    /// Waits as [`finish`](Self::finish) does, but only while a profile is taken: a device works
    /// on while the host asks for more, and its time would be counted to whatever waits for it.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_for_profile(&self) -> Result<()> {
        if profile::is_on() { self.finish() } else { Ok(()) }
    }

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

/// How to get what a program lacks that was built without the feature.
#[cfg(not(feature = "opencl"))]
const WITHOUT: &str = "this program was built without OpenCL; \
    cargo build --release --features opencl makes one with it";

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            #[cfg(feature = "opencl")]
            Self::OpenCl(device) => device.properties().fmt(f),
        }
    }
}
