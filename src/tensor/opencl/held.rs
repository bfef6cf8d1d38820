//! What a driver made for us, and how it is given back.

use ocl::core::{CommandQueue, Context, Event, Kernel, Mem, Program, ffi};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// Something of a driver's that is ours, given back when it is dropped. A driver whose device is
/// lost may refuse to take it; ocl-core would panic then, where there is nothing to be saved and
/// the error that matters is on its way.
pub(super) struct Held<T: Release>(ManuallyDrop<T>);

/// What can be given back.
pub(super) trait Release {
    /// Gives it back, which the driver may refuse.
    ///
    /// # Safety
    /// It is not used from then on, nor given back once more.
    #[allow(unsafe_code)]
    unsafe fn release(&self);
}

impl<T: Release> From<T> for Held<T> {
    fn from(made: T) -> Self {
        Self(ManuallyDrop::new(made))
    }
}

impl<T: Release> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Release> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Release> Drop for Held<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: nobody has it any more who could use it, and what is in `ManuallyDrop` does not
        // give itself back.
        unsafe { self.0.release() };
    }
}

macro_rules! released {
    ($($type:ty: $release:ident),*) => {$(
        impl Release for $type {
            #[allow(unsafe_code)]
            unsafe fn release(&self) {
                // SAFETY: the pointer is that of something made, and counted once for us, which
                // the caller gives up.
                let _ = unsafe { ffi::$release(self.as_ptr()) };
            }
        }
    )*};
}

released! {
    Context: clReleaseContext,
    CommandQueue: clReleaseCommandQueue,
    Mem: clReleaseMemObject,
    Program: clReleaseProgram,
    Kernel: clReleaseKernel
}

impl Release for Event {
    #[allow(unsafe_code)]
    unsafe fn release(&self) {
        // SAFETY: as above, unless there is none, which a kernel that was refused leaves.
        unsafe {
            let event = *self.as_ptr_ref();
            if !event.is_null() {
                let _ = ffi::clReleaseEvent(event);
            }
        }
    }
}
