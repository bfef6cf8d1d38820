//! From samples to batches.
//!
//! A loader has no state that matters: a batch follows from its step alone, so that a run
//! goes on from any step as if it had never stopped, whatever the number of threads.

use super::randomness::order_rng;
use super::{Dataset, Image, Transform, Views, sample_rng};
use crate::processes::samples_of;
use crate::tensor::Tensor;
use crate::{Error, Result, profile};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// What one step works on.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The images, `[N, C, H, W]`; of V [`Views`] of each, `[N V, C, H, W]`.
    pub images: Tensor<f32>,
    /// Their `N` labels.
    pub labels: Vec<usize>,
    /// Their `N` indices in the data set.
    pub indices: Vec<usize>,
}

/// Batches of a data set, by the number of the step.
///
/// Step `s` belongs to epoch `s / batches_per_epoch`. Every epoch has its own order, drawn
/// from the seed and the epoch; every sample has its own random transforms in every epoch.
pub struct Loader<'a> {
    dataset: Owner<'a>,
    indices: Vec<usize>,
    transforms: Vec<Transform>,
    views: Views,
    batch_size: usize,
    seed: u64,
    shuffled: bool,
    balanced: bool,
    /// Rank and size, if this is for one of several processes.
    place: Option<[usize; 2]>,
    /// The order of the epoch that was asked for last: drawing it anew is slow only.
    order: Mutex<Option<(u64, Arc<[usize]>)>>,
}

impl<'a> Loader<'a> {
    /// All samples of `dataset` in shuffled batches of `batch_size`.
    ///
    /// The last batch of an epoch is smaller if it must be. If it would hold a single sample,
    /// over which batch normalisation has no variance, it is left out; in another epoch that
    /// sample has another place.
    ///
    /// # Errors
    /// If `batch_size` is 0.
    pub fn new(dataset: &'a dyn Dataset, batch_size: usize, seed: u64) -> Result<Self> {
        Self::of(Owner::Borrowed(dataset), batch_size, seed)
    }

