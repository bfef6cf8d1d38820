//! Files in memory without reading them, and others that are written by way of memory: the one
//! `unsafe` of memory-mapping.
//!
//! A zoo of several checkpoints is several gigabytes. Mapped, it is open at once,
//! only the pages that are used are ever read, and processes that use the same
//! files share them.
//!
//! What is **not** defended against: another process that changes a file while
//! it is mapped. If it shrinks the file, the next access to the part that is gone
//! ends this process with `SIGBUS`; if it writes into the file, the values
//! change under the reader. Replacing a file by renaming another over it, as
//! [`crate::export`] does, is harmless: the mapping keeps the old one.

use super::dtype::Dtype;
use crate::{Error, Result};
use memmap2::{Mmap, MmapMut};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A regular file, mapped read-only, or one that lies inside the program.
#[derive(Debug)]
pub struct Mapping {
    path: PathBuf,
    bytes: Held,
}

/// What holds the bytes of a file.
#[derive(Debug)]
enum Held {
    Mapped(Mmap),
    /// The system mapped them with the program.
    Inside(&'static [u8]),
}

impl Mapping {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// If it cannot be opened, is not a regular file, or is empty.
    #[allow(unsafe_code)]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Before opening: to open a named pipe is to wait for whoever writes to it.
        let length = regular_length(path, &fs::metadata(path).map_err(Error::io("open", path))?)?;
        let file = File::open(path).map_err(Error::io("open", path))?;
        // Once more, now of what is open, in case that the path was given to another file.
        let opened = file.metadata().map_err(Error::io("open", path))?;
        if regular_length(path, &opened)? != length {
            return Err(Error::format(path, "the file changes while it is opened"));
        }
        // SAFETY: the mapping is read-only and private to `Mapping`, which lends
        // it out only for as long as it lives. That nobody else writes to the
        // file or shrinks it meanwhile cannot be enforced on a Unix system; it is
        // asked of the user in the documentation of this module. Every type that
        // the bytes are ever read as is `Plain`, so that whatever they change to
        // is still a value.
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Ok(Self { path: path.to_path_buf(), bytes: Held::Mapped(bytes) })
    }

    /// A file that lies inside the program, as `include_bytes!` puts it there; `name` stands for
    /// its path in messages. Nothing is copied.
    pub fn inside(name: impl AsRef<Path>, bytes: &'static [u8]) -> Self {
        Self { path: name.as_ref().to_path_buf(), bytes: Held::Inside(bytes) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Held::Mapped(bytes) => bytes,
            Held::Inside(bytes) => bytes,
        }
    }

    /// Lets the pages of these bytes leave this process's memory until they are used again.
    /// Without effect where the system knows no such advice.
    pub(super) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        #[allow(unsafe_code)]
        if let Held::Mapped(bytes) = &self.bytes
            && bytes.get(range.clone()).is_some()
        {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the range is within the mapping. The advice may lose what was written to
            // private pages, but nothing was, as the mapping is read-only: whoever looks at
            // these bytes next finds them read from the file again. A refusal changes nothing.
            let _ = unsafe { bytes.unchecked_advise_range(advice, range.start, range.len()) };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

/// A file that is written by way of memory: as much of it lies there as the system finds room for.
#[derive(Debug)]
pub struct MappingMut {
    path: PathBuf,
    file: File,
    bytes: MmapMut,
    /// So many bytes have a place on the disk.
    reserved: usize,
}

impl MappingMut {
    /// Maps `length` bytes of the file at `path`, which is made if it is not there. Of one that is, the
    /// first `used` bytes are kept.
    ///
    /// # Errors
    /// If it cannot be opened or made, or is shorter than what is used of it.
    #[allow(unsafe_code)]
    pub fn open(path: impl AsRef<Path>, length: usize, used: usize) -> Result<Self> {
        let path = path.as_ref();
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(Error::io("open", path))?;
        let found = file.metadata().map_err(Error::io("read", path))?.len();
        if found < used as u64 {
            let problem = format!("has {found} bytes, where {used} are used");
            return Err(Error::format(path, problem));
        }
        file.set_len(length as u64).map_err(Error::io("lengthen", path))?;
        // SAFETY: the mapping is private to `MappingMut`, which lends its bytes by the rules of borrows.
        // They are read as bytes alone, of which every pattern is one; that no other process shrinks the
        // file is asked of the user, as of every mapping here.
        let bytes = unsafe { MmapMut::map_mut(&file) }.map_err(Error::io("map", path))?;
        Ok(Self { path: path.to_path_buf(), file, bytes, reserved: used })
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes to be written.
    ///
    /// # Errors
    /// If the disk has no room for them: to find that out while writing to memory would end the process.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> Result<&mut [u8]> {
        const PIECE: usize = if cfg!(test) { 100 } else { 1 << 22 };
        while range.end > self.reserved {
            let piece = PIECE.min(self.bytes.len().saturating_sub(self.reserved));
            let write = self.file.seek(SeekFrom::Start(self.reserved as u64));
            let write = write.and_then(|_| self.file.write_all(&vec![0; piece]));
            write.map_err(Error::io("write", &self.path))?;
            self.reserved += piece;
            if piece == 0 {
                break;
            }
        }
        let problem = || Error::format(&self.path, "ends before what is to be written");
        self.bytes.get_mut(range).ok_or_else(problem)
    }

    /// Returns when all lies on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&self) -> Result<()> {
        self.bytes.flush().map_err(Error::io("synchronise", &self.path))
    }
}

/// The length of a file that can be mapped.
fn regular_length(path: &Path, metadata: &fs::Metadata) -> Result<u64> {
    if metadata.is_dir() {
        return Err(Error::format(path, "expected a file, found a folder"));
    }
    if !metadata.is_file() {
        return Err(Error::format(
            path,
            "expected a regular file, found a pipe, socket or device, which cannot be mapped",
        ));
    }
    match metadata.len() {
        0 => Err(Error::format(path, "the file is empty")),
        length => Ok(length),
    }
}

/// Numbers for which every pattern of bits is a value, so that a file's bytes
/// can be used as they lie there.
///
/// No other crate can implement it: that reading in place is sound relies on it.
pub trait Plain: sealed::Sealed + Copy + 'static {
    /// The type that a file calls this one.
    const DTYPE: Dtype;

