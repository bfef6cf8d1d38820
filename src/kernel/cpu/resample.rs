//! Images of another size.

use super::Cpu;
use crate::Result;
use crate::kernel::engine::Resampling;
use crate::kernel::resample::Interpolation;
use crate::tensor::{Element, Tensor};

impl<T: Element> Resampling<T> for Cpu {
    fn resample(&self, rule: Interpolation, x: &Tensor<T>, to: [usize; 2]) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = x.dims("resample", "input", "[N, C, H, W]")?;
        let y = rule.resample(x.as_slice(), [height, width], to);
        Ok(Tensor::owned(vec![batch, channels, to[0], to[1]], y))
    }

    fn resample_gradient(
        &self,
        rule: Interpolation,
        dy: &Tensor<T>,
        from: [usize; 2],
    ) -> Result<Tensor<T>> {
        let [batch, channels, height, width] = dy.dims("resample", "gradient", "[N, C, H, W]")?;
        let dx = rule.resample_gradient(dy.as_slice(), from, [height, width]);
        Ok(Tensor::owned(vec![batch, channels, from[0], from[1]], dx))
    }
}
