//! Steps of the optimizer.

use super::Cpu;
use crate::Result;
use crate::kernel::descent::{self, Adam, Sgd};
use crate::kernel::engine::Descent;
use crate::tensor::{Element, Tensor};

impl<T: Element> Descent<T> for Cpu {
    fn sgd(
        &self,
        w: &mut Tensor<T>,
        g: &Tensor<T>,
        v: &mut Tensor<T>,
        settings: Sgd<T>,
    ) -> Result<()> {
        descent::sgd(w.as_mut_slice(), g.as_slice(), v.as_mut_slice(), settings);
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
        descent::adam(w, g, m.as_mut_slice(), v.as_mut_slice(), settings);
        Ok(())
    }
}
