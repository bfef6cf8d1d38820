//! The structs by which libraries lend each other memory: DLPack, whose names are kept here.
//!
//! A library that lends wraps a tensor into a capsule; who borrows takes the tensor out, renames the
//! capsule, and calls the tensor's deleter in the end.

#![allow(unsafe_code)]

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_void};
use std::sync::Arc;
use zoo_tuning::tensor::{Lender, Tensor};

const CPU: i32 = 1;
const FLOAT: u8 = 2;
const READ_ONLY: u64 = 1;

const PLAIN: &CStr = c"dltensor";
const PLAIN_USED: &CStr = c"used_dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const VERSIONED_USED: &CStr = c"used_dltensor_versioned";

#[repr(C)]
struct DLDevice {
    device_type: i32,
    device_id: i32,
}

#[repr(C)]
struct DLDataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct DLTensor {
    data: *mut c_void,
    device: DLDevice,
    ndim: i32,
    dtype: DLDataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct DLManagedTensor {
    dl_tensor: DLTensor,
    manager_ctx: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

#[repr(C)]
struct DLPackVersion {
    major: u32,
    minor: u32,
}

#[repr(C)]
struct DLManagedTensorVersioned {
    version: DLPackVersion,
    manager_ctx: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
    flags: u64,
    dl_tensor: DLTensor,
}

/// What a capsule of ours lives on.
struct Lent {
    /// Keeps the memory.
    _tensor: Tensor<f32>,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

/// Memory that is lent.
pub struct Loan {
    tensor: Tensor<f32>,
    data: *mut f32,
    read_only: bool,
}

/// A tensor's memory, to be lent: its own, to be read and written, which is copied before if it is shared;
/// that of a file, or of somebody else, to be read. What `is_lent` already is lent once more, so that
/// all borrowers have the same.
pub fn loan(tensor: &mut Tensor<f32>, is_lent: bool) -> Loan {
    let read_only = tensor.is_mapped() || tensor.is_lent();
    let data = match read_only || is_lent {
        true => tensor.as_slice().as_ptr().cast_mut(),
        false => tensor.as_mut_slice().as_mut_ptr(),
    };
    Loan { tensor: tensor.clone(), data, read_only }
}

/// The capsule of a loan. Versioned ones alone say what is to be read only.
pub fn lend(py: Python<'_>, loan: Loan, versioned: bool) -> PyResult<Bound<'_, PyAny>> {
    let Loan { tensor, data, read_only } = loan;
    if read_only && !versioned {
        return Err(PyBufferError::new_err(
            "the values lie in a file, or are another library's, and are to be read alone, which this \
             version of DLPack cannot say; copy them first: numpy().copy()",
        ));
    }
    let shape: Vec<i64> = tensor.shape().iter().map(|&size| size as i64).collect();
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    let lent = Box::into_raw(Box::new(Lent { _tensor: tensor, shape, strides }));
    // SAFETY: it was just made, and nobody else knows of it yet.
    let Lent { shape, strides, .. } = unsafe { &mut *lent };
    let dl_tensor = DLTensor {
        data: data.cast(),
        device: DLDevice { device_type: CPU, device_id: 0 },
        ndim: shape.len() as i32,
        dtype: DLDataType { code: FLOAT, bits: 32, lanes: 1 },
        shape: shape.as_mut_ptr(),
        strides: strides.as_mut_ptr(),
        byte_offset: 0,
    };
    let manager_ctx = lent.cast();
    let capsule = if versioned {
        let managed = Box::into_raw(Box::new(DLManagedTensorVersioned {
            version: DLPackVersion { major: 1, minor: 0 },
            manager_ctx,
            deleter: Some(delete_versioned),
            flags: if read_only { READ_ONLY } else { 0 },
            dl_tensor,
        }));
        // SAFETY: the name is static, and the destructor knows what the capsule holds.
        unsafe { ffi::PyCapsule_New(managed.cast(), VERSIONED.as_ptr(), Some(destroy)) }
    } else {
        let managed = Box::into_raw(Box::new(DLManagedTensor {
            dl_tensor,
            manager_ctx,
            deleter: Some(delete_plain),
        }));
        // SAFETY: as above.
        unsafe { ffi::PyCapsule_New(managed.cast(), PLAIN.as_ptr(), Some(destroy)) }
    };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, capsule) }
}

/// Called by whoever has borrowed, once.
unsafe extern "C" fn delete_plain(managed: *mut DLManagedTensor) {
    // SAFETY: `lend` has made both boxes, and they are given back here alone.
    unsafe {
        let managed = Box::from_raw(managed);
        drop(Box::from_raw(managed.manager_ctx.cast::<Lent>()));
    }
}

/// As [`delete_plain`].
unsafe extern "C" fn delete_versioned(managed: *mut DLManagedTensorVersioned) {
    // SAFETY: as above.
    unsafe {
        let managed = Box::from_raw(managed);
        drop(Box::from_raw(managed.manager_ctx.cast::<Lent>()));
    }
}

/// Called by Python for a capsule that goes away: one that nobody has borrowed from still has its
/// name.
unsafe extern "C" fn destroy(capsule: *mut ffi::PyObject) {
    // SAFETY: the capsule is one of `lend`, and a pointer is taken out under the name that stands for
    // its type alone.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, PLAIN.as_ptr()) == 1 {
            delete_plain(ffi::PyCapsule_GetPointer(capsule, PLAIN.as_ptr()).cast());
        } else if ffi::PyCapsule_IsValid(capsule, VERSIONED.as_ptr()) == 1 {
            delete_versioned(ffi::PyCapsule_GetPointer(capsule, VERSIONED.as_ptr()).cast());
        }
    }
}

