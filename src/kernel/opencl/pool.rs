//! Pooling.

use super::POOL;
use super::conv::geometry;
use super::plan::Plan;
use crate::kernel::engine::{Indices, Pools};
use crate::kernel::pool::Divisor;
use crate::kernel::window::Geometry;
use crate::tensor::opencl::{Memory, OpenCl};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};
use std::sync::Arc;

impl<T: Element> Pools<T> for Arc<OpenCl> {
    fn max_pool(&self, g: &Geometry, x: &Tensor<T>) -> Result<(Tensor<T>, Indices)> {
        let planes = g.batch * g.channels;
        let count = planes * g.positions();
        let (y, argmax) = (self.take::<T>(count)?, self.take::<u32>(count)?);
        let launch = Plan::launch::<T>(self, POOL, "max_pool").memory(x.memory(self)?);
        let sizes = Plan::of::<T>(self).runs_of(g.output[1], g.output[0], planes);
        geometry(launch.memory(&y).memory(&argmax), g).run(sizes)?;
        let y = Tensor::resident(g.output_shape().to_vec(), y);
        Ok((y, Indices::OpenCl(Arc::new(argmax))))
    }

    fn max_pool_gradient(
        &self,
        g: &Geometry,
        argmax: &Indices,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let planes = g.batch * g.channels;
        let dx = self.take::<T>(planes * g.pixels())?;
        let plan = Plan::of::<T>(self);
        let (kernel, sizes) = if plan.is_vector {
            ("max_pool_gradient_of_channels", plan.each(planes))
        } else {
            ("max_pool_gradient", plan.items([g.input[1], g.input[0], planes]))
        };
        let launch = Plan::launch::<T>(self, POOL, kernel);
        let launch = launch.memory(indices(self, argmax)?).memory(dy.memory(self)?);
        geometry(launch.memory(&dx), g).run(sizes)?;
        Ok(Tensor::resident(g.input_shape().to_vec(), dx))
    }

    fn avg_pool(&self, g: &Geometry, divisor: Divisor, x: &Tensor<T>) -> Result<Tensor<T>> {
        let planes = g.batch * g.channels;
        let y = self.take::<T>(planes * g.positions())?;
        let launch = Plan::launch::<T>(self, POOL, "avg_pool").memory(x.memory(self)?);
        let sizes = Plan::of::<T>(self).runs_of(g.output[1], g.output[0], planes);
        geometry(launch.memory(&y).int(usize::from(divisor == Divisor::Pixels)), g).run(sizes)?;
        Ok(Tensor::resident(g.output_shape().to_vec(), y))
    }

    fn avg_pool_gradient(
        &self,
        g: &Geometry,
        divisor: Divisor,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let planes = g.batch * g.channels;
        let dx = self.take::<T>(planes * g.pixels())?;
        let launch = Plan::launch::<T>(self, POOL, "avg_pool_gradient").memory(dy.memory(self)?);
        let sizes = Plan::of::<T>(self).items([g.input[1], g.input[0], planes]);
        geometry(launch.memory(&dx).int(usize::from(divisor == Divisor::Pixels)), g).run(sizes)?;
        Ok(Tensor::resident(g.input_shape().to_vec(), dx))
    }

    fn plane_means(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = x.dims("plane_means", "input", "[N, C, H, W]")?;
        let y = self.take::<T>(batch * channels)?;
        let sizes = Plan::of::<T>(self).groups(batch * channels);
        Plan::launch::<T>(self, POOL, "row_means")
            .memory(x.memory(self)?)
            .memory(&y)
            .int(height * width)
            .run(sizes)?;
        Ok(Tensor::resident(vec![batch, channels], y))
    }

    fn plane_means_gradient(&self, dy: &Tensor<T>, shape: [usize; 4]) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = shape;
        let (planes, len) = (batch * channels, height * width);
        let dx = self.take::<T>(planes * len)?;
        Plan::launch::<T>(self, POOL, "row_means_gradient")
            .memory(dy.memory(self)?)
            .memory(&dx)
            .int(len)
            .run(Plan::of::<T>(self).runs(len, planes))?;
        Ok(Tensor::resident(shape.to_vec(), dx))
    }
}

/// The indices, which are here.
pub(super) fn indices<'a>(device: &Arc<OpenCl>, indices: &'a Indices) -> Result<&'a Memory> {
    match indices {
        Indices::OpenCl(memory) if Arc::ptr_eq(memory.device(), device) => Ok(memory),
        _ => Err(Error::device(device.properties(), "compute", "the indices are elsewhere")),
    }
}
