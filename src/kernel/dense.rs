//! A convolution whose window is as large as the image: a fully connected layer.
//!
//! It has one position, so that nothing is unfolded: images are the rows of a matrix `X` `[N, K]`,
//! kernels those of `W` `[O, K]`, and all passes are products of matrices as they lie in memory. For
//! a kernel of each sample (see [`KernelRows`](super::conv)) they are sums of rows, which read every
//! kernel once.
//!
//! ```text
//! forward           Y  = X W^T, or Y^T = W X^T
//! input gradient    dX = dY W
//! kernel gradient   dW = dY^T X
//! ```

use super::gemm::Matrix;
use super::panel::{Layout, Operand, Target, multiply};
use super::parallel::Each;
use super::reduce::{add_scaled, dot};
use super::window::{Geometry, Window};
use crate::tensor::{Element, buffer};
use rayon::prelude::*;
use std::ops::Range;

/// Whether this is the way: one group, and every tap on a pixel of its own.
pub(super) fn wins(g: &Geometry) -> bool {
    let Window { padding, dilation, groups, .. } = g.window;
    let is_near = dilation == [1, 1] || g.taps_len() == 1;
    g.taps == g.input && padding == [0, 0] && is_near && groups == 1
}

/// Whether kernels are of each sample.
fn is_per_sample<T>(g: &Geometry, outputs: &Range<usize>, kernels: &[T]) -> bool {
    g.batch > 1 && kernels.len() > outputs.len() * g.row_len()
}

/// Images that a single column of tiles has room for.
const FEW: usize = 48;

/// Writes some output channels of `y` `[N, O]`, for `kernels` `[outputs, K]` or such ones of each
/// sample.
pub(super) fn forward<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    x: &[T],
    kernels: &[T],
    y: &mut [T],
) {
    let (row, count) = (g.row_len(), outputs.len());
    if g.batch == 1 || is_per_sample(g, outputs, kernels) {
        let samples = y.par_chunks_mut(g.outputs).zip(x.par_chunks(row));
        samples.zip(kernels.par_chunks(count * row)).each(|((y, x), kernel)| {
            let y = &mut y[outputs.clone()];
            y.iter_mut().zip(kernel.chunks(row)).for_each(|(y, kernel)| *y = dot(kernel, x));
        });
        return;
    }
    let (x, w) = (Matrix::new(x, g.batch, row), Matrix::new(kernels, count, row));
    if g.batch > FEW || count < g.batch {
        let layout = Layout { row_stride: g.outputs, ..Layout::matrix(g.batch, count) };
        let y = Target::new(&mut y[outputs.start..], layout);
        return multiply(Operand::Lanes(&x), Operand::Lanes(&w), row, y, false);
    }
    // The larger operand is the one that is read where it lies, and not packed.
    let mut columns = buffer::scratch(count * g.batch);
    let target = Target::new(&mut columns, Layout::matrix(count, g.batch));
    multiply(Operand::Lanes(&w), Operand::Lanes(&x), row, target, false);
    for (n, y) in y.chunks_mut(g.outputs).enumerate() {
        let column = columns[n..].iter().step_by(g.batch);
        y[outputs.clone()].iter_mut().zip(column).for_each(|(y, &value)| *y = value);
    }
}

/// Writes, or adds, what some output channels give back of `dy` `[N, O]` to `dx` `[N, K]`.
pub(super) fn input_gradient<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    dy: &[T],
    kernels: &[T],
    dx: &mut [T],
    add: bool,
) {
    let (row, count) = (g.row_len(), outputs.len());
    if is_per_sample(g, outputs, kernels) {
        let samples = dx.par_chunks_mut(row).zip(dy.par_chunks(g.outputs));
        samples.zip(kernels.par_chunks(count * row)).each(|((dx, dy), kernel)| {
            if !add {
                dx.fill(T::zero());
            }
            let rows = dy[outputs.clone()].iter().zip(kernel.chunks(row));
            rows.for_each(|(&dy, kernel)| add_scaled(dx, dy, kernel));
        });
        return;
    }
    let dy = Matrix::strided(&dy[outputs.start..], g.batch, count, g.outputs);
    let w = Matrix::new(kernels, count, row);
    let dx = Target::new(dx, Layout::matrix(g.batch, row));
    multiply(Operand::Lanes(&dy), Operand::Steps(&w), count, dx, add);
}

/// Writes the gradient of some rows of the kernel, or of the kernels of all samples.
pub(super) fn kernel_gradient<T: Element>(
    g: &Geometry,
    outputs: &Range<usize>,
    x: &[T],
    dy: &[T],
    kernels: &mut [T],
) {
    let (row, count) = (g.row_len(), outputs.len());
    if is_per_sample(g, outputs, kernels) {
        let samples = kernels.par_chunks_mut(count * row).zip(x.par_chunks(row));
        samples.zip(dy.par_chunks(g.outputs)).each(|((kernel, x), dy)| {
            for (kernel, &dy) in kernel.chunks_mut(row).zip(&dy[outputs.clone()]) {
                kernel.iter_mut().zip(x).for_each(|(kernel, &x)| *kernel = dy * x);
            }
        });
        return;
    }
    let dy = Matrix::strided(&dy[outputs.start..], g.batch, count, g.outputs);
    let x = Matrix::new(x, g.batch, row);
    let dw = Target::new(kernels, Layout::matrix(count, row));
    multiply(Operand::Steps(&dy), Operand::Steps(&x), g.batch, dw, false);
}
