//! The `zoo-tuning` program.
fn main() {}
