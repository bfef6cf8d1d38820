//! Sums in a fixed order, over axes and otherwise.

use super::plan::Plan;
use super::{ELEMENTWISE, REDUCE};
use crate::Result;
use crate::kernel::engine::Reductions;
use crate::kernel::reduce::Middle;
use crate::tensor::opencl::{Memory, OpenCl};
use crate::tensor::{Element, Tensor};
use std::ops::Range;
use std::sync::Arc;

impl<T: Element> Reductions<T> for Arc<OpenCl> {
    fn sum_axes(&self, x: &Tensor<T>, axes: Range<usize>, factor: T) -> Result<Tensor<T>> {
        let (mut shape, middle) = (x.shape().to_vec(), Middle::new(x.shape(), axes.clone()));
        let Middle { outer, len, inner } = middle;
        shape.drain(axes);
        let x = x.memory(self)?;
        let sums = if inner == 1 {
            row_sums(self, x, factor, outer, len)?
        } else {
            stacked_column_sums(self, x, factor, middle)?
        };
        Ok(Tensor::resident(shape, sums))
    }

    fn repeat(&self, x: &Tensor<T>, at: usize, sizes: &[usize], factor: T) -> Result<Tensor<T>> {
        let mut shape = x.shape().to_vec();
        shape.splice(at..at, sizes.iter().copied());
        let Middle { outer, len, inner } = Middle::new(&shape, at..at + sizes.len());
        let (y, plan) = (self.take::<T>(outer * len * inner)?, Plan::of::<T>(self));
        let kernel = if inner == 1 { "repeat_values" } else { "repeat_rows" };
        let launch = Plan::launch::<T>(self, ELEMENTWISE, kernel);
        let launch = launch.real(factor).memory(x.memory(self)?).memory(&y);
        if inner == 1 {
            launch.int(len).run(plan.runs(len, outer))?;
        } else {
            launch.int(len).int(inner).run(plan.runs_of(inner, len, outer))?;
        }
        Ok(Tensor::resident(shape, y))
    }
}

/// `factor sum_k x[row, k]`, for `x` `[rows, len]`; of shape `[rows]`. Few rows that are long are
/// cut into parts first, so that a device has something to do for each of its units.
pub(super) fn row_sums<T: Element>(
    device: &Arc<OpenCl>,
    x: &Memory,
    factor: T,
    rows: usize,
    len: usize,
) -> Result<Memory> {
    let plan = Plan::of::<T>(device);
    let (parts, part) = plan.parts_of_rows(rows, len);
    let sums = device.take::<T>(rows * parts)?;
    Plan::launch::<T>(device, REDUCE, "row_sums")
        .memory(x)
        .real(factor)
        .memory(&sums)
        .long(len)
        .long(part)
        .run(plan.groups_of_parts(parts, rows))?;
    if parts == 1 { Ok(sums) } else { row_sums(device, &sums, T::one(), rows, parts) }
}

/// `factor sum_row x[row, k]`, for `x` `[rows, columns]`; of shape `[columns]`.
pub(super) fn column_sums<T: Element>(
    device: &Arc<OpenCl>,
    x: &Memory,
    factor: T,
    rows: usize,
    columns: usize,
) -> Result<Memory> {
    stacked_column_sums(device, x, factor, Middle { outer: 1, len: rows, inner: columns })
}

/// The same for each of some matrices, `x` `[outer, len, inner]`; of shape `[outer, inner]`.
fn stacked_column_sums<T: Element>(
    device: &Arc<OpenCl>,
    x: &Memory,
    factor: T,
    Middle { outer, len, inner }: Middle,
) -> Result<Memory> {
    let y = device.take::<T>(outer * inner)?;
    Plan::launch::<T>(device, REDUCE, "column_sums")
        .memory(x)
        .real(factor)
        .memory(&y)
        .long(len)
        .long(inner)
        .run(Plan::of::<T>(device).runs(inner, outer))?;
    Ok(y)
}

