//! Products of matrices, and what goes over the rows of one.

use super::plan::Plan;
use super::tiling::Product;
use super::{ELEMENTWISE, GEMM};
use crate::kernel::engine::{Factor, Products};
use crate::tensor::opencl::{Launch, Memory, OpenCl};
use crate::tensor::{Element, Tensor, product};
use crate::{Error, Result};
use std::sync::Arc;

/// Matrices in memory, one after the other, as a product sees them.
#[derive(Clone, Copy)]
pub(super) struct Matrices<'a> {
    memory: &'a Memory,
    rows: usize,
    columns: usize,
    /// From one row to the next, and from one column to the next.
    strides: [usize; 2],
}

impl<'a> Matrices<'a> {
    /// `[count, rows, columns]`, without gaps.
    pub fn new(memory: &'a Memory, rows: usize, columns: usize) -> Self {
        Self { memory, rows, columns, strides: [columns, 1] }
    }

    /// Each transposed; nothing moves.
    pub fn t(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }
}

/// `C = A B` for `count` pairs of matrices, into memory of its own `[count, rows, columns]`.
pub(super) fn multiply<T: Element>(
    device: &Arc<OpenCl>,
    a: Matrices,
    b: Matrices,
    count: usize,
) -> Result<Memory> {
    let c = device.take::<T>(count * a.rows * b.columns)?;
    multiply_into::<T>(device, a, b, &c, count, false)?;
    Ok(c)
}

/// `C = A B` for `count` pairs of matrices, or `C += A B`.
pub(super) fn multiply_into<'d, T: Element>(
    device: &'d Arc<OpenCl>,
    a: Matrices<'d>,
    b: Matrices<'d>,
    c: &Memory,
    count: usize,
    adds: bool,
) -> Result<()> {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    let product =
        Product { program: GEMM, kernel: "gemm", rows: m, columns: n, times: count, depth: k };
    let operands = |launch: Launch<'d>| {
        launch.memory(a.memory).longs(&a.strides).memory(b.memory).longs(&b.strides)
    };
    product.write::<T>(device, c, count * m * n, adds, operands, |launch, to| {
        // Within a tile, places are counted in 32 bits.
        let strides = [a.strides, b.strides].concat().into_iter();
        strides
            .fold(launch, |launch, stride| launch.works_out(stride.saturating_mul(128)))
            .int(m)
            .int(k)
            .int(n)
            .int(count)
            .longs(&[a.rows * a.columns, b.rows * b.columns])
            .int(to.parts)
            .int(usize::from(to.adds))
    })
}

impl<T: Element> Products<T> for Arc<OpenCl> {
    fn product(&self, a: Factor<T>, b: Factor<T>) -> Result<Tensor<T>> {
        let ([rows, depth], [_, columns]) = (a.sizes()?, b.sizes()?);
        product(&[rows, columns]).ok_or_else(|| {
            let problem = format!("a product of [{rows}, {columns}] exceeds the address space");
            Error::argument("product", problem)
        })?;
        if depth == 0 {
            return Ok(Tensor::resident(vec![rows, columns], self.zeros::<T>(rows * columns)?));
        }
        let c = multiply::<T>(self, matrix(self, a)?, matrix(self, b)?, 1)?;
        Ok(Tensor::resident(vec![rows, columns], c))
    }

    fn add_to_rows(&self, mut y: Tensor<T>, bias: &Tensor<T>) -> Result<Tensor<T>> {
        let [rows, columns] = y.dims("add_to_rows", "input", "[N, K]")?;
        let of_rows = y.memory_mut(self)?;
        Plan::launch::<T>(self, ELEMENTWISE, "add_to_rows")
            .memory(of_rows)
            .memory(bias.memory(self)?)
            .int(columns)
            .run(Plan::of::<T>(self).runs(columns, rows))?;
        Ok(y)
    }
}

fn matrix<'a, T: Element>(device: &Arc<OpenCl>, factor: Factor<'a, T>) -> Result<Matrices<'a>> {
    let [rows, columns] = factor.matrix.dims("product", "factor", "[rows, columns]")?;
    let matrix = Matrices::new(factor.matrix.memory(device)?, rows, columns);
    Ok(if factor.is_transposed { matrix.t() } else { matrix })
}
