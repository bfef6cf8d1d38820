//! Processes that `mpirun` has started, over MPI.

use super::{Exchange, Group};
use crate::{Error, Result};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

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

    fn gather(&mut self, own: &[u8]) -> Result<Vec<u8>> {
        let mut all = vec![0; own.len() * self.size()];
        self.world.all_gather_into(own, &mut all[..]);
        Ok(all)
    }

    fn scatter(&mut self, parts: &[u8]) -> Result<Vec<u8>> {
        let mut all = vec![0; parts.len()];
        self.world.all_to_all_into(parts, &mut all[..]);
        Ok(all)
    }

    fn abort(&self) {
        self.world.abort(1);
    }
}
