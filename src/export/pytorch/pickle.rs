//! The pickle of a state dict, in protocol 2, instruction for instruction as PyTorch's.
//!
//! A pickle is a program for a machine with a stack, which [`crate::zoo`] runs without Python.
//! Whatever Python could refer to again it numbers, in the order in which it is made (`q`, PUT),
//! and the second time only the number is written (`h`, GET): names of classes, and the texts
//! `storage` and `cpu` of which there is one each.

use super::{Data, Kind};
use crate::zoo::pytorch::ATTRIBUTE;
use std::collections::{BTreeMap, HashMap};

/// Items that are put into a dict by one instruction.
const BATCH: usize = 1000;

/// An `OrderedDict` of tensors; the storage of each is known by its place in the list.
pub(super) fn state_dict(tensors: &[(&str, Data)], texts: &BTreeMap<String, String>) -> Vec<u8> {
    let mut pickle = Pickle::default();
    pickle.bytes.extend(b"\x80\x02");
    pickle.empty_ordered_dict();
    let tensors: Vec<_> = tensors.iter().enumerate().collect();
    pickle.items(&tensors, |pickle, (number, (name, data))| {
        pickle.text(name);
        pickle.tensor(*number, data);
    });
    if !texts.is_empty() {
        // The state of an object is a dict of its attributes.
        pickle.empty_dict();
        pickle.text(ATTRIBUTE);
        pickle.empty_dict();
        let texts: Vec<_> = texts.iter().collect();
        pickle.items(&texts, |pickle, (key, text)| {
            pickle.text(key);
            pickle.text(text);
        });
        pickle.bytes.extend(b"sb");
    }
    pickle.bytes.push(b'.');
    pickle.bytes
}

#[derive(Default)]
struct Pickle {
    bytes: Vec<u8>,
    /// How many values have a number.
    numbered: u32,
    /// The numbers of what is used again.
    known: HashMap<&'static str, u32>,
}

