//! What fails, as a code and a message.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use zoo_tuning::Error;

/// What came of a call. All but `ZOO_OK` leave a message: zoo_last_error().
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "they have no scope in C")]
pub enum ZooStatus {
    /// All went well.
    ZOO_OK = 0,
    /// An argument has no meaning: a null pointer, a size of 0, a buffer that is too small.
    ZOO_ARGUMENT = 1,
    /// The system refused to open or read a file.
    ZOO_IO = 2,
    /// A file holds no network that is known, or is damaged.
    ZOO_FORMAT = 3,
    /// Images do not have the shape that the network takes.
    ZOO_SHAPE = 4,
    /// There is no room.
    ZOO_MEMORY = 5,
    /// A fault of the library, which should be reported.
    ZOO_FAULT = 6,
}

thread_local! {
    static MESSAGE: RefCell<CString> = RefCell::new(CString::default());
}

/// What failed last in this thread, in English; empty if nothing has. Valid until the next call of this
/// thread that fails.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_last_error() -> *const c_char {
    MESSAGE.try_with(|message| message.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// A code and its message.
pub struct Failure {
    status: ZooStatus,
    text: String,
}

impl Failure {
    /// An argument without a meaning.
    pub fn argument(text: impl Into<String>) -> Self {
        Self { status: ZooStatus::ZOO_ARGUMENT, text: text.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Shape { .. } => ZooStatus::ZOO_SHAPE,
            Error::Io { .. } => ZooStatus::ZOO_IO,
            Error::DeviceMemory { .. } => ZooStatus::ZOO_MEMORY,
            Error::Argument { .. } => ZooStatus::ZOO_ARGUMENT,
            _ => ZooStatus::ZOO_FORMAT,
        };
        Self { status, text: error.to_string() }
    }
}

/// Does `work`; what fails, and a panic, leaves its message.
pub fn told(work: impl FnOnce() -> Result<(), Failure>) -> ZooStatus {
    silence();
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|fault| {
        let text = fault.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| fault.downcast_ref::<String>().cloned()).unwrap_or_default();
        let text = format!("a fault of the library, which should be reported: {text}");
        Err(Failure { status: ZooStatus::ZOO_FAULT, text })
    });
    let Err(Failure { status, text }) = done else { return ZooStatus::ZOO_OK };
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // In a thread that ends there is nobody to read it.
    let _ = MESSAGE.try_with(|message| *message.borrow_mut() = text);
    status
}

/// A fault is told by its code, and not printed: the standard error output is the program's.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}
