//! Where the time goes.
//!
//! Between [`start`] and [`finish`], every operation on a [`tape`](crate::tape) leaves how long
//! it took, forward and backward, with the layer it belongs to; so do the optimizer's step, the
//! loading of a batch, an evaluation, and whatever else opens a [`span`]. A [`Profile`] shows
//! them as tables, by operation and by layer and, of a device, by kernel, and as a trace that
//! `chrome://tracing` and <https://ui.perfetto.dev> draw. While nobody has asked, all this costs
//! one look at a flag.
//!
//! ```
//! use zoo_tuning::{ops, profile, tape::Tape, tensor::Tensor};
//! # fn main() -> zoo_tuning::Result<()> {
//! profile::start();
//! let mut tape = Tape::new();
//! let (x, w) = (Tensor::full(&[8, 64], 1.0f32), Tensor::full(&[10, 64], 0.5));
//! let (x, w) = (tape.constant(x), tape.parameter(w));
//! tape.enter("fc");
//! let y = ops::linear(&mut tape, x, w, None)?;
//! tape.backward_from(y, Tensor::full(&[8, 10], 1.0))?;
//! let profile = profile::finish();
//! println!("{profile}");
//! # let mut json = Vec::new();
//! # profile.write_trace(&mut json).unwrap();
//! # assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&json).unwrap().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The program does so for its commands that compute, with `--profile` or the environment variable
//! `ZOO_PROFILE`: `1` prints the tables, a path is where the trace goes beside.
//!
//! # What is measured
//!
//! - **Forward**, an operation's time is the time since the event before it on its tape: since the
//!   last operation, or since its parameters were put there. Operations run one after the other,
//!   so this is the operation itself and what its layer does around it. **Backward**, it is the
//!   rule together with the sums that its gradients go into and the freeing of what it saved.
//! - Time is a thread's that waits for the result, whatever number of threads compute; where
//!   several compute independently of each other (the demo's jobs, the loader), their times add up
//!   to more than the clock's. A span's time in the tables is without that of spans inside of it.
//! - **On a device**, the host waits after each operation while a profile is taken, so that its
//!   time is the operation's. The time of the device itself, by the events of its queue, stands
//!   beside it, kernel by kernel in a table of its own, and is what the rates are of; the
//!   difference is what it takes to tell the device what to do. For this, [`start`] comes before
//!   the device is opened.
//! - **GFLOP/s** counts two operations for each multiply-add of the formula, as
//!   [`Backward::multiply_adds`](crate::tape::Backward::multiply_adds) gives them: convolutions,
//!   aggregations, alignment and linear layers. What computes the same with less appears faster.
//! - **GB/s** counts what must be moved at least: forward the inputs and the output, backward the
//!   output's gradient and the gradients that are returned. An operation that only hands tensors
//!   on, such as the gradient of a sum, seems impossibly fast.

mod report;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Events of a trace at most; the tables count on.
const MOST_EVENTS: usize = 200_000;

static ON: AtomicBool = AtomicBool::new(false);
static PROFILE: Mutex<Option<Profile>> = Mutex::new(None);

thread_local! {
    /// How long this thread has been inside of spans that have ended.
    static INSIDE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// How long a device took for kernels of this thread that belong to no event yet.
    static ON_DEVICE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static THREAD: u32 = {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// What an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// An operation computed a value.
    Forward,
    /// An operation computed gradients.
    Backward,
    /// Neither: a span.
    Other,
}

/// What an event did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations, two for each multiply-add.
    pub flops: u64,
    /// Bytes read and written, at least.
    pub bytes: u64,
}

/// A sum of events of one name.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    calls: u64,
    time: Duration,
    /// The part of it in which a device computed.
    on_device: Duration,
    work: Work,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: &'static str,
    pass: Pass,
    layer: Option<Arc<str>>,
}

