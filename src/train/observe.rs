//! What can be seen inside of a network: whom its gates listen to, how far its alignment went, what
//! it makes of single samples.
//!
//! These are plain numbers, to be kept beside a network and shown on a page; nothing is computed
//! from them.

use super::{Input, predictions};
use crate::Result;
use crate::dataset::{Image, Transform};
use crate::nn::{Conv, Network, Pass};
use crate::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// One pretrained network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Short name, e.g. `rotated`.
    pub name: String,
    /// What it was trained on, in a sentence; empty if nobody says.
    pub trained_on: String,
    /// Its file.
    pub file: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Leave-one-out accuracy of a ridge classifier on its frozen features of the target's
    /// training samples, 0 to 1, for each time that it was scored.
    pub scores: Vec<f64>,
    /// Under which it may be used, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where it is from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The key in a model's metadata of what is known of its sources: a JSON list of names and scores.
const NOTED: &str = "zoo_sources";

/// Names and scores of the sources, as a model's metadata keep them; nothing of no source.
pub(super) fn notes_of(sources: &[Source]) -> BTreeMap<String, String> {
    let noted = |source: &Source| json!([source.name, source.scores.last()]);
    let list: Vec<_> = sources.iter().map(noted).collect();
    let text = (!list.is_empty()).then(|| serde_json::Value::from(list).to_string());
    text.into_iter().map(|text| (NOTED.to_owned(), text)).collect()
}

/// The names of the sources of a model with such notes, and what they scored before tuning, 0 to 1;
/// none if it does not say.
pub fn noted_sources(notes: &BTreeMap<String, String>) -> Vec<(String, Option<f64>)> {
    let text = notes.get(NOTED).map(String::as_str).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// Leaves of the sources in such notes only those.
pub(super) fn keep_notes(notes: &mut BTreeMap<String, String>, kept: &[usize]) {
    let noted = noted_sources(notes);
    let noted: Option<Vec<_>> = kept.iter().map(|&source| noted.get(source)).collect();
    match noted {
        Some(noted) => drop(notes.insert(NOTED.to_owned(), json!(noted).to_string())),
        None => drop(notes.remove(NOTED)),
    }
}

/// The gates of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerGates {
    /// Name of the layer, e.g. `layer1.0.conv1`.
    pub layer: String,
    /// Mean over the samples, for each source.
    pub mean: Vec<f64>,
    /// Standard deviation over the samples, for each source; empty where one gate serves all.
    #[serde(alias = "deviation")]
    pub std: Vec<f64>,
}

/// One image, and the gates that it got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleGates {
    /// Height and width.
    pub size: [usize; 2],
    /// Values row by row, 0 to 255: one for each pixel if the image is grey, else red, green, blue.
    pub pixels: Vec<u8>,
    /// The true class.
    pub label: usize,
    /// The predicted class.
    pub predicted: usize,
    /// The condition that the image is in, e.g. `rotated`, if there are such.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// `gates[layer][source]`, the layers in the order of [`gates`]; empty if one gate serves all.
    pub gates: Vec<Vec<f64>>,
}

/// What alignment learned in one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerAlignment {
    /// Name of the layer.
    pub layer: String,
    /// `|T_i - I| / |I|` in the Frobenius norm, for each source.
    pub distance: Vec<f64>,
}

/// The gate's moving average of one layer over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerEma {
    /// Name of the layer.
    pub layer: String,
    /// Steps at which it was read.
    pub steps: Vec<usize>,
    /// `values[at][source]`, bias-corrected.
    pub values: Vec<Vec<f64>>,
}

/// A layer's name and the moving average of its gate, one value for each source.
pub type LayerAverage = (String, Vec<f64>);

