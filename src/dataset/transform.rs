//! What happens to an image between the data set and the batch.

use super::augment::{rand_augment, trivial_augment};
use super::frame::{Area, Frame};
use super::{Condition, Image, ResizeMode};
use crate::{Error, Result};
use std::ops::Range;

/// Mean of the ImageNet training images: red, green, blue, 0 to 1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Standard deviation of the ImageNet training images: red, green, blue, 0 to 1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// One step from an image `[C, H, W]` to another.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// Shows the image in a condition; see [`Condition`].
    Condition(Condition),
    /// Resizes to height x width, whatever the proportions were.
    Resize(usize, usize),
    /// Resizes as a mode says, and takes the square in the middle.
    Fit {
        /// What becomes of the proportions.
        mode: ResizeMode,
        /// Pixels of the shorter side, or of both.
        resize: usize,
        /// Sides of the square, at most `resize`; all of it, if `None`.
        size: Option<usize>,
    },
    /// Takes a random part and resizes it to a square of this many pixels.
    ///
    /// The part has 8 to 100 % of the area and proportions from 3:4 to 4:3 ("Going deeper
    /// with convolutions", 2014); if ten draws do not fit, it is the largest one in the
    /// middle that has such proportions.
    RandomResizedCrop(usize),
    /// Moves by up to this many pixels, down or up and right or left; the edge repeats.
    RandomShift(usize),
    /// Mirrors every other image, at random.
    RandomFlip,
    /// So many operations at random, of colours and of places, at a magnitude of 0 to 30: RandAugment
    /// (Cubuk et al., 2020), with the operations and magnitudes of torchvision. It belongs before
    /// [`Transform::Normalise`], as values are rounded to 8 bits.
    RandAugment {
        /// How many.
        operations: usize,
        /// How strong each is.
        magnitude: usize,
    },
    /// One such operation at any magnitude: TrivialAugment (Müller and Hutter, 2021), its wide space.
    TrivialAugment,
    /// Brighter or darker, and of more or less contrast, by up to these shares: values times one drawn
    /// number, and their distances from their mean times another, as in torchvision's `ColorJitter`. It
    /// belongs before [`Transform::Normalise`].
    RandomLight {
        /// Of the values.
        brightness: f64,
        /// Of their distances from the mean.
        contrast: f64,
    },
    /// Sets a random part to 0 in so large a share of images: random erasing (Zhong et al., 2020), of
    /// 2 to 33 % of the area and proportions from 3:10 to 10:3, as torchvision's. It belongs behind
    /// [`Transform::Normalise`], where 0 is the mean.
    RandomErasing(f64),
    /// Subtracts the mean and divides by the standard deviation of each channel.
    Normalise {
        /// Of each channel.
        mean: Vec<f32>,
        /// Of each channel; none is 0.
        std: Vec<f32>,
    },
}

impl Transform {
    /// The transformed image; what is random is drawn from `rng`.
    ///
    /// # Errors
    /// If the image is too small for a crop, a size is 0, or there are not as many means and
    /// standard deviations as channels.
    pub fn apply(&self, image: Image, rng: &mut fastrand::Rng) -> Result<Image> {
        let [_, height, width] = image.shape();
        if let Some(frame) = self.frame([height, width], rng) {
            return image.framed(&frame);
        }
        match self {
            Self::Condition(condition) => Ok(condition.apply(&image, rng)),
            Self::RandomShift(most) => {
                let most = isize::try_from(*most).unwrap_or(isize::MAX);
                let (down, right) = (rng.isize(-most..=most), rng.isize(-most..=most));
                Ok(image.shifted(down, right))
            }
            Self::RandAugment { operations, magnitude } => {
                rand_augment(image, [*operations, *magnitude], rng)
            }
            Self::TrivialAugment => trivial_augment(&image, rng),
            Self::RandomLight { brightness, contrast } => {
                Ok(relit(image, [*brightness, *contrast].map(|most| drawn_factor(most, rng))))
            }
            Self::RandomErasing(share) => {
                Ok(if rng.f64() < *share { erased(image, rng) } else { image })
            }
            Self::RandomFlip => Ok(if rng.bool() { image.flipped() } else { image }),
            Self::Normalise { mean, std } => normalised(image, mean, std),
            Self::Resize(..) | Self::Fit { .. } | Self::RandomResizedCrop(_) => Ok(image),
        }
    }

    /// What it takes of an image of these sides, and at which size, if that is all it does; what is
    /// random is drawn from `rng`.
    pub(super) fn frame(&self, sides: [usize; 2], rng: &mut fastrand::Rng) -> Option<Frame> {
        match *self {
            Self::Resize(height, width) => {
                Some(Frame::resized(Area::whole(sides), [height, width]))
            }
            Self::Fit { mode, resize, size } => Some(Frame::fitted(sides, mode, resize, size)),
            Self::RandomResizedCrop(size) => {
                Some(Frame::resized(random_part(sides, rng), [size; 2]))
            }
            _ => None,
        }
    }
}

