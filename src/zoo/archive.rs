//! The members of a zip archive, where they lie in its file.
//!
//! Both `torch.save` and `numpy.savez` write zip archives:
//!
//! ```text
//! PK 3 4  flags, method, sizes, name, extra   the member's own header
//!         the member's bytes
//! ...                                          and so for every member
//! PK 1 2  flags, method, sizes, name, offset  the directory: one record for each member
//! ...
//! PK 6 6, PK 6 7                               the directory's place in 64 bits, if written
//! PK 5 6  the directory's place, its records  the end
//! ```
//!
//! Most is said twice, and readers differ in what they believe. PyTorch takes sizes from the
//! directory and the place of the bytes from the member's own header; others do otherwise. An
//! archive is read here only if it says the same both times, so that nobody can be shown
//! other values than these. Members must lie one after the other, before the directory: then
//! none is read twice, and all of them together inflate to what so large a file can hold.
//!
//! Nothing of a member is read to open an archive. Its checksum (CRC-32) is therefore not
//! compared: that would read every value of a file that is otherwise open at once, and it
//! guards against accidents only. PyTorch does not compare it either.

use super::bytes::Bytes;
use super::mapping::Mapping;
use crate::{Error, Result};
use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord, ZipSliceArchive};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A zip archive in a mapped file.
#[derive(Debug)]
pub(super) struct Archive {
    /// In the order of the directory. Invariant: their names differ.
    members: Vec<Member>,
    /// Where in `members` a name is.
    index: HashMap<String, usize>,
}

#[derive(Debug)]
struct Member {
    name: String,
    bytes: Bytes,
}

impl Archive {
    /// Reads the directory of the archive and the header of every member.
    ///
    /// # Errors
    /// If it is damaged, says two things of one member, or holds what cannot be read: members
    /// that are encrypted, or compressed by another method than deflate.
    pub fn read(mapping: &Arc<Mapping>) -> Result<Self> {
        let path = mapping.path();
        let zip = ZipArchive::from_slice(mapping.bytes()).map_err(|error| damaged(path, error))?;
        let end = End::of(&zip).map_err(|problem| Error::format(path, problem))?;
        let mut archive = Self { members: Vec::new(), index: HashMap::new() };
        let mut places = Vec::new();
        for record in zip.entries() {
            let record = record.map_err(|error| damaged(path, error))?;
            let (member, place) = member(mapping, &zip, &record)?;
            let at = archive.members.len();
            if archive.index.insert(member.name.clone(), at).is_some() {
                let problem = "is there more than once in the archive";
                return Err(Error::format_of(path, member.name, problem));
            }
            archive.members.push(member);
            places.push((place, at));
        }
        if archive.members.len() as u64 != end.records {
            let problem = format!(
                "the archive's end counts {} members, its directory has {}",
                end.records,
                archive.members.len()
            );
            return Err(Error::format(path, problem));
        }
        archive.check_apart(path, places, end.directory.start)?;
        Ok(archive)
    }

    /// Checks that no two members, headers included, share bytes, nor any with the directory.
    fn check_apart(
        &self,
        path: &Path,
        mut places: Vec<(Range<u64>, usize)>,
        directory: u64,
    ) -> Result<()> {
        places.sort_by_key(|(place, _)| place.start);
        let name = |at: usize| self.members[at].name.as_str();
        for pair in places.windows(2) {
            let [(first, a), (second, b)] = pair else { unreachable!() };
            if second.start < first.end {
                let problem = format!("shares bytes of the archive with {}", name(*a));
                return Err(Error::format_of(path, name(*b), problem));
            }
        }
        match places.last() {
            Some((last, at)) if last.end > directory => {
                Err(Error::format_of(path, name(*at), "reaches into the archive's directory"))
            }
            _ => Ok(()),
        }
    }

    /// The names of the members, in the order of the directory.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// The bytes of the member of this name.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        self.index.get(name).map(|&at| self.members[at].bytes.clone())
    }
}

