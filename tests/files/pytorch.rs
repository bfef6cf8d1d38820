//! PyTorch's files, and pickles of arrays, against what PyTorch and NumPy find in them: made,
//! with the files, by `tests/formats/make_pytorch.py`.

use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zoo_tuning::tensor::State;
use zoo_tuning::zoo::{Checkpoint, Format, TensorView};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn open(file: &str) -> Checkpoint {
    Checkpoint::open(folder().join(file)).unwrap()
}

/// What Python says of every file.
fn expected() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder().join("pytorch.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Name, type, shape and bytes.
fn described(view: &TensorView) -> String {
    let bytes = hexadecimal(&view.bytes().unwrap());
    format!("{} {} {:?} {bytes}", view.name(), view.dtype(), view.shape())
}

#[test]
fn every_file_holds_what_python_finds_in_it() {
    let expected = expected();
    assert!(expected.len() > 20);
    for (file, expected) in expected {
        let checkpoint = open(&file);
        let mut found: Vec<_> = checkpoint.iter().map(described).collect();
        let mut tensors: Vec<_> = expected["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tensor| {
                let text = |key: &str| tensor[key].as_str().unwrap().to_owned();
                let shape: Vec<u64> = tensor["shape"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n.as_u64().unwrap())
                    .collect();
                format!("{} {} {shape:?} {}", text("name"), text("dtype"), text("bytes"))
            })
            .collect();
        if file == "script.pt" {
            // A script does not say which of its tensors are parameters.
            found.sort();
            tensors.sort();
        }
        assert_eq!(found, tensors, "{file}");
        for (key, text) in expected["metadata"].as_object().unwrap() {
            let found = checkpoint.metadata().get(key).map(String::as_str);
            assert_eq!(found, text.as_str(), "{file}: {key}");
        }
    }
}

#[test]
fn formats_are_told() {
    for (file, format) in [
        ("types.pt", Format::PytorchZip),
        ("types_deflated.pt", Format::PytorchZip),
        ("script.pt", Format::PytorchZip),
        ("types_legacy.pt", Format::PytorchLegacy),
        ("oldest.tar", Format::PytorchTar),
        ("arrays_0.pkl", Format::Pickle),
        ("arrays_5.pkl", Format::Pickle),
    ] {
        assert_eq!(open(file).format(), format, "{file}");
    }
}

/// Where in memory the first byte of a tensor is; the file's memory, if it is in place.
fn address(checkpoint: &Checkpoint, name: &str) -> *const u8 {
    let bytes = checkpoint.get(name).unwrap().bytes().unwrap();
    assert!(matches!(bytes, Cow::Borrowed(_)), "{name} is in place");
    bytes.as_ptr()
}

#[test]
fn storages_are_used_in_place_and_shared() {
    for file in ["strided.pt", "strided_legacy.pt"] {
        let checkpoint = open(file);
        // Rows 1 and 2 of six columns each.
        let (base, rows) = (address(&checkpoint, "base"), address(&checkpoint, "rows"));
        assert_eq!(base.wrapping_add(6 * 4), rows, "{file}");
    }
    // Two names of one parameter.
    let checkpoint = open("module.pt");
    assert_eq!(address(&checkpoint, "tied.weight"), address(&checkpoint, "conv.weight"));
    // Nothing can be in place that is deflated.
    let checkpoint = open("strided_deflated.pt");
    assert!(checkpoint.get("base").unwrap().as_slice::<f32>().is_none());
    // PyTorch aligns the storages in an archive, and only there.
    assert!(open("strided.pt").get("base").unwrap().as_slice::<f32>().is_some());
}

#[test]
fn arrays_are_used_in_place_if_the_pickle_has_their_bytes() {
    for protocol in 3..6 {
        let file = format!("arrays_{protocol}.pkl");
        let bytes = std::fs::read(folder().join(&file)).unwrap();
        let checkpoint = open(&file);
        let weight = checkpoint.get("model.weight").unwrap();
        let values = weight.bytes().unwrap();
        assert!(matches!(values, Cow::Borrowed(_)));
        assert!(bytes.windows(values.len()).any(|window| window == &*values));
    }
}

#[test]
fn a_state_dict_is_a_state() {
    for file in ["training.pt", "training_legacy.pt"] {
        let state = State::<f32>::mapped(&open(file)).unwrap();
        assert_eq!(state.get("state_dict.module.conv.weight").unwrap().shape(), [3, 2, 1, 1]);
    }
}

#[test]
fn what_is_not_read_is_named() {
    let checkpoint = open("unread.pt");
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["kept"]);
    for name in ["sparse", "quantised", "meta", "double"] {
        let text = &checkpoint.metadata()[name];
        assert!(text.ends_with("which is not read"), "{name}: {text}");
    }
}

#[test]
fn a_conjugated_tensor_is_refused() {
    let error = Checkpoint::open(folder().join("conjugated.pt")).unwrap_err().to_string();
    assert!(error.contains("c: has the flag \"conj\""), "{error}");
    assert!(error.contains("resolve_conj"), "{error}");
}

#[test]
fn what_a_file_would_run_is_shown_and_not_run() {
    let foreign = open("hostile.pt").foreign().to_vec();
    assert_eq!(foreign.len(), 1);
    assert_eq!((foreign[0].name.as_str(), foreign[0].count), ("posix.system", 1));
    assert_eq!(foreign[0].calls, [r#"posix.system("echo this should never run")"#]);
}

#[test]
fn state_dicts_name_nothing_foreign_and_whole_modules_their_classes() {
    for file in ["types.pt", "strided_legacy.pt", "training.pt", "script.pt", "arrays_2.pkl"] {
        assert_eq!(open(file).foreign(), [], "{file}");
    }
    for file in ["module.pt", "module_legacy.pt"] {
        let checkpoint = open(file);
        let linear = "torch.nn.modules.linear.Linear";
        let linear = checkpoint.foreign().iter().find(|foreign| foreign.name == linear).unwrap();
        assert_eq!(linear.count, 1, "{file}");
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for file in ["alone.pt", "alone_legacy.pt", "oldest.tar", "arrays_4.pkl"] {
        let bytes = std::fs::read(self::folder().join(file)).unwrap();
        // The last blocks of a tar archive are empty.
        let needed = if file == "oldest.tar" { bytes.len() - 7000 } else { bytes.len() };
        for end in (1..needed).step_by(1 + needed / 150) {
            std::fs::write(&path, &bytes[..end]).unwrap();
            assert!(Checkpoint::open(&path).is_err(), "{file} at {end}");
        }
    }
}

/// Its names would grow and grow; damaged files do this.
#[test]
fn a_container_within_itself_is_refused_in_few_words() {
    // {"k...k": <the same dict>, ...}, many times over.
    let mut pickle = b"\x80\x02}q\x00(".to_vec();
    for key in 0..40u8 {
        pickle.extend([b'X', 20, 0, 0, 0]);
        pickle.extend([b'a' + key % 26; 19]);
        pickle.push(b'0' + key / 26);
        pickle.extend(b"h\x00");
    }
    pickle.extend(b"u.");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cyclic.pkl");
    std::fs::write(&path, &pickle).unwrap();
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.len() < 1000, "{} bytes of error", error.len());
}
