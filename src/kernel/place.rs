//! Which engine computes where tensors live.

use super::cpu::Cpu;
use super::engine::Engine;
use crate::tensor::{Device, Element};

impl Device {
    /// What computes here.
    pub fn engine<T: Element>(&self) -> &dyn Engine<T> {
        match self {
            Self::Cpu => &Cpu,
            #[cfg(feature = "opencl")]
            Self::OpenCl(device) => device,
        }
    }
}
