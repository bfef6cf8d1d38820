//! Convolution as a layer, in its forms.

use super::{Gate, Id, Pass};
use crate::kernel::{Geometry, Window};
use crate::tape::Var;
use crate::tensor::Element;
use crate::{Result, ops};

/// A convolution: plain, or with kernels aggregated from a zoo.
#[derive(Clone, Debug)]
pub struct Conv {
    /// `[O, C / groups, kh, kw]`, or `[O, C kh kw]` of a fully connected layer; in a zoo with a
    /// leading axis of m sources. In a routed layer that of the first source.
    pub weight: Id,
    /// `[O]`, or `[m, O]`.
    pub bias: Option<Id>,
    /// `[O, C / groups, kh, kw]`, in whatever shape the weight is stored.
    pub shape: [usize; 4],
    /// Stride, padding, dilation, groups.
    pub window: Window,
    /// Whether it is padded as TensorFlow's `SAME`, see [`Builder::conv_same`](super::Builder).
    pub is_same: bool,
    /// How sources are mixed; `None` for a plain convolution.
    pub mix: Option<Mix>,
    /// The sources' kernels, if each sample goes through one of them.
    pub routes: Option<Routes>,
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

/// The kernels and biases of a routed layer, one of each for every source.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Of the shape in which a plain layer's weight is stored.
    pub kernels: Vec<Id>,
    /// `[O]`.
    pub biases: Vec<Id>,
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
    /// - lite: the same with the batch's mean gate `g[i]`;
    /// - routed: `y_n = conv(x_n, W_i(n)) + b_i(n)`, for samples that are sorted by source.
    ///
    /// Alignment is a change of the order, or the mixture, of a source's output channels, so that
    /// it goes for the biases as it goes for the kernels: `T (W x + b) = (T W) x + T b`.
    ///
    /// # Errors
    /// If `x` does not fit the kernel.
    pub fn forward<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        pass.tape().enter(&self.name);
        let [_, _, height, width] = pass.value(x)?.dims("conv2d", "input", "[N, C, H, W]")?;
        let (window, cut) = self.padded([height, width]);
        if let Some(routes) = &self.routes {
            let y = self.routed(pass, x, routes, window)?;
            return without_first(pass, y, cut);
        }
        let (mut weight, mut bias) = (pass.var(self.weight), self.bias.map(|bias| pass.var(bias)));
        let sources = match &self.mix {
            Some(_) => &pass.parameter(self.weight).shape()[..1],
            None => &[],
        };
        if self.is_matrix {
            weight = ops::reshape(pass.tape(), weight, &[sources, &self.shape].concat())?;
        }
        let Some(mix) = &self.mix else {
            let y = ops::conv2d(pass.tape(), x, weight, bias, window)?;
            return without_first(pass, y, cut);
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
        let y = ops::aggregated_conv2d(pass.tape(), x, kernels, window)?;
        without_first(pass, y, cut)
    }

    fn routed<T: Element>(
        &self,
        pass: &mut Pass<T>,
        x: Var,
        routes: &Routes,
        window: Window,
    ) -> Result<Var> {
        let counts = pass.counts_of_sources(routes.kernels.len())?;
        let kernel = |id: &Id| {
            let weight = pass.var(*id);
            if self.is_matrix { ops::reshape(pass.tape(), weight, &self.shape) } else { Ok(weight) }
        };
        let weights = routes.kernels.iter().map(kernel).collect::<Result<Vec<_>>>()?;
        let biases: Vec<Var> = routes.biases.iter().map(|&bias| pass.var(bias)).collect();
        let kernels = ops::RoutedKernels { weights: &weights, biases: &biases, counts: &counts };
        ops::routed_conv2d(pass.tape(), x, kernels, window)
    }

    /// The shape in which a plain layer's weight is stored.
    pub(super) fn stored_shape(&self) -> Vec<usize> {
        let [outputs, columns @ ..] = self.shape;
        if self.is_matrix { vec![outputs, columns.iter().product()] } else { self.shape.to_vec() }
    }

    /// Height and width of the output for an input `[N, C, H, W]` of these sizes.
    pub(super) fn output_size(&self, x: [usize; 4]) -> Result<[usize; 2]> {
        let (window, cut) = self.padded([x[2], x[3]]);
        let [height, width] = Geometry::new("conv2d", x, self.shape, window)?.output;
        Ok([height - cut[0], width - cut[1]])
    }

