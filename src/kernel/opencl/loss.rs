//! Softmax and losses.

use super::plan::Plan;
use super::pool::indices;
use super::{ELEMENTWISE, REDUCE, reduce};
use crate::Result;
use crate::kernel::engine::{Indices, Losses, Targets};
use crate::kernel::loss::AdaptiveWing;
use crate::tensor::opencl::OpenCl;
use crate::tensor::{Element, Tensor};
use std::sync::Arc;

impl<T: Element> Losses<T> for Arc<OpenCl> {
    fn indices(&self, values: Vec<u32>) -> Result<Indices> {
        Ok(Indices::OpenCl(Arc::new(self.upload(&values)?)))
    }

    fn softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        of_rows(self, "softmax", x)
    }

    fn softmax_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        of_rows_gradient(self, "softmax_gradient", dy, y)
    }

    fn log_softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        of_rows(self, "log_softmax", x)
    }

    fn log_softmax_gradient(&self, dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        of_rows_gradient(self, "log_softmax_gradient", dy, y)
    }

    fn select(&self, x: &Tensor<T>, columns: &Indices) -> Result<Tensor<T>> {
        let [rows, len] = x.dims("select", "input", "[N, K]")?;
        let y = self.take::<T>(rows)?;
        Plan::launch::<T>(self, ELEMENTWISE, "select_columns")
            .memory(x.memory(self)?)
            .memory(indices(self, columns)?)
            .memory(&y)
            .long(rows)
            .int(len)
            .run(Plan::of::<T>(self).items([rows, 1, 1]))?;
        Ok(Tensor::resident(vec![rows], y))
    }

    fn select_gradient(
        &self,
        dy: &Tensor<T>,
        columns: &Indices,
        classes: usize,
    ) -> Result<Tensor<T>> {
        let dx = self.take::<T>(dy.len() * classes)?;
        Plan::launch::<T>(self, ELEMENTWISE, "select_columns_gradient")
            .memory(dy.memory(self)?)
            .memory(indices(self, columns)?)
            .memory(&dx)
            .int(classes)
            .run(Plan::of::<T>(self).runs(classes, dy.len()))?;
        Ok(Tensor::resident(vec![dy.len(), classes], dx))
    }

    fn cross_entropy(&self, logits: &Tensor<T>, targets: &Targets<T>) -> Result<Tensor<T>> {
        let [rows, classes] = logits.dims("cross_entropy", "logits", "[N, K]")?;
        let losses = self.take::<T>(rows)?;
        let sizes = Plan::of::<T>(self).groups(rows);
        Plan::launch::<T>(self, REDUCE, "cross_entropy")
            .memory(logits.memory(self)?)
            .memory(indices(self, &targets.labels)?)
            .real(targets.kept)
            .real(targets.spread)
            .memory(&losses)
            .int(classes)
            .run(sizes)?;
        let mean = reduce::row_sums(self, &losses, T::from_f64(1.0 / rows as f64), 1, rows)?;
        Ok(Tensor::resident(vec![], mean))
    }

    fn cross_entropy_gradient(
        &self,
        mut logits: Tensor<T>,
        targets: &Targets<T>,
        scale: T,
    ) -> Result<Tensor<T>> {
        let [rows, classes] = logits.dims("cross_entropy", "logits", "[N, K]")?;
        let sizes = Plan::of::<T>(self).groups(rows);
        let dx = logits.memory_mut(self)?;
        Plan::launch::<T>(self, REDUCE, "cross_entropy_gradient")
            .memory(dx)
            .memory(indices(self, &targets.labels)?)
            .real(targets.kept)
            .real(targets.spread)
            .real(scale)
            .memory(dx)
            .int(classes)
            .run(sizes)?;
        Ok(logits)
    }

    fn mse(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        let share = T::from_f64(1.0 / a.len() as f64);
        let (a, b, len) = (a.memory(self)?, b.memory(self)?, a.len());
        let mean = reduce::squared_distance(self, a, b, share, len)?;
        Ok(Tensor::resident(vec![], mean))
    }

    fn mse_gradient(&self, factor: T, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        let d = self.take::<T>(a.len())?;
        Plan::launch::<T>(self, ELEMENTWISE, "scaled_difference")
            .real(factor)
            .memory(a.memory(self)?)
            .memory(b.memory(self)?)
            .memory(&d)
            .long(a.len())
            .run(Plan::of::<T>(self).runs(a.len(), 1))?;
        Ok(Tensor::resident(a.shape().to_vec(), d))
    }

    fn huber(&self, a: &Tensor<T>, b: &Tensor<T>, delta: T) -> Result<Tensor<T>> {
        let rows = a.shape()[0];
        let (y, len) = (self.take::<T>(rows)?, a.len() / rows);
        Plan::launch::<T>(self, REDUCE, "huber")
            .memory(a.memory(self)?)
            .memory(b.memory(self)?)
            .real(delta)
            .real(T::from_f64(1.0 / len as f64))
            .memory(&y)
            .int(len)
            .run(Plan::of::<T>(self).groups(rows))?;
        Ok(Tensor::resident(vec![rows], y))
    }

    fn huber_gradient(
        &self,
        dy: &Tensor<T>,
        a: &Tensor<T>,
        b: &Tensor<T>,
        delta: T,
    ) -> Result<Tensor<T>> {
        let (da, rows) = (self.take::<T>(a.len())?, dy.len());
        let len = a.len() / rows;
        Plan::launch::<T>(self, ELEMENTWISE, "huber_gradient")
            .memory(dy.memory(self)?)
            .memory(a.memory(self)?)
            .memory(b.memory(self)?)
            .real(delta)
            .real(T::from_f64(1.0 / len as f64))
            .memory(&da)
            .int(len)
            .run(Plan::of::<T>(self).runs(len, rows))?;
        Ok(Tensor::resident(a.shape().to_vec(), da))
    }

    fn adaptive_wing(
        &self,
        a: &Tensor<T>,
        t: &Tensor<T>,
        wing: AdaptiveWing<T>,
    ) -> Result<Tensor<T>> {
        wing_of(self, "adaptive_wing", a, t, wing)
    }

    fn adaptive_wing_slope(
        &self,
        a: &Tensor<T>,
        t: &Tensor<T>,
        wing: AdaptiveWing<T>,
    ) -> Result<Tensor<T>> {
        wing_of(self, "adaptive_wing_slope", a, t, wing)
    }
}

