//! What network it is that the names and shapes of a zoo belong to.

use super::{ALIGNMENT, AVERAGE, AVERAGE_WEIGHT, Entry, GATE, layer};
use crate::nn::{Aligned, AlignedLayers, Blueprint, Design, Form, Mixing, architectures};
use crate::ops::GateFunction;
use crate::zoo::{Checkpoint, is_batch_count};
use crate::{Error, Result};
use std::collections::HashMap;

/// An aggregated convolution.
struct Layer<'e> {
    name: &'e str,
    /// Shape of the weight: `[m, O, C, k, k]`.
    weight: &'e [usize],
    aligned: bool,
    lite: bool,
}

/// The blueprint of a zoo whose tensors have our names already; the shapes are checked by
/// whoever builds it.
///
/// # Errors
/// If there is none, because the layers differ where ours do not, or the tensors are those of no
/// architecture.
pub(super) fn blueprint(checkpoint: &Checkpoint, entries: &[Entry]) -> Result<Blueprint> {
    let shapes: HashMap<&str, &[usize]> =
        entries.iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice())).collect();
    let refuse =
        |item: &str, problem: String| Err(Error::format_of(checkpoint.path(), item, problem));
    let mut layers = Vec::new();
    for entry in entries {
        let Some(name) = layer(&entry.name, GATE[0].0) else { continue };
        let weight = shapes.get(format!("{name}.weight").as_str()).copied().unwrap_or_default();
        if weight.len() < 2 {
            return refuse(
                name,
                format!("the weight should be [m, O, C, k, k], but is {weight:?}"),
            );
        }
        let has = |part: &str| shapes.contains_key(format!("{name}.{part}").as_str());
        let (aligned, lite) = (has(ALIGNMENT.0), has(AVERAGE.0));
        layers.push(Layer { name, weight, aligned, lite });
    }
    let Some(first) = layers.first() else {
        let problem = "no layer has a gate, so this is no zoo with the authors' names";
        return Err(Error::format(checkpoint.path(), problem));
    };
    let sources = first.weight[0];
    if let Some(other) = layers.iter().find(|layer| layer.weight[0] != sources) {
        let (found, first) = (other.weight[0], first.name);
        let problem = format!(
            "is of {found} sources and {first} of {sources}; a zoo of ours has the same everywhere"
        );
        return refuse(other.name, problem);
    }
    let design = design(checkpoint, &shapes, &layers)?;
    let architecture = design.architecture();

    let shortcut = |layer: &Layer| architecture.is_shortcut(layer.name);
    let is_lite = layers.iter().any(|layer| layer.lite && !shortcut(layer));
    let shortcuts_per_sample = is_lite && layers.iter().any(|l| shortcut(l) && !l.lite);
    let expected = |layer: &Layer| is_lite && !(shortcut(layer) && shortcuts_per_sample);
    if let Some(other) = layers.iter().find(|layer| layer.lite != expected(layer)) {
        let gates =
            |lite: bool| if lite { "has a lite_attention" } else { "has no lite_attention" };
        let problem = format!(
            "{}, unlike others; a zoo of ours is lite in every layer, but for all shortcuts, or in none",
            gates(other.lite)
        );
        return refuse(other.name, problem);
    }
    let mixing = Mixing {
        function: GateFunction::Sigmoid,
        aligned: aligned(&design, &layers),
        prior: None,
        shortcuts_per_sample,
    };
    Ok(design.in_form(if is_lite { Form::Lite(mixing) } else { Form::Zoo(mixing) }, sources))
}

/// The shortest way to say which layers are aligned.
fn aligned(design: &Design, layers: &[Layer]) -> Aligned {
    let usual = [AlignedLayers::Usual, AlignedLayers::All, AlignedLayers::None];
    let usual = usual.into_iter().flat_map(|layers| {
        [false, true].map(|pointwise| Aligned { layers: layers.clone(), pointwise })
    });
    let fits = |aligned: &Aligned| {
        layers.iter().all(|layer| {
            let taps = layer.weight.iter().skip(3).product();
            aligned.applies(design.architecture(), layer.name, taps) == layer.aligned
        })
    };
    let named = layers.iter().filter(|layer| layer.aligned);
    let named = named.map(|layer| layer.name.to_owned()).collect();
    let named = Aligned { layers: AlignedLayers::Named(named), pointwise: true };
    usual.into_iter().find(fits).unwrap_or(named)
}

/// The architecture that has most of these tensors.
fn design(
    checkpoint: &Checkpoint,
    shapes: &HashMap<&str, &[usize]>,
    layers: &[Layer],
) -> Result<Design> {
    // Those of one source alone.
    let known = shapes.iter().filter(|(name, _)| !is_batch_count(name));
    let mut plain: HashMap<String, &[usize]> =
        known.map(|(name, shape)| ((*name).to_owned(), *shape)).collect();
    for Layer { name, weight, .. } in layers {
        let ours = GATE.iter().chain([&ALIGNMENT, &AVERAGE]).map(|(ours, _)| *ours);
        for part in ours.chain([AVERAGE_WEIGHT]) {
            plain.remove(&format!("{name}.{part}"));
        }
        plain.insert(format!("{name}.weight"), &weight[1..]);
        if let Some(bias) = shapes.get(format!("{name}.bias").as_str()) {
            plain.insert(format!("{name}.bias"), bias.get(1..).unwrap_or_default());
        }
    }
    let mut nearest: Option<(usize, Design)> = None;
    for name in architectures::names() {
        let design = Design::from_shapes(&name, &plain)?;
        let tensors = design.tensors()?;
        let has = |(name, shape): &&(String, Vec<usize>)| plain.get(name) == Some(&&shape[..]);
        let found = tensors.iter().filter(has).count();
        // What is missing or too much is said by whoever builds it.
        let is_near = 2 * found > tensors.len().max(plain.len());
        if is_near && nearest.as_ref().is_none_or(|(most, _)| found > *most) {
            nearest = Some((found, design));
        }
    }
    if let Some((_, design)) = nearest {
        return Ok(design);
    }
    let problem = format!(
        "its {} tensors of a source and the head are those of none of {}",
        plain.len(),
        architectures::names().join(", ")
    );
    Err(Error::format(checkpoint.path(), problem))
}
