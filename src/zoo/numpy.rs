//! NumPy's files: `.npy`, one array, and `.npz`, a zip archive of them.
//!
//! What `numpy.save` writes:
//!
//! ```text
//! 93 4e 55 4d 50 59       0x93 and NUMPY
//! 01 00                   the version of the format: 1.0, 2.0 or 3.0
//! 76 00                   the length of what follows; from version 2.0 on, in 4 bytes
//! {'descr': '<f4', 'fortran_order': False, 'shape': (64, 3), }      \n
//!                         a Python dictionary: Latin-1, in version 3.0 UTF-8
//! ...                     the numbers, to the end of the file
//! ```
//!
//! The blanks behind the dictionary are so many that the numbers begin at a multiple of 64, so that
//! a mapped file can be used in place. In an archive that is so only by chance.
//!
//! `numpy.savez` and `numpy.savez_compressed` write a zip archive in which each member is such
//! a file, named as the array and `.npy`.
//!
//! | | |
//! |---|---|
//! | names | that of the file without its last suffix; in an archive, that of the member without `.npy` |
//! | types | `b1` BOOL, `u1` U8, `i1` I8, `u2` U16, `i2` I16, `u4` U32, `i4` I32, `u8` U64, `i8` I64, `f2` F16, `f4` F32, `f8` F64, `c8` C64 |
//! | order | C and Fortran; the values of the second are put in row-major order as they are used |
//! | in place | yes, unless deflated (`savez_compressed`), in Fortran order, or at an odd address |
//!
//! Refused, each with what to do: big-endian numbers, Python objects (to read them is to run
//! what the file says), structured arrays, texts, dates, and the types that NumPy has and no
//! checkpoint (`c16`, `f16`). Types that NumPy itself does not know, such as `bfloat16`, it
//! writes as raw bytes without their name (`V2`), and so they are refused too. So are several
//! arrays in one `.npy`, and members of an archive that are no arrays: nothing of a file is
//! left out without a word.

use super::archive::Archive;
use super::bytes::Bytes;
use super::contents::Contents;
use super::dtype::Dtype;
use super::format::Format;
use super::literal::Literal;
use super::mapping::Mapping;
use super::view::TensorView;
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// The end of the name of an array in an archive.
const SUFFIX: &str = ".npy";

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that NumPy reads unless it is told to trust the file.
const LARGEST_HEADER: usize = 10_000;

/// Reads a `.npy` file.
pub(super) fn read(mapping: &Arc<Mapping>) -> Result<Contents> {
    let path = mapping.path();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let bytes = Bytes::mapped(mapping, 0..mapping.bytes().len())?;
    let tensor = tensor(path, &name, &bytes)?;
    Ok(contents(Format::Npy, vec![tensor]))
}

/// Whether an archive is one of arrays.
pub(super) fn is_in(archive: &Archive) -> bool {
    archive.names().any(|name| name.ends_with(SUFFIX))
}

/// Reads an `.npz` file.
pub(super) fn read_archive(path: &Path, archive: &Archive) -> Result<Contents> {
    let tensors = archive.names().filter_map(|member| Some((member, archive.get(member)?)));
    let tensors = tensors.map(|(member, bytes)| match member.strip_suffix(SUFFIX) {
        Some(name) => tensor(path, name, &bytes),
        None => {
            let problem = "no array, as its name does not end in .npy; what else is in this archive \
                           of arrays cannot be read";
            Err(Error::format_of(path, member, problem))
        }
    });
    Ok(contents(Format::Npz, tensors.collect::<Result<_>>()?))
}

fn contents(format: Format, tensors: Vec<TensorView>) -> Contents {
    Contents { format, tensors, ..Contents::default() }
}

