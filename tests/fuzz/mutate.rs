//! Small damages to the bytes of a file.

use fastrand::Rng;
use std::ops::Range;

/// Numbers at which sizes and signs turn over.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    16,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Words that mean something to one of the readers.
const WORDS: &[&[u8]] = &[
    b"\"weight_map\":",
    b"\"__metadata__\":{\"a\":\"b\"},",
    b"\"dtype\":\"F16\",",
    b"\"data_offsets\":[0,0],",
    b"\"shape\":[],",
    b"'fortran_order': True,",
    b"'shape': (2L,),",
    b"'descr': [('a', '<f4')],",
    b"'>f4'",
    b"../",
    b"\\u0000",
    // Instructions of pickles.
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"cbuiltins\neval\n",
    b"(X\x01\x00\x00\x00a",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"J\xff\xff\xff\xff",
    b"K\x00",
    b"R",
    b"Q",
    b"b",
    b"s",
    b"u",
    b"t",
    b"0",
    b"2",
    b"h\x01",
    b"q\x01",
    b"\x94",
    b"}",
    b"]",
    b"(",
    b".",
    // Parts of archives and of protocol buffers.
    b"PK\x05\x06",
    b"PK\x06\x07",
    b"PK\x01\x02",
    b"ustar",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\x2a\x04",
];

/// Damages a file in one to eight places, mostly in few.
pub fn mutate(bytes: &mut Vec<u8>, others: &[&[u8]], random: &mut Rng) {
    let mut count = 1;
    while count < 8 && random.u8(..) < 100 {
        count += 1;
    }
    for _ in 0..count {
        once(bytes, others, random);
    }
}

fn once(bytes: &mut Vec<u8>, others: &[&[u8]], random: &mut Rng) {
    if bytes.is_empty() {
        bytes.push(random.u8(..));
        return;
    }
    let at = random.usize(..bytes.len());
    match random.u8(..14) {
        0 | 1 => bytes[at] ^= 1 << random.u8(..8),
        2 => bytes[at] = random.u8(..),
        3 => bytes[at] = bytes[at].wrapping_add(if random.bool() { 1 } else { 255 }),
        4 | 5 => number(bytes, at, random),
        6 => digits(bytes, at, random),
        7 => bytes.truncate(at),
        8 => {
            let part = bytes[range(bytes.len(), random)].to_vec();
            bytes.splice(at..at, part);
        }
        9 => {
            let part = range(bytes.len(), random);
            bytes.drain(part);
        }
        10 => {
            let part: Vec<u8> = (0..random.usize(1..9)).map(|_| random.u8(..)).collect();
            bytes.splice(at..at, part);
        }
        11 => {
            let word = WORDS[random.usize(..WORDS.len())];
            let end = if random.bool() { at } else { bytes.len().min(at + word.len()) };
            bytes.splice(at..end, word.iter().copied());
        }
        12 => {
            // Part of one place over another.
            let part = bytes[range(bytes.len(), random)].to_vec();
            let end = bytes.len().min(at + part.len());
            bytes[at..end].copy_from_slice(&part[..end - at]);
        }
        _ => {
            let other = others[random.usize(..others.len())];
            if !other.is_empty() {
                let part = range(other.len(), random);
                let end = if random.bool() { at } else { bytes.len().min(at + part.len()) };
                bytes.splice(at..end, other[part].iter().copied());
            }
        }
    }
}

/// Some bytes, mostly few.
fn range(length: usize, random: &mut Rng) -> Range<usize> {
    let start = random.usize(..length);
    let most = if random.u8(..8) == 0 { length } else { 32 };
    start..(start + random.usize(1..=most)).min(length)
}

/// A number of one of the sizes that formats have, of either order.
fn number(bytes: &mut [u8], at: usize, random: &mut Rng) {
    let mut number = NUMBERS[random.usize(..NUMBERS.len())];
    if random.u8(..4) == 0 {
        number = number.wrapping_add(u64::from(random.u8(..4))).wrapping_sub(2);
    }
    let mut written = number.to_le_bytes();
    let size = 1 << random.u8(..4);
    if random.u8(..4) == 0 {
        written[..size].reverse();
    }
    let end = bytes.len().min(at + size);
    bytes[at..end].copy_from_slice(&written[..end - at]);
}

/// Another number in the place of the next one that is written out.
fn digits(bytes: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let Some(skipped) = bytes[at..].iter().position(u8::is_ascii_digit) else { return };
    let start = at + skipped;
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = NUMBERS[random.usize(..NUMBERS.len())].to_string();
    bytes.splice(start..start + length, number.into_bytes());
}
