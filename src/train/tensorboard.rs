//! Event files, which TensorBoard shows.
//!
//! # The format
//!
//! A file is a row of records, as TensorFlow writes them. Checksums are CRC-32C (Castagnoli), and
//! *masked*: turned right by 15 bits, and `0xa282_ead8` added.
//!
//! ```text
//!        8 bytes          4 bytes                        4 bytes
//! +------------------+---------------+----- ... -----+-----------------+
//! | bytes of message | checksum of   |    message    | checksum of     |
//! | little-endian    | these 8 bytes |               | the message     |
//! +------------------+---------------+----- ... -----+-----------------+
//! ```
//!
//! A message is an `Event` of protocol buffers. The first one of a file tells its version.
//!
//! | field of | number | holds |
//! |---|---|---|
//! | `Event` | 1, double | the time, seconds since 1970 |
//! | | 2, integer | the step |
//! | | 3, text | the version, `brain.Event:2` |
//! | | 5, message | a `Summary`, whose field 1 is a `Value` |
//! | | 7, message | a `SessionLog`, whose field 1 is the status; 1 is that a session starts |
//! | `Value` | 1, text | the tag |
//! | | 2, float | a scalar |
//! | | 8, message | a tensor: field 1 its type (7 for texts), 2 its shape, 8 a text |
//! | | 9, message | what is to show it: field 1, and in it again field 1, `text` |

use crate::export::protobuf::Message;
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file of a run, to be shown by `tensorboard --logdir FOLDER`.
///
/// A record is in the file when the call that writes it returns, and the file can be read at any
/// time; of a process that is killed while it writes, TensorBoard leaves out the last record.
///
/// TensorBoard reads all event files of a folder, in the order of their names, as one run: so a run
/// that goes on opens another one, by [`resume`](Self::resume).
///
/// ```
/// # use zoo_tuning::{Result, train::EventFile};
/// # fn main() -> Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let mut events = EventFile::create(folder)?;
/// events.text(0, "configuration", "A table in *Markdown*, say.")?;
/// for step in 1..=100 {
///     events.scalar(step, "loss/training", 1.0 / step as f64)?;
/// }
/// events.flush()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in `folder`, which is made if need be.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        let (path, file) = new_file(folder)?;
        let mut events = Self { path, file };
        events.write(0, |event| event.bytes(3, "brain.Event:2"))?;
        Ok(events)
    }

    /// A new file in the folder of a run that goes on, and whose next event will be of the step
    /// `first`. What the files before hold of this step and later ones is shown no more.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn resume(folder: impl AsRef<Path>, first: u64) -> Result<Self> {
        let mut events = Self::create(folder)?;
        let mut session = Message::default();
        session.integer(1, 1);
        events.write(first, |event| event.message(7, session))?;
        Ok(events)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the value of the curve `tag` at a step. Curves whose tags begin alike, up to a slash,
    /// are shown beside each other. TensorBoard knows values in single precision.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f64) -> Result<()> {
        let mut entry = Message::default();
        entry.bytes(1, tag);
        entry.float(2, value as f32);
        self.summary(step, entry)
    }

    /// Writes a text in Markdown, which is shown under `tag`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) -> Result<()> {
        let (mut axis, mut shape, mut tensor) =
            (Message::default(), Message::default(), Message::default());
        axis.integer(1, 1);
        shape.message(2, axis);
        tensor.integer(1, 7);
        tensor.message(2, shape);
        tensor.bytes(8, text);
        let (mut plugin, mut metadata) = (Message::default(), Message::default());
        plugin.bytes(1, "text");
        metadata.message(1, plugin);
        let mut entry = Message::default();
        entry.bytes(1, tag);
        entry.message(8, tensor);
        entry.message(9, metadata);
        self.summary(step, entry)
    }

    /// Brings everything onto the disk, so that it is there even if the machine stops.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("synchronise", &self.path))
    }

    /// Writes an event that has one value.
    fn summary(&mut self, step: u64, value: Message) -> Result<()> {
        let mut summary = Message::default();
        summary.message(1, value);
        self.write(step, |event| event.message(5, summary))
    }

    /// Writes an event of this moment, which `fill` completes.
    fn write<'a>(&mut self, step: u64, fill: impl FnOnce(&mut Message<'a>)) -> Result<()> {
        let mut event = Message::default();
        event.double(1, now().as_secs_f64());
        event.integer(2, step);
        fill(&mut event);
        let mut bytes = Vec::new();
        let whole = event.write_to(&mut bytes).map(|()| record(&bytes));
        // At once, so that a file never ends within a record unless the system cut it off there.
        whole
            .and_then(|record| self.file.write_all(&record))
            .map_err(Error::io("write", &self.path))
    }
}

