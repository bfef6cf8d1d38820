//! Batches that threads make while others are worked on.

use super::{Batch, Loader};
use crate::{Error, Result, profile};
use std::collections::VecDeque;
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
    /// Where the next batches come from, in turn; empty until the first is asked for.
    made: VecDeque<Receiver<Result<Batch>>>,
}

impl Ahead {
    /// Makes `count` batches ahead, all of them at once: a large picture at the end of one keeps no
    /// processor from the next.
    pub fn new(loader: Loader<'static>, count: usize) -> Self {
        Self { loader: Arc::new(loader), count, next: 0, made: VecDeque::new() }
    }

    /// The batch of a step. Steps are best asked for one after the other; from any other, making
    /// ahead begins anew.
    ///
    /// # Errors
    /// As [`Loader::batch`].
    pub fn batch(&mut self, step: u64) -> Result<Batch> {
        let _span = profile::span("wait for batch");
        if self.next != step || self.made.is_empty() {
            let first = (step..).take(self.count.max(1));
            self.made = first.map(|first| self.begin(first)).collect::<Result<_>>()?;
        }
        self.next = step + 1;
        let batch = self.made[0].recv();
        self.made.rotate_left(1);
        batch.unwrap_or_else(|_| Err(Error::argument("Ahead::batch", "the loader has panicked")))
    }

    /// A thread that makes every `count`th batch from that step on, until nobody receives them.
    fn begin(&self, first: u64) -> Result<Receiver<Result<Batch>>> {
        // What is made waits in the thread.
        let (sender, receiver) = sync_channel(0);
        let (loader, count) = (Arc::clone(&self.loader), self.count.max(1));
        let work = move || {
            for step in (first..).step_by(count) {
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
