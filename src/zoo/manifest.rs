//! A zoo described in a file: `zoo.toml`.
//!
//! ```toml
//! architecture = "resnet50"
//!
//! [[source]]
//! file = "moco_v1_200ep_pretrain.pth.tar"
//! name = "MoCo v1"
//! licence = "CC-BY-NC-4.0"
//! origin = "where the file was found"
//! format = "pytorch-legacy"
//! sha256 = "..."
//! prefix = "state_dict.module.encoder_q."   # found by itself, if not given
//! rename = ["^old=new"]                      # before that
//! layout = "hwio"                            # of the kernels' axes; oihw if not given
//! size = 224
//! resize = 256
//! mean = [103.53, 116.28, 123.675]
//! std = [1, 1, 1]
//! order = "bgr"                              # of the channels, and of mean and std; rgb if not given
//! range = 255                                # what white is to mean and std; 1 if not given
//! ```
//!
//! Only `file` has to be there; it counts from the folder of the description.

use super::axes::Axes;
use super::checkpoint::Checkpoint;
use super::mapping::Mapping;
use super::naming::Naming;
use super::view::TensorView;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a `zoo.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The architecture of all sources.
    pub architecture: Option<String>,
    /// The sources, in their order.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// One source of a zoo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The checkpoint.
    pub file: PathBuf,
    /// What people call it.
    pub name: Option<String>,
    /// Under which it may be used.
    pub licence: Option<String>,
    /// Where it is from.
    pub origin: Option<String>,
    /// The word for the file's format, see [`Format::id`](super::Format::id).
    pub format: Option<String>,
    /// The hash of the checkpoint, in hexadecimal; see [`sha256_of`].
    pub sha256: Option<String>,
    /// What the names of the network's tensors begin with.
    pub prefix: Option<String>,
    /// Rules `FROM=TO` for names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<String>,
    /// The order of its kernels' axes.
    pub layout: Option<Axes>,
    /// Height and width that the network was trained on.
    pub size: Option<usize>,
    /// Height and width that its images were resized to before.
    pub resize: Option<usize>,
    /// Subtracted from the images' values of 0 to 1, or to `range`, for each channel.
    pub mean: Option<Vec<f32>>,
    /// Divided by then, for each channel; in older files `deviation`.
    #[serde(alias = "deviation")]
    pub std: Option<Vec<f32>>,
    /// The order of channels, `rgb` or `bgr`.
    pub order: Option<String>,
    /// The largest value of an image that is still to be normalised: 1, or 255.
    pub range: Option<f32>,
}

impl Manifest {
    /// Reads a description; the files of its sources are led to its folder, but not opened.
    ///
    /// # Errors
    /// If it cannot be read, is no TOML, has a key that is unknown, or no source.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let mut manifest: Self = toml::from_str(&text)
            .map_err(|error| Error::format(path, error.to_string().trim().to_owned()))?;
        if manifest.sources.is_empty() {
            return Err(Error::format(path, "a zoo needs at least one [[source]]"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for source in &mut manifest.sources {
            source.file = folder.join(&source.file);
        }
        Ok(manifest)
    }

    /// As the text of a file that [`Manifest::read`] reads.
    ///
    /// # Errors
    /// If a path is no text.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::config("zoo.toml", error.to_string()))
    }
}

impl Source {
    /// Opens the file, its kernels' axes in our order, with what the description says of its images
    /// among its metadata; and the rules for its names.
    ///
    /// # Errors
    /// If the file cannot be opened, is of another format, or a rule has no meaning.
    pub fn open(&self) -> Result<(Checkpoint, Naming)> {
        let checkpoint = Checkpoint::open(&self.file)?;
        let found = checkpoint.format().id();
        if let Some(format) = self.format.as_ref().filter(|format| *format != found) {
            let problem = format!("its description says {format}, but it is {found}");
            return Err(Error::format(&self.file, problem));
        }
        let checkpoint = checkpoint.with_axes(self.layout.unwrap_or_default());
        Ok((checkpoint.with_metadata(self.image_metadata()), self.naming()?))
    }

    /// The rules for the file's names.
    ///
    /// # Errors
    /// If a rule has no meaning.
    pub fn naming(&self) -> Result<Naming> {
        Ok(Naming::from_rules(&self.rename)?.behind(self.prefix.as_deref()))
    }

    /// What the network expects its images to be, as a checkpoint's metadata says it.
    fn image_metadata(&self) -> BTreeMap<String, String> {
        let list =
            |values: &Vec<f32>| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let texts = [
            ("input_size", self.size.as_ref().map(usize::to_string)),
            ("input_resize", self.resize.as_ref().map(usize::to_string)),
            ("input_mean", self.mean.as_ref().map(list)),
            ("input_std", self.std.as_ref().map(list)),
            ("input_order", self.order.clone()),
            ("input_range", self.range.as_ref().map(f32::to_string)),
        ];
        let text = |(key, text): (&str, Option<String>)| Some((key.to_owned(), text?));
        texts.into_iter().filter_map(text).collect()
    }

    /// Reads all of the checkpoint's files and compares their hash with the description's.
    ///
    /// # Errors
    /// If a file cannot be read, or they have another hash.
    pub fn check_hash(&self, checkpoint: &Checkpoint) -> Result<()> {
        let Some(expected) = &self.sha256 else { return Ok(()) };
        let found = sha256_of(checkpoint)?;
        if found.eq_ignore_ascii_case(expected.trim()) {
            return Ok(());
        }
        let problem = format!(
            "its SHA-256 is {found}, but its description says {expected}: it was cut off, or is \
             another file"
        );
        Err(Error::format(&self.file, problem))
    }
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: impl AsRef<Path>) -> Result<String> {
    sha256_of_all([path.as_ref()])
}

/// The SHA-256 of a checkpoint, in hexadecimal: of its file, or, where its tensors lie in several,
/// of the one that was opened and of the others behind it in the order of their paths, as
/// `cat model.safetensors.index.json model-*.safetensors | sha256sum` says it.
///
/// # Errors
/// If a file cannot be read.
pub fn sha256_of(checkpoint: &Checkpoint) -> Result<String> {
    let parts: BTreeSet<&Path> = checkpoint.iter().map(TensorView::path).collect();
    let others = parts.into_iter().filter(|part| *part != checkpoint.path());
    sha256_of_all(std::iter::once(checkpoint.path()).chain(others))
}

/// The hash of these files behind each other.
fn sha256_of_all<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<String> {
    // Piece by piece, so that no file fills the memory.
    const PIECE: usize = 1 << 24;
    let mut hash = Sha256::new();
    for path in paths {
        let mapping = Mapping::open(path)?;
        for (at, piece) in mapping.bytes().chunks(PIECE).enumerate() {
            hash.update(piece);
            mapping.release(at * PIECE..at * PIECE + piece.len());
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Dtype, fixture};
    use super::*;

    fn read(text: &str) -> Result<Manifest> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zoo.toml");
        std::fs::write(&path, text).unwrap();
        Manifest::read(path)
    }

    #[test]
    fn what_is_written_is_read() {
        let source = Source {
            file: "/a/b.pth".into(),
            rename: vec!["a=b".into()],
            mean: Some(vec![0.5]),
            size: Some(32),
            ..Source::default()
        };
        let manifest = Manifest { architecture: Some("resnet50".into()), sources: vec![source] };
        assert_eq!(read(&manifest.to_toml().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn files_count_from_the_description() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zoo.toml");
        std::fs::write(&path, "[[source]]\nfile = 'a.pth'").unwrap();
        assert_eq!(Manifest::read(path).unwrap().sources[0].file, folder.path().join("a.pth"));
    }

    #[test]
    fn a_description_without_meaning_is_an_error() {
        for (text, because) in [
            ("", "missing field `source`"),
            ("source = []", "at least one"),
            ("[[source]]\nname = 'a'", "missing field `file`"),
            ("[[source]]\nfile = 'a'\nmaen = [1.0]", "unknown field `maen`"),
            ("[[source]]\nfile = 1", "invalid type"),
            ("= 1", "zoo.toml"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(because), "{error}");
        }
    }

    #[test]
    fn a_source_is_checked_against_its_description() {
        let path = fixture::file(&fixture::safetensors(&[("x.t", Dtype::U8, &[1], &[9])]));
        let mut source = Source {
            file: path.to_path_buf(),
            format: Some("safetensors".into()),
            sha256: Some(sha256(&path).unwrap().to_uppercase()),
            prefix: Some("x.".into()),
            mean: Some(vec![0.5, 0.25]),
            ..Source::default()
        };
        let (checkpoint, naming) = source.open().unwrap();
        source.check_hash(&checkpoint).unwrap();
        assert_eq!(checkpoint.metadata()["input_mean"], "0.5,0.25");
        source.sha256 = Some("00".into());
        assert!(source.check_hash(&checkpoint).unwrap_err().to_string().contains("SHA-256"));
        assert!(naming.renamed(checkpoint).unwrap().contains("t"));
        source.format = Some("onnx".into());
        assert!(
            source.open().unwrap_err().to_string().contains("says onnx, but it is safetensors")
        );
    }

    #[test]
    fn the_hash_is_of_all_files_that_tensors_lie_in() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let index = r#"{"weight_map": {"y": "b.safetensors", "x": "a.safetensors"}}"#;
        std::fs::write(place("i.json"), index).unwrap();
        let part = |value: u8| {
            fixture::safetensors(&[
                ("x", Dtype::U8, &[1], &[value]),
                ("y", Dtype::U8, &[1], &[value]),
            ])
        };
        std::fs::write(place("a.safetensors"), part(1)).unwrap();
        std::fs::write(place("b.safetensors"), part(2)).unwrap();
        let all = [index.as_bytes(), &part(1), &part(2)].concat();
        let checkpoint = Checkpoint::open(place("i.json")).unwrap();
        let source = Source {
            file: place("i.json"),
            sha256: Some(sha256(fixture::file(&all)).unwrap()),
            ..Source::default()
        };
        source.check_hash(&checkpoint).unwrap();
        std::fs::write(place("b.safetensors"), part(3)).unwrap();
        assert!(source.check_hash(&checkpoint).is_err());
    }

    #[test]
    fn the_hash_is_that_of_sha256() {
        // From the standard, FIPS 180-4.
        let path = fixture::file(b"abc");
        assert_eq!(
            sha256(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
