//! What network it is that the names and shapes of a zoo belong to.

use super::{ALIGNMENT, AVERAGE, Entry, GATE, layer};
use crate::nn::{Aligned, Architecture, Blueprint, Form, Mixing, Place};
use crate::ops::GateFunction;
use crate::zoo::Checkpoint;
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// An aggregated convolution.
struct Layer<'e> {
    name: &'e str,
    place: Place,
    /// Shape of the weight: `[m, O, C, k, k]`.
    weight: [usize; 5],
    aligned: bool,
    lite: bool,
}

/// The blueprint of a zoo whose tensors have our names already; the shapes are checked by
/// whoever builds it.
///
/// # Errors
/// If there is none, because the layers differ where ours do not, or the sizes are those of no
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
        let Ok(weight) = <[usize; 5]>::try_from(weight) else {
            return refuse(
                name,
                format!("the weight should be [m, O, C, k, k], but is {weight:?}"),
            );
        };
        let Some(place) = place(name) else {
            return refuse(name, "is no convolution of a residual network of ours".to_owned());
        };
        let has = |part: &str| shapes.contains_key(format!("{name}.{part}").as_str());
        let (aligned, lite) = (has(ALIGNMENT.0), has(AVERAGE.0));
        layers.push(Layer { name, place, weight, aligned, lite });
    }
    let Some(stem) = layers.iter().find(|layer| layer.place == Place::Stem) else {
        let problem = "there is no conv1 with a gate, so this is no zoo with the authors' names";
        return Err(Error::format(checkpoint.path(), problem));
    };
    let [sources, _, channels, ..] = stem.weight;
    if let Some(other) = layers.iter().find(|layer| layer.weight[0] != sources) {
        let found = other.weight[0];
        let problem = format!(
            "is of {found} sources and conv1 of {sources}; a zoo of ours has the same everywhere"
        );
        return refuse(other.name, problem);
    }
    let classes = match shapes.get("fc.bias") {
        Some([classes]) => *classes,
        _ => {
            return refuse(
                "c_net.bias",
                "the classifier is missing, or has no [classes]".to_owned(),
            );
        }
    };
    let architecture = architecture(checkpoint, stem, &shapes, channels, classes)?;

    let shortcut = |layer: &Layer| matches!(layer.place, Place::Shortcut(_));
    let shortcuts_per_sample = stem.lite && layers.iter().any(|l| shortcut(l) && !l.lite);
    let expected = |layer: &Layer| stem.lite && !(shortcut(layer) && shortcuts_per_sample);
    if let Some(other) = layers.iter().find(|layer| layer.lite != expected(layer)) {
        let gates =
            |lite: bool| if lite { "has a lite_attention" } else { "has no lite_attention" };
        let problem = format!(
            "{}, unlike others; a zoo of ours is lite in every layer, but for all shortcuts, or in none",
            gates(other.lite)
        );
        return refuse(other.name, problem);
    }
    let aligned = aligned(&layers, architecture.depths.len());
    let taps = |layer: &Layer| layer.weight[3] * layer.weight[4];
    if let Some(other) = layers.iter().find(|l| aligned.applies(l.place, taps(l)) != l.aligned) {
        let has = if other.aligned { "is aligned" } else { "is not aligned" };
        let problem = format!("{has}, unlike others like it; a zoo of ours aligns whole stages");
        return refuse(other.name, problem);
    }
    let function = GateFunction::Sigmoid;
    let mixing = Mixing { function, aligned, prior: None, shortcuts_per_sample };
    let form = if stem.lite { Form::Lite(mixing) } else { Form::Zoo(mixing) };
    Ok(Blueprint { architecture, form, sources })
}

/// Where a convolution of that name stands.
fn place(name: &str) -> Option<Place> {
    let stage = |part: &str| part.strip_prefix("layer")?.parse::<usize>().ok()?.checked_sub(1);
    match name.split('.').collect::<Vec<_>>()[..] {
        ["conv1"] => Some(Place::Stem),
        [layer, _, "downsample", "0"] => Some(Place::Shortcut(stage(layer)?)),
        [layer, _, conv] if conv.starts_with("conv") => Some(Place::Stage(stage(layer)?)),
        _ => None,
    }
}

/// The widest rule that some layer shows.
fn aligned(layers: &[Layer], stages: usize) -> Aligned {
    let any = |fits: &dyn Fn(&Layer) -> bool| layers.iter().any(|l| l.aligned && fits(l));
    let in_stage = |stage| {
        any(&|l: &Layer| matches!(l.place, Place::Stage(s) | Place::Shortcut(s) if s == stage))
    };
    Aligned {
        stem: any(&|l| l.place == Place::Stem),
        stages: (0..stages).map(in_stage).collect(),
        pointwise: any(&|l| l.weight[3..] == [1, 1]),
    }
}

/// The one of our architectures that has these blocks.
fn architecture(
    checkpoint: &Checkpoint,
    stem: &Layer,
    shapes: &HashMap<&str, &[usize]>,
    channels: usize,
    classes: usize,
) -> Result<Architecture> {
    let blocks: HashSet<&str> =
        shapes.keys().filter_map(|name| layer(name, "conv1.weight")).collect();
    let fits = |candidate: &Architecture| {
        let [_, width, _, kh, kw] = stem.weight;
        let taps = candidate.stem.taps();
        let names = candidate.block_names();
        let last = format!("{}.conv{}.weight", names[0], candidate.block.convolutions());
        let beyond = format!("{}.conv{}.weight", names[0], candidate.block.convolutions() + 1);
        (kh, kw, width) == (taps, taps, candidate.width)
            && names.len() == blocks.len()
            && names.iter().all(|name| blocks.contains(name.as_str()))
            && shapes.contains_key(last.as_str())
            && !shapes.contains_key(beyond.as_str())
    };
    for name in Architecture::NAMES {
        let candidate = Architecture::named(name, channels, classes)?;
        if fits(&candidate) {
            return Ok(candidate);
        }
    }
    let problem = format!(
        "{} blocks behind a stem of {:?} are none of {}",
        blocks.len(),
        stem.weight,
        Architecture::NAMES.join(", ")
    );
    Err(Error::format(checkpoint.path(), problem))
}
