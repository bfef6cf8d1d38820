//! Readers of checkpoints, all memory-mapped.
