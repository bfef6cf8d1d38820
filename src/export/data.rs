//! What is written of a tensor, whatever the format.

use super::half::half;
use crate::tensor::{Device, Element, Tensor, product};
use crate::zoo::{Dtype, TensorView};
use crate::{Error, Result};
use std::borrow::Cow;
use std::io::{self, Write};

/// The type, shape and values of a tensor to be written: made by `into()` from a [`Tensor`], or
/// from a [`TensorView`] of another file, whose bytes are copied as they are.
#[derive(Clone)]
pub struct Data<'a> {
    dtype: Dtype,
    shape: Cow<'a, [usize]>,
    values: Values<'a>,
}

#[derive(Clone)]
enum Values<'a> {
    /// Written piece by piece, so that no second copy of them is ever in memory.
    Streamed(&'a dyn Stream),
    /// A few that exist nowhere else, little-endian.
    Made(Vec<u8>),
}

impl Data<'static> {
    /// Numbers that are in no tensor and no file: a count, or the average of a gate.
    ///
    /// # Errors
    /// If there are not as many as the shape says.
    pub fn made<T: Element>(shape: &[usize], values: &[T]) -> Result<Self> {
        if product(shape) != Some(values.len()) {
            let problem = format!("{} values for a shape of {shape:?}", values.len());
            return Err(Error::argument("Data::made", problem));
        }
        let mut bytes = Vec::new();
        values.iter().for_each(|value| bytes.extend_from_slice(value.little_endian().as_ref()));
        let shape = Cow::Owned(shape.to_vec());
        Ok(Self { dtype: T::DTYPE, shape, values: Values::Made(bytes) })
    }

    /// The count `0`, an `I64` without axes, as PyTorch counts the batches of a batch norm.
    pub(super) fn no_batches() -> Self {
        let values = Values::Made(vec![0; 8]);
        Self { dtype: Dtype::I64, shape: Cow::Borrowed(&[]), values }
    }
}

impl<'a> Data<'a> {
    /// The type of its numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same numbers in another shape.
    ///
    /// # Errors
    /// If there are more of them, or fewer.
    pub fn reshaped(self, shape: &[usize]) -> Result<Self> {
        if product(shape).is_none() || product(shape) != product(&self.shape) {
            let expected = format!("that of as many numbers as {shape:?}");
            return Err(Error::shape("reshape", "a tensor to be written", expected, &self.shape));
        }
        Ok(Self { shape: Cow::Owned(shape.to_vec()), ..self })
    }

    /// Numbers of 32 bits as the nearest ones of 16; others as they are.
    ///
    /// # Errors
    /// If one is too large for that, or cannot be read.
    pub fn halved(self) -> Result<Self> {
        if self.dtype != Dtype::F32 {
            return Ok(self);
        }
        let mut bytes = Vec::new();
        let written = self.write_to(&mut bytes);
        written.map_err(|error| Error::argument("Data::halved", error.to_string()))?;
        let mut halves = Vec::with_capacity(bytes.len() / 2);
        for value in bytes.as_chunks::<4>().0 {
            let value = f32::from_le_bytes(*value);
            let bits = half(value);
            if value.is_finite() && bits & 0x7fff == 0x7c00 {
                let problem = format!("{value} is beyond 65504, the largest number of 16 bits");
                return Err(Error::argument("Data::halved", problem));
            }
            halves.extend_from_slice(&bits.to_le_bytes());
        }
        Ok(Self { dtype: Dtype::F16, shape: self.shape, values: Values::Made(halves) })
    }

    /// Writes the values, little-endian and row-major: as many bytes as the type and the shape
    /// need.
    pub(super) fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        match &self.values {
            Values::Streamed(values) => values.write_to(writer),
            Values::Made(bytes) => writer.write_all(bytes),
        }
    }
}

impl<'a, T: Element> From<&'a Tensor<T>> for Data<'a> {
    fn from(tensor: &'a Tensor<T>) -> Self {
        let shape = Cow::Borrowed(tensor.shape());
        Self { dtype: T::DTYPE, shape, values: Values::Streamed(tensor) }
    }
}

impl<'a> From<&'a TensorView> for Data<'a> {
    fn from(view: &'a TensorView) -> Self {
        let shape = Cow::Borrowed(view.shape());
        Self { dtype: view.dtype(), shape, values: Values::Streamed(view) }
    }
}

/// Values that can be written, as many as the type and shape beside them say.
trait Stream {
    fn write_to(&self, writer: &mut dyn Write) -> io::Result<()>;
}

impl<T: Element> Stream for Tensor<T> {
    fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        // From a device they come home for as long as they are written; a lost one is an error.
        let home = self.to(&Device::Cpu).map_err(io::Error::other)?;
        for values in home.as_slice().chunks(8192) {
            bytes.clear();
            for value in values {
                bytes.extend_from_slice(value.little_endian().as_ref());
            }
            writer.write_all(&bytes)?;
        }
        Ok(())
    }
}

impl Stream for TensorView {
    fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        // Damaged data in a file that is copied.
        let bytes = self.bytes().map_err(io::Error::other)?;
        writer.write_all(&bytes)?;
        self.release();
        Ok(())
    }
}