/// The image after all `transforms`, in their order.
///
/// # Errors
/// The first error of a transform.
pub fn apply_all(transforms: &[Transform], image: Image, rng: &mut fastrand::Rng) -> Result<Image> {
    transforms.iter().try_fold(image, |image, transform| transform.apply(image, rng))
}

/// The four corners and the middle of an image as squares of `size` pixels, then the same
/// mirrored.
///
/// The order is that of torchvision: top left, top right, bottom left, bottom right, middle.
///
/// # Errors
/// If the image is smaller than `size`.
pub fn ten_crops(image: &Image, size: usize) -> Result<Vec<Image>> {
    let five = |image: &Image| -> Result<Vec<Image>> {
        let [_, height, width] = image.shape();
        let (bottom, right) = (height.saturating_sub(size), width.saturating_sub(size));
        let mut crops = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
            .into_iter()
            .map(|(top, left)| image.cropped(top, left, size, size))
            .collect::<Result<Vec<_>>>()?;
        crops.push(image.centre_cropped(size, size)?);
        Ok(crops)
    };
    Ok([five(image)?, five(&image.flipped())?].concat())
}

/// The part that [`Transform::RandomResizedCrop`] takes.
fn random_part(sides: [usize; 2], rng: &mut fastrand::Rng) -> Area {
    let [height, width] = sides;
    if let Some([top, left, height, width]) = random_box(sides, 0.08..1.0, 4.0 / 3.0, rng) {
        return Area { top, left, height, width };
    }
    let limit =
        |side: usize, other: usize| ((other as f64 * 4.0 / 3.0).round() as usize).clamp(1, side);
    Area::middle([height, width], limit(height, width), limit(width, height))
}

/// Top, left, height and width of a box in an image of that height and width, of a share of its area
/// and proportions from `1:widest` to `widest:1`, all of these alike probable by their logarithm; of
/// ten draws the first that fits.
fn random_box(
    [height, width]: [usize; 2],
    share: Range<f64>,
    widest: f64,
    rng: &mut fastrand::Rng,
) -> Option<[usize; 4]> {
    let uniform = |rng: &mut fastrand::Rng, low: f64, high: f64| low + (high - low) * rng.f64();
    (0..10).find_map(|_| {
        let area = (height * width) as f64 * uniform(rng, share.start, share.end);
        let ratio = uniform(rng, (1.0 / widest).ln(), widest.ln()).exp();
        let columns = (area * ratio).sqrt().round() as usize;
        let rows = (area / ratio).sqrt().round() as usize;
        let fits = (1..=width).contains(&columns) && (1..=height).contains(&rows);
        fits.then(|| [rng.usize(0..=height - rows), rng.usize(0..=width - columns), rows, columns])
    })
}

/// With a part set to 0, if one of ten draws fits.
fn erased(mut image: Image, rng: &mut fastrand::Rng) -> Image {
    let [_, height, width] = image.shape();
    let part = random_box([height, width], 0.02..0.33, 10.0 / 3.0, rng);
    if let Some([top, left, rows, columns]) = part {
        for plane in image.planes_mut() {
            plane
                .chunks_mut(width)
                .skip(top)
                .take(rows)
                .for_each(|row| row[left..left + columns].fill(0.0));
        }
    }
    image
}

/// A factor from `1 - most` to `1 + most`.
fn drawn_factor(most: f64, rng: &mut fastrand::Rng) -> f32 {
    (1.0 + most * (2.0 * rng.f64() - 1.0)) as f32
}

/// Values times a factor, and their distances from the mean of all times another; within 0 to 1.
fn relit(mut image: Image, [brightness, contrast]: [f32; 2]) -> Image {
    let values = image.values_mut();
    let sum: f64 = values.iter().map(|v| f64::from((v * brightness).min(1.0))).sum();
    let mean = (sum / values.len() as f64) as f32;
    for value in values {
        let lit = (*value * brightness).min(1.0);
        *value = (mean + contrast * (lit - mean)).clamp(0.0, 1.0);
    }
    image
}

