//! The wire format of protocol buffers, read where it lies.
//!
//! Own code, because what is wanted of the values is their *place* in the file, so that they can
//! be used there. A message is read field by field and no deeper than it is asked for: no depth
//! of nesting meets a recursion, and what is passed over costs nothing.

use super::super::mapping::Mapping;
use crate::{Error, Result};
use std::ops::Range;

/// A message: some bytes of a file that hold one field after the other.
#[derive(Clone)]
pub struct Message<'a> {
    mapping: &'a Mapping,
    range: Range<usize>,
}

impl<'a> Message<'a> {
    /// A whole file.
    pub fn whole(mapping: &'a Mapping) -> Self {
        Self { mapping, range: 0..mapping.bytes().len() }
    }

    /// The fields, in the order of the file. After an error there are none.
    pub fn fields(&self) -> Fields<'a> {
        Fields(Cursor { mapping: self.mapping, at: self.range.start, end: self.range.end })
    }
}

/// One field of a message.
pub struct Field<'a> {
    /// Which; what it means, the message's definition says.
    pub number: u32,
    value: Value,
    mapping: &'a Mapping,
    /// Where it begins.
    at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Varint(u64),
    /// 4 or 8 bytes without a length.
    Fixed(Range<usize>),
    /// Bytes behind their length: a text, a message, or numbers one after the other.
    Bytes(Range<usize>),
}

impl<'a> Field<'a> {
    /// The place of the bytes.
    pub fn range(&self) -> Result<Range<usize>> {
        match &self.value {
            Value::Bytes(range) => Ok(range.clone()),
            _ => Err(self.problem("should be bytes, but is a single number")),
        }
    }

    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(&self.mapping.bytes()[self.range()?])
            .map_err(|error| self.problem(format!("is a text that is not UTF-8: {error}")))
    }

    pub fn message(&self) -> Result<Message<'a>> {
        Ok(Message { mapping: self.mapping, range: self.range()? })
    }

    pub fn varint(&self) -> Result<u64> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.problem("should be an integer, but is of another type")),
        }
    }

    /// The integers of a repeated field: the one that is here, or all that are packed here.
    pub fn varints(&self) -> Result<impl Iterator<Item = Result<u64>> + use<'a>> {
        let (single, packed) = match &self.value {
            Value::Varint(value) => (Some(*value), 0..0),
            Value::Bytes(range) => (None, range.clone()),
            Value::Fixed(_) => {
                return Err(self.problem("should be integers, but is of another type"));
            }
        };
        let mut cursor = Cursor { mapping: self.mapping, at: packed.start, end: packed.end };
        let packed = std::iter::from_fn(move || cursor.unless_at_end(Cursor::varint));
        Ok(single.map(Ok).into_iter().chain(packed))
    }

    /// The place of a repeated field's numbers of `size` bytes: of the one that is here, or of
    /// all that are packed here.
    pub fn fixed(&self, size: usize) -> Result<Range<usize>> {
        match &self.value {
            Value::Fixed(range) if range.len() == size => Ok(range.clone()),
            Value::Bytes(range) if range.len().is_multiple_of(size) => Ok(range.clone()),
            Value::Bytes(range) => Err(self.problem(format!(
                "should be numbers of {size} bytes, but has {} bytes",
                range.len()
            ))),
            _ => Err(self.problem(format!("should be numbers of {size} bytes each"))),
        }
    }

    fn problem(&self, problem: impl Into<String>) -> Error {
        let problem = format!("field {} {}", self.number, problem.into());
        at_byte(self.mapping, self.at, problem)
    }
}

/// The fields of a message.
pub struct Fields<'a>(Cursor<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.unless_at_end(Cursor::field)
    }
}