/// One member as its record in the directory and its own header describe it, and the bytes
/// from that header to the member's end.
fn member(
    mapping: &Arc<Mapping>,
    zip: &ZipSliceArchive<&[u8]>,
    record: &ZipFileHeaderRecord<'_>,
) -> Result<(Member, Range<u64>)> {
    let path = mapping.path();
    let raw = record.file_path();
    let name = std::str::from_utf8(raw.as_bytes()).map_err(|error| {
        let lossy = String::from_utf8_lossy(raw.as_bytes());
        Error::format_of(path, lossy, format!("the member's name is not UTF-8: {error}"))
    })?;
    let refused = |problem: String| Err(Error::format_of(path, name, problem));
    // Readers in C end a name there.
    if name.contains('\0') {
        return refused("the member's name holds a zero byte".to_owned());
    }
    let size = record.uncompressed_size_hint();
    let packed = record.compressed_size_hint();
    // Also checks that the header and the member's bytes are in the file.
    let entry = zip.get_entry(record.wayfinder()).map_err(|error| {
        let problem = format!(
            "no header with {packed} bytes behind it at {}, where the directory says: {error}; is \
             the file complete?",
            record.local_header_offset()
        );
        Error::format_of(path, name, problem)
    })?;
    let header = entry.local_header();

    for flags in [record.flags(), header.flags()] {
        if flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked() {
            return refused("is encrypted; save it without a password".to_owned());
        }
    }
    let method = record.compression_method();
    let stored = method == CompressionMethod::STORE;
    if !stored && method != CompressionMethod::DEFLATE {
        return refused(format!(
            "is compressed by method {method}; store members, or deflate them"
        ));
    }
    let disagreement = |what, directory: String, own: String| {
        refused(format!(
            "the directory says {what} {directory}, the member's own header {own}: readers would \
             differ"
        ))
    };
    let own_name = header.file_path();
    if own_name.as_bytes() != raw.as_bytes() {
        // Wherever the directory led to, these bytes may be anything.
        let own_name = String::from_utf8_lossy(own_name.as_bytes());
        let own_name = own_name.chars().take(100).flat_map(char::escape_debug).collect();
        return disagreement("name", name.to_owned(), own_name);
    }
    if header.compression_method() != method {
        let own = header.compression_method().to_string();
        return disagreement("method", method.to_string(), own);
    }
    // Who writes a member before its size is known says so by a flag, and gives the size once
    // more behind the member. That copy is not looked at, as no reader of a whole file does:
    // it is of 32 or 64 bits, and only the writer knows when it took which.
    let streamed = header.flags().has_data_descriptor();
    let own = [header.compressed_size_hint(), header.uncompressed_size_hint()];
    for (directory, own) in [packed, size].into_iter().zip(own) {
        let unknown = streamed && (own == 0 || own == u64::from(u32::MAX));
        if own != directory && !unknown {
            return disagreement("size", directory.to_string(), own.to_string());
        }
    }
    if stored && packed != size {
        return refused(format!("is stored in {packed} bytes, but has {size}"));
    }

    let (start, end) = entry.compressed_data_range();
    // Both are in the file, which is in memory.
    let range = start as usize..end as usize;
    let bytes = match usize::try_from(size) {
        Ok(_) if stored => Bytes::mapped(mapping, range),
        Ok(size) => Bytes::deflated(mapping, range, size),
        Err(_) => return refused(format!("{size} bytes are more than this machine addresses")),
    };
    let bytes = bytes.map_err(|error| match error {
        Error::Format { path, problem, .. } => Error::format_of(path, name, problem),
        other => other,
    })?;
    Ok((Member { name: name.to_owned(), bytes }, record.local_header_offset()..end))
}

/// What the end of an archive says of its directory.
struct End {
    directory: Range<u64>,
    /// How many records it has.
    records: u64,
}

/// An end of 32 bits, without its comment.
const END: usize = 22;
/// What stands before it if there is one of 64 bits, and says where.
const LOCATOR: usize = 20;
/// The shortest end of 64 bits.
const END64: usize = 56;

