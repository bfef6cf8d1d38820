//! From arrays of other libraries and to them, where possible without a copy.

#![allow(unsafe_code)]

use crate::dlpack;
use crate::outside::raised;
use crate::tensor::Tensor as PyTensor;
use numpy::{
    PyArray, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods, dtype,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::fmt;
use std::sync::Arc;
use zoo_tuning::ndarray::{ArrayViewD, IxDyn};
use zoo_tuning::tensor::{Lender, Tensor, buffer};

/// An array of NumPy whose values are used where they are.
struct Lent {
    /// Keeps the memory.
    _array: Py<PyArrayDyn<f32>>,
    first: *const f32,
    count: usize,
}

// SAFETY: the memory is only read, and lives as long as the array, which may be let go from any thread.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} values of NumPy", self.count)
    }
}

impl Lender<f32> for Lent {
    fn values(&self) -> &[f32] {
        // SAFETY: an array in row-major order has so many values there for as long as it lives, and it
        // is held beside. That nobody writes there while it is read is asked of the user.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

/// The numbers that Python gives: a tensor, an array, what has `__dlpack__`, or lists of numbers. Values
/// of 32 bits in row-major order stay where they are, others are copied.
pub fn tensor_from(object: &Bound<PyAny>) -> PyResult<Tensor<f32>> {
    if let Ok(tensor) = object.cast::<PyTensor>() {
        return Ok(tensor.get().variable().value());
    }
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        return from_numpy(array);
    }
    if object.hasattr("__dlpack__")? {
        if let Some(tensor) = dlpack::borrow(object)? {
            return Ok(tensor);
        }
        // NumPy reads all types and strides, or says why not.
        let array = numpy(object.py())?.call_method1("from_dlpack", (object,))?;
        return from_numpy(array.cast()?);
    }
    taken(as_array(object)?.cast()?)
}

fn numpy(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    NUMPY.get_or_try_init(py, || Ok(py.import("numpy")?.unbind())).map(|module| module.bind(py))
}

/// What NumPy makes of lists.
fn as_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    numpy(object.py())?.call_method1("asarray", (object,))
}

fn from_numpy(array: &Bound<PyUntypedArray>) -> PyResult<Tensor<f32>> {
    let py = array.py();
    has_room(array.ndim())?;
    let is_plain = array.dtype().is_equiv_to(&dtype::<f32>(py)) && array.is_c_contiguous();
    if !is_plain {
        let kind = array.dtype().kind();
        if !b"fiub".contains(&kind) {
            let text = format!("expected numbers, found an array of {}", array.dtype());
            return Err(PyTypeError::new_err(text));
        }
        // One behind the other and aligned: of a field of records, the steps are no whole numbers of values.
        let numbers = numpy(py)?.call_method1("require", (array, dtype::<f32>(py), "CA"))?;
        return from_numpy(numbers.cast()?);
    }
    let array = array.cast::<PyArrayDyn<f32>>()?;
    let (shape, count, first) = (array.shape(), array.len(), array.data().cast_const());
    if count == 0 {
        return Tensor::new(shape, vec![]).map_err(raised);
    }
    if !first.is_aligned() {
        let values = array.call_method0("copy")?;
        return from_numpy(values.cast()?);
    }
    let lent = Lent { _array: array.clone().unbind(), first, count };
    Tensor::lent(shape, Arc::new(lent)).map_err(raised)
}

/// Whether an array of so many axes can be made; the crate between here and NumPy goes no further.
fn has_room(axes: usize) -> PyResult<()> {
    const MOST: usize = 32;
    match axes {
        0..=MOST => Ok(()),
        _ => Err(PyValueError::new_err(format!("expected at most {MOST} axes, found {axes}"))),
    }
}

/// The same of an array that nobody else has: its values become the tensor's own.
fn taken(array: &Bound<PyUntypedArray>) -> PyResult<Tensor<f32>> {
    let tensor = from_numpy(array)?;
    match tensor.is_lent() {
        true => Tensor::new(tensor.shape(), buffer::copy(tensor.as_slice())).map_err(raised),
        false => Ok(tensor),
    }
}

/// Class numbers, one for each sample: integers from 0 on.
pub fn labels_from(object: &Bound<PyAny>) -> PyResult<Vec<usize>> {
    let array = match object.cast::<PyUntypedArray>() {
        Ok(array) => array.as_any().clone(),
        Err(_) if object.hasattr("__dlpack__")? => {
            numpy(object.py())?.call_method1("from_dlpack", (object,))?
        }
        Err(_) => as_array(object)?,
    };
    let untyped = array.cast::<PyUntypedArray>()?;
    if untyped.len() > 0 && !b"iu".contains(&untyped.dtype().kind()) {
        let text = format!("labels should be integers, but are {}", untyped.dtype());
        return Err(PyTypeError::new_err(text));
    }
    if untyped.ndim() != 1 {
        let text = format!("labels should have shape [N], but have {:?}", untyped.shape());
        return Err(PyValueError::new_err(text));
    }
    let whole = array.call_method1("astype", (dtype::<i64>(object.py()),))?;
    let whole = whole.cast::<PyArray<i64, numpy::Ix1>>()?.readonly();
    let number = |&label: &i64| {
        let wrong = || PyValueError::new_err(format!("a label is {label}; they count from 0"));
        usize::try_from(label).map_err(|_| wrong())
    };
    whole.as_array().iter().map(number).collect()
}

/// Keeps the values of an array of NumPy that does not own them.
#[pyclass(frozen)]
struct Memory {
    tensor: Tensor<f32>,
}

/// An array over the tensor's own memory, to be read.
pub fn shown<'py>(py: Python<'py>, tensor: Tensor<f32>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    has_room(tensor.shape().len())?;
    // Half precision of a file is converted here, which takes a while.
    let tensor = crate::outside::outside(py, || {
        tensor.as_slice();
        Ok(tensor)
    })?;
    let memory = Bound::new(py, Memory { tensor })?;
    let tensor = &memory.get().tensor;
    let view: ArrayViewD<f32> = tensor.view::<IxDyn>().map_err(raised)?;
    // SAFETY: the array keeps `memory` as its base, whose tensor nobody can reach to change it.
    let array = unsafe { PyArrayDyn::borrow_from_array(&view, memory.clone().into_any()) };
    array.call_method1("setflags", (false,))?;
    Ok(array)
}

/// An array that takes the values over.
pub fn given(py: Python<'_>, tensor: Tensor<f32>) -> PyResult<Bound<'_, PyArrayDyn<f32>>> {
    has_room(tensor.shape().len())?;
    let array = tensor.into_array::<IxDyn>().map_err(raised)?;
    Ok(PyArrayDyn::from_owned_array(py, array))
}
