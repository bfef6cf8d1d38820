//! The class `Tensor`: a value that knows what it was made of, with operators.

use crate::array::{labels_from, shown, tensor_from};
use crate::dlpack;
use crate::elementwise::{absolute, divided, expanded, power};
use crate::graph::{self, Variable, apply};
use crate::outside::outside;
use numpy::PyArrayDyn;
use pyo3::exceptions::{PyBufferError, PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PySlice, PyTuple};
use std::ops::Range;
use std::sync::Arc;
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::{Error, Result, ops, tensor};

/// Numbers of 32 bits in row-major order, and how they were made, if a gradient leads through them.
///
/// `Tensor(data)` takes an array of NumPy, whatever has `__dlpack__` (arrays of torch and jax), a tensor, or
/// lists of numbers. Numbers of 32 bits in row-major order are used where they are, and should not be
/// written to while something is computed of them; others are copied. With `requires_grad=True` the tensor
/// is a parameter, whose `grad` is what `backward` brings.
///
/// `+ - * /` work value by value, on shapes that are broadcast as NumPy does; `**` takes a number, `@`
/// matrices. Raises ValueError if shapes do not fit.
#[pyclass(frozen, module = "zoo_tuning")]
pub struct Tensor(Arc<Variable>);

impl Tensor {
    /// What the class wraps.
    pub fn variable(&self) -> &Arc<Variable> {
        &self.0
    }

    /// A tensor around what was made.
    pub fn around(variable: Arc<Variable>) -> Self {
        Self(variable)
    }

    /// What an operation makes of this alone.
    fn applied(
        &self,
        py: Python,
        operation: impl FnOnce(&mut Tape<f32>, Var) -> Result<Var> + Send,
    ) -> PyResult<Self> {
        let inputs = [self.0.clone()];
        outside(py, move || apply(&inputs, |tape, vars| operation(tape, vars[0]))).map(Self)
    }

    /// What an operation makes of two values, both in the shape that they are broadcast to.
    fn both(
        py: Python,
        a: Arc<Variable>,
        b: Arc<Variable>,
        work: impl FnOnce(&[Arc<Variable>]) -> Result<Arc<Variable>> + Send,
    ) -> PyResult<Self> {
        outside(py, move || {
            let shape = broadcast(a.value().shape(), b.value().shape())?;
            work(&[expanded(a, &shape)?, expanded(b, &shape)?])
        })
        .map(Self)
    }

    fn shape_of(&self) -> Vec<usize> {
        self.0.value().shape().to_vec()
    }
}

/// The variable of a tensor, or a constant of whatever else holds numbers.
pub fn variable(object: &Bound<PyAny>) -> PyResult<Arc<Variable>> {
    match object.cast::<Tensor>() {
        Ok(tensor) => Ok(tensor.get().0.clone()),
        Err(_) => tensor_from(object).map(Variable::constant),
    }
}

/// The shape that both are repeated to.
fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let axes = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(axes).map_or(1, |axis| shape[axis])
    };
    let both = |axis| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let shape: Option<Vec<usize>> = (0..axes).map(both).collect();
    shape.ok_or_else(|| {
        let expected = format!("one that is broadcast to {a:?}");
        Error::shape("operator", "second operand", expected, b)
    })
}

/// The axes that an argument names, counted from 0; all if it names none.
fn axes(argument: Option<&Bound<PyAny>>, count: usize) -> PyResult<Option<Vec<usize>>> {
    let Some(argument) = argument else { return Ok(None) };
    let named: Vec<isize> = match argument.extract::<isize>() {
        Ok(axis) => vec![axis],
        Err(_) => argument.extract()?,
    };
    let axis = |axis: isize| {
        let from_first = if axis < 0 { axis + count as isize } else { axis };
        usize::try_from(from_first).ok().filter(|&axis| axis < count).ok_or_else(|| {
            PyValueError::new_err(format!("there is no axis {axis} in a tensor of {count} axes"))
        })
    };
    named.into_iter().map(axis).collect::<PyResult<_>>().map(Some)
}

