//! The safetensors format: named tensors and texts, made to be mapped.
//!
//! A file is the length of its header, the header in JSON, and the tensors' values one after the
//! other. What `safetensors.torch.save_file({"w": torch.tensor([1.0, 2.0])}, file, {"by": "me"})`
//! writes:
//!
//! ```text
//! 0000   58 00 00 00 00 00 00 00    the length of the header, lower byte first: 88
//! 0008   {"__metadata__":{"by":"me"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}
//!                                   the header, with blanks behind it up to a multiple of 8
//! 0060   00 00 80 3f 00 00 00 40    1.0 and 2.0
//! ```
//!
//! Offsets count from the end of the header. Values are little-endian and row-major. Writers put
//! the types of the most bytes first, so that with the blanks every tensor is aligned and can be
//! used in place; a file in which one is not is read all the same, and that tensor converted.
//!
//! # What is read
//!
//! All types that the reference implementation knows; [`Dtype`] lists them. Those
//! with a value for every number of bits, from `F64` to `F8_E4M3` and `BOOL`, can be computed with;
//! the rest are carried from file to file. Keys of a tensor beside `dtype`, `shape` and
//! `data_offsets` are passed over. A set of files is opened by its index, see
//! [`shards`](super::shards).
//!
//! # What is refused
//!
//! Whatever two readers could understand differently, or could hide something: a name or a key
//! that is there twice; values that overlap, leave a gap, or do not reach the end of the file; a
//! shape that needs other than the bytes it has, or cannot be counted; an unknown type; a header
//! that is longer than 100 MB or than the file, does not begin with a brace, or is no JSON, no
//! UTF-8. The values of the header are not parsed until they are needed, so that no nesting is
//! deep enough to matter.

use super::bytes::Bytes;
use super::contents::Contents;
use super::dtype::Dtype;
use super::format::Format;
use super::mapping::Mapping;
use super::view::TensorView;
use crate::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The largest header that is read or written, as in the reference implementation.
pub(crate) const LARGEST_HEADER: usize = 100_000_000;

/// The name in a header that is no tensor.
pub(crate) const METADATA: &str = "__metadata__";

/// Reads the header of a file. The values are not touched.
pub(super) fn read(mapping: &Arc<Mapping>) -> Result<Contents> {
    let path = mapping.path();
    let header = header(path, mapping.bytes())?;
    // The values begin where the header ends, after the 8 bytes of its length.
    let base = 8 + header.len();

    let mut metadata = BTreeMap::new();
    let mut entries = Vec::new();
    for (name, value) in members(path, "the header", header)? {
        if name == METADATA {
            for (key, text) in members(path, METADATA, value)? {
                let text = parse(path, &format!("{METADATA}.{key}"), text)?;
                metadata.insert(key, text);
            }
        } else {
            entries.push(entry(path, name, value)?);
        }
    }
    // By where they begin; empty tensors before the one that begins at the same place.
    entries.sort_by_key(|entry| (entry.offsets.start, entry.offsets.end));
    let end = contiguous_end(path, &entries)?;
    let length = mapping.bytes().len() - base;
    if end != length {
        let problem = if end < length {
            format!("{} bytes after the last tensor belong to none", length - end)
        } else {
            format!("the tensors need {end} bytes, but {length} follow the header: is it cut off?")
        };
        return Err(Error::format(path, problem));
    }

    let views = entries.into_iter().map(|Entry { name, dtype, shape, offsets }| {
        let bytes = Bytes::mapped(mapping, base + offsets.start..base + offsets.end)?;
        TensorView::new(bytes, name, dtype, shape)
    });
    let tensors = views.collect::<Result<_>>()?;
    Ok(Contents { format: Format::Safetensors, metadata, tensors, ..Contents::default() })
}

/// The text of the header.
fn header<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Error::format(
            path,
            format!(
                "{} bytes are too few: a safetensors file begins with the 8 of its header's length",
                bytes.len()
            ),
        ));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .filter(|&length| length <= LARGEST_HEADER)
        .ok_or_else(|| {
            format!("a header of {length} bytes is longer than the {LARGEST_HEADER} allowed")
        })
        .and_then(|length| {
            rest.get(..length).ok_or_else(|| {
                format!("a header of {length} bytes is longer than the {} that follow", rest.len())
            })
        })
        .map_err(|problem| {
            Error::format(path, format!("{problem}: is it a safetensors file, and complete?"))
        })?;
    if header.first() != Some(&b'{') {
        return Err(Error::format(path, "the header does not begin with {, as safetensors do"));
    }
    std::str::from_utf8(header)
        .map_err(|error| Error::format(path, format!("the header is not UTF-8: {error}")))
}

