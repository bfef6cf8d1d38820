//! Data sets: readers, transforms, splits, and the loader that turns them into batches.
//!
//! A [`Dataset`] hands out single images `[C, H, W]` and their labels: from memory
//! ([`Samples`], made by [`digits`] and [`mnist`]) or decoded when asked for
//! ([`Folder`]). [`Transform`]s change images one by one; the [`Loader`] shuffles,
//! transforms in parallel and stacks batches `[N, C, H, W]`.
//!
//! Whatever is random follows from a seed, the epoch and the sample's index, never from
//! the order in which threads come to it.

mod ahead;
mod bytes;
mod condition;
pub mod digits;
mod folder;
mod idx;
mod image;
mod loader;
pub mod mnist;
mod randomness;
mod resize;
mod samples;
mod split;
mod transform;
mod views;

pub use ahead::Ahead;
pub use condition::Condition;
pub use folder::{Channels, Folder, image_files, read_image};
pub use image::Image;
pub use loader::{Batch, Loader};
pub use randomness::sample_rng;
pub use samples::Samples;
pub use split::{few_shot, train_validation_test};
pub use transform::{IMAGENET_DEVIATION, IMAGENET_MEAN, Transform, apply_all, ten_crops};
pub use views::Views;

use crate::Result;

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
        index.to_string()
    }

    /// The image `index`, values 0 to 1.
    ///
    /// # Errors
    /// If there is no such sample, or its file cannot be read.
    fn image(&self, index: usize) -> Result<Image>;
}
