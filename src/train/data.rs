//! Finding out what kind of data lies at a path, and showing it to a network.

use super::Input;
use crate::dataset::{
    Channels, Dataset, Folder, Image, Loader, Samples, Transform, Views, digits, mnist,
};
use crate::start::{Labelled, Probe};
use crate::tensor::Tensor;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Of a folder of MNIST, the pair of files that begins with `train`.
    Training,
    /// Of a folder of MNIST, the pair of files that begins with `t10k`.
    Testing,
}

/// The kinds of data.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// A CSV file of UCI's digits.
    Digits(PathBuf),
    /// A folder of images for each class.
    Folder(PathBuf),
    /// MNIST: images and labels.
    Idx(PathBuf, PathBuf),
    /// A folder with `0.json` to `9.json`.
    Json(PathBuf),
}

const KINDS: &str = "a folder with a folder of PNG or JPEG images for each class, the digits of \
                     UCI as .csv or .csv.gz, or MNIST as IDX files or as 0.json to 9.json";

/// Labelled images, as a network is to see them; a copy shares them.
#[derive(Clone)]
pub struct Data {
    dataset: Arc<dyn Dataset>,
    input: Input,
    /// Height and width that the images in memory have; `None` for those in files.
    side: Option<usize>,
}

impl Data {
    /// Opens whatever is at `path`.
    ///
    /// # Errors
    /// If it is no data set of a known kind, or cannot be read.
    pub fn open(path: impl AsRef<Path>, purpose: Purpose, input: &Input) -> Result<Self> {
        input.check("")?;
        // In memory, images are no larger than there is anything to see.
        const LARGEST_IN_MEMORY: usize = 64;
        let side = input.resize.min(LARGEST_IN_MEMORY);
        let samples = match kind(path.as_ref(), purpose)? {
            Kind::Digits(path) => digits::read(path, side)?,
            Kind::Idx(images, labels) => mnist::read_idx(images, labels, side)?,
            Kind::Json(folder) => mnist::read_json(folder, side)?,
            Kind::Folder(folder) => {
                let channels = if input.channels == 1 { Channels::Grey } else { Channels::Rgb };
                let dataset = Arc::new(Folder::open(folder, channels)?);
                return Ok(Self { dataset, input: input.clone(), side: None });
            }
        };
        let dataset: Arc<dyn Dataset> = match input.channels {
            1 => Arc::new(samples),
            channels => Arc::new(Coloured { samples, channels }),
        };
        Ok(Self { dataset, input: input.clone(), side: Some(side) })
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// The labels of all images.
    pub fn labels(&self) -> &[usize] {
        self.dataset.labels()
    }

    /// The images `indices`, or all, in their order, as in evaluation.
    ///
    /// # Errors
    /// If there are no indices or `batch` is 0.
    pub fn in_order(&self, indices: Option<&[usize]>, batch: usize) -> Result<Loader<'static>> {
        self.in_views(Views::One, indices, batch)
    }

    /// As [`Data::in_order`], several views of each image.
    ///
    /// # Errors
    /// As [`Data::in_order`].
    pub fn in_views(
        &self,
        views: Views,
        indices: Option<&[usize]>,
        batch: usize,
    ) -> Result<Loader<'static>> {
        let mut transforms = self.input.transforms();
        if self.side == Some(self.input.resize) {
            transforms.remove(0);
        }
        if matches!(views, Views::Ten(_)) {
            transforms.retain(|transform| !matches!(transform, Transform::CentreCrop(_)));
        }
        let loader = self.loader(indices, batch, 0)?;
        Ok(loader.transformed(transforms).in_order().in_views(views))
    }

    /// The images `indices`, or all, shuffled and changed at random.
    ///
    /// # Errors
    /// If there are no indices or `batch` is 0.
    pub fn shuffled(
        &self,
        indices: Option<&[usize]>,
        batch: usize,
        seed: u64,
        augmentation: Augmentation,
    ) -> Result<Loader<'static>> {
        let Input { resize, size, .. } = self.input;
        let mut transforms = self.input.transforms();
        match augmentation {
            Augmentation::None => {}
            Augmentation::Shift => {
                transforms.insert(transforms.len() - 1, Transform::RandomShift((size / 16).max(1)));
            }
            Augmentation::Crop => {
                transforms = vec![
                    Transform::Resize(resize, resize),
                    Transform::RandomResizedCrop(size),
                    Transform::RandomFlip,
                    self.input.normalise(),
                ];
            }
        }
        if self.side == Some(resize) {
            transforms.remove(0);
        }
        Ok(self.loader(indices, batch, seed)?.transformed(transforms))
    }

    fn loader(
        &self,
        indices: Option<&[usize]>,
        batch: usize,
        seed: u64,
    ) -> Result<Loader<'static>> {
        // More than all would only be a larger number.
        let batch = batch.min(self.dataset.len()).max(batch.min(1));
        let loader = Loader::shared(Arc::clone(&self.dataset), batch, seed)?;
        match indices {
            Some(indices) => loader.subset(indices),
            None => Ok(loader),
        }
    }
}

