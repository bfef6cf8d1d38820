//! Where the bytes of a tensor lie.

use super::mapping::Mapping;
use crate::{Error, Result};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a file, or made from it. To clone them copies none; the file stays mapped while
/// any are left.
#[derive(Clone)]
pub(super) struct Bytes {
    mapping: Arc<Mapping>,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// In the file as they are. Invariant: within it.
    Mapped(Range<usize>),
    /// Deflated in the file: the `part` of the `length` bytes that `range` inflates to.
    /// Invariant: `range` is within the file, `part` within `length`.
    Deflated { range: Range<usize>, length: usize, part: Range<usize> },
    /// Made from what is in the file. Invariant: the range is within them.
    Made(Arc<Vec<u8>>, Range<usize>),
}

/// Deflate makes of one byte at most so many.
const LARGEST_RATIO: usize = 1032;

impl Bytes {
    /// Bytes of a file.
    ///
    /// # Errors
    /// If they are not in it.
    pub fn mapped(mapping: &Arc<Mapping>, range: Range<usize>) -> Result<Self> {
        check_within(mapping, &range)?;
        Ok(Self { mapping: mapping.clone(), place: Place::Mapped(range) })
    }

    /// The `length` bytes that bytes of a file inflate to. They are inflated at each use and
    /// not kept: files that are meant to be mapped are not deflated.
    ///
    /// # Errors
    /// If they are not in the file, or so few cannot be so many.
    pub fn deflated(mapping: &Arc<Mapping>, range: Range<usize>, length: usize) -> Result<Self> {
        check_within(mapping, &range)?;
        if length > range.len().saturating_mul(LARGEST_RATIO) {
            let problem = format!("{} deflated bytes cannot become {length}", range.len());
            return Err(Error::format(mapping.path(), problem));
        }
        let place = Place::Deflated { range, length, part: 0..length };
        Ok(Self { mapping: mapping.clone(), place })
    }

    /// Bytes that a reader made from those of a file.
    pub fn made(mapping: &Arc<Mapping>, bytes: Vec<u8>) -> Self {
        let all = 0..bytes.len();
        Self { mapping: mapping.clone(), place: Place::Made(Arc::new(bytes), all) }
    }

    /// Bytes that a reader made from those of the same file.
    pub fn made_beside(&self, bytes: Vec<u8>) -> Self {
        Self::made(&self.mapping, bytes)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.mapping.path()
    }

    /// The size of the file.
    pub fn file_len(&self) -> usize {
        self.mapping.bytes().len()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.range().len()
    }

    /// Some of the bytes, counted from their first; `None` if they are not among them.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let whole = self.range();
        if range.start > range.end || range.end > whole.len() {
            return None;
        }
        let part = whole.start + range.start..whole.start + range.end;
        let place = match &self.place {
            Place::Mapped(_) => Place::Mapped(part),
            Place::Deflated { range, length, .. } => {
                Place::Deflated { range: range.clone(), length: *length, part }
            }
            Place::Made(bytes, _) => Place::Made(bytes.clone(), part),
        };
        Some(Self { mapping: self.mapping.clone(), place })
    }

    fn range(&self) -> &Range<usize> {
        match &self.place {
            Place::Mapped(range) | Place::Made(_, range) => range,
            Place::Deflated { part, .. } => part,
        }
    }

    /// The bytes, if they are there without inflating.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Mapped(range) => Some(&self.mapping.bytes()[range.clone()]),
            Place::Made(bytes, range) => Some(&bytes[range.clone()]),
            Place::Deflated { .. } => None,
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// If they are deflated, and damaged.
    pub fn get(&self) -> Result<Cow<'_, [u8]>> {
        if let Some(bytes) = self.in_memory() {
            return Ok(Cow::Borrowed(bytes));
        }
        let Place::Deflated { range, length, part } = &self.place else { unreachable!() };
        let deflated = &self.mapping.bytes()[range.clone()];
        let mut bytes = decompress_to_vec_with_limit(deflated, *length).map_err(|error| {
            let why = match error.status {
                TINFLStatus::HasMoreOutput => format!("become more than the {length} promised"),
                TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                    "end too early".to_owned()
                }
                _ => "are damaged".to_owned(),
            };
            Error::format(self.path(), format!("the deflated bytes {range:?} {why}"))
        })?;
        if bytes.len() != *length {
            let problem =
                format!("the bytes {range:?} inflate to {}, not to {length}", bytes.len());
            return Err(Error::format(self.path(), problem));
        }
        bytes.truncate(part.end);
        bytes.drain(..part.start);
        Ok(Cow::Owned(bytes))
    }

    /// The first `count` of the bytes, or all if there are fewer. Of deflated ones, no more are
    /// inflated.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn first(&self, count: usize) -> Result<Cow<'_, [u8]>> {
        let count = count.min(self.len());
        if let Some(bytes) = self.in_memory() {
            return Ok(Cow::Borrowed(&bytes[..count]));
        }
        let Place::Deflated { range, part, .. } = &self.place else { unreachable!() };
        let end = part.start + count;
        let deflated = &self.mapping.bytes()[range.clone()];
        let mut bytes = match decompress_to_vec_with_limit(deflated, end) {
            Ok(bytes) => bytes,
            // There are more, as was to be expected.
            Err(error) if error.status == TINFLStatus::HasMoreOutput => error.output,
            Err(_) => vec![],
        };
        if bytes.len() < end {
            // The error that whoever wants all of them sees, at the same place.
            return self.get().map(|bytes| Cow::Owned(bytes[..count].to_vec()));
        }
        bytes.truncate(end);
        bytes.drain(..part.start);
        Ok(Cow::Owned(bytes))
    }

    /// Tells the system that the bytes were copied, so that their part of the file need not
    /// stay in memory. They can be used as before.
    pub fn release(&self) {
        if let Place::Mapped(range) = &self.place {
            self.mapping.release(range.clone());
        }
    }
}

