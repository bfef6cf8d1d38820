//! Tensors side by side, and pieces of one.

use super::Cpu;
use crate::Result;
use crate::kernel::engine::Pieces;
use crate::kernel::pieces;
use crate::tensor::{Element, Tensor};
use std::ops::Range;

impl<T: Element> Pieces<T> for Cpu {
    fn concat(&self, parts: &[&Tensor<T>], axis: usize) -> Result<Tensor<T>> {
        let mut shape = parts[0].shape().to_vec();
        shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
        let [rows, values] = pieces::rows(&shape, axis);
        let row = |part: &&Tensor<T>| part.shape()[axis] * values;
        let parts: Vec<_> = parts.iter().map(|part| (part.as_slice(), row(part))).collect();
        Ok(Tensor::owned(shape, pieces::concat(rows, &parts)))
    }

    fn slice(&self, x: &Tensor<T>, axis: usize, piece: Range<usize>) -> Result<Tensor<T>> {
        let [_, values] = pieces::rows(x.shape(), axis);
        let of_row = piece.start * values..piece.end * values;
        let y = pieces::slice(x.as_slice(), x.shape()[axis] * values, of_row);
        let mut shape = x.shape().to_vec();
        shape[axis] = piece.len();
        Ok(Tensor::owned(shape, y))
    }

    fn slice_gradient(
        &self,
        dy: &Tensor<T>,
        axis: usize,
        start: usize,
        len: usize,
    ) -> Result<Tensor<T>> {
        let [rows, values] = pieces::rows(dy.shape(), axis);
        let of_row = start * values..(start + dy.shape()[axis]) * values;
        let dx = pieces::slice_gradient(dy.as_slice(), rows, len * values, of_row);
        let mut shape = dy.shape().to_vec();
        shape[axis] = len;
        Ok(Tensor::owned(shape, dx))
    }
}