/// One tensor as the header describes it.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    offsets: Range<usize>,
}

/// Reads the description of the tensor `name`. Keys that the format does not
/// know are passed over, as the reference implementation does.
fn entry(path: &Path, name: String, text: &str) -> Result<Entry> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    for (key, value) in members(path, &name, text)? {
        let item = || format!("{name}.{key}");
        match key.as_str() {
            "dtype" => {
                let named: String = parse(path, &item(), value)?;
                dtype = Some(Dtype::named(&named).ok_or_else(|| {
                    Error::format_of(path, &name, format!("the type {named:?} is unknown"))
                })?);
            }
            "shape" => shape = Some(parse::<Vec<usize>>(path, &item(), value)?),
            "data_offsets" => offsets = Some(parse::<[usize; 2]>(path, &item(), value)?),
            _ => {}
        }
    }
    let missing =
        |key| Error::format_of(path, &name, format!("the header does not give its {key}"));
    let [start, end] = offsets.ok_or_else(|| missing("data_offsets"))?;
    if end < start {
        return Err(Error::format_of(path, &name, format!("ends at {end}, before its {start}")));
    }
    Ok(Entry {
        dtype: dtype.ok_or_else(|| missing("dtype"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
        offsets: start..end,
        name,
    })
}

/// Where the last of the tensors ends, if each begins where the one before ends.
fn contiguous_end(path: &Path, entries: &[Entry]) -> Result<usize> {
    entries.iter().try_fold(0, |end, Entry { name, offsets, .. }| {
        if offsets.start == end {
            return Ok(offsets.end);
        }
        let how = if offsets.start < end { "overlaps what" } else { "leaves a gap after what" };
        Err(Error::format_of(
            path,
            name,
            format!("begins at {} and so {how} ends at {end}", offsets.start),
        ))
    })
}

/// The value of `item`.
pub(super) fn parse<'a, T: Deserialize<'a>>(path: &Path, item: &str, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::format_of(path, item, error.to_string()))
}

/// The members of the object `item`, each value as its text. Two members of one
/// name are refused: of them, each reader might take another.
pub(super) fn members<'a>(
    path: &Path,
    item: &str,
    text: &'a str,
) -> Result<Vec<(String, &'a str)>> {
    let Members(members) = parse(path, item, text)?;
    let mut seen = BTreeSet::new();
    if let Some((name, _)) = members.iter().find(|(name, _)| !seen.insert(name)) {
        return Err(Error::format_of(path, item, format!("{name} is there more than once")));
    }
    Ok(members)
}

