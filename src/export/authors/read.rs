//! From the authors' names to ours.

use super::{ALIGNMENT, AVERAGE, AVERAGE_WEIGHT, BACKBONE, CLASSIFIER, GATE};
use super::{Entry, Renamed, Values, layer, plan};
use crate::tensor::State;
use crate::zoo::{Checkpoint, TensorView, is_batch_count};
use crate::{Error, Result};

/// The zoo of a file with the authors' names, with `f_net.` before those of the backbone or
/// without, under our names; among the texts is what network it is.
///
/// # Errors
/// If the file holds something else, or a network that is none of ours.
pub fn from_authors(checkpoint: &Checkpoint) -> Result<Renamed<'_>> {
    if checkpoint.names().any(|name| layer(name, GATE[0].0).is_some()) {
        return Err(Error::format(checkpoint.path(), "the names are ours already"));
    }
    let mut entries = Vec::with_capacity(checkpoint.len());
    for view in checkpoint {
        rename(checkpoint, view, &mut entries)?;
    }
    let blueprint = plan::blueprint(checkpoint, &entries)?;
    // Whatever the names above did not say, such as a layer without a gate, is said here.
    let mut state = State::new(checkpoint.path().display().to_string());
    for entry in entries.iter().filter(|entry| !is_batch_count(&entry.name)) {
        state.insert(&entry.name, entry.tensor()?);
    }
    blueprint.build(&state)?;
    let mut metadata = checkpoint.metadata().clone();
    metadata.extend(blueprint.to_metadata());
    let tensors = entries.iter().map(|entry| Ok((entry.name.clone(), entry.data()?)));
    Ok(Renamed { tensors: tensors.collect::<Result<_>>()?, metadata })
}

/// Adds what becomes of a tensor of theirs; of one, two.
fn rename<'a>(
    checkpoint: &'a Checkpoint,
    view: &'a TensorView,
    entries: &mut Vec<Entry<'a>>,
) -> Result<()> {
    let shape = view.shape();
    let name = view.name().strip_prefix(BACKBONE).unwrap_or(view.name());
    let mut add = |name: String, shape: Vec<usize>, values| {
        entries.push(Entry { name, shape, values });
        Ok(())
    };
    let refuse = |expected: &str| {
        let problem = format!("the authors' code has {expected}, but this is {shape:?}");
        Err(Error::format_of(checkpoint.path(), view.name(), problem))
    };
    if let Some(part) = view.name().strip_prefix(CLASSIFIER) {
        return add(format!("fc.{part}"), shape.to_vec(), Values::Of(view));
    }
    if let Some(layer) = layer(name, ALIGNMENT.1) {
        let weight = view.name().strip_suffix(ALIGNMENT.1).unwrap_or_default();
        let weight = checkpoint.get(&format!("{weight}weight"))?;
        return match (weight.shape(), shape) {
            (&[m, o, ..], &[rows, p, 1, 1]) if m.checked_mul(o) == Some(rows) && p == o => {
                add(format!("{layer}.{}", ALIGNMENT.0), vec![m, o, o], Values::Of(view))
            }
            _ => refuse("[m O, O, 1, 1] here for a weight of [m, O, ...]"),
        };
    }
    if let Some(layer) = layer(name, AVERAGE.1) {
        let &[sources] = shape else { return refuse("[m] here") };
        let seen = view.to_vec::<f32>()?.iter().any(|&average| average != 0.0);
        add(format!("{layer}.{}", AVERAGE.0), vec![sources], Values::Of(view))?;
        let weight = Values::Made(vec![f32::from(u8::from(seen))]);
        return add(format!("{layer}.{AVERAGE_WEIGHT}"), vec![], weight);
    }
    for (ours, theirs) in GATE {
        let Some(layer) = layer(name, theirs) else { continue };
        let shape = match shape {
            [vector] => vec![*vector],
            [rows, columns, 1, 1] => vec![*rows, *columns],
            _ => return refuse("[rows, columns, 1, 1] or [m] here"),
        };
        return add(format!("{layer}.{ours}"), shape, Values::Of(view));
    }
    add(name.to_owned(), shape.to_vec(), Values::Of(view))
}
