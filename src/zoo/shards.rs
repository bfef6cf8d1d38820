//! Checkpoints in several files, and the index that says which tensor is in which.
//!
//! ```text
//! model.safetensors.index.json        {"metadata": {"total_size": 8589934592},
//! model-00001-of-00002.safetensors     "weight_map": {
//! model-00002-of-00002.safetensors       "conv1.weight": "model-00001-of-00002.safetensors",
//!                                        "fc.weight": "model-00002-of-00002.safetensors"}}
//! ```
//!
//! The index is opened, not its files: `zoo-tuning inspect model.safetensors.index.json`. The
//! same is read of PyTorch's files (`pytorch_model.bin.index.json`), and of any format that is
//! one file. Each file is opened once and checked as if it were opened alone. The tensors are
//! those that the index names, in its order, each from the file that it names: what else the
//! files hold is left alone.
//!
//! An index may come from anywhere, so that it can name only files beside it or in folders
//! there, never one elsewhere (`/etc/passwd`, `../key`). A file there may be a link to
//! elsewhere: who downloads models into a cache keeps them so, and no index makes links.

use super::beside::beside;
use super::contents::Foreign;
use super::format::Magic;
use super::mapping::Mapping;
use super::safetensors::{members, parse};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest index that is read, like the header of a safetensors file.
const LARGEST_INDEX: usize = super::safetensors::LARGEST_HEADER;

/// What an index says; [`Checkpoint`](super::Checkpoint) opens the files.
pub(super) struct Index {
    /// Texts beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// The tensors in the order of the index, each with the file that it is in.
    pub places: Vec<(String, PathBuf)>,
}

/// Reads an index.
pub(super) fn read(mapping: &Mapping) -> Result<Index> {
    let path = mapping.path();
    let bytes = mapping.bytes();
    if bytes.len() > LARGEST_INDEX {
        let length = bytes.len();
        let problem =
            format!("an index of {length} bytes is longer than the {LARGEST_INDEX} allowed");
        return Err(Error::format(path, problem));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::format(path, format!("the index is not UTF-8: {error}")))?;

    let (mut metadata, mut map) = (BTreeMap::new(), None);
    for (key, value) in members(path, "the index", text)? {
        match key.as_str() {
            // Numbers and truth values stand there as well as texts.
            "metadata" => {
                for (key, value) in members(path, "metadata", value)? {
                    let text = serde_json::from_str(value).unwrap_or_else(|_| value.to_owned());
                    metadata.insert(key, text);
                }
            }
            "weight_map" => map = Some(members(path, "weight_map", value)?),
            _ => {}
        }
    }
    let Some(map) = map else {
        let problem = "this JSON has no weight_map, so that it is no index of a checkpoint; open \
                       the checkpoint itself";
        return Err(Error::format(path, problem));
    };

    let mut places = Vec::with_capacity(map.len());
    for (tensor, file) in map {
        let file: String = parse(path, &format!("weight_map.{tensor}"), file)?;
        let whole = beside(path, &file).ok_or_else(|| {
            let problem = format!(
                "the index says that it is in {file:?}; expected the name of a file beside the \
                 index, which no index may leave"
            );
            Error::format_of(path, &tensor, problem)
        })?;
        places.push((tensor, whole));
    }
    Ok(Index { metadata, places })
}

/// Maps the file `whole` that the index at `path` names for this tensor.
pub(super) fn open(path: &Path, tensor: &str, whole: &Path) -> Result<Mapping> {
    let mapping = Mapping::open(whole).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            let problem = format!(
                "the index says that it is in {}, which is not there; all the files of a \
                 checkpoint belong in the index's folder",
                whole.display()
            );
            Error::format_of(path, tensor, problem)
        }
        other => other,
    })?;
    // Else an index could name itself.
    if Magic::of(mapping.bytes()) == Magic::Json {
        let problem = format!(
            "the index says that it is in {}, which is JSON: an index of an index is not read",
            whole.display()
        );
        return Err(Error::format_of(path, tensor, problem));
    }
    Ok(mapping)
}

/// One for each name, with the calls of all the files together.
pub(super) fn merged(all: Vec<Foreign>) -> Vec<Foreign> {
    let (mut merged, mut index) = (Vec::<Foreign>::new(), HashMap::new());
    for foreign in all {
        let at = *index.entry(foreign.name.clone()).or_insert(merged.len());
        match merged.get_mut(at) {
            Some(known) => {
                known.count += foreign.count;
                known.calls.extend(foreign.calls);
            }
            None => merged.push(foreign),
        }
    }
    merged
}

