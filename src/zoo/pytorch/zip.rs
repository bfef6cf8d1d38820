//! The zip archives that `torch.save` writes since PyTorch 1.6.

use super::super::archive::Archive;
use super::super::bytes::Bytes;
use super::super::contents::Contents;
use super::super::format::Format;
use super::super::mapping::Mapping;
use super::super::pickle::{Pickle, Value};
use super::storage::{Name, Persistent, Persistents};
use super::walk;
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// The member with the pickle, in the archive's one folder.
const PICKLE: &str = "data.pkl";

/// The member that says in which order the bytes of numbers are.
const BYTE_ORDER: &str = "byteorder";

/// How many times the file's size a deflated pickle may be, beyond a million bytes: far more
/// than any is, and far less than Deflate can make.
const LARGEST_RATIO: usize = 20;

/// The archive's folder: that of the first member, for PyTorch looks nowhere else.
///
/// # Errors
/// If PyTorch might take other members than those that are read here. It does not tell capital
/// letters from small ones, and of two names that differ only so, it takes one or the other.
fn folder(archive: &Archive) -> Result<&str, String> {
    let folder = archive.names().next().and_then(|first| first.split_once('/'));
    let Some((folder, _)) = folder else {
        return Err("the archive's first member is in no folder, as PyTorch's are".to_owned());
    };
    let mut small = HashMap::new();
    for name in archive.names() {
        if let Some(other) = small.insert(name.to_ascii_lowercase(), name) {
            return Err(format!("the members {other} and {name} are one to PyTorch: which is it?"));
        }
    }
    for record in [PICKLE, BYTE_ORDER] {
        let expected = format!("{folder}/{record}");
        let found = small.get(&expected.to_ascii_lowercase());
        if let Some(found) = found.filter(|found| **found != expected) {
            return Err(format!("expected a member {expected}, found {found}"));
        }
    }
    Ok(folder)
}

/// Whether the archive is one of PyTorch's.
pub(in super::super) fn is_pytorch(archive: &Archive) -> bool {
    archive.names().any(|name| name.split_once('/').is_some_and(|(_, record)| record == PICKLE))
}

/// Reads the tensors' names and places. Their values are not touched.
pub(in super::super) fn read(mapping: &Arc<Mapping>, archive: &Archive) -> Result<Contents> {
    let path = mapping.path();
    let folder = folder(archive).map_err(|problem| Error::format(path, problem))?;
    let problem = |problem: String| Error::format_of(path, format!("{folder}/{PICKLE}"), problem);

    if let Some(order) = archive.get(&format!("{folder}/{BYTE_ORDER}")) {
        let order = if order.len() > 16 { Vec::new() } else { order.get()?.into_owned() };
        if order.trim_ascii() != b"little" {
            return Err(Error::format(
                path,
                format!(
                    "the byte order is {:?}; only little-endian files are read: load and save it \
                     again on another machine",
                    String::from_utf8_lossy(&order)
                ),
            ));
        }
    }

    let member = archive
        .get(&format!("{folder}/{PICKLE}"))
        .ok_or_else(|| problem("is not in the archive's first folder".to_owned()))?;
    let input = inflated(member).map_err(|error| problem(error.to_string()))?;
    let bytes = input.get()?;
    let pickle = Pickle::read(&bytes, 0).map_err(|error| problem(error.to_string()))?;

    let mut persistents = Persistents::new();
    for (id, value) in pickle.values() {
        let Value::Persistent(name) = *value else { continue };
        let persistent = match Name::read(&pickle, name).map_err(problem)? {
            Name::Class(class) => Persistent::Same(class),
            Name::Storage(name) => {
                let record = format!("{folder}/data/{}", name.key);
                let bytes = archive.get(&record).ok_or_else(|| {
                    problem(format!("names the storage {record:?}, which is not in the archive"))
                })?;
                Persistent::Storage(name.of(bytes).map_err(problem)?)
            }
        };
        persistents.insert(id, persistent);
    }
    walk::contents(Format::PytorchZip, &pickle, input.clone(), persistents)
}

/// The bytes of the pickle, in memory.
fn inflated(member: Bytes) -> Result<Bytes> {
    if member.in_memory().is_some() {
        return Ok(member);
    }
    let most = member.file_len().saturating_mul(LARGEST_RATIO).saturating_add(1_000_000);
    if member.len() > most {
        return Err(Error::format(
            member.path(),
            format!("would inflate to {} bytes, many times the size of the file", member.len()),
        ));
    }
    let bytes = member.get()?.into_owned();
    Ok(member.made_beside(bytes))
}
