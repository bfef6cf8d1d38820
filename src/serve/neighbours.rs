//! The training samples that a network takes for similar to a picture.

use super::shown::shown;
use crate::dataset::{Image, Loader};
use crate::nn::Pass;
use crate::tensor::{Device, Tensor};
use crate::train::{Model, Run};
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;

/// Training samples, by what goes into the network's head.
pub(super) struct Neighbours {
    samples: Loader<'static>,
    labels: Vec<usize>,
    /// `[N, D]`, each row of length 1.
    features: Vec<f32>,
    columns: usize,
}

/// A training sample.
#[derive(Debug, Serialize)]
pub(super) struct Neighbour {
    /// Its file, or what else it is called.
    name: String,
    class: String,
    /// The cosine between what goes into the head of the picture and of the sample.
    similarity: f32,
    /// As the network sees it, as an address that holds a PNG.
    picture: String,
}

impl Neighbours {
    /// The training samples of the run in `folder`, up to 1000, evenly spread.
    pub fn of_run(folder: &Path, model: &Model) -> Result<Self> {
        const MOST: usize = 1000;
        const BATCH: usize = 32;
        let (data, training) = Run::resume(folder)?.training_images(&model.input)?;
        if data.classes() != model.classes {
            let problem = "the run's classes are not those of the network";
            return Err(Error::config("MODEL", problem));
        }
        let count = training.len().min(MOST);
        let spread: Vec<usize> = (0..count).map(|k| training[k * training.len() / count]).collect();
        let batches = data.in_order(Some(&spread), model.input.batch(BATCH))?;
        let (mut features, mut columns, mut labels) = (vec![], 0, vec![]);
        for step in 0..batches.batches_per_epoch() as u64 {
            let batch = batches.batch(step)?;
            let rows;
            (rows, columns) = self::features(model, batch.images)?;
            features.extend(rows);
            labels.extend(batch.labels);
        }
        let samples = data.in_order(Some(&spread), 1)?;
        Ok(Self { samples, labels, features, columns })
    }

    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Those that are nearest to `images` `[1, C, H, W]`, the nearest first.
    pub fn nearest(&self, model: &Model, images: Tensor<f32>) -> Result<Vec<Neighbour>> {
        const SHOWN: usize = 6;
        let (own, _) = features(model, images)?;
        let cosine = |row: &[f32]| row.iter().zip(&own).map(|(a, b)| a * b).sum::<f32>();
        let rows = self.features.chunks(self.columns.max(1)).map(cosine);
        let mut all: Vec<(usize, f32)> = rows.enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let neighbour = |(at, similarity): (usize, f32)| {
            let batch = self.samples.batch(at as u64)?;
            let [_, c, h, w] = batch.images.dims("neighbours", "images", "[N, C, H, W]")?;
            let image = Image::new([c, h, w], batch.images.as_slice().to_vec())?;
            Ok(Neighbour {
                name: self.samples.name(batch.indices[0]),
                class: model.class_name(self.labels[at]),
                similarity,
                picture: shown(&image, model)?,
            })
        };
        all.into_iter().take(SHOWN).map(neighbour).collect()
    }
}

/// What goes into the head, `[N, D]`, each row of length 1, and D.
fn features(model: &Model, images: Tensor<f32>) -> Result<(Vec<f32>, usize)> {
    let parameters = model.network.parameters();
    let mut pass = Pass::evaluate(parameters);
    let x = pass.input(images.to(&parameters.device())?);
    let features = model.network.features(&mut pass, x)?;
    let features = pass.value(features)?.to(&Device::Cpu)?;
    let [_, columns] = features.dims("neighbours", "features", "[N, D]")?;
    let mut rows = features.as_slice().to_vec();
    for row in rows.chunks_mut(columns.max(1)) {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= length.max(f32::MIN_POSITIVE));
    }
    Ok((rows, columns))
}
