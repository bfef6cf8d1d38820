//! A message of protocol buffers that is to be written; how one lies in a file, the reader in
//! `zoo/onnx` describes.

use super::Data;
use std::io::{self, Write};

/// Fields one after the other. The values of tensors are not copied into it: only how many bytes
/// they have must be known before they are written.
#[derive(Default)]
pub(crate) struct Message<'a> {
    pieces: Vec<Piece<'a>>,
    len: u64,
}

enum Piece<'a> {
    Bytes(Vec<u8>),
    Values(Data<'a>),
}

impl<'a> Message<'a> {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// A whole number; of a negative one, its two's complement of 64 bits.
    pub fn integer(&mut self, number: u32, value: u64) {
        self.push(&varint(tag(number, 0)));
        self.push(&varint(value));
    }

    /// A single-precision number.
    pub fn float(&mut self, number: u32, value: f32) {
        self.push(&varint(tag(number, 5)));
        self.push(&value.to_le_bytes());
    }

    /// A double-precision number; of event files alone.
    #[cfg(any(feature = "train", test))]
    pub fn double(&mut self, number: u32, value: f64) {
        self.push(&varint(tag(number, 1)));
        self.push(&value.to_le_bytes());
    }

    /// A text, or bytes.
    pub fn bytes(&mut self, number: u32, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.push(&header(number, bytes.len() as u64));
        self.push(bytes);
    }

    /// A message within this one.
    pub fn message(&mut self, number: u32, message: Message<'a>) {
        self.push(&header(number, message.len));
        for piece in message.pieces {
            match piece {
                Piece::Bytes(bytes) => self.push(&bytes),
                Piece::Values(data) => self.push_values(data),
            }
        }
    }

    /// The values of a tensor, as bytes.
    pub fn values(&mut self, number: u32, data: Data<'a>) {
        self.push(&header(number, byte_len(&data)));
        self.push_values(data);
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Whatever `writer` refuses.
    pub fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Bytes(bytes) => writer.write_all(bytes),
            Piece::Values(data) => data.write_to(writer),
        })
    }

    fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        match self.pieces.last_mut() {
            Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Bytes(bytes.to_vec())),
        }
    }

    fn push_values(&mut self, data: Data<'a>) {
        self.len += byte_len(&data);
        self.pieces.push(Piece::Values(data));
    }
}

/// The bytes before the content of a field of so many bytes.
pub(crate) fn header(number: u32, len: u64) -> Vec<u8> {
    [varint(tag(number, 2)), varint(len)].concat()
}

/// The bytes of a tensor's values; the largest number for one that could not be, so that it is
/// refused as too large.
fn byte_len(data: &Data) -> u64 {
    data.dtype().bytes_of(data.shape()).map_or(u64::MAX, |len| len as u64)
}

fn tag(number: u32, wire_type: u64) -> u64 {
    u64::from(number) << 3 | wire_type
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    fn written(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.write_to(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, message.len());
        bytes
    }

    #[test]
    fn fields_are_written_as_the_format_says() {
        let tensor = Tensor::new(&[1], vec![1.0f32]).unwrap();
        let mut inner = Message::default();
        inner.values(9, Data::from(&tensor));
        inner.integer(2, 1);
        let mut message = Message::default();
        message.integer(1, 150);
        message.integer(1, (-1i64).cast_unsigned());
        message.float(2, 1.0);
        message.double(3, -2.0);
        message.message(7, inner);
        message.bytes(20, "hi");
        let expected = [
            &b"\x08\x96\x01"[..],
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x15\0\0\x80\x3f",
            b"\x19\0\0\0\0\0\0\0\xc0",
            b"\x3a\x08\x4a\x04\0\0\x80\x3f\x10\x01",
            b"\xa2\x01\x02hi",
        ];
        assert_eq!(written(&message), expected.concat());
    }
}
