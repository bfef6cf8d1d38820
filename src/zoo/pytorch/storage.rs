//! Storages: the flat arrays of numbers that tensors are views of.

use super::super::bytes::Bytes;
use super::super::dtype::Dtype;
use super::super::pickle::{Id, Pickle};
use std::collections::HashMap;

/// The numbers in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Of(Dtype),
    /// Bytes; each tensor says what it takes them for.
    Untyped,
    /// A type that PyTorch has and this crate has not, of so many bytes.
    Other(&'static str, usize),
}

impl Element {
    /// The type of the storages of this class, such as `torch.FloatStorage`.
    pub fn of_class(module: &str, name: &str) -> Option<Self> {
        if !matches!(module, "torch" | "torch.cuda" | "torch.storage") {
            return None;
        }
        Some(match name.strip_suffix("Storage")? {
            "Double" => Self::Of(Dtype::F64),
            "Float" => Self::Of(Dtype::F32),
            "Half" => Self::Of(Dtype::F16),
            "BFloat16" => Self::Of(Dtype::Bf16),
            "Long" => Self::Of(Dtype::I64),
            "Int" => Self::Of(Dtype::I32),
            "Short" => Self::Of(Dtype::I16),
            "Char" => Self::Of(Dtype::I8),
            "Byte" => Self::Of(Dtype::U8),
            "Bool" => Self::Of(Dtype::Bool),
            "ComplexFloat" => Self::Of(Dtype::C64),
            "ComplexDouble" => Self::Other("complex128", 16),
            "QInt8" => Self::Other("qint8", 1),
            "QUInt8" => Self::Other("quint8", 1),
            "QInt32" => Self::Other("qint32", 4),
            "QUInt4x2" => Self::Other("quint4x2", 1),
            "QUInt2x4" => Self::Other("quint2x4", 1),
            "Untyped" | "_Untyped" => Self::Untyped,
            _ => return None,
        })
    }

    /// The type of this name, such as `torch.float32`.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        if module != "torch" {
            return None;
        }
        Some(match name {
            "float64" | "double" => Self::Of(Dtype::F64),
            "float32" | "float" => Self::Of(Dtype::F32),
            "float16" | "half" => Self::Of(Dtype::F16),
            "bfloat16" => Self::Of(Dtype::Bf16),
            "float8_e5m2" => Self::Of(Dtype::F8E5M2),
            "float8_e4m3fn" => Self::Of(Dtype::F8E4M3),
            "float8_e5m2fnuz" => Self::Of(Dtype::F8E5M2Fnuz),
            "float8_e4m3fnuz" => Self::Of(Dtype::F8E4M3Fnuz),
            "float8_e8m0fnu" => Self::Of(Dtype::F8E8M0),
            "int64" | "long" => Self::Of(Dtype::I64),
            "int32" | "int" => Self::Of(Dtype::I32),
            "int16" | "short" => Self::Of(Dtype::I16),
            "int8" => Self::Of(Dtype::I8),
            "uint64" => Self::Of(Dtype::U64),
            "uint32" => Self::Of(Dtype::U32),
            "uint16" => Self::Of(Dtype::U16),
            "uint8" => Self::Of(Dtype::U8),
            "bool" => Self::Of(Dtype::Bool),
            "complex64" | "cfloat" => Self::Of(Dtype::C64),
            "complex128" | "cdouble" => Self::Other("complex128", 16),
            "complex32" | "chalf" => Self::Other("complex32", 4),
            "qint8" => Self::Other("qint8", 1),
            "quint8" => Self::Other("quint8", 1),
            "qint32" => Self::Other("qint32", 4),
            "quint4x2" => Self::Other("quint4x2", 1),
            "quint2x4" => Self::Other("quint2x4", 1),
            // Two numbers in what PyTorch counts as one.
            "float4_e2m1fn_x2" => Self::Other("float4_e2m1fn_x2", 1),
            _ => return None,
        })
    }

    /// The size of one number in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Of(dtype) => dtype.bits().div_ceil(8),
            Self::Untyped => 1,
            Self::Other(_, size) => size,
        }
    }
}

