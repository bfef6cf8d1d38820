//! `y_n = conv(x_n, sum_i g[n, i] A_i) + sum_i g[n, i] b_i`: every sample has its own kernel.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::aggregate::PerSample;
use crate::kernel::{Geometry, Window, reduce};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Element, Tensor};
use crate::{Error, Result};

/// The adaptively aggregated convolution of `x` `[N, C, H, W]` with the kernels of a zoo,
/// `weight` `[m, O, C / groups, kh, kw]` and `bias` `[m, O]`, mixed for each sample by
/// `gate` `[N, m]`; of shape `[N, O, H', W']` (Zoo-Tuning, adaptive aggregation).
///
/// The kernels of the samples, `N x O x C x kh x kw` values, are never held; see
/// [`kernel::aggregate`](crate::kernel::aggregate).
///
/// # Errors
/// If the shapes do not fit each other or the window.
pub fn aggregated_conv2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    weight: Var,
    bias: Option<Var>,
    gate: Var,
    window: Window,
) -> Result<Var> {
    const NAME: &str = "aggregated_conv2d";
    let (xv, w, g) =
        (tape.value(x)?.clone(), tape.value(weight)?.clone(), tape.value(gate)?.clone());
    let shape = xv.dims(NAME, "input", "[N, C, H, W]")?;
    let [sources, o, c, kh, kw] = w.dims(NAME, "weight", "[m, O, C / groups, kh, kw]")?;
    let geometry = Geometry::new(NAME, shape, [o, c, kh, kw], window)?;
    if sources == 0 {
        return Err(Error::shape(NAME, "weight", "of at least one source", w.shape()));
    }
    if g.shape() != [geometry.batch, sources] {
        let expected = format!("[{}, {sources}]", geometry.batch);
        return Err(Error::shape(NAME, "gate", expected, g.shape()));
    }
    let mut inputs = vec![x, weight, gate];
    let mut bias_value = None;
    if let Some(bias) = bias {
        let b = tape.value(bias)?.clone();
        if b.shape() != [sources, o] {
            return Err(Error::shape(NAME, "bias", format!("[{sources}, {o}]"), b.shape()));
        }
        bias_value = Some(b);
        inputs.push(bias);
    }
    let rule = AggregatedConv2d { geometry, sources, x: xv, weight: w, bias: bias_value, gate: g };
    let y = Tensor::owned(geometry.output_shape().to_vec(), rule.operands().forward());
    tape.record(NAME, y, &inputs, rule)
}

struct AggregatedConv2d<T> {
    geometry: Geometry,
    sources: usize,
    x: Tensor<T>,
    weight: Tensor<T>,
    bias: Option<Tensor<T>>,
    gate: Tensor<T>,
}

impl<T: Element> AggregatedConv2d<T> {
    /// Multiply-adds that make the kernels of a batch.
    fn mixing(&self) -> u64 {
        self.geometry.batch as u64 * self.weight.len() as u64
    }

    fn operands(&self) -> PerSample<'_, T> {
        PerSample {
            geometry: &self.geometry,
            x: self.x.as_slice(),
            weight: self.weight.as_slice(),
            bias: self.bias.as_ref().map(Tensor::as_slice),
            gate: self.gate.as_slice(),
            sources: self.sources,
        }
    }
}

impl<T: Element> Backward<T> for AggregatedConv2d<T> {
    /// With `D_n` the gradient of the kernel of sample `n`: `dA_i = sum_n g[n, i] D_n`,
    /// `dg[n, i] = <D_n, A_i> + <db_n, b_i>`, and `dx_n` as in a convolution.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let (operands, dy) = (self.operands(), dy.as_slice());
        let like = |tensor: &Tensor<T>, values| Tensor::owned(tensor.shape().to_vec(), values);
        let dx = wanted[0].then(|| like(&self.x, operands.input_gradient(dy)));
        let (dweight, mut dgate) = if wanted[1] || wanted[2] {
            let (dweight, dgate) = operands.kernel_gradients(dy);
            (Some(like(&self.weight, dweight)), Some(dgate))
        } else {
            (None, None)
        };
        let mut dbias = None;
        if let Some(bias) = &self.bias {
            let (db, dg) = operands.bias_gradients(bias.as_slice(), dy);
            dbias = Some(like(bias, db));
            if let Some(dgate) = &mut dgate {
                reduce::add_scaled(dgate, T::one(), &dg);
            }
        }
        let mut gradients = vec![dx, dweight, dgate.map(|dgate| like(&self.gate, dgate))];
        if self.bias.is_some() {
            gradients.push(dbias);
        }
        Ok(gradients)
    }

    /// Each sample's kernel is mixed, then used.
    fn multiply_adds(&self) -> u64 {
        self.geometry.multiply_adds().saturating_add(self.mixing())
    }

    /// For `dx` the same; for the others each sample's kernel gradient, which is mixed back
    /// once into the sources, and once compared with each of them for the gate.
    fn multiply_adds_backward(&self, wanted: &[bool]) -> u64 {
        let dx = if wanted[0] { self.multiply_adds() } else { 0 };
        let kernels = self.multiply_adds().saturating_add(self.mixing());
        dx.saturating_add(if wanted[1] || wanted[2] { kernels } else { 0 })
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let g = draw.geometry(2);
    let m = draw.size(1, 6);
    let [o, c, kh, kw] = g.weight_shape();
    let mut inputs = vec![
        draw.tensor(&g.input_shape()),
        draw.tensor(&[m, o, c, kh, kw]),
        draw.tensor(&[g.batch, m]),
    ];
    if draw.flip() {
        inputs.push(draw.tensor(&[m, o]));
    }
    Case::new(inputs, move |tape, v| {
        aggregated_conv2d(tape, v[0], v[1], v.get(3).copied(), v[2], g.window)
    })
}

#[cfg(test)]
mod tests {
    crate::gradcheck::gradient_test!(super::case);
}