    /// The window over an image of that size, and how many rows and columns at the beginning of its
    /// output to leave out.
    ///
    /// `SAME` wants `ceil(size / stride)` outputs. If the zeros which that takes are odd in number,
    /// the end has one more than the beginning. Padding that is larger by the stride, on both sides
    /// alike, moves the outputs on by one: without the first they are the wanted ones.
    fn padded(&self, size: [usize; 2]) -> (Window, [usize; 2]) {
        let Window { stride, dilation, .. } = self.window;
        let (mut window, mut cut) = (self.window, [0, 0]);
        if !self.is_same || stride.contains(&0) || size.contains(&0) {
            return (window, cut);
        }
        for axis in 0..2 {
            let reach = dilation[axis].saturating_mul(self.shape[2 + axis] - 1).saturating_add(1);
            let last = (size[axis] - 1) / stride[axis] * stride[axis];
            let zeros = last.saturating_add(reach).saturating_sub(size[axis]);
            cut[axis] = zeros % 2;
            window.padding[axis] =
                (zeros / 2).saturating_add(cut[axis].saturating_mul(stride[axis]));
        }
        (window, cut)
    }
}

/// `y` `[N, O, H, W]` without the first `cut` rows and columns.
fn without_first<T: Element>(pass: &mut Pass<T>, mut y: Var, cut: [usize; 2]) -> Result<Var> {
    for (axis, cut) in [2, 3].into_iter().zip(cut) {
        if cut > 0 {
            let len = pass.value(y)?.shape()[axis];
            y = ops::slice(pass.tape(), y, axis, cut..len)?;
        }
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Architecture, Builder, Design, Layers, Network};
    use crate::tensor::Tensor;

    /// One layer, padded as `SAME`.
    struct Same {
        taps: [usize; 2],
        stride: [usize; 2],
        dilation: usize,
    }

    impl Architecture for Same {
        fn name(&self) -> &str {
            "same"
        }

        fn layers(&self, b: &mut Builder) -> Result<Layers> {
            let (dilation, [kh, kw]) = ([self.dilation; 2], self.taps);
            let window = Window { stride: self.stride, dilation, ..Window::default() };
            let conv = b.conv_same("conv", [b.outputs(), b.channels(), kh, kw], window)?;
            Ok(Box::new(move |o, x| o.conv(&conv, x)))
        }
    }

    /// TensorFlow's rule by hand: zeros around the image, the odd one at the end, and a convolution
    /// without padding.
    #[test]
    fn same_is_a_convolution_of_the_image_between_zeros() -> Result<()> {
        let mut rng = fastrand::Rng::with_seed(1);
        for size in [1, 2, 5, 6, 7, 8] {
            for (taps, stride, dilation) in
                [(1, 1, 1), (1, 2, 1), (2, 1, 1), (3, 1, 1), (3, 2, 1), (5, 2, 1), (4, 3, 2)]
            {
                // Height and width differ in everything.
                let ([h, w], taps, stride) = ([size, 9], [taps, 3], [stride, 2]);
                let design = Design::new(Same { taps, stride, dilation }, 2, 3);
                let network = Network::<f64>::drawn(&design, 2)?;
                let x = Tensor::normal(&[2, 2, h, w], 1.0, &mut rng);
                let mut pass = Pass::train(network.parameters());
                let input = pass.input(x.clone());
                let y = network.forward(&mut pass, input)?;
                let outputs = [h.div_ceil(stride[0]), w.div_ceil(stride[1])];
                assert_eq!(design.costs([h, w])?[0].size, outputs);
                let total = |axis: usize| {
                    let reach =
                        (outputs[axis] - 1) * stride[axis] + dilation * (taps[axis] - 1) + 1;
                    reach.saturating_sub([h, w][axis])
                };
                let [of_rows, of_columns] = [total(0), total(1)];
                let padded = [h + of_rows, w + of_columns];
                let mut image = Tensor::<f64>::zeros(&[2, 2, padded[0], padded[1]]);
                let into = image.as_mut_slice();
                for (at, &value) in x.as_slice().iter().enumerate() {
                    let (plane, row, column) = (at / (h * w), at / w % h, at % w);
                    let row = plane * padded[0] + row + of_rows / 2;
                    into[row * padded[1] + column + of_columns / 2] = value;
                }
                let image = pass.input(image);
                let id = network.parameters().find("conv.weight")?;
                let weight = pass.var(id);
                let window = Window { stride, dilation: [dilation; 2], ..Window::default() };
                let expected = ops::conv2d(pass.tape(), image, weight, None, window)?;
                let (expected, found) = (pass.value(expected)?, pass.value(y)?);
                assert_eq!(found.shape(), [2, 3, outputs[0], outputs[1]]);
                assert!(expected.relative_difference(found)? < 1e-12, "{h}x{w}, {taps:?}");
            }
        }
        Ok(())
    }
}
