//! The two kinds of kernels, and what a device must have for them.

use super::Properties;
use crate::tensor::Element;
use crate::{Error, Result};

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Processors: groups of one work-item, which computes in vectors.
    Vector,
    /// Everything else: groups of many work-items, which share local memory.
    Local,
}

impl Variant {
    /// What a device gets: what suits it, or what the environment variable `ZOO_OPENCL_VARIANT`
    /// says, so that one kind can be tested on the other's device.
    ///
    /// # Errors
    /// If the variable names neither.
    pub fn of(properties: &Properties) -> Result<Self> {
        const NAME: &str = "ZOO_OPENCL_VARIANT";
        match std::env::var_os(NAME).as_deref().map(|name| name.to_string_lossy()).as_deref() {
            None | Some("") => Ok(if properties.is_cpu { Self::Vector } else { Self::Local }),
            Some("vector") => Ok(Self::Vector),
            Some("local") => Ok(Self::Local),
            Some(other) => {
                let problem = format!("should be vector or local, but is {other:?}");
                Err(Error::config(NAME, problem))
            }
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Local => "local",
        }
    }

    /// Work-items that a group has along both axes, and bytes of local memory that it shares: what
    /// the smallest tiles of a product need (`plan.rs` of `kernel::opencl` has all of them, and a
    /// test of it), for numbers of so many bytes.
    pub(crate) fn needs(self, size: usize) -> ([usize; 2], u64) {
        let is_single = size == size_of::<f32>();
        match self {
            Self::Vector => ([4, 1], if is_single { 10 << 10 } else { 13 << 10 }),
            Self::Local => ([8, 8], 7 << 10),
        }
    }
}

impl Properties {
    /// Why our kernels cannot compute in `T` there; `None` if they can. They have to be compiled
    /// first, of course.
    pub fn lacks<T: Element>(&self, variant: Variant) -> Option<String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let version = self.version.split(' ').nth(1).and_then(|version| version.split_once('.'));
        let version = version.and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let is_double = size_of::<T>() == size_of::<f64>();
        let ([across, down], local_memory) = variant.needs(size_of::<T>());
        let along = |axis| self.work_items.get(axis).copied().unwrap_or(1);
        Some(if !self.is_available {
            "the driver says that it is not available".to_owned()
        } else if !self.has_compiler {
            "the driver has no compiler for it".to_owned()
        } else if version.is_some_and(|version| version < (1, 2)) {
            format!("OpenCL 1.2 is needed, and it has {}", self.version)
        } else if is_double && !self.has_doubles {
            "it does not compute in f64".to_owned()
        } else if self.work_group < across * down || along(0) < across || along(1) < down {
            let items: Vec<String> = self.work_items.iter().map(ToString::to_string).collect();
            format!(
                "work-groups of {across} x {down} are needed, and it has {} of {} at most",
                self.work_group,
                items.join(" x ")
            )
        } else if self.local_memory < local_memory {
            let [needed, there] = [local_memory, self.local_memory].map(|bytes| bytes >> 10);
            format!("{needed} KiB of local memory are needed, and it has {there}")
        } else {
            return None;
        })
    }
}
