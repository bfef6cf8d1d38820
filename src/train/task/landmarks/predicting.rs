//! Points in pictures whose points are not known.

use super::finding::{Found, found_in_crops, still};
use super::settings::Scheme;
use crate::Result;
use crate::dataset::landmarks::{Annotations, FoundPoints, Region};
use crate::dataset::{Dataset, Image, Views};
use crate::train::Model;
use rayon::prelude::*;
use std::path::PathBuf;

impl Model {
    /// The points in each picture, or in a box of it; they are computed together. One that cannot be
    /// read, or whose heat maps are not finite, has an error, which is none of the others'.
    ///
    /// # Errors
    /// If the network sees no pictures.
    pub fn find_points(
        &self,
        scheme: &Scheme,
        pictures: &[(PathBuf, Option<Region>)],
        views: Views,
    ) -> Result<Vec<Result<FoundPoints>>> {
        let annotations = Annotations::unmarked(&scheme.names, pictures.to_vec());
        let input = &self.input;
        let crops = scheme.crops(annotations, input)?;
        let seen = |index: usize| {
            let nothing_drawn = &mut fastrand::Rng::with_seed(0);
            views.of(crops.transformed(index, &[input.normalise()], nothing_drawn)?)
        };
        let images: Vec<Result<Vec<Image>>> =
            (0..pictures.len()).into_par_iter().map(seen).collect();
        let find = |images: &[Image], indices: &[usize]| {
            found_in_crops(&[&self.network], &Image::stack(images)?, indices, scheme, views)
        };
        let whole: Vec<usize> = (0..images.len()).filter(|&at| images[at].is_ok()).collect();
        let together: Vec<Image> = images.iter().flatten().flatten().cloned().collect();
        // If one of them is at fault, it shows when each is alone.
        let together = if whole.is_empty() { Ok(vec![]) } else { find(&together, &whole) };
        let mut together = together.ok().map(Vec::into_iter);
        let finish = |(index, images): (usize, Result<Vec<Image>>)| {
            let images = images?;
            let found = match together.as_mut().and_then(Iterator::next) {
                Some(found) => found,
                None => find(&images, &[index])?.swap_remove(0),
            };
            let back = still(&crops, index)?.map.inverse();
            let in_picture = |(point, sure): Found| (back.apply(point), sure);
            Ok(FoundPoints {
                picture: crops.name(index),
                sides: crops.sides(index)?,
                region: crops.region(index)?,
                points: found.into_iter().map(in_picture).collect(),
            })
        };
        Ok(images.into_iter().enumerate().map(finish).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Network};
    use crate::train::Input;
    use crate::train::task::LandmarksConfig;
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, Luma};

    /// X-AnyLabeling #1098, libreyolo PR 503, DeepLabCut #151: points are those of the picture as it is
    /// looked at, whichever way it is stored.
    #[test]
    fn a_jpeg_that_is_stored_lying_has_the_points_of_the_upright_one() {
        let design = Design::named("landmarks_small", 1, 3).unwrap();
        let input = Input { size: 64, ..Input::usual(&design) };
        let names = ["a", "b", "c"].map(String::from);
        let model = Model::from_network(Network::drawn(&design, 1).unwrap(), input, &names);
        let scheme = LandmarksConfig::default().scheme(&names).unwrap();
        // Squares of 8x8 pixels of one shade: a JPEG of the best quality loses nothing of them.
        let mut rng = fastrand::Rng::with_seed(9);
        let shades: Vec<u8> = (0..8 * 5).map(|_| rng.u8(..)).collect();
        let upright =
            GrayImage::from_fn(64, 40, |x, y| Luma([shades[(y / 8 * 8 + x / 8) as usize]]));
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        upright.save(file("upright.png")).unwrap();
        // Orientation 6: to be turned clockwise.
        let mut lying = Vec::new();
        JpegEncoder::new_with_quality(&mut lying, 100)
            .encode_image(&image::imageops::rotate270(&upright))
            .unwrap();
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let segment = [&[0xff, 0xe1, 0, exif.len() as u8 + 2][..], exif].concat();
        lying.splice(2..2, segment);
        std::fs::write(file("lying.jpg"), lying).unwrap();
        let stored = image::open(file("lying.jpg")).unwrap().into_luma8();
        assert_eq!(image::imageops::rotate90(&stored), upright, "nothing was lost");

        let region = Region::from_corner([8.0, 4.0, 40.0, 30.0]);
        let pictures = [None, Some(region)]
            .into_iter()
            .flat_map(|region| ["upright.png", "lying.jpg"].map(|name| (file(name), region)));
        let pictures: Vec<_> = pictures.collect();
        let found = model.find_points(&scheme, &pictures, Views::One).unwrap();
        let found: Vec<FoundPoints> = found.into_iter().map(Result::unwrap).collect();
        for both in found.chunks(2) {
            let [upright, lying] = both else { panic!("two of each") };
            assert_eq!((upright.sides, &upright.points), (lying.sides, &lying.points));
        }
        assert_ne!(found[0].points, found[2].points, "a box is another view");
    }
}
