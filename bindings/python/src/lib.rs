//! The engine for Python: what the private module `zoo_tuning._zoo_tuning` holds.
//!
//! | file | holds |
//! |---|---|
//! | `graph` | values that know what they were made of, and the way back over them |
//! | `tensor` | the class `Tensor`: such a value, with operators |
//! | `functions` | losses and what else is no operator |
//! | `elementwise` | operations that operators need beside those of the engine |
//! | `zoo` | the class `Zoo`: sources of any format, side by side |
//! | `network` | the class `Network`: in any form, run, measured, written |
//! | `optimizer` | the class `Optimizer`: steps by the gradients that a network has |
//! | `train` | a run by configuration |
//! | `array` | from arrays of other libraries and to them, where possible without a copy |
//! | `dlpack` | the structs by which libraries lend each other memory |
//! | `plain` | settings and results as Python's own values |
//! | `outside` | work without Python's lock; errors and faults as exceptions |
//!
//! Long work runs without Python's lock. No lock of ours is ever waited for while Python's is held.

mod array;
mod data;
mod dlpack;
mod elementwise;
mod functions;
mod graph;
mod network;
mod optimizer;
mod outside;
mod plain;
mod tensor;
mod train;
mod zoo;

use pyo3::prelude::*;

/// Zoo-Tuning: see the package `zoo_tuning`.
#[pymodule]
mod _zoo_tuning {
    #[pymodule_export]
    use super::functions::{
        concatenate, conv2d, cross_entropy, huber, linear, mse, soft_cross_entropy,
    };
    #[pymodule_export]
    use super::network::{Network, new_network, open_network};
    #[pymodule_export]
    use super::optimizer::Optimizer;
    #[pymodule_export]
    use super::outside::{_fault, _program, set_threads};
    #[pymodule_export]
    use super::tensor::Tensor;
    #[pymodule_export]
    use super::train::train;
    #[pymodule_export]
    use super::zoo::{Zoo, architectures, load_tensors, open_zoo};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<PyModule>) -> PyResult<()> {
        super::outside::keep_faults();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
