//! Ways of using a zoo side by side: on the same samples, with the same budget.
//!
//! | file | holds |
//! |---|---|
//! | `method` | what is compared, and what its runs say of it |
//! | `plan` | networks, seeds, and the run that makes each of them |
//! | `run` | a comparison: a folder, and the runs that fill it |
//! | `outcome` | from finished runs to the rows of the table |
//! | `statistics` | means of few runs; one method against another, seed by seed |
//! | `jobs` | independent pieces of work, shared out between threads |

mod jobs;
mod method;
mod outcome;
mod plan;
mod run;
mod statistics;

pub(crate) use jobs::work;
pub use method::{Method, MethodKind, Point, Run, ensemble_accuracy, multiply_adds};
pub use outcome::Outcome;
pub use plan::Plan;
pub use run::{Comparison, Watch};
pub use statistics::{Difference, Summary, Verdict, mean_single, paired, summary};
