//! Writers of checkpoints.