#[pymethods]
impl Tensor {
    #[new]
    #[pyo3(signature = (data, *, requires_grad = false))]
    fn new(data: &Bound<PyAny>, requires_grad: bool) -> PyResult<Self> {
        let value = tensor_from(data)?;
        Ok(Self(if requires_grad { Variable::parameter(value) } else { Variable::constant(value) }))
    }

    /// NumPy leaves operators between its arrays and tensors to these.
    #[classattr]
    #[pyo3(name = "__array_ufunc__")]
    fn array_ufunc() -> Option<bool> {
        None
    }

    /// The sizes of the axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.shape_of())
    }

    /// The number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.shape_of().len()
    }

    /// The number of values.
    #[getter]
    fn size(&self) -> usize {
        self.0.value().len()
    }

    /// Whether a gradient leads here: to a parameter, or to what was made of one.
    #[getter]
    fn requires_grad(&self) -> bool {
        self.0.needs_gradient()
    }

    /// Of a parameter, the sum of the gradients that `backward` brought so far, to be read; None before.
    /// Set it to None to begin anew.
    #[getter]
    fn grad<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArrayDyn<f32>>>> {
        self.0.gradient().map(|gradient| shown(py, gradient)).transpose()
    }

    #[setter]
    fn set_grad(&self, nothing: &Bound<PyAny>) -> PyResult<()> {
        if !nothing.is_none() {
            return Err(PyValueError::new_err("a gradient may be set to None alone"));
        }
        self.0.forget_gradient();
        Ok(())
    }

    /// Computes how this value changes with each parameter that it was made of, and adds that to their
    /// `grad`, and to the gradients of networks. A tensor of several values needs a `gradient` of its
    /// shape to begin with. Each result can be walked back from once.
    #[pyo3(signature = (gradient = None))]
    fn backward(&self, py: Python, gradient: Option<&Bound<PyAny>>) -> PyResult<()> {
        let seed = gradient.map(tensor_from).transpose()?;
        let output = self.0.clone();
        outside(py, move || {
            // A copy: it may become a gradient as it is, which nobody else should change later.
            let own = |seed: tensor::Tensor<f32>| {
                tensor::Tensor::new(seed.shape(), tensor::buffer::copy(seed.as_slice()))
            };
            graph::backward(&output, seed.map(own).transpose()?)
        })
    }

    /// The same values, of which nothing is known but themselves; nothing is copied.
    fn detach(&self) -> Self {
        Self(Variable::constant(self.0.value()))
    }

    /// The values as an array of NumPy over the same memory, to be read. It keeps them as they are now,
    /// unless that memory is another's, or lent to another, who changes it.
    fn numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        shown(py, self.0.value())
    }

    /// The value of a tensor that has one.
    fn item(&self) -> PyResult<f32> {
        self.0.value().item().map_err(crate::outside::raised)
    }

    fn __float__(&self) -> PyResult<f32> {
        self.item()
    }

    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = self.numpy(py)?.into_any();
        let converted = match dtype {
            Some(dtype) => array.call_method1("astype", (dtype, "K", "unsafe", true, false))?,
            None => array.clone(),
        };
        match copy {
            Some(true) => converted.call_method0("copy"),
            Some(false) if !converted.is(&array) => {
                Err(PyValueError::new_err("another type than float32 needs a copy"))
            }
            _ => Ok(converted),
        }
    }

    /// The memory for another library, which shares it: `torch.from_dlpack(tensor)`. Values that lie in
    /// a mapped file, or are another library's already, are to be read only.
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if stream.is_some() || dl_device.is_some_and(|device| device != (1, 0)) {
            return Err(PyBufferError::new_err("the values are in the processor's memory"));
        }
        if self.0.needs_gradient() {
            let text = "the tensor takes part in a gradient; detach() it first";
            return Err(PyBufferError::new_err(text));
        }
        let loan = if copy == Some(true) {
            let values = self.0.value();
            let copied =
                tensor::Tensor::new(values.shape(), tensor::buffer::copy(values.as_slice()));
            dlpack::loan(&mut copied.map_err(crate::outside::raised)?, false)
        } else {
            self.0.loan()
        };
        dlpack::lend(py, loan, max_version.is_some_and(|(major, _)| major >= 1))
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }

    fn __len__(&self) -> PyResult<usize> {
        let first = self.shape_of().first().copied();
        first.ok_or_else(|| PyTypeError::new_err("a tensor without axes has no length"))
    }

    fn __repr__(&self, py: Python) -> PyResult<String> {
        let values: String = self.numpy(py)?.str()?.extract()?;
        let gradient = if self.0.needs_gradient() { ", requires_grad=True" } else { "" };
        Ok(format!("Tensor({values}, shape={:?}{gradient})", self.shape_of()))
    }

    fn __add__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let (a, b) = (self.0.clone(), variable(other)?);
        Self::both(py, a, b, |both| apply(both, |tape, v| ops::add(tape, v[0], v[1])))
    }

    fn __radd__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        self.__add__(py, other)
    }

    fn __sub__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let (a, b) = (self.0.clone(), variable(other)?);
        Self::both(py, a, b, |both| apply(both, |tape, v| ops::sub(tape, v[0], v[1])))
    }

    fn __rsub__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let (a, b) = (variable(other)?, self.0.clone());
        Self::both(py, a, b, |both| apply(both, |tape, v| ops::sub(tape, v[0], v[1])))
    }

    fn __mul__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        if other.is_instance_of::<PyFloat>() || other.is_instance_of::<PyInt>() {
            let factor: f64 = other.extract()?;
            return self.applied(py, move |tape, x| ops::scale(tape, x, factor));
        }
        let (a, b) = (self.0.clone(), variable(other)?);
        Self::both(py, a, b, |both| apply(both, |tape, v| ops::mul(tape, v[0], v[1])))
    }

    fn __rmul__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        self.__mul__(py, other)
    }

    fn __truediv__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let (a, b) = (self.0.clone(), variable(other)?);
        Self::both(py, a, b, |both| apply(both, |tape, v| divided(tape, v[0], v[1])))
    }

    fn __rtruediv__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let (a, b) = (variable(other)?, self.0.clone());
        Self::both(py, a, b, |both| apply(both, |tape, v| divided(tape, v[0], v[1])))
    }

    fn __neg__(&self, py: Python) -> PyResult<Self> {
        self.applied(py, |tape, x| ops::scale(tape, x, -1.0))
    }

    fn __abs__(&self, py: Python) -> PyResult<Self> {
        self.applied(py, absolute)
    }

    fn __pow__(&self, py: Python, exponent: f32, modulus: Option<u32>) -> PyResult<Self> {
        if modulus.is_some() {
            return Err(PyTypeError::new_err("a tensor has no power by a modulus"));
        }
        self.applied(py, move |tape, x| power(tape, x, exponent))
    }

    fn __matmul__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let inputs = [self.0.clone(), variable(other)?];
        outside(py, move || apply(&inputs, |tape, v| ops::matmul(tape, v[0], v[1]))).map(Self)
    }

    fn __rmatmul__(&self, py: Python, other: &Bound<PyAny>) -> PyResult<Self> {
        let inputs = [variable(other)?, self.0.clone()];
        outside(py, move || apply(&inputs, |tape, v| ops::matmul(tape, v[0], v[1]))).map(Self)
    }

    /// A part: for each axis from the first on an index, or a slice without a step.
    fn __getitem__(&self, py: Python, key: &Bound<PyAny>) -> PyResult<Self> {
        let keys = match key.cast::<PyTuple>() {
            Ok(keys) => keys.iter().collect(),
            Err(_) => vec![key.clone()],
        };
        let shape = self.shape_of();
        if keys.len() > shape.len() {
            let text = format!("{} indices for a tensor of shape {shape:?}", keys.len());
            return Err(PyIndexError::new_err(text));
        }
        let (mut parts, mut kept) = (Vec::new(), Vec::new());
        for (key, &size) in keys.iter().zip(&shape) {
            let (range, is_kept) = part(key, size)?;
            if is_kept {
                kept.push(range.len());
            }
            parts.push(range);
        }
        kept.extend(&shape[keys.len()..]);
        self.applied(py, move |tape, mut x| {
            for (axis, range) in parts.into_iter().enumerate() {
                if range != (0..shape[axis]) {
                    x = ops::slice(tape, x, axis, range)?;
                }
            }
            ops::reshape(tape, x, &kept)
        })
    }

    /// The same values in another shape; one size may be -1, for what is left.
    #[pyo3(signature = (*shape))]
    fn reshape(&self, py: Python, shape: &Bound<PyTuple>) -> PyResult<Self> {
        let given: Vec<isize> = match shape.extract::<(Vec<isize>,)>() {
            Ok((sizes,)) => sizes,
            Err(_) => shape.extract()?,
        };
        let mut known = given.iter().filter(|&&n| n >= 0).map(|&n| n as usize);
        let known = known.try_fold(1usize, |known, size| known.checked_mul(size));
        let rest = self.size().checked_div(known.unwrap_or(0)).unwrap_or(0);
        let wanted =
            |&size: &isize| if size == -1 { Some(rest) } else { usize::try_from(size).ok() };
        let sizes: Option<Vec<usize>> = given.iter().map(wanted).collect();
        let sizes = sizes.filter(|_| given.iter().filter(|&&size| size < 0).count() < 2);
        let sizes =
            sizes.ok_or_else(|| PyValueError::new_err(format!("there is no shape {given:?}")))?;
        self.applied(py, move |tape, x| ops::reshape(tape, x, &sizes))
    }

    /// The sum of all values, or over `axis` (one, or several).
    #[pyo3(signature = (axis = None))]
    fn sum(&self, py: Python, axis: Option<&Bound<PyAny>>) -> PyResult<Self> {
        let axes = axes(axis, self.ndim())?;
        self.applied(py, move |tape, x| match axes {
            Some(axes) => ops::sum_axes(tape, x, &axes),
            None => ops::sum_all(tape, x),
        })
    }

    /// The mean of all values, or over `axis` (one, or several).
    #[pyo3(signature = (axis = None))]
    fn mean(&self, py: Python, axis: Option<&Bound<PyAny>>) -> PyResult<Self> {
        let axes = axes(axis, self.ndim())?;
        self.applied(py, move |tape, x| match axes {
            Some(axes) => ops::mean_axes(tape, x, &axes),
            None => ops::mean_all(tape, x),
        })
    }

    /// `e` to the power of each value.
    fn exp(&self, py: Python) -> PyResult<Self> {
        self.applied(py, ops::exp)
    }

    /// The natural logarithm of each value.
    fn log(&self, py: Python) -> PyResult<Self> {
        self.applied(py, ops::log)
    }

    /// `max(0, x)` of each value.
    fn relu(&self, py: Python) -> PyResult<Self> {
        self.applied(py, ops::relu)
    }

    /// `1 / (1 + exp(-x))` of each value.
    fn sigmoid(&self, py: Python) -> PyResult<Self> {
        self.applied(py, ops::sigmoid)
    }

    /// The softmax of each row `[N, K]`.
    fn softmax(&self, py: Python) -> PyResult<Self> {
        self.applied(py, ops::softmax)
    }

    /// The logarithm of the softmax of each row `[N, K]`.
    fn log_softmax(&self, py: Python) -> PyResult<Self> {
        self.applied(py, ops::log_softmax)
    }

    /// Of each row `[N, K]` the value at one of `indices`, `[N]`.
    fn pick(&self, py: Python, indices: &Bound<PyAny>) -> PyResult<Self> {
        let indices = labels_from(indices)?;
        self.applied(py, move |tape, x| ops::select(tape, x, &indices))
    }
}

/// The part of an axis that a key stands for, and whether the axis stays.
fn part(key: &Bound<PyAny>, size: usize) -> PyResult<(Range<usize>, bool)> {
    if let Ok(slice) = key.cast::<PySlice>() {
        let indices = slice.indices(size as isize)?;
        if indices.step != 1 {
            return Err(PyIndexError::new_err("a slice of a tensor has no step"));
        }
        let (start, length) = (indices.start as usize, indices.slicelength);
        return Ok((start..start + length, true));
    }
    let index: isize = key.extract().map_err(|_| {
        PyTypeError::new_err("a part of a tensor is told by integers and slices; see pick() too")
    })?;
    let from_first = if index < 0 { index + size as isize } else { index };
    match usize::try_from(from_first) {
        Ok(index) if index < size => Ok((index..index + 1, false)),
        _ => Err(PyIndexError::new_err(format!("there is no index {index} among {size}"))),
    }
}
