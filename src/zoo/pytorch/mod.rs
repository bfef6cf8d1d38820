//! PyTorch's own files.

mod known;
pub(super) mod legacy;
mod numpy;
mod rebuild;
mod storage;
pub(super) mod tar;
#[cfg(test)]
mod tests;
mod walk;
pub(super) mod zip;
