//! Convolution as a layer, in its three forms.

use super::{Gate, Id, Pass};
use crate::kernel::Window;
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// A convolution: plain, or with kernels aggregated from a zoo.
#[derive(Clone, Debug)]
pub struct Conv {
    /// `[O, C / groups, kh, kw]`, or with a leading axis of m sources.
    pub weight: Id,
    /// `[O]`, or `[m, O]`.
    pub bias: Option<Id>,
    /// Stride, padding, dilation, groups.
    pub window: Window,
    /// How sources are mixed; `None` for a plain convolution.
    pub mix: Option<Mix>,
    pub(super) name: String,
}

/// How the kernels of several sources become one.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Channel alignment `T`, `[m, O, O]`.
    pub alignment: Option<Id>,
    /// The gate.
    pub gate: Gate,
    /// One kernel for the whole batch, instead of one for each sample.
    pub lite: bool,
}

impl Mix {
    /// All tensors that only mixing needs: the alignment and the gate's.
    pub fn ids(&self) -> Vec<Id> {
        let Gate { reduce, expand, bias, average, .. } = self.gate;
        let average = average.map(|average| [average.sum, average.weight]);
        let ids = self.alignment.into_iter().chain([reduce, expand, bias]);
        ids.chain(average.into_iter().flatten()).collect()
    }
}

impl Conv {
    /// The layer's name, e.g. `layer1.0.conv1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The output `[N, O, H', W']` for `x` `[N, C, H, W]`:
    ///
    /// - plain: `conv(x, W)`;
    /// - zoo: `y_n = conv(x_n, sum_i g[n, i] T_i W_i)`;
    /// - lite: `conv(x, sum_i g[i] T_i W_i)`, with the batch's mean gate.
    ///
    /// # Errors
    /// If `x` does not fit the kernel.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        pass.tape().enter(&self.name);
        let (weight, bias) = (pass.var(self.weight), self.bias.map(|bias| pass.var(bias)));
        let Some(mix) = &self.mix else {
            return ops::conv2d(pass.tape(), x, weight, bias, self.window);
        };
        let alignment = mix.alignment.map(|alignment| pass.var(alignment));
        let gate =
            if mix.lite { mix.gate.of_batch(pass, x)? } else { mix.gate.per_sample(pass, x)? };
        let kernels = ops::ZooKernels { weight, alignment, bias, gate };
        ops::aggregated_conv2d(pass.tape(), x, kernels, self.window)
    }
}