/// Training images by which sources are compared.
pub(super) struct DataProbe {
    pub data: Data,
    /// The images that are trained on.
    pub training: Vec<usize>,
    pub seed: u64,
}

impl Probe for DataProbe {
    /// Up to 2000 images.
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_> {
        const SCORED: usize = 2000;
        const BATCH: usize = 64;
        let mut spread = spread(&self.training, SCORED);
        fastrand::Rng::with_seed(self.seed).shuffle(&mut spread);
        match self.data.in_order(Some(&spread), BATCH) {
            Ok(loader) => Box::new((0..loader.batches_per_epoch() as u64).map(move |step| {
                let batch = loader.batch(step)?;
                Ok((batch.images, batch.labels))
            })),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    /// So many images that correlations are stable; time grows with their pixels.
    fn images(&self) -> Result<Tensor<f32>> {
        const PIXELS: usize = 1 << 21;
        let pixels = self.data.input.size.max(1).saturating_pow(2);
        let spread = spread(&self.training, (PIXELS / pixels).clamp(8, 512));
        Ok(self.data.in_order(Some(&spread), spread.len())?.batch(0)?.images)
    }
}

/// At most so many of the indices, evenly spread: data is often sorted by class.
fn spread(indices: &[usize], most: usize) -> Vec<usize> {
    let count = indices.len().min(most);
    (0..count).map(|k| indices[k * indices.len() / count]).collect()
}

/// How images are changed at random in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Augmentation {
    /// Not at all.
    #[default]
    None,
    /// Moved by up to a sixteenth of their size.
    Shift,
    /// A random part, mirrored or not, as in the release of Zoo-Tuning.
    Crop,
}

/// Grey images with their channel repeated.
struct Coloured {
    samples: Samples,
    channels: usize,
}

impl Dataset for Coloured {
    fn classes(&self) -> &[String] {
        self.samples.classes()
    }

    fn labels(&self) -> &[usize] {
        self.samples.labels()
    }

    fn name(&self, index: usize) -> String {
        self.samples.name(index)
    }

    fn image(&self, index: usize) -> Result<Image> {
        let image = self.samples.image(index)?;
        let [_, height, width] = image.shape();
        Image::new([self.channels, height, width], image.values().repeat(self.channels))
    }
}

/// What kind of data is at `path`.
fn kind(path: &Path, purpose: Purpose) -> Result<Kind> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if metadata.is_file() {
        if name.contains("images-idx3") || name.contains("images.idx3") {
            return with_labels(path).map(|labels| Kind::Idx(path.to_path_buf(), labels));
        }
        if name.ends_with(".csv") || name.ends_with(".csv.gz") {
            return Ok(Kind::Digits(path.to_path_buf()));
        }
        let problem = format!("expected {KINDS}; found a file of another name");
        return Err(Error::data(path, "", problem));
    }
    if path.join("0.json").is_file() {
        return Ok(Kind::Json(path.to_path_buf()));
    }
    let (mut images, mut folders) = (vec![], 0);
    for entry in std::fs::read_dir(path).map_err(Error::io("read", path))? {
        let entry = entry.map_err(Error::io("read", path))?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.contains("images-idx3") || name.contains("images.idx3") {
            images.push(entry);
        } else if entry.is_dir() && !name.starts_with('.') {
            folders += 1;
        }
    }
    images.sort();
    let preferred = if purpose == Purpose::Training { "train" } else { "t10k" };
    let is_preferred = |path: &&PathBuf| {
        path.file_name().unwrap_or_default().to_string_lossy().starts_with(preferred)
    };
    match (&images[..], folders) {
        ([], 0) => {
            Err(Error::data(path, "", format!("expected {KINDS}; found a folder without them")))
        }
        ([], _) => Ok(Kind::Folder(path.to_path_buf())),
        (images, _) => {
            let chosen = images.iter().find(is_preferred).unwrap_or(&images[0]);
            with_labels(chosen).map(|labels| Kind::Idx(chosen.clone(), labels))
        }
    }
}

