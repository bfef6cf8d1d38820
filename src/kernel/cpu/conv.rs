//! Convolutions.

use super::{Cpu, row};
use crate::Result;
use crate::kernel::conv;
use crate::kernel::engine::Convolutions;
use crate::kernel::window::Geometry;
use crate::tensor::{Element, Tensor};

impl<T: Element> Convolutions<T> for Cpu {
    fn conv(
        &self,
        g: &Geometry,
        x: &Tensor<T>,
        weight: &Tensor<T>,
        bias: Option<&Tensor<T>>,
    ) -> Result<Tensor<T>> {
        let y = conv::forward(g, x.as_slice(), weight.as_slice(), bias.map(Tensor::as_slice));
        Ok(Tensor::owned(g.output_shape().to_vec(), y))
    }

    fn conv_input_gradient(
        &self,
        g: &Geometry,
        dy: &Tensor<T>,
        weight: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dx = conv::input_gradient(g, dy.as_slice(), weight.as_slice());
        Ok(Tensor::owned(g.input_shape().to_vec(), dx))
    }

    fn conv_kernel_gradient(
        &self,
        g: &Geometry,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dw = conv::kernel_gradient(g, x.as_slice(), dy.as_slice());
        Ok(Tensor::owned(g.weight_shape().to_vec(), dw))
    }

    fn conv_bias_gradient(&self, g: &Geometry, dy: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(row(conv::bias_gradient(g, dy.as_slice())))
    }
}
