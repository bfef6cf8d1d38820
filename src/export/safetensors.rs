//! Writes the safetensors format; [`crate::zoo`] reads it.

use super::{Data, write_atomically};
use crate::zoo::safetensors::{LARGEST_HEADER, METADATA};
use crate::{Error, Result};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Writes `tensors` and the texts of `metadata` to the file at `path`.
///
/// The file is there in whole or not at all, see [`write_atomically`]; it may be
/// one that `tensors` are mapped from. The same tensors make the same bytes, in
/// whatever order they are given.
///
/// # Errors
/// If two tensors have one name or one has the name `__metadata__`, the header is
/// longer than 100 MB, or the file cannot be written.
pub fn write_safetensors<'a>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (&'a str, Data<'a>)>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let layout = Layout::new(tensors, metadata)?;
    write_atomically(path, |writer| layout.write_to(writer))
}

/// A safetensors file that is ready to be written anywhere.
pub struct Layout<'a> {
    /// With the padding that aligns the values which follow.
    header: String,
    /// In the order of the file.
    tensors: Vec<(&'a str, Data<'a>)>,
}

impl<'a> Layout<'a> {
    /// Where each of `tensors` goes: those of the largest numbers first, so that
    /// all are aligned, and by name among those of one type. So does the
    /// reference implementation.
    ///
    /// # Errors
    /// If two tensors have one name or one has the name `__metadata__`, or if the
    /// header is longer than 100 MB.
    pub fn new(
        tensors: impl IntoIterator<Item = (&'a str, Data<'a>)>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let refuse = |problem| Err(Error::argument("write_safetensors", problem));
        let mut tensors: Vec<_> = tensors.into_iter().collect();
        tensors.sort_by_key(|(name, _)| *name);
        if let Some(twice) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return refuse(format!("two tensors are named {}", twice[0].0));
        }
        if tensors.iter().any(|(name, _)| *name == METADATA) {
            return refuse(format!("no tensor may be named {METADATA}"));
        }
        tensors.sort_by_key(|(_, data)| Reverse(data.dtype()));

