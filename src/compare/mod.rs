//! Ways of using a zoo side by side: on the same samples, with the same budget.
//!
//! | file | holds |
//! |---|---|
//! | `method` | what is compared, and what its runs say of it and against another |
//! | `plan` | networks, seeds, and the run that makes each of them |
//! | `run` | a comparison: a folder, and the runs that fill it |
//! | `rates` | the learning rate that each method is compared at |
//! | `budget` | how much of a plan a budget of time allows |
//! | `soup` | the greedy soup of tuned networks |
//! | `scores` | what was said of the sources before tuning, and how well that foretold it |
//! | `outcome` | from finished runs to the rows of the table |
//! | `statistics` | means of few values, and differences of two |
//! | `jobs` | independent pieces of work, shared out between threads |
//! | `memory` | whether one more network fits beside those that are being tuned |

mod budget;
mod jobs;
mod memory;
mod method;
mod outcome;
mod plan;
mod rates;
mod run;
mod scores;
mod soup;
mod statistics;

pub(crate) use jobs::work;
pub use method::{
    Method, MethodKind, Point, Run, ensemble_accuracy, mean_single, multiply_adds, paired,
};
pub use outcome::Outcome;
pub use plan::{Budget, Plan};
#[cfg(feature = "report")]
pub(crate) use run::Seen;
pub use run::{Comparison, Watch};
pub use scores::Score;
pub use statistics::{Difference, Summary, Verdict, rank_correlation, summary};