/// `<a[row / share], b[row]>` for the rows of `b` `[rows, len]`; of shape `[rows]`.
pub(super) fn row_dots<T: Element>(
    device: &Arc<OpenCl>,
    a: &Memory,
    b: &Memory,
    [rows, len]: [usize; 2],
    share: usize,
) -> Result<Memory> {
    let plan = Plan::of::<T>(device);
    let (parts, part) = plan.parts_of_rows(rows, len);
    let dots = device.take::<T>(rows * parts)?;
    let sizes = plan.groups_of_parts(parts, rows);
    Plan::launch::<T>(device, REDUCE, "row_dots")
        .memory(a)
        .memory(b)
        .memory(&dots)
        .long(len)
        .long(part)
        .int(share)
        .run(sizes)?;
    if parts == 1 { Ok(dots) } else { row_sums(device, &dots, T::one(), rows, parts) }
}

/// `<a[n], b[i]>` for all rows of `a` `[rows, len]` with all of `b` `[terms, len]`; of shape
/// `[rows, terms]`.
pub(super) fn all_dots<T: Element>(
    device: &Arc<OpenCl>,
    a: &Memory,
    b: &Memory,
    [rows, terms, len]: [usize; 3],
) -> Result<Memory> {
    // Rows of `a` that the kernel takes at once, as in reduce.cl.
    const BLOCK: usize = 4;
    let (plan, blocks) = (Plan::of::<T>(device), rows.div_ceil(BLOCK));
    let (parts, part) = plan.parts_of_rows(blocks, len);
    let dots = device.take::<T>(rows * terms * parts)?;
    Plan::launch::<T>(device, REDUCE, "all_dots")
        .memory(a)
        .memory(b)
        .memory(&dots)
        .long(len)
        .long(part)
        .int(rows)
        .int(terms)
        .run(plan.groups_of_parts(parts, blocks))?;
    if parts == 1 { Ok(dots) } else { row_sums(device, &dots, T::one(), rows * terms, parts) }
}

/// Adds up `sums` `[parts, count]` into `c` `[count]`, or onto it.
pub(super) fn sum_of_parts<T: Element>(
    device: &Arc<OpenCl>,
    sums: &Memory,
    c: &Memory,
    count: usize,
    parts: usize,
    adds: bool,
) -> Result<()> {
    Plan::launch::<T>(device, REDUCE, "sum_of_parts")
        .memory(sums)
        .memory(c)
        .long(count)
        .int(parts)
        .int(usize::from(adds))
        .run(Plan::of::<T>(device).items([count, 1, 1]))
}

/// The sum of the squares of all values of some tensors of so many values each.
pub(super) fn sum_of_squares<T: Element>(
    device: &Arc<OpenCl>,
    tensors: &[(&Memory, usize)],
) -> Result<f64> {
    let plan = Plan::of::<T>(device);
    let cuts = tensors.iter().map(|&(_, len)| plan.parts_of_rows(1, len));
    let cuts: Vec<(usize, usize)> = cuts.collect();
    let count = cuts.iter().map(|(parts, _)| parts).sum();
    let sums = device.take::<T>(count)?;
    let mut first = 0;
    for (&(memory, len), (parts, part)) in tensors.iter().zip(cuts) {
        Plan::launch::<T>(device, REDUCE, "squares")
            .memory(memory)
            .memory(&sums)
            .long(len)
            .long(part)
            .long(first)
            .run(plan.groups(parts))?;
        first += parts;
    }
    let mut found = vec![T::zero(); count];
    device.download(&sums, &mut found)?;
    Ok(found.into_iter().map(T::widen).sum())
}

/// `factor sum_k (a[k] - b[k])^2`, of shape `[1]`.
pub(super) fn squared_distance<T: Element>(
    device: &Arc<OpenCl>,
    a: &Memory,
    b: &Memory,
    factor: T,
    len: usize,
) -> Result<Memory> {
    let plan = Plan::of::<T>(device);
    let (parts, part) = plan.parts_of_rows(1, len);
    let distances = device.take::<T>(parts)?;
    let sizes = plan.groups_of_parts(parts, 1);
    Plan::launch::<T>(device, REDUCE, "squared_distances")
        .memory(a)
        .memory(b)
        .memory(&distances)
        .long(len)
        .long(part)
        .run(sizes)?;
    row_sums(device, &distances, factor, 1, parts)
}
