//! Memory of a device, and what goes to it and comes back.
//!
//! Asking a driver for memory takes longer than many a kernel. So what is dropped is kept on a
//! shelf, and serves again for about its size; as with the [host's](crate::tensor::buffer), all
//! that is kept and used stays below the most that was ever used and an eighth.

use super::held::Held;
use super::refusal::{self, Refusal};
use super::{OpenCl, Properties};
use crate::tensor::Element;
use crate::{Error, Result};
use ocl::core::{Mem, Status, ffi};
use std::collections::VecDeque;
use std::fmt;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

/// A piece of a device's memory, which goes back to its shelf when it is dropped, or memory of the
/// host that the device may read.
pub struct Memory {
    /// `None` only while it is dropped.
    mem: Option<Held<Mem>>,
    bytes: usize,
    device: Arc<OpenCl>,
    /// Whether it is the host's: not to be written to, and for no shelf.
    is_borrowed: bool,
}

/// Memory that nobody uses, the longest unused first, and how much is used.
#[derive(Default)]
pub(super) struct Shelf {
    unused: VecDeque<(usize, Held<Mem>)>,
    usage: Usage,
}

/// What is asked of a device's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In the hands of tensors.
    pub used: usize,
    /// Kept for the next ones.
    pub unused: usize,
    /// The most that was used at once.
    pub peak: usize,
}

impl OpenCl {
    /// Room for `len` values, whatever they are.
    ///
    /// # Errors
    /// If there is none.
    pub fn take<T>(self: &Arc<Self>, len: usize) -> Result<Memory> {
        // A buffer of nothing is none.
        let bytes = len.max(1).saturating_mul(size_of::<T>());
        if bytes as u64 > self.properties.largest_buffer {
            return Err(self.full(Some(bytes)));
        }
        let mut shelf = self.shelf();
        let found = shelf.find(bytes);
        let (bytes, mem) = match found {
            Some(found) => found,
            None => {
                shelf.make_room(bytes);
                if (shelf.usage.used + shelf.usage.unused + bytes) as u64 > self.properties.memory {
                    shelf.clear();
                }
                if (shelf.usage.used + bytes) as u64 > self.properties.memory {
                    drop(shelf);
                    return Err(self.full(Some(bytes)));
                }
                let mem = self.allocate(bytes).or_else(|_| {
                    // Others may use the device too. What lies on the shelf is free once nothing
                    // that is enqueued needs it any more.
                    shelf.clear();
                    // A device that does not even finish is no full one.
                    refusal::finish(&self.queue).map_err(|refusal| (refusal, None))?;
                    self.allocate(bytes).map_err(|refusal| (refusal, Some(bytes)))
                });
                match mem {
                    Ok(mem) => (bytes, mem),
                    Err((refusal, asked)) => {
                        drop(shelf);
                        return Err(self.explained(refusal, "take memory", asked));
                    }
                }
            }
        };
        shelf.usage.used += bytes;
        shelf.usage.peak = shelf.usage.peak.max(shelf.usage.used);
        drop(shelf);
        Ok(Memory { mem: Some(mem), bytes, device: self.clone(), is_borrowed: false })
    }

    #[allow(unsafe_code)]
    fn allocate(&self, bytes: usize) -> Result<Held<Mem>, Refusal> {
        let (context, flags) = (self.context.as_ptr(), ffi::CL_MEM_READ_WRITE);
        let mut status = 0;
        // SAFETY: memory that the driver allocates, without a pointer of the host.
        let made =
            unsafe { ffi::clCreateBuffer(context, flags, bytes, ptr::null_mut(), &mut status) };
        Refusal::check(status)?;
        // SAFETY: it has just been made, and is ours.
        Ok(Held::from(unsafe { Mem::from_raw_create_ptr(made) }))
    }