impl Pickle {
    /// `_rebuild_tensor(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor(&mut self, number: usize, data: &Data) {
        let (shape, dtype) = (data.shape(), data.dtype());
        let numbers: usize = shape.iter().product();
        let kind = Kind::of(dtype);
        match kind {
            Some(Kind::Untyped(_)) => self.global("torch._utils\n_rebuild_tensor_v3\n"),
            _ => self.global("torch._utils\n_rebuild_tensor_v2\n"),
        }
        self.bytes.extend(b"((");
        self.constant("storage");
        match kind {
            Some(Kind::Untyped(_)) => self.global("torch.storage\nUntypedStorage\n"),
            Some(Kind::Typed(class)) => self.global_of("torch", class),
            None => {}
        }
        self.text(&number.to_string());
        self.constant("cpu");
        self.integer(match kind {
            Some(Kind::Untyped(_)) => numbers * dtype.bits() / 8,
            _ => numbers,
        });
        self.bytes.push(b't');
        self.put();
        self.bytes.push(b'Q');
        self.integer(0);
        self.tuple(shape);
        self.tuple(&strides(shape));
        self.bytes.push(0x89); // False
        self.empty_ordered_dict();
        if let Some(Kind::Untyped(name)) = kind {
            self.global_of("torch", name);
        }
        self.bytes.push(b't');
        self.put();
        self.bytes.push(b'R');
        self.put();
    }

    fn empty_ordered_dict(&mut self) {
        self.global("collections\nOrderedDict\n");
        self.bytes.extend(b")R");
        self.put();
    }

    fn empty_dict(&mut self) {
        self.bytes.push(b'}');
        self.put();
    }

    /// Puts items into the dict on top of the stack.
    fn items<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        for batch in items.chunks(BATCH) {
            if let [only] = batch {
                each(self, only);
                self.bytes.push(b's');
            } else {
                self.bytes.push(b'(');
                batch.iter().for_each(|item| each(self, item));
                self.bytes.push(b'u');
            }
        }
    }

    /// A class or function: the module's name and its own, each with a line break.
    fn global(&mut self, name: &'static str) {
        self.once(name, |pickle| {
            pickle.bytes.push(b'c');
            pickle.bytes.extend(name.as_bytes());
        });
    }

    /// One whose name within the module distinguishes it from all others here.
    fn global_of(&mut self, module: &str, name: &'static str) {
        self.once(name, |pickle| {
            pickle.bytes.extend(format!("c{module}\n{name}\n").as_bytes());
        });
    }

    /// A text of which there is only one.
    fn constant(&mut self, text: &'static str) {
        self.once(text, |pickle| pickle.unnumbered_text(text));
    }

    fn text(&mut self, text: &str) {
        self.unnumbered_text(text);
        self.put();
    }

    fn unnumbered_text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    /// A whole number that is not negative, in as few bytes as hold it.
    fn integer(&mut self, value: usize) {
        let bytes = (value as u64).to_le_bytes();
        match value {
            0..=0xff => {
                self.bytes.push(b'K');
                self.bytes.push(bytes[0]);
            }
            0x100..=0xffff => {
                self.bytes.push(b'M');
                self.bytes.extend(&bytes[..2]);
            }
            0x1_0000..=0x7fff_ffff => {
                self.bytes.push(b'J');
                self.bytes.extend(&bytes[..4]);
            }
            _ => {
                // With a sign: one byte more where the first bit is taken.
                let bits = u64::BITS - value.leading_zeros();
                let length = bits as usize / 8 + 1;
                self.bytes.extend([0x8a, length as u8]);
                self.bytes.extend(bytes.iter().chain(&[0]).take(length));
            }
        }
    }

    fn tuple(&mut self, values: &[usize]) {
        if values.is_empty() {
            self.bytes.push(b')');
            return;
        }
        if values.len() > 3 {
            self.bytes.push(b'(');
        }
        values.iter().for_each(|&value| self.integer(value));
        self.bytes.push(match values.len() {
            1 => 0x85,
            2 => 0x86,
            3 => 0x87,
            _ => b't',
        });
        self.put();
    }

    /// Numbers the value on top of the stack.
    fn put(&mut self) {
        let number = self.numbered;
        self.numbered += 1;
        self.refer(*b"qr", number);
    }

    /// The value that is known by `key`, or by then, as `make` writes it.
    fn once(&mut self, key: &'static str, make: impl FnOnce(&mut Self)) {
        if let Some(&number) = self.known.get(key) {
            self.refer(*b"hj", number);
        } else {
            make(self);
            self.known.insert(key, self.numbered);
            self.put();
        }
    }

    /// An instruction about the value of a number: the short one if it fits a byte.
    fn refer(&mut self, [short, long]: [u8; 2], number: u32) {
        match u8::try_from(number) {
            Ok(number) => self.bytes.extend([short, number]),
            Err(_) => {
                self.bytes.push(long);
                self.bytes.extend(number.to_le_bytes());
            }
        }
    }
}

/// Of a row-major tensor; empty axes count as one number, as PyTorch has it.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `pickle.dumps(value, 2)` writes between the version and the full stop.
    #[test]
    fn whole_numbers_take_as_few_bytes_as_hold_them() {
        let cases: [(usize, &[u8]); 9] = [
            (0, b"K\x00"),
            (255, b"K\xff"),
            (256, b"M\x00\x01"),
            (65_535, b"M\xff\xff"),
            (65_536, b"J\x00\x00\x01\x00"),
            (0x7fff_ffff, b"J\xff\xff\xff\x7f"),
            (0x8000_0000, b"\x8a\x05\x00\x00\x00\x80\x00"),
            (0x7f_ffff_ffff, b"\x8a\x05\xff\xff\xff\xff\x7f"),
            (1 << 62, b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40"),
        ];
        for (value, expected) in cases {
            let mut pickle = Pickle::default();
            pickle.integer(value);
            assert_eq!(pickle.bytes, expected, "{value}");
        }
    }

    #[test]
    fn strides_are_row_major_and_never_zero() {
        assert_eq!(strides(&[]), [0usize; 0]);
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(strides(&[3, 0]), [1, 1]);
        assert_eq!(strides(&[2, 0, 4]), [4, 4, 1]);
    }
}