/// The gate of every layer over `images`, `[N, C, H, W]`.
///
/// # Errors
/// If the images do not fit the network.
pub fn gates(network: &Network<f32>, images: &Tensor<f32>) -> Result<Vec<LayerGates>> {
    /// Values of the images that are computed at once.
    const VALUES: usize = 1 << 20;
    let [count, c, h, w] = images.dims("observe", "images", "[N, C, H, W]")?;
    let at_once = (VALUES / (c * h * w).max(1)).clamp(1, 200);
    /// A layer's name; for each source the sums of the gate and of its square; the rows that they
    /// are of; whether one row stood for several samples.
    struct Sums(String, Vec<[f64; 2]>, usize, bool);
    let mut layers: Vec<Sums> = Vec::new();
    let all: Vec<usize> = (0..count).collect();
    for part in all.chunks(at_once) {
        let (_, gates) = look(network, images, part)?;
        for (at, (layer, gate)) in gates.into_iter().enumerate() {
            let [rows, sources] = gate.dims("observe", "a gate", "[N, m]")?;
            if layers.len() <= at {
                layers.push(Sums(layer, vec![[0.0; 2]; sources], 0, false));
            }
            let Sums(_, sums, total, shared) = &mut layers[at];
            *total += rows;
            *shared |= rows < part.len();
            for row in gate.as_slice().chunks(sources.max(1)) {
                for (sums, &g) in sums.iter_mut().zip(row) {
                    sums[0] += f64::from(g);
                    sums[1] += f64::from(g) * f64::from(g);
                }
            }
        }
    }
    let layer = |Sums(layer, sums, rows, shared): Sums| {
        let count = rows as f64;
        let std = |s: &[f64; 2]| (s[1] / count - (s[0] / count).powi(2)).max(0.0).sqrt();
        LayerGates {
            layer,
            mean: sums.iter().map(|s| s[0] / count).collect(),
            std: if shared { vec![] } else { sums.iter().map(std).collect() },
        }
    };
    Ok(layers.into_iter().map(layer).collect())
}

/// What the network makes of the `chosen` of `images`, `[N, C, H, W]`, which `input` describes.
///
/// # Errors
/// If the images do not fit the network, or have no label each.
pub fn samples(
    network: &Network<f32>,
    images: &Tensor<f32>,
    labels: &[usize],
    chosen: &[usize],
    input: &Input,
) -> Result<Vec<SampleGates>> {
    let [_, c, h, w] = images.dims("observe", "images", "[N, C, H, W]")?;
    let (logits, gates) = look(network, images, chosen)?;
    let predicted = predictions(&logits)?;
    let differ = chosen.len() > 1 && gates.iter().any(|(_, gate)| gate.shape()[0] == chosen.len());
    let sample = |(place, &n): (usize, &usize)| {
        let values = &images.as_slice()[n * c * h * w..][..c * h * w];
        let (size, pixels) = picture([c, h, w], values, input)?;
        let row = |gate: &Tensor<f32>| {
            let sources = gate.shape()[1];
            let row = if gate.shape()[0] == 1 { 0 } else { place };
            gate.as_slice()[row * sources..][..sources].iter().map(|&g| f64::from(g)).collect()
        };
        Ok(SampleGates {
            size,
            pixels,
            label: labels[n],
            predicted: predicted[place],
            condition: String::new(),
            gates: if differ { gates.iter().map(|(_, g)| row(g)).collect() } else { vec![] },
        })
    };
    chosen.iter().enumerate().map(sample).collect()
}

/// An image as it was before `input` normalised it, of a size that a page has room for.
pub(crate) fn picture(
    [c, h, w]: [usize; 3],
    values: &[f32],
    input: &Input,
) -> Result<([usize; 2], Vec<u8>)> {
    const LARGEST: usize = 112;
    let of = |values: &[f32], at: usize| values.get(at.min(values.len().max(1) - 1)).copied();
    let shown = values.chunks((h * w).max(1)).enumerate().flat_map(|(channel, plane)| {
        let mean = of(&input.mean, channel).unwrap_or(0.0);
        let std = of(&input.std, channel).unwrap_or(1.0);
        plane.iter().map(move |v| v * std + mean)
    });
    let mut image = Image::new([c, h, w], shown.collect())?;
    let [mut height, mut width] = [h, w];
    if h.max(w) > LARGEST {
        [height, width] = [h, w].map(|side| (side * LARGEST / h.max(w)).max(1));
        let nothing_drawn = &mut fastrand::Rng::with_seed(0);
        image = Transform::Resize(height, width).apply(image, nothing_drawn)?;
    }
    let area = height * width;
    let values = image.values();
    // Planes of colours become pixels.
    let pixels = (0..area).flat_map(|at| (0..c).map(move |channel| values[channel * area + at]));
    let pixels = pixels.map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8).collect();
    Ok(([height, width], pixels))
}

