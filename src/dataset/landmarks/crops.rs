//! Pictures with points as a network sees them: a square around each box, turned, scaled and mirrored
//! at random where it is trained on, by one affine map that the points go along.

use super::{Affine, Annotated, Annotations, Point, Region};
use crate::dataset::picture::{Reading, read_picture, sides};
use crate::dataset::warp::warped;
use crate::dataset::{Dataset, Image, Split, Transform, apply_all};
use crate::{Error, Result};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// How a square is changed at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    /// The side is multiplied with 1 - this to 1 + this.
    pub scale: f64,
    /// Degrees, in both directions, at most.
    pub rotation: f64,
    /// The share of pictures that are turned at all.
    pub rotation_share: f64,
    /// How far the middle moves along each side, in parts of the side.
    pub shift: f64,
    /// The share of pictures that are mirrored.
    pub flip: f64,
}

/// Where a picture is in a crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// From the picture to the crop.
    pub map: Affine,
    /// Whether left is right, so that the points of a pair change places.
    pub is_mirrored: bool,
}

impl Placement {
    /// The points of a picture in its crop; `partners` is for each point the one that it becomes in a
    /// mirror.
    pub fn points(&self, of: &[Option<Point>], partners: &[usize]) -> Vec<Option<Point>> {
        let place = |(at, &partner): (usize, &usize)| {
            let point = of[if self.is_mirrored { partner } else { at }];
            point.map(|point| self.map.apply(point))
        };
        partners.iter().enumerate().map(place).collect()
    }
}

/// Crops of annotated pictures. All of them are of one class.
#[derive(Clone)]
pub struct Crops {
    annotations: Arc<Annotations>,
    reading: Reading,
    /// Height and width of a crop.
    size: usize,
    /// The side of a crop in parts of the box's larger side.
    factor: f64,
    variation: Option<Variation>,
    /// Of the pictures, as far as they were needed.
    sides: Arc<[OnceLock<[usize; 2]>]>,
    labels: Arc<[usize]>,
    classes: Arc<[String]>,
}

impl Crops {
    /// Crops of `size` pixels, each `factor` times as large as its box; a picture without a box is
    /// shown in whole, whatever the factor.
    pub fn new(annotations: Annotations, reading: Reading, size: usize, factor: f64) -> Self {
        let count = annotations.pictures.len();
        Self {
            annotations: Arc::new(annotations),
            reading,
            size,
            factor,
            variation: None,
            sides: (0..count).map(|_| OnceLock::new()).collect(),
            labels: vec![0; count].into(),
            classes: Arc::new(["picture".to_owned()]),
        }
    }

    /// The same, changed at random.
    pub fn varied(&self, variation: Variation) -> Self {
        Self { variation: Some(variation), ..self.clone() }
    }

    /// The pictures and their points.
    pub fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// Height and width of a crop.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The box of a sample; all of its picture, if it has none.
    ///
    /// # Errors
    /// If there is no such sample, or its picture cannot be read.
    pub fn region(&self, index: usize) -> Result<Region> {
        match self.picture(index)?.region {
            Some(region) => Ok(region),
            None => self.sides(index).map(Region::whole),
        }
    }

    /// Height and width of a sample's picture.
    ///
    /// # Errors
    /// As [`Crops::region`].
    pub fn sides(&self, index: usize) -> Result<[usize; 2]> {
        let picture = self.picture(index)?;
        match self.sides[index].get() {
            Some(sides) => Ok(*sides),
            None => Ok(self.remembered(index, sides(&picture.file, self.reading)?)),
        }
    }

