//! Softmax and losses.

use super::plan::Plan;
use super::pool::indices;
use super::{ELEMENTWISE, REDUCE, reduce};
use crate::Result;
use crate::kernel::engine::{Indices, Losses, Targets};
use crate::tensor::opencl::OpenCl;
use crate::tensor::{Element, Tensor};
use std::sync::Arc;

impl<T: Element> Losses<T> for Arc<OpenCl> {
    fn indices(&self, values: Vec<u32>) -> Result<Indices> {
        Ok(Indices::OpenCl(Arc::new(self.upload(&values)?)))
    }

    fn softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        let [rows, classes] = x.dims("softmax", "input", "[N, K]")?;
        let y = self.take::<T>(x.len())?;
        let sizes = Plan::of::<T>(self).groups(rows);
        Plan::launch::<T>(self, REDUCE, "softmax")
            .memory(x.memory(self)?)
            .memory(&y)
            .int(classes)
            .run(sizes)?;
        Ok(Tensor::resident(x.shape().to_vec(), y))
    }

    fn softmax_gradient(&self, mut dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        let [rows, classes] = y.dims("softmax", "output", "[N, K]")?;
        let sizes = Plan::of::<T>(self).groups(rows);
        let dx = dy.memory_mut(self)?;
        Plan::launch::<T>(self, REDUCE, "softmax_gradient")
            .memory(dx)
            .memory(y.memory(self)?)
            .memory(dx)
            .int(classes)
            .run(sizes)?;
        Ok(dy)
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
}
