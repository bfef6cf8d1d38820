//! Images that are normalised for another network: the first layer takes the difference over.
//!
//! A source was trained on images `(v - m) / s`, channel by channel, perhaps in the order blue,
//! green, red. It is shown `x = (v - m') / s'` in the order red, green, blue. What it
//! expects is `x s' / s + d`, with `d = (m' - m) / s`, so that its first layer computes the same as
//! before with the kernel
//!
//! ```text
//! W'[o, c] = W[o, c] s'[c] / s[c]        at the place of that channel in the new order
//! b'[o]    = b[o] + sum over c and all taps of W[o, c] d[c]
//! ```
//!
//! A layer without a bias has a batch norm behind it, whose running mean becomes smaller by the
//! constant instead. This is exact wherever all taps lie within the image, and everywhere if `d` is
//! 0 or the image is not padded. Around it are zeros, which meant `v = m` to the source, and now
//! mean `v = m'`: there the layer's output is wrong by `W d` over the taps outside.

use crate::nn::{Design, FirstLayer};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// How the values 0 to 1 of an image become those that a network sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// Subtracted, for each channel in the order red, green, blue.
    pub mean: Vec<f32>,
    /// The standard deviation, divided by then, for each channel in that order.
    pub std: Vec<f32>,
    /// Whether channels are in the order blue, green, red.
    pub is_reversed: bool,
}

/// Changes the first layer of `source`, a plain network of that design that expects images as in
/// `expected`, so that it computes the same of images as in `given`. Returns by how much the output
/// of the layer, behind the norm if there is one, is off at most where the image is padded, whatever
/// the image; 0 if all is exact.
///
/// # Errors
/// If the channels are not the design's, or its image is read by something that cannot take the
/// difference over.
pub fn absorb<T: Element>(
    design: &Design,
    source: &mut State<T>,
    expected: &Normalisation,
    given: &Normalisation,
) -> Result<f64> {
    if expected == given {
        return Ok(0.0);
    }
    let refuse = |problem: String| Err(Error::argument("absorb", problem));
    let Some(layer) = design.first_layer()? else {
        let problem =
            "its image is not read by one convolution, which could take the difference over";
        return refuse(format!("{}: {problem}", design.name()));
    };
    let [outputs, channels, kh, kw] = layer.shape;
    for Normalisation { mean, std, .. } in [expected, given] {
        if mean.len() != channels || std.len() != channels {
            return refuse(format!("{} means of {channels} channels", mean.len()));
        }
    }
    let [mean, std] = [&expected.mean, &expected.std].map(|v| doubled(v));
    let [new_mean, new_std] = [&given.mean, &given.std].map(|v| doubled(v));
    let is_turned = expected.is_reversed != given.is_reversed;

    let kernel = source.get(&layer.weight)?;
    if kernel.len() != outputs * channels * kh * kw {
        let expected = format!("{:?}", layer.shape);
        return Err(Error::shape("absorb", &*layer.weight, expected, kernel.shape()));
    }
    let (shape, old) = (kernel.shape().to_vec(), kernel.as_slice());
    let mut new = vec![T::zero(); old.len()];
    // What is added at each tap by the constant, `[O, kh kw]`.
    let (taps, mut added) = (kh * kw, vec![0.0; outputs * kh * kw]);
    for at in 0..outputs * channels {
        let (output, place) = (at / channels, at % channels);
        let mirrored = channels - 1 - place;
        let colour = if expected.is_reversed { mirrored } else { place };
        let factor = new_std[colour] / std[colour];
        let mut shift = new_mean[colour] - mean[colour];
        // 103.53 / 255 is 0.406 but for rounding, and a step of an image of 8 bits is 4000 times
        // as large.
        if shift.abs() < 1e-6 {
            shift = 0.0;
        }
        let shift = shift / std[colour];
        let into = output * channels + if is_turned { mirrored } else { place };
        for tap in 0..taps {
            let value = old[at * taps + tap].widen();
            new[into * taps + tap] = T::from_f64(value * factor);
            added[output * taps + tap] += value * shift;
        }
    }
    source.insert(&layer.weight, Tensor::new(&shape, new)?);
    if added.iter().all(|value| *value == 0.0) {
        return Ok(0.0);
    }
    let constants: Vec<f64> = added.chunks(taps).map(|taps| taps.iter().sum()).collect();
    let (into, sign) = match (&layer.bias, &layer.norm) {
        (Some(bias), _) => (bias, 1.0),
        (None, Some(norm)) => (&norm.running_mean, -1.0),
        (None, None) => {
            let problem = format!(
                "{} has neither a bias nor a norm behind it, to take another mean over; give \
                 images the mean that it expects",
                layer.weight
            );
            return refuse(problem);
        }
    };
    let values = source.get(into)?.as_slice().iter().zip(&constants);
    let values = values.map(|(v, c)| T::from_f64(v.widen() + sign * c)).collect();
    source.insert(into, Tensor::new(&[outputs], values)?);
    at_the_border(&layer, source, &added)
}

