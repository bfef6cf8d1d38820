//! The zip archive: members stored as they are, their bytes aligned so that they can be mapped.

use rawzip::{Header, ZipArchiveWriter, extra_fields::ExtraFieldId, path::EntryPath};
use std::io::{self, Write};

/// Where the bytes of a member begin: at a multiple of this.
pub(super) const ALIGNMENT: usize = 64;

/// The extra field that PyTorch fills up with, `FB`.
const PADDING: ExtraFieldId = ExtraFieldId::new(u16::from_le_bytes(*b"FB"));

/// Bytes of a member's header without its name and extra fields; of an extra field without its
/// content.
const HEADER: usize = 30;
const FIELD: usize = 4;

/// An archive that is being written.
pub(super) struct Archive<'w, 'f> {
    zip: ZipArchiveWriter<&'w mut dyn Write>,
    /// What all members are below.
    folder: &'f str,
    /// Of the names and of the checksums so far.
    names: Fnv,
    checksums: Fnv,
}

impl<'w, 'f> Archive<'w, 'f> {
    pub fn new(writer: &'w mut dyn Write, folder: &'f str) -> Self {
        let (names, checksums) = Default::default();
        Self { zip: ZipArchiveWriter::new(writer), folder, names, checksums }
    }

    /// Adds what `write` writes; its length and checksum follow it, so that it need not be
    /// known or kept.
    pub fn member(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = format!("{}/{name}", self.folder);
        // An empty field is the least that fills up.
        let bare = self.zip.stream_offset() as usize + HEADER + path.len() + FIELD;
        let padding = vec![b'Z'; bare.next_multiple_of(ALIGNMENT) - bare];
        let (mut entry, config) = self
            .zip
            .new_file(EntryPath::verbatim(path.as_bytes()))
            .extra_field(PADDING, &padding, Header::LOCAL)
            .and_then(|file| file.start())
            .map_err(io::Error::other)?;
        let mut writer = config.wrap(&mut entry);
        write(&mut writer)?;
        let (_, end) = writer.finish().map_err(io::Error::other)?;
        self.names.take(name.as_bytes());
        self.checksums.take(&end.crc().to_le_bytes());
        entry.finish(end).map_err(io::Error::other)?;
        Ok(())
    }

    /// A number that follows from all members so far, in as many digits as PyTorch's: what is
    /// the same has the same, and what is not has most probably another.
    pub fn id(&self) -> String {
        format!("{:020}{:020}", self.names.0, self.checksums.0)
    }

    /// Writes the directory of the members.
    pub fn finish(self) -> io::Result<()> {
        self.zip.finish().map_err(io::Error::other)?;
        Ok(())
    }
}

/// The hash function of Fowler, Noll and Vo (FNV-1a), of 64 bits.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_known_one() {
        // From the authors' list of test vectors.
        let hash = |bytes: &[u8]| {
            let mut fnv = Fnv::default();
            fnv.take(bytes);
            fnv.0
        };
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
