//! The bytes of a file, unpacked where it is gzip.

use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a file, packed or not, at most: the largest data set of these formats, EMNIST,
/// has half of them, but a small file of gzip may unpack to more than there is memory.
const MOST: usize = 1 << 30;

/// The content of the file at `path`; gzip is recognised by its first bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut content = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut content).map_err(Error::io("read", path))?;
    unpacked(within(content, MOST, path)?, path)
}

/// `bytes` of the file at `path`, unpacked if they are gzip.
pub(super) fn unpacked(bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>> {
    unpacked_within(bytes, MOST, path)
}

/// `content` if it has at most so many bytes.
fn within(content: Vec<u8>, most: usize, path: &Path) -> Result<Vec<u8>> {
    if content.len() <= most {
        return Ok(content);
    }
    Err(Error::data(path, "", format!("expected a data set of {most} bytes at most, found more")))
}

fn unpacked_within(bytes: Vec<u8>, most: usize, path: &Path) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut content = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes.as_slice()).take(most as u64 + 1);
    decoder.read_to_end(&mut content).map_err(|error| {
        Error::data(
            path,
            format!("after {} unpacked bytes", content.len()),
            format!(
                "the gzip stream cannot be read on ({error}); the file of {} bytes is cut off \
                 or damaged",
                bytes.len()
            ),
        )
    })?;
    within(content, most, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn what_unpacks_to_more_than_allowed_is_refused() {
        let mut packed = GzEncoder::new(vec![], Compression::best());
        packed.write_all(&[0; 5000]).unwrap();
        let packed = packed.finish().unwrap();
        let unpacked = |most| unpacked_within(packed.clone(), most, Path::new("a.csv.gz"));
        assert_eq!(unpacked(5000).unwrap().len(), 5000);
        let text = unpacked(4999).unwrap_err().to_string();
        assert_eq!(text, "a.csv.gz: expected a data set of 4999 bytes at most, found more");
    }
}
