//! Kernels of a zoo, aligned and mixed.

use super::{Cpu, like, row};
use crate::Result;
use crate::kernel::aggregate::{self, Aggregated, Stack};
use crate::kernel::cost::{Strategy, Wanted};
use crate::kernel::engine::{Aggregation, Kept, Layer, LayerGradients};
use crate::tensor::{Element, Tensor};

impl<T: Element> Aggregation<T> for Cpu {
    fn align(&self, stack: Stack, weight: &Tensor<T>, transform: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(weight, aggregate::align(stack, weight.as_slice(), transform.as_slice())))
    }

    fn align_weight_gradient(
        &self,
        stack: Stack,
        dy: &Tensor<T>,
        transform: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dw = aggregate::align_weight_gradient(stack, dy.as_slice(), transform.as_slice());
        Ok(like(dy, dw))
    }

    fn align_transform_gradient(
        &self,
        stack: Stack,
        dy: &Tensor<T>,
        weight: &Tensor<T>,
    ) -> Result<Tensor<T>> {
        let dt = aggregate::align_transform_gradient(stack, dy.as_slice(), weight.as_slice());
        Ok(Tensor::owned(vec![stack.sources, stack.outputs, stack.outputs], dt))
    }

    fn aggregate(&self, gate: &Tensor<T>, values: &Tensor<T>) -> Result<Tensor<T>> {
        let mixed = aggregate::aggregate(gate.as_slice(), values.as_slice());
        Ok(Tensor::owned(values.shape()[1..].to_vec(), mixed))
    }

    fn aggregate_gradients(
        &self,
        gate: &Tensor<T>,
        values: &Tensor<T>,
        dy: &Tensor<T>,
        wanted: [bool; 2],
    ) -> Result<[Option<Tensor<T>>; 2]> {
        let slices = [gate, values, dy].map(Tensor::as_slice);
        let [dgate, dvalues] =
            aggregate::aggregate_gradients(slices[0], slices[1], slices[2], wanted);
        Ok([dgate.map(row), dvalues.map(|d| like(values, d))])
    }

    fn aggregated_conv(&self, layer: &Layer<T>, is_training: bool) -> Result<(Tensor<T>, Kept<T>)> {
        let strategy = operands(layer).shortest(is_training);
        self.aggregated_conv_in(strategy, layer)
    }

    fn aggregated_conv_in(
        &self,
        strategy: Strategy,
        layer: &Layer<T>,
    ) -> Result<(Tensor<T>, Kept<T>)> {
        let (y, kept) = operands(layer).forward(strategy);
        Ok((Tensor::owned(layer.geometry.output_shape().to_vec(), y), Kept::Cpu(kept)))
    }

    fn aggregated_conv_gradients(
        &self,
        layer: &Layer<T>,
        dy: &Tensor<T>,
        kept: Kept<T>,
        wanted: Wanted,
    ) -> Result<LayerGradients<T>> {
        #[cfg_attr(not(feature = "opencl"), expect(clippy::infallible_destructuring_match))]
        let kept = match kept {
            Kept::Cpu(kept) => kept,
            #[cfg(feature = "opencl")]
            Kept::OpenCl(_) => {
                let problem = "what the forward pass kept is on another device";
                return Err(crate::Error::argument("aggregated_conv2d", problem));
            }
        };
        let found = operands(layer).backward(dy.as_slice(), kept, wanted);
        let of = |operand: &Option<Tensor<T>>, values: Option<Vec<T>>| {
            operand.as_ref().zip(values).map(|(operand, values)| like(operand, values))
        };
        Ok(LayerGradients {
            x: found.x.map(|dx| like(&layer.x, dx)),
            weight: found.weight.map(|dw| like(&layer.weight, dw)),
            alignment: of(&layer.alignment, found.alignment),
            bias: of(&layer.bias, found.bias),
            gate: found.gate.map(|dg| like(&layer.gate, dg)),
        })
    }
}

fn operands<T: Element>(layer: &Layer<T>) -> Aggregated<'_, T> {
    Aggregated {
        geometry: &layer.geometry,
        x: layer.x.as_slice(),
        weight: layer.weight.as_slice(),
        alignment: layer.alignment.as_ref().map(Tensor::as_slice),
        bias: layer.bias.as_ref().map(Tensor::as_slice),
        gate: layer.gate.as_slice(),
        sources: layer.sources,
    }
}