    /// As [`Loader::new`], of a data set that the loader keeps alive.
    ///
    /// # Errors
    /// If `batch_size` is 0.
    pub fn shared(
        dataset: Arc<dyn Dataset>,
        batch_size: usize,
        seed: u64,
    ) -> Result<Loader<'static>> {
        Loader::of(Owner::Shared(dataset), batch_size, seed)
    }

    fn of(dataset: Owner<'a>, batch_size: usize, seed: u64) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::argument("Loader::new", "a batch should hold at least one sample"));
        }
        Ok(Self {
            indices: (0..dataset.len()).collect(),
            dataset,
            transforms: vec![],
            views: Views::One,
            batch_size,
            seed,
            shuffled: true,
            balanced: false,
            place: None,
            order: Mutex::new(None),
        })
    }

    /// Only the samples `indices`.
    ///
    /// # Errors
    /// If there are none, or one is not in the data set.
    pub fn subset(mut self, indices: &[usize]) -> Result<Self> {
        let len = self.dataset.len();
        if indices.is_empty() {
            return Err(Error::argument("Loader::subset", "there are no indices"));
        }
        if let Some(index) = indices.iter().find(|&&index| index >= len) {
            let problem = format!("there is no sample {index} in a data set of {len}");
            return Err(Error::argument("Loader::subset", problem));
        }
        self.indices = indices.to_vec();
        self.order = Mutex::new(None);
        Ok(self)
    }

    /// Transforms each image by `transforms`, in their order.
    pub fn transformed(mut self, transforms: Vec<Transform>) -> Self {
        self.transforms = transforms;
        self
    }

    /// One more transform, just before the last one.
    pub fn preceded_by(mut self, transform: Transform) -> Self {
        let last = self.transforms.len().saturating_sub(1);
        self.transforms.insert(last, transform);
        self
    }

    /// One more transform, behind the others.
    pub fn followed_by(mut self, transform: Transform) -> Self {
        self.transforms.push(transform);
        self
    }

    /// Shows all classes alike often: each place of an epoch is for a class at random, and for the next
    /// of its samples. Those of a large class are not all in every epoch, those of a small one several
    /// times, each time with its own random transforms.
    pub fn balanced(mut self) -> Self {
        self.balanced = true;
        self
    }

    /// What is shown of each image.
    pub fn views(&self) -> Views {
        self.views
    }

    /// Shows `views` of each transformed image.
    pub fn in_views(mut self, views: Views) -> Self {
        self.views = views;
        self
    }

    /// For one of several processes, whose `[rank, size]` these are: only the images that it works on are made,
    /// and the others of a batch are 0.
    pub fn for_process(mut self, place: Option<[usize; 2]>) -> Self {
        self.place = place;
        self
    }

    /// Keeps the samples in their order, and every last one of them: for evaluation.
    pub fn in_order(mut self) -> Self {
        self.shuffled = false;
        self
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.indices.len()
    }

    /// The number of batches of an epoch, at least 1.
    pub fn batches_per_epoch(&self) -> usize {
        let (full, left) = (self.samples() / self.batch_size, self.samples() % self.batch_size);
        let left_out = self.shuffled && left == 1 && full > 0;
        full + usize::from(left > 0 && !left_out)
    }

    /// The epoch, counted from 0, that a step belongs to, and the place of its batch there.
    pub fn position(&self, step: u64) -> (u64, usize) {
        let batches = self.batches_per_epoch() as u64;
        (step / batches, (step % batches) as usize)
    }

    /// The batch of a step, counted from 0.
    ///
    /// The samples are read and transformed in parallel; the result does not depend on how.
    ///
    /// # Errors
    /// If a sample cannot be read or transformed, or images differ in shape.
    pub fn batch(&self, step: u64) -> Result<Batch> {
        let _span = profile::span("load batch");
        let (epoch, place) = self.position(step);
        let order = self.order(epoch);
        let start = place * self.batch_size;
        let indices = order[start..(start + self.batch_size).min(order.len())].to_vec();
        // Every result is waited for, so that the first error is the same on each run.
        let image = |(at, &index): (usize, &usize)| {
            // In one epoch a sample has several places, if all classes are to be shown alike often.
            let key = if self.balanced { start + at } else { index };
            self.views.of(self.sample(epoch, index, key)?)
        };
        let own = self.place.map_or(0..indices.len(), |place| samples_of(place, indices.len()));
        let made = indices[own.clone()].par_iter().enumerate();
        let images: Vec<Result<Vec<Image>>> =
            made.map(|(at, index)| image((own.start + at, index))).collect();
        let images = images.into_iter().collect::<Result<Vec<_>>>()?;
        let images: Vec<Image> = images.into_iter().flatten().collect();
        let labels = indices.iter().map(|&index| self.dataset.labels()[index]).collect();
        let images = among(Image::stack(&images)?, own, indices.len())?;
        Ok(Batch { images, labels, indices })
    }

    /// The same samples in batches of another size.
    ///
    /// # Errors
    /// If `batch_size` is 0.
    pub fn in_batches_of(&self, batch_size: usize) -> Result<Self> {
        let Self { dataset, indices, transforms, seed, shuffled, views, balanced, .. } = self;
        let mut other = Self::of(dataset.clone(), batch_size, *seed)?;
        (other.indices, other.transforms) = (indices.clone(), transforms.clone());
        (other.shuffled, other.views, other.balanced) = (*shuffled, *views, *balanced);
        other.place = self.place;
        Ok(other)
    }

    /// The samples, by their indices in the data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// What a reader knows a sample of the data set by.
    pub fn name(&self, index: usize) -> String {
        self.dataset.name(index)
    }

    /// The names of the data set's classes.
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// The samples of an epoch in its order.
    fn order(&self, epoch: u64) -> Arc<[usize]> {
        let mut cached = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((of, order)) if *of == epoch || !self.shuffled => Arc::clone(order),
            _ => {
                let mut indices = self.indices.clone();
                let mut rng = order_rng(self.seed, epoch);
                if self.balanced {
                    indices = self.balanced_order(&mut rng);
                } else if self.shuffled {
                    rng.shuffle(&mut indices);
                }
                let order: Arc<[usize]> = indices.into();
                *cached = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }

    /// As many samples as there are, of classes at random.
    fn balanced_order(&self, rng: &mut fastrand::Rng) -> Vec<usize> {
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &index in &self.indices {
            classes.entry(self.dataset.labels()[index]).or_default().push(index);
        }
        let mut classes: Vec<(Vec<usize>, usize)> =
            classes.into_values().map(|samples| (samples, 0)).collect();
        let next = |_| {
            let class = rng.usize(0..classes.len());
            let (samples, used) = &mut classes[class];
            if *used % samples.len() == 0 {
                rng.shuffle(samples);
            }
            *used += 1;
            samples[(*used - 1) % samples.len()]
        };
        (0..self.indices.len()).map(next).collect()
    }

    /// A transformed sample as it is in an epoch, by the random numbers of `key`.
    fn sample(&self, epoch: u64, index: usize, key: usize) -> Result<Image> {
        self.dataset.transformed(index, &self.transforms, &mut sample_rng(self.seed, epoch, key))
    }
}

