//! From our names to the authors'.

use super::super::with_batch_counts;
use super::{ALIGNMENT, AVERAGE, AVERAGE_WEIGHT, BACKBONE, CLASSIFIER, GATE};
use super::{Entry, Renamed, Values, layer};
use crate::nn::{Blueprint, Form};
use crate::ops::GateFunction;
use crate::tensor::State;
use crate::zoo::{Checkpoint, TensorView};
use crate::{Error, Result};

/// The zoo of a file of ours, under the authors' names.
///
/// # Errors
/// If the file does not hold just a zoo of ours, or one whose gates are not sigmoids.
pub fn to_authors(checkpoint: &Checkpoint) -> Result<Renamed<'_>> {
    let origin = checkpoint.path().display().to_string();
    let impossible = |reason: String, hint| {
        Err(Error::Impossible { request: "give a network the authors' names", reason, hint })
    };
    let declared = checkpoint.declared();
    if !declared.contains_key("form") {
        return impossible(
            format!("{origin} does not say that it is a zoo of ours"),
            "this is for the model.safetensors of a run of train",
        );
    }
    let blueprint = Blueprint::from_metadata(&origin, &declared)?;
    if blueprint.form == Form::Routed {
        return impossible(
            format!("{origin} is a routed zoo"),
            "the authors' code has no such form; convert it without --names",
        );
    }
    match blueprint.form.mixing() {
        None => {
            return impossible(
                format!("{origin} is a plain network"),
                "its names are torchvision's already; convert it without --names",
            );
        }
        Some(mixing) if mixing.function != GateFunction::Sigmoid => {
            return impossible(
                format!(
                    "the gates of {origin} are softmax, and those of the authors' code sigmoid"
                ),
                "train with --gate sigmoid, or collapse a lite zoo into a plain network",
            );
        }
        Some(_) => {}
    }
    // Whatever else the file holds, or lacks, is said here by name.
    blueprint.build(&State::<f32>::mapped(checkpoint)?)?;
    let entries = checkpoint.iter().map(|view| entry(checkpoint, view));
    let entries: Vec<_> = entries.filter_map(Result::transpose).collect::<Result<_>>()?;
    let tensors = entries.iter().map(|entry| Ok((entry.name.clone(), entry.data()?)));
    let tensors = with_batch_counts(tensors.collect::<Result<_>>()?);
    // What describes the network describes it by our names.
    let mut metadata = checkpoint.metadata().clone();
    blueprint.to_metadata().keys().for_each(|key| drop(metadata.remove(key)));
    Ok(Renamed { tensors, metadata })
}

/// What becomes of a tensor of ours; of two, one.
fn entry<'a>(checkpoint: &'a Checkpoint, view: &'a TensorView) -> Result<Option<Entry<'a>>> {
    let (name, shape) = (view.name(), view.shape());
    let of =
        |name: String, shape: Vec<usize>| Ok(Some(Entry { name, shape, values: Values::Of(view) }));
    if layer(name, AVERAGE_WEIGHT).is_some() {
        return Ok(None);
    }
    if let Some(layer) = layer(name, AVERAGE.0) {
        let weight = checkpoint.get(&format!("{layer}.{AVERAGE_WEIGHT}"))?.to_vec::<f32>()?;
        let weight = weight.first().copied().filter(|&weight| weight > 0.0);
        let sum = view.to_vec::<f32>()?;
        let average = sum.iter().map(|&sum| weight.map_or(0.0, |weight| sum / weight)).collect();
        let name = format!("{BACKBONE}{layer}.{}", AVERAGE.1);
        return Ok(Some(Entry { name, shape: shape.to_vec(), values: Values::Made(average) }));
    }
    if let (Some(layer), &[m, o, p]) = (layer(name, ALIGNMENT.0), shape) {
        return of(format!("{BACKBONE}{layer}.{}", ALIGNMENT.1), vec![m * o, p, 1, 1]);
    }
    for (ours, theirs) in GATE {
        if let Some(layer) = layer(name, ours) {
            // Linear layers are convolutions of one tap there; a bias is a bias.
            let taps: &[usize] = if shape.len() == 2 { &[1, 1] } else { &[] };
            return of(format!("{BACKBONE}{layer}.{theirs}"), [shape, taps].concat());
        }
    }
    match name.strip_prefix("fc.") {
        Some(part) => of(format!("{CLASSIFIER}{part}"), shape.to_vec()),
        None => of(format!("{BACKBONE}{name}"), shape.to_vec()),
    }
}
