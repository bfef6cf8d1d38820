//! `--profile` of the commands that compute.

use super::output::{Result, message};
use crate::export::write_atomically;
use crate::profile;
use clap::Args;
use std::ffi::OsStr;
use std::path::PathBuf;

/// An option of every command that computes.
#[derive(Args, Clone)]
pub struct Profiling {
    /// Print where the time goes, by operation, by layer and by a device's kernel, at the end; with a file, write a
    /// trace for chrome://tracing there too. The environment variable ZOO_PROFILE, 1 or a file,
    /// does the same
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        help_heading = "Global options"
    )]
    profile: Option<Option<PathBuf>>,
}

impl Profiling {
    /// Whether to measure, and where the trace goes.
    fn asked(self) -> Option<Option<PathBuf>> {
        self.profile.or_else(|| from_environment(std::env::var_os("ZOO_PROFILE")?.as_os_str()))
    }

    /// Does the work, and reports where its time went, even if it failed.
    pub fn watch(self, work: impl FnOnce() -> Result) -> Result {
        let Some(file) = self.asked() else { return work() };
        profile::start();
        let result = work();
        let profile = profile::finish();
        message(profile.to_string().trim_end());
        let written = file.map_or(Ok(()), |file| {
            write_atomically(file, |file| profile.write_trace(file)).map_err(Into::into)
        });
        result.and(written)
    }
}

fn from_environment(value: &OsStr) -> Option<Option<PathBuf>> {
    match value.to_str() {
        Some("" | "0") => None,
        Some("1") => Some(None),
        _ => Some(Some(value.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_says_whether_and_where() {
        for (value, expected) in [
            ("", None),
            ("0", None),
            ("1", Some(None)),
            ("a/b.json", Some(Some("a/b.json".into()))),
        ] {
            assert_eq!(from_environment(OsStr::new(value)), expected, "{value}");
        }
    }
}
