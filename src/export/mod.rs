//! Writers of checkpoints.
//!
//! A file is there in whole or not at all: `atomic` writes beside it and renames.
//! `safetensors` writes that format, byte for byte as the reference
//! implementation does.

mod atomic;
mod safetensors;

pub use atomic::write_atomically;
pub use safetensors::{Data, Layout, write_safetensors};
