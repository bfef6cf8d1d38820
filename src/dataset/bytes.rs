//! The bytes of a file, unpacked where it is gzip.

use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::Path;

/// The content of the file at `path`; gzip is recognised by its first bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    unpacked(std::fs::read(path).map_err(Error::io("read", path))?, path)
}

/// `bytes` of the file at `path`, unpacked if they are gzip.
pub(super) fn unpacked(bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut content = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut content).map_err(|error| {
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
    Ok(content)
}
