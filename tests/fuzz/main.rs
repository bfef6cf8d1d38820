//! Damaged files: whatever happens to the bytes of a valid file, a reader answers with tensors
//! or with an error. It never panics, opens it in memory in proportion to the file's size, and
//! is done within a second.
//!
//! ```text
//! cargo test --test fuzz                                   a minute, by all readers together
//! ZOO_FUZZ_SECONDS=600 cargo test --test fuzz -- --nocapture     ten minutes for each reader
//! ```
//!
//! | variable | |
//! |---|---|
//! | `ZOO_FUZZ_SECONDS` | for each reader, of one thread; otherwise 30, or less where there are few processors |
//! | `ZOO_FUZZ_SEED` | other damages than those of seed 0 |
//! | `ZOO_FUZZ_ONLY` | one reader, by the name that the report has |
//! | `ZOO_FUZZ_CASES` | so many damaged files for each reader, however long it takes |
//! | `ZOO_FUZZ_KEEP` | a folder to keep each of them in, beside what was read of it, for `tests/formats/differential.py` |
//!
//! The files begin as those in `corpus/` and in `tests/formats/`. Damages go to the bytes as
//! they are, or to a part of the file that is then put together again: to a member of an
//! archive, to a header whose length is then set right. They are the same on every machine: of
//! a seed and the number of a file follows all that is done to it. How many are tried depends
//! on the time.
//!
//! This stands in the place of `cargo fuzz`, whose instrumentation needs a nightly compiler unless
//! it is turned off, and a C++ one in any case. What is lost is the guidance by coverage: damages
//! here are blind, and know the formats instead.
//!
//! A file that is answered wrongly is written to `failures/`; so is, next to it, what was wrong.
//! What would end the whole process, such as a full stack, leaves its file in the folder for
//! temporary files, under `zoo-fuzz-`.

mod archive;
mod memory;
mod mutate;

use fastrand::Rng;
use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zoo_tuning::Result;
use zoo_tuning::zoo::{Checkpoint, TensorView};

/// The longest that a file may take to open and read.
const LONGEST: Duration = Duration::from_secs(1);

/// Bytes of values that are read of one file; a few bytes may stand for many equal values.
const ENOUGH: usize = 16 << 20;

/// The memory that it may take to open files of so many bytes: names and shapes as they are
/// kept, several times larger than written, and what an error says of them.
fn most_memory(length: usize) -> usize {
    (256 << 10) + 64 * length
}

/// A reader, and the valid files that damages begin with.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
}

