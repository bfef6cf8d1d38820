//! Small files for tests.

use super::checkpoint::Checkpoint;
use super::dtype::Dtype;
use std::io::Write;
use tempfile::TempPath;

/// A temporary file of these bytes, removed when the result is dropped; what is
/// mapped by then stays.
pub fn file(bytes: &[u8]) -> TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.into_temp_path()
}

/// A checkpoint of these tensors: name, type, shape and little-endian bytes.
pub fn checkpoint(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Checkpoint {
    Checkpoint::open(file(&safetensors(tensors))).unwrap()
}

/// The bytes of a safetensors file of these tensors.
pub fn safetensors(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        let end = data.len();
        header.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", header.join(","));
    // As writers do, so that the values are aligned.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// One member of an archive that [`zip`] writes.
#[derive(Clone)]
pub struct Member {
    /// What its own header says.
    pub own: Header,
    /// What the directory says.
    pub listed: Header,
    /// The bytes as they stand in the file.
    pub bytes: Vec<u8>,
    /// Where the directory says that it is, if not where it is.
    pub offset: Option<u64>,
}

/// What is said twice of a member.
#[derive(Clone)]
pub struct Header {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub packed: u64,
    pub size: u64,
    /// Whether the sizes, and in the directory the offset, are written in 64 bits.
    pub wide: bool,
}

impl Member {
    /// A member that is stored.
    pub fn stored(name: impl Into<Vec<u8>>, bytes: impl Into<Vec<u8>>) -> Self {
        let (name, bytes) = (name.into(), bytes.into());
        let length = bytes.len() as u64;
        let own = Header { name, flags: 0, method: 0, packed: length, size: length, wide: false };
        Self { listed: own.clone(), own, bytes, offset: None }
    }

    /// A member that is deflated.
    pub fn deflated(name: impl Into<Vec<u8>>, bytes: &[u8]) -> Self {
        let mut member = Self::stored(name, miniz_oxide::deflate::compress_to_vec(bytes, 6));
        member.both(|header| (header.method, header.size) = (8, bytes.len() as u64));
        member
    }

    /// Changes what is said of the member, both times.
    pub fn both(&mut self, change: impl Fn(&mut Header)) {
        change(&mut self.own);
        change(&mut self.listed);
    }
}

impl Header {
    /// The fields that both headers have: from the version to the lengths, and then the name
    /// and the extra field.
    fn fields(&self, offset: Option<u64>) -> (Vec<u8>, Vec<u8>) {
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let mut extra = vec![];
        if self.wide {
            let wide: Vec<u8> = [Some(self.size), Some(self.packed), offset]
                .into_iter()
                .flatten()
                .flat_map(u64::to_le_bytes)
                .collect();
            extra.extend(1u16.to_le_bytes());
            extra.extend((wide.len() as u16).to_le_bytes());
            extra.extend(wide);
        }
        let [packed, size] =
            [self.packed, self.size].map(|n| if self.wide { u32::MAX } else { narrow(n) });
        let mut fixed = vec![45, 0];
        fixed.extend(self.flags.to_le_bytes());
        fixed.extend(self.method.to_le_bytes());
        // The time, the day, the checksum.
        fixed.extend([0; 8]);
        fixed.extend(packed.to_le_bytes());
        fixed.extend(size.to_le_bytes());
        fixed.extend((self.name.len() as u16).to_le_bytes());
        fixed.extend((extra.len() as u16).to_le_bytes());
        (fixed, [&self.name[..], &extra].concat())
    }
}

/// A zip archive, with an end of 64 bits before that of 32, as PyTorch writes it.
pub fn zip(members: &[Member]) -> Vec<u8> {
    let (mut file, mut directory) = (vec![], vec![]);
    for Member { own, listed, bytes, offset } in members {
        let offset = offset.unwrap_or(file.len() as u64);
        let (fixed, variable) = own.fields(None);
        file.extend([b"PK\x03\x04", &fixed[..], &variable, bytes].concat());
        let (fixed, variable) = listed.fields(Some(offset));
        directory.extend([b"PK\x01\x02\x2d\0", &fixed[..]].concat());
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(if listed.wide { u32::MAX } else { offset as u32 }.to_le_bytes());
        directory.extend(variable);
    }
    let start = file.len() as u64;
    file.extend(&directory);
    file.extend(zip_end(members.len() as u64, start, directory.len() as u64));
    file
}

/// The end of an archive whose directory has so many records, begins there, and has so many
/// bytes.
pub fn zip_end(records: u64, start: u64, size: u64) -> Vec<u8> {
    let mut end = b"PK\x06\x06".to_vec();
    end.extend(44u64.to_le_bytes());
    // The versions, disks 0.
    end.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    end.extend([records, records, size, start].map(u64::to_le_bytes).concat());
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend((start + size).to_le_bytes());
    end.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
    end.extend([records as u16; 2].map(u16::to_le_bytes).concat());
    end.extend([size, start].map(|n| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()).concat());
    end.extend([0, 0]);
    end
}
