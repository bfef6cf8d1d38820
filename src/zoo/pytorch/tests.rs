//! One test per way in which a file of PyTorch's may be malformed, and what is bounded.

use super::super::checkpoint::Checkpoint;
use super::super::fixture::{self, Member, zip};
use super::super::format::Format;
use crate::Result;

// Parts of pickles.

fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [b"X", &(text.len() as u32).to_le_bytes()[..], text].concat()
}

fn int(value: i64) -> Vec<u8> {
    format!("I{value}\n").into_bytes()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

fn ints(values: &[i64]) -> Vec<u8> {
    tuple(&values.iter().map(|&value| int(value)).collect::<Vec<_>>())
}

fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn call(module: &str, name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [global(module, name), tuple(arguments), b"R".to_vec()].concat()
}

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &entries[..], b"u"].concat()
}

fn storage(class: &str, key: &str, count: i64) -> Vec<u8> {
    let parts = [text("storage"), global("torch", class), text(key), text("cpu"), int(count)];
    [tuple(&parts), b"Q".to_vec()].concat()
}

fn tensor(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let arguments = [storage, int(offset), ints(shape), ints(strides), b"\x89".to_vec(), dict(&[])];
    call("torch._utils", "_rebuild_tensor_v2", &arguments)
}

fn finished(object: &[u8]) -> Vec<u8> {
    [b"\x80\x02", object, b"."].concat()
}

// Files.

fn opened(bytes: &[u8]) -> Result<Checkpoint> {
    Checkpoint::open(fixture::file(bytes))
}

