//! Training: the loop, what it measures, what it keeps.

pub mod classification;
