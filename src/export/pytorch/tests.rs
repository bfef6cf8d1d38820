use super::super::fixture::Disk;
use super::*;
use crate::tensor::Tensor;
use crate::zoo::{Checkpoint, Format, fixture};
use proptest::prelude::*;
use rawzip::ZipArchive;

/// The members of an archive: name, where the bytes begin, and the bytes, whose checksum is
/// right.
fn members(archive: &[u8]) -> Vec<(String, usize, Vec<u8>)> {
    let zip = ZipArchive::from_slice(archive).unwrap();
    let mut entries = zip.entries();
    let mut members = Vec::new();
    while let Some(record) = entries.next_entry().unwrap() {
        let name = String::from_utf8(record.file_path().as_ref().to_vec()).unwrap();
        let entry = zip.get_entry(record.wayfinder()).unwrap();
        let bytes = entry.data();
        assert_eq!(record.crc32(), rawzip::crc32(bytes), "{name}");
        let start = bytes.as_ptr() as usize - archive.as_ptr() as usize;
        members.push((name, start, bytes.to_vec()));
    }
    members
}

fn written(folder: &str, tensors: &[(&str, Data)]) -> Vec<u8> {
    let pickle = pickle(tensors, &BTreeMap::new()).unwrap();
    let mut bytes = Vec::new();
    write_to(&mut bytes, folder, &pickle, tensors).unwrap();
    bytes
}

fn refusal(tensors: &[(&str, Data)]) -> String {
    pickle(tensors, &BTreeMap::new()).unwrap_err().to_string()
}

#[test]
fn the_values_are_members_in_the_order_of_the_tensors() {
    let (a, b) = (Tensor::scalar(0.5f32), Tensor::new(&[2], vec![1.0f64, 2.0]).unwrap());
    let bytes = written("net", &[("z", Data::from(&a)), ("a", Data::from(&b))]);
    let members = members(&bytes);
    let names: Vec<_> = members.iter().map(|(name, ..)| name.as_str()).collect();
    let expected = [
        "net/data.pkl",
        "net/.format_version",
        "net/.storage_alignment",
        "net/byteorder",
        "net/data/0",
        "net/data/1",
        "net/version",
        "net/.data/serialization_id",
    ];
    assert_eq!(names, expected);
    assert_eq!(members[4].2, 0.5f32.to_le_bytes());
    assert_eq!(members[5].2, [1.0f64.to_le_bytes(), 2.0f64.to_le_bytes()].concat());
    assert_eq!(members[7].2.len(), 40);
}

#[test]
fn texts_are_an_attribute_of_the_state_dict() {
    let texts = BTreeMap::from([("form".to_owned(), "lite".to_owned())]);
    let pickle = pickle(&[], &texts).unwrap();
    // What Python 3 writes of an empty OrderedDict whose attribute zoo_tuning is a dict.
    let expected = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01}q\x02X\x0a\x00\x00\x00\
        zoo_tuningq\x03}q\x04X\x04\x00\x00\x00formq\x05X\x04\x00\x00\x00liteq\x06ssb.";
    assert_eq!(pickle, expected);
}

#[test]
fn types_that_pytorch_does_not_have_are_refused_by_name() {
    for dtype in Dtype::ALL {
        let source = fixture::checkpoint(&[("t", dtype, &[4], &vec![0; dtype.bits() / 2])]);
        let tensors = [("t", Data::from(source.get("t").unwrap()))];
        if Kind::of(dtype).is_some() {
            assert!(pickle(&tensors, &BTreeMap::new()).is_ok(), "{dtype}");
        } else {
            assert!(
                refusal(&tensors)
                    .ends_with(&format!("t is of type {dtype}, which PyTorch does not have"))
            );
        }
    }
}

#[test]
fn names_must_be_different() {
    let t = Tensor::<f32>::zeros(&[1]);
    let tensors = [("a", Data::from(&t)), ("b", Data::from(&t)), ("a", Data::from(&t))];
    assert!(refusal(&tensors).ends_with("two tensors are named a"));
}

