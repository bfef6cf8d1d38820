//! Tensors side by side, and pieces of one.

use super::ELEMENTWISE;
use super::plan::Plan;
use crate::Result;
use crate::kernel::engine::Pieces;
use crate::kernel::pieces;
use crate::tensor::opencl::{Memory, OpenCl};
use crate::tensor::{Element, Tensor};
use std::ops::Range;
use std::sync::Arc;

impl<T: Element> Pieces<T> for Arc<OpenCl> {
    fn concat(&self, parts: &[&Tensor<T>], axis: usize) -> Result<Tensor<T>> {
        let mut shape = parts[0].shape().to_vec();
        shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
        let [rows, values] = pieces::rows(&shape, axis);
        let width = shape[axis] * values;
        let (y, mut first) = (self.take::<T>(rows * width)?, 0);
        for part in parts {
            let len = part.shape()[axis] * values;
            copy::<T>(self, [(part.memory(self)?, 0, len), (&y, first, width)], rows, len)?;
            first += len;
        }
        Ok(Tensor::resident(shape, y))
    }

    fn slice(&self, x: &Tensor<T>, axis: usize, piece: Range<usize>) -> Result<Tensor<T>> {
        let [rows, values] = pieces::rows(x.shape(), axis);
        let (len, width) = (piece.len() * values, x.shape()[axis] * values);
        let y = self.take::<T>(rows * len)?;
        let from = (x.memory(self)?, piece.start * values, width);
        copy::<T>(self, [from, (&y, 0, len)], rows, len)?;
        let mut shape = x.shape().to_vec();
        shape[axis] = piece.len();
        Ok(Tensor::resident(shape, y))
    }

    fn slice_gradient(
        &self,
        dy: &Tensor<T>,
        axis: usize,
        start: usize,
        len: usize,
    ) -> Result<Tensor<T>> {
        let [rows, values] = pieces::rows(dy.shape(), axis);
        let (of_row, width) = (dy.shape()[axis] * values, len * values);
        let dx = self.zeros::<T>(rows * width)?;
        let from = (dy.memory(self)?, 0, of_row);
        copy::<T>(self, [from, (&dx, start * values, width)], rows, of_row)?;
        let mut shape = dy.shape().to_vec();
        shape[axis] = len;
        Ok(Tensor::resident(shape, dx))
    }
}

/// Copies `len` values of each row from one memory to another; of each, where the first one is in
/// a row, and how long rows are.
fn copy<T: Element>(
    device: &Arc<OpenCl>,
    [from, to]: [(&Memory, usize, usize); 2],
    rows: usize,
    len: usize,
) -> Result<()> {
    Plan::launch::<T>(device, ELEMENTWISE, "copy_rows")
        .memory(from.0)
        .long(from.1)
        .long(from.2)
        .memory(to.0)
        .long(to.1)
        .long(to.2)
        .long(len)
        .run(Plan::of::<T>(device).runs(len, rows))
}
