//! The engine for C: networks of any format, opened, described and run.
//!
//! The header, `include/zoo_tuning.h`, is made of this crate; a test compares it. No panic crosses: each
//! function catches it, and gives `ZOO_FAULT`.

#![allow(unsafe_code)]

mod failure;
mod model;

pub use failure::{ZooStatus, zoo_last_error};
pub use model::{
    ZooDescription, ZooModel, zoo_model_class_name, zoo_model_close, zoo_model_describe,
    zoo_model_open, zoo_model_run,
};

use std::ffi::c_char;

/// The version of the library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn zoo_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