#[test]
fn the_folder_is_the_files_stem_where_that_is_a_name_everywhere() {
    let cases = [
        ("a/net.pth", "net"),
        ("net.v2.pt", "net.v2"),
        ("net", "net"),
        (".pth", "archive"),
        ("..pth", "archive"),
        ("n\u{e9}t.pth", "archive"),
        ("a\\b.pth", "archive"),
    ];
    for (path, expected) in cases {
        assert_eq!(folder(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_fills() {
    let t = Tensor::new(&[3], vec![1.0f32, 2.0, 3.0]).unwrap();
    let tensors = [("t", Data::from(&t))];
    let pickle = pickle(&tensors, &BTreeMap::new()).unwrap();
    let whole = written("net", &tensors).len();
    for room in 0..whole {
        assert!(write_to(&mut Disk(room), "net", &pickle, &tensors).is_err(), "{room}");
    }
    assert!(write_to(&mut Disk(whole), "net", &pickle, &tensors).is_ok());
}

proptest! {
    /// Whatever the name of the folder and the tensors, each member begins where it can be
    /// mapped, the checksums are right, and the same is written again.
    #[test]
    fn members_are_aligned_whole_and_reproducible(
        folder in "[a-z]{1,80}",
        lengths in prop::collection::vec(0usize..70, 0..12),
    ) {
        let tensors: Vec<_> = lengths.iter().map(|&n| Tensor::full(&[n], n as f32)).collect();
        let names: Vec<_> = (0..tensors.len()).map(|n| format!("t{n}")).collect();
        let given: Vec<_> =
            names.iter().zip(&tensors).map(|(n, t)| (n.as_str(), Data::from(t))).collect();
        let bytes = written(&folder, &given);
        prop_assert_eq!(&bytes, &written(&folder, &given));
        let members = members(&bytes);
        prop_assert_eq!(members.len(), tensors.len() + 6);
        for (name, start, bytes) in members {
            prop_assert_eq!(start % 64, 0, "{}", name);
            if let Some((_, number)) = name.split_once("/data/") {
                let values = tensors[number.parse::<usize>().unwrap()].as_slice();
                let expected: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                prop_assert_eq!(bytes, expected);
            }
        }
    }

    /// What is written is read: in the same order, whatever the names, types, shapes, bytes
    /// and texts.
    #[test]
    fn everything_comes_back(
        names in any_names(),
        kinds in prop::collection::vec((any_dtype(), prop::collection::vec(0usize..4, 0..5)), 6),
        texts in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let sources: Vec<_> = kinds
            .iter()
            .map(|(dtype, shape)| {
                let mut bytes = vec![0; dtype.bytes_of(shape).unwrap()];
                rng.fill(&mut bytes);
                fixture::checkpoint(&[("t", *dtype, shape, &bytes)])
            })
            .collect();
        let tensors: Vec<_> = names
            .iter()
            .zip(&sources)
            .map(|(name, source)| (name.as_str(), Data::from(source.get("t").unwrap())))
            .collect();
        let path = fixture::file(&[]);
        write_pytorch(&path, tensors, &texts).unwrap();
        let read = Checkpoint::open(&path).unwrap();
        prop_assert_eq!(read.format(), Format::PytorchZip);
        prop_assert_eq!(read.metadata(), &texts);
        prop_assert!(read.foreign().is_empty());
        prop_assert!(read.names().eq(names.iter().map(String::as_str)));
        for (view, source) in read.iter().zip(&sources) {
            let expected = source.get("t").unwrap();
            prop_assert_eq!((view.dtype(), view.shape()), (expected.dtype(), expected.shape()));
            prop_assert_eq!(view.bytes().unwrap(), expected.bytes().unwrap());
        }
    }
}

/// A type that PyTorch has.
fn any_dtype() -> impl Strategy<Value = Dtype> {
    let known: Vec<_> = Dtype::ALL.into_iter().filter(|d| Kind::of(*d).is_some()).collect();
    prop::sample::select(known)
}

/// Different names in any order.
fn any_names() -> impl Strategy<Value = Vec<String>> {
    let names = prop::collection::btree_set(any::<String>(), 0..6);
    // The reader calls a tensor without a name as its file.
    let names = names.prop_map(|names| names.into_iter().filter(|n| !n.is_empty()).collect());
    Strategy::prop_shuffle(names)
}
