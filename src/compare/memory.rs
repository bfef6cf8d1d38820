//! Whether one more network fits into memory beside those that are being tuned.
//!
//! The first network of a comparison is tuned alone for two steps. From then on another one begins if a
//! quarter more memory is free than a network has taken so far; otherwise it waits until one is finished. A zoo
//! takes more than one of its sources, which is seen when the first zoo is tuned, and what a device holds is not
//! looked at. Where the system does not tell how much memory there is, none waits.

use crate::tensor::buffer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Room beyond what a network took, for evaluation in larger batches, as a part of that.
const SPARE: f64 = 0.25;
/// Steps after which nothing that a run needs is missing: the first makes the optimizer's moments, and buffers
/// that all others use again.
const GROWN: u64 = 2;

/// Bytes of memory.
#[derive(Clone, Copy)]
struct Usage {
    /// What can still be had.
    free: u64,
    /// What this process has of its own; mapped files are not, since they can be read again.
    own: u64,
}

/// What the networks of a comparison take.
pub(super) struct Memory {
    usage: fn() -> Option<Usage>,
    known: Mutex<Known>,
    /// There may be room now for who waits.
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    /// Steps that each run which is on has done in this process.
    steps: BTreeMap<String, u64>,
    /// Runs that wait, in the order in which they came.
    waiting: VecDeque<String>,
    /// Bytes that a network takes, the most so far; 0 as long as none is known.
    of_one: u64,
    has_said: bool,
}

impl Known {
    /// How many runs have taken all that they need.
    fn grown(&self) -> usize {
        self.steps.values().filter(|&&steps| steps >= GROWN).count()
    }

    /// Notes what a network takes, when all that are on have all that they need.
    fn look_at(&mut self, usage: Usage) {
        let count = self.steps.len();
        if count > 0 && self.grown() == count {
            self.of_one = self.of_one.max(usage.own / count as u64).max(1);
        }
    }
}

impl Memory {
    /// That of this machine, or of the control group that the process is confined to.
    pub(super) fn new() -> Self {
        Self::told_by(on_linux)
    }

    fn told_by(usage: fn() -> Option<Usage>) -> Self {
        Self { usage, known: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for room for `run`, which it has until the place is dropped; none if `stopped` says so
    /// before. Who came first is first. `say` is told once if there is not enough.
    pub(super) fn place(
        &self,
        run: &str,
        stopped: impl Fn() -> bool,
        say: impl Fn(&str),
    ) -> Option<Place<'_>> {
        self.known().waiting.push_back(run.to_owned());
        while let Err(lack) = self.take(run) {
            if stopped() {
                self.known().waiting.retain(|other| other != run);
                return None;
            }
            if let Some(lack) = lack {
                say(&lack);
            }
            // Others may free memory too, and `stopped` tells nobody.
            let known = self.known();
            drop(self.changed.wait_timeout(known, Duration::from_millis(100)));
        }
        Some(Place { memory: self, run: run.to_owned() })
    }

    /// Counts one more run, if there is room for it; else what is to be said of that.
    fn take(&self, run: &str) -> Result<(), Option<String>> {
        // Reading takes a while, for which steps of other runs need not wait.
        let usage = (self.usage)();
        let mut known = self.known();
        if known.waiting.front().is_some_and(|first| first != run) {
            return Err(None);
        }
        if let Some(usage) = usage
            && !known.steps.is_empty()
        {
            known.look_at(usage);
            if known.of_one == 0 {
                return Err(None);
            }
            // Those that have just begun will take theirs.
            let begun = known.steps.len() - known.grown();
            let needed = known.of_one as f64 * (1.0 + SPARE) * (begun + 1) as f64;
            if usage.free as f64 <= needed {
                let is_new = !std::mem::replace(&mut known.has_said, true);
                let [free, of_one] = [usage.free, known.of_one].map(|bytes| bytes as f64 / 1e9);
                return Err(is_new.then(|| {
                    format!(
                        "waits until another network is finished: one takes about {of_one:.1} GB, \
                         {free:.1} GB are free"
                    )
                }));
            }
        }
        known.waiting.retain(|other| other != run);
        known.steps.insert(run.to_owned(), 0);
        self.changed.notify_all();
        Ok(())
    }

    /// After a step of a run.
    pub(super) fn after_step(&self, run: &str) {
        let mut known = self.known();
        let Some(steps) = known.steps.get_mut(run) else { return };
        *steps += 1;
        if *steps == GROWN
            && let Some(usage) = (self.usage)()
        {
            known.look_at(usage);
            self.changed.notify_all();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Counts are right whoever has panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run's room, until this is dropped.
pub(super) struct Place<'a> {
    memory: &'a Memory,
    run: String,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.memory.known().steps.remove(&self.run);
        // What it used goes back to the system, and is seen to be free.
        buffer::clear::<f32>();
        self.memory.changed.notify_all();
    }
}

/// As Linux tells, of the machine and of the control group that is seen from inside a container, of version 2
/// or 1; nothing elsewhere.
fn on_linux() -> Option<Usage> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let own = in_kib(&read("/proc/self/status")?, "RssAnon:")?;
    let of_machine = in_kib(&read("/proc/meminfo")?, "MemAvailable:")?;
    let of_group = |[most, used, statistics, given_back]: [&str; 4]| -> Option<u64> {
        let number = |path| read(path)?.trim().parse::<u64>().ok();
        // "max" where there is no limit.
        let left = number(most)?.saturating_sub(number(used)?);
        // Pages of files that nobody has used for a while, which the system takes back.
        let statistics = read(statistics)?;
        let line = statistics.lines().find_map(|line| line.strip_prefix(given_back));
        Some(left.saturating_add(line.and_then(|line| line.trim().parse().ok()).unwrap_or(0)))
    };
    let groups = [
        [
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory.current",
            "/sys/fs/cgroup/memory.stat",
            "inactive_file ",
        ],
        [
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            "/sys/fs/cgroup/memory/memory.stat",
            "total_inactive_file ",
        ],
    ];
    let free = groups.into_iter().filter_map(of_group).fold(of_machine, u64::min);
    Some(Usage { free, own })
}

/// Bytes of the line that begins with `name`.
fn in_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    const GB: u64 = 1_000_000_000;

