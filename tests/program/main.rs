//! The program, and the runs that it drives. One binary, since each costs its linking.

mod agents;
mod choosing;
mod commands;
mod compare;
mod convert;
mod demo;
mod foreign;
mod landmarks;
mod measuring;
#[cfg(all(feature = "opencl", target_os = "linux"))]
mod opencl_faults;
mod pictures;
mod profile;
mod program;
mod report;
mod routed;
#[cfg(feature = "serve")]
mod serve;
mod sources;
mod train;
