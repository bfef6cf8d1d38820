//! What a network sees in single images.

use super::evaluation::finite_logits;
use super::{Model, probabilities};
use crate::Result;
use crate::dataset::{Channels, Image, apply_all, read_image};
use serde::Serialize;
use std::path::Path;

/// A class, and how probable it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The class by number.
    pub class: usize,
    /// The class by name.
    pub name: String,
    /// From 0 to 1.
    pub probability: f64,
}

impl Model {
    /// The `top` most probable classes of the image in a file, the most probable first.
    ///
    /// # Errors
    /// If the file is no PNG or JPEG image.
    pub fn predict_file(&self, path: impl AsRef<Path>, top: usize) -> Result<Vec<Prediction>> {
        let channels = if self.input.channels == 1 { Channels::Grey } else { Channels::Rgb };
        self.predict(read_image(path, channels)?, top)
    }

    /// The `top` most probable classes of an image of values 0 to 1, the most probable first.
    ///
    /// # Errors
    /// If the image has other channels than the network sees, or an output is not finite.
    pub fn predict(&self, image: Image, top: usize) -> Result<Vec<Prediction>> {
        // No transform of evaluation draws anything.
        let mut rng = fastrand::Rng::with_seed(0);
        let image = apply_all(&self.input.transforms(), image, &mut rng)?;
        let logits = finite_logits(&self.network, &Image::stack(&[image])?, &[])?;
        let row = probabilities(&logits)?.into_iter().next().unwrap_or_default();
        let mut found: Vec<(usize, f64)> = row.into_iter().enumerate().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        let prediction =
            |(class, probability)| Prediction { class, name: self.class_name(class), probability };
        Ok(found.into_iter().take(top).map(prediction).collect())
    }
}
