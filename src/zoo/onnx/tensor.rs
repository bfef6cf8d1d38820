//! One tensor of a model.

use super::super::bytes::Bytes;
use super::super::dtype::Dtype;
use super::super::mapping::Mapping;
use super::super::view::TensorView;
use super::external::{Entry, External};
use super::wire::Message;
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// The fields of a tensor, by their numbers.
mod field {
    pub const DIMS: u32 = 1;
    pub const DATA_TYPE: u32 = 2;
    pub const SEGMENT: u32 = 3;
    pub const FLOAT_DATA: u32 = 4;
    pub const INT32_DATA: u32 = 5;
    pub const STRING_DATA: u32 = 6;
    pub const INT64_DATA: u32 = 7;
    pub const NAME: u32 = 8;
    pub const RAW_DATA: u32 = 9;
    pub const DOUBLE_DATA: u32 = 10;
    pub const UINT64_DATA: u32 = 11;
    pub const EXTERNAL_DATA: u32 = 13;
    pub const DATA_LOCATION: u32 = 14;
}

/// The value of `data_location` that says: in another file.
const EXTERNAL: u64 = 1;

/// What a model's tensor is to us.
pub enum Found {
    Tensor(TensorView),
    /// Of a type that has no numbers here; the type's name.
    NotRead(&'static str),
}

/// The type that a number stands for, and the field for its values where they are not raw bytes.
fn data_type(number: u64) -> Option<Result<(Dtype, u32), &'static str>> {
    Some(match number {
        1 => Ok((Dtype::F32, field::FLOAT_DATA)),
        2 => Ok((Dtype::U8, field::INT32_DATA)),
        3 => Ok((Dtype::I8, field::INT32_DATA)),
        4 => Ok((Dtype::U16, field::INT32_DATA)),
        5 => Ok((Dtype::I16, field::INT32_DATA)),
        6 => Ok((Dtype::I32, field::INT32_DATA)),
        7 => Ok((Dtype::I64, field::INT64_DATA)),
        8 => Err("STRING"),
        9 => Ok((Dtype::Bool, field::INT32_DATA)),
        10 => Ok((Dtype::F16, field::INT32_DATA)),
        11 => Ok((Dtype::F64, field::DOUBLE_DATA)),
        12 => Ok((Dtype::U32, field::UINT64_DATA)),
        13 => Ok((Dtype::U64, field::UINT64_DATA)),
        14 => Ok((Dtype::C64, field::FLOAT_DATA)),
        15 => Err("COMPLEX128"),
        16 => Ok((Dtype::Bf16, field::INT32_DATA)),
        17 => Ok((Dtype::F8E4M3, field::INT32_DATA)),
        18 => Ok((Dtype::F8E4M3Fnuz, field::INT32_DATA)),
        19 => Ok((Dtype::F8E5M2, field::INT32_DATA)),
        20 => Ok((Dtype::F8E5M2Fnuz, field::INT32_DATA)),
        21 => Err("UINT4"),
        22 => Err("INT4"),
        23 => Ok((Dtype::F4, field::INT32_DATA)),
        24 => Ok((Dtype::F8E8M0, field::INT32_DATA)),
        25 => Err("UINT2"),
        26 => Err("INT2"),
        27 => Ok((Dtype::F6E2M3, field::INT32_DATA)),
        28 => Ok((Dtype::F6E3M2, field::INT32_DATA)),
        _ => return None,
    })
}

/// A tensor as its fields describe it. Of a field that may be there once, the last counts, as in
/// every reader of the wire format.
struct Description<'a> {
    message: &'a Message<'a>,
    name: &'a str,
    dims: Vec<i64>,
    data_type: u64,
    raw: Option<Range<usize>>,
    /// The fields that hold values one by one.
    typed: Vec<u32>,
    external: bool,
    entries: Vec<Entry<'a>>,
}

/// Reads a tensor; `number` is its place in the model, for messages.
pub fn read<'a>(
    mapping: &Arc<Mapping>,
    message: &'a Message<'a>,
    number: usize,
    files: &mut External,
) -> Result<Found> {
    let description = Description::of(mapping, message)?;
    let Description { name, data_type: number_of_type, raw, typed, .. } = &description;
    if name.is_empty() {
        let problem = format!(
            "initializer {number} has no name, by which it could be used; give it one in the model"
        );
        return Err(Error::format(mapping.path(), problem));
    }
    let refuse = |problem: String| Error::format_of(mapping.path(), *name, problem);
    let (dtype, field) = match data_type(*number_of_type) {
        Some(Ok(known)) => known,
        Some(Err(not_read)) => return Ok(Found::NotRead(not_read)),
        None => return Err(refuse(format!("the type {number_of_type} is unknown"))),
    };
    let shape = description.shape().map_err(refuse)?;
    let places = [raw.is_some(), !typed.is_empty(), description.external];
    if places.iter().filter(|&&used| used).count() > 1 {
        return Err(refuse(
            "has values in more than one place: which of them count, each reader might decide \
             otherwise"
                .to_owned(),
        ));
    }
    if let Some(other) = typed.iter().find(|&&other| other != field) {
        let problem = format!(
            "values of {dtype} should be in field {field} or in raw_data, but field {other} holds \
             some"
        );
        return Err(refuse(problem));
    }
    let bytes = if description.external {
        let needed = dtype.bytes_of(&shape);
        files.bytes(mapping, name, &description.entries, needed)?
    } else if let Some(raw) = raw {
        Bytes::mapped(mapping, raw.clone())?
    } else {
        match field {
            field::FLOAT_DATA => description.fixed(mapping, field, 4)?,
            field::DOUBLE_DATA => description.fixed(mapping, field, 8)?,
            _ => description.integers(mapping, field, dtype)?,
        }
    };
    TensorView::new(bytes, *name, dtype, shape).map(Found::Tensor)
}

