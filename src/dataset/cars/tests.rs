//! The files of `tests/matlab`, whole, of which some are missing, and damaged.

use super::*;
use crate::dataset::{Channels, Dataset};
use std::fs;
use tempfile::TempDir;

/// By `tests/matlab/make.py`.
macro_rules! made {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/matlab/", $name)).as_slice()
    };
}

const ANNOS: &[u8] = made!("cars_annos.mat");
const BIG_ENDIAN: &[u8] = made!("cars_annos_big_endian.mat");
const TRAIN_ANNOS: &[u8] = made!("cars_train_annos.mat");
const TEST_ANNOS: &[u8] = made!("cars_test_annos.mat");
const LABELLED: &[u8] = made!("cars_test_annos_withlabels.mat");
const META: &[u8] = made!("cars_meta.mat");

const CLASSES: [&str; 4] = [
    "AM General Hummer SUV 2000",
    "BMW X6 SUV 2012",
    "Citroën 2CV Sedan 1970",
    "Ram C/V Cargo Van Minivan 2012",
];

/// A folder with these files and folders; the latter have no content.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        if content.is_empty() {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
    folder
}

fn devkit() -> TempDir {
    folder(&[
        ("devkit/cars_train_annos.mat", TRAIN_ANNOS),
        ("devkit/cars_test_annos.mat", TEST_ANNOS),
        ("cars_test_annos_withlabels.mat", LABELLED),
        ("devkit/cars_meta.mat", META),
        ("cars_train", b""),
        ("cars_test", b""),
    ])
}

fn found(folder: &TempDir) -> Result<Pictures, String> {
    assert!(are_in(folder.path()));
    let found = pictures(folder.path(), Reading::upright(Channels::Rgb));
    let root = format!("{}/", folder.path().display());
    found.map_err(|error| error.to_string().replace(&root, ""))
}

#[track_caller]
fn assert_found(folder: &TempDir, files: [&str; 5], classes: &[&str], labels: [usize; 5]) {
    let found = found(folder).unwrap();
    let files = files.map(|file| folder.path().join(file));
    let owned: Vec<String> = classes.iter().copied().map(String::from).collect();
    assert_eq!(found.files, files);
    assert_eq!((found.classes(), found.labels()), (&*owned, &labels[..]));
    let (train, test) = (Split::Training, Split::Test);
    assert_eq!(found.splits(), [train, train, train, test, test]);
}

#[test]
fn annotations_of_all_pictures_are_read_in_both_orders_of_bytes() {
    let files = [1, 2, 3, 4, 5].map(|at| format!("car_ims/00000{at}.jpg"));
    let files = files.each_ref().map(|file| &**file);
    for content in [ANNOS, BIG_ENDIAN] {
        let folder = folder(&[("cars_annos.mat", content), ("car_ims", b"")]);
        assert_found(&folder, files, &CLASSES, [3, 0, 1, 1, 3]);
    }
}

const OF_DEVKIT: [&str; 5] = [
    "cars_train/00001.jpg",
    "cars_train/00002.jpg",
    "cars_train/00003.jpg",
    "cars_test/00001.jpg",
    "cars_test/00002.jpg",
];

#[test]
fn annotations_of_the_devkit_are_read_wherever_the_classes_of_the_test_are() {
    let folder = devkit();
    assert_found(&folder, OF_DEVKIT, &CLASSES, [3, 0, 1, 1, 3]);
    let at = |name: &str| folder.path().join(name);
    // Beside pictures of the devkit, the other annotations are not meant.
    fs::write(at("cars_annos.mat"), ANNOS).unwrap();
    for name in &TEST[1..] {
        fs::rename(at("cars_test_annos_withlabels.mat"), at(name)).unwrap();
        assert_found(&folder, OF_DEVKIT, &CLASSES, [3, 0, 1, 1, 3]);
        fs::rename(at(name), at("cars_test_annos_withlabels.mat")).unwrap();
    }
    fs::remove_file(at("devkit/cars_meta.mat")).unwrap();
    assert_found(&folder, OF_DEVKIT, &["1", "2", "4"], [2, 0, 1, 1, 2]);
}

