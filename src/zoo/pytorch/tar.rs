//! The tar archives that `torch.save` wrote before version 0.1.10.

use super::super::bytes::Bytes;
use super::super::contents::Contents;
use super::super::format::Format;
use super::super::mapping::Mapping;
use super::super::pickle::{Id, Pickle, Value};
use super::legacy::{check_system, storage_at};
use super::rebuild::MOST_DIMENSIONS;
use super::storage::{Element, Persistent, Persistents, Storage, StridedView, size};
use super::walk;
use crate::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Headers and members begin at multiples of this.
const BLOCK: usize = 512;

/// Reads the tensors' names and places. Their values are not touched.
pub(in super::super) fn read(mapping: &Arc<Mapping>) -> Result<Contents> {
    let path = mapping.path();
    let members = members(path, mapping.bytes())?;
    let member = |name: &str| {
        members.get(name).cloned().ok_or_else(|| {
            let problem =
                format!("the tar archive has no member {name:?}, as those of PyTorch have");
            Error::format(path, problem)
        })
    };
    if let Some(range) = members.get("sys_info") {
        let mut stream = Stream::new(mapping, "sys_info", range.clone());
        check_system(path, &stream.pickle()?)?;
    }
    let mut objects = storages(Stream::new(mapping, "storages", member("storages")?))?;
    tensors(Stream::new(mapping, "tensors", member("tensors")?), &mut objects)?;

    let mut stream = Stream::new(mapping, "pickle", member("pickle")?);
    let pickle = stream.pickle()?;
    let mut persistents = Persistents::new();
    for (id, value) in pickle.values() {
        let Value::Persistent(name) = *value else { continue };
        let persistent = match pickle.items(name) {
            // A class, its file and its source.
            Some([class, ..]) => Persistent::Same(*class),
            _ => key(&pickle, name)
                .and_then(|key| objects.get(&key).cloned())
                .ok_or_else(|| stream.problem(format!("{} is unknown", pickle.describe(id))))?,
        };
        persistents.insert(id, persistent);
    }
    let input = Bytes::mapped(mapping, 0..mapping.bytes().len())?;
    walk::contents(Format::PytorchTar, &pickle, input, persistents)
}

/// The members by name.
fn members(path: &Path, bytes: &[u8]) -> Result<HashMap<String, Range<usize>>> {
    let mut members = HashMap::new();
    let mut at = 0;
    // A block of zeros ends the archive.
    while let Some(header) = bytes.get(at..at + BLOCK).filter(|header| header[0] != 0) {
        let name: Vec<u8> = header[..100].iter().copied().take_while(|&byte| byte != 0).collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        let start = at + BLOCK;
        let end = octal(&header[124..136])
            .and_then(|length| start.checked_add(length))
            .filter(|&end| end <= bytes.len())
            .ok_or_else(|| {
                Error::format_of(path, &name, "its length is no number, or beyond the file's end")
            })?;
        // Others are folders, links, and long names.
        if matches!(header[156], b'0' | 0) && members.insert(name.clone(), start..end).is_some() {
            return Err(Error::format_of(path, name, "is there more than once in the archive"));
        }
        at = end.next_multiple_of(BLOCK);
    }
    Ok(members)
}

/// A number in digits of base 8, which blanks or a zero end.
fn octal(text: &[u8]) -> Option<usize> {
    let text = text.split(|&byte| byte == 0).next()?.trim_ascii();
    usize::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()
}

/// A member with pickles and numbers in turn.
struct Stream<'m> {
    mapping: &'m Arc<Mapping>,
    name: &'static str,
    at: usize,
    end: usize,
}

impl<'m> Stream<'m> {
    fn new(mapping: &'m Arc<Mapping>, name: &'static str, range: Range<usize>) -> Self {
        Self { mapping, name, at: range.start, end: range.end }
    }

    fn problem(&self, problem: impl Into<String>) -> Error {
        Error::format_of(self.mapping.path(), self.name, problem)
    }

