//! Several processes of the program, started by `mpirun`.

use super::output::{Output, Result, Stop, message};
use super::progress::{catch_interrupts, interrupted};
use crate::Error;
use crate::processes::Group;
use std::time::Duration;

/// How many processes were started together, as Open MPI and MPICH say it.
fn started() -> usize {
    number("OMPI_COMM_WORLD_SIZE").or_else(|| number("PMI_SIZE")).unwrap_or(1)
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// An error if several processes were started, each of which would do the same.
pub fn alone() -> Result {
    match started() {
        0 | 1 => Ok(()),
        count => {
            let problem = format!(
                "{count} processes would each do the same: train alone is shared by several"
            );
            Err(Error::config("mpirun", problem).into())
        }
    }
}

/// The processes that were started together; `None` if there is but one.
///
/// # Errors
/// If this program was built without what they speak by.
pub fn group() -> Result<Option<Group>> {
    match started() {
        0 | 1 => Ok(None),
        #[cfg(feature = "mpi")]
        count => {
            let group = crate::processes::mpi::world()?;
            if group.size() == count {
                return Ok(Some(group));
            }
            let problem = format!(
                "{count} processes were started, but MPI knows of {}: is it the mpirun of the MPI that this \
                 program was built with?",
                group.size()
            );
            Err(Error::config("mpirun", problem).into())
        }
        #[cfg(not(feature = "mpi"))]
        count => {
            let problem = format!(
                "{count} processes were started, but this program was built without MPI, and each would \
                 train alone; build it with --features mpi"
            );
            Err(Error::config("mpirun", problem).into())
        }
    }
}

/// Threads of this process, if several of its machine are to share its cores.
pub fn threads() -> Option<u16> {
    let here = number("OMPI_COMM_WORLD_LOCAL_SIZE").or_else(|| number("MPI_LOCALNRANKS"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u16::try_from((cores / here.max(1)).max(1)).ok()
}

/// What `work` makes in one of several processes. An error is reported here and ends them all, since the
/// others would wait for this one; where all were asked to stop, each ends by itself.
pub fn shared(
    group: Option<&Group>,
    output: &mut Output,
    work: impl FnOnce(&mut Output) -> Result,
) -> Result {
    /// What one process finds wrong, most often all do, and the first one is to say it.
    const FIRST: Duration = Duration::from_secs(1);
    let Some(group) = group else { return work(output) };
    // The system asks all to end when one does.
    match catch_interrupts().and_then(|()| work(output)) {
        Ok(()) => Ok(()),
        Err(stop @ Stop::Error(Error::Interrupted { .. })) if group.leads() => Err(stop),
        Err(Stop::Error(Error::Interrupted { .. })) => Err(Stop::Failed),
        Err(stop) => {
            if !group.leads() {
                std::thread::sleep(FIRST);
            }
            if group.leads() || !interrupted() {
                if !group.leads() {
                    message(format!("process {} of {}:", group.rank() + 1, group.size()));
                }
                output.report(stop);
            }
            group.abort();
            Err(Stop::Failed)
        }
    }
}