/// A place in a message, and where it ends.
struct Cursor<'a> {
    mapping: &'a Mapping,
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// What `read` reads, until the end or an error, behind which nothing has a meaning.
    fn unless_at_end<T>(&mut self, read: impl Fn(&mut Self) -> Result<T>) -> Option<Result<T>> {
        if self.at == self.end {
            return None;
        }
        let result = read(self);
        if result.is_err() {
            self.at = self.end;
        }
        Some(result)
    }

    fn field(&mut self) -> Result<Field<'a>> {
        let at = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3)
            .ok()
            .filter(|number| (1..1 << 29).contains(number))
            .ok_or_else(|| {
                at_byte(self.mapping, at, format!("no field has number {}", tag >> 3))
            })?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed(self.take(4)?),
            3 | 4 => {
                let problem = format!("field {number} is a group, which no ONNX model has");
                return Err(at_byte(self.mapping, at, problem));
            }
            unknown => {
                let problem = format!("field {number} is of type {unknown}, which does not exist");
                return Err(at_byte(self.mapping, at, problem));
            }
        };
        Ok(Field { number, value, mapping: self.mapping, at })
    }

    /// An integer: 7 bits in each byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self) -> Result<u64> {
        let start = self.at;
        let bytes = &self.mapping.bytes()[start..self.end];
        let mut value = 0;
        for (i, &byte) in bytes.iter().enumerate().take(10) {
            // Of the tenth byte only one bit is left of 64.
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        let problem = if bytes.len() < 10 {
            "an integer does not end before its message does: is the file cut off?"
        } else {
            "an integer is longer than 64 bits"
        };
        Err(at_byte(self.mapping, start, problem))
    }

    /// The place of the next so many bytes.
    fn take(&mut self, length: u64) -> Result<Range<usize>> {
        let left = self.end - self.at;
        let length =
            usize::try_from(length).ok().filter(|&length| length <= left).ok_or_else(|| {
                let problem = format!(
                    "{length} bytes of a field where {left} are left: is the file cut off?"
                );
                at_byte(self.mapping, self.at, problem)
            })?;
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }
}

