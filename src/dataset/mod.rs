//! Data sets: readers, transforms, splits, and the loader that turns them into batches.
//!
//! A [`Dataset`] hands out single images `[C, H, W]` and their labels: from memory
//! ([`Samples`], made by [`digits`] and [`mnist`]) or decoded when asked for
//! ([`Pictures`]). [`Transform`]s change images one by one; the [`Loader`] shuffles,
//! transforms in parallel and stacks batches `[N, C, H, W]`.
//!
//! Whatever is random follows from a seed, the epoch and the sample's index, never from
//! the order in which threads come to it.

mod ahead;
mod augment;
mod bytes;
mod cars;
pub mod cifar;
mod condition;
mod decoding;
pub mod digits;
mod folder;
mod frame;
mod idx;
mod image;
mod joined;
pub mod landmarks;
mod list;
mod loader;
mod mat;
pub mod mnist;
mod picture;
mod pictures;
mod pixels;
mod published;
mod randomness;
mod resize;
mod samples;
mod split;
mod transform;
mod views;
mod warp;
mod whole;

pub use ahead::Ahead;
pub use condition::Condition;
pub use folder::image_files;
pub use frame::ResizeMode;
pub use image::Image;
pub use joined::Joined;
pub use list::is_list;
pub use loader::{Batch, Loader};
pub use picture::{Channels, Check, Reading, check_image, image_from_bytes, read_image};
pub use pictures::Pictures;
pub use published::Published;
pub use randomness::sample_rng;
pub use samples::Samples;
pub use split::{Split, few_shot, train_validation_test};
pub use transform::{IMAGENET_MEAN, IMAGENET_STD, Transform, apply_all, ten_crops};
pub use views::Views;

use crate::Result;
use std::path::Path;

/// Labelled images, by index.
///
/// Indices run from 0 to [`len`](Self::len); a data set is never empty.
#[expect(clippy::len_without_is_empty, reason = "no data set is empty")]
pub trait Dataset: Send + Sync {
    /// The names of the classes; labels count through them.
    fn classes(&self) -> &[String];

    /// The labels of all samples, each smaller than the number of classes.
    fn labels(&self) -> &[usize];

    /// The number of samples.
    fn len(&self) -> usize {
        self.labels().len()
    }

    /// What a reader knows the sample `index` by: its file, or its number.
    fn name(&self, index: usize) -> String {
        self.file(index).map_or_else(|| index.to_string(), |path| path.display().to_string())
    }

    /// The image `index`, values 0 to 1.
    ///
    /// # Errors
    /// If there is no such sample, or its file cannot be read.
    fn image(&self, index: usize) -> Result<Image>;

    /// What each sample is for, if that is known from where they are; otherwise empty.
    fn splits(&self) -> &[Split] {
        &[]
    }

    /// The file of the sample `index`, if it has one of its own.
    fn file(&self, _index: usize) -> Option<&Path> {
        None
    }

    /// The image `index` after `transforms`; what is random in them is drawn from `rng`.
    ///
    /// # Errors
    /// As [`image`](Self::image), and the first error of a transform.
    fn transformed(
        &self,
        index: usize,
        transforms: &[Transform],
        rng: &mut fastrand::Rng,
    ) -> Result<Image> {
        apply_all(transforms, self.image(index)?, rng)
    }
}