fn normalised(mut image: Image, mean: &[f32], std: &[f32]) -> Result<Image> {
    let [channels, _, _] = image.shape();
    if mean.len() != channels || std.len() != channels || std.contains(&0.0) {
        return Err(Error::argument(
            "normalise",
            format!(
                "an image of {channels} channels needs as many means and standard deviations other than \
                 0, not {mean:?} and {std:?}"
            ),
        ));
    }
    for (plane, (mean, std)) in image.planes_mut().zip(mean.iter().zip(std)) {
        plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(height: usize, width: usize) -> Image {
        Image::from_fn([1, height, width], |_, row, column| (row * width + column) as f32)
    }

    fn shape_after(transform: Transform, image: Image) -> [usize; 3] {
        transform.apply(image, &mut fastrand::Rng::with_seed(1)).unwrap().shape()
    }

    #[test]
    fn sizes_come_out_as_asked() {
        assert_eq!(shape_after(Transform::Resize(4, 7), counting(9, 9)), [1, 4, 7]);
        let fit = |mode| Transform::Fit { mode, resize: 4, size: Some(3) };
        assert_eq!(shape_after(fit(ResizeMode::ShortSide), counting(20, 10)), [1, 3, 3]);
        assert_eq!(shape_after(fit(ResizeMode::Squash), counting(9, 5)), [1, 3, 3]);
        assert_eq!(shape_after(Transform::RandomResizedCrop(6), counting(9, 5)), [1, 6, 6]);
        assert_eq!(shape_after(Transform::RandomResizedCrop(2), counting(1, 90)), [1, 2, 2]);
        let release = [
            Transform::Resize(256, 256),
            Transform::RandomResizedCrop(224),
            Transform::RandomFlip,
            Transform::Normalise { mean: IMAGENET_MEAN.into(), std: IMAGENET_STD.into() },
        ];
        let image = Image::from_fn([3, 30, 40], |_, _, _| 0.5);
        let image = apply_all(&release, image, &mut fastrand::Rng::with_seed(1)).unwrap();
        assert_eq!(image.shape(), [3, 224, 224]);
        assert!((image.values()[0] - (0.5 - 0.485) / 0.229).abs() < 1e-5);
    }

    #[test]
    fn random_parts_keep_their_area_and_proportions() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let Area { height, width, .. } = random_part([60, 60], &mut rng);
            let ratio = width as f64 / height as f64;
            let share = (height * width) as f64 / 3600.0;
            // Rounding to whole pixels moves either by up to 3 % at the smallest size.
            assert!((0.72..1.38).contains(&ratio), "{height}x{width}");
            assert!((0.077..=1.0).contains(&share), "{height}x{width}");
        }
    }

    #[test]
    fn shifts_reach_their_limit_and_no_further() {
        let image = counting(5, 5);
        let mut rng = fastrand::Rng::with_seed(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let shifted = Transform::RandomShift(1).apply(image.clone(), &mut rng).unwrap();
            seen.insert(shifted.at(0, 2, 2) as usize);
        }
        assert!(seen.into_iter().eq([6, 7, 8, 11, 12, 13, 16, 17, 18]));
    }

    #[test]
    fn a_share_of_images_loses_a_box_of_its_area() {
        let image = Image::from_fn([2, 30, 40], |_, _, _| 1.0);
        let mut rng = fastrand::Rng::with_seed(3);
        let mut lost = Vec::new();
        for _ in 0..400 {
            let erased = Transform::RandomErasing(0.5).apply(image.clone(), &mut rng).unwrap();
            let of = |channel: usize| {
                erased.values()[channel * 1200..][..1200].iter().filter(|&&v| v == 0.0).count()
            };
            assert_eq!(of(0), of(1), "a box lies over all channels");
            if of(0) > 0 {
                lost.push(of(0) as f64 / 1200.0);
            }
        }
        // Three standard deviations of the binomial distribution are 30.
        assert!((170..230).contains(&lost.len()), "{}", lost.len());
        // Sides are rounded.
        assert!(lost.iter().all(|share| (0.015..0.36).contains(share)));
    }

    #[test]
    fn half_of_the_images_are_flipped() {
        let image = counting(1, 2);
        let mut rng = fastrand::Rng::with_seed(3);
        let flipped = (0..1000)
            .filter(|_| Transform::RandomFlip.apply(image.clone(), &mut rng).unwrap() != image)
            .count();
        // Three standard deviations of the binomial distribution are 47.
        assert!((453..547).contains(&flipped), "{flipped}");
    }

    #[test]
    fn light_changes_within_its_limits() {
        let image = Image::new([1, 1, 2], vec![0.2, 0.6]).unwrap();
        for (factors, expected) in [([1.5, 1.0], [0.3, 0.9]), ([1.0, 0.5], [0.3, 0.5])] {
            let lit = relit(image.clone(), factors);
            assert!(lit.values().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
        }
        let mut rng = fastrand::Rng::with_seed(3);
        let light = Transform::RandomLight { brightness: 0.5, contrast: 0.0 };
        for _ in 0..100 {
            let first = light.apply(image.clone(), &mut rng).unwrap().values()[0];
            assert!((0.1..=0.3).contains(&first), "{first}");
        }
    }

    #[test]
    fn normalising_is_by_channel() {
        let image = Image::from_fn([2, 1, 1], |c, _, _| c as f32);
        let normalise = |mean: &[f32], std: &[f32]| {
            let transform = Transform::Normalise { mean: mean.to_vec(), std: std.to_vec() };
            transform.apply(image.clone(), &mut fastrand::Rng::with_seed(1))
        };
        assert_eq!(normalise(&[0.5, 0.5], &[0.5, 0.25]).unwrap().values(), [-1.0, 2.0]);
        assert!(normalise(&[0.5], &[0.5]).is_err());
        assert!(normalise(&[0.5, 0.5], &[0.5, 0.0]).is_err());
    }

    #[test]
    fn ten_crops_are_corners_middle_and_their_mirror_images() {
        let image = counting(4, 6);
        let crops = ten_crops(&image, 2).unwrap();
        let first: Vec<f32> = crops.iter().map(|crop| crop.values()[0]).collect();
        assert_eq!(first, [0.0, 4.0, 12.0, 16.0, 8.0, 5.0, 1.0, 17.0, 13.0, 9.0]);
        assert!(ten_crops(&image, 5).is_err());
    }
}
