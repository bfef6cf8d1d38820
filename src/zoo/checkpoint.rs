//! A checkpoint: one file of named tensors, whatever its format.

use super::archive::Archive;
use super::contents::{Contents, Foreign};
use super::format::{Format, Magic};
use super::mapping::Mapping;
use super::view::TensorView;
use super::{is_batch_count, numpy, onnx, pytorch, safetensors, shards};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The named tensors of one file, or of one index of several files.
///
/// To open it reads no values, only the names, types and shapes: several
/// gigabytes are open at once. To clone it copies none either.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    metadata: BTreeMap<String, String>,
    notes: HashSet<String>,
    /// In the order of the file. Invariant: their names differ.
    tensors: Vec<TensorView>,
    /// Where in `tensors` a name is.
    index: HashMap<String, usize>,
    foreign: Vec<Foreign>,
}

impl Checkpoint {
    /// Opens the file at `path`; its format is told by its first bytes.
    ///
    /// # Errors
    /// If it cannot be opened, its format is not one of those that are read, or
    /// it is not a valid file of its format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(shards::folder(path));
        }
        Self::from_mapping(Arc::new(Mapping::open(path)?))
    }

    /// The contents of a file in memory, mapped or inside the program ([`Mapping::inside`]).
    ///
    /// # Errors
    /// If its format is not one of those that are read, or it is not a valid file of its format.
    pub fn from_mapping(mapping: Arc<Mapping>) -> Result<Self> {
        let contents = match Magic::of(mapping.bytes()) {
            Magic::Safetensors => safetensors::read(&mapping)?,
            Magic::Npy => numpy::read(&mapping)?,
            Magic::Zip => {
                let archive = Archive::read(&mapping)?;
                if pytorch::zip::is_pytorch(&archive) {
                    pytorch::zip::read(&mapping, &archive)?
                } else if numpy::is_in(&archive) {
                    numpy::read_archive(mapping.path(), &archive)?
                } else {
                    return Err(Error::format(
                        mapping.path(),
                        "a zip archive of something else: PyTorch's have a folder with data.pkl, \
                         NumPy's only members whose names end in .npy",
                    ));
                }
            }
            Magic::Pickle => pytorch::legacy::read(&mapping)?,
            Magic::Tar => pytorch::tar::read(&mapping)?,
            Magic::Json => Self::of_index(mapping.path(), shards::read(&mapping)?)?,
            Magic::Onnx => onnx::read(&mapping)?,
            Magic::Other(name) => {
                return Err(Error::format(mapping.path(), format!("the file is {name}")));
            }
            Magic::Unknown => {
                let problem = "the file begins like none of the formats that are read: \
                               safetensors, PyTorch, NumPy, ONNX; is it complete?";
                return Err(Error::format(mapping.path(), problem));
            }
        };
        // Names, types and places were copied; around each the system mapped more of the file.
        mapping.release(0..mapping.bytes().len());
        Self::new(mapping.path(), contents)
    }

    /// The tensors that an index names. Each file is opened once, as if it were opened alone.
    fn of_index(path: &Path, index: shards::Index) -> Result<Contents> {
        let mut parts = HashMap::<PathBuf, Self>::new();
        let (mut tensors, mut foreign) = (Vec::with_capacity(index.places.len()), Vec::new());
        for (tensor, file) in index.places {
            if !parts.contains_key(&file) {
                let mapping = shards::open(path, &tensor, &file)?;
                let part = Self::from_mapping(Arc::new(mapping))?;
                foreign.extend_from_slice(part.foreign());
                parts.insert(file.clone(), part);
            }
            let view = parts[&file].get(&tensor).map_err(|error| {
                Error::format_of(path, &tensor, format!("is not where the index says: {error}"))
            })?;
            tensors.push(view.clone());
        }
        let (metadata, foreign) = (index.metadata, shards::merged(foreign));
        Ok(Contents { format: Format::Index, metadata, tensors, foreign, ..Contents::default() })
    }

    /// The contents of the file at `path`.
    ///
    /// # Errors
    /// If two tensors have one name.
    fn new(path: &Path, contents: Contents) -> Result<Self> {
        let Contents { format, metadata, notes, tensors, foreign } = contents;
        let mut index = HashMap::with_capacity(tensors.len());
        for (i, tensor) in tensors.iter().enumerate() {
            if index.insert(tensor.name().to_owned(), i).is_some() {
                return Err(Error::format_of(path, tensor.name(), "is there more than once"));
            }
        }
        Ok(Self { path: path.to_path_buf(), format, metadata, notes, tensors, index, foreign })
    }

    /// The tensors to which `rename` gives a name, under that name.
    ///
    /// # Errors
    /// If two would have one name.
    pub(crate) fn map_names(self, rename: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let Self { path, format, metadata, notes, tensors, foreign, .. } = self;
        let named = tensors.into_iter().filter_map(|view| {
            let name = rename(view.name())?;
            Some(view.named(name))
        });
        let tensors = named.collect();
        Self::new(&path, Contents { format, metadata, notes, tensors, foreign })
    }

    /// Puts what `change` makes of tensors, if it makes something, in their places, under their names.
    pub(super) fn map_tensors(&mut self, change: impl Fn(&TensorView) -> Option<TensorView>) {
        for view in &mut self.tensors {
            if let Some(changed) = change(view) {
                *view = changed.named(view.name().to_owned());
            }
        }
    }

    /// The tensors that a network may have: counts of batches and scales of others are none.
    pub(super) fn parts(&self) -> impl Iterator<Item = &TensorView> {
        self.iter().filter(|view| !is_batch_count(view.name()) && !self.is_scale(view))
    }

    /// The same with these texts over its own.
    #[cfg(feature = "train")]
    pub(crate) fn with_metadata(mut self, texts: BTreeMap<String, String>) -> Self {
        self.notes.retain(|key| !texts.contains_key(key));
        self.metadata.extend(texts);
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file; if its tensors lie in others, of all of them together.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn file_bytes(&self) -> Result<u64> {
        let files = self.iter().map(TensorView::path).chain([self.path()]);
        let size = |path| Ok(std::fs::metadata(path).map_err(Error::io("read", path))?.len());
        files.collect::<BTreeSet<_>>().into_iter().map(size).sum()
    }

    /// The format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the file, if it is a pickle, asks Python to import and call, and that is not
    /// needed to read its tensors. An untrusted file that names anything here deserves a look
    /// before Python unpickles it.
    pub fn foreign(&self) -> &[Foreign] {
        &self.foreign
    }

    /// Texts that the file holds beside its tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Those of them that say what the tensors are. What a pickle holds beside its tensors is
    /// not among them: another program means something else by `form` or `input_size`.
    pub fn declared(&self) -> BTreeMap<String, String> {
        let mut declared = self.metadata.clone();
        declared.retain(|key, _| !self.notes.contains(key));
        declared
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The tensors, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, TensorView> {
        self.tensors.iter()
    }

    /// The names of the tensors, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(TensorView::name)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// If there is none; the most similar name is in the message.
    pub fn get(&self, name: &str) -> Result<&TensorView> {
        self.find(name)
            .ok_or_else(|| Error::missing(name, self.path().display().to_string(), self.names()))
    }

    /// The tensor of this name, if there is one.
    pub(super) fn find(&self, name: &str) -> Option<&TensorView> {
        self.index.get(name).map(|&i| &self.tensors[i])
    }
}

impl<'a> IntoIterator for &'a Checkpoint {
    type Item = &'a TensorView;
    type IntoIter = std::slice::Iter<'a, TensorView>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::dtype::Dtype;
    use super::super::fixture;
    use super::*;

    #[test]
    fn tensors_are_found_by_name() {
        let checkpoint = fixture::checkpoint(&[
            ("layer1.weight", Dtype::F32, &[2], &[0, 0, 128, 63, 0, 0, 0, 64]),
            ("layer1.steps", Dtype::I64, &[], &[7, 0, 0, 0, 0, 0, 0, 0]),
        ]);
        assert_eq!(checkpoint.len(), 2);
        assert!(!checkpoint.is_empty());
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["layer1.weight", "layer1.steps"]);
        assert_eq!(checkpoint.into_iter().count(), 2);
        assert!(checkpoint.contains("layer1.steps") && !checkpoint.contains("layer1"));
        let view = checkpoint.get("layer1.weight").unwrap();
        assert_eq!(view.to_vec::<f64>().unwrap(), [1.0, 2.0]);
        assert_eq!(checkpoint.get("layer1.steps").unwrap().to_vec::<f32>().unwrap(), [7.0]);
    }

    #[test]
    fn a_missing_tensor_is_an_error_that_names_the_nearest() {
        let checkpoint = fixture::checkpoint(&[("fc.weight", Dtype::U8, &[0], &[])]);
        let error = checkpoint.get("fc.weigth").unwrap_err().to_string();
        assert!(error.contains(&checkpoint.path().display().to_string()), "{error}");
        assert!(error.ends_with("the most similar one is fc.weight"), "{error}");
    }

    #[test]
    fn a_header_whose_length_looks_like_a_pickle_is_read() {
        // 640 is 80 02 in hexadecimal, lower byte first.
        let header = format!("{:640}", "{}");
        let bytes = [&640u64.to_le_bytes(), header.as_bytes()].concat();
        assert!(Checkpoint::open(fixture::file(&bytes)).unwrap().is_empty());
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_file_of_gigabytes_is_open_at_once() {
        // Sparse: the disk holds only the header, and no value is read.
        let length = 8usize << 30;
        let header =
            format!(r#"{{"w":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        let path = fixture::file(&bytes);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len((bytes.len() + length) as u64).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.get("w").unwrap().bytes().unwrap()[length - 1], 0);
    }
}