    /// Brings values there.
    ///
    /// # Errors
    /// If there is no room, or the device is lost.
    #[allow(unsafe_code)]
    pub fn upload<T: Copy + Send + 'static>(self: &Arc<Self>, values: &[T]) -> Result<Memory> {
        let memory = self.take::<T>(values.len())?;
        if values.is_empty() {
            return Ok(memory);
        }
        self.transfers[0].fetch_add(1, Ordering::Relaxed);
        let (queue, from, len) = (self.queue.as_ptr(), values.as_ptr(), size_of_val(values));
        let (wait, event) = (ptr::null(), ptr::null_mut());
        // SAFETY: so many bytes are there, and the call waits until they have been read.
        let status = unsafe {
            let to = memory.mem().as_ptr();
            ffi::clEnqueueWriteBuffer(queue, to, ffi::CL_TRUE, 0, len, from.cast(), 0, wait, event)
        };
        Refusal::check(status).map_err(|refusal| self.explained(refusal, "write to it", None))?;
        Ok(memory)
    }

    /// Brings `values.len()` values back, after all that was enqueued before.
    ///
    /// # Errors
    /// If something of it failed, or the device is lost.
    #[allow(unsafe_code)]
    pub fn download<T: Element>(&self, memory: &Memory, values: &mut [T]) -> Result<()> {
        let len = size_of_val(values);
        if len == 0 {
            return Ok(());
        }
        assert!(len <= memory.bytes, "as many values are read as there are");
        self.transfers[1].fetch_add(1, Ordering::Relaxed);
        let (queue, from, to) = (self.queue.as_ptr(), memory.mem().as_ptr(), values.as_mut_ptr());
        let (wait, event) = (ptr::null(), ptr::null_mut());
        // SAFETY: there is room for so many bytes of floating-point numbers, for which every
        // pattern of bits is a value, and the call waits until they have been written.
        let status = unsafe {
            ffi::clEnqueueReadBuffer(queue, from, ffi::CL_TRUE, 0, len, to.cast(), 0, wait, event)
        };
        Refusal::check(status).map_err(|refusal| self.explained(refusal, "read from it", None))
    }

    /// A copy of the first `len` values.
    ///
    /// # Errors
    /// If there is no room, or the device is lost.
    pub fn duplicate<T>(self: &Arc<Self>, memory: &Memory, len: usize) -> Result<Memory> {
        let copy = self.take::<T>(len)?;
        self.copy::<T>(memory, 0, &copy, 0, len)?;
        Ok(copy)
    }

    /// Copies `len` values from one place of `from` to another of `to`.
    ///
    /// # Errors
    /// If they are not all there, or the device is lost.
    #[allow(unsafe_code)]
    pub fn copy<T>(
        &self,
        from: &Memory,
        first: usize,
        to: &Memory,
        to_first: usize,
        len: usize,
    ) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let [first, to_first, len] = [first, to_first, len].map(|count| count * size_of::<T>());
        let (queue, from, to) = (self.queue.as_ptr(), from.mem().as_ptr(), to.mem().as_ptr());
        let (wait, event) = (ptr::null(), ptr::null_mut());
        // SAFETY: two memories of the driver, which checks that the bytes are in them and keeps
        // them until it is done.
        let status = unsafe {
            ffi::clEnqueueCopyBuffer(queue, from, to, first, to_first, len, 0, wait, event)
        };
        Refusal::check(status).map_err(|refusal| self.explained(refusal, "copy", None))
    }

    /// Room for `len` values, all of them zero.
    ///
    /// # Errors
    /// If there is none.
    #[allow(unsafe_code)]
    pub fn zeros<T>(self: &Arc<Self>, len: usize) -> Result<Memory> {
        let memory = self.take::<T>(len)?;
        let bytes = memory.bytes.min(len.max(1) * size_of::<T>());
        // All bytes of a zero are zero.
        let (queue, to, zero) = (self.queue.as_ptr(), memory.mem().as_ptr(), ptr::from_ref(&0u8));
        let (wait, event) = (ptr::null(), ptr::null_mut());
        // SAFETY: a memory of the driver, which checks that the bytes are in it and keeps it until
        // it is done; it copies the zero.
        let status = unsafe {
            ffi::clEnqueueFillBuffer(queue, to, zero.cast(), 1, 0, bytes, 0, wait, event)
        };
        Refusal::check(status)
            .map_err(|refusal| self.explained(refusal, "fill with zeros", None))?;
        Ok(memory)
    }

    /// What is used of its memory.
    pub fn usage(&self) -> Usage {
        self.shelf().usage
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Whatever panicked, it was not halfway through a change.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call's error means. Where memory is scarce a driver may say so at any of them, but
    /// says the same of other resources, and of a device that is lost.
    pub(super) fn explained(&self, refusal: Refusal, action: &str, asked: Option<usize>) -> Error {
        if refusal.is(&[Status::CL_MEM_OBJECT_ALLOCATION_FAILURE]) {
            return self.full(asked);
        }
        let is_scarce = refusal.is(&[
            Status::CL_OUT_OF_RESOURCES,
            Status::CL_OUT_OF_HOST_MEMORY,
            Status::CL_INVALID_BUFFER_SIZE,
        ]);
        if is_scarce && asked.is_some() {
            return self.full(asked);
        }
        if !is_scarce {
            return self.refused(action, refusal);
        }
        let problem = format!(
            "the driver is out of memory or of another resource, or has lost the device \
             ({refusal}); a smaller batch needs less"
        );
        Error::device(&self.properties, action, problem)
    }

    fn full(&self, asked: Option<usize>) -> Error {
        let Properties { memory, largest_buffer, .. } = self.properties;
        Error::DeviceMemory {
            device: self.properties.to_string(),
            asked: asked.map(|bytes| bytes as u64),
            free: memory.saturating_sub(self.usage().used as u64),
            memory,
            largest_buffer,
            fits: None,
            saved: None,
        }
    }
}

