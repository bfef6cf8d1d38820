//! Several processes that train one network together.
//!
//! Every process holds the whole network and works on its [`Share`] of each batch. What has to be known of
//! the whole batch is exchanged: gradients are added, batch norms and lite's gates take the means of all
//! samples, so that the processes together compute what one does with the same batch.
//!
//! A [`Group`] does so over any [`Exchange`]: [`threads`] of one process, or MPI (feature `mpi`). All of its
//! calls are made by one thread of its own, in the order in which they were asked for, so that sums go on
//! while their owner computes. Sums are taken in the order of the processes: the same number of
//! processes gives the same bits.

#[cfg(feature = "mpi")]
pub mod mpi;
pub mod threads;

use crate::{Error, Result};
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How values go from process to process. Each call is made by all processes, in the same order, with as
/// many values; it returns when it is done. So whatever is computed together, a pass, a penalty, a step, has to
/// make the same calls in each process, whatever its own samples are.
pub trait Exchange {
    /// Which process this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// The numbers of every process, one behind the other.
    ///
    /// # Errors
    /// If another process is gone.
    fn gather_numbers(&mut self, own: &[f64]) -> Result<Vec<f64>>;

    /// The values of every process, one behind the other.
    ///
    /// # Errors
    /// As [`Exchange::gather_numbers`].
    fn gather(&mut self, own: &[f32]) -> Result<Vec<f32>>;

    /// Of `parts`, which is as many parts of one length as there are processes, the first goes to the first
    /// process and so on. What came of every process, one behind the other.
    ///
    /// # Errors
    /// As [`Exchange::gather_numbers`].
    fn scatter(&mut self, parts: &[f32]) -> Result<Vec<f32>>;

    /// Ends all processes at once, where that can be done from here.
    fn abort(&self) {}
}

/// The processes that work together, as one of them sees them.
#[derive(Clone)]
pub struct Group {
    rank: usize,
    size: usize,
    courier: Arc<Courier>,
}

/// The thread that makes the calls of an [`Exchange`].
struct Courier {
    /// `None` when it is to end.
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Job {
    Gather(Vec<f64>, Sender<Result<Vec<f64>>>),
    Sum(Vec<f32>, Sender<Result<Vec<f32>>>),
    Abort,
}

/// A sum that is being taken.
pub struct Pending(Receiver<Result<Vec<f32>>>);

impl Pending {
    /// Waits for it.
    ///
    /// # Errors
    /// If another process is gone.
    pub fn wait(self) -> Result<Vec<f32>> {
        self.0.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Group {
    /// Over the exchange that `open` opens, in the thread that will make its calls.
    ///
    /// # Errors
    /// If it cannot be opened, or no thread be started.
    pub fn new<E: Exchange>(open: impl FnOnce() -> Result<E> + Send + 'static) -> Result<Self> {
        let (jobs, asked) = channel();
        let (opened, answer) = channel();
        let work = move || {
            let mut exchange = match open() {
                Ok(exchange) => exchange,
                Err(error) => return drop(opened.send(Err(error))),
            };
            // Who asked may have gone.
            let _ = opened.send(Ok((exchange.rank(), exchange.size())));
            for job in asked {
                match job {
                    Job::Gather(own, answer) => drop(answer.send(exchange.gather_numbers(&own))),
                    Job::Sum(values, answer) => drop(answer.send(sum(&mut exchange, values))),
                    Job::Abort => exchange.abort(),
                }
            }
        };
        let thread = std::thread::Builder::new().name("courier".to_owned()).spawn(work);
        let thread = thread.map_err(|error| {
            Error::argument("Group::new", format!("the system gives no thread: {error}"))
        })?;
        let (rank, size) = answer.recv().unwrap_or_else(|_| Err(gone()))?;
        let courier = Courier { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) };
        Ok(Self { rank, size, courier: Arc::new(courier) })
    }

    /// Which process this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this is the process that writes files and speaks to the user.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// The numbers of every process, in their order; each gives as many.
    ///
    /// # Errors
    /// If another process is gone.
    pub fn gather(&self, own: &[f64]) -> Result<Vec<Vec<f64>>> {
        let (answer, found) = channel();
        self.ask(Job::Gather(own.to_vec(), answer));
        let all = found.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok((0..self.size).map(|rank| all[rank * own.len()..][..own.len()].to_vec()).collect())
    }

    /// The sum of each of the numbers over all processes.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn sum(&self, own: &[f64]) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; own.len()];
        for of_one in self.gather(own)? {
            sums.iter_mut().zip(of_one).for_each(|(sum, value)| *sum += value);
        }
        Ok(sums)
    }

    /// What the first process says.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn of_first(&self, own: f64) -> Result<f64> {
        Ok(self.gather(&[own])?[0][0])
    }

    /// Begins to take the sum of each of the values over all processes.
    pub fn begin_sum(&self, values: Vec<f32>) -> Pending {
        let (answer, sum) = channel();
        self.ask(Job::Sum(values, answer));
        Pending(sum)
    }

