//! Writers of checkpoints.
//!
//! A file is there in whole or not at all: `atomic` writes beside it and renames.
//! `data` is what is written of a tensor; each format is a file of its own.
//! `safetensors` writes that format, byte for byte as the reference
//! implementation does; `pytorch` what `torch.save` writes; `onnx` a network with its
//! graph, for programs that run such; `protobuf` the messages that its files are made of.
//! `authors` gives the tensors of a zoo the names that the authors' code has for them; `convert`
//! says what of one file goes into another.

mod atomic;
mod authors;
mod batch_counts;
mod convert;
mod data;
#[cfg(test)]
mod fixture;
mod half;
mod onnx;
pub(crate) mod protobuf;
mod pytorch;
mod safetensors;

#[cfg(feature = "train")]
pub(crate) use atomic::is_leftover;
pub use atomic::write_atomically;
pub use authors::{Renamed, from_authors, to_authors};
pub(crate) use batch_counts::with_batch_counts;
pub use convert::{Names, converted, format_of_ending};
pub use data::Data;
pub use onnx::write_onnx;
pub use pytorch::write_pytorch;
pub use safetensors::{Layout, write_safetensors};
