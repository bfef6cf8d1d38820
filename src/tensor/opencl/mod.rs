//! A device of an OpenCL driver: its memory, its compiled programs, and the queue of what it is
//! told to do.
//!
//! The queue is in order: what was enqueued first is done first. So nothing ever waits but for
//! values that are to be read, and memory may be used anew as soon as nobody holds it.

mod borrowed;
mod cache;
mod discovery;
mod events;
mod held;
mod launch;
mod memory;
mod program;
mod refusal;
mod tuning;
mod variant;

pub use discovery::{Properties, discover};
pub use launch::{Launch, Sizes};
pub use memory::{Memory, Usage};
pub use program::{File, Program};
pub use tuning::{Measured, ProductSizes, Tiling, Tuning};
pub use variant::Variant;

use crate::{Error, Result};
use events::Events;
use held::Held;
use memory::Shelf;
use ocl::core::{CommandQueue, Context, ContextProperties};
use program::Programs;
use refusal::Refusal;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A device that is open.
pub struct OpenCl {
    properties: Properties,
    variant: Variant,
    context: Held<Context>,
    queue: Held<CommandQueue>,
    shelf: Mutex<Shelf>,
    programs: Programs,
    transfers: [AtomicU64; 2],
    events: Events,
    tuning: Tuning,
}

/// How often values went between the host and a device so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// From the host to the device.
    pub there: u64,
    /// Back again.
    pub back: u64,
}

impl OpenCl {
    /// The device of that number. A device that is open already is the same one.
    ///
    /// # Errors
    /// If there is no driver, no such device, or it cannot be used.
    pub fn open(index: usize) -> Result<Arc<Self>> {
        static OPEN: Mutex<Option<HashMap<usize, Weak<OpenCl>>>> = Mutex::new(None);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        if let Some(device) = open.get(&index).and_then(Weak::upgrade) {
            return Ok(device);
        }
        let mut found = discover()?;
        if found.is_empty() {
            return Err(Error::device("opencl", "find a device", NO_DRIVER));
        }
        if index >= found.len() {
            let there = found.iter().map(|found| match found {
                Ok(properties) => properties.to_string(),
                Err(error) => error.to_string(),
            });
            let there: Vec<String> = there.collect();
            let problem = format!("there are only {}", there.join(", "));
            return Err(Error::device(format_args!("opencl:{index}"), "find it", problem));
        }
        let device = Arc::new(Self::new(found.swap_remove(index)?)?);
        open.insert(index, Arc::downgrade(&device));
        Ok(device)
    }

    fn new(properties: Properties) -> Result<Self> {
        let variant = Variant::of(&properties)?;
        if let Some(problem) = properties.lacks::<f32>(variant) {
            return Err(Error::device(&properties, "open it", problem));
        }
        let refused = |error: ocl::core::Error| {
            Error::device(&properties, "open it", Refusal::from(&error).to_string())
        };
        let of_platform = ContextProperties::new().platform(properties.platform_id);
        let context = ocl::core::create_context(Some(&of_platform), &[properties.id], None, None)
            .map(Held::from)
            .map_err(refused)?;
        let queue = ocl::core::create_command_queue(&*context, properties.id, Events::of_queue())
            .map(Held::from)
            .map_err(refused)?;
        let (shelf, programs, transfers, events) = Default::default();
        let tuning = Tuning::of(&properties, variant);
        Ok(Self { properties, variant, context, queue, shelf, programs, transfers, events, tuning })
    }

    /// What it is.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The kind of kernels that it gets.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// How often values came and went so far.
    pub fn transfers(&self) -> Transfers {
        let [there, back] = self.transfers.each_ref().map(|count| count.load(Ordering::Relaxed));
        Transfers { there, back }
    }

    /// Waits until everything is done that was enqueued so far.
    ///
    /// # Errors
    /// If something of it could not be done, or the device is lost.
    pub fn finish(&self) -> Result<()> {
        refusal::finish(&self.queue)
            .map_err(|refusal| self.explained(refusal, "finish its work", None))?;
        self.events.report();
        Ok(())
    }

    fn refused(&self, action: impl Into<String>, refusal: impl Into<Refusal>) -> Error {
        Error::device(&self.properties, action, refusal.into().to_string())
    }
}

/// What to do where nothing was found.
const NO_DRIVER: &str = "no OpenCL driver has a device for us; \
    a driver of the graphics card's maker brings one, and for processors there is PoCL \
    (Debian: apt-get install pocl-opencl-icd); where a driver is installed, may you use the card \
    (Debian: groups render and video), and does Mesa's know that it is wanted \
    (RUSTICL_ENABLE=radeonsi)?";

impl fmt::Debug for OpenCl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.properties, f)
    }
}
