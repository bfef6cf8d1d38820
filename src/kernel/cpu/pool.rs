//! Pooling.

use super::{Cpu, indices};
use crate::Result;
use crate::kernel::engine::{Indices, Pools};
use crate::kernel::pool::{self, Divisor};
use crate::kernel::window::Geometry;
use crate::tensor::{Element, Tensor};

impl<T: Element> Pools<T> for Cpu {
    fn max_pool(&self, g: &Geometry, x: &Tensor<T>) -> Result<(Tensor<T>, Indices)> {
        let (y, argmax) = pool::max_pool(g, x.as_slice());
        Ok((Tensor::owned(g.output_shape().to_vec(), y), Indices::Cpu(argmax)))
    }

    fn max_pool_gradient(
        &self,
        g: &Geometry,
        argmax: &Indices,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dx = pool::max_pool_gradient(g, indices(argmax)?, dy.as_slice());
        Ok(Tensor::owned(g.input_shape().to_vec(), dx))
    }

    fn avg_pool(&self, g: &Geometry, divisor: Divisor, x: &Tensor<T>) -> Result<Tensor<T>> {
        let y = pool::avg_pool(g, divisor, x.as_slice());
        Ok(Tensor::owned(g.output_shape().to_vec(), y))
    }

    fn avg_pool_gradient(
        &self,
        g: &Geometry,
        divisor: Divisor,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dx = pool::avg_pool_gradient(g, divisor, dy.as_slice());
        Ok(Tensor::owned(g.input_shape().to_vec(), dx))
    }

    fn plane_means(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = x.dims("plane_means", "input", "[N, C, H, W]")?;
        let means = pool::row_means(x.as_slice(), height * width);
        Ok(Tensor::owned(vec![batch, channels], means))
    }

    fn plane_means_gradient(&self, dy: &Tensor<T>, shape: [usize; 4]) -> Result<Tensor<T>> {
        let dx = pool::row_means_gradient(dy.as_slice(), shape[2] * shape[3]);
        Ok(Tensor::owned(shape.to_vec(), dx))
    }
}
