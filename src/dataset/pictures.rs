//! Labelled pictures in files.

use super::picture::{Reading, read_image};
use super::samples::no_such_sample;
use super::split::Split;
use super::{Dataset, Image, Samples, Transform, sample_rng};
use crate::Result;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Pictures in files, decoded when they are asked for.
///
/// Images come in their own size; a [`Transform`] that resizes makes them fit together.
#[derive(Clone, Debug)]
pub struct Pictures {
    pub(super) root: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) labels: Vec<usize>,
    pub(super) classes: Vec<String>,
    /// Of each file, if whoever made the data set has divided it; otherwise empty.
    pub(super) splits: Vec<Split>,
    /// What was passed over, for a reader; empty if nothing was.
    pub(super) left_out: String,
    pub(super) reading: Reading,
}

impl Pictures {
    /// What was found and is no sample: endings and folders, and how many of each; empty if there
    /// is nothing.
    pub fn left_out(&self) -> &str {
        &self.left_out
    }

    /// All images in memory, decoded and transformed in parallel; what is random in
    /// `transforms` is drawn once, from `seed`.
    ///
    /// # Errors
    /// If an image cannot be read or transformed, or shapes differ afterwards.
    pub fn load(&self, transforms: &[Transform], seed: u64) -> Result<Samples> {
        let images: Vec<Result<Image>> = (0..self.files.len())
            .into_par_iter()
            .map(|index| self.transformed(index, transforms, &mut sample_rng(seed, 0, index)))
            .collect();
        let images = images.into_iter().collect::<Result<_>>()?;
        Samples::new(&self.root, images, self.labels.clone(), self.classes.clone())
    }
}

impl Dataset for Pictures {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn file(&self, index: usize) -> Option<&Path> {
        self.files.get(index).map(PathBuf::as_path)
    }

    fn image(&self, index: usize) -> Result<Image> {
        // Nothing is drawn.
        self.transformed(index, &[], &mut fastrand::Rng::with_seed(0))
    }

    fn transformed(
        &self,
        index: usize,
        transforms: &[Transform],
        rng: &mut fastrand::Rng,
    ) -> Result<Image> {
        let path = self.files.get(index);
        let path = path.ok_or_else(|| no_such_sample(&self.root, index, self.len()))?;
        read_image(path, self.reading, transforms, rng)
    }
}