impl End {
    /// Reads the end of the archive once more. Damaged places and ends of 64 bits that do not
    /// fit the one of 32 are passed over or guessed by some readers, each in its own way.
    ///
    /// # Errors
    /// If the end does not describe exactly this file.
    fn of(zip: &ZipSliceArchive<&[u8]>) -> Result<Self, String> {
        let file = *zip.get_ref();
        let at = zip.eocd_offset() as usize;
        if zip.end_offset() != file.len() as u64 {
            let more = file.len() as u64 - zip.end_offset();
            return Err(format!("{more} bytes follow the archive's end; is it the whole file?"));
        }
        let Some(last) = file.get(at..at + END) else {
            return Err("the archive's end is cut off".to_owned());
        };
        let disks = [4, 6].map(|field| number::<2>(last, field));
        let [here, records] = [8, 10].map(|field| number::<2>(last, field));
        let [size, offset] = [12, 16].map(|field| number::<4>(last, field));
        let (mut end, mut values, mut parts) = (at, [here, records, size, offset], disks);

        let locator = at.checked_sub(LOCATOR).map(|start| &file[start..at]);
        if let Some(locator) = locator.filter(|bytes| bytes.starts_with(b"PK\x06\x07")) {
            let start = usize::try_from(number::<8>(locator, 8)).unwrap_or(usize::MAX);
            let record = file
                .get(start..at - LOCATOR)
                .filter(|bytes| bytes.len() >= END64 && bytes.starts_with(b"PK\x06\x06"))
                .filter(|bytes| number::<8>(bytes, 4) == bytes.len() as u64 - 12)
                .ok_or("the archive's 64-bit end is not where it is said to be")?;
            let wide = [24, 32, 40, 48].map(|field| number::<8>(record, field));
            // A 32-bit end has either the same value, or ones for one that does not fit.
            let ones = [0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff];
            let fits = |i: usize| values[i] == wide[i] || values[i] == ones[i];
            if !(0..4).all(fits) {
                return Err(format!(
                    "the archive's two ends differ: {values:?} in 32 bits, {wide:?} in 64"
                ));
            }
            parts = [number::<4>(record, 16), number::<4>(record, 20)];
            (end, values) = (start, wide);
        }
        let [here, records, size, offset] = values;
        if parts != [0, 0] || here != records {
            return Err("this is one part of an archive in several, which is not read".to_owned());
        }
        if offset.checked_add(size) != Some(end as u64) || offset != zip.directory_offset() {
            return Err(format!(
                "the archive's directory should fill the {size} bytes from {offset} to the end \
                 records, which begin at {end}: is the file complete?"
            ));
        }
        Ok(Self { directory: offset..end as u64, records })
    }
}

/// The little-endian number of `N` bytes there, which must be.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + N].iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

