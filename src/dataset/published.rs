//! Pictures in the layouts in which data sets are published: those of the paper's targets.
//!
//! | data set | at the root | a row |
//! |---|---|---|
//! | COCO-70, and what the Transfer Learning Library makes of others | `image_list/train_100.txt` or `train.txt`, `test.txt` | `train/airplane/1.jpg 0` |
//! | FGVC Aircraft | `data/images/`, `data/images_variant_train.txt`, `..._val.txt`, `..._test.txt` | `1025794 707-320` |
//! | MIT Indoor Scenes | `Images/`, `TrainImages.txt`, `TestImages.txt` | `kitchen/int474.jpg` |
//! | Stanford Cars | `cars_annos.mat`, or `devkit/` and `cars_test_annos_withlabels.mat` | a struct of MATLAB |

use super::Pictures;
use super::picture::Reading;
use super::split::Split;
use super::{bytes, cars};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A layout that was found in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The folder of the pictures, and lists of them with numbers of classes.
    Lists(PathBuf, Vec<(Split, PathBuf)>),
    /// The folder `data` of FGVC Aircraft.
    Aircraft(PathBuf),
    /// The root of MIT Indoor Scenes.
    Indoor(PathBuf),
    /// The root of Stanford Cars.
    Cars(PathBuf),
}

impl Published {
    /// The layout of what lies in `folder`, if it is one of these.
    pub fn find(folder: &Path) -> Option<Self> {
        let lists = folder.join("image_list");
        let train = ["train_100.txt", "train.txt"].map(|name| lists.join(name));
        if let Some(train) = train.into_iter().find(|list| list.is_file()) {
            let others = [(Split::Validation, "val.txt"), (Split::Test, "test.txt")];
            let others = others.map(|(split, name)| (split, lists.join(name)));
            let others = others.into_iter().filter(|(_, list)| list.is_file());
            let lists = [(Split::Training, train)].into_iter().chain(others).collect();
            return Some(Self::Lists(folder.to_path_buf(), lists));
        }
        let variants = |folder: &PathBuf| folder.join("images_variant_train.txt").is_file();
        if let Some(folder) = [folder.join("data"), folder.to_path_buf()].into_iter().find(variants)
        {
            return Some(Self::Aircraft(folder));
        }
        let has = |name: &str| folder.join(name).exists();
        if has("TrainImages.txt") && has("TestImages.txt") {
            return Some(Self::Indoor(folder.to_path_buf()));
        }
        cars::are_in(folder).then(|| Self::Cars(folder.to_path_buf()))
    }

    /// The pictures, divided as the lists say; none is opened yet.
    ///
    /// # Errors
    /// If a list or a file of annotations cannot be read, or a row in it has no meaning.
    pub fn pictures(&self, reading: Reading) -> Result<Pictures> {
        let (root, rows) = match self {
            Self::Lists(root, lists) => {
                let row = |row: &str| {
                    let (file, class) = row.rsplit_once(char::is_whitespace)?;
                    class.parse::<u64>().ok()?;
                    Some((root.join(file.trim()), class.to_owned()))
                };
                (root, rows(lists, "a file and the number of its class, such as a/1.jpg 0", row)?)
            }
            Self::Aircraft(root) => {
                let list = |name: &str| root.join(format!("images_variant_{name}.txt"));
                let lists = [
                    (Split::Training, list("train")),
                    (Split::Validation, list("val")),
                    (Split::Test, list("test")),
                ];
                let row = |row: &str| {
                    let (number, class) = row.split_once(char::is_whitespace)?;
                    let file = root.join("images").join(format!("{number}.jpg"));
                    Some((file, class.trim().to_owned()))
                };
                (root, rows(&lists, "a number and a variant, such as 1025794 707-320", row)?)
            }
            Self::Indoor(root) => {
                let list = |name: &str| root.join(format!("{name}Images.txt"));
                let lists = [(Split::Training, list("Train")), (Split::Test, list("Test"))];
                let row = |row: &str| {
                    let (class, _) = row.split_once('/')?;
                    Some((root.join("Images").join(row), class.to_owned()))
                };
                (root, rows(&lists, "a class and a file, such as kitchen/int474.jpg", row)?)
            }
            Self::Cars(root) => return cars::pictures(root, reading),
        };
        Pictures::labelled(root, rows, true, reading)
    }
}

