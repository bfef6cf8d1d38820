//! Files that are there in whole or not at all.

use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes the file at `path` by `write`, so that whoever opens it finds either
/// what was there before or all of what `write` wrote: it goes to a temporary
/// file in the same folder, which is synchronised with the disk and then renamed.
///
/// A symbolic link is followed, and the permissions of a file that is replaced are
/// kept. Only a process that is killed leaves its temporary file
/// (`.NAME.PID-N.tmp`) behind.
///
/// # Errors
/// If the folder, the disk or `write` refuses. What was at `path` is untouched
/// then, unless the very last step fails, in which the folder is synchronised.
pub fn write_atomically(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let target = target(path)?;
    let temporary = Temporary::beside(&target)?;
    temporary.fill(&target, write).map_err(Error::io("write", path))?;
    temporary.rename(&target).map_err(Error::io("replace", path))?;
    sync_folder(&target).map_err(Error::io("synchronise the folder of", path))
}

/// The file that is to be replaced: `path`, or what it links to.
fn target(path: &Path) -> Result<PathBuf> {
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => linked(path),
        Err(error) => return Err(Error::io("write", path)(error)),
    };
    // To rename over a device would replace the device: as root, /dev/null.
    if target.file_name().is_none() || target.metadata().is_ok_and(|found| !found.is_file()) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(Error::io("write", path)(error));
    }
    Ok(target)
}

/// The file that links lead to from `path`, though it is not there yet.
fn linked(path: &Path) -> PathBuf {
    // As many as Linux follows: links that lead to each other have no end.
    const MOST: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MOST {
        let Ok(next) = path.read_link() else { break };
        path = folder(&path).join(next);
    }
    path
}

/// Whether a file of this name is what a process that was killed has left of writing one.
#[cfg(feature = "train")]
pub(crate) fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// The folder of a file; that of a bare name is the current one.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A file that is removed when it is dropped, by an error or a panic, unless it
/// was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    /// A new file in the folder of `target`: only there is a rename certain not to
    /// cross into another file system, where it would be a copy.
    fn beside(target: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let mut name = OsString::from(".");
            name.push(target.file_name().unwrap_or_default());
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            name.push(format!(".{}-{count}.tmp", std::process::id()));
            let path = folder(target).join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file, renamed: false }),
                // Left behind by a process that had the same number: try the next name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", path)(error)),
            }
        }
    }

    /// Writes all of it, onto the disk.
    fn fill(
        &self,
        target: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        // Before there is anything to read that the old file did not show to all.
        if let Ok(old) = target.metadata() {
            self.file.set_permissions(old.permissions())?;
        }
        let mut buffered = BufWriter::with_capacity(1 << 20, &self.file);
        write(&mut buffered)?;
        buffered.flush()?;
        self.file.sync_all()
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the rename itself last through a loss of power.
fn sync_folder(file: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        // Elsewhere a folder cannot be opened as a file.
        return Ok(());
    }
    match File::open(folder(file))?.sync_all() {
        // Some network file systems do not know the request.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_made_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["one", "three"] {
            write_atomically(&path, |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let error = write_atomically(&path, |w| {
            // More than is buffered, so that some of it has reached the file.
            w.write_all(&vec![b'x'; 3 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(matches!(&error, Error::Io { action: "write", path: p, .. } if *p == path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_panic_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let result = std::panic::catch_unwind(|| write_atomically(&path, |_| panic!("on purpose")));
        assert!(result.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn what_is_not_a_regular_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing/file");
        for path in [folder.path(), Path::new("/dev/null"), Path::new("/"), Path::new(""), &missing]
        {
            assert!(write_atomically(path, |_| Ok(())).is_err(), "{}", path.display());
        }
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn writers_of_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::thread::scope(|scope| {
            for byte in b'a'..b'i' {
                let path = &path;
                scope.spawn(move || write_atomically(path, |w| w.write_all(&[byte; 9])).unwrap());
            }
        });
        let text = fs::read(&path).unwrap();
        assert!(text.len() == 9 && text.iter().all(|byte| *byte == text[0]));
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        write_atomically(&link, |w| w.write_all(b"new")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // A link to what is not there yet.
        let (early, file) = (folder.path().join("early"), folder.path().join("later"));
        symlink("later", &early).unwrap();
        write_atomically(&early, |w| w.write_all(b"there")).unwrap();
        assert!(early.is_symlink() && fs::read(&file).unwrap() == b"there");
    }
}
