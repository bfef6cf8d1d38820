//! The data elements of a MAT-file: a type, a number of bytes, and these bytes.
//!
//! ```text
//! type u32, bytes u32, the bytes, zeros up to a multiple of 8
//! bytes u16 << 16 | type u16, up to 4 bytes, zeros up to 4           if they are 4 at most
//! ```

/// Types of elements that are named outside of this file.
pub(super) const MATRIX: u32 = 14;
pub(super) const COMPRESSED: u32 = 15;

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self == Self::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    fn u64(self, bytes: [u8; 8]) -> u64 {
        if self == Self::Little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) }
    }
}

/// One element, its bytes inside of what it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) kind: u32,
    pub(super) bytes: &'a [u8],
    order: Order,
}

/// Elements that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    pub(super) rest: &'a [u8],
    pub(super) order: Order,
}

impl<'a> Elements<'a> {
    /// The next element; `what` it is, for the error.
    pub(super) fn next(&mut self, what: &str) -> Result<Element<'a>, String> {
        let order = self.order;
        let Some((tag, rest)) = self.rest.split_first_chunk::<8>() else {
            let found = self.rest.len();
            return Err(format!("expected 8 bytes or more of {what}, found the end after {found}"));
        };
        let [a, b, c, d, behind @ ..] = tag;
        let first = order.u32([*a, *b, *c, *d]);
        // The upper half is the count of a small element; a type never has one.
        if first >> 16 != 0 {
            let (kind, count) = (first & 0xffff, (first >> 16) as usize);
            let Some(bytes) = behind.get(..count) else {
                return Err(format!("expected {what} in 4 bytes at most, found {count} bytes"));
            };
            self.rest = rest;
            return Ok(Element { kind, bytes, order });
        }
        let count = order.u32(*behind) as usize;
        let Some((bytes, behind)) = rest.split_at_checked(count) else {
            let found = rest.len();
            return Err(format!("expected {count} bytes of {what}, found {found} to the end"));
        };
        // What is compressed is followed at once; the last element may lack its zeros.
        let zeros = if first == COMPRESSED { 0 } else { count.wrapping_neg() % 8 };
        self.rest = &behind[zeros.min(behind.len())..];
        Ok(Element { kind: first, bytes, order })
    }
}

impl<'a> Element<'a> {
    /// The elements in this one, if it is an array.
    pub(super) fn elements(self) -> Result<Elements<'a>, String> {
        if self.kind != MATRIX {
            return Err(format!("expected an array, found {}", named(self.kind)));
        }
        Ok(Elements { rest: self.bytes, order: self.order })
    }

    /// The numbers in it, whatever type they are stored as: MATLAB takes the narrowest that holds them.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, String> {
        let order = self.order;
        Ok(match self.kind {
            1 => self.bytes.iter().map(|&v| f64::from(v.cast_signed())).collect(),
            2 => self.bytes.iter().map(|&v| f64::from(v)).collect(),
            3 => self.each(|v| f64::from(order.u16(v).cast_signed()))?,
            4 => self.each(|v| f64::from(order.u16(v)))?,
            5 => self.each(|v| f64::from(order.u32(v).cast_signed()))?,
            6 => self.each(|v| f64::from(order.u32(v)))?,
            7 => self.each(|v| f64::from(f32::from_bits(order.u32(v))))?,
            9 => self.each(|v| f64::from_bits(order.u64(v)))?,
            12 => self.each(|v| order.u64(v).cast_signed() as f64)?,
            13 => self.each(|v| order.u64(v) as f64)?,
            kind => return Err(format!("expected numbers, found {}", named(kind))),
        })
    }

    /// The characters in it, and how many units they are stored in: bytes are code points, 16 bits UTF-16.
    pub(super) fn text(&self) -> Result<(String, usize), String> {
        let broken = |what: &str| format!("expected text as {what}, found bytes that are none");
        match self.kind {
            1 | 2 => Ok((self.bytes.iter().copied().map(char::from).collect(), self.bytes.len())),
            3 | 4 | 17 => {
                let units = self.each(|v| self.order.u16(v))?;
                let text = String::from_utf16(&units).map_err(|_| broken("UTF-16"))?;
                Ok((text, units.len()))
            }
            16 => {
                let text = str::from_utf8(self.bytes).map_err(|_| broken("UTF-8"))?;
                Ok((text.to_owned(), self.bytes.len()))
            }
            kind => Err(format!("expected text, found {}", named(kind))),
        }
    }

    fn each<T, const N: usize>(&self, value: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        let (values, rest) = self.bytes.as_chunks::<N>();
        if rest.is_empty() {
            return Ok(values.iter().map(|bytes| value(*bytes)).collect());
        }
        let (found, kind) = (self.bytes.len(), named(self.kind));
        Err(format!("expected {kind} of {N} bytes each, found {found} bytes"))
    }
}

/// What an element of a type is, for errors.
pub(super) fn named(kind: u32) -> String {
    let name = match kind {
        1..=6 | 12 | 13 => "integers",
        7 | 9 => "floats",
        MATRIX => "an array",
        COMPRESSED => "compressed data",
        16 | 17 => "text",
        18 => "text of 32 bits",
        _ => return format!("an element of the unknown type {kind}"),
    };
    format!("{name} (type {kind})")
}