/// `y = kernel(a, t)`, value by value.
fn wing_of<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    a: &Tensor<T>,
    t: &Tensor<T>,
    wing: AdaptiveWing<T>,
) -> Result<Tensor<T>> {
    let y = device.take::<T>(a.len())?;
    let launch = Plan::launch::<T>(device, ELEMENTWISE, kernel)
        .memory(a.memory(device)?)
        .memory(t.memory(device)?);
    wing.constants()
        .into_iter()
        .fold(launch, |launch, constant| launch.real(constant))
        .memory(&y)
        .long(a.len())
        .run(Plan::of::<T>(device).runs(a.len(), 1))?;
    Ok(Tensor::resident(a.shape().to_vec(), y))
}

/// `y = kernel(x)`, a group for each row of `x` `[N, K]`.
fn of_rows<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    x: &Tensor<T>,
) -> Result<Tensor<T>> {
    let [rows, classes] = x.dims(kernel, "input", "[N, K]")?;
    let y = device.take::<T>(x.len())?;
    Plan::launch::<T>(device, REDUCE, kernel)
        .memory(x.memory(device)?)
        .memory(&y)
        .int(classes)
        .run(Plan::of::<T>(device).groups(rows))?;
    Ok(Tensor::resident(x.shape().to_vec(), y))
}

/// `dx = kernel(dy, y)`, in the place of `dy`, likewise.
fn of_rows_gradient<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    mut dy: Tensor<T>,
    y: &Tensor<T>,
) -> Result<Tensor<T>> {
    let [rows, classes] = y.dims(kernel, "output", "[N, K]")?;
    let dx = dy.memory_mut(device)?;
    Plan::launch::<T>(device, REDUCE, kernel)
        .memory(dx)
        .memory(y.memory(device)?)
        .memory(dx)
        .int(classes)
        .run(Plan::of::<T>(device).groups(rows))?;
    Ok(dy)
}
