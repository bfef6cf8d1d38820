//! `y_n = conv(x_n, W_i(n)) + b_i(n)`: each sample by the kernel of one source.

use super::Gradients;
use crate::gradcheck::{Case, Draw};
use crate::kernel::engine::Engine;
use crate::kernel::{Geometry, Window};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::{Device, Element, Tensor};
use crate::{Error, Result};
use std::ops::Range;

const NAME: &str = "routed_conv2d";

/// The kernels of several sources, each for the samples that are routed to it.
#[derive(Clone, Copy, Debug)]
pub struct RoutedKernels<'a> {
    /// The sources' kernels, `[O, C / groups, kh, kw]` each.
    pub weights: &'a [Var],
    /// Their biases, `[O]` each.
    pub biases: &'a [Var],
    /// How many samples each source is given: the batch begins with those of the first.
    pub counts: &'a [usize],
}

/// The convolution of `x` `[N, C, H, W]`, sorted by source, in which each sample meets the kernel and
/// the bias of its source alone; of shape `[N, O, H', W']`. It costs what one
/// [`conv2d`](super::conv2d) costs. A source without samples is not looked at, and gets no gradient.
///
/// # Errors
/// If there is not one kernel, bias and count for each source, the counts are not those of a batch
/// of N, or the shapes do not fit each other or the window.
pub fn routed_conv2d<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    kernels: RoutedKernels,
    window: Window,
) -> Result<Var> {
    let RoutedKernels { weights, biases, counts } = kernels;
    let sources = weights.len();
    if sources == 0 || biases.len() != sources || counts.len() != sources {
        let problem = format!(
            "{sources} kernels, {} biases and {} counts, which should be one for each source",
            biases.len(),
            counts.len()
        );
        return Err(Error::argument(NAME, problem));
    }
    let value = |var: Var| tape.value(var).cloned();
    let xv = value(x)?;
    let shape: [usize; 4] = xv.dims(NAME, "input", "[N, C, H, W]")?;
    let batch = shape[0];
    if counts.iter().try_fold(0usize, |sum, &count| sum.checked_add(count)) != Some(batch) {
        let expected = format!("a batch of {counts:?} samples");
        return Err(Error::shape(NAME, "input", expected, xv.shape()));
    }
    // An empty batch is the first source's.
    let is_used = |&source: &usize| counts[source] > 0 || (batch == 0 && source == 0);
    let mut inputs = vec![x];
    let (mut parts, mut outputs, mut first) = (vec![], vec![], 0);
    for source in (0..sources).filter(is_used) {
        let rows = first..first + counts[source];
        first = rows.end;
        let (weight, bias) = (value(weights[source])?, value(biases[source])?);
        let of_kernel = weight.dims(NAME, "weight", "[O, C / groups, kh, kw]")?;
        let geometry =
            Geometry::new(NAME, [rows.len(), shape[1], shape[2], shape[3]], of_kernel, window)?;
        if bias.shape() != [geometry.outputs] {
            return Err(Error::shape(
                NAME,
                "bias",
                format!("[{}]", geometry.outputs),
                bias.shape(),
            ));
        }
        let device = Device::of(NAME, [&xv, &weight, &bias])?;
        let engine = device.engine();
        let part = Part { geometry, rows, kernel: weight };
        outputs.push(engine.conv(
            &geometry,
            &part.rows_of(engine, &xv)?,
            &part.kernel,
            Some(&bias),
        )?);
        inputs.extend([weights[source], biases[source]]);
        parts.push(part);
    }
    let same = outputs.iter().all(|y| y.shape()[1..] == outputs[0].shape()[1..]);
    if !same {
        return Err(Error::argument(NAME, "the sources' kernels differ in their shapes"));
    }
    let y = joined(&outputs)?;
    tape.record(NAME, y, &inputs, RoutedConv2d { x: xv, parts })
}

/// The samples of one source.
struct Part<T> {
    geometry: Geometry,
    rows: Range<usize>,
    kernel: Tensor<T>,
}

impl<T: Element> Part<T> {
    /// The part's samples of `values` `[N, ...]`; of a batch that is one part, no value is copied.
    fn rows_of(&self, engine: &dyn Engine<T>, values: &Tensor<T>) -> Result<Tensor<T>> {
        if self.rows.len() == values.shape()[0] {
            return Ok(values.clone());
        }
        engine.slice(values, 0, self.rows.clone())
    }
}

/// Samples of all parts, one after the other.
fn joined<T: Element>(parts: &[Tensor<T>]) -> Result<Tensor<T>> {
    match parts {
        [one] => Ok(one.clone()),
        parts => {
            let parts: Vec<&Tensor<T>> = parts.iter().collect();
            Device::of(NAME, parts.iter().copied())?.engine().concat(&parts, 0)
        }
    }
}

