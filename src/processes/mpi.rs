//! Processes that `mpirun` has started, over MPI.

use super::{Exchange, Group};
use crate::{Error, Result};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use std::time::{Duration, Instant};

/// All processes that were started together.
pub struct World {
    world: SimpleCommunicator,
    /// Ends MPI when it is dropped.
    _universe: Universe,
}

/// The group of all processes that were started together.
///
/// # Errors
/// If MPI was begun by somebody else already.
pub fn world() -> Result<Group> {
    Group::new(World::open)
}

impl World {
    fn open() -> Result<Self> {
        // Of all threads, only that of the group makes calls.
        let (universe, _) =
            mpi::initialize_with_threading(Threading::Funneled).ok_or_else(|| {
                Error::argument("mpi", "MPI was begun already, by another part of this process")
            })?;
        Ok(Self { world: universe.world(), _universe: universe })
    }
}

impl Exchange for World {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn gather_numbers(&mut self, own: &[f64]) -> Result<Vec<f64>> {
        let mut all = vec![0.0; own.len() * self.size()];
        scope(|scope| wait(self.world.immediate_all_gather_into(scope, own, &mut all[..])));
        Ok(all)
    }

    fn gather(&mut self, own: &[f32]) -> Result<Vec<f32>> {
        let mut all = vec![0.0; own.len() * self.size()];
        scope(|scope| wait(self.world.immediate_all_gather_into(scope, own, &mut all[..])));
        Ok(all)
    }

    fn scatter(&mut self, parts: &[f32]) -> Result<Vec<f32>> {
        let mut all = vec![0.0; parts.len()];
        scope(|scope| wait(self.world.immediate_all_to_all_into(scope, parts, &mut all[..])));
        Ok(all)
    }

    fn abort(&self) {
        self.world.abort(1);
    }
}

/// Waits until a call is done. MPI asks again and again, which takes the core from the thread that computes
/// meanwhile; this does so for a moment only, and then asks from time to time.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    const MOMENT: Duration = Duration::from_micros(200);
    const PAUSE: Duration = Duration::from_micros(20);
    let begun = Instant::now();
    while let Err(open) = request.test() {
        request = open;
        if begun.elapsed() < MOMENT {
            std::thread::yield_now();
        } else {
            std::thread::sleep(PAUSE);
        }
    }
}
