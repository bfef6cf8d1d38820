//! Memory for the values of tensors, used again and again.
//!
//! A step of training asks for the buffers that the step before it asked for. Fresh from the
//! system, each would cost a page fault for every 4 KiB, and the system's time to fill them with
//! zeros. So the memory of a tensor goes to a pool when its last owner drops it, one pool for each
//! type of number, and the next tensor of its size is made of it.
//!
//! ```
//! use zoo_tuning::tensor::buffer;
//! let y: Vec<f32> = buffer::take(6); // of any values: for a result that is written as a whole
//! let sums: Vec<f32> = buffer::zeros(6); // for a result that is added up
//! let mut panel = buffer::scratch::<f32>(6); // goes back by itself
//! panel[0] = 1.0;
//! # assert_eq!((y.len(), sums, panel.len()), (6, vec![0.0; 6], 6));
//! ```
//!
//! # How much is kept
//!
//! Used and unused buffers together never exceed what was used at once before, at the peak, by
//! more than an eighth (without which what lay unused at the peak would be missing ever after): if a
//! buffer of another size is needed then, those that lay unused for longest go back to the system
//! first. So the pool does not raise the peak of a program's memory by more, except that a buffer
//! may be up to an eighth larger than asked for, and for a short while, as scratch, several times. Small buffers are left to the allocator, which is as
//! fast.
//!
//! The environment variable `ZOO_POOL_MIB` limits the unused buffers of each type further, to a
//! number of MiB; with 0, none is kept. [`usage`] tells what is kept, [`clear`] frees it.

use super::Element;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Of the peak, one part in so many may lie unused beside it.
const SPARE: usize = 8;
/// Bytes from which on a buffer is kept.
const SMALLEST: usize = 1 << 15;

/// A buffer of `len` values, whatever they are: for results that are written as a whole.
///
/// Where debug assertions are on they are NaN, so that reading them before they are written
/// does not go unnoticed.
pub fn take<T: Element>(len: usize) -> Vec<T> {
    taken(len, len / 8)
}

/// As [`take`], of a buffer with room for `more` values more at most.
fn taken<T: Element>(len: usize, more: usize) -> Vec<T> {
    let mut values = T::pool().find(len, more).unwrap_or_else(|| vec![T::zero(); len]);
    values.resize(len, T::zero());
    if cfg!(debug_assertions) {
        values.fill(T::nan());
    }
    values
}

/// A buffer of `len` zeros: for results that are added up.
pub fn zeros<T: Element>(len: usize) -> Vec<T> {
    filled(len, T::zero())
}

/// A buffer of `len` times `value`.
pub(super) fn filled<T: Element>(len: usize, value: T) -> Vec<T> {
    match T::pool().find(len, len / 8) {
        Some(mut values) => {
            values.clear();
            values.resize(len, value);
            values
        }
        // Of zeros, the system has some.
        None => vec![value; len],
    }
}

/// A buffer that holds what `values` does.
pub fn copy<T: Element>(values: &[T]) -> Vec<T> {
    match T::pool().find(values.len(), values.len() / 8) {
        Some(mut copy) => {
            copy.clear();
            copy.extend_from_slice(values);
            copy
        }
        None => values.to_vec(),
    }
}

/// A buffer of `len` values, whatever they are, to compute in; it goes back to the pool when it
/// is dropped. Since that is soon, it may be of a buffer that is several times as large.
pub fn scratch<T: Element>(len: usize) -> Buffer<T> {
    taken(len, 3 * len).into()
}

/// Gives back what [`take`], [`zeros`], or anyone else made.
pub fn give_back<T: Element>(values: Vec<T>) {
    drop(Buffer::from(values));
}

/// What the pool of a type holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In the hands of tensors and scratch buffers; small ones are not counted.
    pub used: usize,
    /// Kept for the next ones.
    pub unused: usize,
    /// The most that was used at once.
    pub peak: usize,
    /// Asked of the system so far.
    pub fresh: usize,
}

/// What the pool of `T` holds.
pub fn usage<T: Element>() -> Usage {
    T::pool().lock().usage
}

/// Frees the unused buffers of `T`.
pub fn clear<T: Element>() {
    T::pool().clear();
}

/// The limit that `ZOO_POOL_MIB` sets, in bytes, if it is set.
///
/// # Errors
/// If it is no number. Nothing is kept then.
pub fn limit() -> Result<Option<usize>> {
    const NAME: &str = "ZOO_POOL_MIB";
    std::env::var_os(NAME).map_or(Ok(None), |text| {
        let text = text.to_string_lossy();
        let mib = text.parse::<usize>().map_err(|_| {
            let problem = format!("should be a number of MiB, like 512, but is {text:?}");
            Error::config(NAME, problem)
        });
        mib.map(|mib| Some(mib.saturating_mul(1 << 20)))
    })
}