/// The array that `bytes` are a file of.
fn tensor(path: &Path, name: &str, bytes: &Bytes) -> Result<TensorView> {
    let refused = |problem: String| Error::format_of(path, name, problem);
    // Of a member that is deflated, nothing behind the header is inflated.
    let first = bytes.first(MAGIC.len() + 6 + LARGEST_HEADER)?;
    let (header, start) = Header::read(&first).map_err(refused)?;
    let Header { dtype, fortran, shape } = header;
    let needed = dtype.bytes_of(&shape).ok_or_else(|| {
        refused(format!("shape {shape:?} of {dtype} cannot be addressed in whole bytes"))
    })?;
    let found = bytes.len() - start;
    if found > needed {
        return Err(refused(format!(
            "shape {shape:?} of {dtype} needs {needed} bytes, but {found} follow the header; of \
             several arrays in one file, only a .npz keeps the names: use numpy.savez"
        )));
    }
    if found < needed {
        return Err(refused(format!(
            "shape {shape:?} of {dtype} needs {needed} bytes, but {found} follow the header: is it \
             cut off?"
        )));
    }
    let values = bytes
        .slice(start..bytes.len())
        .ok_or_else(|| refused("the header is longer than the file".to_owned()))?;
    if !fortran {
        return TensorView::new(values, name, dtype, shape);
    }
    // The first axis is the fastest. No product overflows, as the shape can be addressed.
    let strides: Vec<_> = shape
        .iter()
        .scan(1, |extent: &mut usize, &size| {
            let stride = *extent;
            *extent *= size.max(1);
            Some(stride)
        })
        .collect();
    TensorView::strided(&values, name, dtype, shape, 0, &strides)
}