fn refused_file(bytes: &[u8], because: &str) {
    let error = opened(bytes).map(drop).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

/// An archive of this pickle and of storage `0`, the `f32`s 0 to 5.
fn archive(object: &[u8]) -> Vec<u8> {
    let values: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    zip(&[Member::stored("a/data.pkl", finished(object)), Member::stored("a/data/0", values)])
}

fn floats() -> Vec<u8> {
    storage("FloatStorage", "0", 6)
}

/// Asserts that an archive of this pickle is refused.
fn refused(object: &[u8], because: &str) {
    refused_file(&archive(object), because);
}

/// Asserts that an archive with this tensor `t` is refused, and the message names it.
fn tensor_refused(tensor: Vec<u8>, because: &str) {
    let bytes = archive(&dict(&[("t", tensor)]));
    let error = opened(&bytes).map(drop).unwrap_err().to_string();
    assert!(error.contains(": t: ") && error.contains(because), "{error}");
}

#[test]
fn a_tensor_is_a_part_of_its_storage() {
    let checkpoint =
        opened(&archive(&dict(&[("t", tensor(floats(), 1, &[2, 2], &[1, 3]))]))).unwrap();
    assert_eq!(checkpoint.format(), Format::PytorchZip);
    assert_eq!(checkpoint.get("t").unwrap().to_vec::<f32>().unwrap(), [1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn a_pickle_that_cannot_be_read_is_told_with_its_place() {
    refused(b"N\xff", "a/data.pkl: byte 3 of the pickle: 0xff is no opcode");
}

#[test]
fn another_order_of_bytes_is_refused() {
    let members = |order: &[u8]| {
        zip(&[Member::stored("a/data.pkl", finished(b"N")), Member::stored("a/byteorder", order)])
    };
    assert!(opened(&members(b"little")).is_ok());
    refused_file(&members(b"big"), "the byte order is \"big\"");
    refused_file(&members(b""), "the byte order is \"\"");
}

#[test]
fn a_storage_that_is_not_there_is_refused() {
    let tensor = tensor(storage("FloatStorage", "1", 6), 0, &[6], &[1]);
    refused(&tensor, "names the storage \"a/data/1\", which is not in the archive");
}

#[test]
fn a_storage_of_another_length_is_refused() {
    for count in [5, 7, i64::MAX] {
        let tensor = tensor(storage("FloatStorage", "0", count), 0, &[1], &[1]);
        refused(&tensor, "numbers of 4 bytes, but has 24 bytes");
    }
    refused(&storage("FloatStorage", "0", -1), "expected ('storage', class, key, device, count)");
}

#[test]
fn a_class_that_is_none_of_storages_is_refused() {
    refused(&storage("NoStorage", "0", 6), "torch.NoStorage is no class of storages");
}

#[test]
fn a_persistent_object_of_another_kind_is_refused() {
    refused(b"NQ", "expected ('storage', class, key, device, count), found None");
    refused(&[tuple(&[text("x")]), b"Q".to_vec()].concat(), "found (\"x\",)");
}

#[test]
fn a_tensor_outside_of_its_storage_is_refused() {
    for (offset, shape, strides) in [
        (0, &[7][..], &[1][..]),
        (6, &[1], &[1]),
        (1, &[2, 3], &[3, 1]),
        (0, &[2], &[6]),
        (i64::MAX, &[1], &[1]),
        (0, &[2], &[i64::MAX]),
        (7, &[], &[]),
    ] {
        tensor_refused(tensor(floats(), offset, shape, strides), "is not within the 24 bytes");
    }
}

#[test]
fn negative_sizes_strides_and_offsets_are_refused() {
    tensor_refused(tensor(floats(), -1, &[1], &[1]), "an offset that is not negative, found -1");
    tensor_refused(tensor(floats(), 0, &[-1], &[1]), "sizes that are not negative, found (-1,)");
    tensor_refused(tensor(floats(), 5, &[2], &[-1]), "sizes that are not negative, found (-1,)");
}

#[test]
fn a_shape_that_overflows_is_refused() {
    let large = 1 << 40;
    tensor_refused(tensor(floats(), 0, &[large, large], &[0, 0]), "cannot be addressed");
    tensor_refused(tensor(floats(), 0, &[0, large, large], &[1, 1, 1]), "cannot be addressed");
}

#[test]
fn a_shape_that_repeats_one_number_very_often_is_refused() {
    tensor_refused(tensor(floats(), 0, &[1 << 40], &[0]), "repeats values");
}

#[test]
fn strides_for_another_number_of_axes_are_refused() {
    tensor_refused(tensor(floats(), 0, &[2, 3], &[1]), "1 strides for shape [2, 3]");
}

#[test]
fn very_many_dimensions_are_refused() {
    tensor_refused(tensor(floats(), 0, &[1; 65], &[1; 65]), "65 dimensions are more than the 64");
}

#[test]
fn arguments_that_do_not_make_a_tensor_are_refused() {
    let rebuild = |arguments: &[Vec<u8>]| call("torch._utils", "_rebuild_tensor_v2", arguments);
    tensor_refused(rebuild(&[]), "expected storage, offset, shape and strides");
    let strange = rebuild(&[text("storage"), int(0), ints(&[1]), ints(&[1])]);
    tensor_refused(strange, "expected a storage of the file, found \"storage\"");
    tensor_refused(rebuild(&[floats(), text("0"), ints(&[1]), ints(&[1])]), "an offset");
    tensor_refused(rebuild(&[floats(), int(0), int(1), ints(&[1])]), "expected sizes, found 1");
    let v3 = [floats(), int(0), ints(&[1]), ints(&[1]), int(0), dict(&[]), int(7)];
    tensor_refused(call("torch._utils", "_rebuild_tensor_v3", &v3), "expected a type");
    tensor_refused(call("torch._utils", "_rebuild_parameter", &[]), "expected an argument");
    tensor_refused(call("torch._tensor", "_rebuild_from_type_v2", &[]), "function, class");
}

#[test]
fn a_tensor_in_very_many_calls_is_refused() {
    let wrapped = (0..9).fold(tensor(floats(), 0, &[1], &[1]), |inner, _| {
        call("torch._utils", "_rebuild_parameter", &[inner])
    });
    tensor_refused(wrapped, "is wrapped in more than 8 calls");
}

#[test]
fn members_that_pytorch_would_take_for_others_are_refused() {
    let pickle = || Member::stored("a/data.pkl", finished(b"N"));
    let also = |name: &str| zip(&[pickle(), Member::stored(name, "")]);
    assert!(opened(&also("a/other")).is_ok());
    // It does not tell capital letters from small ones.
    refused_file(&also("A/data.pkl"), "a/data.pkl and A/data.pkl are one to PyTorch");
    refused_file(&also("a/DATA.pkl"), "a/data.pkl and a/DATA.pkl are one to PyTorch");
    refused_file(&also("a/ByteOrder"), "expected a member a/byteorder, found a/ByteOrder");
    // It looks into the folder of the first member.
    let other = Member::stored("b/data.pkl", finished(b"N"));
    let second = zip(&[Member::stored("c/version", "3"), pickle(), other]);
    refused_file(&second, "c/data.pkl: is not in the archive's first folder");
    refused_file(&zip(&[Member::stored("version", "3"), pickle()]), "first member is in no folder");
}

#[test]
fn flags_that_change_the_values_are_refused() {
    let with = |flags: Vec<u8>| {
        let arguments = [floats(), int(0), ints(&[1]), ints(&[1]), int(0), dict(&[]), flags];
        call("torch._utils", "_rebuild_tensor_v2", &arguments)
    };
    tensor_refused(with(dict(&[("neg", b"\x88".to_vec())])), "has the flag \"neg\"");
    // PyTorch looks only whether it is there.
    tensor_refused(with(dict(&[("conj", b"\x89".to_vec())])), "has the flag \"conj\"");
    let none = dict(&[("t", with(dict(&[])))]);
    assert_eq!(opened(&archive(&none)).unwrap().len(), 1);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let t = || tensor(floats(), 0, &[1], &[1]);
    refused(&dict(&[("t", t()), ("t", t())]), "t: is there more than once");
    // The same name, though not in the same dict.
    let nested = dict(&[("a", dict(&[("b", t())])), ("a.b", t())]);
    refused(&nested, "a.b: is there more than once");
}

#[test]
fn a_name_that_is_not_utf8_is_refused() {
    refused(&[b"}", &text(b"\xff")[..], b"Ns"].concat(), "is not UTF-8");
}

#[test]
fn a_container_in_itself_is_refused() {
    refused(b"]q\0]h\0aa", "more than 100 deep, or one contains itself");
    refused(b"}q\0U\x01ah\0s", "or one contains itself");
}

#[test]
fn containers_in_very_many_places_are_refused() {
    // Each list holds the one before twice: 2^60 lists.
    let doubled = [&b"]N\x85a"[..], &b"q\0]h\0ah\0a".repeat(60)].concat();
    let started = std::time::Instant::now();
    refused(&doubled, "containers stand in very many places");
    // A few hundred thousand steps; the bound is for machines that do much else.
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn names_much_longer_than_the_file_are_refused() {
    // Under one key of 100 kB, a list in which one dict is very often.
    let key = text(vec![b'k'; 100_000]);
    let list = [&b"]("[..], &b"}K\x01Ns".repeat(1000), b"e"].concat();
    refused(&[b"}", &key[..], &list, b"s"].concat(), "many more than its bytes");
}

#[test]
fn a_long_text_is_cut() {
    let long = dict(&[("note", text(vec![b'x'; 5000]))]);
    let checkpoint = opened(&archive(&long)).unwrap();
    assert_eq!(checkpoint.metadata()["note"].len(), 1003);
}

#[test]
fn a_pickle_deflated_beyond_measure_is_refused() {
    let large = finished(&b"N0".repeat(10_000_000));
    let bytes = zip(&[Member::deflated("a/data.pkl", &large)]);
    assert!(bytes.len() < 100_000);
    refused_file(&bytes, "many times the size of the file");
}

#[test]
fn storages_deflated_beyond_measure_are_not_inflated_to_open_them() {
    let count = 4 << 20;
    let file = |shape: &[i64], strides: &[i64]| {
        let storage = storage("FloatStorage", "0", count);
        let object = dict(&[("t", tensor(storage, 0, shape, strides))]);
        let mut values = Member::deflated("a/data/0", &vec![0; 4 * count as usize]);
        // Damaged, as whoever inflates it would notice.
        values.bytes.fill(0xff);
        zip(&[Member::stored("a/data.pkl", finished(&object)), values])
    };
    let checkpoint = opened(&file(&[2, count / 2], &[count / 2, 1])).unwrap();
    assert!(checkpoint.get("t").unwrap().bytes().is_err());
    refused_file(&file(&[count / 2, 2], &[1, count / 2]), "many more than its file has");
}

#[test]
fn long_values_in_many_places_are_looked_at_in_bounded_time() {
    let started = std::time::Instant::now();
    // A list, a text, and the name of a function, each long and used very often.
    let list = [&b"]("[..], &b"N".repeat(100_000), b"eq\0"].concat();
    let text = [text(vec![b'x'; 100_000]), b"q\0".to_vec()].concat();
    let function = [global(&"m".repeat(100_000), "f"), b"q\0".to_vec()].concat();
    for (first, each) in [(list, &b"h\0"[..]), (text, b"h\0"), (function, b"h\0)R")] {
        let object = [&b"]"[..], &first, b"a(", &each.repeat(100_000), b"e"].concat();
        let _ = opened(&archive(&object));
    }
    // Seconds at most; the bound is for machines that do much else.
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn empty_storages_and_tensors_are_read() {
    let object = dict(&[
        ("a", tensor(storage("LongStorage", "1", 0), 0, &[0], &[1])),
        ("b", tensor(storage("LongStorage", "1", 0), 0, &[3, 0], &[1, 1])),
    ]);
    let bytes =
        zip(&[Member::stored("a/data.pkl", finished(&object)), Member::stored("a/data/1", vec![])]);
    assert_eq!(opened(&bytes).unwrap().get("b").unwrap().shape(), [3, 0]);
}

#[test]
fn a_pickle_of_something_else_has_no_tensors() {
    for object in [&b"N"[..], b"K\x07", b"]", b"X\x01\0\0\0a", b"C\x01a", b"cos\nsystem\n"] {
        let checkpoint = opened(&archive(object)).unwrap();
        assert!(checkpoint.is_empty() && checkpoint.metadata().is_empty());
    }
}

// The format of before 1.6.

const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// A file with storage `0` of two `f32`s, whose parts can be replaced.
struct Legacy {
    version: Vec<u8>,
    system: Vec<u8>,
    object: Vec<u8>,
    keys: Vec<u8>,
    storages: Vec<u8>,
}

impl Legacy {
    fn new() -> Self {
        let values = [2i64.to_le_bytes().as_slice(), &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]].concat();
        Self {
            version: int(1001),
            system: dict(&[("little_endian", b"\x88".to_vec())]),
            object: dict(&[("t", tensor(Self::storage(b"N"), 0, &[2], &[1]))]),
            keys: [&b"]"[..], &text("0"), b"a"].concat(),
            storages: values,
        }
    }

    fn storage(view: &[u8]) -> Vec<u8> {
        let class = global("torch", "FloatStorage");
        let parts = [text("storage"), class, text("0"), text("cpu"), int(2), view.to_vec()];
        [tuple(&parts), b"Q".to_vec()].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { version, system, object, keys, storages } = self;
        let pickles = [version, system, object, keys].map(|part| finished(part)).concat();
        [MAGIC, &pickles, storages].concat()
    }

    /// Asserts that the file is refused if this is changed.
    fn refused(change: impl Fn(&mut Self), because: &str) {
        let mut file = Self::new();
        change(&mut file);
        refused_file(&file.bytes(), because);
    }
}

#[test]
fn legacy_files_are_read() {
    let checkpoint = opened(&Legacy::new().bytes()).unwrap();
    assert_eq!(checkpoint.format(), Format::PytorchLegacy);
    assert_eq!(checkpoint.get("t").unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn legacy_views_of_storages_are_read() {
    let part = tuple(&[text("1"), int(1), int(1)]);
    let mut file = Legacy::new();
    file.object = dict(&[("t", tensor(Legacy::storage(&part), 0, &[1], &[1]))]);
    let checkpoint = opened(&file.bytes()).unwrap();
    assert_eq!(checkpoint.get("t").unwrap().to_vec::<f32>().unwrap(), [2.0]);
    for (offset, count) in [(1, 2), (3, 0), (i64::MAX, 1), (0, i64::MAX)] {
        let part = tuple(&[text("1"), int(offset), int(count)]);
        let object = tensor(Legacy::storage(&part), 0, &[1], &[1]);
        Legacy::refused(|file| file.object.clone_from(&object), "are not in storage 0 of 2");
    }
}

#[test]
fn legacy_another_version_is_refused() {
    Legacy::refused(|file| file.version = int(1002), "expected version 1001, found 1002");
}

#[test]
fn legacy_another_order_of_bytes_is_refused() {
    Legacy::refused(
        |file| file.system = dict(&[("little_endian", b"\x89".to_vec())]),
        "the file is big-endian",
    );
}

#[test]
fn legacy_keys_must_be_those_that_are_used() {
    Legacy::refused(|file| file.keys = b"N".to_vec(), "expected the list of storages, found None");
    Legacy::refused(|file| file.keys = b"]Na".to_vec(), "expected a storage's key, found None");
    Legacy::refused(|file| file.keys = b"]".to_vec(), "is used, but is not in the file");
    let other = [&b"]"[..], &text("1"), b"a"].concat();
    Legacy::refused(|file| file.keys.clone_from(&other), "is listed, but no tensor uses it");
    let twice = [&b"]"[..], &text("0"), b"a", &text("0"), b"a"].concat();
    Legacy::refused(
        |file| {
            file.keys.clone_from(&twice);
            file.storages = file.storages.repeat(2);
        },
        "is listed more than once",
    );
}

#[test]
fn legacy_a_storage_that_is_cut_off_is_refused() {
    Legacy::refused(|file| file.storages.truncate(7), "its count is cut off");
    Legacy::refused(|file| file.storages.truncate(15), "2 numbers of 4 bytes are not in the 7");
}

#[test]
fn legacy_another_count_than_promised_is_refused() {
    for count in [-1i64, i64::MAX, 3] {
        let change = |file: &mut Legacy| file.storages[..8].copy_from_slice(&count.to_le_bytes());
        Legacy::refused(change, "numbers of 4 bytes are not in the 8 that are left");
    }
    let change = |file: &mut Legacy| file.storages[..8].copy_from_slice(&1i64.to_le_bytes());
    Legacy::refused(change, "storage 0 should have 2 numbers of 4 bytes, but has 4 bytes");
}

#[test]
fn a_storage_in_a_bare_pickle_is_refused() {
    refused_file(&finished(&tensor(floats(), 0, &[1], &[1])), "in a bare pickle");
}

// The tar archives before that.

fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, bytes) in members {
        let mut header = vec![0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        header[156] = b'0';
        header[257..262].copy_from_slice(b"ustar");
        file.extend(header);
        file.extend(bytes);
        file.resize(file.len().next_multiple_of(512), 0);
    }
    file.extend([0; 1024]);
    file
}

/// The members of an archive with one tensor of two `f32`s.
fn oldest() -> [(&'static str, Vec<u8>); 3] {
    let class = |name| global("torch", name);
    let storages = [
        finished(&int(1)),
        finished(&tuple(&[int(11), text("cpu"), class("FloatStorage")])),
        2i64.to_le_bytes().to_vec(),
        vec![0, 0, 0x80, 0x3f, 0, 0, 0, 0x40],
        finished(b"]"),
    ];
    let tensors = [
        finished(&int(1)),
        finished(&tuple(&[int(21), int(11), class("FloatTensor")])),
        [1i64, 2, 1, 0].map(i64::to_le_bytes).concat(),
    ];
    let object = finished(&dict(&[("t", b"P21\n".to_vec())]));
    [("storages", storages.concat()), ("tensors", tensors.concat()), ("pickle", object)]
}

#[test]
fn the_oldest_files_are_read() {
    let checkpoint = opened(&tar(&oldest())).unwrap();
    assert_eq!(checkpoint.format(), Format::PytorchTar);
    assert_eq!(checkpoint.get("t").unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn a_tar_archive_of_something_else_is_refused() {
    refused_file(&tar(&[("readme", vec![1])]), "has no member \"storages\"");
    let [storages, tensors, pickle] = oldest();
    let twice = [storages.clone(), storages, tensors, pickle];
    refused_file(&tar(&twice), "storages: is there more than once in the archive");
    let mut bytes = tar(&oldest());
    bytes[124..135].fill(b'7');
    refused_file(&bytes, "storages: its length is no number, or beyond the file's end");
    bytes[124..135].fill(b'9');
    refused_file(&bytes, "storages: its length is no number, or beyond the file's end");
}

#[test]
fn the_oldest_files_are_refused_where_they_contradict_themselves() {
    let refused = |member: usize, bytes: Vec<u8>, because: &str| {
        let mut members = oldest();
        members[member].1 = bytes;
        refused_file(&tar(&members), because);
    };
    refused(0, finished(&int(-1)), "storages: expected a count, found -1");
    refused(0, finished(&int(i64::MAX)), "ends without STOP");
    refused(0, [finished(&int(1)), finished(b"N")].concat(), "expected a tuple, found None");
    let of = |key: i64, dimensions: i64| {
        let name = tuple(&[int(key), int(11), global("torch", "FloatTensor")]);
        let rest = [dimensions, 2, 1, 0].map(i64::to_le_bytes).concat();
        [finished(&int(1)), finished(&name), rest].concat()
    };
    refused(1, of(11, 1), "tensors: 11 is there more than once");
    refused(1, of(21, 65), "tensors: 65 dimensions are more than 64");
    refused(1, of(21, 2), "tensors: is cut off");
    refused(2, finished(b"P22\n"), "pickle: <persistent \"22\"> is unknown");
}

// Arrays.

fn dtype(code: &str, order: &str) -> Vec<u8> {
    let call = call("numpy", "dtype", &[text(code), int(0), int(1)]);
    [call, tuple(&[int(3), text(order)]), b"b".to_vec()].concat()
}

fn array(shape: &[i64], dtype: Vec<u8>, data: Vec<u8>) -> Vec<u8> {
    let arguments = [global("numpy", "ndarray"), ints(&[0]), text("b")];
    let state = tuple(&[int(1), ints(shape), dtype, int(0), data]);
    [call("numpy.core.multiarray", "_reconstruct", &arguments), state, b"b".to_vec()].concat()
}

fn array_refused(array: &[u8], because: &str) {
    refused_file(&finished(array), because);
}

#[test]
fn arrays_of_another_length_are_refused() {
    let four = || b"C\x04abcd".to_vec();
    assert_eq!(opened(&finished(&array(&[1], dtype("f4", "<"), four()))).unwrap().len(), 1);
    for shape in [&[2][..], &[0], &[1 << 62, 4], &[1 << 40, 1 << 40]] {
        array_refused(&array(shape, dtype("f4", "<"), four()), "does not fit its 4 bytes");
    }
    array_refused(&array(&[-1], dtype("f4", "<"), four()), "sizes that are not negative");
}

#[test]
fn arrays_of_another_order_of_bytes_are_refused() {
    let four = b"C\x04abcd".to_vec();
    array_refused(&array(&[1], dtype("f4", ">"), four.clone()), "the numbers are big-endian");
    array_refused(&array(&[1], dtype(">f4", "<"), four), "save array.astype(\"<f4\")");
}

#[test]
fn arrays_without_bytes_or_type_are_refused() {
    array_refused(&array(&[1], dtype("f4", "<"), b"N".to_vec()), "expected bytes, found None");
    array_refused(&array(&[1], b"N".to_vec(), b"C\x01a".to_vec()), "expected a type of NumPy");
    let encoded = |text: Vec<u8>, name: &str| call("_codecs", "encode", &[text, self::text(name)]);
    let bytes = |data| array(&[1], dtype("u1", "|"), data);
    let checkpoint = opened(&finished(&bytes(encoded(text("é"), "latin1")))).unwrap();
    assert_eq!(*checkpoint.iter().next().unwrap().bytes().unwrap(), [0xe9]);
    array_refused(&bytes(encoded(text("€"), "latin1")), "characters that are no bytes");
    array_refused(&bytes(encoded(text("a"), "rot13")), "expected a text and latin1");
    array_refused(&call("numpy.core.multiarray", "_reconstruct", &[]), "expected the state");
}

#[test]
fn arrays_with_strange_axes_are_refused() {
    let of = |order: &str, axes: Vec<u8>| {
        let arguments = [b"C\x02ab".to_vec(), dtype("u1", "|"), ints(&[1, 2]), text(order), axes];
        call("numpy._core.numeric", "_frombuffer", &arguments)
    };
    assert_eq!(opened(&finished(&of("K", ints(&[1, 0])))).unwrap().len(), 1);
    array_refused(&of("K", ints(&[0, 0])), "are not the axes of shape [1, 2]");
    array_refused(&of("K", ints(&[0])), "are not the axes of shape [1, 2]");
    array_refused(&of("K", b"N".to_vec()), "\"K\" is no order of axes");
    array_refused(&of("A", b"N".to_vec()), "\"A\" is no order of axes");
}

#[test]
fn arrays_of_what_are_no_numbers_are_named() {
    for (code, what) in [("O8", "an array of objects"), ("U3", "an array of type \"U3\"")] {
        let object = dict(&[("a", array(&[1], dtype(code, "|"), b"]".to_vec()))]);
        let checkpoint = opened(&finished(&object)).unwrap();
        assert!(checkpoint.is_empty());
        assert_eq!(checkpoint.metadata()["a"], format!("{what}, which is not read"));
    }
}

#[test]
fn what_stands_beside_tensors_does_not_say_what_they_are() {
    let beside =
        dict(&[("form", text("full")), ("a", array(&[1], dtype("u1", "|"), b"C\x01a".to_vec()))]);
    let checkpoint = opened(&finished(&beside)).unwrap();
    assert_eq!(checkpoint.metadata()["form"], "full");
    assert!(checkpoint.declared().is_empty());
    let state = dict(&[("zoo_tuning", dict(&[("form", text("plain"))]))]);
    let checkpoint = opened(&archive(&with_state(state))).unwrap();
    assert_eq!(checkpoint.declared()["form"], "plain");
}

#[test]
fn an_empty_key_is_a_name() {
    let tensor = || array(&[1], dtype("u1", "|"), b"C\x01a".to_vec());
    let inner = dict(&[("a", tensor()), ("", tensor())]);
    let checkpoint = opened(&finished(&dict(&[("a", tensor()), ("", inner)]))).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", ".a", "."]);
    let checkpoint = opened(&finished(&dict(&[("", tensor())]))).unwrap();
    assert!(checkpoint.contains(""));
}

/// A state dict with this state.
fn with_state(state: Vec<u8>) -> Vec<u8> {
    [call("collections", "OrderedDict", &[]), state, b"b".to_vec()].concat()
}

#[test]
fn texts_of_a_state_dict_are_its_attribute() {
    let long = "\u{fc}".repeat(3000);
    let texts = dict(&[("form", text("plain")), ("long", text(&long)), ("number", int(3))]);
    let state = dict(&[("_metadata", dict(&[("", dict(&[]))])), ("zoo_tuning", texts)]);
    let metadata = opened(&archive(&with_state(state))).unwrap().metadata().clone();
    assert_eq!(metadata.len(), 2);
    assert_eq!((metadata["form"].as_str(), &metadata["long"]), ("plain", &long));
    for state in [dict(&[("zoo_tuning", int(1))]), dict(&[]), tuple(&[])] {
        assert!(opened(&archive(&with_state(state))).unwrap().metadata().is_empty());
    }
}
