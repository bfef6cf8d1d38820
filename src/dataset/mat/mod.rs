//! Arrays in files of MATLAB: MAT-files of level 5, as `save` writes them with `-v6` and `-v7`.
//!
//! ```text
//! 124 bytes    text, such as MATLAB 5.0 MAT-file, Platform: GLNXA64
//! 4 bytes      the version 0x0100, and MI, as numbers of 16 bits: IM is the little end first
//! variables    elements: an array, or one that zlib has compressed
//! ```
//!
//! The format is that of MathWorks' "MAT-File Format" (R2019b), Level 5. What is read is what annotations
//! of pictures are made of: numbers, rows of characters, cells and structs.

mod array;
mod element;
#[cfg(test)]
mod tests;

pub(super) use array::Array;

use super::bytes;
use crate::{Error, Result};
use array::Header;
use element::{COMPRESSED, Elements, MATRIX, Order, named};
use flate2::read::ZlibDecoder;
use std::io::Read;
use std::path::Path;

/// Bytes of a file, and of all its variables uncompressed, at most: annotations of 16 000 pictures take
/// 8 million, but a small file may unpack to more than there is memory.
const MOST: usize = 1 << 25;

/// The variables of a file.
#[derive(Debug)]
pub(super) struct Variables {
    /// The names of all.
    names: Vec<String>,
    /// Those that were asked for.
    read: Vec<(String, Array)>,
}

impl Variables {
    /// The variables called `wanted` in the file at `path`; others are passed over, whatever they are.
    ///
    /// # Errors
    /// If the file is of another level, cut off or damaged, takes too much memory, or holds in a wanted
    /// variable what is neither numbers nor text, cells or structs. All name the file.
    pub(super) fn read(path: &Path, wanted: &[&str]) -> Result<Self> {
        let content = bytes::read(path)?;
        Self::parse(&content, wanted, MOST)
            .map_err(|(place, problem)| Error::data(path, place, problem))
    }

    /// The variable of that name, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&Array> {
        self.read.iter().find(|(known, _)| known == name).map(|(_, array)| array)
    }

    /// The variable of that name.
    ///
    /// # Errors
    /// If there is none; says which there are.
    pub(super) fn expect(&self, name: &str) -> Result<&Array, String> {
        self.get(name).ok_or_else(|| {
            let found = match &*self.names {
                [] => "none".to_owned(),
                names => names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", "),
            };
            format!("expected the variable {name}, found {found}")
        })
    }

    /// Of the content of a file; in an error the place comes first.
    fn parse(content: &[u8], wanted: &[&str], most: usize) -> Result<Self, (String, String)> {
        let beginning = |problem: String| ("header".to_owned(), problem);
        let order = order(content).map_err(beginning)?;
        if content.len() > most {
            let problem = format!("expected annotations of {most} bytes at most, found more");
            return Err((String::new(), problem));
        }
        let mut elements = Elements { rest: content.get(HEADER..).unwrap_or_default(), order };
        let (mut found, mut left) = (Self { names: vec![], read: vec![] }, most);
        while !elements.rest.is_empty() {
            let place = format!("byte {}", content.len() - elements.rest.len());
            let at = |problem: String| (place.clone(), problem);
            let element = elements.next("a variable").map_err(at)?;
            let inflated;
            let mut variable = match element.kind {
                COMPRESSED => {
                    inflated = inflate(element.bytes, left).map_err(at)?;
                    left -= inflated.len();
                    let mut elements = Elements { rest: &inflated, order };
                    elements.next("a variable").and_then(|element| element.elements())
                }
                MATRIX => element.elements(),
                kind => Err(format!("expected a variable, found {}", named(kind))),
            }
            .map_err(at)?;
            let header = Header::read(&mut variable).map_err(at)?;
            let name = header.name.clone();
            if wanted.contains(&name.as_str()) {
                let array = header.array(variable, 0);
                let at = |problem| (format!("variable {name}"), problem);
                found.read.push((name.clone(), array.map_err(at)?));
            }
            found.names.push(name);
        }
        Ok(found)
    }
}

/// Bytes before the first variable.
const HEADER: usize = 128;

/// The order of bytes that the header says.
fn order(content: &[u8]) -> Result<Order, String> {
    const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
    let is_hdf5 = content.starts_with(HDF5)
        || content.starts_with(b"MATLAB 7.3")
        || content.get(512..).is_some_and(|behind| behind.starts_with(HDF5));
    if is_hdf5 {
        let problem = "expected a MAT-file of level 5, found one of MATLAB 7.3 (HDF5), which is not \
                       read; load it in MATLAB and write it with save(..., '-v7')";
        return Err(problem.to_owned());
    }
    let expected = "expected a MAT-file of level 5 (save with -v6 or -v7)";
    // Level 4 begins with a number, which has a zero byte; all others begin with text.
    if content.get(..4).is_some_and(|first| first.contains(&0)) {
        return Err(format!("{expected}, found a file without its text, as of MATLAB 4"));
    }
    let Some(header) = content.first_chunk::<HEADER>() else {
        return Err(format!("{expected}, found {} bytes, less than its header", content.len()));
    };
    let [.., a, b, c, d] = *header;
    let order = match [c, d] {
        [b'I', b'M'] => Order::Little,
        [b'M', b'I'] => Order::Big,
        found => {
            let found = found.escape_ascii();
            return Err(format!(
                "{expected}, which has IM or MI in bytes 126 and 127, found {found}"
            ));
        }
    };
    match order.u16([a, b]) {
        0x0100 => Ok(order),
        version => Err(format!("{expected}, which is version 0x0100, found {version:#06x}")),
    }
}

/// The bytes of a compressed element, `most` of them.
fn inflate(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut decoder = ZlibDecoder::new(bytes).take(most as u64 + 1);
    decoder.read_to_end(&mut content).map_err(|error| {
        let (count, found) = (bytes.len(), content.len());
        format!(
            "the {count} compressed bytes cannot be read on after {found} ({error}); the file is \
             damaged"
        )
    })?;
    if content.len() > most {
        return Err(format!("expected variables of {most} more bytes at most, found more"));
    }
    Ok(content)
}