/// Where a storage lies.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub bytes: Bytes,
    pub element: Element,
}

/// A tensor as the file describes it: a strided view of a storage. Nothing of it is checked yet.
#[derive(Clone, Debug)]
pub(super) struct StridedView {
    pub storage: Storage,
    /// The place of the first number in the storage.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// The distance between neighbours on each axis, in numbers.
    pub strides: Vec<usize>,
}

/// What a file keeps outside of its pickle.
#[derive(Clone, Debug)]
pub(super) enum Persistent {
    Storage(Storage),
    /// Only the oldest files name whole tensors.
    Tensor(StridedView),
    /// Something of the pickle itself: a class, with its source code beside it.
    Same(Id),
}

/// All persistent objects by the numbers of their values.
pub(super) type Persistents = HashMap<Id, Persistent>;

/// The name of a persistent storage, as every format but the oldest has it.
#[derive(Debug)]
pub(super) struct StorageName<'p> {
    pub element: Element,
    pub key: &'p str,
    /// How many numbers the storage has.
    pub count: usize,
    /// Name, offset and count of a part of it that is a storage of its own; files of 2017.
    pub view: Option<(usize, usize)>,
}

/// What a persistent object's name says.
#[derive(Debug)]
pub(super) enum Name<'p> {
    Storage(StorageName<'p>),
    /// A class with its source code.
    Class(Id),
}

impl<'p> Name<'p> {
    /// Reads the name `id`: `('storage', class, key, device, count[, view])` or
    /// `('module', class, file, source)`.
    pub fn read(pickle: &'p Pickle<'_>, id: Id) -> Result<Self, String> {
        let unknown = || {
            let found = pickle.describe(id);
            format!("expected ('storage', class, key, device, count), found {found}")
        };
        let items = pickle.items(id).ok_or_else(unknown)?;
        let kind = items.first().and_then(|&kind| pickle.text(kind)).ok_or_else(unknown)?;
        match (kind, items) {
            ("module", [_, class, ..]) => Ok(Self::Class(*class)),
            ("storage", [_, class, key, _device, count, rest @ ..]) if rest.len() <= 1 => {
                let element = pickle
                    .global(*class)
                    .and_then(|(module, name)| Element::of_class(module, name))
                    .ok_or_else(|| {
                        format!("{} is no class of storages", pickle.describe(*class))
                    })?;
                let key = pickle.text(*key).ok_or_else(unknown)?;
                let count = size(pickle, *count).ok_or_else(unknown)?;
                let view = match rest.first() {
                    Some(&view) if !pickle.is_none(view) => {
                        let parts = pickle.items(view).ok_or_else(unknown)?;
                        let [_key, offset, count] = *parts else { return Err(unknown()) };
                        let offset = size(pickle, offset).ok_or_else(unknown)?;
                        Some((offset, size(pickle, count).ok_or_else(unknown)?))
                    }
                    _ => None,
                };
                Ok(Self::Storage(StorageName { element, key, count, view }))
            }
            _ => Err(unknown()),
        }
    }
}

impl StorageName<'_> {
    /// The storage of this name, if `bytes` are those of its key.
    pub fn of(&self, bytes: Bytes) -> Result<Storage, String> {
        let Self { element, key, count, view } = self;
        if count.checked_mul(element.size()) != Some(bytes.len()) {
            return Err(format!(
                "storage {key} should have {count} numbers of {} bytes, but has {} bytes",
                element.size(),
                bytes.len()
            ));
        }
        let bytes = match *view {
            None => bytes,
            Some((offset, length)) => offset
                .checked_add(length)
                .filter(|end| end <= count)
                .and_then(|end| bytes.slice(offset * element.size()..end * element.size()))
                .ok_or_else(|| {
                    format!("{length} numbers from {offset} on are not in storage {key} of {count}")
                })?,
        };
        Ok(Storage { bytes, element: *element })
    }
}

/// A whole number that is not negative.
pub(super) fn size(pickle: &Pickle<'_>, id: Id) -> Option<usize> {
    usize::try_from(pickle.int(id)?).ok()
}