/// Values in memory that goes back to the pool when they are dropped.
#[derive(Debug)]
pub struct Buffer<T> {
    values: Vec<T>,
    /// The way to the pool of `T`; what is dropped cannot ask its type.
    home: fn(Vec<T>),
}

impl<T: Element> Buffer<T> {
    /// The values, which are the caller's from here on.
    pub fn into_vec(mut self) -> Vec<T> {
        T::pool().leave(bytes(&self.values));
        std::mem::take(&mut self.values)
    }
}

impl<T: Element> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        T::pool().enter(bytes(&values));
        Self { values, home: |values| T::pool().put(values) }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        (self.home)(std::mem::take(&mut self.values));
    }
}

impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        copy(self).into()
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

/// The bytes of a buffer, or 0 if it is too small to be kept.
fn bytes<T>(values: &Vec<T>) -> usize {
    let bytes = values.capacity() * size_of::<T>();
    if bytes < SMALLEST { 0 } else { bytes }
}

/// The unused buffers of one type, and how much is used.
#[derive(Debug)]
pub struct Pool<T> {
    shelf: Mutex<Shelf<T>>,
    /// The most that is kept unused, in bytes.
    most: fn() -> usize,
}

#[derive(Debug)]
struct Shelf<T> {
    /// Buffers that nobody uses, the longest unused first.
    unused: VecDeque<Vec<T>>,
    usage: Usage,
}

impl<T> Pool<T> {
    pub(super) const fn new() -> Self {
        Self::limited(|| {
            static MOST: OnceLock<usize> = OnceLock::new();
            *MOST.get_or_init(|| limit().unwrap_or(Some(0)).unwrap_or(usize::MAX))
        })
    }

