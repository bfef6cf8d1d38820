//! What the gates and the alignment of a tuned network came to be.

use super::{LayerAlignment, LayerGates, SampleGates, Split, Test};
use crate::Result;
use crate::nn::{Network, Pass};
use crate::tensor::Tensor;
use crate::train::predictions;

/// Mean and deviation of each layer's gate over the test samples.
pub(super) fn gates(network: &Network<f32>, split: &Split) -> Result<Vec<LayerGates>> {
    let Test { images, labels, .. } = &split.test;
    let all: Vec<usize> = (0..labels.len()).collect();
    // Per layer: the name, and for each source the sums of the gate and of its square.
    let mut layers: Vec<(String, Vec<[f64; 2]>)> = Vec::new();
    for part in all.chunks(200) {
        let (_, gates) = look(network, images, part)?;
        for (i, (layer, gate)) in gates.into_iter().enumerate() {
            let sources = gate.shape()[1];
            if layers.len() <= i {
                layers.push((layer, vec![[0.0; 2]; sources]));
            }
            for row in gate.as_slice().chunks(sources) {
                for (sums, &g) in layers[i].1.iter_mut().zip(row) {
                    sums[0] += f64::from(g);
                    sums[1] += f64::from(g) * f64::from(g);
                }
            }
        }
    }
    let count = labels.len() as f64;
    let layer = |(layer, sums): (String, Vec<[f64; 2]>)| LayerGates {
        layer,
        mean: sums.iter().map(|s| s[0] / count).collect(),
        deviation: sums
            .iter()
            .map(|s| (s[1] / count - (s[0] / count).powi(2)).max(0.0).sqrt())
            .collect(),
    };
    Ok(layers.into_iter().map(layer).collect())
}

/// The gates of the first two test samples of each condition.
pub(super) fn samples(network: &Network<f32>, split: &Split) -> Result<Vec<SampleGates>> {
    let Test { images, labels, conditions } = &split.test;
    let mut chosen = Vec::new();
    for condition in super::CONDITIONS {
        let of_condition = (0..labels.len()).filter(|&n| conditions[n] == condition);
        chosen.extend(of_condition.take(2));
    }
    let (logits, gates) = look(network, images, &chosen)?;
    let predicted = predictions(&logits)?;
    let [_, _, height, width] = images.dims("demo", "images", "[N, C, H, W]")?;
    let sample = |(place, &n): (usize, &usize)| {
        let pixels = &images.as_slice()[n * height * width..][..height * width];
        SampleGates {
            size: [height, width],
            // Undoes the normalisation: -1 to 1 become 0 to 255.
            pixels: pixels.iter().map(|v| ((v + 1.0) * 127.5).round() as u8).collect(),
            label: labels[n],
            predicted: predicted[place],
            condition: conditions[n].to_string(),
            gates: gates
                .iter()
                .map(|(_, gate)| {
                    let sources = gate.shape()[1];
                    let row = &gate.as_slice()[place * sources..][..sources];
                    row.iter().map(|&g| f64::from(g)).collect()
                })
                .collect(),
        }
    };
    Ok(chosen.iter().enumerate().map(sample).collect())
}

/// A layer's name and its gate, `[N, m]`.
type LayerGate = (String, Tensor<f32>);

/// Logits and gates, layer by layer, of the images `indices`.
fn look(
    network: &Network<f32>,
    images: &Tensor<f32>,
    indices: &[usize],
) -> Result<(Tensor<f32>, Vec<LayerGate>)> {
    let [_, c, h, w] = images.dims("demo", "images", "[N, C, H, W]")?;
    let len = c * h * w;
    let values: Vec<f32> =
        indices.iter().flat_map(|&n| images.as_slice()[n * len..][..len].iter().copied()).collect();
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(Tensor::new(&[indices.len(), c, h, w], values)?);
    let logits = network.forward(&mut pass, x)?;
    let gates = pass
        .gates()
        .map(|(layer, gate)| Ok((layer.to_owned(), pass.value(gate)?.clone())))
        .collect::<Result<_>>()?;
    Ok((pass.value(logits)?.clone(), gates))
}

/// How far each layer's alignment went from the identity: `|T_i - I| / |I|`.
pub(super) fn alignment(network: &Network<f32>) -> Vec<LayerAlignment> {
    let parameters = network.parameters();
    let of_layer = |conv: &crate::nn::Conv| {
        let transform = parameters.value(conv.mix.as_ref()?.alignment?);
        let outputs = *transform.shape().last()?;
        let distance = |matrix: &[f32]| {
            let entry = |(at, &t): (usize, &f32)| {
                let identity = if at / outputs == at % outputs { 1.0 } else { 0.0 };
                (f64::from(t) - identity).powi(2)
            };
            (matrix.iter().enumerate().map(entry).sum::<f64>() / outputs as f64).sqrt()
        };
        let matrices = transform.as_slice().chunks(outputs * outputs);
        Some(LayerAlignment {
            layer: conv.name().to_owned(),
            distance: matrices.map(distance).collect(),
        })
    };
    network.convolutions().filter_map(of_layer).collect()
}
