//! `y_n = conv(x_n, sum_i g[n, i] T_i W_i) + sum_i g[n, i] b_i`: a kernel aggregated from a zoo.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::cost::{Strategy, Wanted};
use crate::kernel::engine::{Kept, Layer};
use crate::kernel::{Geometry, Window};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};

const NAME: &str = "aggregated_conv2d";

/// The kernels of a zoo and how they are mixed.
#[derive(Clone, Copy, Debug)]
pub struct ZooKernels {
    /// The sources' kernels, `[m, O, C / groups, kh, kw]`.
    pub weight: Var,
    /// Channel alignment, `[m, O, O]`.
    pub alignment: Option<Var>,
    /// Biases, `[m, O]`.
    pub bias: Option<Var>,
    /// The gate, `[N, m]`, or `[m]` for all samples alike (lite).
    pub gate: Var,
}

/// The adaptively aggregated convolution of `x` `[N, C, H, W]` with the kernels of a zoo, aligned
/// and mixed for each sample by the gate; of shape `[N, O, H', W']` (Zoo-Tuning, channel
/// alignment and adaptive aggregation).
///
/// It is what [`align`](super::align), [`aggregate`](super::aggregate) and
/// [`conv2d`](super::conv2d) would compute for one sample after the other; but kernels of all
/// samples, `N x O x C x kh x kw` values, are never held, and where that is shorter, outputs are
/// mixed instead of kernels: see [`kernel::aggregate`](crate::kernel::aggregate).
///
/// # Errors
/// If the shapes do not fit each other or the window.
pub fn aggregated_conv2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    kernels: ZooKernels,
    window: Window,
) -> Result<Var> {
    let value = |var: Var| tape.value(var).cloned();
    let (xv, weight, gate) = (value(x)?, value(kernels.weight)?, value(kernels.gate)?);
    let alignment = kernels.alignment.map(value).transpose()?;
    let bias = kernels.bias.map(value).transpose()?;
    let shape = xv.dims(NAME, "input", "[N, C, H, W]")?;
    let [sources, o, c, kh, kw] = weight.dims(NAME, "weight", "[m, O, C / groups, kh, kw]")?;
    let geometry = Geometry::new(NAME, shape, [o, c, kh, kw], window)?;
    if sources == 0 || weight.is_empty() {
        let expected = "of at least one source, with at least one value";
        return Err(Error::shape(NAME, "weight", expected, weight.shape()));
    }
    if gate.shape() != [geometry.batch, sources] && gate.shape() != [sources] {
        let expected = format!("[{}, {sources}] or [{sources}]", geometry.batch);
        return Err(Error::shape(NAME, "gate", expected, gate.shape()));
    }
    for (name, tensor, expected) in
        [("alignment", &alignment, &[sources, o, o][..]), ("bias", &bias, &[sources, o])]
    {
        if let Some(tensor) = tensor.as_ref().filter(|tensor| tensor.shape() != expected) {
            return Err(Error::shape(NAME, name, format!("{expected:?}"), tensor.shape()));
        }
    }
    let mut inputs = vec![x, kernels.weight, kernels.gate];
    inputs.extend(kernels.alignment);
    inputs.extend(kernels.bias);
    let is_training = tape.needs_gradient(&inputs)?;
    let layer = Layer { geometry, sources, x: xv, weight, alignment, bias, gate };
    let device = Device::of(NAME, layer.operands())?;
    let (y, kept) = device.engine().aggregated_conv(&layer, is_training)?;
    let strategy = kept.strategy();
    tape.record(NAME, y, &inputs, AggregatedConv2d { layer, strategy, kept })
}

struct AggregatedConv2d<T> {
    layer: Layer<T>,
    strategy: Strategy,
    kept: Kept<T>,
}

impl<T: Element> AggregatedConv2d<T> {
    /// Which gradients are wanted, of inputs in the order of the tape: `x`, `weight`, `gate`, then
    /// what there is of `alignment` and `bias`.
    fn wanted(&self, of_inputs: &[bool]) -> Wanted {
        let of = |at: usize| of_inputs.get(at).copied().unwrap_or(false);
        let (is_aligned, has_bias) = (self.layer.alignment.is_some(), self.layer.bias.is_some());
        Wanted {
            x: of(0),
            weight: of(1),
            gate: of(2),
            alignment: is_aligned && of(3),
            bias: has_bias && of(3 + usize::from(is_aligned)),
        }
    }
}