/// The error of who opens a folder; it names the one file in it that can be meant.
pub(super) fn folder(path: &Path) -> Error {
    const INDEX: &str = ".index.json";
    const CHECKPOINTS: &[&str] =
        &["safetensors", "pt", "pth", "bin", "ckpt", "tar", "pkl", "npz", "npy", "onnx"];
    let names = fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        entry.path().is_file().then_some(name)
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    let named = |is_one: &dyn Fn(&str) -> bool| {
        let mut names = names.iter().filter(|name| is_one(name));
        names.next().filter(|_| names.next().is_none())
    };
    if names.iter().any(|name| name.ends_with(".distcp")) {
        let problem = format!(
            "the folder holds a distributed checkpoint of PyTorch, which is not read; PyTorch makes \
             one file of it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {} \
             model.pth",
            path.display()
        );
        return Error::format(path, problem);
    }
    let suffix = |name: &str| Path::new(name).extension()?.to_str().map(str::to_lowercase);
    let found = named(&|name| name.ends_with("safetensors.index.json"))
        .or_else(|| named(&|name| name.ends_with(INDEX)))
        .or_else(|| named(&|name| suffix(name).is_some_and(|s| CHECKPOINTS.contains(&s.as_str()))));
    let advice = match found {
        Some(name) => format!("; open {}", path.join(name).display()),
        None => String::new(),
    };
    Error::format(path, format!("expected a file, found a folder{advice}"))
}

#[cfg(test)]
mod tests {
    use super::super::dtype::Dtype;
    use super::super::fixture;
    use super::super::{Checkpoint, Format};
    use super::*;
    use tempfile::TempDir;

