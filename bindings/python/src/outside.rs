//! Work without Python's lock; errors and faults as exceptions.

use pyo3::exceptions::{
    PyFloatingPointError, PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError,
    PyValueError,
};
use pyo3::prelude::*;
use std::any::Any;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use zoo_tuning::{Error, Result};

/// Where the last fault was, and what it said.
static FAULT: Mutex<Option<String>> = Mutex::new(None);

/// Keeps what is said of a fault for its exception, instead of printing it.
pub fn keep_faults() {
    std::panic::set_hook(Box::new(|fault| {
        let place = fault.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let text = said(fault.payload()).unwrap_or("no message");
        let text = format!("{}: {text}", place.unwrap_or_default());
        *FAULT.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }));
}

/// Does `work` without Python's lock.
pub fn outside<T: Send>(py: Python, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    outside_with(py, || work().map_err(raised))
}

/// The same of work that may take the lock again, and has Python's errors.
pub fn outside_with<T: Send>(py: Python, work: impl FnOnce() -> PyResult<T> + Send) -> PyResult<T> {
    // Of an earlier fault, which somebody else caught.
    let forget = || drop(FAULT.lock().unwrap_or_else(PoisonError::into_inner).take());
    let worked = py.detach(|| {
        forget();
        catch_unwind(AssertUnwindSafe(work))
    });
    worked.unwrap_or_else(|fault| Err(faulty(&*fault)))
}

/// A fault of the engine, which is nothing that a user did wrong.
fn faulty(fault: &(dyn Any + Send)) -> PyErr {
    let kept = FAULT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let said = kept.unwrap_or_else(|| said(fault).unwrap_or("no message").to_owned());
    PyRuntimeError::new_err(format!("a fault of the engine, which should be reported: {said}"))
}

/// The message of a fault.
fn said(fault: &dyn Any) -> Option<&str> {
    let text = fault.downcast_ref::<&str>().copied();
    text.or_else(|| fault.downcast_ref::<String>().map(String::as_str))
}

/// The exception that says what an error of the engine says.
pub fn raised(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Io { action, path, source } => match source.raw_os_error() {
            // Of three arguments, Python makes the class that the number stands for.
            Some(number) => {
                let said = source.to_string();
                let said = said.split(" (os error").next().unwrap_or_default();
                PyOSError::new_err((
                    number,
                    format!("cannot {action}: {said}"),
                    path.into_os_string(),
                ))
            }
            None => PyOSError::new_err(text),
        },
        Error::NotFinite { .. } => PyFloatingPointError::new_err(text),
        Error::Tape { .. } | Error::Device { .. } => PyRuntimeError::new_err(text),
        Error::DeviceMemory { .. } => PyMemoryError::new_err(text),
        Error::Interrupted { .. } => PyKeyboardInterrupt::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

/// Compute with this many threads, from 1 to 1024; results do not depend on it.
///
/// Raises ValueError once something was computed in several threads.
#[pyfunction]
pub fn set_threads(threads: usize) -> PyResult<()> {
    if !(1..=1024).contains(&threads) {
        let text = format!("threads: {threads} should be a number from 1 to 1024");
        return Err(PyValueError::new_err(text));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|error| {
        PyValueError::new_err(format!("threads: {threads} cannot be started: {error}"))
    })
}

/// The program: does what the arguments say, the program's name before them; its exit code.
#[pyfunction]
pub fn _program(py: Python, arguments: Vec<OsString>) -> u8 {
    // Here a fault is printed, as the program does.
    drop(std::panic::take_hook());
    let run = || catch_unwind(|| zoo_tuning::cli::main_from(arguments));
    py.detach(run).unwrap_or(101)
}

/// For a test: a fault of the engine.
#[pyfunction]
pub fn _fault(py: Python) -> PyResult<()> {
    outside(py, || panic!("this is a test"))
}
