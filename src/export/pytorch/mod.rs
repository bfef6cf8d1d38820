//! Writes what `torch.save` writes of a state dict: a zip archive around a pickle.
//!
//! | member of the archive, below a folder named after the file | holds |
//! |---|---|
//! | `data.pkl` | the names, types and shapes: a pickled `OrderedDict` |
//! | `.format_version`, `.storage_alignment`, `byteorder`, `version` | constants |
//! | `data/0`, `data/1`, ... | the values of each tensor, in the order of the names |
//! | `.data/serialization_id` | a number that follows from all the others |
//!
//! `torch.load(FILE, weights_only=True)` gives the `OrderedDict` back. Our texts are its attribute
//! `zoo_tuning`, a dict: PyTorch keeps its own `_metadata` in the same way, `load_state_dict`
//! sees neither, and a state dict that is saved again by PyTorch keeps both.

mod archive;
mod pickle;

use super::{Data, write_atomically};
use crate::zoo::Dtype;
use crate::{Error, Result};
use archive::Archive;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

/// Writes `tensors`, in their order, and the texts of `metadata` to the file at `path`, for
/// `torch.load`.
///
/// The file is there in whole or not at all, see [`write_atomically`]; it may be one that
/// `tensors` are mapped from. The same tensors make the same bytes under the same file name.
///
/// # Errors
/// If two tensors have one name, a type of number is none of PyTorch's, or the file cannot be
/// written.
pub fn write_pytorch<'a>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (&'a str, Data<'a>)>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let tensors: Vec<_> = tensors.into_iter().collect();
    let pickle = pickle(&tensors, metadata)?;
    let folder = folder(path.as_ref()).to_owned();
    write_atomically(path, |writer| write_to(writer, &folder, &pickle, &tensors))
}

/// What `data.pkl` holds.
fn pickle(tensors: &[(&str, Data)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let refuse = |problem| Err(Error::argument("write_pytorch", problem));
    let mut names = HashSet::new();
    for (name, data) in tensors {
        if !names.insert(name) {
            return refuse(format!("two tensors are named {name}"));
        }
        if Kind::of(data.dtype()).is_none() {
            let dtype = data.dtype();
            return refuse(format!("{name} is of type {dtype}, which PyTorch does not have"));
        }
        if data.dtype().bytes_of(data.shape()).is_none() {
            return refuse(format!("{name} of shape {:?} is too large", data.shape()));
        }
    }
    let texts = metadata.iter().flat_map(|(key, text)| [key, text]);
    if names.iter().copied().copied().chain(texts.map(String::as_str)).any(|t| t.len() > LONGEST) {
        return refuse(format!("a name or a text is longer than {LONGEST} bytes"));
    }
    Ok(pickle::state_dict(tensors, metadata))
}

/// Bytes of the longest text: a pickle of protocol 2 counts them in 32 bits.
const LONGEST: usize = u32::MAX as usize;

/// The archive's folder: the file's name without its ending, if that can be a member's name
/// everywhere, else what PyTorch calls an archive that is no file.
fn folder(path: &Path) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| stem.chars().all(plain) && !stem.starts_with('.')).unwrap_or("archive")
}

fn write_to(
    writer: &mut dyn Write,
    folder: &str,
    pickle: &[u8],
    tensors: &[(&str, Data)],
) -> io::Result<()> {
    let mut archive = Archive::new(writer, folder);
    archive.member("data.pkl", |writer| writer.write_all(pickle))?;
    archive.member(".format_version", |writer| writer.write_all(b"1"))?;
    let alignment = archive::ALIGNMENT.to_string();
    archive.member(".storage_alignment", |writer| writer.write_all(alignment.as_bytes()))?;
    archive.member("byteorder", |writer| writer.write_all(b"little"))?;
    for (number, (_, data)) in tensors.iter().enumerate() {
        archive.member(&format!("data/{number}"), |writer| data.write_to(writer))?;
    }
    archive.member("version", |writer| writer.write_all(b"3\n"))?;
    let id = archive.id();
    archive.member(".data/serialization_id", |writer| writer.write_all(id.as_bytes()))?;
    archive.finish()
}

/// How PyTorch pickles tensors of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With a storage of this class, which counts numbers.
    Typed(&'static str),
    /// With a storage that counts bytes, and the name of the type beside it: those that came
    /// to PyTorch after it stopped to make a class for each.
    Untyped(&'static str),
}

impl Kind {
    /// `None` for a type that PyTorch does not have.
    fn of(dtype: Dtype) -> Option<Self> {
        use Kind::{Typed, Untyped};
        Some(match dtype {
            Dtype::Bool => Typed("BoolStorage"),
            Dtype::U8 => Typed("ByteStorage"),
            Dtype::I8 => Typed("CharStorage"),
            Dtype::I16 => Typed("ShortStorage"),
            Dtype::I32 => Typed("IntStorage"),
            Dtype::I64 => Typed("LongStorage"),
            Dtype::F16 => Typed("HalfStorage"),
            Dtype::Bf16 => Typed("BFloat16Storage"),
            Dtype::F32 => Typed("FloatStorage"),
            Dtype::F64 => Typed("DoubleStorage"),
            Dtype::C64 => Typed("ComplexFloatStorage"),
            Dtype::U16 => Untyped("uint16"),
            Dtype::U32 => Untyped("uint32"),
            Dtype::U64 => Untyped("uint64"),
            Dtype::F8E5M2 => Untyped("float8_e5m2"),
            Dtype::F8E4M3 => Untyped("float8_e4m3fn"),
            Dtype::F8E8M0 => Untyped("float8_e8m0fnu"),
            Dtype::F8E4M3Fnuz => Untyped("float8_e4m3fnuz"),
            Dtype::F8E5M2Fnuz => Untyped("float8_e5m2fnuz"),
            Dtype::F4 | Dtype::F6E2M3 | Dtype::F6E3M2 => return None,
        })
    }
}

#[cfg(test)]
mod tests;