    /// A folder with the files `a.safetensors`, which holds `x` and `y`, and
    /// `sub/b.safetensors`, which holds `x` and `z`; every value is that file's number.
    fn parts() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        for (file, names, value) in
            [("a.safetensors", ["x", "y"], 1), ("sub/b.safetensors", ["x", "z"], 2)]
        {
            let bytes = [value];
            let tensors = names.map(|name| (name, Dtype::U8, &[1usize][..], &bytes[..]));
            fs::write(folder.path().join(file), fixture::safetensors(&tensors)).unwrap();
        }
        folder
    }

    fn opened(folder: &TempDir, index: impl AsRef<[u8]>) -> Result<Checkpoint> {
        let path = folder.path().join("model.safetensors.index.json");
        fs::write(&path, index).unwrap();
        Checkpoint::open(&path)
    }

    #[track_caller]
    fn refused(index: impl AsRef<[u8]>, because: &str) {
        let error = opened(&parts(), index).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
        assert!(error.contains("model.safetensors.index.json: "), "{error}");
    }

    /// Asserts that an index of one tensor is refused that names this file.
    #[track_caller]
    fn file_refused(file: &str, because: &str) {
        refused(format!(r#"{{"weight_map": {{"x": {file}}}}}"#), because);
    }

    #[test]
    fn tensors_are_taken_from_where_the_index_says() {
        let checkpoint = opened(
            &parts(),
            r#"{"metadata": {"total_size": 3, "format": "pt", "nested": {"a": [1]}},
                "weight_map": {"z": "sub/b.safetensors", "x": "sub/b.safetensors",
                               "y": "a.safetensors"}, "new": 7}"#,
        )
        .unwrap();
        assert_eq!(checkpoint.format(), Format::Index);
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["z", "x", "y"]);
        let values: Vec<_> = checkpoint.iter().map(|t| t.to_vec::<f32>().unwrap()[0]).collect();
        assert_eq!(values, [2.0, 2.0, 1.0]);
        assert!(checkpoint.get("y").unwrap().path().ends_with("a.safetensors"));
        let metadata: Vec<_> =
            checkpoint.metadata().iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(metadata, [("format", "pt"), ("nested", r#"{"a": [1]}"#), ("total_size", "3")]);
    }

    #[test]
    fn an_index_of_nothing_is_valid() {
        assert!(opened(&parts(), r#" {"weight_map": {}}"#).unwrap().is_empty());
    }

    #[test]
    fn the_index_is_found_from_its_own_folder() {
        // A path without a folder: the file is beside it all the same.
        assert_eq!(Path::new("index.json").with_file_name("").join("a"), Path::new("a"));
    }

    #[test]
    fn json_that_is_no_index_is_refused() {
        refused("{}", "has no weight_map");
        refused(r#"{"architectures": ["ResNet"]}"#, "has no weight_map");
        refused(r#"{"weight_map": []}"#, "weight_map: invalid type");
        refused(r#"{"weight_map": {}, "metadata": 1}"#, "metadata: invalid type");
        refused("{", "the index: EOF");
        refused("{} x", "trailing characters");
        refused(b"{\"weight_map\": {\"\xff\": 1}}", "not UTF-8");
    }

    #[test]
    fn duplicates_are_refused() {
        refused(r#"{"weight_map": {}, "weight_map": {}}"#, "weight_map is there more than once");
        refused(
            r#"{"weight_map": {"x": "a.safetensors", "x": "sub/b.safetensors"}}"#,
            "x is there more than once",
        );
        refused(
            r#"{"weight_map": {}, "metadata": {"a": 1, "a": 2}}"#,
            "metadata: a is there more than once",
        );
    }

    #[test]
    fn names_of_files_that_are_no_texts_are_refused() {
        for value in ["1", "null", "[\"a.safetensors\"]", "{}"] {
            file_refused(value, "weight_map.x: invalid type");
        }
    }

    #[test]
    fn a_missing_file_is_refused() {
        file_refused("\"c.safetensors\"", "which is not there");
        file_refused("\"c.safetensors\"", ": x: the index says that it is in ");
    }

    #[test]
    fn a_missing_tensor_is_refused() {
        let index = r#"{"weight_map": {"zz": "a.safetensors"}}"#;
        refused(index, "zz: is not where the index says: ");
        refused(r#"{"weight_map": {"weight_z": "a.safetensors"}}"#, "a.safetensors has no tensor");
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for file in [
            "/etc/passwd",
            "../a.safetensors",
            "sub/../a.safetensors",
            "",
            ".",
            "sub/",
            "a.safetensors/",
            "a\\u0000",
        ] {
            file_refused(&format!("\"{file}\""), "expected the name of a file beside the index");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_beside_the_index_is_followed() {
        let elsewhere = parts();
        let folder = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("a.safetensors");
        std::os::unix::fs::symlink(target, folder.path().join("link")).unwrap();
        assert_eq!(opened(&folder, r#"{"weight_map": {"x": "link"}}"#).unwrap().len(), 1);
    }

    #[test]
    fn an_index_of_an_index_is_refused() {
        file_refused("\"model.safetensors.index.json\"", "an index of an index is not read");
    }

    #[test]
    fn a_part_that_is_damaged_or_a_folder_is_an_error_that_names_it() {
        let folder = parts();
        fs::write(folder.path().join("c"), b"\x10\0\0\0\0\0\0\0{").unwrap();
        for file in ["c", "sub"] {
            let index = format!(r#"{{"weight_map": {{"x": "{file}"}}}}"#);
            let error = opened(&folder, index).unwrap_err().to_string();
            let named = folder.path().join(file).display().to_string();
            assert!(error.contains(&named), "{error}");
        }
    }

    #[test]
    fn what_pickles_name_is_counted_over_all_files() {
        let foreign = |name: &str, count, call: &str| Foreign {
            name: name.to_owned(),
            count,
            calls: vec![call.to_owned()],
        };
        let all = vec![foreign("os.x", 1, "1"), foreign("b", 2, "2"), foreign("os.x", 3, "3")];
        let merged = merged(all);
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[0].count, &merged[0].calls[..]), (4, &["1".into(), "3".into()][..]));
    }

    #[test]
    fn a_folder_is_refused_and_what_can_be_meant_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = || Checkpoint::open(folder.path()).unwrap_err().to_string();
        let add = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        add("README.md");
        assert!(error().ends_with("found a folder"), "{}", error());
        add("one.PTH");
        assert!(error().ends_with("one.PTH"), "{}", error());
        add("two.safetensors");
        assert!(error().ends_with("found a folder"), "{}", error());
        add("pytorch_model.bin.index.json");
        assert!(error().ends_with("bin.index.json"), "{}", error());
        add("model.safetensors.index.json");
        assert!(error().ends_with("safetensors.index.json"), "{}", error());
    }

    #[test]
    fn a_distributed_checkpoint_is_named_as_such_with_what_converts_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".metadata", "__0_0.distcp"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a distributed checkpoint of PyTorch"), "{error}");
        assert!(error.contains("dcp_to_torch") && error.ends_with("model.pth"), "{error}");
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = "[".repeat(1_000_000);
        for text in [
            format!(r#"{{"metadata": {{"a": {deep}"#),
            format!(r#"{{"weight_map": {{"a": {deep}{}}}}}"#, "]".repeat(1_000_000)),
            format!(r#"{{"metadata": {{"a": {deep}{}}}}}"#, "]".repeat(1_000_000)),
        ] {
            assert!(opened(&parts(), text).is_err());
        }
    }
}
