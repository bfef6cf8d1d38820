//! IDX, the file format of the classic MNIST distribution, for unsigned bytes.
//!
//! Two zero bytes, the type (8: unsigned byte), the number of dimensions, each dimension as a
//! big-endian 32-bit integer, then the values in row-major order.

use super::bytes;
use crate::{Error, Result};
use std::path::Path;

/// The unsigned bytes of an IDX file and their `D` dimensions; the file may be gzip.
pub(super) fn read<const D: usize>(path: &Path) -> Result<([usize; D], Vec<u8>)> {
    let mut content = bytes::read(path)?;
    let size =
        parse_header::<D>(&content).map_err(|problem| Error::data(path, "header", problem))?;
    let header = 4 + 4 * D;
    let expected = size.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    if expected != Some(content.len() - header) {
        return Err(Error::data(
            path,
            "",
            format!(
                "expected {size:?} bytes after the header, found {}; the file is cut off or \
                 damaged",
                content.len() - header
            ),
        ));
    }
    content.drain(..header);
    Ok((size, content))
}

fn parse_header<const D: usize>(content: &[u8]) -> Result<[usize; D], String> {
    let magic = [0, 0, 8, D as u8];
    if !content.starts_with(&magic) {
        let found = &content[..content.len().min(4)];
        return Err(format!(
            "expected {magic:?} (IDX of unsigned bytes in {D} dimensions), found {found:?}"
        ));
    }
    let mut sizes = content[4..].as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size));
    let mut size = [0; D];
    for size in &mut size {
        *size = sizes.next().ok_or("expected all dimensions, found the end of the file")? as usize;
    }
    Ok(size)
}