    const fn limited(most: fn() -> usize) -> Self {
        let usage = Usage { used: 0, unused: 0, peak: 0, fresh: 0 };
        Self { shelf: Mutex::new(Shelf { unused: VecDeque::new(), usage }), most }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<T>> {
        // Whatever panicked, it was not halfway through a change.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An unused buffer with room for `len` values and at most so many more, the smallest and of
    /// these the newest, which may be in a cache still.
    fn find(&self, len: usize, more: usize) -> Option<Vec<T>> {
        let bytes = len.saturating_mul(size_of::<T>());
        if bytes < SMALLEST {
            return None;
        }
        let mut shelf = self.lock();
        let unused = shelf.unused.iter().enumerate().rev();
        let fits = unused.filter(|(_, buffer)| {
            let capacity = buffer.capacity();
            (len..=len.saturating_add(more)).contains(&capacity)
        });
        let found = fits.min_by_key(|(_, buffer)| buffer.capacity()).map(|(index, _)| index);
        if let Some(buffer) = found.and_then(|index| shelf.unused.remove(index)) {
            shelf.usage.unused -= self::bytes(&buffer);
            return Some(buffer);
        }
        shelf.usage.fresh += bytes;
        let gone = shelf.make_room(bytes, usize::MAX);
        // The system takes a while for them; nobody should wait meanwhile.
        drop(shelf);
        drop(gone);
        None
    }

    /// Buffers of so many bytes are used from now on.
    fn enter(&self, bytes: usize) {
        if bytes > 0 {
            let mut shelf = self.lock();
            let usage = &mut shelf.usage;
            usage.used += bytes;
            usage.peak = usage.peak.max(usage.used);
            let gone = shelf.make_room(0, (self.most)());
            drop(shelf);
            drop(gone);
        }
    }

    /// Buffers of so many bytes are somebody else's from now on.
    fn leave(&self, bytes: usize) {
        if bytes > 0 {
            self.lock().usage.used -= bytes;
        }
    }

    /// A buffer that was used comes back.
    fn put(&self, buffer: Vec<T>) {
        let bytes = bytes(&buffer);
        if bytes > 0 {
            let mut shelf = self.lock();
            shelf.usage.used -= bytes;
            shelf.usage.unused += bytes;
            shelf.unused.push_back(buffer);
            let gone = shelf.make_room(0, (self.most)());
            drop(shelf);
            drop(gone);
        }
    }

    fn clear(&self) {
        let mut shelf = self.lock();
        shelf.usage.unused = 0;
        let gone = std::mem::take(&mut shelf.unused);
        drop(shelf);
        drop(gone);
    }
}

impl<T> Shelf<T> {
    /// Takes out what lay unused for longest, until the rest and so many bytes more, together with
    /// what is used, do not exceed the peak and an eighth, nor the rest `most`.
    fn make_room(&mut self, coming: usize, most: usize) -> Vec<Vec<T>> {
        let mut gone = Vec::new();
        let Usage { used, peak, .. } = self.usage;
        let limit = peak + peak / SPARE;
        while used + self.usage.unused + coming > limit || self.usage.unused > most {
            let Some(buffer) = self.unused.pop_front() else { break };
            self.usage.unused -= bytes(&buffer);
            gone.push(buffer);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const LEN: usize = 10_000;

    /// A pool that used so many buffers of `LEN` at once, and has them all.
    fn full(count: usize) -> Pool<f64> {
        let pool = Pool::limited(|| usize::MAX);
        pool.enter(count * LEN * size_of::<f64>());
        (0..count).for_each(|_| pool.put(vec![0.0; LEN]));
        pool
    }

    fn kept(pool: &Pool<f64>) -> usize {
        let shelf = pool.lock();
        assert_eq!(shelf.usage.unused, shelf.unused.iter().map(bytes).sum::<usize>());
        shelf.unused.len()
    }

    #[test]
    fn a_buffer_serves_again_for_about_its_size() {
        let pool = full(3);
        assert!(pool.find(LEN + 1, LEN / 8).is_none());
        assert_eq!(kept(&pool), 2, "those that lay longest made room");
        let pool = full(3);
        assert!(pool.find(LEN * 7 / 8, LEN * 7 / 64).is_none());
        assert_eq!(pool.find(LEN * 9 / 10, LEN * 9 / 80).unwrap().capacity(), LEN);
    }

    #[test]
    fn the_nearest_size_is_taken_first_and_of_these_the_newest() {
        let pool = Pool::<f64>::limited(|| usize::MAX);
        let buffers: Vec<_> = [LEN + 2, LEN + 1, LEN + 1].map(|len| vec![0.0; len]).into();
        let newest = buffers[2].as_ptr();
        pool.enter(buffers.iter().map(bytes).sum());
        buffers.into_iter().for_each(|buffer| pool.put(buffer));
        let found = pool.find(LEN, LEN / 8).unwrap();
        assert_eq!(found.as_ptr(), newest);
    }

    #[test]
    fn small_buffers_are_not_kept() {
        let pool = full(1);
        pool.put(vec![0.0; 100]);
        assert_eq!(kept(&pool), 1);
        assert!(pool.find(100, 12).is_none());
        assert_eq!(pool.lock().usage.fresh, 0);
    }

    #[test]
    fn a_limit_holds_and_none_may_be_kept() {
        let pool = Pool::<f64>::limited(|| 2 * LEN * size_of::<f64>());
        pool.enter(5 * LEN * size_of::<f64>());
        (0..5).for_each(|_| pool.put(vec![0.0; LEN]));
        assert_eq!(kept(&pool), 2);
        pool.clear();
        assert_eq!(kept(&pool), 0);
        let pool = Pool::<f64>::limited(|| 0);
        pool.enter(LEN * size_of::<f64>());
        pool.put(vec![0.0; LEN]);
        assert_eq!(kept(&pool), 0);
    }

    #[test]
    fn buffers_are_of_the_asked_length_whatever_they_were() {
        let stale = || give_back(vec![7.0f64; LEN]);
        stale();
        assert_eq!(zeros::<f64>(LEN - 1), [0.0; LEN - 1]);
        stale();
        assert_eq!(copy(&[3.0f64; LEN - 2]), [3.0; LEN - 2]);
        stale();
        assert_eq!(take::<f64>(LEN - 3).len(), LEN - 3);
        let unset = take::<f64>(LEN).iter().all(|v| v.is_nan());
        assert_eq!(unset, cfg!(debug_assertions), "a debug build shows what is not written");
        assert_eq!(scratch::<f32>(5).clone().into_vec().len(), 5);
    }

    proptest! {
        /// Used and unused together stay below the peak of what was used and an eighth, and no memory is
        /// in two hands.
        #[test]
        fn the_peak_is_never_exceeded(sizes in prop::collection::vec((0..6usize, any::<bool>()), 100)) {
            let pool = Pool::<f64>::limited(|| usize::MAX);
            let mut hands: VecDeque<Vec<f64>> = VecDeque::new();
            for (size, takes) in sizes {
                if takes {
                    let len = LEN + size * LEN / 20;
                    let buffer = pool.find(len, len / 8).unwrap_or_else(|| vec![0.0; len]);
                    prop_assert!(buffer.capacity() >= len);
                    pool.enter(bytes(&buffer));
                    hands.push_back(buffer);
                } else if let Some(buffer) = hands.pop_front() {
                    pool.put(buffer);
                }
                let shelf = pool.lock();
                let Usage { used, unused, peak, .. } = shelf.usage;
                prop_assert_eq!(used, hands.iter().map(bytes).sum::<usize>());
                prop_assert!(used + unused <= peak + peak / SPARE);
                let all: Vec<_> = hands.iter().chain(&shelf.unused).map(|b| b.as_ptr()).collect();
                prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            }
        }
    }
}