impl<T: Element> Backward<T> for AggregatedConv2d<T> {
    /// See [`Aggregation::aggregated_conv_gradients`](crate::kernel::engine::Aggregation).
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let wanted = self.wanted(wanted);
        let Self { layer, kept, .. } = *self;
        let device = Device::of(NAME, [&dy, &layer.x])?;
        let found = device.engine().aggregated_conv_gradients(&layer, &dy, kept, wanted)?;
        let mut gradients = vec![found.x, found.weight, found.gate];
        gradients.extend(layer.alignment.is_some().then_some(found.alignment));
        gradients.extend(layer.bias.is_some().then_some(found.bias));
        Ok(gradients)
    }

    /// As the strategy that was followed has them.
    fn multiply_adds(&self) -> u64 {
        self.layer.sizes().cost(self.strategy)[0].multiply_adds()
    }

    /// All but the convolution and, if every sample has a kernel of its own, mixing it.
    fn multiply_adds_of_parameters(&self) -> u64 {
        let Layer { geometry, weight, .. } = &self.layer;
        let kernels = if self.layer.is_shared() { 0 } else { geometry.batch * weight.len() };
        let needed = geometry.multiply_adds().saturating_add(kernels as u64);
        self.multiply_adds().saturating_sub(needed)
    }

    /// Of the wanted gradients alone.
    fn multiply_adds_backward(&self, wanted: &[bool]) -> u64 {
        self.layer.sizes().multiply_adds_backward(self.strategy, self.wanted(wanted))
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let g = draw.geometry(2);
    let m = draw.size(1, 6);
    let [o, c, kh, kw] = g.weight_shape();
    let gate = if draw.flip() { vec![g.batch, m] } else { vec![m] };
    let mut inputs =
        vec![draw.tensor(&g.input_shape()), draw.tensor(&[m, o, c, kh, kw]), draw.tensor(&gate)];
    let (is_aligned, has_bias) = (draw.flip(), draw.flip());
    if is_aligned {
        inputs.push(draw.tensor(&[m, o, o]));
    }
    if has_bias {
        inputs.push(draw.tensor(&[m, o]));
    }
    Case::new(inputs, move |tape, v| {
        let kernels = ZooKernels {
            weight: v[1],
            gate: v[2],
            alignment: is_aligned.then(|| v[3]),
            bias: has_bias.then(|| v[3 + usize::from(is_aligned)]),
        };
        aggregated_conv2d(tape, v[0], kernels, g.window)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    /// The layer on a tape with these operands frozen, in the order of [`Backward::backward`]'s
    /// `wanted`: its gradients as bits, and the multiply-adds of the backward pass.
    fn frozen(
        layer: &Layer<f32>,
        dy: &Tensor<f32>,
        strategy: Strategy,
        wanted: &[bool],
    ) -> (Vec<Option<Vec<u32>>>, u64) {
        let device = Device::of(NAME, layer.operands()).unwrap();
        let (_, kept) = device.engine().aggregated_conv_in(strategy, layer).unwrap();
        let rule = Box::new(AggregatedConv2d { layer: layer.clone(), strategy, kept });
        let work = rule.multiply_adds_backward(wanted);
        let found = rule.backward(dy.clone(), wanted).unwrap();
        let bits = |values: Tensor<f32>| values.into_vec().into_iter().map(f32::to_bits).collect();
        (found.into_iter().map(|gradient| gradient.map(bits)).collect(), work)
    }

    /// A frozen operand has no gradient, the others keep theirs to the bit, and there is less to do:
    /// by all ways through a layer, for all choices of what is frozen.
    #[test]
    fn frozen_operands_cost_no_backward_pass() {
        let g = Geometry::new(NAME, [3, 4, 6, 5], [6, 4, 3, 3], Window::square(1, 1)).unwrap();
        let (m, mut draw) = (2, Draw::seeded(7));
        let mut tensor = |shape: &[usize]| {
            let values = draw.tensor(shape).into_vec().into_iter().map(|v| v as f32).collect();
            Tensor::<f32>::new(shape, values).unwrap()
        };
        for (is_aligned, is_shared) in [(true, true), (true, false), (false, true), (false, false)]
        {
            let layer = Layer {
                geometry: g,
                sources: m,
                x: tensor(&g.input_shape()),
                weight: tensor(&[m, 6, 4, 3, 3]),
                alignment: is_aligned.then(|| tensor(&[m, 6, 6])),
                bias: Some(tensor(&[m, 6])),
                gate: tensor(if is_shared { &[2][..] } else { &[3, 2] }),
            };
            let dy = tensor(&g.output_shape());
            let inputs = 4 + usize::from(is_aligned);
            for strategy in Strategy::ALL {
                if !layer.sizes().allows(strategy) {
                    continue;
                }
                let (all, most) = frozen(&layer, &dy, strategy, &vec![true; inputs]);
                assert!(all.iter().all(Option::is_some));
                for choice in 0..(1 << inputs) - 1 {
                    let wanted: Vec<bool> = (0..inputs).map(|at| choice >> at & 1 == 1).collect();
                    let (found, work) = frozen(&layer, &dy, strategy, &wanted);
                    for ((found, of_all), &wanted) in found.iter().zip(&all).zip(&wanted) {
                        let expected = of_all.as_ref().filter(|_| wanted);
                        assert_eq!(found.as_ref(), expected, "{strategy:?} {choice:b}");
                    }
                    assert!(work <= most, "{strategy:?} {choice:b}");
                }
                // Kernels and alignments frozen, as the backbone's group has them.
                let mut wanted = vec![true; inputs];
                wanted[1] = false;
                if is_aligned {
                    wanted[3] = false;
                }
                let (_, work) = frozen(&layer, &dy, strategy, &wanted);
                assert!(work < most, "{strategy:?}: {work} of {most}");
            }
        }
    }
}