    /// Ends all processes at once, where that can be done from here.
    pub fn abort(&self) {
        self.ask(Job::Abort);
    }

    /// If the thread is gone, the answer never comes, and who waits for it is told so.
    fn ask(&self, job: Job) {
        let jobs = self.courier.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Courier {
    /// What was asked for is done, and the exchange is closed, before the process may end.
    fn drop(&mut self) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(jobs) = jobs.filter(|_| std::thread::panicking()) {
            // The others wait for a process that comes to nothing.
            let _ = jobs.send(Job::Abort);
        }
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// The sum of each value over all processes: each process sums a part of them, in 64 bits and in the
/// order of the processes, and tells the others. As many bytes travel as in a ring.
fn sum(exchange: &mut impl Exchange, mut values: Vec<f32>) -> Result<Vec<f32>> {
    let (size, len) = (exchange.size(), values.len());
    let part = len.div_ceil(size);
    values.resize(part * size, 0.0);
    let parts = exchange.scatter(&values)?;
    let mut sums = vec![0.0; part];
    for of_one in parts.chunks(part.max(1)) {
        sums.iter_mut().zip(of_one).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
    let mut all = exchange.gather(&sums)?;
    all.truncate(len);
    Ok(all)
}

fn gone() -> Error {
    Error::argument("processes", "another process is gone, with what it had to exchange")
}

/// What part of a batch is a process's.
#[derive(Clone)]
pub struct Share {
    /// The processes.
    pub group: Group,
    /// Its samples among those of the whole batch. A process for which none is left computes the first
    /// one, which does not count.
    pub samples: Range<usize>,
    /// Whether they count.
    pub counts: bool,
}

impl Share {
    /// The share of this process in a batch of `samples`.
    pub fn of(group: &Group, samples: usize) -> Self {
        let own = own([group.rank(), group.size()], samples);
        Self { group: group.clone(), counts: !own.is_empty(), samples: worked_on(own, samples) }
    }

    /// 1 if its samples count, else 0.
    pub fn factor(&self) -> f64 {
        f64::from(u8::from(self.counts))
    }
}

/// Those of so many samples that are a process's, of which rank and size of the group are given.
fn own([rank, size]: [usize; 2], samples: usize) -> Range<usize> {
    rank * samples / size..(rank + 1) * samples / size
}

/// The same, or, if there are none, the first sample.
fn worked_on(own: Range<usize>, samples: usize) -> Range<usize> {
    if own.is_empty() { 0..samples.min(1) } else { own }
}

/// Which of so many samples a process works on, as in its [`Share`]; of a group's `[rank, size]`.
pub fn samples_of(place: [usize; 2], samples: usize) -> Range<usize> {
    worked_on(own(place, samples), samples)
}

#[cfg(test)]
mod tests {
    use super::threads::{Threads, together};
    use super::*;

    #[test]
    fn numbers_are_gathered_and_added_in_the_order_of_processes() {
        let found = together(3, |group| {
            let rank = group.rank() as f64;
            let gathered = group.gather(&[rank, 10.0 * rank])?;
            let first = group.of_first(rank + 5.0)?;
            let pending: Vec<Pending> = (0..4)
                .map(|k| group.begin_sum((0..k).map(|at| rank as f32 + at as f32).collect()))
                .collect();
            let sums = pending.into_iter().map(Pending::wait).collect::<Result<Vec<_>>>()?;
            Ok((gathered, first, sums, group.sum(&[0.5])?))
        });
        for found in found {
            let (gathered, first, sums, halves) = found.unwrap();
            assert_eq!(gathered, [[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]]);
            assert_eq!(first, 5.0);
            assert_eq!(sums, [vec![], vec![3.0], vec![3.0, 6.0], vec![3.0, 6.0, 9.0]]);
            assert_eq!(halves, [1.5]);
        }
    }

    #[test]
    fn who_waits_for_one_that_is_gone_is_told_so() {
        let found = together(3, |group| match group.rank() {
            1 => Err(Error::argument("test", "ends early")),
            _ => group.gather(&[1.0]),
        });
        assert!(found.iter().all(Result::is_err));
    }

    #[test]
    fn one_that_cannot_be_opened_says_why() {
        let refused = || -> Result<Threads> { Err(Error::argument("test", "closed")) };
        let error = Group::new(refused).err().unwrap();
        assert!(error.to_string().contains("closed"), "{error}");
    }

    #[test]
    fn shares_are_even_and_cover_the_batch() {
        for samples in [0, 1, 2, 7, 12] {
            let shares = together(4, |group| {
                let share = Share::of(&group, samples);
                Ok((share.samples, share.counts))
            });
            let shares: Vec<_> = shares.into_iter().map(Result::unwrap).collect();
            let counted: Vec<usize> = shares
                .iter()
                .filter(|(_, counts)| *counts)
                .flat_map(|(own, _)| own.clone())
                .collect();
            assert_eq!(counted, (0..samples).collect::<Vec<_>>());
            assert!(shares.iter().all(|(own, counts)| *counts || own.len() <= 1));
        }
    }
}