fn at_byte(mapping: &Mapping, at: usize, problem: impl Into<String>) -> Error {
    Error::format(mapping.path(), format!("byte {at}: {}", problem.into()))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture;
    use super::*;
    use proptest::prelude::*;

    fn mapping(bytes: &[u8]) -> Mapping {
        Mapping::open(fixture::file(bytes)).unwrap()
    }

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Value)>> {
        let mapping = mapping(bytes);
        Message::whole(&mapping).fields().map(|f| f.map(|f| (f.number, f.value))).collect()
    }

    fn refused(bytes: &[u8], because: &str) {
        let error = all(bytes).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    /// What `read` makes of the one field in these bytes.
    fn of_field<T>(bytes: &[u8], read: impl Fn(&Field) -> Result<T>) -> Result<T, String> {
        let mapping = mapping(bytes);
        let field = Message::whole(&mapping).fields().next().unwrap().unwrap();
        read(&field).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_of_every_type_are_found_where_they_lie() {
        // 150 is the example of the format's documentation.
        let bytes = b"\x08\x96\x01\x15abcd\x1a\x02hi\x21abcdefgh\xfa\xff\xff\xff\x0f\0";
        assert_eq!(
            all(bytes).unwrap(),
            [
                (1, Value::Varint(150)),
                (2, Value::Fixed(4..8)),
                (3, Value::Bytes(10..12)),
                (4, Value::Fixed(13..21)),
                ((1 << 29) - 1, Value::Bytes(27..27)),
            ]
        );
    }

    #[test]
    fn integers_have_up_to_64_bits() {
        for (bytes, value) in [
            (&b"\x08\0"[..], 0),
            // Longer than it need be.
            (b"\x08\x80\x80\0", 0),
            (b"\x08\xff\xff\xff\xff\x07", 0x7fff_ffff),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", u64::MAX),
        ] {
            assert_eq!(all(bytes).unwrap(), [(1, Value::Varint(value))]);
        }
    }

    #[test]
    fn an_integer_of_eleven_bytes_is_refused() {
        refused(b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", "longer than 64 bits");
        refused(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "byte 1: an integer is longer");
        refused(&[0x80; 30], "byte 0: an integer is longer");
    }

    #[test]
    fn an_integer_that_does_not_end_is_refused() {
        refused(b"\x08", "byte 1: an integer does not end");
        refused(b"\x08\x80", "does not end");
        refused(b"\x80", "byte 0: an integer does not end");
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        refused(b"\x12\x05hi", "byte 2: 5 bytes of a field where 2 are left");
        refused(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "are left: is the file cut off?");
        refused(b"\x15abc", "4 bytes of a field where 3 are left");
        refused(b"\x11abcdefg", "8 bytes of a field where 7 are left");
    }

    #[test]
    fn a_length_beyond_the_message_is_refused_though_the_file_goes_on() {
        let mapping = mapping(b"\x0a\x03\x12\x05hi and so on");
        let inner = Message { mapping: &mapping, range: 2..5 };
        let error = inner.fields().next().unwrap().err().unwrap().to_string();
        assert!(error.contains("5 bytes of a field where 1 are left"), "{error}");
    }

    #[test]
    fn groups_and_unknown_types_are_refused() {
        refused(b"\x0b\x0c", "byte 0: field 1 is a group");
        refused(b"\x08\0\x0c", "byte 2: field 1 is a group");
        refused(b"\x0e", "field 1 is of type 6, which does not exist");
        refused(b"\x0f", "field 1 is of type 7");
    }

    #[test]
    fn numbers_that_no_field_has_are_refused() {
        refused(b"\0\0", "byte 0: no field has number 0");
        refused(b"\x80\x80\x80\x80\x10\0", "no field has number 536870912");
        refused(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\0", "no field has number");
    }

    #[test]
    fn nothing_follows_an_error() {
        let mapping = mapping(b"\0\x08\x01\x08\x01");
        assert_eq!(Message::whole(&mapping).fields().count(), 1);
    }

    #[test]
    fn repeated_numbers_are_read_packed_and_one_by_one() {
        let integers =
            |bytes| of_field(bytes, |field| field.varints()?.collect::<Result<Vec<_>>>());
        assert_eq!(integers(b"\x08\x07").unwrap(), [7]);
        assert_eq!(integers(b"\x0a\x03\x07\x96\x01").unwrap(), [7, 150]);
        assert!(integers(b"\x0a\0").unwrap().is_empty());
        assert!(integers(b"\x0a\x02\x07\x96\x01").unwrap_err().contains("does not end"));
        assert!(integers(b"\x0dabcd").unwrap_err().contains("should be integers"));

        let singles = |bytes| of_field(bytes, |field| field.fixed(4));
        assert_eq!(singles(b"\x0dabcd").unwrap(), 1..5);
        assert_eq!(singles(b"\x0a\x08abcdefgh").unwrap(), 2..10);
        assert!(singles(b"\x0a\x07abcdefg").unwrap_err().contains("but has 7 bytes"));
        assert!(singles(b"\x09abcdefgh").unwrap_err().contains("numbers of 4 bytes"));
        assert!(singles(b"\x08\x01").unwrap_err().contains("numbers of 4 bytes"));
    }

    #[test]
    fn a_field_of_another_type_is_an_error_that_names_it() {
        let error = of_field(b"\x10\x01", |field| field.text().map(str::to_owned)).unwrap_err();
        assert!(error.ends_with("byte 0: field 2 should be bytes, but is a single number"));
        let error = of_field(b"\x0a\x01\xff", |field| field.text().map(str::to_owned)).unwrap_err();
        assert!(error.contains("not UTF-8"), "{error}");
        assert!(
            of_field(b"\x0a\0", |field| field.varint())
                .unwrap_err()
                .contains("should be an integer")
        );
    }

    proptest! {
        /// Whatever the bytes, every field lies within them, behind the one before.
        #[test]
        fn fields_lie_within_the_file(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            let mapping = mapping(&bytes);
            let mut end = 0;
            for field in Message::whole(&mapping).fields() {
                let Ok(field) = field else { continue };
                if let Value::Fixed(range) | Value::Bytes(range) = &field.value {
                    prop_assert!(end < range.start && range.end <= bytes.len());
                    end = range.end;
                }
                let _ = (field.text().is_ok(), field.fixed(4).is_ok());
                let _ = field.varints().map(|values| values.count());
            }
        }
    }
}