fn check_within(mapping: &Mapping, range: &Range<usize>) -> Result<()> {
    if mapping.bytes().get(range.clone()).is_none() {
        let length = mapping.bytes().len();
        let problem = format!("bytes {range:?} are not in the file, which has {length}");
        return Err(Error::format(mapping.path(), problem));
    }
    Ok(())
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Mapped(range) => write!(f, "bytes {range:?}")?,
            Place::Deflated { range, part, .. } => {
                write!(f, "bytes {part:?} of the deflated {range:?}")?;
            }
            Place::Made(_, range) => write!(f, "{} bytes made", range.len())?,
        }
        write!(f, " of {}", self.path().display())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use miniz_oxide::deflate::compress_to_vec;

    fn mapping(bytes: &[u8]) -> Arc<Mapping> {
        Arc::new(Mapping::open(fixture::file(bytes)).unwrap())
    }

    #[test]
    fn a_part_of_a_part_is_counted_from_its_first_byte() {
        let file = mapping(b"0123456789");
        let deflated = compress_to_vec(b"0123456789", 6);
        let squeezed = mapping(&deflated);
        for bytes in [
            Bytes::mapped(&file, 0..10).unwrap(),
            Bytes::made(&file, b"0123456789".to_vec()),
            Bytes::deflated(&squeezed, 0..deflated.len(), 10).unwrap(),
        ] {
            let part = bytes.slice(2..8).unwrap().slice(1..3).unwrap();
            assert_eq!((part.len(), &*part.get().unwrap()), (2, &b"34"[..]), "{part:?}");
            assert!(part.slice(1..3).is_none());
            #[allow(clippy::reversed_empty_ranges)]
            let reversed = 2..1;
            assert!(part.slice(reversed).is_none());
            assert_eq!(part.slice(2..2).unwrap().len(), 0);
        }
    }

    #[test]
    fn bytes_outside_the_file_are_refused() {
        let file = mapping(b"0123456789");
        assert!(Bytes::mapped(&file, 5..11).is_err());
        assert!(Bytes::deflated(&file, usize::MAX - 1..usize::MAX, 1).is_err());
    }

    #[test]
    fn deflated_bytes_must_be_whole_and_as_many_as_promised() {
        let deflated = compress_to_vec(&[7; 1000], 6);
        let file = mapping(&deflated);
        let get = |end: usize, length| {
            Bytes::deflated(&file, 0..end, length)
                .and_then(|bytes| bytes.get().map(Cow::into_owned))
                .map_err(|error| error.to_string())
        };
        assert_eq!(get(deflated.len(), 1000).unwrap(), [7; 1000]);
        assert!(get(deflated.len(), 999).unwrap_err().contains("more than the 999"));
        assert!(get(deflated.len(), 1001).unwrap_err().contains("inflate to 1000, not to 1001"));
        assert!(get(deflated.len() - 2, 1000).unwrap_err().contains("end too early"));
        // No memory is asked for what so few bytes cannot become.
        assert!(get(deflated.len(), 1 << 40).unwrap_err().contains("cannot become"));
        let noise = mapping(&[0xff; 40]);
        let error = Bytes::deflated(&noise, 0..40, 10).unwrap().get().unwrap_err();
        assert!(error.to_string().contains("are damaged"), "{error}");
    }

    #[test]
    fn the_first_of_deflated_bytes_are_inflated_alone() {
        let values: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        let deflated = compress_to_vec(&values, 6);
        let bytes = |end: usize, length| {
            let file = mapping(&deflated[..end]);
            Bytes::deflated(&file, 0..end, length).unwrap()
        };
        let whole = bytes(deflated.len(), values.len());
        for count in [0, 1, 1000, values.len()] {
            assert!(*whole.first(count).unwrap() == values[..count], "{count}");
        }
        assert_eq!(whole.first(usize::MAX).unwrap().len(), values.len());
        let part = whole.slice(500..600).unwrap();
        assert_eq!(*part.first(20).unwrap(), values[500..520]);
        assert_eq!(*part.first(200).unwrap(), values[500..600]);
        // What is damaged behind them is not looked at.
        let half = bytes(deflated.len() / 2, values.len());
        assert_eq!(*half.first(1000).unwrap(), values[..1000]);
        assert!(half.first(values.len()).unwrap_err().to_string().contains("end too early"));
        let longer = bytes(deflated.len(), values.len() + 1);
        assert!(longer.first(usize::MAX).unwrap_err().to_string().contains("inflate to 100000"));
        let file = mapping(b"0123456789");
        assert_eq!(*Bytes::mapped(&file, 2..8).unwrap().first(3).unwrap(), *b"234");
    }

    #[test]
    fn released_bytes_can_be_used_as_before() {
        let file = mapping(&[9; 10_000]);
        let bytes = Bytes::mapped(&file, 100..9_000).unwrap();
        bytes.release();
        assert_eq!(*bytes.get().unwrap(), [9; 8_900]);
    }
}
