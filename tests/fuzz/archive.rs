//! Zip archives taken apart and put together again, so that damages reach what is in them: in
//! an archive as it is, most only make two numbers disagree.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;

pub struct Member {
    pub name: Vec<u8>,
    pub bytes: Vec<u8>,
    pub deflated: bool,
}

/// The members of a valid archive; `None` of what is none.
pub fn members(file: &[u8]) -> Option<Vec<Member>> {
    if !file.starts_with(b"PK\x03\x04") {
        return None;
    }
    let end = file.windows(4).rposition(|bytes| bytes == b"PK\x05\x06")?;
    let (count, mut at) = (number(file, end + 10, 2)?, number(file, end + 16, 4)?);
    let mut members = vec![];
    for _ in 0..count {
        let [packed, name] = [number(file, at + 20, 4)?, number(file, at + 28, 2)?];
        let (extra, comment) = (number(file, at + 30, 2)?, number(file, at + 32, 2)?);
        let header = number(file, at + 42, 4)?;
        let data = header + 30 + number(file, header + 26, 2)? + number(file, header + 28, 2)?;
        let bytes = file.get(data..data + packed)?;
        let deflated = number(file, at + 10, 2)? == 8;
        let name_bytes = file.get(at + 46..at + 46 + name)?.to_vec();
        let bytes = if deflated { decompress_to_vec(bytes).ok()? } else { bytes.to_vec() };
        members.push(Member { name: name_bytes, bytes, deflated });
        at += 46 + name + extra + comment;
    }
    Some(members)
}

fn number(file: &[u8], at: usize, size: usize) -> Option<usize> {
    Some(file.get(at..at + size)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)))
}

/// An archive of these members.
pub fn archive(members: &[Member]) -> Vec<u8> {
    let (mut file, mut directory) = (vec![], vec![]);
    for Member { name, bytes, deflated } in members {
        let packed = if *deflated { compress_to_vec(bytes, 6) } else { bytes.clone() };
        let mut fields = vec![45, 0, 0, 0, if *deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        fields.extend(checksum(bytes).to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend((bytes.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        directory.extend([b"PK\x01\x02\x2d\0", &fields[..]].concat());
        directory.extend([0; 10]);
        directory.extend((file.len() as u32).to_le_bytes());
        directory.extend(name);
        file.extend([b"PK\x03\x04", &fields[..], name, &packed].concat());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([members.len() as u16; 2].map(u16::to_le_bytes).concat());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// The CRC-32 of zip.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc: u32, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
        crc
    })
}
