//! How long kernels take on the device, by its own clock, while a [profile](crate::profile) is
//! taken.

use super::held::Held;
use super::refusal::Refusal;
use crate::profile;
use ocl::core::{CommandQueueProperties, Event, ProfilingInfo, ffi};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The kernels that were enqueued and not yet reported.
#[derive(Default)]
pub(super) struct Events(Mutex<Vec<(&'static str, Held<Event>)>>);

impl Events {
    /// What a queue has to be opened with: a clock costs something, so there is one only where a
    /// profile was begun before.
    pub fn of_queue() -> Option<CommandQueueProperties> {
        profile::is_on().then_some(CommandQueueProperties::PROFILING_ENABLE)
    }

    /// An event for a kernel, if somebody wants to know.
    pub fn wanted(&self) -> Option<Held<Event>> {
        profile::is_on().then(|| Held::from(Event::null()))
    }

    /// The event is that of a kernel which was enqueued.
    pub fn note(&self, kernel: &'static str, event: Option<Held<Event>>) {
        if let Some(event) = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((kernel, event));
        }
    }

    /// Tells the profile of all kernels, which are done.
    pub fn report(&self) {
        let events = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (kernel, event) in events {
            let at = |info| time(&event, info);
            // A queue that was opened before the profile was begun has no clock.
            if let (Ok(begun), Ok(ended)) = (at(ProfilingInfo::Start), at(ProfilingInfo::End)) {
                profile::kernel(kernel, Duration::from_nanos(ended.saturating_sub(begun)));
            }
        }
    }
}

/// The device's clock at some moment of a kernel, in nanoseconds.
#[allow(unsafe_code)]
fn time(event: &Event, info: ProfilingInfo) -> Result<u64, Refusal> {
    let mut time = 0u64;
    let (info, room, len) = (info as u32, ptr::from_mut(&mut time).cast(), size_of::<u64>());
    // SAFETY: an event that the reference keeps, and room for the number that the call gives.
    let status = unsafe {
        let event = *event.as_ptr_ref();
        ffi::clGetEventProfilingInfo(event, info, len, room, ptr::null_mut())
    };
    Refusal::check(status).map(|()| time)
}
