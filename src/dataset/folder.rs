//! Pictures in folders, one folder for each class.

use super::Pictures;
use super::picture::{Reading, is_named_as_one};
use super::split::Split;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl Pictures {
    /// The pictures `root/class/.../file`; none is opened yet.
    ///
    /// The classes are the folders of the root in the order of their names, and the files of a class
    /// all those below it, folder by folder, as in torchvision's `ImageFolder`. If the folders are
    /// `train`, `val` and `test`, the classes are below these. Hidden files, files of other kinds
    /// and the folder `__MACOSX` are passed over, and counted.
    ///
    /// # Errors
    /// If a folder cannot be read, `root` holds no folder, or one of these no picture; if a class is
    /// not one of the training pictures'.
    pub fn folder(root: impl AsRef<Path>, reading: Reading) -> Result<Self> {
        let root = root.as_ref();
        let mut left_out = LeftOut::default();
        let folders = folders(root, &mut left_out)?;
        let mut found = Self {
            root: root.to_path_buf(),
            files: vec![],
            labels: vec![],
            classes: vec![],
            splits: vec![],
            left_out: String::new(),
            reading,
        };
        match divided(&folders)? {
            Some(divided) => {
                let unused = folders.iter().filter(|f| divided.iter().all(|(_, used)| used != *f));
                unused.for_each(|folder| left_out.folder(folder));
                for (split, folder) in divided {
                    found.add_classes(self::folders(&folder, &mut left_out)?, &mut left_out)?;
                    found.splits.resize(found.files.len(), split);
                }
            }
            None => found.add_classes(folders, &mut left_out)?,
        }
        if found.classes.is_empty() {
            let problem = "expected a folder of pictures for each class, found none";
            return Err(Error::data(root, "", problem));
        }
        found.left_out = left_out.to_string();
        Ok(found)
    }

    /// Adds the pictures of the classes in `folders`. Of all but the first split, these have to be
    /// known already.
    fn add_classes(&mut self, folders: Vec<PathBuf>, left_out: &mut LeftOut) -> Result<()> {
        let is_first = self.classes.is_empty();
        for folder in folders {
            let (name, before) = (name(&folder), self.files.len());
            walk(&folder, 0, &mut self.files, left_out)?;
            if self.files.len() == before && is_first {
                let problem = match left_out.to_string() {
                    other if other.is_empty() => "found none".to_owned(),
                    other => format!("found none; what is there so far: {other}"),
                };
                return Err(Error::data(folder, "", format!("expected pictures, {problem}")));
            }
            let known = self.classes.iter().position(|class| *class == name);
            let label = match known {
                Some(label) => label,
                None if is_first => {
                    self.classes.push(name);
                    self.classes.len() - 1
                }
                None => {
                    let problem = format!(
                        "expected a class of the training pictures, such as {}, found {name:?}",
                        self.classes[0]
                    );
                    return Err(Error::data(folder, "", problem));
                }
            };
            self.labels.resize(self.files.len(), label);
        }
        Ok(())
    }
}

/// The pictures of a folder and of the folders in it, as those of a class; and what else is there, by
/// ending and count, such as `3 .txt, 1 hidden`.
///
/// # Errors
/// If a folder cannot be read.
pub fn image_files(folder: impl AsRef<Path>) -> Result<(Vec<PathBuf>, String)> {
    let (mut files, mut left_out) = (vec![], LeftOut::default());
    walk(folder.as_ref(), 0, &mut files, &mut left_out)?;
    Ok((files, left_out.to_string()))
}

/// The folders of the splits among `folders`, in the order training, validation, test, if data is
/// divided by them: a class may be called `train`, too, but it does not hold folders alone beside
/// one called `val` or `test`.
fn divided(folders: &[PathBuf]) -> Result<Option<Vec<(Split, PathBuf)>>> {
    let mut divided = Vec::new();
    for folder in folders {
        let Some(split) = Split::named(&name(folder)) else { continue };
        let mut ignored = LeftOut::default();
        if !self::folders(folder, &mut ignored)?.is_empty() && ignored.pictures == 0 {
            divided.push((split, folder.clone()));
        }
    }
    divided.sort();
    let trains = divided.first().is_some_and(|(split, _)| *split == Split::Training);
    Ok((trains && (divided.len() > 1 || folders.len() == 1)).then_some(divided))
}

/// The folders in `folder` that may hold samples, by name; all else in it is left out.
fn folders(folder: &Path, left_out: &mut LeftOut) -> Result<Vec<PathBuf>> {
    let (mut folders, files) = entries(folder, left_out)?;
    files.iter().for_each(|file| left_out.file(file));
    folders.sort();
    Ok(folders)
}

/// The pictures in `folder` and below it: those in a folder before those in the ones that it holds.
fn walk(
    folder: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    left_out: &mut LeftOut,
) -> Result<()> {
    const DEEPEST: usize = 40;
    if depth > DEEPEST {
        let problem =
            format!("expected at most {DEEPEST} folders in each other; a link to itself?");
        return Err(Error::data(folder, "", problem));
    }
    let (mut folders, mut found) = entries(folder, left_out)?;
    found.sort();
    for file in found {
        if is_named_as_one(&file) {
            files.push(file);
        } else {
            left_out.file(&file);
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| walk(folder, depth + 1, files, left_out))
}

/// Folders and files in a folder; hidden ones, and what an archive of a Mac leaves, are left out.
fn entries(folder: &Path, left_out: &mut LeftOut) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut folders, mut files) = (vec![], vec![]);
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let name = name(&path);
        match path.is_dir() {
            _ if name.starts_with('.') => *left_out.kinds.entry("hidden".into()).or_default() += 1,
            true if name == "__MACOSX" => left_out.folder(&path),
            true => folders.push(path),
            false => files.push(path),
        }
    }
    Ok((folders, files))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What was found and is no sample.
