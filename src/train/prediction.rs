//! What a network sees in images.

use super::evaluation::finite_logits;
use super::task::landmarks::FoundIn;
use super::{Model, Told, probabilities};
use crate::dataset::{Image, apply_all, read_image};
use crate::export::write_atomically;
use crate::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

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
    /// The `top` most probable classes of the image in each file, the most probable first; they are
    /// computed together. A file that is no image, or whose outputs are not finite, has an error,
    /// which is none of the others'.
    pub fn predict_files(&self, files: &[PathBuf], top: usize) -> Vec<Result<Vec<Prediction>>> {
        let transforms = self.input.transforms();
        // No transform of evaluation draws anything.
        let rng = || fastrand::Rng::with_seed(0);
        let read =
            |path: &PathBuf| read_image(path, self.input.reading()?, &transforms, &mut rng());
        let images: Vec<Result<Image>> = files.par_iter().map(read).collect();
        let mut whole = Vec::with_capacity(images.len());
        let images: Vec<Result<()>> =
            images.into_iter().map(|image| image.map(|image| whole.push(image))).collect();
        let mut found = match self.predict_seen(&whole, top) {
            Ok(found) => found.into_iter().map(Ok).collect::<Vec<_>>(),
            // Whose fault it is shows when each is alone.
            Err(_) => whole.iter().map(|image| self.predict_one(image, top)).collect(),
        }
        .into_iter();
        let next = |image: Result<()>| image.and_then(|()| found.next().unwrap_or(Ok(vec![])));
        images.into_iter().map(next).collect()
    }

    /// The `top` most probable classes of an image of values 0 to 1, the most probable first.
    ///
    /// # Errors
    /// If the image has other channels than the network sees, or an output is not finite.
    pub fn predict(&self, image: Image, top: usize) -> Result<Vec<Prediction>> {
        self.predict_one(&self.seen(image)?, top)
    }

    /// An image as the network sees it.
    fn seen(&self, image: Image) -> Result<Image> {
        // No transform of evaluation draws anything.
        apply_all(&self.input.transforms(), image, &mut fastrand::Rng::with_seed(0))
    }

    fn predict_one(&self, image: &Image, top: usize) -> Result<Vec<Prediction>> {
        let found = self.predict_seen(std::slice::from_ref(image), top)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    fn predict_seen(&self, images: &[Image], top: usize) -> Result<Vec<Vec<Prediction>>> {
        if images.is_empty() {
            return Ok(vec![]);
        }
        let logits = finite_logits(&self.network, &Image::stack(images)?, &[])?;
        Ok(probabilities(&logits)?.iter().map(|row| self.most_probable(row, top)).collect())
    }

    /// The `top` most probable classes, the most probable first.
    pub(crate) fn most_probable(&self, probabilities: &[f64], top: usize) -> Vec<Prediction> {
        let mut found: Vec<(usize, f64)> = probabilities.iter().copied().enumerate().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        let prediction =
            |(class, probability)| Prediction { class, name: self.class_name(class), probability };
        found.into_iter().take(top).map(prediction).collect()
    }
}

/// A file of what networks made of labelled images, a row for each image.
///
/// As `.csv` it has the columns of its first line; as `.jsonl` a line has the same keys, and
/// `classes`, the five most probable ones.
pub struct PredictionFile {
    path: PathBuf,
    rows: Rows,
}

enum Rows {
    Csv(Box<csv::Writer<Vec<u8>>>),
    Json(Vec<u8>),
}

/// A row, with the columns of CSV.
#[derive(Serialize)]
struct Row<'a> {
    model: &'a str,
    image: &'a str,
    label: String,
    predicted: String,
    /// Of the predicted class.
    probability: f64,
    label_probability: f64,
}

/// A row for a point.
#[derive(Serialize)]
struct PointRow<'a> {
    model: &'a str,
    image: &'a str,
    point: &'a str,
    x: f64,
    y: f64,
    /// The value of its heat map there.
    likelihood: f64,
    /// The distance from where it is marked, in pixels.
    pixels: Option<f64>,
    /// The same, divided by what errors are divided by.
    error: Option<f64>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    classes: Vec<Prediction>,
}

impl PredictionFile {
    /// A file to be written at `path`, of the format that its ending says.
    ///
    /// # Errors
    /// If it has another ending than `.csv` and `.jsonl`.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let rows = match ending.to_str() {
            Some("csv") => Rows::Csv(csv::Writer::from_writer(vec![]).into()),
            Some("jsonl") => Rows::Json(vec![]),
            _ => {
                let problem = "expected a name that ends with .csv or .jsonl";
                return Err(Error::format(path, problem));
            }
        };
        Ok(Self { path, rows })
    }

    /// Adds what `model` makes of the image of that name.
    ///
    /// # Errors
    /// If the row cannot be made.
    pub fn add(&mut self, model: &Model, image: &str, told: &Told) -> Result<()> {
        let row = Row {
            model: &model.origin,
            image,
            label: model.class_name(told.label),
            predicted: model.class_name(told.predicted),
            probability: told.probabilities[told.predicted],
            label_probability: told.probabilities[told.label],
        };
        let added = match &mut self.rows {
            Rows::Csv(writer) => writer.serialize(row).map_err(|error| error.to_string()),
            Rows::Json(lines) => {
                let row = JsonRow { row, classes: model.most_probable(&told.probabilities, 5) };
                let line = serde_json::to_writer(&mut *lines, &row);
                lines.push(b'\n');
                line.map_err(|error| error.to_string())
            }
        };
        added.map_err(|problem| Error::format(&self.path, problem))
    }

    /// Adds the points that `model` finds in the image of that name, a row for each.
    ///
    /// # Errors
    /// If a row cannot be made.
    pub fn add_points(&mut self, model: &Model, image: &str, found: &FoundIn) -> Result<()> {
        for (number, (&([x, y], likelihood), pixels)) in
            found.points.iter().zip(found.errors).enumerate()
        {
            let (origin, point) = (&model.origin, model.class_name(number));
            let error = pixels.zip(found.normalizer).map(|(pixels, length)| pixels / length);
            let pixels = *pixels;
            let point = point.as_str();
            let row = PointRow { model: origin, image, point, x, y, likelihood, pixels, error };
            let added = match &mut self.rows {
                Rows::Csv(writer) => writer.serialize(row).map_err(|error| error.to_string()),
                Rows::Json(lines) => {
                    let line = serde_json::to_writer(&mut *lines, &row);
                    lines.push(b'\n');
                    line.map_err(|error| error.to_string())
                }
            };
            added.map_err(|problem| Error::format(&self.path, problem))?;
        }
        Ok(())
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(self) -> Result<()> {
        let bytes = match self.rows {
            Rows::Csv(writer) => {
                let rows = writer.into_inner();
                rows.map_err(|error| Error::format(&self.path, error.to_string()))?
            }
            Rows::Json(lines) => lines,
        };
        write_atomically(&self.path, |file| file.write_all(&bytes))
    }
}
