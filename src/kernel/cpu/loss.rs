//! Softmax and losses.

use super::{Cpu, indices, like};
use crate::Result;
use crate::kernel::engine::{Indices, Losses, Targets};
use crate::kernel::{elementwise, loss, reduce};
use crate::tensor::{Element, Tensor, buffer};

impl<T: Element> Losses<T> for Cpu {
    fn indices(&self, values: Vec<u32>) -> Result<Indices> {
        Ok(Indices::Cpu(values))
    }

    fn softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        let [_, classes] = x.dims("softmax", "input", "[N, K]")?;
        let mut y = buffer::copy(x.as_slice());
        y.chunks_mut(classes.max(1)).for_each(reduce::softmax_row);
        Ok(like(x, y))
    }

    fn softmax_gradient(&self, mut dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        let [_, classes] = y.dims("softmax", "output", "[N, K]")?;
        loss::softmax_gradient(dy.as_mut_slice(), y.as_slice(), classes);
        Ok(dy)
    }

    fn cross_entropy(&self, logits: &Tensor<T>, targets: &Targets<T>) -> Result<Tensor<T>> {
        let [_, classes] = logits.dims("cross_entropy", "logits", "[N, K]")?;
        let (labels, shares) = (indices(&targets.labels)?, [targets.kept, targets.spread]);
        Ok(Tensor::scalar(loss::cross_entropy(logits.as_slice(), classes, labels, shares)))
    }

    fn cross_entropy_gradient(
        &self,
        mut logits: Tensor<T>,
        targets: &Targets<T>,
        scale: T,
    ) -> Result<Tensor<T>> {
        let [_, classes] = logits.dims("cross_entropy", "logits", "[N, K]")?;
        let (labels, shares) = (indices(&targets.labels)?, [targets.kept, targets.spread]);
        loss::cross_entropy_gradient(logits.as_mut_slice(), classes, labels, shares, scale);
        Ok(logits)
    }

    fn mse(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(Tensor::scalar(loss::mse(a.as_slice(), b.as_slice())))
    }

    fn mse_gradient(&self, factor: T, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        Ok(like(a, elementwise::scaled_difference(factor, a.as_slice(), b.as_slice())))
    }
}