    /// Where a sample's picture is in its crop; what is random is drawn from `rng`, which is then as far
    /// as after [`Dataset::transformed`] has placed the same sample.
    ///
    /// # Errors
    /// As [`Crops::region`].
    pub fn placement(&self, index: usize, rng: &mut fastrand::Rng) -> Result<Placement> {
        let region = self.region(index)?;
        let is_boxed = self.picture(index)?.region.is_some();
        let side = region.side() * if is_boxed { self.factor } else { 1.0 };
        let Some(of) = self.variation else {
            let map = Affine::square(region.centre, side, 0.0, self.size);
            return Ok(Placement { map, is_mirrored: false });
        };
        let mut within = |most: f64| most * (2.0 * rng.f64() - 1.0);
        let (scale, angle) = (1.0 + within(of.scale), within(of.rotation).to_radians());
        let centre = region.centre.map(|at| at + side * within(of.shift));
        let is_turned = rng.f64() < of.rotation_share;
        let is_mirrored = rng.f64() < of.flip;
        let angle = if is_turned { angle } else { 0.0 };
        let map = Affine::square(centre, side * scale, angle, self.size);
        let map = if is_mirrored { map.mirrored(self.size) } else { map };
        Ok(Placement { map, is_mirrored })
    }

    fn picture(&self, index: usize) -> Result<&Annotated> {
        self.annotations.pictures.get(index).ok_or_else(|| {
            let (origin, count) = (&self.annotations.origin, self.labels.len());
            Error::data(
                origin,
                format!("sample {index}"),
                format!("expected an index below {count}"),
            )
        })
    }

    fn remembered(&self, index: usize, sides: [usize; 2]) -> [usize; 2] {
        *self.sides[index].get_or_init(|| sides)
    }
}

impl Dataset for Crops {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn splits(&self) -> &[Split] {
        &self.annotations.splits
    }

    fn file(&self, index: usize) -> Option<&Path> {
        self.annotations.pictures.get(index).map(|picture| picture.file.as_path())
    }

    fn image(&self, index: usize) -> Result<Image> {
        // Nothing is drawn but the placement, if there is a variation.
        self.transformed(index, &[], &mut fastrand::Rng::with_seed(0))
    }

