//! Steps of the optimizer.

use super::DESCENT;
use super::plan::Plan;
use crate::Result;
use crate::kernel::descent::{Adam, Sgd};
use crate::kernel::engine::Descent;
use crate::tensor::opencl::OpenCl;
use crate::tensor::{Element, Tensor};
use std::sync::Arc;

impl<T: Element> Descent<T> for Arc<OpenCl> {
    fn sgd(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        v: &mut Tensor<T>,
        settings: Sgd<T>,
    ) -> Result<()> {
        let Sgd { rate, decay, momentum, nesterov } = settings;
        Plan::launch::<T>(self, DESCENT, "sgd")
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
        let Adam { rate, decay, betas, rest, root, epsilon } = settings;
        let launch = Plan::launch::<T>(self, DESCENT, "adam")
            .memory(w.memory_mut(self)?)
            .memory(g.memory(self)?)
            .memory(m.memory_mut(self)?)
            .memory(v.memory_mut(self)?);
        let numbers = [rate, decay, betas[0], betas[1], rest[0], rest[1], root, epsilon];
        numbers
            .into_iter()
            .fold(launch, |launch, number| launch.real(number))
            .long(g.len())
            .run(Plan::of::<T>(self).runs(g.len(), 1))
    }
}