impl<'a> Description<'a> {
    fn of(mapping: &Mapping, message: &'a Message<'a>) -> Result<Self> {
        let mut found = Self {
            message,
            name: "",
            dims: vec![],
            data_type: 0,
            raw: None,
            typed: vec![],
            external: false,
            entries: vec![],
        };
        for field in message.fields() {
            let field = field?;
            match field.number {
                field::NAME => found.name = field.text()?,
                field::DIMS => {
                    for size in field.varints()? {
                        found.dims.push(size?.cast_signed());
                    }
                }
                field::DATA_TYPE => found.data_type = field.varint()?,
                field::RAW_DATA => found.raw = Some(field.range()?),
                field::FLOAT_DATA
                | field::INT32_DATA
                | field::STRING_DATA
                | field::INT64_DATA
                | field::DOUBLE_DATA
                | field::UINT64_DATA => {
                    // Some writers add the empty list of each type.
                    let empty = field.range().is_ok_and(|range| range.is_empty());
                    if !empty && !found.typed.contains(&field.number) {
                        found.typed.push(field.number);
                    }
                }
                field::EXTERNAL_DATA => found.entries.push(Entry::of(&field.message()?)?),
                field::DATA_LOCATION => found.external = field.varint()? == EXTERNAL,
                field::SEGMENT => {
                    let problem = "is a segment of a larger tensor, which nothing reads; save the \
                                   model with whole tensors";
                    return Err(Error::format_of(mapping.path(), found.name, problem));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn shape(&self) -> Result<Vec<usize>, String> {
        let size = |&size: &i64| {
            usize::try_from(size).map_err(|_| format!("a size of {size} in its shape"))
        };
        self.dims.iter().map(size).collect()
    }

    /// Numbers of `size` bytes: in place, if all are packed in one field, as writers do.
    fn fixed(&self, mapping: &Arc<Mapping>, number: u32, size: usize) -> Result<Bytes> {
        let mut place = 0..0;
        let mut copied = Vec::new();
        for field in self.message.fields() {
            let field = field?;
            if field.number != number {
                continue;
            }
            let next = field.fixed(size)?;
            if place.is_empty() {
                place = next;
            } else if !next.is_empty() {
                let all = mapping.bytes();
                if copied.is_empty() {
                    copied.extend_from_slice(&all[place.clone()]);
                }
                copied.extend_from_slice(&all[next]);
            }
        }
        if copied.is_empty() {
            Bytes::mapped(mapping, place)
        } else {
            Ok(Bytes::made(mapping, copied))
        }
    }

    /// Integers, and what is kept as the bits of one, in the bytes of their type. Each was one
    /// byte at least in the file, so that there are at most eight times as many.
    fn integers(&self, mapping: &Arc<Mapping>, number: u32, dtype: Dtype) -> Result<Bytes> {
        if matches!(dtype, Dtype::F6E2M3 | Dtype::F6E3M2) && !self.typed.is_empty() {
            let problem = format!("values of {dtype} are read from raw_data only");
            return Err(Error::format_of(mapping.path(), self.name, problem));
        }
        let mut bytes = Vec::new();
        for field in self.message.fields() {
            let field = field?;
            if field.number != number {
                continue;
            }
            for value in field.varints()? {
                let value = value?;
                if !append(dtype, value, &mut bytes) {
                    let problem = format!("{} is no value of {dtype}", value.cast_signed());
                    return Err(Error::format_of(mapping.path(), self.name, problem));
                }
            }
        }
        Ok(Bytes::made(mapping, bytes))
    }
}

/// Appends the bytes of a value, if it is one of that type. Negative ones are in two's complement
/// of 64 bits, whatever the type.
fn append(dtype: Dtype, value: u64, bytes: &mut Vec<u8>) -> bool {
    let signed = value.cast_signed();
    match dtype {
        Dtype::Bool => u8::try_from(value).ok().filter(|&v| v <= 1).map(|v| bytes.push(v)),
        Dtype::I8 => i8::try_from(signed).ok().map(|v| bytes.push(v.cast_unsigned())),
        Dtype::I16 => i16::try_from(signed).ok().map(|v| bytes.extend(v.to_le_bytes())),
        Dtype::I32 => i32::try_from(signed).ok().map(|v| bytes.extend(v.to_le_bytes())),
        Dtype::U32 => u32::try_from(value).ok().map(|v| bytes.extend(v.to_le_bytes())),
        Dtype::I64 | Dtype::U64 => {
            bytes.extend(value.to_le_bytes());
            Some(())
        }
        // As bits.
        _ if dtype.bits() == 16 => u16::try_from(value).ok().map(|v| bytes.extend(v.to_le_bytes())),
        _ => u8::try_from(value).ok().map(|v| bytes.push(v)),
    }
    .is_some()
}
