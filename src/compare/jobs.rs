//! Independent pieces of work, shared out between threads.

use crate::{Error, Result};
use std::sync::Mutex;

/// Does all `jobs`, `at_once` of them side by side, each on `threads` threads of its own.
pub(crate) fn work<J: Sync, R: Send>(
    jobs: &[J],
    at_once: usize,
    threads: usize,
    job: impl Fn(&J) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let queue = Mutex::new(jobs.iter().enumerate());
    let results: Mutex<Vec<Option<Result<R>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let lock_error = |_| Error::argument("compare", "a thread has panicked");
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.min(jobs.len()))
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let pool = pool.map_err(|e| Error::config("threads", e.to_string()))?;
                    loop {
                        let next = queue.lock().map_err(|_| lock_error(()))?.next();
                        let Some((at, next)) = next else { return Ok(()) };
                        let result = pool.install(|| job(next));
                        let failed = result.is_err();
                        results.lock().map_err(|_| lock_error(()))?[at] = Some(result);
                        if failed {
                            // The others find the queue empty and stop.
                            queue.lock().map_err(|_| lock_error(()))?.by_ref().for_each(drop);
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| Err(lock_error(()))))
    })?;
    let results = results.into_inner().map_err(|_| lock_error(()))?;
    // The first error in the order of the jobs, but for those that only were to stop; those that were not
    // begun have no result.
    let (done, mut failed): (Vec<_>, Vec<_>) =
        results.into_iter().flatten().partition(Result::is_ok);
    failed.sort_by_key(|result| matches!(result, Err(Error::Interrupted { .. })));
    failed.into_iter().chain(done).collect()
}