fn doubled(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

/// The most that the layer's output, behind its norm, is wrong by where taps lie outside of the
/// image; `added` `[O, kh kw]` is what each tap counts too much there.
fn at_the_border<T: Element>(layer: &FirstLayer, source: &State<T>, added: &[f64]) -> Result<f64> {
    let [_, _, kh, kw] = layer.shape;
    let scales: Vec<f64> = match &layer.norm {
        None => vec![1.0; layer.shape[0]],
        Some(norm) => {
            let [weight, variance] = [&norm.weight, &norm.running_variance]
                .map(|name| source.get(name).map(Tensor::as_slice));
            let scale = |(w, v): (&T, &T)| w.widen() / (v.widen() + norm.epsilon).sqrt();
            weight?.iter().zip(variance?).map(scale).collect()
        }
    };
    // Taps of an axis that lie outside at the beginning of the image, or at its end.
    let outside = |taps: usize, padding: usize| {
        let of_side = move |side: usize| (0..=padding.min(taps)).map(move |n| (side, n));
        (0..2).flat_map(of_side).map(move |(side, n)| if side == 0 { 0..n } else { taps - n..taps })
    };
    let mut most = 0f64;
    for (taps, scale) in added.chunks(kh * kw).zip(scales) {
        for rows in outside(kh, layer.padding[0]) {
            for columns in outside(kw, layer.padding[1]) {
                let is_outside =
                    |tap: usize| rows.contains(&(tap / kw)) || columns.contains(&(tap % kw));
                let wrong = taps.iter().enumerate().filter(|(tap, _)| is_outside(*tap));
                most = most.max((scale * wrong.map(|(_, v)| v).sum::<f64>()).abs());
            }
        }
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Network, Pass};

    fn normalisation(mean: [f32; 3], std: [f32; 3], is_reversed: bool) -> Normalisation {
        Normalisation { mean: mean.to_vec(), std: std.to_vec(), is_reversed }
    }

    /// What a network sees of `values` `[N, 3, H, W]` from 0 to 1.
    fn seen(values: &Tensor<f64>, by: &Normalisation) -> Tensor<f64> {
        let [n, channels, h, w] = values.dims("test", "values", "[N, C, H, W]").unwrap();
        let planes: Vec<_> = values.as_slice().chunks(h * w).collect();
        let plane = |at: usize| {
            let (image, place) = (at / channels, at % channels);
            let colour = if by.is_reversed { channels - 1 - place } else { place };
            let [mean, std] = [&by.mean, &by.std].map(|v| f64::from(v[colour]));
            planes[image * channels + colour].iter().map(move |v| (v - mean) / std)
        };
        let seen = (0..n * channels).flat_map(plane).collect();
        Tensor::new(&[n, channels, h, w], seen).unwrap()
    }

    /// A network of drawn values whose norms have seen something.
    fn source(design: &Design) -> State<f64> {
        let mut rng = fastrand::Rng::with_seed(3);
        let network = Network::<f64>::drawn(design, 2).unwrap();
        let mut state = network.parameters().state("a source");
        for (name, tensor) in &mut state.tensors {
            if name.contains("running") || name.ends_with("bias") {
                tensor.as_mut_slice().iter_mut().for_each(|v| *v = 0.5 + rng.f64());
            }
        }
        state
    }

    fn logits(design: &Design, state: &State<f64>, x: Tensor<f64>) -> Tensor<f64> {
        let network = design.plain().build(state).unwrap();
        let mut pass = Pass::evaluate(network.parameters());
        let x = pass.input(x);
        let y = network.forward(&mut pass, x).unwrap();
        pass.value(y).unwrap().clone()
    }

    /// Images of noise.
    fn images(size: usize) -> Tensor<f64> {
        let mut rng = fastrand::Rng::with_seed(7);
        Tensor::from_fn(&[2, 3, size, size], || rng.f64())
    }

    /// The largest difference of logits between the source on its own images and the changed one on
    /// those that are given; and what `absorb` said of it.
    fn difference(name: &str, size: usize, expected: &Normalisation) -> (f64, f64) {
        let design = Design::named(name, 3, 5).unwrap();
        let given = normalisation([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], false);
        let (before, values) = (source(&design), images(size));
        let mut after = before.clone();
        let border = absorb(&design, &mut after, expected, &given).unwrap();
        let [a, b] = [(&before, expected), (&after, &given)]
            .map(|(state, by)| logits(&design, state, seen(&values, by)));
        (a.relative_difference(&b).unwrap(), border)
    }

    #[test]
    fn blue_first_up_to_255_is_absorbed_exactly_as_its_mean_is_that_of_imagenet() {
        // Detectron2's, in the units of 0 to 1.
        let mean = [123.675, 116.28, 103.53].map(|v: f32| v / 255.0);
        for name in ["resnet18", "efficientnet_lite0"] {
            let expected = normalisation(mean, [1.0 / 255.0; 3], true);
            let (difference, border) = difference(name, 64, &expected);
            assert!(difference < 1e-5 && border == 0.0, "{name}: {difference}, {border}");
        }
    }

    #[test]
    fn another_mean_is_exact_without_padding_and_bounded_at_the_border_with_it() {
        let expected = normalisation([0.5, 0.4, 0.3], [0.5, 0.25, 0.2], true);
        // A bias takes the constant, and nothing is padded.
        let (plain, border) = difference("convnet:20x20:8x5s2-16", 20, &expected);
        assert!(plain < 1e-12 && border == 0.0, "{plain}, {border}");
        let (padded, border) = difference("resnet18", 64, &expected);
        assert!(padded > 1e-6 && border > 0.01, "{padded}, {border}");
    }

    /// Layer by layer: the first norm's output, whose border is as wrong as was said.
    #[test]
    fn the_inside_is_exact_and_the_border_as_wrong_as_is_said() {
        let design = Design::named("resnet18", 3, 5).unwrap();
        let expected = normalisation([0.5, 0.4, 0.3], [0.5, 0.25, 0.2], true);
        let given = normalisation([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], false);
        let (before, values) = (source(&design), images(32));
        let mut after = before.clone();
        let border = absorb(&design, &mut after, &expected, &given).unwrap();
        let layer = design.first_layer().unwrap().unwrap();
        let norm = layer.norm.unwrap();
        let output = |state: &State<f64>, by: &Normalisation| {
            let network = design.plain().build(state).unwrap();
            let mut pass = Pass::evaluate(network.parameters());
            let x = pass.input(seen(&values, by));
            let conv = network.convolutions().next().unwrap();
            let y = conv.forward(&mut pass, x).unwrap();
            let y = pass.value(y).unwrap().clone();
            let [_, outputs, h, w] = y.dims("test", "y", "[N, C, H, W]").unwrap();
            let get = |name: &str| state.get(name).unwrap().as_slice().to_vec();
            let [weight, mean, variance] =
                [&norm.weight, &norm.running_mean, &norm.running_variance].map(|name| get(name));
            let normed = y.as_slice().iter().enumerate().map(|(at, v)| {
                let k = at / (h * w) % outputs;
                (v - mean[k]) / (variance[k] + norm.epsilon).sqrt() * weight[k]
            });
            (normed.collect::<Vec<f64>>(), [h, w])
        };
        let ((a, [h, w]), (b, _)) = (output(&before, &expected), output(&after, &given));
        let (mut inside, mut outside) = (0f64, 0f64);
        for (at, (a, b)) in a.iter().zip(&b).enumerate() {
            let (row, column) = (at / w % h, at % w);
            // 7x7 taps, stride 2, 3 zeros: the first two rows and the last reach outside.
            let is_inside = (2..h - 1).contains(&row) && (2..w - 1).contains(&column);
            let most = if is_inside { &mut inside } else { &mut outside };
            *most = most.max((a - b).abs());
        }
        assert!(inside < 1e-12, "{inside}");
        assert!(outside <= border * (1.0 + 1e-9) && outside > border / 2.0, "{outside}, {border}");
    }

    #[test]
    fn what_cannot_take_a_mean_over_is_an_error() {
        let design = Design::named("resnet18", 3, 5).unwrap();
        let (mut state, three) = (source(&design), normalisation([0.5; 3], [0.5; 3], false));
        let one = Normalisation { mean: vec![0.5], std: vec![0.5], is_reversed: false };
        assert!(absorb(&design, &mut state, &one, &three).is_err());
        assert!(absorb(&design, &mut state, &three, &three).is_ok_and(|border| border == 0.0));
        state.insert("conv1.weight", Tensor::zeros(&[1]));
        let other = normalisation([0.25; 3], [0.5; 3], false);
        assert!(absorb(&design, &mut state, &three, &other).is_err());
    }
}