/// What the header of an array says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    dtype: Dtype,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the header that `bytes` begin with; also where it ends.
    fn read(bytes: &[u8]) -> Result<(Self, usize), String> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err("does not begin with 0x93 NUMPY, as arrays do".to_owned());
        };
        let (version, length, rest) = match rest {
            [version @ 1, 0, a, b, rest @ ..] => {
                (*version, usize::from(u16::from_le_bytes([*a, *b])), rest)
            }
            [version @ 2..=3, 0, a, b, c, d, rest @ ..] => {
                let length = u32::from_le_bytes([*a, *b, *c, *d]);
                (*version, usize::try_from(length).unwrap_or(usize::MAX), rest)
            }
            [1..=3, 0, ..] | [] | [_] => return Err("the header is cut off".to_owned()),
            [major, minor, ..] => {
                return Err(format!(
                    "version {major}.{minor} of the format is unknown; expected 1.0, 2.0 or 3.0"
                ));
            }
        };
        if length > LARGEST_HEADER {
            return Err(format!(
                "a header of {length} bytes is longer than the {LARGEST_HEADER} that NumPy reads"
            ));
        }
        let Some(text) = rest.get(..length) else {
            return Err(format!(
                "a header of {length} bytes is longer than the {} that follow: is it cut off?",
                rest.len()
            ));
        };
        let text = match std::str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(error) if version == 3 => return Err(format!("the header is not UTF-8: {error}")),
            // Only the names of a structured array's fields can be other than ASCII, and such
            // an array is refused: that Latin-1 which is also UTF-8 is read as that is no harm.
            Err(_) => text.iter().map(|&byte| char::from(byte)).collect(),
        };
        Ok((Self::parse(&text, version <= 2)?, bytes.len() - rest.len() + length))
    }

    /// Reads the text of a header.
    fn parse(text: &str, longs: bool) -> Result<Self, String> {
        let Literal::Dictionary(members) = Literal::read(text, longs)? else {
            return Err("the header is no dictionary".to_owned());
        };
        let (mut dtype, mut fortran, mut shape) = (None, None, None);
        for (key, value) in members {
            match (key.as_str(), value) {
                ("descr", value) => dtype = Some(number_type(&value)?),
                ("fortran_order", Literal::Truth(value)) => fortran = Some(value),
                ("shape", Literal::Tuple(sizes)) => {
                    let size = |size| match size {
                        Literal::Number(size) => usize::try_from(size).ok(),
                        _ => None,
                    };
                    let sizes: Option<_> = sizes.into_iter().map(size).collect();
                    shape = Some(sizes.ok_or("the shape holds what is no size")?);
                }
                ("fortran_order" | "shape", value) => {
                    return Err(format!("the header's {key} is {value:?}"));
                }
                _ => return Err(format!("the header has an unknown key {key:?}")),
            }
        }
        let missing = |key| format!("the header does not give its {key}");
        Ok(Self {
            dtype: dtype.ok_or_else(|| missing("descr"))?,
            fortran: fortran.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// The type of number that a header's `descr` means: an order of bytes, a kind, a size.
fn number_type(descr: &Literal) -> Result<Dtype, String> {
    let descr = match descr {
        Literal::Text(descr) => descr.as_str(),
        Literal::List(_) => {
            return Err("is a structured array; save each of its fields, as in array[\"field\"], \
                        as an array of its own"
                .to_owned());
        }
        other => return Err(format!("the header's descr is {other:?}")),
    };
    let code = descr.trim_start_matches(['<', '>', '|', '=']);
    let order = &descr[..descr.len() - code.len()];
    let advice = match code.as_bytes() {
        [b'O', ..] => {
            "holds Python objects, and to read them is to run what the file says; save arrays of \
             numbers only"
        }
        [b'U' | b'S' | b'a', ..] => "holds texts, which are no tensor; save the file without it",
        [b'M' | b'm', ..] => {
            "holds dates; save them as numbers, with array.astype(\"int64\"), or leave them out"
        }
        [b'V', ..] => {
            "holds raw bytes, as NumPy writes types that it does not know, such as bfloat16; save \
             array.astype(\"float32\")"
        }
        b"c16" | b"c32" => "holds complex numbers of this size; save array.astype(\"complex64\")",
        b"f12" | b"f16" => "holds long doubles; save array.astype(\"float64\")",
        _ => "",
    };
    if !advice.is_empty() {
        return Err(format!("{advice} ({descr})"));
    }
    let dtype = match code {
        "b1" => Dtype::Bool,
        "u1" => Dtype::U8,
        "i1" => Dtype::I8,
        "u2" => Dtype::U16,
        "i2" => Dtype::I16,
        "u4" => Dtype::U32,
        "i4" => Dtype::I32,
        "u8" => Dtype::U64,
        "i8" => Dtype::I64,
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "c8" => Dtype::C64,
        _ => return Err(format!("the type {descr:?} is unknown")),
    };
    match (order, dtype.bits()) {
        ("<", _) | ("|", 8) => Ok(dtype),
        (">", 9..) => Err(format!(
            "is big-endian ({descr}); save array.astype(array.dtype.newbyteorder(\"<\"))"
        )),
        _ => Err(format!("the type {descr:?} is unknown: expected an order of bytes, as in <f4")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Checkpoint;
    use super::super::fixture::{self, Member};
    use super::*;
    use proptest::prelude::*;

    /// A file with this text as header and these bytes behind it.
    fn file(text: &str, data: &[u8]) -> Vec<u8> {
        let length = (text.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, text.as_bytes(), data].concat()
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}   \n")
    }

    /// An array of U8.
    fn array(fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        file(&header("'|u1'", fortran, shape), data)
    }

    fn opened(bytes: &[u8]) -> Result<Checkpoint> {
        Checkpoint::open(fixture::file(bytes))
    }

    #[track_caller]
    fn refused(bytes: &[u8], because: &str) {
        let error = opened(bytes).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    /// Asserts that a header is refused, with 4 bytes behind it.
    #[track_caller]
    fn header_refused(text: &str, because: &str) {
        refused(&file(text, &[0; 4]), because);
    }

    #[test]
    fn a_file_is_one_tensor_named_as_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conv1.weight.npy");
        let data = [1.0f32, -2.0].map(f32::to_le_bytes).concat();
        std::fs::write(&path, file(&header("'<f4'", "False", "(1, 2)"), &data)).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.format(), Format::Npy);
        let tensor = checkpoint.get("conv1.weight").unwrap();
        assert_eq!((checkpoint.len(), tensor.shape()), (1, &[1, 2][..]));
        assert_eq!(tensor.to_vec::<f32>().unwrap(), [1.0, -2.0]);
    }

    #[test]
    fn versions_1_to_3_are_read() {
        let text = header("'|u1'", "False", "()");
        let long = (text.len() as u32).to_le_bytes();
        for version in [2, 3] {
            let file = [MAGIC, &[version, 0], &long, text.as_bytes(), &[7]].concat();
            let checkpoint = opened(&file).unwrap();
            assert_eq!(checkpoint.iter().next().unwrap().to_vec::<f32>().unwrap(), [7.0]);
        }
        for (version, name) in [([4, 0], "4.0"), ([1, 1], "1.1"), ([0, 0], "0.0")] {
            let file = [MAGIC, &version, &long, text.as_bytes(), &[7]].concat();
            refused(&file, &format!("version {name} of the format is unknown"));
        }
        // As Python 2 wrote sizes, which version 3 is too young for.
        let text = header("'|u1'", "False", "(1L,)");
        assert!(opened(&file(&text, &[7])).is_ok());
        let long = (text.len() as u32).to_le_bytes();
        let file = [MAGIC, &[3, 0], &long, text.as_bytes(), &[7]].concat();
        refused(&file, "the end of a whole number");
    }

    #[test]
    fn every_type_is_read_that_checkpoints_have_and_numpy_too() {
        let types = [
            ("|b1", Dtype::Bool),
            ("|u1", Dtype::U8),
            ("<i1", Dtype::I8),
            ("<u2", Dtype::U16),
            ("<i2", Dtype::I16),
            ("<f2", Dtype::F16),
            ("<u4", Dtype::U32),
            ("<i4", Dtype::I32),
            ("<f4", Dtype::F32),
            ("<u8", Dtype::U64),
            ("<i8", Dtype::I64),
            ("<f8", Dtype::F64),
            ("<c8", Dtype::C64),
        ];
        for (descr, dtype) in types {
            let data = vec![0; dtype.bits() / 4];
            let text = header(&format!("'{descr}'"), "False", "(2,)");
            let checkpoint = opened(&file(&text, &data)).unwrap();
            let tensor = checkpoint.iter().next().unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (dtype, &[2][..]));
        }
    }

    #[test]
    fn fortran_order_is_put_in_row_major_order() {
        let values = |fortran, shape, data: &[u8]| {
            let checkpoint = opened(&array(fortran, shape, data)).unwrap();
            let tensor = checkpoint.iter().next().unwrap();
            (tensor.shape().to_vec(), tensor.bytes().unwrap().into_owned())
        };
        let six = [0, 1, 2, 3, 4, 5];
        assert_eq!(values("False", "(2, 3)", &six), (vec![2, 3], six.to_vec()));
        assert_eq!(values("True", "(2, 3)", &six), (vec![2, 3], vec![0, 2, 4, 1, 3, 5]));
        assert_eq!(values("True", "(1, 3, 2)", &six).1, [0, 3, 1, 4, 2, 5]);
        assert_eq!(values("True", "(6,)", &six).1, six);
        assert_eq!(values("True", "()", &[9]), (vec![], vec![9]));
        assert_eq!(values("True", "(2, 0, 3)", &[]), (vec![2, 0, 3], vec![]));
    }

    #[test]
    fn the_members_of_an_archive_are_its_arrays() {
        let large = array("True", "(100, 200)", &[3; 20_000]);
        let checkpoint = opened(&fixture::zip(&[
            Member::stored("layer.weight.npy", array("False", "(2,)", &[1, 2])),
            Member::deflated("bias.npy", &large),
            Member::stored("a/b.npy.npy", array("False", "()", &[9])),
        ]))
        .unwrap();
        assert_eq!(checkpoint.format(), Format::Npz);
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["layer.weight", "bias", "a/b.npy"]);
        assert_eq!(checkpoint.get("layer.weight").unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(*checkpoint.get("bias").unwrap().bytes().unwrap(), [3; 20_000]);
    }

    #[test]
    fn what_is_no_array_in_an_archive_of_arrays_is_refused() {
        let array = Member::stored("a.npy", array("False", "()", &[1]));
        let zip = |other| fixture::zip(&[array.clone(), other]);
        refused(&zip(Member::stored("notes.txt", "x")), "notes.txt: no array");
        refused(&zip(Member::stored("b.npy", "x")), "b: does not begin with 0x93 NUMPY");
        refused(&zip(Member::stored("b.npy", "")), "b: does not begin with 0x93 NUMPY");
        // The header of what is damaged behind it can be read; the values cannot.
        let mut bad = Member::deflated("b.npy", &[MAGIC, &[1, 0, 200, 0]].concat());
        bad.both(|header| header.size = 100);
        refused(&zip(bad), "inflate to 10, not to 100");
    }

    #[test]
    fn big_endian_numbers_are_refused() {
        header_refused(&header("'>f4'", "False", "(1,)"), "newbyteorder(\"<\")");
        header_refused(&header("'>i8'", "False", "(1,)"), "is big-endian (>i8)");
    }

    #[test]
    fn object_arrays_are_refused() {
        header_refused(&header("'|O'", "False", "(1,)"), "Python objects");
        header_refused(&header("'O'", "False", "(1,)"), "Python objects");
    }

    #[test]
    fn structured_arrays_are_refused() {
        let fields = "[('a', '<f4'), ('b', '<i2', (3,))]";
        header_refused(&header(fields, "False", "(1,)"), "is a structured array; save each");
        header_refused(&header("('<f4', (2,))", "False", "(1,)"), "the header's descr is");
        // A field whose name is no UTF-8, as version 1 writes it.
        let text = header("[('?', '<f4')]", "False", "(1,)");
        let mut bytes = file(&text, &[0; 4]);
        let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
        bytes[at] = 0xe9;
        refused(&bytes, "is a structured array");
    }

    #[test]
    fn texts_and_dates_are_refused() {
        for descr in ["'<U1'", "'|S4'", "'|a4'"] {
            header_refused(&header(descr, "False", "(1,)"), "holds texts");
        }
        for descr in ["'<M8[s]'", "'<m8[ns]'"] {
            header_refused(&header(descr, "False", "(1,)"), "holds dates");
        }
    }

    #[test]
    fn types_that_no_checkpoint_has_are_refused() {
        header_refused(&header("'|V2'", "False", "(2,)"), "such as bfloat16");
        header_refused(&header("'<V2'", "False", "(2,)"), "such as bfloat16");
        header_refused(&header("'<c16'", "False", "(1,)"), "astype(\"complex64\")");
        header_refused(&header("'<f16'", "False", "(1,)"), "astype(\"float64\")");
        for descr in ["'<f3'", "'f4'", "'=f4'", "'|f4'", "''", "'<'", "'<>f4'", "'<f4 '", "'<i4,'"]
        {
            header_refused(&header(descr, "False", "(1,)"), "is unknown");
        }
    }

    #[test]
    fn a_header_that_is_cut_off_is_refused() {
        let whole = array("False", "(4,)", &[1, 2, 3, 4]);
        for end in MAGIC.len()..whole.len() {
            assert!(opened(&whole[..end]).is_err(), "{end}");
        }
        refused(&whole[..7], "the header is cut off");
        refused(&whole[..20], "longer than the 10 that follow");
        refused(&whole[..whole.len() - 1], "needs 4 bytes, but 3 follow the header");
    }

    #[test]
    fn bytes_behind_the_array_are_refused() {
        let one = array("False", "(2,)", &[1, 2]);
        refused(&[&one[..], &one].concat(), "use numpy.savez");
        refused(&array("False", "(0,)", &[1]), "needs 0 bytes, but 1 follow");
    }

    #[test]
    fn a_header_longer_than_numpy_reads_is_refused() {
        let long = format!("{}{}", header("'|u1'", "False", "(4,)"), " ".repeat(LARGEST_HEADER));
        header_refused(&long, "longer than the 10000 that NumPy reads");
        let length = [MAGIC, &[2, 0], &u32::MAX.to_le_bytes(), b"{}"].concat();
        refused(&length, "a header of 4294967295 bytes is longer");
    }

    #[test]
    fn a_header_of_the_wrong_kind_is_refused() {
        header_refused("", "found its end");
        header_refused("()", "is no dictionary");
        header_refused("{}", "does not give its descr");
        header_refused("{'descr': '<f4'}", "does not give its fortran_order");
        header_refused("{'descr': '<f4', 'fortran_order': True}", "does not give its shape");
        let text = header("'<f4'", "False", "(1,)");
        header_refused(&text.replace("}", "'more': 1}"), "an unknown key \"more\"");
        header_refused(&text.replace("}", "'shape': (1,)}"), "shape is there more than once");
        header_refused(&text.replace("}", "'\\x73hape': (1,)}"), "the end of a text");
        header_refused(&header("'<f4'", "0", "(1,)"), "fortran_order is Number(0)");
        header_refused(&header("4", "False", "(1,)"), "descr is Number(4)");
        let deep = "(".repeat(5000);
        header_refused(&header("'<f4'", "False", &deep), "more than 16 deep");
    }

    #[test]
    fn a_shape_that_is_none_is_refused() {
        header_refused(&header("'<f4'", "False", "1"), "shape is Number(1)");
        header_refused(&header("'<f4'", "False", "(1)"), "shape is Number(1)");
        header_refused(&header("'<f4'", "False", "[1]"), "shape is List");
        header_refused(&header("'<f4'", "False", "(1.0,)"), "whole number");
        header_refused(&header("'<f4'", "False", "(-1,)"), "found '-'");
        header_refused(&header("'<f4'", "False", "(True,)"), "the shape holds what is no size");
        header_refused(&header("'<f4'", "False", "((1,),)"), "the shape holds what is no size");
    }

    #[test]
    fn a_shape_too_large_is_refused() {
        for fortran in ["False", "True"] {
            let refused = |shape: &str, because: &str| {
                header_refused(&header("'<f4'", fortran, shape), because);
            };
            refused("(2,)", "needs 8 bytes, but 4 follow");
            refused("(4611686018427387904,)", "cannot be addressed");
            refused("(4294967296, 4294967296, 0)", "cannot be addressed");
            refused("(18446744073709551616,)", "is too large");
            refused("(1000000000000,)", "is it cut off?");
        }
    }

    #[test]
    fn an_array_of_many_axes_is_read() {
        let shape = format!("({})", "1,".repeat(3000));
        for fortran in ["False", "True"] {
            let checkpoint = opened(&array(fortran, &shape, &[5])).unwrap();
            assert_eq!(checkpoint.iter().next().unwrap().to_vec::<f32>().unwrap(), [5.0]);
        }
    }

    proptest! {
        /// A valid file of which a few bytes are changed.
        #[test]
        fn no_change_to_a_valid_file_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
        ) {
            let mut bytes = array("True", "(2, 3)", &[0, 1, 2, 3, 4, 5]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(checkpoint) = opened(&bytes) {
                for tensor in &checkpoint {
                    let _ = tensor.to_vec::<f32>();
                }
            }
        }
    }
}
