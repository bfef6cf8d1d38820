//! Convolution as a layer, in its three forms.

use super::{Gate, Id, Pass};
use crate::kernel::Window;
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// A convolution: plain, or with kernels aggregated from a zoo.
#[derive(Clone, Debug)]
pub struct Conv {
    /// `[O, C / groups, kh, kw]`, or `[O, C kh kw]` of a fully connected layer; in a zoo with a
    /// leading axis of m sources.
    pub weight: Id,
    /// `[O]`, or `[m, O]`.
    pub bias: Option<Id>,
    /// `[O, C / groups, kh, kw]`, in whatever shape the weight is stored.
    pub shape: [usize; 4],
    /// Stride, padding, dilation, groups.
    pub window: Window,
    /// How sources are mixed; `None` for a plain convolution.
    pub mix: Option<Mix>,
    /// Whether it belongs to the network's head.
    pub is_head: bool,
    /// Whether the weight is stored as a matrix.
    pub(super) is_matrix: bool,
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
    /// - plain: `conv(x, W) + b`;
    /// - zoo: `y_n = conv(x_n, sum_i g[n, i] T_i W_i) + sum_i g[n, i] T_i b_i`;
    /// - lite: the same with the batch's mean gate `g[i]`.
    ///
    /// Alignment is a change of the order, or the mixture, of a source's output channels, so that
    /// it goes for the biases as it goes for the kernels: `T (W x + b) = (T W) x + T b`.
    ///
    /// # Errors
    /// If `x` does not fit the kernel.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        pass.tape().enter(&self.name);
        let (mut weight, mut bias) = (pass.var(self.weight), self.bias.map(|bias| pass.var(bias)));
        let sources = match &self.mix {
            Some(_) => &pass.parameter(self.weight).shape()[..1],
            None => &[],
        };
        if self.is_matrix {
            weight = ops::reshape(pass.tape(), weight, &[sources, &self.shape].concat())?;
        }
        let Some(mix) = &self.mix else {
            return ops::conv2d(pass.tape(), x, weight, bias, self.window);
        };
        let alignment = mix.alignment.map(|alignment| pass.var(alignment));
        if let (Some(of_sources), Some(alignment)) = (bias, alignment) {
            // A kernel of one value for each output channel.
            let [m, outputs] = [sources[0], self.shape[0]];
            let kernels = ops::reshape(pass.tape(), of_sources, &[m, outputs, 1, 1, 1])?;
            let aligned = ops::align(pass.tape(), kernels, alignment)?;
            bias = Some(ops::reshape(pass.tape(), aligned, &[m, outputs])?);
        }
        let gate =
            if mix.lite { mix.gate.of_batch(pass, x)? } else { mix.gate.per_sample(pass, x)? };
        let kernels = ops::ZooKernels { weight, alignment, bias, gate };
        ops::aggregated_conv2d(pass.tape(), x, kernels, self.window)
    }
}
