//! Labelled images, and how they are shown to a network.

use super::config::DataConfig;
use super::kind::{Kind, kind};
use super::seen::Unreadable;
use super::{Input, Material};
use crate::dataset::{
    Check, Dataset, Image, Joined, Loader, Pictures, ResizeMode, Samples, Split, Transform, Views,
    digits, mnist,
};
use crate::start::{Labelled, Probe};
use crate::tensor::Tensor;
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// What data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Of a folder of MNIST, the pair of files that begins with `train`.
    Training,
    /// Of a folder of MNIST, the pair of files that begins with `t10k`.
    Testing,
}

/// Data that a program brings to a run, instead of those that its configuration names.
pub(super) type Given = Option<Arc<dyn Dataset>>;

/// Labelled images, as a network is to see them; a copy shares them.
#[derive(Clone)]
pub struct Data {
    dataset: Arc<dyn Dataset>,
    input: Input,
    /// The samples that are used, by index.
    used: Vec<usize>,
    /// What a user should know of them.
    notes: Vec<String>,
    /// Why pictures are left out that cannot be read.
    unreadable: Vec<String>,
    /// Whether a program has brought them, so that nothing need lie at a path.
    is_given: bool,
}

impl Data {
    /// Opens whatever is at `path`. Of data that are divided, all are used for training, and for
    /// testing those that are for it, else those for validation.
    ///
    /// # Errors
    /// If it is no data set of a known kind, or cannot be read.
    pub fn open(path: impl AsRef<Path>, purpose: Purpose, input: &Input) -> Result<Self> {
        input.check("")?;
        let mut notes = Vec::new();
        let dataset = opened(path.as_ref(), purpose, input, &mut notes)?;
        let data = Self::of(dataset, input, notes);
        Ok(match purpose {
            Purpose::Testing => data.for_testing(path.as_ref()),
            Purpose::Training => data,
        })
    }

    /// Of data that are divided, those that are for testing, else those for validation; `path` is where
    /// they are, for a note.
    #[must_use]
    pub fn for_testing(mut self, path: &Path) -> Self {
        let splits = self.dataset.splits();
        let part =
            [Split::Test, Split::Validation].into_iter().find(|split| splits.contains(split));
        if let Some(split) = part {
            self.used = split.indices(splits);
            let (name, path) = (split.name(), path.display());
            self.notes.push(format!("{path} is divided; this is of its {name} samples"));
        }
        self
    }

    /// Opens the data of a run: those at its path, and those for validation and test alone; or
    /// shows what is `given` instead.
    ///
    /// # Errors
    /// As [`Data::open`]; if there are two sets for one purpose, or their classes differ.
    pub(super) fn of_run(config: &DataConfig, input: &Input, given: &Given) -> Result<Self> {
        input.check("")?;
        if let Some(dataset) = given {
            return Ok(Self { is_given: true, ..Self::of(Arc::clone(dataset), input, vec![]) });
        }
        let mut notes = Vec::new();
        let mut dataset = opened(&config.path, Purpose::Training, input, &mut notes)?;
        let mut others = Vec::new();
        let given =
            [(Split::Validation, &config.validation_data), (Split::Test, &config.test_data)];
        for (split, path) in given {
            let Some(path) = path else { continue };
            if dataset.splits().contains(&split) {
                let (name, data) = (split.name(), config.path.display());
                let problem = format!("{data} has {name} samples of its own; leave one out");
                return Err(Error::config(format!("data.{name}_data"), problem));
            }
            others.push((split, opened(path, Purpose::Testing, input, &mut notes)?));
        }
        if !others.is_empty() {
            dataset = Arc::new(Joined::new(dataset, others)?);
        }
        Ok(Self::of(dataset, input, notes))
    }

    /// Any images as they are.
    pub fn showing(dataset: Arc<dyn Dataset>, input: &Input, notes: Vec<String>) -> Self {
        let used = (0..dataset.len()).collect();
        Self { dataset, input: input.clone(), used, notes, unreadable: vec![], is_given: false }
    }

