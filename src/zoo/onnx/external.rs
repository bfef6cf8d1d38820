//! Values that lie in other files, beside the model.

use super::super::beside::beside;
use super::super::bytes::Bytes;
use super::super::mapping::Mapping;
use super::wire::Message;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A key and a value of texts, such as those that say where values lie.
pub struct Entry<'a> {
    pub key: &'a str,
    pub value: &'a str,
}

impl<'a> Entry<'a> {
    pub fn of(message: &Message<'a>) -> Result<Self> {
        let mut entry = Self { key: "", value: "" };
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => entry.key = field.text()?,
                2 => entry.value = field.text()?,
                _ => {}
            }
        }
        Ok(entry)
    }
}

/// The files that a model's tensors lie in: each is mapped once.
#[derive(Default)]
pub struct External(HashMap<PathBuf, Arc<Mapping>>);

impl External {
    /// The bytes that `entries` of the tensor `name` of `model` describe; `needed` where they do
    /// not say how many.
    pub fn bytes(
        &mut self,
        model: &Mapping,
        name: &str,
        entries: &[Entry],
        needed: Option<usize>,
    ) -> Result<Bytes> {
        let refuse = |problem: String| Error::format_of(model.path(), name, problem);
        // Of a key that is there twice, the last, as of a field.
        let text = |key| entries.iter().rev().find(|entry| entry.key == key).map(|e| e.value);
        let number = |key| {
            let parse = |text: &str| {
                text.parse::<usize>().map_err(|_| {
                    refuse(format!("its values are in another file, with {key} {text:?}"))
                })
            };
            text(key).map(parse).transpose()
        };
        let location = text("location")
            .ok_or_else(|| refuse("its values are in another file, which is not named".into()))?;
        let path = beside(model.path(), location).ok_or_else(|| {
            refuse(format!(
                "its values are in {location:?}, which is not below the model's folder; move the \
                 file there"
            ))
        })?;
        let mapping = match self.0.get(&path) {
            Some(mapping) => mapping,
            None => {
                let mapping = Mapping::open(&path).map_err(|error| {
                    refuse(format!(
                        "its values are in another file, which belongs beside the model: {error}"
                    ))
                })?;
                self.0.entry(path).or_insert(Arc::new(mapping))
            }
        };
        let start = number("offset")?.unwrap_or(0);
        let length = number("length")?.or(needed).unwrap_or(0);
        let size = mapping.bytes().len();
        start
            .checked_add(length)
            .filter(|&end| end <= size)
            .ok_or_else(|| {
                refuse(format!(
                    "its {length} bytes at {start} of {location:?} are beyond the end of that \
                     file, which has {size}: is it of another model, or cut off?"
                ))
            })
            .and_then(|end| Bytes::mapped(mapping, start..end))
    }
}
