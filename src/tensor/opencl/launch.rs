//! How a kernel is told its arguments and sent off.

use super::{Memory, OpenCl, Program};
use crate::tensor::Element;
use crate::{Error, Result};
use ocl::core::{ArgVal, Event};
use std::ffi::c_void;
use std::sync::{Arc, PoisonError};

/// A kernel with its arguments, in the order in which its source has them.
#[must_use = "it has to be run"]
pub struct Launch<'a> {
    device: &'a Arc<OpenCl>,
    program: Program,
    options: String,
    kernel: &'static str,
    arguments: Vec<Argument<'a>>,
    /// A size that no `int` holds.
    too_large: Option<usize>,
}

/// Work-items along each axis.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// All of them; a multiple of those of a group.
    pub global: [usize; 3],
    /// Those of a group.
    pub local: [usize; 3],
}

enum Argument<'a> {
    Memory(&'a Memory),
    /// A number or a small vector of such: its bytes, and how many they are.
    Number([u8; 64], usize),
}

impl<'a> Launch<'a> {
    /// Of a kernel that computes in `T`.
    pub fn new<T: Element>(
        device: &'a Arc<OpenCl>,
        program: Program,
        options: &str,
        kernel: &'static str,
    ) -> Self {
        let real = if size_of::<T>() == size_of::<f64>() { "double" } else { "float" };
        let options = format!("-D REAL={real} {options}");
        Self { device, program, options, kernel, arguments: Vec::new(), too_large: None }
    }

    /// A pointer to memory.
    pub fn memory(mut self, memory: &'a Memory) -> Self {
        self.arguments.push(Argument::Memory(memory));
        self
    }

    /// A `REAL`.
    pub fn real<T: Element>(self, value: T) -> Self {
        if size_of::<T>() == size_of::<f64>() {
            self.bytes(&value.widen().to_ne_bytes())
        } else {
            self.bytes(&(value.widen() as f32).to_ne_bytes())
        }
    }

    /// An `int`; one that is too large for it is an error of [`run`](Self::run).
    pub fn int(self, value: usize) -> Self {
        self.ints(&[value])
    }

    /// Something that the kernel works out in an `int` though it is no argument.
    pub fn works_out(mut self, value: usize) -> Self {
        let fits = i32::try_from(value).is_ok();
        self.too_large = (!fits).then_some(value).or(self.too_large);
        self
    }

    /// A vector of `int`s, of 1, 2, 4, or 8.
    pub fn ints(mut self, values: &[usize]) -> Self {
        let fits = |value: &usize| i32::try_from(*value).is_ok();
        self.too_large = values.iter().copied().find(|value| !fits(value)).or(self.too_large);
        let value = |&value: &usize| (value as u32).to_ne_bytes();
        self.bytes(&values.iter().map(value).collect::<Vec<_>>().concat())
    }

    /// A `ulong`.
    pub fn long(self, value: usize) -> Self {
        self.longs(&[value])
    }

    /// A vector of `ulong`s, of 1, 2, 4, or 8.
    pub fn longs(self, values: &[usize]) -> Self {
        let value = |&value: &usize| (value as u64).to_ne_bytes();
        self.bytes(&values.iter().map(value).collect::<Vec<_>>().concat())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut all = [0; 64];
        all[..bytes.len()].copy_from_slice(bytes);
        self.arguments.push(Argument::Number(all, bytes.len()));
        self
    }

    /// Enqueues it over so many work-items.
    ///
    /// # Errors
    /// If it cannot be compiled, its arguments are not what it takes, or the device refuses.
    #[allow(unsafe_code)]
    pub fn run(self, Sizes { global, local }: Sizes) -> Result<()> {
        let local = Some(local);
        if global.contains(&0) {
            // Nothing is to be done, which OpenCL would call an error.
            return Ok(());
        }
        let Self { device, program, options, kernel: name, arguments, too_large } = self;
        if let Some(size) = too_large {
            let problem = format!("a size of {size} is beyond its 32 bits; a smaller batch is not");
            return Err(Error::device(device.properties(), format!("run {name}"), problem));
        }
        let kernel = device.kernel(program, options, name)?;
        let kernel = kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let refused =
            |error: ocl::core::Error| device.explained(&error, &format!("run {name}"), None);
        for (index, argument) in arguments.iter().enumerate() {
            let value = match argument {
                Argument::Memory(memory) => ArgVal::mem(memory.mem()),
                // SAFETY: so many bytes are there, and outlive the call that copies them.
                Argument::Number(bytes, len) => unsafe {
                    ArgVal::from_raw(*len, bytes.as_ptr().cast::<c_void>(), false)
                },
            };
            ocl::core::set_kernel_arg(&kernel, index as u32, value).map_err(refused)?;
        }
        let (wait, event) = (None::<&Event>, None::<&mut Event>);
        // SAFETY: the driver has checked the arguments' sizes against the kernel's; that it stays
        // within its buffers is what the comment over each kernel asks of its caller, and what
        // `devices --check` and the tests look at. All buffers live until the kernel is done: the
        // driver holds them.
        unsafe {
            ocl::core::enqueue_kernel(&device.queue, &kernel, 3, None, &global, local, wait, event)
        }
        .map_err(refused)
    }
}
