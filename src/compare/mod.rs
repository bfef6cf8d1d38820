//! Ways of using a zoo side by side: on the same samples, with the same budget.
//!
//! | file | holds |
//! |---|---|
//! | `method` | what is compared, and what its runs say of it |
//! | `statistics` | means of few runs; one method against another, seed by seed |
//! | `jobs` | independent pieces of work, shared out between threads |

mod jobs;
mod method;
mod statistics;

pub(crate) use jobs::work;
pub use method::{Method, MethodKind, Point, Run, ensemble_accuracy};
pub use statistics::{Difference, Summary, Verdict, mean_single, paired, summary};