    fn of(dataset: Arc<dyn Dataset>, input: &Input, mut notes: Vec<String>) -> Self {
        if let ([class], Some(file)) = (dataset.classes(), dataset.file(0)) {
            notes.push(format!(
                "there is one class only, {class:?}: is the data's folder one level too high or too \
                 low? Its first picture is {}, and a class is the folder in the data's folder",
                file.display()
            ));
        }
        Self::showing(dataset, input, notes)
    }

    /// The same, after a look at the files of all samples that are used, but for those that were
    /// looked at before and have not changed. Those that cannot be read are left out if that is
    /// wanted.
    ///
    /// # Errors
    /// If there are such; all of them are named.
    pub fn checked(mut self, check: Check, skips_unreadable: bool) -> Result<Self> {
        let file = |&index: &usize| Some((index, self.dataset.file(index)?));
        let (indices, files): (Vec<usize>, Vec<&Path>) = self.used.iter().filter_map(file).unzip();
        let found = Unreadable::among(&files, check);
        let Some(note) = found.note("data", skips_unreadable)? else { return Ok(self) };
        self.notes.push(note);
        let bad: HashSet<usize> = found.bad().map(|(at, _)| indices[at]).collect();
        self.used.retain(|index| !bad.contains(index));
        self.unreadable.extend(found.bad().map(|(_, error)| error.to_string()));
        Ok(self)
    }

    /// What a user should know of the data: what was left out, what looks like a mistake.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the data of a run are made of now.
    pub(super) fn material(&self, config: &DataConfig) -> Result<Material> {
        if self.is_given && !config.path.exists() {
            return Ok(Material::default());
        }
        let used = self.used.iter().filter_map(|&index| self.dataset.file(index));
        Material::look(config, used, &self.unreadable)
    }

    /// The samples that are used.
    pub fn used(&self) -> &[usize] {
        &self.used
    }

    /// What each sample is for, if that is known; otherwise empty.
    pub(super) fn splits(&self) -> &[Split] {
        self.dataset.splits()
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// The labels of all images.
    pub fn labels(&self) -> &[usize] {
        self.dataset.labels()
    }

    /// The images `indices`, or all that are used, in their order, as in evaluation.
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
        // Corners are cut out of all of it.
        if let (Views::Ten(_), Transform::Fit { size, .. }) = (views, &mut transforms[0]) {
            *size = None;
        }
        let loader = self.loader(indices, batch, 0)?;
        Ok(loader.transformed(transforms).in_order().in_views(views))
    }

    /// The images `indices`, or all that are used, shuffled and changed at random.
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
        let Input { resize, resize_mode, size, .. } = self.input;
        let mut transforms = self.input.transforms();
        match augmentation {
            Augmentation::None => {}
            Augmentation::Shift => {
                transforms.insert(transforms.len() - 1, Transform::RandomShift((size / 16).max(1)));
            }
            Augmentation::Crop => {
                transforms = vec![
                    Transform::RandomResizedCrop(size),
                    Transform::RandomFlip,
                    self.input.normalise(),
                ];
                // Of a picture that is squashed as in evaluation, in the authors' code.
                if resize_mode == ResizeMode::Squash {
                    transforms.insert(0, Transform::Resize(resize, resize));
                }
            }
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
        loader.subset(indices.unwrap_or(&self.used))
    }
}