#[test]
fn what_is_missing_is_named() {
    let folder = devkit();
    let at = |name: &str| folder.path().join(name);
    fs::remove_file(at("cars_test_annos_withlabels.mat")).unwrap();
    let error = found(&folder).unwrap_err();
    let expected = "devkit/cars_test_annos.mat: expected the field class, found the fields bbox_x1, \
                    bbox_y1, bbox_x2, bbox_y2, fname; the test pictures' classes are in \
                    cars_test_annos_withlabels.mat";
    assert!(error.starts_with(expected), "{error}");
    fs::remove_file(at("devkit/cars_test_annos.mat")).unwrap();
    let error = found(&folder).unwrap_err();
    assert!(error.contains("expected cars_test_annos_withlabels.mat, found none"), "{error}");
    fs::write(at("cars_test_annos_withlabels.mat"), LABELLED).unwrap();
    fs::remove_dir(at("cars_test")).unwrap();
    let error = found(&folder).unwrap_err();
    let expected = "cars_test: expected the folder of the pictures of \
                    cars_test_annos_withlabels.mat, such as 00001.jpg, found none";
    assert_eq!(error, expected);
    fs::write(at("devkit/cars_train_annos.mat"), META).unwrap();
    let error = found(&folder).unwrap_err();
    let expected =
        "devkit/cars_train_annos.mat: expected the variable annotations, found class_names";
    assert_eq!(error, expected);
    fs::write(at("devkit/cars_meta.mat"), b"\x89HDF\r\n\x1a\n").unwrap();
    let error = found(&folder).unwrap_err();
    assert!(error.starts_with("devkit/cars_meta.mat, header: "), "{error}");
    assert!(error.contains("MATLAB 7.3"), "{error}");
}

/// The file of level 6, in which bytes are what they say, with one of its texts or numbers changed.
#[test]
fn a_struct_that_says_nothing_is_named() {
    let refused = |from: &[u8], to: &[u8], expected: &str| {
        let at = BIG_ENDIAN.windows(from.len()).position(|found| found == from).unwrap();
        let mut content = BIG_ENDIAN.to_vec();
        content[at..at + to.len()].copy_from_slice(to);
        let error = found(&folder(&[("cars_annos.mat", &content), ("car_ims", b"")]));
        let error = error.unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let first = "cars_annos.mat, annotation 1: ";
    refused(b"test\0", b"best", &format!("{first}expected the field test, found the fields re"));
    refused(b"class\0", b"clasp", &format!("{first}expected the field class, found the fields re"));
    refused(b"class_names", b"class_games", "expected the variable class_names, found annota");
    let name: Vec<u8> = CLASSES[1].bytes().flat_map(|byte| [0, byte]).collect();
    refused(&name, &[0xd8; 2], "variable class_names: cell 2: expected text as UTF-16");
    // Small elements of one byte: the class 4, in the first struct.
    refused(&[0, 1, 0, 2, 4], &[0, 1, 0, 2, 5], "1: expected a class from 1 to 4, found 5");
    refused(&[0, 1, 0, 2, 4], &[0, 1, 0, 2, 0], "1: expected a class from 1 to 4, found 0");
}

#[test]
fn five_thousand_damaged_files_are_read_or_refused() {
    let whole = folder(&[("car_ims", b"")]);
    let devkit = devkit();
    let place = |name: &str| devkit.path().join(name);
    let mut rng = fastrand::Rng::with_seed(3);
    let (mut read, mut refused) = (0, 0);
    for (path, content) in [
        (whole.path().join("cars_annos.mat"), ANNOS),
        (whole.path().join("cars_annos.mat"), BIG_ENDIAN),
        (place("devkit/cars_train_annos.mat"), TRAIN_ANNOS),
        (place("cars_test_annos_withlabels.mat"), LABELLED),
        (place("devkit/cars_meta.mat"), META),
    ] {
        let root = if path.starts_with(whole.path()) { whole.path() } else { devkit.path() };
        for _ in 0..1000 {
            let mut bytes = content.to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                let end = (at + rng.usize(..12)).min(bytes.len());
                match rng.usize(..6) {
                    0 => bytes[at] = rng.u8(..),
                    1 => bytes[at] ^= 1 << rng.usize(..8),
                    2 => drop(bytes.drain(at..end)),
                    3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                    4 => bytes[at..end].fill(*rng.choice(&[0, 0xff, 0x7f]).unwrap()),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            // Linux waits for the disk where a file that is there is written anew.
            fs::remove_file(&path).ok();
            fs::write(&path, &bytes).unwrap();
            match pictures(root, Reading::upright(Channels::Rgb)) {
                Ok(found) => {
                    let classes = found.classes().len();
                    assert!(found.labels().iter().all(|&label| label < classes));
                    assert_eq!(found.labels().len(), found.splits().len());
                    read += 1;
                }
                Err(error) => {
                    // A damaged number of classes is seen where a class is beyond it.
                    let error = error.to_string();
                    assert!(error.contains("cars_") && error.contains(".mat"), "{error}");
                    refused += 1;
                }
            }
        }
        fs::write(&path, content).unwrap();
    }
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
}