fn damaged(path: &Path, error: rawzip::Error) -> Error {
    Error::format(path, format!("damaged as a zip archive: {error}; is the file complete?"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, Member as Written, zip};
    use super::*;
    use proptest::prelude::*;

    fn opened(bytes: &[u8]) -> Result<Archive> {
        Archive::read(&Arc::new(Mapping::open(fixture::file(bytes)).unwrap()))
    }

    /// Asserts that an archive is refused for this reason.
    #[track_caller]
    fn refused(bytes: &[u8], because: &str) {
        let error = opened(bytes).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    /// Asserts that `change` to the first of two members, 16 bytes `a` and `bc` as `b`, makes
    /// the archive refused.
    #[track_caller]
    fn change_refused(change: impl Fn(&mut Written), because: &str) {
        let mut members = [Written::stored("a", [7; 16]), Written::stored("b", "bc")];
        assert!(opened(&zip(&members)).is_ok());
        change(&mut members[0]);
        refused(&zip(&members), because);
    }

    #[test]
    fn members_are_found_by_name_in_the_order_of_the_directory() {
        let file = zip(&[
            Written::stored("x/data.pkl", "one"),
            Written::deflated("x/data/0", &[5; 1000]),
            Written::stored("x/", ""),
            Written::stored("é", "four"),
        ]);
        let archive = opened(&file).unwrap();
        assert_eq!(archive.names().collect::<Vec<_>>(), ["x/data.pkl", "x/data/0", "x/", "é"]);
        let get = |name| archive.get(name).unwrap().get().unwrap().into_owned();
        assert_eq!(get("x/data.pkl"), b"one");
        assert_eq!(get("x/data/0"), [5; 1000]);
        assert_eq!((get("x/"), get("é")), (vec![], b"four".to_vec()));
        assert!(archive.get("data.pkl").is_none());
        assert!(archive.get("é").unwrap().in_memory().is_some(), "it is stored");
        assert!(archive.get("x/data/0").unwrap().in_memory().is_none(), "it is deflated");
        assert!(archive.get("y").is_none());
    }

    #[test]
    fn an_archive_without_members_is_valid() {
        let end = [&b"PK\x05\x06"[..], &[0; 18]].concat();
        assert_eq!(opened(&end).unwrap().names().count(), 0);
    }

    #[test]
    fn sizes_of_64_bits_are_read_whatever_they_are() {
        let mut member = Written::stored("a", "abc");
        for (own, listed) in [(true, false), (false, true), (true, true)] {
            (member.own.wide, member.listed.wide) = (own, listed);
            let archive = opened(&zip(&[Written::stored("first", "x"), member.clone()])).unwrap();
            assert_eq!(*archive.get("a").unwrap().get().unwrap(), *b"abc");
        }
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn members_of_gigabytes_are_open_at_once() {
        use std::io::{Seek, Write};
        // Sparse: the disk holds only the headers, and no value is read.
        let length = 5u64 << 30;
        let mut member = Written::stored("a", "");
        member.both(|header| {
            (header.packed, header.size, header.wide) = (length, length, true);
        });
        let mut last = Written::stored("b", "after");
        last.listed.wide = true;
        // The small archive's directory begins at the offset that the end of 64 bits gives.
        let archive = zip(&[member.clone()]);
        let header = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        let second = header as u64 + length;
        last.offset = Some(second);
        let both = zip(&[member, last]);
        let directory = both.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        let records = both.windows(4).position(|bytes| bytes == b"PK\x06\x06").unwrap();
        let size = (records - directory) as u64;
        let start = directory as u64 + length;
        let path = fixture::file(&both[..header]);
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(std::io::SeekFrom::Start(second)).unwrap();
        file.write_all(&both[header..records]).unwrap();
        file.write_all(&fixture::zip_end(2, start, size)).unwrap();
        let archive = Archive::read(&Arc::new(Mapping::open(&path).unwrap())).unwrap();
        let bytes = archive.get("a").unwrap();
        assert_eq!((bytes.len() as u64, bytes.get().unwrap()[length as usize - 1]), (length, 0));
        assert_eq!(*archive.get("b").unwrap().get().unwrap(), *b"after");
    }

    #[test]
    fn members_whose_size_was_not_known_before_are_read() {
        for (own, listed) in [(0, 3), (u64::from(u32::MAX), 3), (3, 3)] {
            let mut member = Written::stored("a", "abc");
            member.both(|header| header.flags = 0x0808);
            (member.own.packed, member.own.size) = (own, own);
            (member.listed.packed, member.listed.size) = (listed, listed);
            assert_eq!(opened(&zip(&[member])).unwrap().get("a").unwrap().len(), 3);
        }
    }

    #[test]
    fn duplicate_names_are_refused() {
        let twice = [Written::stored("a", "1"), Written::stored("a", "2")];
        refused(&zip(&twice), "a: is there more than once");
    }

    #[test]
    fn encrypted_members_are_refused() {
        for bit in [0, 6, 13] {
            change_refused(|a| a.both(|header| header.flags |= 1 << bit), "a: is encrypted");
            change_refused(|a| a.own.flags |= 1 << bit, "a: is encrypted");
            change_refused(|a| a.listed.flags |= 1 << bit, "a: is encrypted");
        }
    }

    #[test]
    fn other_methods_of_compression_are_refused() {
        // Deflate64, bzip2, LZMA, Zstandard.
        for method in [9, 12, 14, 93] {
            change_refused(
                |a| a.both(|header| header.method = method),
                "a: is compressed by method",
            );
        }
    }

    #[test]
    fn a_header_that_disagrees_with_the_directory_is_refused() {
        change_refused(|a| a.own.name = b"A".to_vec(), "says name a, the member's own header A");
        change_refused(|a| a.own.method = 8, "says method 0 (STORE), the member's own header 8");
        change_refused(|a| a.own.packed = 15, "says size 16, the member's own header 15");
        change_refused(|a| a.own.size = 15, "says size 16, the member's own header 15");
        change_refused(|a| a.own.size = 0, "says size 16, the member's own header 0");
        change_refused(|a| (a.own.flags, a.own.size) = (8, 17), "says size 16");
        change_refused(|a| a.own.name = b"longer".to_vec(), "the member's own header longer");
    }

    #[test]
    fn sizes_past_the_end_are_refused() {
        for length in [1 << 20, u64::from(u32::MAX), 1 << 40, u64::MAX] {
            change_refused(
                |a| {
                    a.both(|header| {
                        (header.packed, header.size, header.wide) = (length, length, true)
                    });
                },
                "is the file complete?",
            );
        }
        change_refused(|a| a.offset = Some(1 << 20), "a: no header with 16 bytes behind it");
        change_refused(|a| (a.offset, a.listed.wide) = (Some(u64::MAX), true), "a: no header");
        change_refused(|a| a.offset = Some(1), "a: no header");
    }

    #[test]
    fn a_stored_member_of_two_sizes_is_refused() {
        change_refused(
            |a| a.both(|header| header.size = 15),
            "a: is stored in 16 bytes, but has 15",
        );
    }

    #[test]
    fn names_that_are_not_utf8_are_refused() {
        change_refused(|a| a.both(|header| header.name = vec![b'n', 0xff]), "name is not UTF-8");
        change_refused(|a| a.both(|header| header.name = b"a\0b".to_vec()), "holds a zero byte");
    }

    #[test]
    fn a_zip_bomb_is_refused() {
        let mut bomb = Written::deflated("a", &[0; 100_000]);
        assert!(opened(&zip(&[bomb.clone()])).is_ok());
        bomb.both(|header| (header.size, header.wide) = (1 << 40, true));
        refused(&zip(&[bomb]), "deflated bytes cannot become 1099511627776");
    }

    #[test]
    fn many_records_for_one_member_are_refused() {
        let mut members = vec![Written::deflated("a", &[0; 100_000])];
        for i in 0..100 {
            let mut again = members[0].clone();
            again.listed.name = format!("a{i}").into_bytes();
            (again.offset, again.bytes) = (Some(0), vec![]);
            members.push(again);
        }
        refused(&zip(&members), "a0: the directory says name a0, the member's own header a");
    }

    #[test]
    fn overlapping_members_are_refused() {
        // The bytes of the first are the second, header and all.
        let inner = zip(&[Written::stored("b", "bytes")]);
        let end = inner.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        let outer = Written::stored("a", &inner[..end]);
        let mut second = Written::stored("b", "bytes");
        // The first header has 30 bytes and a name of one.
        second.offset = Some(31);
        refused(&zip(&[outer, second]), "b: shares bytes of the archive with a");
    }

    #[test]
    fn a_member_that_reaches_into_the_directory_is_refused() {
        let mut last = Written::stored("a", "abc");
        last.both(|header| (header.packed, header.size) = (4, 4));
        refused(&zip(&[last]), "a: reaches into the archive's directory");
    }

    #[test]
    fn an_end_that_is_wrong_is_refused() {
        let file = zip(&[Written::stored("a", "abc")]);
        let records = file.windows(4).position(|bytes| bytes == b"PK\x06\x06").unwrap();
        let end = file.windows(4).position(|bytes| bytes == b"PK\x05\x06").unwrap();
        let with = |at: usize, value: u8| {
            let mut file = file.clone();
            file[at] = value;
            file
        };
        refused(&[&file[..], b"PK"].concat(), "2 bytes follow the archive's end");
        refused(&[b"PK\x03\x04".as_slice(), &file].concat(), "64-bit end is not where");
        // Places from the beginning of each end: counts, sizes and offsets, and the disks.
        for place in [24, 32, 40, 48] {
            refused(&with(records + place, 9), "two ends differ");
        }
        for place in [8, 10, 12, 16] {
            refused(&with(end + place, 9), "two ends differ");
        }
        for place in [16, 20] {
            refused(&with(records + place, 1), "one part of an archive in several");
        }
        refused(&with(records, b'X'), "64-bit end is not where");
        refused(&with(records + 4, 45), "64-bit end is not where");
        refused(&with(end - 12, 1), "64-bit end is not where");
        let counts =
            |n| [&file[..records], &fixture::zip_end(n, 34, (records - 34) as u64)].concat();
        assert!(opened(&counts(1)).is_ok());
        refused(&counts(2), "end counts 2 members, its directory has 1");
        refused(&counts(0), "end counts 0 members, its directory has 1");
        // Bytes before the archive, in an end of 32 bits: some readers guess how many.
        let short = [&file[..records], &file[end..]].concat();
        assert!(opened(&short).is_ok());
        refused(&[b"before", &short[..]].concat(), "should fill the");
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let file = zip(&[Written::stored("a", "abc"), Written::deflated("b", &[1; 99])]);
        for end in 1..file.len() {
            assert!(opened(&file[..end]).is_err(), "{end} of {}", file.len());
        }
        refused(&file[..40], "is the file complete?");
    }

    #[test]
    fn many_members_are_read_in_reasonable_time() {
        let members: Vec<_> = (0..50_000).map(|i| Written::stored(format!("m{i}"), "")).collect();
        assert_eq!(opened(&zip(&members)).unwrap().names().count(), 50_000);
    }

    proptest! {
        /// A valid archive of which a few bytes are changed: what is still accepted holds
        /// the bytes of the file.
        #[test]
        fn no_change_to_a_valid_archive_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
        ) {
            let mut wide = Written::stored("wide", "abc");
            wide.both(|header| header.wide = true);
            let mut bytes = zip(&[wide, Written::deflated("b", &[1; 99])]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(archive) = opened(&bytes) {
                for name in archive.names() {
                    let _ = archive.get(name).unwrap().get();
                }
            }
        }
    }
}