/// The data set at a path.
fn opened(
    path: &Path,
    purpose: Purpose,
    input: &Input,
    notes: &mut Vec<String>,
) -> Result<Arc<dyn Dataset>> {
    // In memory, images are no larger than there is anything to see.
    const LARGEST_IN_MEMORY: usize = 64;
    let side = input.resize.min(LARGEST_IN_MEMORY);
    let reading = input.reading()?;
    let samples = match kind(path, purpose)? {
        Kind::Digits(path) => digits::read(path, side)?,
        Kind::Idx(images, labels) => mnist::read_idx(images, labels, side)?,
        Kind::Json(folder) => mnist::read_json(folder, side)?,
        Kind::Folder(folder) => {
            let pictures = Pictures::folder(folder, reading)?;
            if !pictures.left_out().is_empty() {
                let (path, other) = (path.display(), pictures.left_out());
                notes.push(format!("{path}: left out what is no picture: {other}"));
            }
            return Ok(Arc::new(pictures));
        }
        Kind::List(path) => return Ok(Arc::new(Pictures::list(path, reading)?)),
        Kind::Published(published) => return Ok(Arc::new(published.pictures(reading)?)),
        Kind::Cifar(files) => return Ok(Arc::new(files.read(reading.channels)?)),
    };
    Ok(match input.channels {
        1 => Arc::new(samples),
        channels => Arc::new(Coloured { samples, channels }),
    })
}

/// Training images by which sources are compared.
pub(super) struct DataProbe {
    pub data: Data,
    /// The images that are trained on.
    pub training: Vec<usize>,
    pub seed: u64,
}

impl Probe for DataProbe {
    /// Up to 2000 images, of which small ones fill large batches: statistics of batches are then
    /// nearer to those of all.
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_> {
        const SCORED: usize = 2000;
        let mut spread = spread(&self.training, SCORED);
        fastrand::Rng::with_seed(self.seed).shuffle(&mut spread);
        match self.data.in_order(Some(&spread), self.at_once(64)) {
            Ok(loader) => Box::new((0..loader.batches_per_epoch() as u64).map(move |step| {
                let batch = loader.batch(step)?;
                Ok((batch.images, batch.labels))
            })),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    /// So many images that correlations are stable; time grows with their pixels.
    fn images(&self) -> Result<Tensor<f32>> {
        let spread = spread(&self.training, self.at_once(8));
        Ok(self.data.in_order(Some(&spread), spread.len())?.batch(0)?.images)
    }
}

impl DataProbe {
    /// How many images are computed at once, by their pixels; `least` of large ones.
    fn at_once(&self, least: usize) -> usize {
        const PIXELS: usize = 1 << 21;
        let pixels = self.data.input.size.max(1).saturating_pow(2);
        (PIXELS / pixels).clamp(least, 512)
    }
}

/// At most so many of the indices, evenly spread: data is often sorted by class.
pub(in crate::train) fn spread(indices: &[usize], most: usize) -> Vec<usize> {
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

    fn image(&self, index: usize) -> Result<Image> {
        let image = self.samples.image(index)?;
        let [_, height, width] = image.shape();
        Image::new([self.channels, height, width], image.values().repeat(self.channels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(channels: usize) -> Input {
        let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
        let resize_mode = ResizeMode::ShortSide;
        Input { channels, resize: 20, resize_mode, size: 16, mean, std, ignore_orientation: false }
    }

    #[test]
    fn indices_are_spread_evenly() {
        assert_eq!(spread(&[1, 2, 3, 4, 5, 6], 3), [1, 3, 5]);
        assert_eq!(spread(&[1, 2], 3), [1, 2]);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn data_that_a_program_brings_need_no_path() {
        let images = vec![Image::new([1, 2, 2], vec![0.5; 4]).unwrap(); 2];
        let samples = Samples::new("memory", images, vec![0, 1], vec!["a".into(), "b".into()]);
        let given: Given = Some(Arc::new(samples.unwrap()));
        let nowhere = DataConfig { path: "no/such/file".into(), ..DataConfig::default() };
        let data = Data::of_run(&nowhere, &input(1), &given).unwrap();
        assert_eq!(data.material(&nowhere).unwrap(), Material::default());
        let here = DataConfig { path: file!().into(), ..DataConfig::default() };
        assert_eq!(data.material(&here).unwrap().files.len(), 1);
        assert!(Data::of_run(&nowhere, &input(1), &None).is_err());
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
