//! How long kernels take on the device, by its own clock, while a [profile](crate::profile) is
//! taken.

use super::held::Held;
use crate::profile;
use ocl::core::{CommandQueueProperties, Event, ProfilingInfo};
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
            let at = |info| ocl::core::get_event_profiling_info(&*event, info)?.time();
            // A queue that was opened before the profile was begun has no clock.
            if let (Ok(begun), Ok(ended)) = (at(ProfilingInfo::Start), at(ProfilingInfo::End)) {
                profile::kernel(kernel, Duration::from_nanos(ended.saturating_sub(begun)));
            }
        }
    }
}