#[derive(Default)]
struct LeftOut {
    /// Endings of names, and how many files have them.
    kinds: BTreeMap<String, usize>,
    folders: Vec<String>,
    /// Files among them that are pictures, but lie where there is no class.
    pictures: usize,
}

impl LeftOut {
    fn file(&mut self, path: &Path) {
        self.pictures += usize::from(is_named_as_one(path));
        let kind = match path.extension() {
            Some(ending) => format!(".{}", ending.to_string_lossy().to_ascii_lowercase()),
            None => "without an ending".to_owned(),
        };
        *self.kinds.entry(kind).or_default() += 1;
    }

    fn folder(&mut self, path: &Path) {
        self.folders.push(format!("the folder {}", name(path)));
    }
}

/// `3 .txt, 1 hidden, the folder __MACOSX`
impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counted = self.kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
        f.write_str(&counted.chain(self.folders.iter().cloned()).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Channels, Dataset, Transform};
    use ::image::{Rgb, RgbImage};

    /// A folder of these files: pictures by their names, or empty.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (at, name) in names.iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if is_named_as_one(&path) && !name.contains("/.") {
                let (width, height) = (2 + at as u32 % 2, 2);
                RgbImage::from_pixel(width, height, Rgb([at as u8; 3])).save(path).unwrap();
            } else {
                std::fs::write(path, "").unwrap();
            }
        }
        folder
    }

    fn open(folder: &tempfile::TempDir) -> Result<Pictures> {
        Pictures::folder(folder.path(), Reading::upright(Channels::Rgb))
    }

    fn files(pictures: &Pictures) -> Vec<String> {
        let bare = |file: &PathBuf| {
            file.strip_prefix(&pictures.root).unwrap().to_str().unwrap().replace('\\', "/")
        };
        pictures.files.iter().map(bare).collect()
    }

    #[test]
    fn folders_are_walked_as_in_torchvision() {
        let names =
            ["b/2.png", "b/1.jpg", "a/x.PNG", "a/deep/er/y.webp", "a/deep/w.bmp", "b/z.gif"];
        let folder = folder(&names);
        let images = open(&folder).unwrap();
        assert_eq!(images.classes(), ["a", "b"]);
        assert_eq!(images.labels(), [0, 0, 0, 1, 1, 1]);
        // [os.path.relpath(p, root) for p, _ in torchvision.datasets.ImageFolder(root).samples],
        // but for the GIF, which torchvision passes over.
        let expected =
            ["a/x.PNG", "a/deep/w.bmp", "a/deep/er/y.webp", "b/1.jpg", "b/2.png", "b/z.gif"];
        assert_eq!(files(&images), expected);
        assert_eq!(images.left_out(), "");
        assert!(images.splits().is_empty());
    }

    #[test]
    fn what_is_left_out_is_counted_and_named() {
        let folder = folder(&[
            "a/1.png",
            "a/notes.txt",
            "a/deep/more.TXT",
            "a/.hidden.png",
            "README",
            "top.jpg",
            "__MACOSX/a/._1.png",
            ".git/config",
        ]);
        let images = open(&folder).unwrap();
        assert_eq!(files(&images), ["a/1.png"]);
        let expected = "1 .jpg, 2 .txt, 2 hidden, 1 without an ending, the folder __MACOSX";
        assert_eq!(images.left_out(), expected);
    }

    #[test]
    fn train_val_and_test_are_taken_as_splits() {
        let folder = folder(&[
            "train/a/1.png",
            "train/b/2.png",
            "val/a/3.png",
            "val/b/4.png",
            "Test/b/5.png",
            "docs/x.png",
        ]);
        let images = open(&folder).unwrap();
        assert_eq!(images.classes(), ["a", "b"]);
        assert_eq!(images.labels(), [0, 1, 0, 1, 1]);
        use Split::{Test, Training, Validation};
        assert_eq!(images.splits(), [Training, Training, Validation, Validation, Test]);
        assert_eq!(images.left_out(), "the folder docs");
        // Of classes that are only called so, nothing is divided.
        let vehicles = self::folder(&["train/1.png", "test/2.png", "bus/3.png"]);
        assert_eq!(open(&vehicles).unwrap().classes(), ["bus", "test", "train"]);
        let unknown = self::folder(&["train/a/1.png", "val/c/1.png"]);
        let text = open(&unknown).unwrap_err().to_string();
        assert!(
            text.ends_with("expected a class of the training pictures, such as a, found \"c\"")
        );
    }

    #[test]
    fn images_of_all_sizes_load_together_once_resized() {
        let folder = folder(&["a/1.png", "b/2.png"]);
        let images = open(&folder).unwrap();
        let loaded = images.load(&[Transform::Resize(5, 6)], 0).unwrap();
        assert_eq!(loaded.shape(), [3, 5, 6]);
        let text = images.load(&[], 0).unwrap_err().to_string();
        assert!(text.contains("sample 1: expected an image of shape [3, 2, 2]"), "{text}");
        assert!(images.image(2).is_err());
    }

    #[test]
    fn folders_without_pictures_are_errors() {
        let empty = folder(&[]);
        let text = open(&empty).unwrap_err().to_string();
        assert!(
            text.ends_with("expected a folder of pictures for each class, found none"),
            "{text}"
        );
        let text = open(&folder(&["cats/a.txt"])).unwrap_err().to_string();
        let end = "cats: expected pictures, found none; what is there so far: 1 .txt";
        assert!(text.ends_with(end), "{text}");
        let nowhere = Pictures::folder("nowhere", Reading::upright(Channels::Rgb));
        assert!(nowhere.is_err());
    }
}