/// A layer's name and its gate, `[N, m]`.
pub(crate) type LayerGate = (String, Tensor<f32>);

/// Logits and gates, layer by layer, of the images `indices`.
pub(crate) fn look(
    network: &Network<f32>,
    images: &Tensor<f32>,
    indices: &[usize],
) -> Result<(Tensor<f32>, Vec<LayerGate>)> {
    let [_, c, h, w] = images.dims("observe", "images", "[N, C, H, W]")?;
    let len = c * h * w;
    let values =
        indices.iter().flat_map(|&n| images.as_slice()[n * len..][..len].iter().copied()).collect();
    let mut pass = Pass::evaluate(network.parameters());
    let x = Tensor::new(&[indices.len(), c, h, w], values)?;
    let x = pass.input(x.to(&network.parameters().device())?);
    let logits = network.forward(&mut pass, x)?;
    let gates = pass
        .gates()
        .map(|(layer, gate)| Ok((layer.to_owned(), pass.value(gate)?.to(&Device::Cpu)?)))
        .collect::<Result<_>>()?;
    Ok((pass.value(logits)?.to(&Device::Cpu)?, gates))
}

/// How far each layer's alignment went from the identity: `|T_i - I| / |I|`.
///
/// # Errors
/// If values cannot be brought home from a device.
pub fn alignment(network: &Network<f32>) -> Result<Vec<LayerAlignment>> {
    let parameters = network.parameters();
    let of_layer = |conv: &Conv| {
        let transform = parameters.value(conv.mix.as_ref()?.alignment?);
        let outputs = *transform.shape().last()?;
        let distance = |matrix: &[f32]| {
            let entry = |(at, &t): (usize, &f32)| {
                let identity = if at / outputs == at % outputs { 1.0 } else { 0.0 };
                (f64::from(t) - identity).powi(2)
            };
            (matrix.iter().enumerate().map(entry).sum::<f64>() / outputs as f64).sqrt()
        };
        Some(transform.to(&Device::Cpu).map(|transform| {
            let matrices = transform.as_slice().chunks((outputs * outputs).max(1));
            LayerAlignment {
                layer: conv.name().to_owned(),
                distance: matrices.map(distance).collect(),
            }
        }))
    };
    network.convolutions().filter_map(of_layer).collect()
}

/// The moving averages of a lite network's gates, layer by layer; nothing for other forms.
///
/// # Errors
/// If values cannot be brought home from a device.
pub fn averages(network: &Network<f32>) -> Result<Vec<LayerAverage>> {
    let mut averages = Vec::new();
    for conv in network.convolutions() {
        let Some(average) = conv.mix.as_ref().and_then(|mix| mix.gate.average) else { continue };
        if let Some(value) = average.value(network.parameters())? {
            let value = value.to(&Device::Cpu)?;
            let value = value.as_slice().iter().map(|&v| f64::from(v)).collect();
            averages.push((conv.name().to_owned(), value));
        }
    }
    Ok(averages)
}

/// The course of each layer's average, from what was read at single steps.
pub fn courses<'a>(points: impl IntoIterator<Item = (usize, &'a [LayerAverage])>) -> Vec<LayerEma> {
    let mut layers: Vec<LayerEma> = Vec::new();
    for (step, averages) in points {
        for (at, (layer, value)) in averages.iter().enumerate() {
            if layers.len() <= at {
                layers.push(LayerEma { layer: layer.clone(), steps: vec![], values: vec![] });
            }
            layers[at].steps.push(step);
            layers[at].values.push(value.clone());
        }
    }
    layers
}
