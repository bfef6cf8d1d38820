//! The [list of names](super::engine), computed by a device of an OpenCL driver.
//!
//! The kernels are in the folder `opencl` of the repository, a file for each subject; what each
//! takes stands in a comment over it. Here they are told their arguments, subject by subject, as
//! [`cpu`](super::cpu) tells the host's.
//!
//! # One aggregated convolution, from the tape to the `.cl` file
//!
//! ```text
//! ops::aggregated_conv2d        shapes are checked; Device::of finds the place
//!   |
//!   v
//! engine::Aggregation           a name of the list: aggregated_conv(layer, is_training)
//!   |
//!   v
//! aggregate.rs                  the strategy (kernel space or output space) is chosen by
//!   |                           kernel::cost with a device's rates; its steps are one launch each, or
//!   |                           a few. In kernel space:
//!   |
//!   |  align                    A_i = T_i W_i              gemm.cl   gemm, m at once
//!   |  for some samples:
//!   |    mixed                  K_n = sum_i g[n, i] A_i    aggregate.cl   mix_kernels
//!   |    conv::forward          y_n = K_n * x_n            conv.cl (winograd.cl for 3x3 taps where
//!   |                           it wins, gemm.cl for one tap), each sample's channels a group
//!   v
//! tiling.rs, for products       tiles and parts, as was measured or as tiles.rs has it; parts are
//!   |                           added up by a launch of their own
//!   v
//! Launch::new(...).run(sizes)   options (number type, tile sizes), arguments, work-items
//!   |
//!   v
//! tensor::opencl                the program is compiled, or found so, and the kernel enqueued
//! ```
//!
//! Nothing here waits: the queue is in order, and the host runs ahead of the device until it asks
//! for a value, once a step, for the loss. The `K_n` lie in a scratch of a fixed size
//! (`Plan::scratch`; or one sample's, if that is more); it goes back to the pool when `mixed` goes
//! out of scope, and may be given out at once, since whoever gets it is behind the convolution in
//! the queue. The backward pass mixes the kernels again rather than keeping them.
//!
//! A device that is a processor and one that is not want different code in the products of tiles
//! (`panel.cl`) and in how work-items are grouped: work-groups of one work-item that computes in
//! vectors (`VARIANT_VECTOR`), or of many work-items that share local memory (`VARIANT_LOCAL`).
//! [`Variant`](crate::tensor::opencl::Variant) says which a device gets, and
//! `ZOO_OPENCL_VARIANT=vector` or `local` asks for the other one; `plan.rs` has the sizes that
//! follow.
//!
//! # To add a kernel
//!
//! 1. Write it in the file of its subject in `opencl/`, with its contract in a comment over it:
//!    arguments with shapes, global and local size, options. `ZOO_OPENCL_KERNELS=opencl` reads the
//!    files from there, so that nothing has to be built anew while you work on it.
//! 2. Give it a name in [`engine`](super::engine), with the host's answer in [`cpu`](super::cpu).
//!    From here on nothing compiles before the device answers too.
//! 3. Launch it in the file of its subject here, arguments in the order of the contract.
//! 4. Compare it with the host's in [`check`](super::check), which `devices --check` and the tests
//!    run.
//!
//! # To see where the time goes
//!
//! While a profile is taken (`--profile`, see [`profile`](crate::profile)), the host waits for the
//! device after each operation, and the queue's events tell how long each kernel took: a table by
//! operation, beside the host's time, and one by kernel. Without a profile the host runs ahead, and
//! what it takes to enqueue a kernel, some microseconds, is hidden unless kernels are as short.
//! `benches/device.sh` sets products, convolutions and a step beside the host's.

mod aggregate;
mod conv;
mod elementwise;
mod loss;
mod norm;
mod outputs;
mod pieces;
mod plan;
mod pool;
mod product;
mod reduce;
mod resample;
mod tiles;
mod tiling;
mod update;
mod winograd;

pub use tiling::tilings;

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
const RESAMPLE: Program = Program { name: "resample.cl", files: &[COMMON, file!("resample.cl")] };
const REDUCE: Program = Program { name: "reduce.cl", files: &[COMMON, file!("reduce.cl")] };
const ELEMENTWISE: Program =
    Program { name: "elementwise.cl", files: &[COMMON, file!("elementwise.cl")] };
const UPDATE: Program = Program { name: "update.cl", files: &[COMMON, file!("update.cl")] };
