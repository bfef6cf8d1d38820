//! Parallel loops whose body is called by a pointer.
//!
//! Rayon compiles its splitting, joining and stealing for each loop anew, which was a fifth of all
//! code of this crate. A body behind a pointer makes it one copy for each kind of loop; what is
//! called is a task, of thousands of values, beside which the call is nothing.

use rayon::iter::ParallelIterator;

/// Loops over whatever rayon goes through in parallel.
pub(super) trait Each: ParallelIterator {
    /// As `for_each`.
    fn each(self, work: impl Fn(Self::Item) + Sync) {
        let work: &(dyn Fn(Self::Item) + Sync) = &work;
        self.for_each(work);
    }

    /// As `for_each_init`.
    fn each_init<S>(self, init: impl Fn() -> S + Sync, work: impl Fn(&mut S, Self::Item) + Sync) {
        let init: &(dyn Fn() -> S + Sync) = &init;
        let work: &(dyn Fn(&mut S, Self::Item) + Sync) = &work;
        self.for_each_init(init, work);
    }
}

impl<I: ParallelIterator> Each for I {}
