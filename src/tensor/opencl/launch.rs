//! How a kernel is told its arguments and sent off.

use super::refusal::Refusal;
use super::{Memory, OpenCl, Program};
use crate::tensor::Element;
use crate::{Error, Result};
use ocl::core::{ArgVal, ClNullEventPtr, ffi};
use std::ffi::c_void;
use std::ptr;
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

    /// A vector of 2, 4, or 8 `int`s, or a struct of at most 16 of them.
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

    /// A vector of 2, 4, or 8 `ulong`s.
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
        let refused = |refusal| device.explained(refusal, &format!("run {name}"), None);
        for (index, argument) in arguments.iter().enumerate() {
            let value = match argument {
                Argument::Memory(memory) => ArgVal::mem(memory.mem()),
                // SAFETY: so many bytes are there, and outlive the call that copies them.
                Argument::Number(bytes, len) => unsafe {
                    ArgVal::from_raw(*len, bytes.as_ptr().cast::<c_void>(), false)
                },
            };
            let (size, value) = value.as_raw();
            // SAFETY: so many bytes of a number or a memory's handle are there, which the call
            // copies, and checks against what the kernel takes.
            let status = unsafe { ffi::clSetKernelArg(kernel.as_ptr(), index as u32, size, value) };
            Refusal::check(status).map_err(refused)?;
        }
        for (first, count) in slices(global, local) {
            let mut event = device.events.wanted();
            // SAFETY: the driver has checked the arguments' sizes against the kernel's; that it
            // stays within its buffers is what the comment over each kernel asks of its caller, and
            // what `devices --check` and the tests look at. All buffers live until the kernel is
            // done: the driver holds them.
            let status = unsafe {
                ffi::clEnqueueNDRangeKernel(
                    device.queue.as_ptr(),
                    kernel.as_ptr(),
                    3,
                    first.as_ptr(),
                    count.as_ptr(),
                    local.as_ptr(),
                    0,
                    ptr::null(),
                    event.as_deref_mut().map_or(ptr::null_mut(), |mut event| event.alloc_new()),
                )
            };
            Refusal::check(status).map_err(refused)?;
            device.events.note(name, event);
        }
        Ok(())
    }
}

/// First work-item and count of the pieces that a launch is cut into along its second and third
/// axis, where NVIDIA takes no more than 65 535 groups. `get_global_id` counts on from piece to
/// piece, `get_group_id` does not; so kernels ask for the former where there may be as many.
fn slices(global: [usize; 3], local: [usize; 3]) -> impl Iterator<Item = ([usize; 3], [usize; 3])> {
    const GROUPS: usize = 65_535;
    let pieces = move |axis: usize| {
        let most = GROUPS * local[axis];
        (0..global[axis]).step_by(most).map(move |first| (first, most.min(global[axis] - first)))
    };
    pieces(2).flat_map(move |(z, deep)| {
        pieces(1).map(move |(y, down)| ([0, y, z], [global[0], down, deep]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_cut_where_a_device_takes_no_more() {
        let cut = |global, local| slices(global, local).collect::<Vec<_>>();
        let whole = [1 << 20, 65_535, 65_535];
        assert_eq!(cut(whole, [1; 3]), [([0; 3], whole)]);
        assert_eq!(
            cut([4, 1 << 20, 1], [2, 16, 1]),
            [([0, 0, 0], [4, 65_535 * 16, 1]), ([0, 65_535 * 16, 0], [4, 16, 1]),]
        );
        let pieces = cut([1, 70_000, 140_000], [1; 3]);
        assert_eq!(pieces.len(), 6);
        assert_eq!(pieces[5], ([0, 65_535, 131_070], [1, 4_465, 8_930]));
    }
}