/// Images `[N, ...]` of the samples `own` as those of a batch of `samples`, where the others are 0.
fn among(images: Tensor<f32>, own: Range<usize>, samples: usize) -> Result<Tensor<f32>> {
    if own.len() == samples {
        return Ok(images);
    }
    let shape = images.shape();
    let views = shape[0] / own.len().max(1);
    let of_sample = images.len() / own.len().max(1);
    let shape = [&[samples * views], &shape[1..]].concat();
    let mut values = vec![0.0; samples * of_sample];
    values[own.start * of_sample..own.end * of_sample].copy_from_slice(images.as_slice());
    Tensor::new(&shape, values)
}

/// A data set that is somebody else's, or shared.
#[derive(Clone)]
enum Owner<'a> {
    Borrowed(&'a dyn Dataset),
    Shared(Arc<dyn Dataset>),
}

impl<'a> Deref for Owner<'a> {
    type Target = dyn Dataset + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Borrowed(dataset) => *dataset,
            Self::Shared(dataset) => &**dataset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Condition, Samples};

    /// Images of 2x2 that hold their index.
    fn toy(count: usize) -> Samples {
        let images = (0..count).map(|i| Image::from_fn([1, 2, 2], |_, _, _| i as f32));
        let labels = (0..count).map(|i| i % 2).collect();
        Samples::new("toy", images.collect(), labels, vec!["a".into(), "b".into()]).unwrap()
    }

    fn sizes(loader: &Loader<'_>) -> Vec<usize> {
        (0..loader.batches_per_epoch() as u64)
            .map(|step| loader.batch(step).unwrap().indices.len())
            .collect()
    }

    #[test]
    fn an_epoch_holds_every_sample_once_and_each_has_its_order() {
        let toy = toy(10);
        let loader = Loader::new(&toy, 4, 1).unwrap();
        assert_eq!(sizes(&loader), [4, 4, 2]);
        let epoch = |number: u64| -> Vec<usize> {
            (3 * number..3 * number + 3).flat_map(|s| loader.batch(s).unwrap().indices).collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.into_iter().eq(0..10));
        }
    }

    #[test]
    fn images_and_labels_are_those_of_the_indices() {
        let toy = toy(6);
        let batch = Loader::new(&toy, 3, 1).unwrap().batch(1).unwrap();
        assert_eq!(batch.images.shape(), [3, 1, 2, 2]);
        for (at, &index) in batch.indices.iter().enumerate() {
            assert_eq!(batch.images.as_slice()[4 * at..4 * at + 4], [index as f32; 4]);
            assert_eq!(batch.labels[at], index % 2);
        }
    }

    #[test]
    fn a_process_makes_the_images_that_it_works_on() {
        let toy = toy(7);
        let whole = Loader::new(&toy, 4, 1).unwrap();
        for rank in 0..3 {
            let own = Loader::new(&toy, 4, 1).unwrap().for_process(Some([rank, 3]));
            for step in 0..2 {
                let (batch, own) = (whole.batch(step).unwrap(), own.batch(step).unwrap());
                assert_eq!((&batch.indices, &batch.labels), (&own.indices, &own.labels));
                let made = samples_of([rank, 3], batch.indices.len());
                let pairs = batch.images.as_slice().chunks(4).zip(own.images.as_slice().chunks(4));
                for (at, (expected, found)) in pairs.enumerate() {
                    assert_eq!(found, if made.contains(&at) { expected } else { &[0.0; 4] });
                }
            }
        }
    }

    #[test]
    fn a_balanced_loader_shows_a_rare_class_as_often_as_the_other() {
        let images = (0..400).map(|i| Image::from_fn([1, 1, 1], |_, _, _| i as f32)).collect();
        let labels = (0..400).map(|i| usize::from(i < 8)).collect();
        let samples = Samples::new("toy", images, labels, vec!["a".into(), "b".into()]).unwrap();
        let loader = || Loader::new(&samples, 100, 1).unwrap().balanced();
        let epoch = |loader: &Loader<'_>, number: u64| -> Vec<usize> {
            (4 * number..4 * number + 4).flat_map(|s| loader.batch(s).unwrap().indices).collect()
        };
        let first = epoch(&loader(), 0);
        let rare = first.iter().filter(|&&index| index < 8).count();
        // Three standard deviations of the binomial distribution are 30.
        assert!((170..230).contains(&rare), "{rare}");
        // Every one of a class before one comes again.
        for index in 0..8 {
            let times = first.iter().filter(|&&other| other == index).count();
            assert!(times.abs_diff(rare / 8) <= 1, "{times} of {rare}");
        }
        assert_eq!(first, epoch(&loader(), 0));
        assert_ne!(first, epoch(&loader(), 1));
    }

    #[test]
    fn a_single_last_sample_is_left_out_of_training_only() {
        let toy = toy(9);
        let loader = || Loader::new(&toy, 4, 1).unwrap();
        assert_eq!(sizes(&loader()), [4, 4]);
        assert_eq!(sizes(&loader().in_order()), [4, 4, 1]);
        assert_eq!(sizes(&Loader::new(&toy, 1, 1).unwrap()), [1; 9]);
        assert_eq!(sizes(&Loader::new(&toy, 5, 1).unwrap()), [5, 4]);
        // There would be nothing else.
        assert_eq!(sizes(&loader().subset(&[3]).unwrap()), [1]);
    }

    #[test]
    fn in_order_is_the_order_of_the_subset() {
        let toy = toy(9);
        let loader = Loader::new(&toy, 2, 1).unwrap().subset(&[7, 2, 4]).unwrap().in_order();
        assert_eq!(loader.batch(0).unwrap().indices, [7, 2]);
        assert_eq!(loader.batch(3).unwrap().indices, [4]);
        assert_eq!(loader.position(3), (1, 1));
    }

    #[test]
    fn the_views_of_an_image_lie_behind_each_other() {
        let samples = Samples::new(
            "toy",
            vec![Image::from_fn([1, 1, 2], |_, _, x| x as f32); 2],
            vec![0, 1],
            vec!["a".into(), "b".into()],
        );
        let samples = samples.unwrap();
        let loader = Loader::new(&samples, 2, 1).unwrap().in_order().in_views(Views::Flip);
        let batch = loader.batch(0).unwrap();
        assert_eq!(batch.images.as_slice(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!((batch.images.shape()[0], batch.labels), (4, vec![0, 1]));
        let loader = loader.in_views(Views::Ten(1));
        assert_eq!(loader.batch(0).unwrap().images.shape(), [20, 1, 1, 1]);
        assert!(loader.in_views(Views::Ten(2)).batch(0).is_err(), "the image is too small");
    }

    /// The bits of all images of some steps, on so many threads.
    fn bits(threads: usize, steps: &[u64]) -> Vec<u32> {
        let toy = toy(23);
        let transforms = vec![
            Transform::RandomShift(1),
            Transform::RandomFlip,
            Transform::Condition(Condition::Noisy),
        ];
        let loader = Loader::new(&toy, 5, 9).unwrap().transformed(transforms);
        let loader = loader.preceded_by(Transform::RandAugment { operations: 2, magnitude: 9 });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let batches = pool.install(|| steps.iter().map(|s| loader.batch(*s).unwrap()).collect());
        let batches: Vec<Batch> = batches;
        batches.iter().flat_map(|b| b.images.as_slice().iter().map(|v| v.to_bits())).collect()
    }

    #[test]
    fn threads_change_nothing() {
        let steps: Vec<u64> = (0..12).collect();
        assert_eq!(bits(1, &steps), bits(4, &steps));
    }

    #[test]
    fn a_run_goes_on_from_any_step() {
        let whole = bits(2, &[6, 7, 8, 9, 10]);
        let resumed = bits(2, &[8, 9, 10]);
        assert!(whole.ends_with(&resumed));
    }

    #[test]
    fn random_transforms_differ_between_epochs() {
        let toy = toy(5);
        let transforms = vec![Transform::Condition(Condition::Noisy)];
        let loader = Loader::new(&toy, 5, 9).unwrap().transformed(transforms).in_order();
        assert_ne!(
            loader.batch(0).unwrap().images.as_slice(),
            loader.batch(1).unwrap().images.as_slice()
        );
    }

    #[test]
    fn what_gives_no_batch_is_an_error() {
        let toy = toy(3);
        assert!(Loader::new(&toy, 0, 1).is_err());
        assert!(Loader::new(&toy, 2, 1).unwrap().subset(&[]).is_err());
        assert!(Loader::new(&toy, 2, 1).unwrap().subset(&[3]).is_err());
    }
}