    /// The next is a pickle.
    fn pickle(&mut self) -> Result<Pickle<'m>> {
        let pickle = Pickle::read(&self.mapping.bytes()[..self.end], self.at)
            .map_err(|problem| self.problem(problem.to_string()))?;
        self.at = pickle.end();
        Ok(pickle)
    }

    /// The next is a pickle of a count.
    fn count(&mut self) -> Result<usize> {
        let pickle = self.pickle()?;
        size(&pickle, pickle.root()).ok_or_else(|| {
            let found = pickle.describe(pickle.root());
            self.problem(format!("expected a count, found {found}"))
        })
    }

    /// The next is a pickle of a tuple or list.
    fn items(&mut self) -> Result<(Pickle<'m>, Vec<Id>)> {
        let pickle = self.pickle()?;
        match pickle.items(pickle.root()).map(<[Id]>::to_vec) {
            Some(items) => Ok((pickle, items)),
            None => {
                let found = pickle.describe(pickle.root());
                Err(self.problem(format!("expected a tuple, found {found}")))
            }
        }
    }

    /// The next is a number of eight bytes, which must not be negative.
    fn number(&mut self) -> Result<usize> {
        let rest = &self.mapping.bytes()[self.at..self.end];
        let Some((bytes, _)) = rest.split_first_chunk::<8>() else {
            return Err(self.problem("is cut off"));
        };
        self.at += 8;
        let number = i64::from_le_bytes(*bytes);
        usize::try_from(number).map_err(|_| self.problem(format!("a size of {number}")))
    }
}

/// What a storage or tensor is called: an address of the machine that wrote it.
fn key(pickle: &Pickle<'_>, id: Id) -> Option<i64> {
    pickle.int(id).or_else(|| pickle.text(id)?.parse().ok())
}

/// All storages: their count; of each a tuple of key, device and class, its count of numbers,
/// and the numbers; then a list of those that are parts of others.
fn storages(mut stream: Stream<'_>) -> Result<HashMap<i64, Persistent>> {
    let mut storages = HashMap::new();
    for _ in 0..stream.count()? {
        let (pickle, items) = stream.items()?;
        let read = || {
            let [name, _device, class] = items[..] else { return None };
            let (module, class) = pickle.global(class)?;
            Some((key(&pickle, name)?, Element::of_class(module, class)?))
        };
        let (key, element) = read().ok_or_else(|| {
            let found = pickle.describe(pickle.root());
            stream.problem(format!("expected key, device and class, found {found}"))
        })?;
        let (bytes, end) = storage_at(stream.mapping, stream.at, stream.end, element.size())
            .map_err(|problem| stream.problem(format!("storage {key}: {problem}")))?;
        stream.at = end;
        if storages.insert(key, Persistent::Storage(Storage { bytes, element })).is_some() {
            return Err(stream.problem(format!("storage {key} is there more than once")));
        }
    }
    let (pickle, views) = stream.items()?;
    for view in views {
        let read = || {
            let [name, root, offset, count] = *pickle.items(view)? else { return None };
            let Persistent::Storage(root) = storages.get(&key(&pickle, root)?)? else {
                return None;
            };
            let width = root.element.size();
            let start = size(&pickle, offset)?.checked_mul(width)?;
            let end = size(&pickle, count)?.checked_mul(width)?.checked_add(start)?;
            let bytes = root.bytes.slice(start..end)?;
            Some((key(&pickle, name)?, Storage { bytes, element: root.element }))
        };
        let (name, storage) = read().ok_or_else(|| {
            let found = pickle.describe(view);
            stream.problem(format!("expected a part of a storage, found {found}"))
        })?;
        if storages.insert(name, Persistent::Storage(storage)).is_some() {
            return Err(stream.problem(format!("storage {name} is there more than once")));
        }
    }
    Ok(storages)
}

/// All tensors: their count; of each a tuple of key, storage and class, the count of its
/// dimensions in eight bytes, then sizes, strides and offset.
fn tensors(mut stream: Stream<'_>, objects: &mut HashMap<i64, Persistent>) -> Result<()> {
    for _ in 0..stream.count()? {
        let (pickle, items) = stream.items()?;
        let read = || {
            let [name, storage, _class] = items[..] else { return None };
            let Persistent::Storage(storage) = objects.get(&key(&pickle, storage)?)? else {
                return None;
            };
            Some((key(&pickle, name)?, storage.clone()))
        };
        let (name, storage) = read().ok_or_else(|| {
            let found = pickle.describe(pickle.root());
            stream.problem(format!("expected key, storage and class, found {found}"))
        })?;
        // Four bytes say it; the four above were once part of it and need not be zero.
        let dimensions = stream.number().map(|number| number & 0xffff_ffff);
        let dimensions = dimensions?;
        if dimensions > MOST_DIMENSIONS {
            let problem = format!("{dimensions} dimensions are more than {MOST_DIMENSIONS}");
            return Err(stream.problem(problem));
        }
        let shape = (0..dimensions).map(|_| stream.number()).collect::<Result<Vec<_>>>()?;
        let strides = (0..dimensions).map(|_| stream.number()).collect::<Result<Vec<_>>>()?;
        let offset = stream.number()?;
        let part = StridedView { storage, offset, shape, strides };
        if objects.insert(name, Persistent::Tensor(part)).is_some() {
            return Err(stream.problem(format!("{name} is there more than once")));
        }
    }
    Ok(())
}
