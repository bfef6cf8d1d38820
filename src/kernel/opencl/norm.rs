//! Batch normalisation.

use super::NORM;
use super::plan::Plan;
use super::reduce::column_sums;
use crate::Result;
use crate::kernel::elementwise::Rectifier;
use crate::kernel::engine::{Norm, NormGradients, Norms, Rectified, WantedOfNorm};
use crate::kernel::norm::{Channels, Epilogue};
use crate::tensor::opencl::OpenCl;
use crate::tensor::{Element, Tensor};
use std::sync::Arc;

impl<T: Element> Norms<T> for Arc<OpenCl> {
    fn moments(&self, channels: Channels, x: &Tensor<T>) -> Result<[Tensor<T>; 2]> {
        let Channels { batch, channels, len } = channels;
        let planes = batch * channels;
        let [means, squares] = [self.take::<T>(planes)?, self.take::<T>(planes)?];
        let sizes = Plan::of::<T>(self).groups(planes);
        Plan::launch::<T>(self, NORM, "plane_moments")
            .memory(x.memory(self)?)
            .memory(&means)
            .memory(&squares)
            .int(len)
            .run(sizes)?;
        let [mean, variance] = [self.take::<T>(channels)?, self.take::<T>(channels)?];
        Plan::launch::<T>(self, NORM, "moments")
            .memory(&means)
            .memory(&squares)
            .memory(&mean)
            .memory(&variance)
            .int(batch)
            .int(channels)
            .int(len)
            .run(Plan::of::<T>(self).items([channels, 1, 1]))?;
        Ok([mean, variance].map(|memory| Tensor::resident(vec![channels], memory)))
    }

    fn inverse_std(&self, variance: &Tensor<T>, epsilon: T) -> Result<Tensor<T>> {
        let channels = variance.len();
        let inverse = self.take::<T>(channels)?;
        Plan::launch::<T>(self, NORM, "inverse_std")
            .memory(variance.memory(self)?)
            .real(epsilon)
            .memory(&inverse)
            .int(channels)
            .run(Plan::of::<T>(self).items([channels, 1, 1]))?;
        Ok(Tensor::resident(vec![channels], inverse))
    }

    fn normalise(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        bias: &Tensor<T>,
        then: Epilogue<&Tensor<T>>,
    ) -> Result<Tensor<T>> {
        let Channels { batch, channels, len } = norm.channels;
        let y = self.take::<T>(x.len())?;
        let (then, residual) = match then {
            Epilogue::Nothing => (0, x),
            Epilogue::Relu => (1, x),
            Epilogue::AddRelu(residual) => (2, residual),
            Epilogue::Relu6 => (3, x),
        };
        Plan::launch::<T>(self, NORM, "normalise")
            .memory(x.memory(self)?)
            .memory(norm.mean.memory(self)?)
            .memory(norm.inverse.memory(self)?)
            .memory(norm.weight.memory(self)?)
            .memory(bias.memory(self)?)
            .int(then)
            .memory(residual.memory(self)?)
            .memory(&y)
            .int(channels)
            .int(len)
            .run(Plan::of::<T>(self).runs(len, batch * channels))?;
        Ok(Tensor::resident(x.shape().to_vec(), y))
    }

    fn norm_gradients(
        &self,
        norm: &Norm<T>,
        x: &Tensor<T>,
        mut dy: Tensor<T>,
        rectified: Option<Rectified<T>>,
        wanted: WantedOfNorm,
    ) -> Result<NormGradients<T>> {
        let Channels { batch, channels, len } = norm.channels;
        let (plan, planes) = (Plan::of::<T>(self), batch * channels);
        let constants = [&norm.mean, &norm.inverse, &norm.weight].map(|c| c.memory(self));
        let ([mean, inverse, weight], x_memory) = (constants, x.memory(self)?);
        let (mean, inverse, weight) = (mean?, inverse?, weight?);
        let [sums, moments] = [self.take::<T>(planes)?, self.take::<T>(planes)?];
        let of_six = |by| usize::from(by == Rectifier::Relu6);
        let launch = match rectified {
            None => Plan::launch::<T>(self, NORM, "gradient_sums")
                .memory(x_memory)
                .memory(dy.memory(self)?),
            Some(Rectified { by, y }) => Plan::launch::<T>(self, NORM, "rectified_gradient_sums")
                .memory(x_memory)
                .memory(dy.memory_mut(self)?)
                .int(of_six(by))
                .memory(y.memory(self)?),
        };
        let sizes = plan.groups(planes);
        let launch = launch.memory(mean).memory(&sums).memory(&moments);
        launch.int(channels).int(len).run(sizes)?;
        let sum = column_sums(self, &sums, T::one(), batch, channels)?;
        let moment = column_sums(self, &moments, T::one(), batch, channels)?;
        let [dweight, b, c] = [(); 3].map(|()| self.take::<T>(channels));
        let (dweight, b, c) = (dweight?, b?, c?);
        Plan::launch::<T>(self, NORM, "gradient_constants")
            .memory(&sum)
            .memory(&moment)
            .memory(inverse)
            .memory(weight)
            .memory(&dweight)
            .memory(&b)
            .memory(&c)
            .int(channels)
            .long(norm.channels.count())
            .int(usize::from(norm.is_frozen))
            .run(Plan::of::<T>(self).items([channels, 1, 1]))?;
        let shape = x.shape().to_vec();
        let residual = wanted.residual.then(|| dy.clone());
        let mut dx = None;
        if wanted.x {
            // In the place of dy, unless that is a gradient of its own.
            let own = residual.is_some().then(|| self.take::<T>(x.len())).transpose()?;
            let of_dy = if own.is_some() { dy.memory(self)? } else { dy.memory_mut(self)? };
            Plan::launch::<T>(self, NORM, "input_gradient")
                .memory(x_memory)
                .memory(of_dy)
                .memory(mean)
                .memory(inverse)
                .memory(weight)
                .memory(&b)
                .memory(&c)
                .memory(own.as_ref().unwrap_or(of_dy))
                .int(channels)
                .int(len)
                .run(plan.runs(len, planes))?;
            dx = Some(own.map_or(dy, |memory| Tensor::resident(shape, memory)));
        }
        let [weight, bias] = [dweight, sum].map(|memory| Tensor::resident(vec![channels], memory));
        Ok(NormGradients { x: dx, weight, bias, residual })
    }
}