impl Memory {
    pub(super) fn mem(&self) -> &Mem {
        self.mem.as_ref().unwrap_or_else(|| unreachable!("taken only when it is dropped"))
    }

    pub(super) fn borrowed(mem: Held<Mem>, bytes: usize, device: Arc<OpenCl>) -> Self {
        Self { mem: Some(mem), bytes, device, is_borrowed: true }
    }

    /// Whether it is the host's, and must not be written to.
    pub fn is_borrowed(&self) -> bool {
        self.is_borrowed
    }

    /// Whose it is.
    pub fn device(&self) -> &Arc<OpenCl> {
        &self.device
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(mem) = self.mem.take().filter(|_| !self.is_borrowed) {
            self.device.shelf().put(self.bytes, mem);
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {:?}", self.bytes, self.device)
    }
}

impl Shelf {
    /// The smallest piece of at least so many bytes and at most an eighth more.
    fn find(&mut self, bytes: usize) -> Option<(usize, Held<Mem>)> {
        let fits = |size: usize| (bytes..=bytes + bytes / 8).contains(&size);
        let unused = self.unused.iter().enumerate().rev().filter(|(_, (size, _))| fits(*size));
        let index = unused.min_by_key(|(_, (size, _))| *size).map(|(index, _)| index)?;
        let found = self.unused.remove(index)?;
        self.usage.unused -= found.0;
        Some(found)
    }

    fn put(&mut self, bytes: usize, mem: Held<Mem>) {
        self.usage.used -= bytes;
        self.usage.unused += bytes;
        self.unused.push_back((bytes, mem));
        self.make_room(0);
    }

    /// Gives back what lay unused for longest, until there is room below the limit for so many
    /// bytes. The driver keeps what an enqueued kernel still needs.
    fn make_room(&mut self, coming: usize) {
        let limit = self.usage.peak + self.usage.peak / 8;
        while self.usage.used + self.usage.unused + coming > limit {
            let Some((bytes, _)) = self.unused.pop_front() else { break };
            self.usage.unused -= bytes;
        }
    }

    fn clear(&mut self) {
        self.unused.clear();
        self.usage.unused = 0;
    }
}
