//! Several views of one image, to be judged together.

use super::{Image, ten_crops};
use crate::Result;

/// How often an image is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// Once.
    #[default]
    One,
    /// As it is and mirrored.
    Flip,
    /// The [`ten_crops`] of this many pixels.
    Ten(usize),
}

impl Views {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Flip => 2,
            Self::Ten(_) => 10,
        }
    }

    /// The views of an image.
    ///
    /// # Errors
    /// If the image is smaller than a crop.
    pub fn of(self, image: Image) -> Result<Vec<Image>> {
        match self {
            Self::One => Ok(vec![image]),
            Self::Flip => Ok([image.clone(), image.flipped()].into()),
            Self::Ten(size) => ten_crops(&image, size),
        }
    }
}
