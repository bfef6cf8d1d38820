//! Softmax and losses.

use super::{Cpu, indices, like, row};
use crate::Result;
use crate::kernel::engine::{Indices, Losses, Targets};
use crate::kernel::loss::AdaptiveWing;
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

    fn log_softmax(&self, x: &Tensor<T>) -> Result<Tensor<T>> {
        let [_, classes] = x.dims("log_softmax", "input", "[N, K]")?;
        let mut y = buffer::copy(x.as_slice());
        y.chunks_mut(classes.max(1)).for_each(reduce::log_softmax_row);
        Ok(like(x, y))
    }

    fn log_softmax_gradient(&self, mut dy: Tensor<T>, y: &Tensor<T>) -> Result<Tensor<T>> {
        let [_, classes] = y.dims("log_softmax", "output", "[N, K]")?;
        loss::log_softmax_gradient(dy.as_mut_slice(), y.as_slice(), classes);
        Ok(dy)
    }

    fn select(&self, x: &Tensor<T>, columns: &Indices) -> Result<Tensor<T>> {
        let [_, classes] = x.dims("select", "input", "[N, K]")?;
        Ok(row(loss::select(x.as_slice(), classes, indices(columns)?)))
    }

    fn select_gradient(
        &self,
        dy: &Tensor<T>,
        columns: &Indices,
        classes: usize,
    ) -> Result<Tensor<T>> {
        let dx = loss::select_gradient(dy.as_slice(), classes, indices(columns)?);
        Ok(Tensor::owned(vec![dy.len(), classes], dx))
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

    fn huber(&self, a: &Tensor<T>, b: &Tensor<T>, delta: T) -> Result<Tensor<T>> {
        let len = a.shape()[1..].iter().product();
        Ok(row(loss::huber(a.as_slice(), b.as_slice(), len, delta)))
    }

    fn huber_gradient(
        &self,
        dy: &Tensor<T>,
        a: &Tensor<T>,
        b: &Tensor<T>,
        delta: T,
    ) -> Result<Tensor<T>> {
        Ok(like(a, loss::huber_gradient(dy.as_slice(), a.as_slice(), b.as_slice(), delta)))
    }

    fn adaptive_wing(
        &self,
        a: &Tensor<T>,
        t: &Tensor<T>,
        wing: AdaptiveWing<T>,
    ) -> Result<Tensor<T>> {
        Ok(like(a, loss::adaptive_wing(a.as_slice(), t.as_slice(), wing)))
    }

    fn adaptive_wing_slope(
        &self,
        a: &Tensor<T>,
        t: &Tensor<T>,
        wing: AdaptiveWing<T>,
    ) -> Result<Tensor<T>> {
        Ok(like(a, loss::adaptive_wing_slope(a.as_slice(), t.as_slice(), wing)))
    }
}