    /// The nearest value to `value`; bit for bit the same if this is `f32`.
    fn of_f32(value: f32) -> Self;

    /// The nearest value to `value`; bit for bit the same if this is `f64`.
    fn of_f64(value: f64) -> Self;

    /// The bytes of this value in a file.
    fn little_endian(self) -> impl AsRef<[u8]>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Plain for f32 {
    const DTYPE: Dtype = Dtype::F32;

    fn of_f32(value: f32) -> Self {
        value
    }

    fn of_f64(value: f64) -> Self {
        value as Self
    }

    fn little_endian(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl Plain for f64 {
    const DTYPE: Dtype = Dtype::F64;

    fn of_f32(value: f32) -> Self {
        Self::from(value)
    }

    fn of_f64(value: f64) -> Self {
        value
    }

    fn little_endian(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

/// The bytes of a file as the values they are, if they are aligned, whole, and
/// in this machine's order of bytes.
#[allow(unsafe_code)]
pub(super) fn in_place<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    let start = bytes.as_ptr().cast::<T>();
    let whole = bytes.len().is_multiple_of(size_of::<T>());
    if cfg!(target_endian = "big") || !whole || !start.is_aligned() {
        return None;
    }
    // SAFETY: `start` is aligned, and not null, as it comes from a slice; the
    // values end where the bytes end and are borrowed for as long. `T` is
    // `Plain`, which only this module implements: any bytes are a value of it.
    Some(unsafe { std::slice::from_raw_parts(start, bytes.len() / size_of::<T>()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        Mapping::open(path).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_by_way_of_memory_lies_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = MappingMut::open(&path, 350, 0).unwrap();
        file.bytes_mut(20..30).unwrap().fill(1);
        file.bytes_mut(190..210).unwrap().fill(2);
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), file.bytes());
        drop(file);
        // What is used is kept, what is not is room.
        let mut again = MappingMut::open(&path, 350, 205).unwrap();
        again.bytes_mut(205..350).unwrap().fill(3);
        let bytes = again.bytes();
        assert_eq!((bytes[25], bytes[204], bytes[205], bytes[349], bytes[100]), (1, 2, 3, 3, 0));
        assert!(again.bytes_mut(349..351).unwrap_err().to_string().contains("ends before"));
        assert!(
            MappingMut::open(&path, 400, 351).unwrap_err().to_string().contains("351 are used")
        );
    }

    #[test]
    fn only_a_regular_file_with_something_in_it_is_mapped() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(folder.path()).contains("found a folder"));
        assert!(refusal(&folder.path().join("absent")).contains("cannot open"));
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(refusal(&empty).contains("is empty"));
        let full = folder.path().join("full");
        fs::write(&full, "abc").unwrap();
        assert_eq!(Mapping::open(&full).unwrap().bytes(), b"abc");
    }

    #[test]
    fn a_file_inside_the_program_is_used_where_it_lies() {
        static BYTES: [u8; 3] = *b"abc";
        let mapping = Mapping::inside("name", &BYTES);
        assert_eq!((mapping.path(), mapping.bytes().as_ptr()), (Path::new("name"), BYTES.as_ptr()));
        mapping.release(0..3);
        assert_eq!(mapping.bytes(), b"abc");
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_without_waiting_for_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(refusal(&pipe).contains("found a pipe"));
        assert!(refusal(Path::new("/dev/null")).contains("device"));
    }

    #[test]
    fn a_file_may_be_replaced_while_it_is_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "n").unwrap();
        let mapping = Mapping::open(&old).unwrap();
        fs::rename(&new, &old).unwrap();
        assert_eq!(mapping.bytes(), b"old");
    }

    #[test]
    fn bytes_are_used_in_place_only_where_they_are_aligned_and_whole() {
        let values = [1.0f64, -2.0, f64::NAN];
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let mut room = vec![0u8; bytes.len() + 16];
        let aligned = room.as_ptr().align_offset(8);
        room[aligned..aligned + bytes.len()].copy_from_slice(&bytes);
        let bytes = &room[aligned..aligned + bytes.len()];
        let little = cfg!(target_endian = "little");
        assert_eq!(in_place::<f64>(bytes).is_some_and(|v| v[1] == -2.0), little);
        assert_eq!(in_place::<f32>(bytes).is_some_and(|v| v.len() == 6), little);
        assert!(in_place::<f64>(&bytes[..23]).is_none());
        assert!(in_place::<f64>(&bytes[1..17]).is_none());
        assert!(in_place::<f64>(&bytes[4..20]).is_none());
        assert_eq!(in_place::<f32>(&bytes[4..20]).is_some(), little);
    }
}
