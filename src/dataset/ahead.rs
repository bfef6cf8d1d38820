//! Batches that a thread makes while others are worked on.

use super::{Batch, Loader};
use crate::{Error, Result, profile};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// The batches of a [`Loader`], the next few of which are made ahead.
///
/// That is worth it where reading a batch takes long beside working on it, as with photographs;
/// the batches are those of [`Loader::batch`].
pub struct Ahead {
    loader: Arc<Loader<'static>>,
    count: usize,
    /// The step whose batch comes next.
    next: u64,
    made: Option<Receiver<Result<Batch>>>,
}

impl Ahead {
    /// Makes `count` batches ahead.
    pub fn new(loader: Loader<'static>, count: usize) -> Self {
        Self { loader: Arc::new(loader), count, next: 0, made: None }
    }

    /// The batch of a step. Steps are best asked for one after the other; from any other, making
    /// ahead begins anew.
    ///
    /// # Errors
    /// As [`Loader::batch`].
    pub fn batch(&mut self, step: u64) -> Result<Batch> {
        let _span = profile::span("wait for batch");
        let made = match self.made.take().filter(|_| self.next == step) {
            Some(made) => made,
            None => self.begin(step)?,
        };
        let batch = made.recv();
        (self.next, self.made) = (step + 1, Some(made));
        batch.unwrap_or_else(|_| Err(Error::argument("Ahead::batch", "the loader has panicked")))
    }

    /// A thread that makes batches from that step on, until nobody receives them.
    fn begin(&self, step: u64) -> Result<Receiver<Result<Batch>>> {
        let (sender, receiver) = sync_channel(self.count.max(1));
        let loader = Arc::clone(&self.loader);
        let work = move || {
            for step in step.. {
                if sender.send(loader.batch(step)).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("loader".to_owned()).spawn(work);
        thread.map_err(|error| Error::config("threads", error.to_string()))?;
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Image, Samples};

    #[test]
    fn batches_made_ahead_are_the_loaders() {
        let images = (0..10).map(|i| Image::from_fn([1, 2, 2], |_, _, _| i as f32)).collect();
        let names = vec!["a".into(), "b".into()];
        let samples = Samples::new("toy", images, (0..10).map(|i| i % 2).collect(), names);
        let dataset: Arc<dyn Dataset> = Arc::new(samples.unwrap());
        let loader = || Loader::shared(Arc::clone(&dataset), 4, 1).unwrap();
        let mut ahead = Ahead::new(loader(), 2);
        for step in [0, 1, 2, 7, 8, 3] {
            let expected = loader().batch(step).unwrap();
            assert_eq!(ahead.batch(step).unwrap().indices, expected.indices, "step {step}");
        }
    }
}
