//! The [list of names](super::engine), computed by the kernels of this process.
//!
//! A kernel knows slices; here they are taken out of tensors, and results put into such.

mod aggregate;
mod conv;
mod elementwise;
mod loss;
mod norm;
mod pieces;
mod pool;
mod product;
mod reduce;
mod resample;
mod update;

use super::engine::Indices;
#[cfg(feature = "opencl")]
use crate::Error;
use crate::Result;
use crate::tensor::{Element, Tensor};

/// The memory of the process, and the threads that rayon has.
#[derive(Clone, Copy, Debug)]
pub struct Cpu;

/// A tensor of the shape of another.
fn like<T: Element>(tensor: &Tensor<T>, values: Vec<T>) -> Tensor<T> {
    Tensor::owned(tensor.shape().to_vec(), values)
}

/// A tensor of one axis.
fn row<T: Element>(values: Vec<T>) -> Tensor<T> {
    Tensor::owned(vec![values.len()], values)
}

/// The indices, which are here.
fn indices(indices: &Indices) -> Result<&[u32]> {
    match indices {
        Indices::Cpu(values) => Ok(values),
        #[cfg(feature = "opencl")]
        Indices::OpenCl(memory) => {
            Err(Error::device(memory.device().properties(), "compute", "the values are elsewhere"))
        }
    }
}
