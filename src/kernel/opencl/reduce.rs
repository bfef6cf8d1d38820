//! Sums in a fixed order.

use super::REDUCE;
use super::plan::Plan;
use crate::Result;
use crate::tensor::Element;
use crate::tensor::opencl::{Memory, OpenCl};
use std::sync::Arc;

/// `factor sum_k x[row, k]`, for `x` `[rows, len]`; of shape `[rows]`.
pub(super) fn row_sums<T: Element>(
    device: &Arc<OpenCl>,
    x: &Memory,
    factor: T,
    rows: usize,
    len: usize,
) -> Result<Memory> {
    let y = device.take::<T>(rows)?;
    let sizes = Plan::of::<T>(device).groups(rows);
    Plan::launch::<T>(device, REDUCE, "row_sums")
        .memory(x)
        .real(factor)
        .memory(&y)
        .long(len)
        .run(sizes)?;
    Ok(y)
}

/// `factor sum_row x[row, k]`, for `x` `[rows, columns]`; of shape `[columns]`.
pub(super) fn column_sums<T: Element>(
    device: &Arc<OpenCl>,
    x: &Memory,
    factor: T,
    rows: usize,
    columns: usize,
) -> Result<Memory> {
    let y = device.take::<T>(columns)?;
    Plan::launch::<T>(device, REDUCE, "column_sums")
        .memory(x)
        .real(factor)
        .memory(&y)
        .long(rows)
        .long(columns)
        .run(Plan::of::<T>(device).runs(columns, 1))?;
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
