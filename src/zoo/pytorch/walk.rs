//! From the value that a file holds to tensors with names.
//!
//! Names are the keys on the way to a tensor, joined by dots: what
//! `{"state_dict": {"fc.bias": ...}, "epoch": 3}` holds is `state_dict.fc.bias`, and `epoch` is a
//! text beside it. Items of lists have their number. A whole module has the names that its
//! `state_dict()` would have.

use super::super::bytes::Bytes;
use super::super::contents::Contents;
use super::super::format::Format;
use super::super::pickle::{Id, Pickle, Value};
use super::super::view::TensorView;
use super::ATTRIBUTE;
use super::known::foreign;
use super::rebuild::{Key, Meaning, Objects, short};
use super::storage::{Element, Persistents, StridedView};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashSet};

/// Containers within each other. A list that contains itself is deeper than that.
const DEEPEST: usize = 100;

/// What walking may cost, in bytes of names and values looked at. A container that stands in
/// several places is walked in each, so that a small pickle may have more of both than there
/// are atoms; but none that a writer makes has many more than it has bytes.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, cost: usize) -> Result<(), String> {
        self.0 = self.0.checked_sub(cost).ok_or(
            "the names in the pickle are many more than its bytes: containers stand in very many \
             places",
        )?;
        Ok(())
    }
}

/// A value with its name.
struct Node {
    name: String,
    id: Id,
    depth: usize,
}

/// All that a pickle holds. `input` is what it was read from.
pub(super) fn contents(
    format: Format,
    pickle: &Pickle<'_>,
    input: Bytes,
    persistents: Persistents,
) -> Result<Contents> {
    let path = input.path().to_path_buf();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let length = pickle.end() - pickle.start();
    let mut budget = Budget(length.saturating_mul(32).saturating_add(1 << 16));
    let mut objects = Objects::new(pickle, input, persistents);
    let mut metadata = attribute(pickle, &mut budget).map_err(|p| Error::format(&path, p))?;
    let (mut tensors, mut notes) = (Vec::new(), HashSet::new());
    let mut nodes = vec![Node { name: String::new(), id: pickle.root(), depth: 0 }];
    while let Some(Node { name, id, depth }) = nodes.pop() {
        let problem = |problem| match name.as_str() {
            "" => Error::format(&path, problem),
            name => Error::format_of(&path, short(name), problem),
        };
        // A note of it under its name, unless it is the whole file. A key may be an empty text.
        let is_whole = depth == 0;
        let mut note = |text: &str| {
            if !is_whole {
                metadata.entry(name.clone()).or_insert_with(|| {
                    notes.insert(name.clone());
                    text.to_owned()
                });
            }
        };
        let meaning = objects.meaning(id).map_err(problem)?;
        budget.spend(8 * objects.looked_at()).map_err(problem)?;
        match meaning {
            Meaning::Nothing => {}
            Meaning::Text(text) => {
                budget.spend(text.len()).map_err(problem)?;
                note(&text);
            }
            Meaning::Unread(what) => note(&format!("{what}, which is not read")),
            Meaning::Tensor(part) => {
                let cost = 16 * part.shape.len() + 64;
                budget.spend(cost).map_err(problem)?;
                // A tensor that is all that a file holds is called as the file.
                let own = if is_whole { &*stem } else { &name };
                let StridedView { storage, offset, shape, strides } = part;
                match storage.element {
                    Element::Of(dtype) => {
                        let bytes = &storage.bytes;
                        let view = TensorView::strided(bytes, own, dtype, shape, offset, &strides);
                        tensors.push(view?);
                    }
                    Element::Other(what, _) => {
                        note(&format!("a tensor of {what}, which is not read"));
                    }
                    Element::Untyped => note("a tensor of bytes, which is not read"),
                }
            }
            Meaning::Entries(_) if depth == DEEPEST => {
                return Err(problem(format!(
                    "containers are more than {DEEPEST} deep, or one contains itself"
                )));
            }
            Meaning::Entries(entries) => {
                let first = nodes.len();
                for (key, id) in entries {
                    let key = match key {
                        Key::Index(index) => index.to_string(),
                        Key::Of(key) => match pickle.text(key) {
                            Some(text) => {
                                // Before a long key is copied.
                                budget.spend(text.len()).map_err(problem)?;
                                text.to_owned()
                            }
                            None => pickle.describe(key),
                        },
                    };
                    budget.spend(name.len() + key.len() + 32).map_err(problem)?;
                    let name = if is_whole { key } else { format!("{name}.{key}") };
                    nodes.push(Node { name, id, depth: depth + 1 });
                }
                // The first is to be taken first.
                nodes[first..].reverse();
            }
        }
    }
    Ok(Contents { format, metadata, notes, tensors, foreign: foreign(pickle) })
}

/// The texts that [`ATTRIBUTE`] holds, if the file is a state dict with this attribute.
fn attribute(pickle: &Pickle, budget: &mut Budget) -> Result<BTreeMap<String, String>, String> {
    let mut texts = BTreeMap::new();
    let Some(state) = pickle.call(pickle.root()).and_then(|call| call.state) else {
        return Ok(texts);
    };
    let Value::Dict(attributes) = pickle.value(state) else { return Ok(texts) };
    budget.spend(8 * attributes.len())?;
    let ours = attributes.iter().find(|(key, _)| pickle.text(*key) == Some(ATTRIBUTE));
    let Some(Value::Dict(entries)) = ours.map(|&(_, value)| pickle.value(value)) else {
        return Ok(texts);
    };
    for &(key, text) in entries {
        if let (Some(key), Some(text)) = (pickle.text(key), pickle.text(text)) {
            budget.spend(key.len() + text.len() + 32)?;
            texts.insert(key.to_owned(), text.to_owned());
        }
    }
    Ok(texts)
}