    #[test]
    fn the_first_network_shows_what_the_others_will_take() {
        let memory = Memory::told_by(|| Some(Usage { free: 3 * GB, own: 2 * GB }));
        assert!(memory.take("first").is_ok());
        memory.after_step("first");
        assert_eq!(memory.take("second"), Err(None), "it is not known yet what one takes");
        memory.after_step("first");
        assert!(memory.take("second").is_ok(), "2.5 GB of the 3 that are free");
        assert!(memory.take("third").is_err(), "the second has not taken its own yet");
    }

    #[test]
    fn a_network_waits_for_room_and_says_so_once() {
        let memory = Memory::told_by(|| Some(Usage { free: 2 * GB, own: 2 * GB }));
        let first = memory.place("first", || false, |_| ()).unwrap();
        memory.after_step("first");
        memory.after_step("first");
        let (said, looks) = (RefCell::new(vec![]), Cell::new(0));
        let stopped = || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        };
        let found = memory.place("second", stopped, |what| said.borrow_mut().push(what.to_owned()));
        assert!(found.is_none());
        let expected =
            "waits until another network is finished: one takes about 2.0 GB, 2.0 GB are free";
        assert_eq!(*said.borrow(), [expected]);
        // Alone there is always room.
        drop(first);
        assert!(memory.take("second").is_ok());
        assert!(memory.take("third").is_err());
    }

    #[test]
    fn who_waits_is_not_overtaken() {
        let memory = Memory::told_by(|| None);
        memory.known().waiting.push_back("first".to_owned());
        assert_eq!(memory.take("second"), Err(None));
        assert!(memory.take("first").is_ok() && memory.take("second").is_ok());
    }

    #[test]
    fn what_two_take_is_shared_between_them() {
        let memory = Memory::told_by(|| Some(Usage { free: 9 * GB, own: 4 * GB }));
        memory.known().of_one = 2 * GB;
        for run in ["first", "second"] {
            memory.take(run).unwrap();
        }
        for run in ["first", "second", "first", "second"] {
            memory.after_step(run);
        }
        assert_eq!(memory.known().of_one, 2 * GB, "4 GB of two");
        // One that has just begun has nothing yet: it is not looked at how much two take.
        memory.take("third").unwrap();
        assert_eq!(memory.known().of_one, 2 * GB);
    }

    #[test]
    fn none_waits_where_nothing_is_known() {
        let memory = Memory::told_by(|| None);
        assert!(memory.take("first").is_ok() && memory.take("second").is_ok());
    }

    #[test]
    fn lines_of_the_system_are_bytes() {
        assert_eq!(in_kib("VmRSS:\t 7 kB\nRssAnon:\t     12 kB\n", "RssAnon:"), Some(12 * 1024));
        assert_eq!(in_kib("RssAnon: many kB", "RssAnon:"), None);
        // If it tells anything.
        assert!(on_linux().is_none_or(|usage| usage.own > 0));
    }
}