/// The file of labels beside a file of images, packed or not.
fn with_labels(images: &Path) -> Result<PathBuf> {
    let name = images.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.replace("images", "labels").replace("idx3", "idx1");
    let bare = name.strip_suffix(".gz").unwrap_or(&name).to_owned();
    let candidates = [name, bare.clone(), format!("{bare}.gz")];
    let mut candidates = candidates.iter().map(|name| images.with_file_name(name));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        Error::data(images, "", format!("expected the labels beside it, as {bare} or {bare}.gz"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn input(channels: usize) -> Input {
        let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
        Input { channels, resize: 20, size: 16, mean, std }
    }

    /// Kinds of a folder in which these files and folders (with a slash at the end) are.
    fn kinds(names: &[&str]) -> [Result<Kind, String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            if name.ends_with('/') { fs::create_dir(path) } else { fs::write(path, "") }.unwrap();
        }
        [Purpose::Training, Purpose::Testing].map(|purpose| {
            kind(folder.path(), purpose).map_err(|error| error.to_string()).map(|kind| {
                let bare = |path: &Path| {
                    path.strip_prefix(folder.path()).map(Path::to_path_buf).unwrap_or_default()
                };
                match kind {
                    Kind::Idx(images, labels) => Kind::Idx(bare(&images), bare(&labels)),
                    Kind::Json(path) => Kind::Json(bare(&path)),
                    Kind::Folder(path) => Kind::Folder(bare(&path)),
                    Kind::Digits(path) => Kind::Digits(bare(&path)),
                }
            })
        })
    }

    #[test]
    fn indices_are_spread_evenly() {
        assert_eq!(spread(&[1, 2, 3, 4, 5, 6], 3), [1, 3, 5]);
        assert_eq!(spread(&[1, 2], 3), [1, 2]);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn data_is_known_by_what_is_there() {
        let [training, testing] = kinds(&[
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte.gz",
        ]);
        let pair = |a: &str, b: &str| Ok(Kind::Idx(a.into(), b.into()));
        assert_eq!(training, pair("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"));
        assert_eq!(testing, pair("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"));
        assert_eq!(kinds(&["0.json", "1.json"])[0], Ok(Kind::Json("".into())));
        assert_eq!(kinds(&["cat/", "README.md"])[1], Ok(Kind::Folder("".into())));
        for names in [&[][..], &["README.md"], &[".git/"]] {
            let [problem, _] = kinds(names);
            assert!(problem.unwrap_err().contains("found a folder without them"));
        }
        let [problem, _] = kinds(&["train-images-idx3-ubyte"]);
        assert!(problem.unwrap_err().contains("train-labels-idx1-ubyte.gz"));
    }

    #[test]
    fn the_network_sees_images_of_its_size_and_channels() {
        let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.csv.gz");
        let data = Data::open(digits, Purpose::Training, &input(3)).unwrap();
        let seen = data.in_order(Some(&[5, 7]), 9).unwrap().batch(0).unwrap();
        assert_eq!((seen.images.shape(), &seen.labels[..]), (&[2, 3, 16, 16][..], &[5, 7][..]));
        let [first, second, _] = [0, 1, 2].map(|c| &seen.images.as_slice()[c * 256..][..256]);
        assert_eq!(first, second);
        for augmentation in [Augmentation::None, Augmentation::Shift, Augmentation::Crop] {
            let loader = data.shuffled(None, usize::MAX, 1, augmentation).unwrap();
            assert_eq!(loader.batch(0).unwrap().images.shape(), [1797, 3, 16, 16]);
        }
        assert!(data.shuffled(None, 0, 1, Augmentation::None).is_err());
        assert!(Data::open(digits, Purpose::Training, &input(2)).is_err());
    }
}