        let mut members = Vec::new();
        if !metadata.is_empty() {
            let texts: Vec<_> = metadata
                .iter()
                .map(|(key, text)| format!("{}:{}", quoted(key), quoted(text)))
                .collect();
            members.push(format!("{}:{{{}}}", quoted(METADATA), texts.join(",")));
        }
        let mut end = 0usize;
        for (name, data) in &tensors {
            let (dtype, shape, start) = (data.dtype(), data.shape(), end);
            let Some(next) = dtype.bytes_of(shape).and_then(|size| start.checked_add(size)) else {
                return refuse(format!("{name} of shape {shape:?} is too large"));
            };
            end = next;
            let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
            members.push(format!(
                r#"{}:{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{start},{end}]}}"#,
                quoted(name),
                sizes.join(",")
            ));
        }
        let mut header = format!("{{{}}}", members.join(","));
        let padded = header.len().next_multiple_of(8);
        header.extend(std::iter::repeat_n(' ', padded - header.len()));
        if header.len() > LARGEST_HEADER {
            return refuse(format!(
                "a header of {} bytes is longer than the {LARGEST_HEADER} allowed",
                header.len()
            ));
        }
        Ok(Self { header, tensors })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Whatever `writer` refuses.
    pub fn write_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&(self.header.len() as u64).to_le_bytes())?;
        writer.write_all(self.header.as_bytes())?;
        self.tensors.iter().try_for_each(|(_, data)| data.write_to(writer))
    }
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Disk;
    use super::*;
    use crate::tensor::Tensor;
    use crate::zoo::{Checkpoint, Dtype, fixture};
    use ndarray::IxDyn;
    use proptest::prelude::*;
    use std::fs;

    fn none() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    #[test]
    fn a_file_is_laid_out_as_the_format_says() {
        // That the reference writes the same bytes, tests/files/safetensors.rs checks.
        let weight = Tensor::new(&[1, 2], vec![1.0f32, -2.0]).unwrap();
        let scale = Tensor::scalar(0.5f64);
        let tensors = [("b", Data::from(&weight)), ("c", (&scale).into()), ("a", (&weight).into())];
        let metadata = BTreeMap::from([("key".into(), "a \"text\"\n".into())]);
        let mut bytes = Vec::new();
        Layout::new(tensors, &metadata).unwrap().write_to(&mut bytes).unwrap();
        let header = concat!(
            r#"{"__metadata__":{"key":"a \"text\"\n"},"#,
            r#""c":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"#,
            r#""a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"#,
            r#""b":{"dtype":"F32","shape":[1,2],"data_offsets":[16,24]}}"#,
        );
        let padded =
            format!("{header}{}", " ".repeat(header.len().next_multiple_of(8) - header.len()));
        let (scale, weight) = ([0, 0, 0, 0, 0, 0, 0xe0, 0x3f], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        let length = (padded.len() as u64).to_le_bytes();
        assert_eq!(bytes, [&length[..], padded.as_bytes(), &scale, &weight, &weight].concat());
    }

    #[test]
    fn names_must_be_different_and_not_reserved() {
        let t = Tensor::<f32>::zeros(&[1]);
        let names = |names: &[&'static str]| {
            let tensors: Vec<_> = names.iter().map(|name| (*name, Data::from(&t))).collect();
            Layout::new(tensors, &none()).map(|_| ()).unwrap_err().to_string()
        };
        assert!(names(&["a", "b", "a"]).ends_with("two tensors are named a"));
        assert!(names(&["__metadata__"]).ends_with("no tensor may be named __metadata__"));
    }

    #[test]
    fn a_header_that_nothing_could_read_is_not_written() {
        let t = Tensor::<f32>::zeros(&[1]);
        let name = "n".repeat(LARGEST_HEADER);
        assert!(Layout::new([(name.as_str(), Data::from(&t))], &none()).is_err());
    }

    #[test]
    fn a_full_disk_is_an_error_wherever_it_fills() {
        let t = Tensor::<f32>::zeros(&[20_000]);
        let scale = Tensor::scalar(0.5f64);
        let layout =
            Layout::new([("t", Data::from(&t)), ("s", Data::from(&scale))], &none()).unwrap();
        let size = 8 + layout.header.len() + 8 + 80_000;
        layout.write_to(&mut Disk(size)).unwrap();
        // Every byte up to the values, then some of the values, then the last.
        for room in (0..200).chain((200..size).step_by(997)).chain([size - 1]) {
            let error = layout.write_to(&mut Disk(room)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "room for {room} bytes");
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let (old, new) = (Tensor::<f32>::zeros(&[3]), Tensor::<f32>::full(&[700_000], 1.0));
        write_safetensors(&path, [("t", Data::from(&old))], &none()).unwrap();
        let before = fs::read(&path).unwrap();
        let layout = Layout::new([("t", Data::from(&new))], &none()).unwrap();
        for room in [0, 5, 50, 1 << 20, 2 << 20] {
            let error = write_atomically(&path, |file| layout.write_to(&mut Tee(file, Disk(room))));
            assert!(error.unwrap_err().to_string().contains("a.safetensors"));
            assert_eq!(fs::read(&path).unwrap(), before);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    /// Writes to the first what fits on the second.
    struct Tee<'a>(&'a mut dyn Write, Disk);

    impl Write for Tee<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = self.1.write(bytes)?;
            self.0.write_all(&bytes[..written]).map(|()| written)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_that_is_always_full_is_an_error() {
        let t = Tensor::<f32>::zeros(&[3]);
        let layout = Layout::new([("t", Data::from(&t))], &none()).unwrap();
        let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(layout.write_to(&mut full).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_may_be_written_over_while_its_tensors_are_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let t = Tensor::new(&[3], vec![1.0f32, 2.0, 3.0]).unwrap();
        write_safetensors(&path, [("t", Data::from(&t))], &none()).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        let view = checkpoint.get("t").unwrap();
        let mapped = Tensor::<f32>::mapped(view).unwrap();
        let tensors = [("u", Data::from(view)), ("v", Data::from(&mapped))];
        write_safetensors(&path, tensors, &none()).unwrap();
        assert_eq!(mapped.as_slice(), t.as_slice());
        let rewritten = Checkpoint::open(&path).unwrap();
        assert_eq!(rewritten.get("v").unwrap().to_vec::<f32>().unwrap(), t.as_slice());
        assert_eq!(rewritten.get("u").unwrap().bytes().unwrap(), view.bytes().unwrap());
    }

    /// Any tensor: its type, shape and bytes.
    fn any_tensor() -> impl Strategy<Value = (Dtype, Vec<usize>, Vec<u8>)> {
        (prop::sample::select(&Dtype::ALL[..]), prop::collection::vec(0usize..5, 0..4))
            .prop_filter("whole bytes", |(dtype, shape)| dtype.bytes_of(shape).is_some())
            .prop_flat_map(|(dtype, shape)| {
                let size = dtype.bytes_of(&shape).unwrap_or(0);
                let bytes = prop::collection::vec(any::<u8>(), size);
                (Just(dtype), Just(shape), bytes)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What is written is read, whatever the names, types, shapes and bytes;
        /// and the order in which it is given does not matter.
        #[test]
        fn everything_comes_back(
            tensors in prop::collection::btree_map(any::<String>(), any_tensor(), 0..6),
            metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
            singles in prop::collection::vec(any::<f32>(), 0..9),
            doubles in prop::collection::vec(any::<f64>(), 0..9),
        ) {
            prop_assume!(!tensors.contains_key("f32") && !tensors.contains_key("f64"));
            let sources: Vec<_> = tensors
                .values()
                .map(|(dtype, shape, bytes)| fixture::checkpoint(&[("t", *dtype, shape, bytes)]))
                .collect();
            let singles = Tensor::new(&[singles.len()], singles).unwrap();
            let doubles = Tensor::new(&[1, doubles.len()], doubles).unwrap();
            let mut given: Vec<(&str, Data)> = tensors
                .keys()
                .zip(&sources)
                .map(|(name, source)| (name.as_str(), source.get("t").unwrap().into()))
                .collect();
            given.extend([("f32", Data::from(&singles)), ("f64", Data::from(&doubles))]);

            let mut bytes = Vec::new();
            Layout::new(given.iter().cloned(), &metadata).unwrap().write_to(&mut bytes).unwrap();
            let mut again = Vec::new();
            Layout::new(given.into_iter().rev(), &metadata).unwrap().write_to(&mut again).unwrap();
            prop_assert_eq!(&bytes, &again);

            let read = Checkpoint::open(fixture::file(&bytes)).unwrap();
            prop_assert_eq!(read.metadata(), &metadata);
            prop_assert_eq!(read.len(), tensors.len() + 2);
            for (name, (dtype, shape, bytes)) in &tensors {
                let view = read.get(name).unwrap();
                prop_assert_eq!((view.dtype(), view.shape()), (*dtype, &shape[..]));
                prop_assert_eq!(&*view.bytes().unwrap(), bytes);
            }
            // As text, for which NaN is equal to itself.
            let back = Tensor::<f32>::mapped(read.get("f32").unwrap()).unwrap();
            prop_assert_eq!(format!("{:?}", back.view::<IxDyn>()), format!("{:?}", singles.view::<IxDyn>()));
            prop_assert_eq!(back.is_mapped(), cfg!(target_endian = "little"));
            let back = Tensor::<f64>::mapped(read.get("f64").unwrap()).unwrap();
            prop_assert_eq!(format!("{:?}", back.view::<IxDyn>()), format!("{:?}", doubles.view::<IxDyn>()));
        }
    }
}
