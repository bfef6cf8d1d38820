//! What a driver answers instead of doing something.
//!
//! ocl-core panics at an error that it does not know, and drivers have their own: NVIDIA's -9999 is
//! all that is heard of a kernel that reached outside of its memory. So the calls that a lost
//! device answers are made without it.

use ocl::core::{CommandQueue, Status, ffi};
use std::fmt;

/// An error of a driver.
pub(super) enum Refusal {
    /// One that OpenCL has a name for.
    Status(Status),
    /// What a call gave.
    Number(i32),
    /// What ocl-core makes of one.
    Text(String),
}

impl Refusal {
    /// Whether it is one of these.
    pub fn is(&self, those: &[Status]) -> bool {
        those.iter().any(|&status| match self {
            Self::Status(found) => *found == status,
            Self::Number(number) => *number == status as i32,
            Self::Text(_) => false,
        })
    }

    /// An error, unless the number is that of success.
    pub fn check(number: i32) -> Result<(), Self> {
        if number == Status::CL_SUCCESS as i32 { Ok(()) } else { Err(Self::Number(number)) }
    }
}

impl From<&ocl::core::Error> for Refusal {
    fn from(error: &ocl::core::Error) -> Self {
        match error.api_status() {
            Some(status) => Self::Status(status),
            None => {
                let text = error.to_string();
                let line = text.lines().find(|line| !line.trim().is_empty());
                Self::Text(line.unwrap_or_default().to_owned())
            }
        }
    }
}

/// In a line.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the calls say that are made here.
        const NAMES: [Status; 9] = [
            Status::CL_DEVICE_NOT_AVAILABLE,
            Status::CL_MEM_OBJECT_ALLOCATION_FAILURE,
            Status::CL_OUT_OF_RESOURCES,
            Status::CL_OUT_OF_HOST_MEMORY,
            Status::CL_INVALID_COMMAND_QUEUE,
            Status::CL_INVALID_KERNEL_ARGS,
            Status::CL_INVALID_WORK_GROUP_SIZE,
            Status::CL_INVALID_ARG_SIZE,
            Status::CL_INVALID_BUFFER_SIZE,
        ];
        // The queue was a queue once: what NVIDIA says after a fault.
        if self.is(&[Status::CL_DEVICE_NOT_AVAILABLE, Status::CL_INVALID_COMMAND_QUEUE]) {
            f.write_str("the device is lost: ")?;
        }
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Status(status) => write!(f, "{status:?}"),
            Self::Number(number) => match NAMES.iter().find(|&&name| name as i32 == *number) {
                Some(name) => write!(f, "{name:?}"),
                // OpenCL's own numbers are above -1000, those of its extensions above -2000.
                None if *number > -2000 => write!(f, "error {number} of OpenCL"),
                None => write!(f, "error {number} of the driver's own"),
            },
        }
    }
}

/// Waits until everything is done that was enqueued.
#[allow(unsafe_code)]
pub(super) fn finish(queue: &CommandQueue) -> Result<(), Refusal> {
    // SAFETY: it is a queue, which the reference keeps.
    Refusal::check(unsafe { ffi::clFinish(queue.as_ptr()) })
}
