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