/// All members of an object, in order, where a map would keep the last of a name.
///
/// The values are not parsed yet: whatever they contain, no depth of nesting
/// meets a recursion, and no more memory is used than the text takes.
struct Members<'a>(Vec<(String, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use proptest::prelude::*;

    fn opened(bytes: &[u8]) -> Result<Contents> {
        read(&Arc::new(Mapping::open(fixture::file(bytes)).unwrap()))
    }

    fn with_header(header: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
        let header = header.as_ref();
        [&(header.len() as u64).to_le_bytes(), header, data].concat()
    }

    /// Asserts that a file of this header and this many bytes of values is
    /// refused for this reason.
    fn refused(header: impl AsRef<[u8]>, data: usize, because: &str) {
        let error = opened(&with_header(header, &vec![0; data])).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    /// The same about one tensor `t` described by `text`.
    fn tensor_refused(text: &str, data: usize, because: &str) {
        refused(format!(r#"{{"t":{text}}}"#), data, because);
    }

    #[test]
    fn a_file_is_read_in_the_order_of_its_values() {
        let header = r#"{"b":{"dtype":"F32","shape":[1,2],"data_offsets":[2,10]},
            "__metadata__":{"format":"pt","é":"\u00fc"},
            "empty":{"dtype":"F64","shape":[3,0],"data_offsets":[2,2]},
            "a":{"shape":[],"data_offsets":[0,2],"dtype":"BF16"}}   "#;
        let data = [0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40];
        let Contents { metadata, tensors, .. } = opened(&with_header(header, &data)).unwrap();
        assert_eq!(metadata["format"], "pt");
        assert_eq!(metadata["é"], "ü");
        let names: Vec<_> = tensors.iter().map(TensorView::name).collect();
        assert_eq!(names, ["a", "empty", "b"]);
        assert_eq!(tensors[0].shape(), [0usize; 0]);
        assert_eq!(tensors[0].to_vec::<f32>().unwrap(), [1.0]);
        assert_eq!((tensors[1].shape(), tensors[1].len()), (&[3, 0][..], 0));
        assert_eq!(tensors[2].to_vec::<f32>().unwrap(), [2.0, 3.0]);
    }

    #[test]
    fn a_file_without_tensors_is_valid() {
        let Contents { metadata, tensors, .. } = opened(&with_header("{}", &[])).unwrap();
        assert!(metadata.is_empty() && tensors.is_empty());
    }

    #[test]
    fn keys_that_the_format_does_not_know_are_passed_over() {
        let header = r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"new":[{}]}}"#;
        assert_eq!(opened(&with_header(header, &[5])).unwrap().tensors.len(), 1);
    }

    #[test]
    fn a_file_shorter_than_a_length_is_refused() {
        assert!(opened(b"1234567").unwrap_err().to_string().contains("7 bytes are too few"));
    }

    #[test]
    fn a_header_longer_than_the_file_is_refused() {
        let bytes = [&100u64.to_le_bytes()[..], b"{}"].concat();
        let error = opened(&bytes).unwrap_err().to_string();
        assert!(error.contains("longer than the 2 that follow"), "{error}");
    }

    #[test]
    fn a_header_longer_than_the_limit_is_refused() {
        for length in [LARGEST_HEADER as u64 + 1, u64::MAX] {
            let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
            let error = opened(&bytes).unwrap_err().to_string();
            assert!(error.contains("longer than the 100000000 allowed"), "{error}");
        }
    }

    #[test]
    fn a_header_that_is_not_utf8_is_refused() {
        refused(b"{\"\xff\":{}}", 0, "not UTF-8");
    }

    #[test]
    fn a_header_that_does_not_begin_with_a_brace_is_refused() {
        refused("", 0, "does not begin with {");
        refused(" {}", 0, "does not begin with {");
        refused("[]", 0, "does not begin with {");
    }

    #[test]
    fn a_header_that_is_not_json_is_refused() {
        refused("{", 0, "the header: EOF");
        refused("{\"t\"}", 0, "the header: ");
        refused("{} {}", 0, "trailing characters");
        refused("{}\0", 0, "trailing characters");
        refused(r#"{"\ud800":1}"#, 0, "the header: ");
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let tensor = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
        refused(format!(r#"{{"t":{tensor},"t":{tensor}}}"#), 1, "t is there more than once");
        // The same name, though not the same text.
        refused(format!(r#"{{"t":{tensor},"\u0074":{tensor}}}"#), 1, "t is there more than once");
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        tensor_refused(
            r#"{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}"#,
            1,
            "t: dtype is there more than once",
        );
        refused(r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, "a is there more than once");
        refused(r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "is there more than once");
    }

    #[test]
    fn a_missing_key_is_refused() {
        tensor_refused(r#"{"shape":[1],"data_offsets":[0,1]}"#, 1, "t: the header does not give");
        tensor_refused(r#"{"dtype":"U8","data_offsets":[0,1]}"#, 1, "does not give its shape");
        tensor_refused(r#"{"dtype":"U8","shape":[1]}"#, 1, "does not give its data_offsets");
    }

    #[test]
    fn an_unknown_type_is_refused() {
        tensor_refused(
            r#"{"dtype":"F128","shape":[1],"data_offsets":[0,16]}"#,
            16,
            r#"t: the type "F128" is unknown"#,
        );
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        for text in [
            "null",
            "[]",
            "7",
            r#"{"dtype":8,"shape":[1],"data_offsets":[0,1]}"#,
            r#"{"dtype":"U8","shape":1,"data_offsets":[0,1]}"#,
            r#"{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}"#,
            r#"{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}"#,
            r#"{"dtype":"U8","shape":[1],"data_offsets":[0]}"#,
            r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}"#,
        ] {
            tensor_refused(text, 1, ": t");
        }
        refused(r#"{"__metadata__":{"epoch":3}}"#, 0, "__metadata__.epoch: invalid type");
        refused(r#"{"__metadata__":[]}"#, 0, "__metadata__: invalid type");
    }

    #[test]
    fn negative_and_overflowing_sizes_are_refused() {
        let t = |shape: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}"#);
        tensor_refused(&t("[-1]"), 4, "t.shape: invalid value");
        tensor_refused(&t("[18446744073709551616]"), 4, "t.shape: invalid");
        tensor_refused(&t("[4294967296,4294967296,4294967296]"), 4, "cannot be addressed");
        tensor_refused(&t("[4611686018427387905]"), 4, "cannot be addressed");
        let t = |offsets: &str| format!(r#"{{"dtype":"U8","shape":[1],"data_offsets":{offsets}}}"#);
        tensor_refused(&t("[-1,0]"), 1, "t.data_offsets: invalid value");
        tensor_refused(&t("[18446744073709551615,0]"), 1, "before its");
        tensor_refused(&t("[0,18446744073709551615]"), 1, "but 1 follow the header");
    }

    #[test]
    fn a_shape_that_does_not_fit_its_bytes_is_refused() {
        tensor_refused(
            r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#,
            4,
            "shape [2] of F32 needs 8 bytes, but has 4",
        );
        tensor_refused(r#"{"dtype":"F4","shape":[3],"data_offsets":[0,2]}"#, 2, "in whole bytes");
        tensor_refused(r#"{"dtype":"U8","shape":[1],"data_offsets":[1,0]}"#, 1, "ends at 0");
    }

    fn two(first: [usize; 2], second: [usize; 2]) -> String {
        let tensor = |[start, end]: [usize; 2]| {
            let size = end - start;
            format!(r#"{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#)
        };
        format!(r#"{{"a":{},"b":{}}}"#, tensor(first), tensor(second))
    }

    #[test]
    fn tensors_that_overlap_are_refused() {
        refused(two([0, 4], [3, 6]), 6, "b: begins at 3 and so overlaps");
        refused(two([0, 4], [0, 4]), 4, "b: begins at 0 and so overlaps");
    }

    #[test]
    fn bytes_of_no_tensor_are_refused() {
        refused(two([0, 4], [5, 6]), 6, "b: begins at 5 and so leaves a gap");
        refused(two([1, 2], [2, 6]), 6, "a: begins at 1 and so leaves a gap");
        refused(two([0, 4], [4, 6]), 9, "3 bytes after the last tensor");
        refused("{}", 1, "1 bytes after the last tensor");
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        refused(two([0, 4], [4, 6]), 5, "need 6 bytes, but 5 follow");
        refused(two([0, 4], [4, 6]), 0, "is it cut off?");
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = "[".repeat(1_000_000);
        for text in [
            format!(r#"{{"t":{deep}"#),
            format!(r#"{{"t":{{"dtype":"U8","shape":{deep}"#),
            format!(r#"{{"t":{{"dtype":"U8","shape":{deep}{}}}}}"#, "]".repeat(1_000_000)),
            r#"{"t":"#.repeat(1_000_000),
            format!(r#"{{"__metadata__":{{"a":{deep}"#),
        ] {
            assert!(opened(&with_header(text, &[])).is_err());
        }
    }

    #[test]
    fn many_tensors_are_read_in_reasonable_time() {
        let tensors: Vec<_> = (0..50_000)
            .map(|i| format!(r#""t{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#))
            .collect();
        let header = format!("{{{}}}", tensors.join(","));
        assert_eq!(opened(&with_header(header, &[])).unwrap().tensors.len(), 50_000);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            let _ = opened(&bytes);
        }

        /// A valid file of which a few bytes are changed.
        #[test]
        fn no_change_to_a_valid_file_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
        ) {
            let mut bytes = with_header(two([0, 4], [4, 6]), &[0; 6]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(contents) = opened(&bytes) {
                for view in contents.tensors {
                    let _ = view.to_vec::<f32>();
                }
            }
        }
    }
}
