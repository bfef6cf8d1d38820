//! What `torch.save` wrote before PyTorch 1.6, and bare pickles.

use super::super::bytes::Bytes;
use super::super::contents::Contents;
use super::super::format::Format;
use super::super::mapping::Mapping;
use super::super::pickle::{Id, Pickle, Value};
use super::storage::{Element, Name, Persistent, Persistents, StorageName};
use super::walk;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What the first pickle of a file is of: in two's complement, lower byte first, and in decimal.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const MAGIC_DIGITS: &[u8] = b"119547037146038801333356";

/// What the second pickle is of.
const PROTOCOL: i64 = 1001;

/// Reads a file that begins with a pickle: PyTorch's five, or a bare one.
pub(in super::super) fn read(mapping: &Arc<Mapping>) -> Result<Contents> {
    let path = mapping.path();
    let first = pickle_at(mapping, 0, "the pickle")?;
    if !is_magic(mapping.bytes(), &first) {
        return bare(mapping, &first);
    }
    let protocol = pickle_at(mapping, first.end(), "the version of the format")?;
    if protocol.int(protocol.root()) != Some(PROTOCOL) {
        let found = protocol.describe(protocol.root());
        return Err(Error::format(path, format!("expected version {PROTOCOL}, found {found}")));
    }
    let system = pickle_at(mapping, protocol.end(), "what is said of the system")?;
    check_system(path, &system)?;
    let object = pickle_at(mapping, system.end(), "the pickle of the tensors")?;
    let keys = pickle_at(mapping, object.end(), "the list of storages")?;
    let persistents = persistents(mapping, &object, &keys)?;
    let input = Bytes::mapped(mapping, 0..mapping.bytes().len())?;
    walk::contents(Format::PytorchLegacy, &object, input, persistents)
}

/// A pickle that another program wrote, of arrays most probably.
fn bare(mapping: &Arc<Mapping>, pickle: &Pickle<'_>) -> Result<Contents> {
    if let Some((_, value)) = pickle.values().find(|(_, v)| matches!(v, Value::Persistent(_))) {
        let problem = format!(
            "{} in a bare pickle, which has nowhere to keep it: is the file cut out of another?",
            value.kind()
        );
        return Err(Error::format(mapping.path(), problem));
    }
    let input = Bytes::mapped(mapping, 0..mapping.bytes().len())?;
    walk::contents(Format::Pickle, pickle, input, Persistents::new())
}

/// The pickle that begins there; `what` it should be.
fn pickle_at<'m>(mapping: &'m Mapping, start: usize, what: &str) -> Result<Pickle<'m>> {
    Pickle::read(mapping.bytes(), start)
        .map_err(|problem| Error::format_of(mapping.path(), what, problem.to_string()))
}

/// Whether this is the first pickle of PyTorch's.
fn is_magic(bytes: &[u8], pickle: &Pickle<'_>) -> bool {
    match pickle.value(pickle.root()) {
        Value::Long(range) => bytes[range.clone()] == MAGIC,
        Value::Digits(range) => {
            let digits = &bytes[range.clone()];
            digits.strip_suffix(b"L").unwrap_or(digits) == MAGIC_DIGITS
        }
        _ => false,
    }
}

/// Refuses what a machine of the other byte order wrote.
pub(super) fn check_system(path: &Path, system: &Pickle<'_>) -> Result<()> {
    let Value::Dict(entries) = system.value(system.root()) else { return Ok(()) };
    let is_big = |&(key, value): &(Id, Id)| {
        system.text(key) == Some("little_endian") && system.int(value) == Some(0)
    };
    if entries.iter().any(is_big) {
        return Err(Error::format(
            path,
            "the file is big-endian; only little-endian files are read: load and save it again \
             on another machine",
        ));
    }
    Ok(())
}

/// Where the storages lie that follow the pickles: in the order of `keys`, each its count in
/// eight bytes and then its numbers. How large these are is said by who uses them.
fn persistents(
    mapping: &Arc<Mapping>,
    object: &Pickle<'_>,
    keys: &Pickle<'_>,
) -> Result<Persistents> {
    let path = mapping.path();
    let problem = |problem: String| Error::format(path, problem);
    let mut names: Vec<(Id, StorageName<'_>)> = Vec::new();
    let mut elements: HashMap<&str, Element> = HashMap::new();
    let mut persistents = Persistents::new();
    for (id, value) in object.values() {
        let Value::Persistent(name) = *value else { continue };
        match Name::read(object, name).map_err(problem)? {
            Name::Class(class) => drop(persistents.insert(id, Persistent::Same(class))),
            Name::Storage(name) => {
                // Of the first; the others are compared with its bytes.
                elements.entry(name.key).or_insert(name.element);
                names.push((id, name));
            }
        }
    }

    let listed = keys.items(keys.root()).ok_or_else(|| {
        problem(format!("expected the list of storages, found {}", keys.describe(keys.root())))
    })?;
    let mut storages: HashMap<&str, Bytes> = HashMap::new();
    let mut at = keys.end();
    for &key in listed {
        let key = keys.text(key).ok_or_else(|| {
            problem(format!("expected a storage's key, found {}", keys.describe(key)))
        })?;
        let element = elements.get(key).ok_or_else(|| {
            problem(format!("the storage {key:?} is listed, but no tensor uses it"))
        })?;
        let (bytes, end) = storage_at(mapping, at, mapping.bytes().len(), element.size())
            .map_err(|error| problem(format!("storage {key:?}: {error}")))?;
        if storages.insert(key, bytes).is_some() {
            return Err(problem(format!("the storage {key:?} is listed more than once")));
        }
        at = end;
    }

    for (id, name) in names {
        let bytes = storages.get(name.key).cloned().ok_or_else(|| {
            problem(format!("the storage {:?} is used, but is not in the file", name.key))
        })?;
        persistents.insert(id, Persistent::Storage(name.of(bytes).map_err(problem)?));
    }
    Ok(persistents)
}

/// The storage whose count of numbers of this size is at `at`, and where it ends.
pub(super) fn storage_at(
    mapping: &Arc<Mapping>,
    at: usize,
    end: usize,
    size: usize,
) -> Result<(Bytes, usize), String> {
    let rest = &mapping.bytes()[at..end];
    let (count, rest) = rest.split_first_chunk::<8>().ok_or("its count is cut off")?;
    let count = i64::from_le_bytes(*count);
    let length = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(size))
        .filter(|&length| length <= rest.len())
        .ok_or_else(|| {
            format!(
                "{count} numbers of {size} bytes are not in the {} that are left: is the file \
                 cut off?",
                rest.len()
            )
        })?;
    let start = at + 8;
    let bytes = Bytes::mapped(mapping, start..start + length).map_err(|e| e.to_string())?;
    Ok((bytes, start + length))
}
