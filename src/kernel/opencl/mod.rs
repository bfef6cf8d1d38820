//! The [list of names](super::engine), computed by a device of an OpenCL driver.
//!
//! The kernels are in the folder `opencl` of the repository, a file for each subject; what each
//! takes stands in a comment over it. Here they are told their arguments, subject by subject, as
//! [`cpu`](super::cpu) tells the host's.

mod aggregate;
mod conv;
mod descent;
mod elementwise;
mod loss;
mod norm;
mod outputs;
mod plan;
mod pool;
mod product;
mod reduce;
mod winograd;

pub use aggregate::Kept;

use crate::tensor::opencl::{File, Program};

/// A file of the folder `opencl`.
macro_rules! file {
    ($name:literal) => {
        File { name: $name, text: include_str!(concat!("../../../opencl/", $name)) }
    };
}

/// What stands before every file.
const COMMON: File = file!("common.cl");
const PANEL: File = file!("panel.cl");

const GEMM: Program = Program { name: "gemm.cl", files: &[COMMON, PANEL, file!("gemm.cl")] };
const CONV: Program = Program { name: "conv.cl", files: &[COMMON, PANEL, file!("conv.cl")] };
const WINOGRAD: Program = Program { name: "winograd.cl", files: &[COMMON, file!("winograd.cl")] };
const AGGREGATE: Program =
    Program { name: "aggregate.cl", files: &[COMMON, file!("aggregate.cl")] };
const NORM: Program = Program { name: "norm.cl", files: &[COMMON, file!("norm.cl")] };
const POOL: Program = Program { name: "pool.cl", files: &[COMMON, file!("pool.cl")] };
const REDUCE: Program = Program { name: "reduce.cl", files: &[COMMON, file!("reduce.cl")] };
const ELEMENTWISE: Program =
    Program { name: "elementwise.cl", files: &[COMMON, file!("elementwise.cl")] };
const DESCENT: Program = Program { name: "descent.cl", files: &[COMMON, file!("descent.cl")] };
