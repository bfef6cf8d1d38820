//! Numbers in, numbers out: no tape, no parameters, only slices and sizes.
//!
//! What is slow to read because it is fast to run has a readable twin in
//! [`mod@reference`], which is its test oracle. Every reduction has an order that
//! depends on the sizes alone, so that results are bit-identical for any number
//! of threads: work is cut into rayon tasks at places that depend on the sizes too.
//!
//! What operations ask for is listed in [`engine`], for any place where tensors may live; [`cpu`]
//! answers with the kernels here.
//!
//! Where to begin: [`conv`] tells how a convolution becomes products of packed panels,
//! [`aggregate`] how the kernels of a zoo are mixed, and [`cost`] how the shorter of several ways
//! is chosen.

pub mod aggregate;
pub mod check;
pub mod conv;
pub mod cost;
pub mod cpu;
mod dense;
mod direct;
pub mod elementwise;
pub mod engine;
mod foreign;
pub mod gemm;
pub mod loss;
pub mod microkernel;
pub mod norm;
#[cfg(feature = "opencl")]
pub mod opencl;
pub mod panel;
mod parallel;
mod patches;
pub mod pieces;
mod place;
pub mod pool;
pub mod reduce;
pub mod reference;
pub mod resample;
pub mod update;
pub mod window;
mod winograd;

pub use gemm::Matrix;
pub use norm::Epilogue;
pub use pool::Divisor;
pub use resample::Interpolation;
pub use window::{Geometry, Window};
