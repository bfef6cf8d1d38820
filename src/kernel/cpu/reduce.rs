//! Sums over axes, and values repeated along axes.

use super::Cpu;
use crate::Result;
use crate::kernel::engine::Reductions;
use crate::kernel::reduce::{self, Middle};
use crate::tensor::{Element, Tensor};
use std::ops::Range;

impl<T: Element> Reductions<T> for Cpu {
    fn sum_axes(&self, x: &Tensor<T>, axes: Range<usize>, factor: T) -> Result<Tensor<T>> {
        let (mut shape, middle) = (x.shape().to_vec(), Middle::new(x.shape(), axes.clone()));
        shape.drain(axes);
        Ok(Tensor::owned(shape, reduce::sum_middle(x.as_slice(), middle, factor)))
    }

    fn repeat(&self, x: &Tensor<T>, at: usize, sizes: &[usize], factor: T) -> Result<Tensor<T>> {
        let mut shape = x.shape().to_vec();
        shape.splice(at..at, sizes.iter().copied());
        let middle = Middle::new(&shape, at..at + sizes.len());
        Ok(Tensor::owned(shape, reduce::repeat_middle(x.as_slice(), middle, factor)))
    }
}