/// A tensor of another library, to be given back.
#[derive(Debug)]
enum Borrowed {
    Plain(*mut DLManagedTensor),
    Versioned(*mut DLManagedTensorVersioned),
}

// SAFETY: the memory is reached by this owner alone, and only to be read; deleters may be called from
// any thread (those that hold Python's objects take its lock themselves).
unsafe impl Send for Borrowed {}
// SAFETY: as above.
unsafe impl Sync for Borrowed {}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: the pointer was taken out of a capsule that was renamed, so it is ours to give back,
        // once.
        unsafe {
            match *self {
                Self::Plain(managed) => {
                    if let Some(delete) = (*managed).deleter {
                        delete(managed);
                    }
                }
                Self::Versioned(managed) => {
                    if let Some(delete) = (*managed).deleter {
                        delete(managed);
                    }
                }
            }
        }
    }
}

impl Borrowed {
    fn tensor(&self) -> &DLTensor {
        // SAFETY: it lives until it is deleted, which is when this is dropped.
        unsafe {
            match *self {
                Self::Plain(managed) => &(*managed).dl_tensor,
                Self::Versioned(managed) => &(*managed).dl_tensor,
            }
        }
    }

    /// The sizes, if the values are numbers of 32 bits of this machine's memory, in row-major order.
    fn shape(&self) -> Option<Vec<usize>> {
        let tensor = self.tensor();
        let DLDataType { code, bits, lanes } = tensor.dtype;
        if (code, bits, lanes, tensor.device.device_type) != (FLOAT, 32, 1, CPU) {
            return None;
        }
        let axes = usize::try_from(tensor.ndim).ok()?;
        if axes == 0 {
            return Some(vec![]);
        }
        // SAFETY: as the format says, there is a size for each axis, and a stride unless there are none.
        let (shape, strides) = unsafe {
            let shape = std::slice::from_raw_parts(tensor.shape, axes);
            let strides = (!tensor.strides.is_null())
                .then(|| std::slice::from_raw_parts(tensor.strides, axes));
            (shape, strides)
        };
        let mut expected = 1i64;
        for axis in (0..axes).rev() {
            if strides.is_some_and(|strides| shape[axis] > 1 && strides[axis] != expected) {
                return None;
            }
            expected = expected.checked_mul(shape[axis].max(1))?;
        }
        shape.iter().map(|&size| usize::try_from(size).ok()).collect()
    }
}

#[derive(Debug)]
struct Values {
    /// Keeps the memory.
    _owner: Borrowed,
    first: *const f32,
    count: usize,
}

// SAFETY: the memory is only read, and lives as long as its owner.
unsafe impl Send for Values {}
// SAFETY: as above.
unsafe impl Sync for Values {}

impl Lender<f32> for Values {
    fn values(&self) -> &[f32] {
        // SAFETY: `borrow` has checked what is there; it is there as long as the owner, which lies
        // beside. That nobody writes there while it is read is asked of the user.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

/// The memory of another library's tensor, used where it is; `None` if its numbers are of another type,
/// elsewhere, or not in row-major order.
pub fn borrow(object: &Bound<PyAny>) -> PyResult<Option<Tensor<f32>>> {
    let py = object.py();
    let arguments = pyo3::types::PyDict::new(py);
    arguments.set_item("max_version", (1, 0))?;
    let capsule = match object.call_method("__dlpack__", (), Some(&arguments)) {
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) => {
            object.call_method0("__dlpack__")?
        }
        other => other?,
    };
    let pointer = capsule.as_ptr();
    // SAFETY: the names say what the capsules hold; once renamed, that is ours to give back.
    let owner = unsafe {
        if ffi::PyCapsule_IsValid(pointer, VERSIONED.as_ptr()) == 1 {
            let managed: *mut DLManagedTensorVersioned =
                ffi::PyCapsule_GetPointer(pointer, VERSIONED.as_ptr()).cast();
            if (*managed).version.major != 1 {
                return Ok(None);
            }
            ffi::PyCapsule_SetName(pointer, VERSIONED_USED.as_ptr());
            Borrowed::Versioned(managed)
        } else if ffi::PyCapsule_IsValid(pointer, PLAIN.as_ptr()) == 1 {
            let managed = ffi::PyCapsule_GetPointer(pointer, PLAIN.as_ptr()).cast();
            ffi::PyCapsule_SetName(pointer, PLAIN_USED.as_ptr());
            Borrowed::Plain(managed)
        } else {
            return Err(PyBufferError::new_err("__dlpack__ gave no capsule of a tensor"));
        }
    };
    let Some(shape) = owner.shape() else { return Ok(None) };
    let DLTensor { data, byte_offset, .. } = *owner.tensor();
    let first = data.cast::<u8>().wrapping_add(byte_offset as usize).cast::<f32>();
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let Some(count) = count.filter(|&count| count <= isize::MAX as usize / size_of::<f32>()) else {
        return Ok(None);
    };
    if count == 0 {
        return Tensor::new(&shape, vec![]).map(Some).map_err(crate::outside::raised);
    }
    if first.is_null() || !first.is_aligned() {
        return Ok(None);
    }
    let values = Arc::new(Values { _owner: owner, first, count });
    Tensor::lent(&shape, values).map(Some).map_err(crate::outside::raised)
}
