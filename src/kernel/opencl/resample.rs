//! Images of another size.

use super::RESAMPLE;
use super::plan::Plan;
use crate::Result;
use crate::kernel::engine::Resampling;
use crate::kernel::resample::Interpolation;
use crate::tensor::opencl::{Memory, OpenCl};
use crate::tensor::{Element, Tensor};
use std::sync::Arc;

impl<T: Element> Resampling<T> for Arc<OpenCl> {
    fn resample(&self, rule: Interpolation, x: &Tensor<T>, to: [usize; 2]) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = x.dims("resample", "input", "[N, C, H, W]")?;
        let (from, planes) = ([height, width], batch * channels);
        let y = self.take::<T>(planes * to[0] * to[1])?;
        let sizes = [to[1], to[0], planes];
        run::<T>(self, "resample", rule, [x.memory(self)?, &y], [from, to], sizes)?;
        Ok(Tensor::resident(vec![batch, channels, to[0], to[1]], y))
    }

    fn resample_gradient(
        &self,
        rule: Interpolation,
        dy: &Tensor<T>,
        from: [usize; 2],
    ) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = dy.dims("resample", "gradient", "[N, C, H, W]")?;
        let (to, planes) = ([height, width], batch * channels);
        let dx = self.take::<T>(planes * from[0] * from[1])?;
        let sizes = [from[1], from[0], planes];
        run::<T>(self, "resample_gradient", rule, [dy.memory(self)?, &dx], [from, to], sizes)?;
        Ok(Tensor::resident(vec![batch, channels, from[0], from[1]], dx))
    }
}

/// A kernel that reads one memory and writes the other, over so many work-items.
fn run<T: Element>(
    device: &Arc<OpenCl>,
    kernel: &'static str,
    rule: Interpolation,
    [read, written]: [&Memory; 2],
    [from, to]: [[usize; 2]; 2],
    items: [usize; 3],
) -> Result<()> {
    let [down, right] = [0, 1].map(|axis| T::from_f64(rule.scale(from[axis], to[axis])));
    Plan::launch::<T>(device, RESAMPLE, kernel)
        .memory(read)
        .memory(written)
        .ints(&[from, to].concat())
        .real(down)
        .real(right)
        .int(usize::from(rule == Interpolation::Bilinear))
        .run(Plan::of::<T>(device).items(items))
}
