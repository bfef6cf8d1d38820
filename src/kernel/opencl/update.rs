//! Steps of the optimizer.

use super::UPDATE;
use super::plan::Plan;
use super::reduce;
use crate::Result;
use crate::kernel::engine::Updates;
use crate::kernel::update::{Adam, Moments, RmsProp, Sgd};
use crate::tensor::opencl::OpenCl;
use crate::tensor::{Element, Tensor};
use std::sync::Arc;

impl<T: Element> Updates<T> for Arc<OpenCl> {
    fn sum_of_squares(&self, tensors: &[&Tensor<T>]) -> Result<f64> {
        let there = tensors.iter().map(|tensor| Ok((tensor.memory(self)?, tensor.len())));
        reduce::sum_of_squares::<T>(self, &there.collect::<Result<Vec<_>>>()?)
    }

    fn sgd(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        v: &mut Tensor<T>,
        settings: Sgd<T>,
    ) -> Result<()> {
        let Sgd { rate, decay, momentum, nesterov } = settings;
        Plan::launch::<T>(self, UPDATE, "sgd")
            .memory(w.memory_mut(self)?)
            .memory(g.memory(self)?)
            .memory(v.memory_mut(self)?)
            .real(rate)
            .real(decay)
            .real(momentum)
            .int(usize::from(nesterov))
            .long(g.len())
            .run(Plan::of::<T>(self).runs(g.len(), 1))
    }

    fn adam(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        [m, v]: [&mut Tensor<T>; 2],
        settings: Adam<T>,
    ) -> Result<()> {
        let Adam { rate, decay, keep, betas, rest, root, epsilon } = settings;
        let launch = Plan::launch::<T>(self, UPDATE, "adam")
            .memory(w.memory_mut(self)?)
            .memory(g.memory(self)?)
            .memory(m.memory_mut(self)?)
            .memory(v.memory_mut(self)?);
        let numbers = [rate, decay, keep, betas[0], betas[1], rest[0], rest[1], root, epsilon];
        numbers
            .into_iter()
            .fold(launch, |launch, number| launch.real(number))
            .long(g.len())
            .run(Plan::of::<T>(self).runs(g.len(), 1))
    }

    fn rms_prop(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        moments: Moments<&mut Tensor<T>>,
        settings: RmsProp<T>,
    ) -> Result<()> {
        let RmsProp { rate, decay, alpha, rest, epsilon, momentum } = settings;
        let Moments { square, mean, velocity } = moments;
        let square = square.memory_mut(self)?;
        let mean = mean.map(|mean| mean.memory_mut(self)).transpose()?;
        let velocity = velocity.map(|velocity| velocity.memory_mut(self)).transpose()?;
        // In the place of what is not kept stands something that is not looked at.
        let launch = Plan::launch::<T>(self, UPDATE, "rms_prop")
            .memory(w.memory_mut(self)?)
            .memory(g.memory(self)?)
            .memory(square)
            .memory(mean.unwrap_or(square))
            .memory(velocity.unwrap_or(square));
        [rate, decay, alpha, rest, epsilon, momentum]
            .into_iter()
            .fold(launch, |launch, number| launch.real(number))
            .int(usize::from(mean.is_some()))
            .int(usize::from(velocity.is_some()))
            .long(g.len())
            .run(Plan::of::<T>(self).runs(g.len(), 1))
    }
}
