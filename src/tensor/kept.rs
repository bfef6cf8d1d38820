//! Where the program keeps what makes a later run faster. Nothing depends on it: what is not there is
//! computed again.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/zoo-tuning`, or `~/.cache/zoo-tuning`; `None` where there is no home.
pub(crate) fn folder() -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")))?;
    Some(caches.join("zoo-tuning"))
}