struct RoutedConv2d<T> {
    x: Tensor<T>,
    parts: Vec<Part<T>>,
}

impl<T: Element> Backward<T> for RoutedConv2d<T> {
    /// Those of [`conv2d`](super::conv2d) for each part.
    fn backward(self: Box<Self>, dy: Tensor<T>, wanted: &[bool]) -> Gradients<T> {
        let Self { x, parts } = *self;
        let device = Device::of(NAME, [&dy, &x])?;
        let engine = device.engine();
        let (mut dx, mut gradients) = (vec![], vec![None]);
        for (part, wanted_of_part) in parts.iter().zip(wanted[1..].chunks(2)) {
            let (g, dy) = (&part.geometry, part.rows_of(engine, &dy)?);
            if wanted[0] {
                dx.push(engine.conv_input_gradient(g, &dy, &part.kernel)?);
            }
            let of_kernel = wanted_of_part[0]
                .then(|| engine.conv_kernel_gradient(g, &part.rows_of(engine, &x)?, &dy));
            let of_bias = wanted_of_part[1].then(|| engine.conv_bias_gradient(g, &dy));
            gradients.extend([of_kernel.transpose()?, of_bias.transpose()?]);
        }
        gradients[0] = wanted[0].then(|| joined(&dx)).transpose()?;
        Ok(gradients)
    }

    fn multiply_adds(&self) -> u64 {
        self.parts.iter().map(|part| part.geometry.multiply_adds()).sum()
    }
}

pub(super) fn case(draw: &mut Draw) -> Case {
    let g = draw.geometry(2);
    // Each has a sample, so that each gets a gradient.
    let sources = draw.size(1, g.batch.clamp(1, 4));
    let mut counts = vec![1; sources];
    (sources..g.batch).for_each(|_| counts[draw.size(0, sources - 1)] += 1);
    let mut inputs = vec![draw.tensor(&g.input_shape())];
    for _ in 0..sources {
        inputs.extend([draw.tensor(&g.weight_shape()), draw.tensor(&[g.outputs])]);
    }
    Case::new(inputs, move |tape, v| {
        let every = |first| v[1..].iter().skip(first).step_by(2).copied().collect::<Vec<_>>();
        let kernels = RoutedKernels { weights: &every(0), biases: &every(1), counts: &counts };
        routed_conv2d(tape, v[0], kernels, g.window)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::gradcheck::gradient_test!(super::case);

    fn refused(counts: &[usize], weights: usize, bias: usize) -> String {
        let mut tape = Tape::<f32>::new();
        let x = tape.constant(Tensor::zeros(&[3, 2, 4, 4]));
        let weights: Vec<Var> =
            (0..weights).map(|_| tape.constant(Tensor::zeros(&[5, 2, 3, 3]))).collect();
        let biases: Vec<Var> =
            weights.iter().map(|_| tape.constant(Tensor::zeros(&[bias]))).collect();
        let kernels = RoutedKernels { weights: &weights, biases: &biases, counts };
        routed_conv2d(&mut tape, x, kernels, Window::square(1, 1)).unwrap_err().to_string()
    }

    #[test]
    fn a_source_without_samples_gets_no_gradient() {
        let mut tape = Tape::<f64>::new();
        let x = tape.constant(Tensor::full(&[2, 1, 1, 1], 3.0));
        let weights = [1.0, 2.0, 5.0].map(|w| tape.parameter(Tensor::full(&[1, 1, 1, 1], w)));
        let biases = [10.0, 20.0, 50.0].map(|b| tape.parameter(Tensor::full(&[1], b)));
        let kernels = RoutedKernels { weights: &weights, biases: &biases, counts: &[1, 0, 1] };
        let y = routed_conv2d(&mut tape, x, kernels, Window::default()).unwrap();
        assert_eq!(tape.value(y).unwrap().as_slice(), [13.0, 65.0]);
        let loss = crate::ops::sum_all(&mut tape, y).unwrap();
        let mut gradients = tape.backward(loss).unwrap();
        let mut of = |var: Var| gradients.take(var).map(Tensor::into_vec);
        assert_eq!(of(weights[0]), Some(vec![3.0]));
        assert_eq!((of(weights[1]), of(biases[1])), (None, None));
        assert_eq!((of(weights[2]), of(biases[2])), (Some(vec![3.0]), Some(vec![1.0])));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(refused(&[1, 1], 2, 5).contains("a batch of [1, 1] samples"));
        assert!(refused(&[3], 2, 5).contains("2 kernels, 2 biases and 1 counts"));
        assert!(refused(&[1, 2], 2, 4).contains("bias"));
    }
}