    fn transformed(
        &self,
        index: usize,
        transforms: &[Transform],
        rng: &mut fastrand::Rng,
    ) -> Result<Image> {
        let picture = read_picture(&self.picture(index)?.file, self.reading)?;
        self.remembered(index, picture.full_sides());
        let placement = self.placement(index, rng)?;
        apply_all(transforms, warped(&picture, &placement.map, self.size)?, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Channels, sample_rng};
    use image::{GrayImage, Luma};
    use tempfile::TempDir;

    /// A picture of 40x30 pixels that is black but for one pixel, which is marked.
    fn marked(folder: &TempDir, at: [u32; 2]) -> Annotations {
        let file = folder.path().join("a.png");
        let mut picture = GrayImage::new(40, 30);
        picture.put_pixel(at[0], at[1], Luma([255]));
        picture.save(&file).unwrap();
        let names = ["left", "right"].map(String::from);
        let mut made = Annotations::unmarked(&names, vec![(file, None)]);
        made.pictures[0].points = vec![Some(at.map(f64::from)), None];
        made
    }

    fn crops(annotations: Annotations, size: usize) -> Crops {
        Crops::new(annotations, Reading::upright(Channels::Grey), size, 1.25)
    }

    /// The centre of what is bright.
    fn bright(image: &Image) -> Point {
        let [_, _, width] = image.shape();
        let mut sums = [0.0f64; 3];
        for (at, value) in image.values().iter().enumerate() {
            let (x, y, value) = ((at % width) as f64, (at / width) as f64, f64::from(*value));
            sums.iter_mut().zip([value, value * x, value * y]).for_each(|(sum, v)| *sum += v);
        }
        [sums[1] / sums[0], sums[2] / sums[0]]
    }

    fn distance(a: Point, b: Point) -> f64 {
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    /// HRNet-Facial-Landmark-Detection #42 (points that did not turn), stacked_hourglass #43,
    /// leoxiaobin #49 (a mirror that is off by one).
    #[test]
    fn a_marked_pixel_stays_marked_turned_scaled_and_mirrored() {
        let folder = TempDir::new().unwrap();
        let variation =
            Variation { scale: 0.25, rotation: 180.0, rotation_share: 0.6, shift: 0.1, flip: 0.5 };
        let crops = crops(marked(&folder, [22, 13]), 64);
        let varied = crops.varied(variation);
        let mut mirrored = 0;
        for sample in 0..60 {
            let image = varied.transformed(0, &[], &mut sample_rng(1, 0, sample)).unwrap();
            let placement = varied.placement(0, &mut sample_rng(1, 0, sample)).unwrap();
            let points = placement.points(&crops.annotations().pictures[0].points, &[1, 0]);
            let place = usize::from(placement.is_mirrored);
            mirrored += place;
            let found = points[place].unwrap();
            assert!(points[1 - place].is_none());
            // What one pixel becomes is not round.
            assert!(distance(bright(&image), found) < 0.15, "{:?} {found:?}", bright(&image));
            // And back again.
            let back = placement.map.inverse().apply(found);
            assert!(distance(back, [22.0, 13.0]) < 1e-9);
        }
        assert!((15..45).contains(&mirrored), "{mirrored}");
    }

    /// leoxiaobin #49, albumentations #1500: column x becomes `w - 1 - x`, to the pixel.
    #[test]
    fn a_mirrored_pixel_is_the_mirrored_point() {
        let folder = TempDir::new().unwrap();
        let crops = crops(marked(&folder, [7, 13]), 40);
        let of = |flip| {
            let still =
                Variation { scale: 0.0, rotation: 0.0, rotation_share: 0.0, shift: 0.0, flip };
            crops.varied(still).image(0).unwrap()
        };
        // 40 pixels in 40: the rows are moved by 5, since the picture is in the middle.
        assert_eq!(bright(&of(0.0)), [7.0, 18.0]);
        assert_eq!(bright(&of(1.0)), [32.0, 18.0]);
        assert_eq!(of(1.0), of(0.0).flipped());
    }

    #[test]
    fn a_box_is_widened_and_a_whole_picture_is_not() {
        let folder = TempDir::new().unwrap();
        let mut annotations = marked(&folder, [20, 10]);
        let scale = |annotations: &Annotations| {
            let crops = crops(annotations.clone(), 50);
            crops.placement(0, &mut sample_rng(1, 0, 0)).unwrap().map.scale()
        };
        assert!((scale(&annotations) - 50.0 / 40.0).abs() < 1e-12);
        annotations.pictures[0].region = Some(Region::from_corner([0.0, 0.0, 10.0, 8.0]));
        assert!((scale(&annotations) - 50.0 / 12.5).abs() < 1e-12);
    }

    /// X-AnyLabeling #1098, DeepLabCut #151: points are those of the picture as it is looked at.
    #[test]
    fn a_picture_is_turned_upright_before_it_is_cropped() {
        let folder = TempDir::new().unwrap();
        let annotations = marked(&folder, [22, 13]);
        let upright = image::open(&annotations.pictures[0].file).unwrap().into_luma8();
        // Stored lying, with the EXIF tag of orientation 6: to be turned clockwise.
        let lying = image::imageops::rotate270(&upright);
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif).unwrap();
        lying.write_with_encoder(encoder).unwrap();
        let mut turned = annotations.clone();
        turned.pictures[0].file = folder.path().join("turned.png");
        std::fs::write(&turned.pictures[0].file, bytes).unwrap();
        let [upright, turned] = [annotations, turned].map(|made| crops(made, 48));
        assert_eq!(turned.region(0).unwrap(), Region::whole([30, 40]), "by the header alone");
        assert_eq!(turned.image(0).unwrap(), upright.image(0).unwrap());
    }

    /// A picture that shrinks is a mean of all its pixels.
    #[test]
    fn what_shrinks_is_a_mean() {
        let folder = TempDir::new().unwrap();
        let mut annotations = marked(&folder, [20, 10]);
        let file = annotations.pictures[0].file.clone();
        GrayImage::from_fn(40, 30, |x, y| Luma([if (x + y) % 2 == 0 { 200 } else { 100 }]))
            .save(&file)
            .unwrap();
        annotations.pictures[0].region = Some(Region::from_corner([0.0, 0.0, 16.0, 16.0]));
        let image = crops(annotations, 5).image(0).unwrap();
        // 20 pixels in 5, the box in their middle; the first row and column lie outside of the picture
        // in part.
        for row in 1..4 {
            for column in 1..4 {
                assert!((image.values()[5 * row + column] - 150.0 / 255.0).abs() < 1e-3);
            }
        }
        assert!(image.values()[0] < 0.3);
    }
}