/// The rows of lists that are there, each as what `read` makes of it; `expected` in them.
fn rows(
    lists: &[(Split, PathBuf)],
    expected: &str,
    read: impl Fn(&str) -> Option<(PathBuf, String)>,
) -> Result<Vec<(PathBuf, String, Split)>> {
    let mut rows = Vec::new();
    for (split, list) in lists {
        let content = bytes::read(list)?;
        let text = String::from_utf8_lossy(&content);
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (file, class) =
                read(line.trim()).filter(|(_, class)| !class.is_empty()).ok_or_else(|| {
                    let problem = format!("expected {expected}, found {line:?}");
                    Error::data(list, format!("line {}", at + 1), problem)
                })?;
            rows.push((file, class, *split));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Channels, Dataset};

    /// The pictures of a folder in which these files are; theirs without the folder.
    fn found(files: &[(&str, &str)]) -> Result<Pictures, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let published = Published::find(folder.path()).ok_or("none of them")?;
        let pictures = published.pictures(Reading::upright(Channels::Rgb));
        let mut found = pictures.map_err(|error| error.to_string())?;
        let bare = |file: &PathBuf| file.strip_prefix(folder.path()).unwrap().to_path_buf();
        found.files = found.files.iter().map(bare).collect();
        Ok(found)
    }

    /// Asserts what was found.
    #[track_caller]
    fn assert_found(
        found: &Pictures,
        files: &[&str],
        classes: &[&str],
        labels: &[usize],
        splits: &[Split],
    ) {
        let found_files: Vec<&Path> = found.files.iter().map(PathBuf::as_path).collect();
        assert_eq!(found_files, files.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!((&found.classes().join(","), found.labels()), (&classes.join(","), labels));
        assert_eq!(found.splits(), splits);
    }

    #[test]
    fn coco_70_is_read_by_its_lists() {
        let pictures = found(&[
            ("image_list/train_15.txt", "train/cat/1.jpg 1\n"),
            ("image_list/train_100.txt", "train/cat/1.jpg 1\r\ntrain/hot dog/2.jpg 10\n\n"),
            ("image_list/test.txt", "test/cat/3.jpg 1"),
        ])
        .unwrap();
        let files = ["train/cat/1.jpg", "train/hot dog/2.jpg", "test/cat/3.jpg"];
        let splits = [Split::Training, Split::Training, Split::Test];
        assert_found(&pictures, &files, &["1", "10"], &[0, 1, 0], &splits);
        let error = found(&[("image_list/train.txt", "a.jpg 1\na.jpg\n")]).unwrap_err();
        assert!(error.contains("line 2: expected a file and the number"), "{error}");
    }

    #[test]
    fn fgvc_aircraft_is_read_by_its_variants() {
        let pictures = found(&[
            ("data/images_variant_train.txt", "0056978 707-320\n"),
            ("data/images_variant_val.txt", "1025794 Cessna 172\n"),
            ("data/images_variant_test.txt", "0062765 707-320\n"),
        ])
        .unwrap();
        let files = ["0056978", "1025794", "0062765"].map(|n| format!("data/images/{n}.jpg"));
        let splits = [Split::Training, Split::Validation, Split::Test];
        assert_found(
            &pictures,
            &files.each_ref().map(|f| &**f),
            &["707-320", "Cessna 172"],
            &[0, 1, 0],
            &splits,
        );
        let error = found(&[("images_variant_train.txt", "0056978\n")]).unwrap_err();
        assert!(error.contains("line 1: expected a number and a variant"), "{error}");
    }

    #[test]
    fn mit_indoor_scenes_are_read_by_their_lists() {
        let pictures = found(&[
            ("TrainImages.txt", "kitchen/int474.jpg\nbakery/x y.jpg\n"),
            ("TestImages.txt", "kitchen/b.jpg\n"),
        ])
        .unwrap();
        let files = ["kitchen/int474.jpg", "bakery/x y.jpg", "kitchen/b.jpg"];
        let files = files.map(|file| format!("Images/{file}"));
        let splits = [Split::Training, Split::Training, Split::Test];
        assert_found(
            &pictures,
            &files.each_ref().map(|f| &**f),
            &["bakery", "kitchen"],
            &[1, 0, 1],
            &splits,
        );
    }

    #[test]
    fn stanford_cars_are_found_by_their_annotations() {
        for name in ["cars_annos.mat", "devkit/cars_train_annos.mat"] {
            let error = found(&[(name, "MATLAB 5.0")]).unwrap_err();
            assert!(error.contains(".mat"), "{error}");
        }
        assert_eq!(found(&[("cat/1.jpg", "")]).unwrap_err(), "none of them");
    }

    #[test]
    fn five_thousand_damaged_lists_of_each_layout_are_read_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (place, mut rng) = (|name: &str| folder.path().join(name), fastrand::Rng::with_seed(2));
        std::fs::write(place("TestImages.txt"), "kitchen/b.jpg\n").unwrap();
        for name in ["val", "test"] {
            std::fs::write(place(&format!("images_variant_{name}.txt")), "1 a b\n").unwrap();
        }
        let root = folder.path().to_path_buf();
        let lists = Published::Lists(root.clone(), vec![(Split::Training, place("train.txt"))]);
        for (name, whole, layout) in [
            ("train.txt", "a/1.jpg 0\nb/2.jpg 1\n", lists),
            ("images_variant_train.txt", "1 a\n22 b c\n", Published::Aircraft(root.clone())),
            ("TrainImages.txt", "a/1.jpg\nb/2.jpg\n", Published::Indoor(root)),
        ] {
            for _ in 0..5000 {
                let mut bytes = whole.as_bytes().to_vec();
                for _ in 0..rng.usize(1..6) {
                    let at = rng.usize(..bytes.len());
                    bytes[at] = rng.u8(..);
                }
                // Linux waits for the disk where a file that is there is written anew.
                std::fs::remove_file(place(name)).ok();
                std::fs::write(place(name), &bytes).unwrap();
                drop(layout.pictures(Reading::upright(Channels::Rgb)));
            }
        }
    }
}
