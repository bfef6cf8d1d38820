//! Samples by which sources are compared before any tuning.

use super::finding::{loader, still};
use crate::dataset::Views;
use crate::dataset::landmarks::Crops;
use crate::start::{Labelled, Probe, Valued};
use crate::tensor::Tensor;
use crate::train::Input;
use crate::train::data::spread;
use crate::{Error, Result};

/// Training crops, and where their points are in them.
pub(super) struct CropProbe {
    pub crops: Crops,
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

    /// Places of points in parts of the crop's side, for up to 1000 crops.
    fn valued(&self) -> Option<Box<dyn Iterator<Item = Valued<f32>> + '_>> {
        const SCORED: usize = 1000;
        let mut spread = spread(&self.training, SCORED);
        // They may be sorted by what is in them, and a router is fitted to the first of them.
        fastrand::Rng::with_seed(self.seed).shuffle(&mut spread);
        let loader =
            match loader(&self.crops, &self.input, Some(&spread), self.at_once(16), Views::One) {
                Ok(loader) => loader,
                Err(error) => return Some(Box::new(std::iter::once(Err(error)))),
            };
        let side = self.crops.size() as f64;
        let batches = (0..loader.batches_per_epoch() as u64).map(move |step| {
            let batch = loader.batch(step)?;
            let values = |&index: &usize| {
                let map = still(&self.crops, index)?.map;
                let points = &self.crops.annotations().pictures[index].points;
                let of = |point: &Option<_>| match point {
                    Some(point) => map.apply(*point).map(|v| Some(v / side)),
                    None => [None, None],
                };
                Ok(points.iter().flat_map(of).collect())
            };
            let values = batch.indices.iter().map(values).collect::<Result<_>>()?;
            Ok((batch.images, values))
        });
        Some(Box::new(batches))
    }

    fn images(&self) -> Result<Tensor<f32>> {
        let spread = spread(&self.training, self.at_once(8));
        let loader = loader(&self.crops, &self.input, Some(&spread), spread.len(), Views::One)?;
        Ok(loader.batch(0)?.images)
    }
}
