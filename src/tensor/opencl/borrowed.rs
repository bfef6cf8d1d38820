//! Memory of the host that a device uses where it lies: a tensor of a mapped file, on a device that
//! shares the host's memory, such as the graphics in a processor.
//!
//! Nothing is copied, and of a large file only what is used is ever read. It is for what is read
//! only; the driver must take the address ([`Properties::alignment`](super::Properties), 128 bytes
//! on many), and tensors of a safetensors file lie where the lengths of those before them put
//! them, since the format has no gaps: many a tensor is not aligned so, and is copied as ever.

use super::held::Held;
use super::{Memory, OpenCl};
use crate::tensor::Element;
use crate::zoo::TensorView;
use ocl::core::{Mem, ffi};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

impl OpenCl {
    /// The values of a file as memory of the device, without a copy; `None` where that is not
    /// possible.
    #[allow(unsafe_code)]
    pub(in crate::tensor) fn borrow<T: Element>(
        self: &Arc<Self>,
        view: &TensorView,
    ) -> Option<Memory> {
        let values = view.as_slice::<T>().filter(|values| !values.is_empty())?;
        let (start, bytes) = (values.as_ptr(), size_of_val(values));
        let properties = &self.properties;
        let is_aligned = start.addr().is_multiple_of(properties.alignment.max(1));
        let fits = bytes as u64 <= properties.largest_buffer;
        if !properties.shares_memory || !is_aligned || !fits {
            return None;
        }
        let flags = ffi::CL_MEM_READ_ONLY | ffi::CL_MEM_USE_HOST_PTR;
        let (context, start) = (self.context.as_ptr(), start.cast_mut().cast::<c_void>());
        let mut status = 0;
        // SAFETY: so many bytes are there. The driver does not write to them: the memory is made to
        // be read only, and no kernel of ours gets it to write to (`Tensor::memory_mut` copies it).
        // They stay where they are for as long as the driver has them: until the memory is given
        // back below, before anything was enqueued, or `give_back` is called.
        let raw = unsafe { ffi::clCreateBuffer(context, flags, bytes, start, &mut status) };
        if status != 0 || raw.is_null() {
            return None;
        }
        // SAFETY: it has just been made, and is ours.
        let mem = Held::from(unsafe { Mem::from_raw_create_ptr(raw) });
        let kept = Box::into_raw(Box::new(view.clone())).cast::<c_void>();
        // SAFETY: `give_back` gets what it expects, and once.
        let status = unsafe { ffi::clSetMemObjectDestructorCallback(raw, Some(give_back), kept) };
        if status != 0 {
            drop(mem);
            give_back(ptr::null_mut(), kept);
            return None;
        }
        Some(Memory::borrowed(mem, bytes, self.clone()))
    }
}

/// Called when a memory is gone that used the values of a view, and with it all that was enqueued
/// and needed it: to release a memory does not wait for that, but to unmap the file would not
/// either. Where the driver never calls it, as with a lost device, the file stays mapped.
#[allow(unsafe_code)]
extern "C" fn give_back(_: ffi::cl_mem, kept: *mut c_void) {
    // SAFETY: only `borrow` hands this function out, with a box of a view that nobody else has, to
    // be called once.
    drop(unsafe { Box::from_raw(kept.cast::<TensorView>()) });
}