/// Makes a file under a name that comes after those of all that were made before.
fn new_file(folder: &Path) -> Result<(PathBuf, File)> {
    loop {
        let now = now();
        // TensorBoard asks for `tfevents`, and then for the order.
        let name = format!(
            "events.out.tfevents.{:010}.{:09}.zoo-tuning",
            now.as_secs(),
            now.subsec_nanos()
        );
        let path = folder.join(name);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("make", path)(error)),
        }
    }
}

/// Since 1970; nothing for a clock that is set before.
fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A message with its length and checksums.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let [of_length, of_message] = [&length[..], message].map(|bytes| masked(crc32c(bytes)));
    [&length[..], &of_length.to_le_bytes(), message, &of_message.to_le_bytes()].concat()
}

/// So that a checksum of bytes that hold checksums is none that they hold.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C by a table: records are short and few.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                // The polynomial, lowest bit first.
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of the catalogue of CRC algorithms.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(b""), 0);
    }

    /// The messages of a file, whose framing must be whole.
    fn messages(path: &Path) -> Vec<Vec<u8>> {
        let (bytes, mut messages) = (fs::read(path).unwrap(), vec![]);
        let mut rest = &bytes[..];
        while let Some((length, _)) = rest.split_first_chunk() {
            let length = u64::from_le_bytes(*length) as usize;
            let (whole, after) = rest.split_at(length + 16);
            messages.push(whole[12..12 + length].to_vec());
            assert_eq!(record(&messages[messages.len() - 1]), whole);
            rest = after;
        }
        assert!(rest.is_empty());
        messages
    }

    /// An event without its time, which comes first.
    fn timeless(message: &[u8]) -> &[u8] {
        assert_eq!(message[0], 0x09, "field 1, eight bytes");
        let time = f64::from_le_bytes(*message[1..].first_chunk().unwrap());
        assert!((1.7e9..1e11).contains(&time), "{time}");
        &message[9..]
    }

    #[test]
    fn every_record_is_in_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path().join("new")).unwrap();
        assert_eq!(timeless(&messages(events.path())[0]), b"\x10\0\x1a\rbrain.Event:2");
        events.scalar(300, "loss", 0.5).unwrap();
        let found = messages(events.path());
        assert_eq!(timeless(&found[1]), b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f");
        events.text(1, "a", "b").unwrap();
        events.flush().unwrap();
        let expected = b"\x10\x01\x2a\x1c\x0a\x1a\x0a\x01a\
            \x42\x0b\x08\x07\x12\x04\x12\x02\x08\x01\x42\x01b\
            \x4a\x08\x0a\x06\x0a\x04text";
        let found = messages(events.path());
        assert_eq!((found.len(), timeless(&found[2])), (3, &expected[..]));
    }

    #[test]
    fn a_run_that_goes_on_opens_another_file_behind_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = vec![EventFile::create(folder.path()).unwrap().path];
        for first in [7, 12] {
            let events = EventFile::resume(folder.path(), first).unwrap();
            let found = messages(events.path());
            assert_eq!(found.len(), 2);
            assert_eq!(timeless(&found[1]), [0x10, first as u8, 0x3a, 2, 8, 1]);
            paths.push(events.path);
        }
        assert!(paths.is_sorted_by(|before, after| before < after));
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(EventFile::create(file.path()), Err(Error::Io { .. })));
    }
}
