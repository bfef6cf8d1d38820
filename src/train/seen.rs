//! A look at pictures before they are used; those that were found to be whole before need not be read
//! again to know it.
//!
//! A picture is known by a digest of its path, its size, the time of its last change, and how it was
//! looked at. The file `pictures` in the user's cache folder holds the digests of all data sets: a
//! look is about files, whichever run asks for it.

use crate::dataset::{Check, check_image};
use crate::export::write_atomically;
use crate::tensor::kept;
use crate::{Error, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first bytes of a SHA-256.
type Mark = [u8; 16];

/// Digests that are kept: 16 MB. Beyond that, only those of the last data set are.
const MOST: usize = 1 << 20;

/// A file that was changed more recently may be changed once more at what its file system calls the
/// same time.
const SETTLED: Duration = Duration::from_secs(2);

/// Pictures that cannot be used, found before any is.
#[derive(Debug)]
pub struct Unreadable {
    /// Why each of them cannot, by its place among all, in order.
    bad: Vec<(usize, Error)>,
    /// How many were looked at.
    all: usize,
}

impl Unreadable {
    /// Looks at the files of pictures, but for those that were looked at before and have not changed.
    pub fn among(files: &[&Path], check: Check) -> Self {
        let seen = Seen::open();
        let look = |(at, file): (usize, &&Path)| match seen.knows(file, check) {
            true => None,
            false => Some((at, check_image(file, check).err()?)),
        };
        let bad: Vec<(usize, Error)> = files.par_iter().enumerate().filter_map(look).collect();
        let found = Self { bad, all: files.len() };
        seen.keep(found.good(files).copied(), check);
        found
    }

    /// Why each of them cannot be used, by its place among all.
    pub fn bad(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.bad.iter().map(|(at, error)| (*at, error))
    }

    /// Of `items`, which stand for the pictures, those whose pictures can be used.
    pub fn good<'a, T>(&'a self, items: &'a [T]) -> impl Iterator<Item = &'a T> {
        let is_bad = |at: usize| self.bad.binary_search_by_key(&at, |(bad, _)| *bad).is_ok();
        items.iter().enumerate().filter(move |(at, _)| !is_bad(*at)).map(|(_, item)| item)
    }

    /// What a user should know of them, if there are any and they may be left out; `asked` is the argument
    /// that brought them.
    ///
    /// # Errors
    /// If there are any and `skips` is not set, or no other is left; all of them are named.
    pub fn note(&self, asked: &str, skips: bool) -> Result<Option<String>> {
        let (count, all) = (self.bad.len(), self.all);
        let list: String = self.bad.iter().map(|(_, error)| format!("\n  {error}")).collect();
        match count {
            0 => Ok(None),
            _ if skips && count < all => {
                Ok(Some(format!("{count} of {all} pictures are left out, as asked:{list}")))
            }
            _ => Err(Error::config(
                asked,
                format!(
                    "{count} of {all} pictures cannot be used; mend or remove them, or leave them \
                     out by --skip-unreadable:{list}"
                ),
            )),
        }
    }
}

/// What is known of pictures.
struct Seen {
    file: Option<PathBuf>,
    marks: HashSet<Mark>,
}

impl Seen {
    /// What the user's cache folder knows.
    pub fn open() -> Self {
        Self::read(kept::folder().map(|folder| folder.join("pictures")))
    }

    fn read(file: Option<PathBuf>) -> Self {
        let bytes = file.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        Self { file, marks: bytes.as_chunks().0.iter().copied().collect() }
    }

    /// Whether the picture was looked at so, or more closely, as it is now.
    pub fn knows(&self, path: &Path, check: Check) -> bool {
        let Ok(metadata) = path.metadata() else { return false };
        let is_known =
            |check| mark(path, &metadata, check).is_some_and(|mark| self.marks.contains(&mark));
        is_known(check) || (check == Check::Headers && is_known(Check::Full))
    }

    /// Keeps that these pictures are whole.
    pub fn keep<'a>(mut self, pictures: impl Iterator<Item = &'a Path>, check: Check) {
        let Some(settled) = SystemTime::now().checked_sub(SETTLED) else { return };
        let new = pictures.filter_map(|path| {
            let metadata = path.metadata().ok()?;
            let is_settled = metadata.modified().is_ok_and(|time| time < settled);
            is_settled.then(|| mark(path, &metadata, check))?
        });
        let new: HashSet<Mark> = new.collect();
        if new.is_subset(&self.marks) {
            return;
        }
        if self.marks.len() + new.len() > MOST {
            self.marks.clear();
        }
        self.marks.extend(new);
        let mut marks: Vec<_> = self.marks.into_iter().collect();
        marks.sort_unstable();
        // That it cannot be written is no fault of the run.
        if let Some(file) = self.file
            && file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
        {
            let _ = write_atomically(file, |file| file.write_all(marks.as_flattened()));
        }
    }
}

/// What stands for a file as it is now, looked at so by this version of the program.
fn mark(path: &Path, metadata: &Metadata, check: Check) -> Option<Mark> {
    let path = std::path::absolute(path).ok()?;
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let mut hash = Sha256::new();
    let how = match check {
        Check::Headers => "headers",
        Check::Full => "full",
    };
    hash.update(concat!("1 ", env!("CARGO_PKG_VERSION"), " "));
    hash.update(how);
    hash.update(metadata.len().to_le_bytes());
    hash.update(changed.as_nanos().to_le_bytes());
    hash.update(path.as_os_str().as_encoded_bytes());
    hash.finalize().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, write};

    /// A file of that content, changed so many seconds ago.
    fn file(folder: &Path, name: &str, content: &str, ago: u64) -> PathBuf {
        let path = folder.join(name);
        write(&path, content).unwrap();
        let time = SystemTime::now() - Duration::from_secs(ago);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    }

    #[test]
    fn pictures_are_known_as_they_were_and_looked_at_no_more_closely() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Some(folder.path().join("deep/pictures"));
        let seen = || Seen::read(kept.clone());
        let [old, young] =
            [("old", 9), ("young", 0)].map(|(n, ago)| file(folder.path(), n, "a", ago));
        assert!(!seen().knows(&old, Check::Headers));
        seen().keep([&*old, &*young].into_iter(), Check::Headers);
        assert!(seen().knows(&old, Check::Headers) && !seen().knows(&old, Check::Full));
        assert!(!seen().knows(&young, Check::Headers), "it may change within its time stamp");
        seen().keep([&*old].into_iter(), Check::Full);
        assert!(seen().knows(&old, Check::Full) && seen().knows(&old, Check::Headers));
        file(folder.path(), "old", "b", 8);
        assert!(!seen().knows(&old, Check::Headers), "its time is another");
        let old = file(folder.path(), "old", "bb", 8);
        assert!(!seen().knows(&old, Check::Headers), "its size is another");
        assert!(!seen().knows(&folder.path().join("none"), Check::Headers));
    }

    #[test]
    fn a_damaged_file_of_what_is_known_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let kept = file(folder.path(), "pictures", "what is this, forty bytes, more or less", 9);
        let picture = file(folder.path(), "a", "a", 9);
        assert!(!Seen::read(Some(kept.clone())).knows(&picture, Check::Headers));
        Seen::read(Some(kept.clone())).keep([&*picture].into_iter(), Check::Headers);
        assert!(Seen::read(Some(kept)).knows(&picture, Check::Headers));
        // No place for it.
        Seen::read(Some(picture.join("x"))).keep([&*picture].into_iter(), Check::Headers);
        Seen::read(None).keep([&*picture].into_iter(), Check::Headers);
    }
}
