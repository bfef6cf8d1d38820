//! "Processes" that are threads of one: for tests, and for who wants several in one program.

use super::{Exchange, Group, gone};
use crate::Result;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// What one of several threads exchanges with the others.
pub struct Threads {
    rank: usize,
    table: Arc<Table>,
}

/// Where they lay down what the others are to read.
struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    laid: Vec<Option<Arc<Vec<f64>>>>,
    /// Who has read all of this turn.
    read: usize,
    /// Whether one is gone.
    broken: bool,
}

impl Threads {
    /// `size` of them, for as many threads.
    pub fn new(size: usize) -> Vec<Self> {
        let state = State { laid: vec![None; size], read: 0, broken: false };
        let table = Arc::new(Table { state: Mutex::new(state), changed: Condvar::new() });
        (0..size).map(|rank| Self { rank, table: Arc::clone(&table) }).collect()
    }

    /// What all have laid down, once they have.
    fn all(&self, own: Vec<f64>) -> Result<Vec<Arc<Vec<f64>>>> {
        let Table { state, changed } = &*self.table;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |state| changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        // Until the turn before is read by all.
        while state.laid[self.rank].is_some() && !state.broken {
            state = wait(state);
        }
        if state.broken {
            return Err(gone());
        }
        state.laid[self.rank] = Some(Arc::new(own));
        changed.notify_all();
        while state.laid.iter().any(Option::is_none) && !state.broken {
            state = wait(state);
        }
        let all: Option<Vec<_>> = state.laid.iter().cloned().collect();
        let Some(all) = all else { return Err(gone()) };
        state.read += 1;
        if state.read == state.laid.len() {
            state.laid.iter_mut().for_each(|laid| *laid = None);
            state.read = 0;
            changed.notify_all();
        }
        Ok(all)
    }
}

impl Exchange for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.table.state.lock().unwrap_or_else(PoisonError::into_inner).laid.len()
    }

    fn gather_numbers(&mut self, own: &[f64]) -> Result<Vec<f64>> {
        let all = self.all(own.to_vec())?;
        Ok(all.iter().flat_map(|of_one| of_one.iter().copied()).collect())
    }

    fn gather(&mut self, own: &[f32]) -> Result<Vec<f32>> {
        let own: Vec<f64> = own.iter().map(|value| f64::from(*value)).collect();
        Ok(self.gather_numbers(&own)?.into_iter().map(|value| value as f32).collect())
    }

    fn scatter(&mut self, parts: &[f32]) -> Result<Vec<f32>> {
        let all = self.all(parts.iter().map(|value| f64::from(*value)).collect())?;
        let len = parts.len() / all.len();
        let part = |of_one: &Arc<Vec<f64>>| of_one[self.rank * len..][..len].to_vec();
        Ok(all.iter().flat_map(part).map(|value| value as f32).collect())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.table.state.lock().unwrap_or_else(PoisonError::into_inner).broken = true;
        self.table.changed.notify_all();
    }
}

/// What `work` makes in each of `size` threads that form a group, in the order of their ranks.
pub fn together<V: Send>(size: usize, work: impl Fn(Group) -> Result<V> + Sync) -> Vec<Result<V>> {
    let work = &work;
    std::thread::scope(|scope| {
        let one = |exchange: Threads| {
            scope.spawn(move || Group::new(move || Ok(exchange)).and_then(work))
        };
        let threads: Vec<_> = Threads::new(size).into_iter().map(one).collect();
        let end = |thread: std::thread::ScopedJoinHandle<'_, Result<V>>| {
            thread.join().unwrap_or_else(|_| Err(gone()))
        };
        threads.into_iter().map(end).collect()
    })
}