/// The reader of a file, by how it begins.
fn reader(file: &[u8]) -> &'static str {
    match file {
        [b'P', b'K', 3, 4, ..] => match file.windows(8).any(|bytes| bytes == b"data.pkl") {
            true => "pytorch-zip",
            false => "npz",
        },
        // The magic number of torch.save before version 1.6, itself pickled.
        [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, ..] => "pytorch-legacy",
        [0x80, ..] => "pickle",
        [0x93, ..] => "npy",
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => "safetensors",
        [b'{', ..] => "index",
        [0x08, ..] => "onnx",
        _ => "pytorch-tar",
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The files of the folders for valid ones, with their paths.
fn all_files() -> Vec<(PathBuf, Vec<u8>)> {
    let folders = ["fuzz/corpus", "formats"].map(|folder| tests().join(folder));
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.push(tests().join("golden/checkpoint.safetensors"));
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The checkpoints among them: not the scripts that made them, what was expected of them, or
/// the values that they keep outside.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = all_files();
    files.retain(|(path, _)| {
        let name = path.to_string_lossy();
        let other = [".py", ".json", ".bin", ".md", ".txt"];
        name.ends_with(".index.json") || !other.iter().any(|suffix| name.ends_with(suffix))
    });
    files
}

fn targets() -> Vec<Target> {
    let mut seeds = BTreeMap::<_, Vec<_>>::new();
    for (_, file) in files() {
        seeds.entry(reader(&file)).or_default().push(file);
    }
    let only = std::env::var("ZOO_FUZZ_ONLY").ok();
    let targets = seeds.into_iter().map(|(name, seeds)| Target { name, seeds });
    targets.filter(|target| only.as_ref().is_none_or(|only| only == target.name)).collect()
}

/// A number that the environment may set.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

impl Target {
    /// The damaged file of this number.
    fn case(&self, seed: u64, number: u64) -> Vec<u8> {
        // Numbers that follow each other begin in the same way.
        let mut random = Rng::with_seed(seed << 32 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let others: Vec<&[u8]> = self.seeds.iter().map(Vec::as_slice).collect();
        let file = others[random.usize(..others.len())];
        let mut whole = file.to_vec();
        if random.u8(..4) == 0 || !self.mutate_inside(&mut whole, &mut random) {
            mutate::mutate(&mut whole, &others, &mut random);
        }
        whole
    }

    /// Damages a part of the file and puts it together again; `false` if it has none.
    fn mutate_inside(&self, whole: &mut Vec<u8>, random: &mut Rng) -> bool {
        if let Some(mut members) = archive::members(whole) {
            let pickle = members.iter().position(|member| member.name.ends_with(b"data.pkl"));
            let other = random.usize(..members.len());
            let at = pickle.filter(|_| random.u8(..4) > 0).unwrap_or(other);
            let parts: Vec<_> = members.iter().map(|member| member.bytes.clone()).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let member = &mut members[at];
            if self.name == "npz" && random.bool() {
                mutate_header(&mut member.bytes, 8, 2, &parts, random);
            } else if random.u8(..16) == 0 {
                mutate::mutate(&mut member.name, &[b"data.pkl", b"/0", b".npy"], random);
            } else {
                mutate::mutate(&mut member.bytes, &parts, random);
            }
            *whole = archive::archive(&members);
            return true;
        }
        let others: Vec<&[u8]> = self.seeds.iter().map(Vec::as_slice).collect();
        match self.name {
            "safetensors" => mutate_header(whole, 0, 8, &others, random),
            "npy" if whole[6] == 1 => mutate_header(whole, 8, 2, &others, random),
            "npy" => mutate_header(whole, 8, 4, &others, random),
            _ => return false,
        }
        true
    }
}

/// Damages the text whose length stands before it in `size` bytes at `at`, and sets the length
/// right.
fn mutate_header(whole: &mut Vec<u8>, at: usize, size: usize, others: &[&[u8]], random: &mut Rng) {
    let Some(length) = whole.get(at..at + size) else { return };
    let length = length.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
    let start = at + size;
    let Some(text) = whole.get(start..start + length) else { return };
    let mut text = text.to_vec();
    mutate::mutate(&mut text, others, random);
    let new_length = (text.len() as u64).to_le_bytes();
    whole.splice(start..start + length, text);
    whole[at..start].copy_from_slice(&new_length[..size]);
}

/// All that can be asked of a file's tensors.
fn use_tensors(checkpoint: &Checkpoint) -> Result<()> {
    let mut read = 0usize;
    for tensor in checkpoint {
        read = read.saturating_add(tensor.byte_len());
        if read > ENOUGH {
            return Ok(());
        }
        let bytes = tensor.bytes()?;
        assert_eq!(bytes.len(), tensor.byte_len(), "{tensor:?}");
        assert_eq!(tensor.dtype().bytes_of(tensor.shape()), Some(bytes.len()), "{tensor:?}");
        if let Some(values) = tensor.as_slice::<f32>() {
            assert_eq!(values.len(), tensor.len(), "{tensor:?}");
        }
        match tensor.to_vec::<f32>() {
            Ok(values) => assert_eq!(values.len(), tensor.len(), "{tensor:?}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    Ok(())
}

/// What is wrong with the answer to the file at `path`, if anything; `beside` is the size of
/// further files that it may name.
fn fault(path: &Path, beside: usize) -> Result<bool, String> {
    let length = fs::metadata(path).unwrap().len() as usize + beside;
    let begun = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let (opened, most) = memory::most_during(|| Checkpoint::open(path));
        (opened.and_then(|checkpoint| use_tensors(&checkpoint)).is_ok(), most)
    }));
    let elapsed = begun.elapsed();
    match answer {
        Err(panic) => Err(format!("panic: {}", text(&*panic))),
        Ok((_, most)) if most > most_memory(length) => {
            Err(format!("{most} bytes of memory to open a file of {length}"))
        }
        Ok(_) if elapsed > LONGEST => Err(format!("{elapsed:?}")),
        Ok((accepted, _)) => Ok(accepted),
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// A folder in memory, where there is one.
fn folder(name: &str) -> TempDir {
    let prefix = format!("zoo-fuzz-{name}-");
    let builder = || tempfile::Builder::new().prefix(&prefix).to_owned();
    builder().tempdir_in("/dev/shm").or_else(|_| builder().tempdir()).unwrap()
}

/// Tries damaged files for so long; the faults, and a line of report.
fn try_target(target: &Target, time: Duration) -> (Vec<String>, String) {
    const ENOUGH_FAULTS: usize = 10;
    let folder = folder(target.name);
    let mut beside = 0;
    // What the files of some formats name.
    let is_named = |path: &Path| match target.name {
        "index" => path.parent().is_some_and(|parent| parent.ends_with("corpus")),
        "onnx" => path.extension().is_some_and(|suffix| suffix == "bin"),
        _ => false,
    };
    for (path, file) in all_files().iter().filter(|(path, _)| is_named(path)) {
        fs::write(folder.path().join(path.file_name().unwrap()), file).unwrap();
        beside += file.len();
    }
    let seed = setting("ZOO_FUZZ_SEED").unwrap_or(0);
    let cases = setting("ZOO_FUZZ_CASES");
    let keep = std::env::var_os("ZOO_FUZZ_KEEP").map(PathBuf::from);
    let path = folder.path().join("case");
    let (mut faults, mut accepted, mut number) = (vec![], 0u64, 0u64);
    let begun = Instant::now();
    while cases.map_or(begun.elapsed() < time, |cases| number < cases) {
        // First the files as they are.
        let undamaged = target.seeds.get(number as usize);
        let case = undamaged.cloned().unwrap_or_else(|| target.case(seed, number));
        fs::write(&path, &case).unwrap();
        // A slow machine is no fault: only what is slow three times.
        let answer = fault(&path, beside);
        let answer = answer.or_else(|_| fault(&path, beside)).or_else(|_| fault(&path, beside));
        match answer {
            Ok(was_accepted) => accepted += u64::from(was_accepted),
            Err(what) => {
                let failures = tests().join("fuzz/failures");
                let name = format!("{}-{seed}-{number}", target.name);
                fs::create_dir_all(&failures).unwrap();
                fs::write(failures.join(&name), &case).unwrap();
                fs::write(failures.join(format!("{name}.txt")), &what).unwrap();
                faults.push(format!("tests/fuzz/failures/{name}: {what}"));
                if faults.len() == ENOUGH_FAULTS {
                    break;
                }
            }
        }
        if let Some(keep) = &keep {
            fs::create_dir_all(keep).unwrap();
            write_answer(&keep.join(format!("{}-{seed}-{number}", target.name)), &case, &path);
        }
        number += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let name = target.name;
    (faults, format!("{name:>15}: {number:>8} files, {accepted:>7} accepted, {seconds:.0} s"))
}

/// Writes a damaged file, and beside it what is read of it: a line of JSON for each tensor, or
/// the error; and all values one after the other.
fn write_answer(to: &Path, case: &[u8], path: &Path) {
    fs::write(to, case).unwrap();
    let mut values = vec![];
    let mut line = |tensor: &TensorView| -> Result<_> {
        values.extend_from_slice(&tensor.bytes()?);
        Ok(serde_json::json!({
            "name": tensor.name(),
            "dtype": tensor.dtype().name(),
            "shape": tensor.shape(),
            "bytes": tensor.byte_len(),
        }))
    };
    let answer = Checkpoint::open(path)
        .and_then(|checkpoint| checkpoint.iter().map(&mut line).collect::<Result<Vec<_>>>());
    let answer = match answer {
        Ok(tensors) => serde_json::json!({ "tensors": tensors }),
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    };
    fs::write(to.with_extension("json"), answer.to_string()).unwrap();
    fs::write(to.with_extension("values"), &values).unwrap();
}

#[test]
fn every_reader_answers_damaged_files_with_tensors_or_an_error() {
    let mut targets = targets();
    let workers = thread::available_parallelism().map_or(1, |n| n.get());
    let each = match setting("ZOO_FUZZ_SECONDS") {
        Some(seconds) => Duration::from_secs(seconds),
        // About a minute in all, on however few processors.
        None => Duration::from_secs(30)
            .min(Duration::from_secs(56) / targets.len().div_ceil(workers) as u32),
    };
    targets.reverse();
    let queue = Mutex::new(targets);
    let faults = Mutex::new(vec![]);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(target) = queue.lock().unwrap().pop() else { break };
                    let (found, report) = try_target(&target, each);
                    println!("{report}");
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_corpus_is_read_as_numpy_wrote_it() {
    let mut arrays = 0;
    for (path, _) in files().iter().filter(|(path, _)| path.parent().unwrap().ends_with("corpus")) {
        for tensor in &Checkpoint::open(path).unwrap() {
            let expected = (0..tensor.len()).map(|n| n as f64);
            match tensor.to_vec::<f64>() {
                Ok(values) => assert!(values.into_iter().eq(expected), "{tensor:?}"),
                Err(error) => assert_eq!(tensor.dtype().name(), "C64", "{error}"),
            }
            arrays += 1;
        }
    }
    assert_eq!(arrays, 5 + 13 + 2 + 4 + 4 + 2);
}

#[test]
fn an_archive_that_is_put_together_again_is_the_same() {
    let mut archives = 0;
    for (path, file) in files() {
        let Some(members) = archive::members(&file) else { continue };
        let Ok(before) = Checkpoint::open(&path) else { continue };
        let folder = folder("archive");
        // A tensor alone is called as its file.
        let again = folder.path().join(path.file_name().unwrap());
        fs::write(&again, archive::archive(&members)).unwrap();
        let after = Checkpoint::open(&again).unwrap();
        assert!(before.names().eq(after.names()), "{}", path.display());
        for (a, b) in before.iter().zip(&after) {
            assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
            assert!(a.bytes().unwrap() == b.bytes().unwrap(), "{a:?}");
        }
        archives += 1;
    }
    assert!(archives >= 2);
}

#[test]
fn a_damaged_file_follows_from_its_number() {
    for target in targets() {
        let cases = |seed| (100..120).map(|n| target.case(seed, n)).collect::<Vec<_>>();
        assert!(cases(0) == cases(0) && cases(0) != cases(1), "{}", target.name);
    }
}

#[test]
fn memory_is_counted() {
    let (length, most) = memory::most_during(|| vec![0u8; 1 << 20].len());
    assert!(most >= length && most < 2 * length, "{most}");
}
