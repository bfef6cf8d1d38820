//! Samples by which sources are compared before any tuning.

use super::finding::loader;
use super::placed;
use super::settings::Scheme;
use crate::dataset::landmarks::{Crops, Point};
use crate::dataset::{Batch, Views};
use crate::start::{Labelled, Probe, Valued, ValuedBatch};
use crate::tensor::Tensor;
use crate::train::Input;
use crate::train::data::spread;
use crate::{Error, Result};

/// Training crops, and where their points are in them.
pub(super) struct CropProbe {
    pub crops: Crops,
    /// The same, changed at random.
    pub varied: Crops,
    pub scheme: Scheme,
    pub input: Input,
    /// The samples that are trained on.
    pub training: Vec<usize>,
    pub seed: u64,
}

impl CropProbe {
    /// How many crops are computed at once, by their pixels.
    fn at_once(&self, least: usize) -> usize {
        const PIXELS: usize = 1 << 20;
        (PIXELS / self.crops.size().pow(2).max(1)).clamp(least, 256)
    }
}

impl Probe for CropProbe {
    fn labelled(&self) -> Box<dyn Iterator<Item = Labelled> + '_> {
        let problem = "landmarks have no classes";
        Box::new(std::iter::once(Err(Error::argument("Probe::labelled", problem))))
    }

    /// Places of points in parts of the crop's side, for up to 1000 crops: each picture as it is and, where
    /// there are few, changed at random, which says more of how well a source knows places.
    fn valued(&self) -> Option<Box<dyn Iterator<Item = Valued<f32>> + '_>> {
        const SCORED: usize = 1000;
        /// As many, of fewer pictures.
        const CROPS: usize = 240;
        let mut spread = spread(&self.training, SCORED);
        // They may be sorted by what is in them, and a router is fitted to the first of them.
        fastrand::Rng::with_seed(self.seed).shuffle(&mut spread);
        let rounds = (CROPS / spread.len().max(1)).clamp(1, 16) as u64;
        let side = self.crops.size() as f64;
        let of_round = move |round: u64| -> Box<dyn Iterator<Item = Valued<f32>>> {
            let crops = if round == 0 { &self.crops } else { &self.varied };
            let batch = self.at_once(16);
            let loader = match loader(crops, &self.input, Some(&spread), batch, Views::One) {
                Ok(loader) => loader,
                Err(error) => return Box::new(std::iter::once(Err(error))),
            };
            let batches = loader.batches_per_epoch() as u64;
            let of_step = move |step| {
                let Batch { images, indices: samples, .. } = loader.batch(step)?;
                let points = placed(crops, &self.scheme, [0, round], &samples)?;
                let values = |points: Vec<Option<Point>>| {
                    let of = |point: Option<Point>| match point {
                        Some(point) => point.map(|v| Some(v / side)),
                        None => [None, None],
                    };
                    points.into_iter().flat_map(of).collect()
                };
                Ok(ValuedBatch {
                    images,
                    values: points.into_iter().map(values).collect(),
                    samples,
                })
            };
            Box::new((round * batches..(round + 1) * batches).map(of_step))
        };
        let batches = (0..rounds).flat_map(of_round);
        Some(Box::new(batches))
    }

    fn images(&self) -> Result<Tensor<f32>> {
        let spread = spread(&self.training, self.at_once(8));
        let loader = loader(&self.crops, &self.input, Some(&spread), spread.len(), Views::One)?;
        Ok(loader.batch(0)?.images)
    }
}
