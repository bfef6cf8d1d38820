//! Values in the memory of a device.

use super::opencl::{Memory, OpenCl};
use super::{Device, Element, Storage, Tensor, buffer};
use crate::{Error, Result};
use std::sync::{Arc, OnceLock};

/// Values in the memory of a device.
#[derive(Debug)]
pub(super) struct Resident<T> {
    memory: Memory,
    /// The same on the host, once they were looked at.
    home: OnceLock<Vec<T>>,
}

impl<T: Element> Resident<T> {
    pub(super) fn device(&self) -> &Arc<OpenCl> {
        self.memory.device()
    }

    /// Writes as many values as fit `values`.
    pub(super) fn read(&self, values: &mut [T]) -> Result<()> {
        match self.home.get() {
            Some(home) => {
                values.copy_from_slice(home);
                Ok(())
            }
            None => self.device().download(&self.memory, values),
        }
    }

    pub(super) fn as_slice(&self, len: usize) -> &[T] {
        self.home.get_or_init(|| {
            let mut values = buffer::take(len);
            let read = self.device().download(&self.memory, &mut values);
            read.unwrap_or_else(|error| panic!("a tensor should come home: {error}"));
            values
        })
    }
}

impl<T: Element> Tensor<T> {
    /// A tensor of a shape that has as many values as the memory was made for.
    pub(crate) fn resident(shape: Vec<usize>, memory: Memory) -> Self {
        let resident = Resident { memory, home: OnceLock::new() };
        Self { shape, storage: Storage::Resident(Arc::new(resident)) }
    }

    /// The memory that the values are in.
    ///
    /// # Errors
    /// If they are not on `device`.
    pub(crate) fn memory(&self, device: &Arc<OpenCl>) -> Result<&Memory> {
        match &self.storage {
            Storage::Resident(resident) if Arc::ptr_eq(resident.device(), device) => {
                Ok(&resident.memory)
            }
            _ => {
                let problem = format!("a tensor of {:?} is on {}", self.shape, self.device());
                Err(Error::device(device.properties(), "compute", problem))
            }
        }
    }

    /// The memory that the values are in, to be written to. They are copied first if they are
    /// shared with another tensor, or lie in a file.
    ///
    /// # Errors
    /// If they are not on `device`, or there is no room for a copy.
    pub(crate) fn memory_mut(&mut self, device: &Arc<OpenCl>) -> Result<&Memory> {
        let len = self.len();
        self.memory(device)?;
        if let Storage::Resident(resident) = &mut self.storage {
            match Arc::get_mut(resident) {
                Some(own) if !own.memory.is_borrowed() => drop(own.home.take()),
                _ => {
                    let memory = device.duplicate::<T>(&resident.memory, len)?;
                    *resident = Arc::new(Resident { memory, home: OnceLock::new() });
                }
            }
        }
        self.memory(device)
    }

    /// The same values on a device.
    pub(super) fn upload(&self, device: &Arc<OpenCl>) -> Result<Self> {
        if size_of::<T>() != size_of::<f32>() {
            // Of `f32` it was asked when the device was opened.
            if let Some(problem) = device.properties().lacks::<T>(device.variant()) {
                return Err(Error::device(device.properties(), "take a tensor of f64", problem));
            }
        }
        if let Storage::Mapped(view) = &self.storage
            && let Some(memory) = device.borrow::<T>(view)
        {
            return Ok(Self::resident(self.shape.clone(), memory));
        }
        // From another device by way of the host, which may fail.
        let memory = device.upload(self.to(&Device::Cpu)?.as_slice())?;
        Ok(Self::resident(self.shape.clone(), memory))
    }
}
