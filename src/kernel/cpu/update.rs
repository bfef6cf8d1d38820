//! Steps of the optimizer.

use super::Cpu;
use crate::Result;
use crate::kernel::engine::Updates;
use crate::kernel::reduce;
use crate::kernel::update::{self, Adam, Moments, RmsProp, Sgd};
use crate::tensor::{Element, Tensor};

impl<T: Element> Updates<T> for Cpu {
    fn sum_of_squares(&self, tensors: &[&Tensor<T>]) -> Result<f64> {
        Ok(tensors.iter().map(|tensor| reduce::sum_of_squares(tensor.as_slice())).sum())
    }

    fn sgd(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        v: &mut Tensor<T>,
        settings: Sgd<T>,
    ) -> Result<()> {
        update::sgd(w.as_mut_slice(), g.as_slice(), v.as_mut_slice(), settings);
        Ok(())
    }

    fn adam(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        [m, v]: [&mut Tensor<T>; 2],
        settings: Adam<T>,
    ) -> Result<()> {
        let (w, g) = (w.as_mut_slice(), g.as_slice());
        update::adam(w, g, m.as_mut_slice(), v.as_mut_slice(), settings);
        Ok(())
    }

    fn rms_prop(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        moments: Moments<&mut Tensor<T>>,
        settings: RmsProp<T>,
    ) -> Result<()> {
        let moments = Moments {
            square: moments.square.as_mut_slice(),
            mean: moments.mean.map(Tensor::as_mut_slice),
            velocity: moments.velocity.map(Tensor::as_mut_slice),
        };
        update::rms_prop(w.as_mut_slice(), g.as_slice(), moments, settings);
        Ok(())
    }
}
