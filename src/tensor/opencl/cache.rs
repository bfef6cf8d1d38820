//! What is kept on the disk for later runs: compiled programs, so that a second start need not wait
//! for a compiler, and what was measured.
//!
//! A program's file holds the whole text that its binary follows from (device, driver, options,
//! source), then a checksum, then the binary. Nothing of it is trusted before that text is the same
//! to the byte and the checksum is right, since drivers run what they are given; whatever else is
//! wrong with a file, the program is compiled anew.
//!
//! A new driver or a new version of this program leaves files behind that nobody asks for any more;
//! when one is written, those go that were not used for long.

use crate::tensor::kept;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What every file begins with.
const MAGIC: &[u8] = b"zoo-tuning opencl 2\n";

/// What the files of binaries end in.
const EXTENSION: &str = "opencl";

/// The binary that was kept for `key`.
pub(super) fn load(key: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path(key, EXTENSION)?).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(key.as_bytes())?;
    let (sum, binary) = rest.split_first_chunk()?;
    (u64::from_le_bytes(*sum) == hash(binary)).then(|| binary.to_vec())
}

/// Keeps a binary.
pub(super) fn store(key: &str, binary: &[u8]) {
    let bytes = [MAGIC, key.as_bytes(), &hash(binary).to_le_bytes(), binary].concat();
    write(path(key, EXTENSION), &bytes);
}

/// The text that was kept for `key`, for whom it is to find out whether it makes sense.
pub(super) fn load_text(key: &str, extension: &str) -> Option<String> {
    std::fs::read_to_string(path(key, extension)?).ok()
}

/// Keeps a text.
pub(super) fn store_text(key: &str, extension: &str, text: &str) {
    write(path(key, extension), text.as_bytes());
}

/// That something cannot be written is no fault of the run.
fn write(path: Option<PathBuf>, bytes: &[u8]) {
    let Some(path) = path else { return };
    let Some(folder) = path.parent() else { return };
    // Whole or not at all, also where two processes write it at once.
    let aside = path.with_extension(format!("{}.partial", std::process::id()));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&aside, bytes))
        .and_then(|()| std::fs::rename(&aside, &path));
    match written {
        Ok(()) => remove_unused(folder),
        Err(_) => drop(std::fs::remove_file(&aside)),
    }
}

/// How long a file is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Removes files of ours that were neither written nor read for long. Where the system does not
/// note that a file is read, one that is in use may go, which costs a compilation.
fn remove_unused(folder: &Path) {
    let Some(before) = SystemTime::now().checked_sub(KEPT) else { return };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_ours(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata.modified().ok().max(metadata.accessed().ok());
        if metadata.is_file() && used.is_some_and(|used| used < before) {
            // Another process may be at it too.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether a file's name is that of a binary, or of a file that was never finished. What was
/// measured stays: it is small, and takes long to measure again.
fn is_ours(name: &str) -> bool {
    name.split_once('.').is_some_and(|(hash, rest)| {
        let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash && (rest == EXTENSION || rest.ends_with(".partial"))
    })
}

/// In the folder of what is kept, a name that follows from the key.
fn path(key: &str, extension: &str) -> Option<PathBuf> {
    // Where two keys have one name, the later one wins.
    let hash = hash(key.as_bytes());
    Some(kept::folder()?.join(format!("{hash:016x}.{extension}")))
}

/// FNV-1a (Fowler, Noll, Vo).
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