#[derive(Debug)]
struct Event {
    key: Key,
    thread: u32,
    begun: Instant,
    took: Duration,
    work: Work,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Profile {
    begun: Instant,
    wall: Duration,
    totals: HashMap<Key, Total>,
    /// A device's kernels, by name.
    kernels: HashMap<&'static str, Total>,
    /// The first [`MOST_EVENTS`].
    events: Vec<Event>,
}

impl Default for Profile {
    fn default() -> Self {
        let (totals, kernels, events) = Default::default();
        Self { begun: Instant::now(), wall: Duration::ZERO, totals, kernels, events }
    }
}

fn profile() -> MutexGuard<'static, Option<Profile>> {
    PROFILE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Measures from here on, on all threads; forgets what was measured before.
pub fn start() {
    *profile() = Some(Profile::default());
    ON.store(true, Ordering::Relaxed);
}

/// Measures no longer; what was measured since [`start`].
pub fn finish() -> Profile {
    ON.store(false, Ordering::Relaxed);
    let mut profile = profile().take().unwrap_or_default();
    profile.wall = profile.begun.elapsed();
    profile
}

/// Whether there is somebody who wants to know.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A kernel of that name took so long on a device. It belongs to the event that this thread notes
/// next.
#[cfg_attr(not(feature = "opencl"), allow(dead_code))]
pub(crate) fn kernel(name: &'static str, took: Duration) {
    if let Some(profile) = profile().as_mut() {
        ON_DEVICE.set(ON_DEVICE.get() + took);
        let total = profile.kernels.entry(name).or_default();
        total.calls += 1;
        total.on_device += took;
    }
}

/// Measures until it is dropped.
#[must_use = "a span ends when it is dropped"]
pub fn span(name: &'static str) -> Span {
    Span { name, clock: Clock::start() }
}

/// What [`span`] has begun.
#[derive(Debug)]
pub struct Span {
    name: &'static str,
    clock: Clock,
}

impl Drop for Span {
    fn drop(&mut self) {
        self.clock.lap(self.name, Pass::Other, None, Work::default);
    }
}

/// A clock that measures one thing after the other; it stands still if [`start`] was not called.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Option<Mark>);

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    /// [`INSIDE`] at that time.
    inside: Duration,
}

impl Clock {
    /// A clock that measures from now on.
    pub fn start() -> Self {
        Self(is_on().then(|| Mark { at: Instant::now(), inside: INSIDE.get() }))
    }

    /// What has passed since the last event belongs to none.
    pub fn skip(&mut self) {
        if self.0.is_some() {
            ON_DEVICE.set(Duration::ZERO);
            *self = Self::start();
        }
    }

    /// What has passed since the last event is one of this name. The work is asked for only if
    /// it is measured.
    pub fn lap(
        &mut self,
        name: &'static str,
        pass: Pass,
        layer: Option<&Arc<str>>,
        work: impl FnOnce() -> Work,
    ) {
        if let Some(mark) = self.0 {
            let took = mark.at.elapsed();
            self.note(mark, took, Key { name, pass, layer: layer.cloned() }, work());
        }
    }

    /// An event of `took` ends, and the next begins.
    fn note(&mut self, mark: Mark, took: Duration, key: Key, work: Work) {
        let Mark { at: begun, inside } = mark;
        // Without what ended meanwhile; and all of it is inside of what is around.
        let own = took.saturating_sub(INSIDE.get().saturating_sub(inside));
        INSIDE.set(inside + took);
        if let Some(profile) = profile().as_mut() {
            let event = Event { key, thread: THREAD.with(|n| *n), begun, took, work };
            profile.note(event, own, ON_DEVICE.take());
        }
        *self = Self::start();
    }
}

impl Profile {
    fn note(&mut self, event: Event, own: Duration, on_device: Duration) {
        let total = self.totals.entry(event.key.clone()).or_default();
        total.calls += 1;
        total.time += own;
        total.on_device += on_device;
        total.work = total.work + event.work;
        if self.events.len() < MOST_EVENTS {
            self.events.push(event);
        }
    }

    /// From [`start`] to [`finish`].
    pub fn wall(&self) -> Duration {
        self.wall
    }

    /// The sum of all events, without counting twice what lies in several.
    pub fn measured(&self) -> Duration {
        self.totals.values().map(|total| total.time).sum()
    }
}

impl std::ops::Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            flops: self.flops.saturating_add(other.flops),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}
