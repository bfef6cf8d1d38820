//! A data set in memory.

use super::{Dataset, Image, sample_rng};
use crate::tensor::Tensor;
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Labelled images of one shape `[C, H, W]` in memory.
#[derive(Clone, Debug)]
pub struct Samples {
    origin: PathBuf,
    images: Vec<Image>,
    labels: Vec<usize>,
    classes: Vec<String>,
}

impl Samples {
    /// Samples that were read from `origin`, which appears in messages only.
    ///
    /// # Errors
    /// If there are no samples, if there are not as many labels as images, if a label is not
    /// the number of a class, or if an image has another shape than the first.
    pub fn new(
        origin: impl AsRef<Path>,
        images: Vec<Image>,
        labels: Vec<usize>,
        classes: Vec<String>,
    ) -> Result<Self> {
        let origin = origin.as_ref().to_path_buf();
        let Some(first) = images.first() else {
            return Err(Error::data(origin, "", "expected at least one sample, found none"));
        };
        if labels.len() != images.len() {
            return Err(Error::data(
                origin,
                "",
                format!(
                    "expected a label for each image, found {} images and {} labels",
                    images.len(),
                    labels.len()
                ),
            ));
        }
        for (index, (image, &label)) in images.iter().zip(&labels).enumerate() {
            let place = format!("sample {index}");
            if label >= classes.len() {
                return Err(Error::data(origin, place, wrong_label(label, classes.len())));
            }
            if image.shape() != first.shape() {
                return Err(Error::data(
                    origin,
                    place,
                    format!(
                        "expected an image of shape {:?} like the first, found {:?}",
                        first.shape(),
                        image.shape()
                    ),
                ));
            }
        }
        Ok(Self { origin, images, labels, classes })
    }

    /// The shape `[C, H, W]` of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.images[0].shape()
    }

    /// The images.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The samples `indices` as a tensor `[N, C, H, W]` and their labels.
    ///
    /// # Errors
    /// If there are no indices, or one is too large.
    pub fn batch(&self, indices: &[usize]) -> Result<(Tensor<f32>, Vec<usize>)> {
        let part = self.subset(indices)?;
        Ok((Image::stack(&part.images)?, part.labels))
    }

    /// The samples `indices` alone, in that order.
    ///
    /// # Errors
    /// If there are no indices, or one is too large.
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        let images = indices.iter().map(|&index| self.image(index)).collect::<Result<_>>()?;
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self::new(&self.origin, images, labels, self.classes.clone())
    }

    /// The samples with each image replaced by `f` of its index, itself and a generator of
    /// its own, which follows from `seed` and the index.
    ///
    /// # Errors
    /// The first error of `f`; or if the new images differ in shape.
    pub fn map(
        &self,
        seed: u64,
        f: impl Fn(usize, &Image, &mut fastrand::Rng) -> Result<Image> + Sync,
    ) -> Result<Self> {
        let images: Vec<Result<Image>> = self
            .images
            .par_iter()
            .enumerate()
            .map(|(index, image)| f(index, image, &mut sample_rng(seed, 0, index)))
            .collect();
        let images = images.into_iter().collect::<Result<_>>()?;
        Self::new(&self.origin, images, self.labels.clone(), self.classes.clone())
    }

    /// Mean and standard deviation over all images, for each channel.
    pub fn mean_and_std(&self) -> (Vec<f32>, Vec<f32>) {
        let [channels, height, width] = self.shape();
        let count = (self.images.len() * height * width) as f64;
        let statistics = |channel: usize| {
            let plane = channel * height * width..(channel + 1) * height * width;
            let sum = |term: &dyn Fn(f64) -> f64| -> f64 {
                let values = self.images.iter().flat_map(|image| &image.values()[plane.clone()]);
                values.map(|&value| term(f64::from(value))).sum()
            };
            let mean = sum(&|value| value) / count;
            let variance = sum(&|value| (value - mean).powi(2)) / count;
            (mean as f32, variance.sqrt() as f32)
        };
        (0..channels).map(statistics).unzip()
    }
}

impl Dataset for Samples {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn image(&self, index: usize) -> Result<Image> {
        self.images
            .get(index)
            .cloned()
            .ok_or_else(|| no_such_sample(&self.origin, index, self.len()))
    }
}

/// What is wrong with a label that names no class.
pub(super) fn wrong_label(label: usize, classes: usize) -> String {
    format!("expected a label from 0 to {}, found {label}", classes.saturating_sub(1))
}

/// The error of asking a data set of `len` samples for the sample `index`.
pub(super) fn no_such_sample(origin: &Path, index: usize, len: usize) -> Error {
    Error::data(origin, format!("sample {index}"), format!("expected an index below {len}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(labels: &[usize]) -> Result<Samples> {
        let images =
            (0..labels.len()).map(|i| Image::from_fn([2, 1, 1], |c, _, _| (i + 10 * c) as f32));
        Samples::new("toy", images.collect(), labels.to_vec(), vec!["a".into(), "b".into()])
    }

    #[test]
    fn what_cannot_be_a_data_set_is_an_error() {
        assert_eq!(
            samples(&[]).unwrap_err().to_string(),
            "toy: expected at least one sample, found none"
        );
        assert_eq!(
            samples(&[0, 2]).unwrap_err().to_string(),
            "toy, sample 1: expected a label from 0 to 1, found 2"
        );
        let images = vec![Image::from_fn([1, 1, 1], |_, _, _| 0.0)];
        assert!(Samples::new("toy", images, vec![], vec!["a".into()]).is_err());
    }

    #[test]
    fn a_batch_keeps_the_asked_order() {
        let (images, labels) = samples(&[0, 1, 1]).unwrap().batch(&[2, 0]).unwrap();
        assert_eq!(images.shape(), [2, 2, 1, 1]);
        assert_eq!(images.as_slice(), [2.0, 12.0, 0.0, 10.0]);
        assert_eq!(labels, [1, 0]);
    }

    #[test]
    fn an_index_too_large_is_an_error() {
        let error = samples(&[0, 1]).unwrap().batch(&[0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "toy, sample 2: expected an index below 2");
        assert!(samples(&[0]).unwrap().batch(&[]).is_err());
    }

    #[test]
    fn statistics_are_of_each_channel() {
        // 0, 1, 2 and 10, 11, 12: variance 2/3.
        let (mean, std) = samples(&[0, 1, 1]).unwrap().mean_and_std();
        assert_eq!(mean, [1.0, 11.0]);
        assert_eq!(std, [(2.0f64 / 3.0).sqrt() as f32; 2]);
    }

    #[test]
    fn mapping_gives_each_image_its_own_generator() {
        let drawn = samples(&[0, 1])
            .unwrap()
            .map(5, |_, image, rng| Ok(Image::from_fn(image.shape(), |_, _, _| rng.f32())));
        let drawn = drawn.unwrap();
        assert_ne!(drawn.images()[0], drawn.images()[1]);
        assert_eq!(drawn.images()[1].values()[0], sample_rng(5, 0, 1).f32());
    }
}
