//! What kind of data lies at a path.

use super::Purpose;
use crate::dataset::{Published, cifar, is_list};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The kinds of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A CSV file of UCI's digits.
    Digits(PathBuf),
    /// A folder of pictures for each class.
    Folder(PathBuf),
    /// A CSV or TSV file that lists pictures.
    List(PathBuf),
    /// Pictures as a data set was published.
    Published(Published),
    /// CIFAR-10 or CIFAR-100.
    Cifar(cifar::Files),
    /// MNIST: images and labels.
    Idx(PathBuf, PathBuf),
    /// A folder with `0.json` to `9.json`.
    Json(PathBuf),
}

const KINDS: &str = "a folder with a folder of pictures for each class, a .csv or .tsv that lists \
                     pictures and classes, COCO-70, FGVC Aircraft, MIT Indoor Scenes or \
                     Stanford Cars as they are published, the digits of UCI as .csv or .csv.gz, CIFAR in binary, or \
                     MNIST as IDX files or as 0.json to 9.json";

/// What kind of data is at `path`.
pub(super) fn kind(path: &Path, purpose: Purpose) -> Result<Kind> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if metadata.is_file() {
        if name.contains("images-idx3") || name.contains("images.idx3") {
            return with_labels(path).map(|labels| Kind::Idx(path.to_path_buf(), labels));
        }
        let bare = name.strip_suffix(".gz").unwrap_or(&name);
        if bare.ends_with(".csv") || bare.ends_with(".tsv") {
            let is_list = bare.ends_with(".tsv") || is_list(path)?;
            let kind = if is_list { Kind::List } else { Kind::Digits };
            return Ok(kind(path.to_path_buf()));
        }
        let problem = format!("expected {KINDS}; found a file of another name");
        return Err(Error::data(path, "", problem));
    }
    if path.join("0.json").is_file() {
        return Ok(Kind::Json(path.to_path_buf()));
    }
    if let Some(files) = cifar::Files::find(path) {
        return Ok(Kind::Cifar(files));
    }
    if let Some(published) = Published::find(path) {
        return Ok(Kind::Published(published));
    }
    let (mut images, mut folders) = (vec![], 0);
    for entry in std::fs::read_dir(path).map_err(Error::io("read", path))? {
        let entry = entry.map_err(Error::io("read", path))?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.contains("images-idx3") || name.contains("images.idx3") {
            images.push(entry);
        } else if entry.is_dir() && !name.starts_with('.') {
            folders += 1;
        }
    }
    images.sort();
    let preferred = if purpose == Purpose::Training { "train" } else { "t10k" };
    let is_preferred = |path: &&PathBuf| {
        path.file_name().unwrap_or_default().to_string_lossy().starts_with(preferred)
    };
    match (&images[..], folders) {
        ([], 0) => {
            Err(Error::data(path, "", format!("expected {KINDS}; found a folder without them")))
        }
        ([], _) => Ok(Kind::Folder(path.to_path_buf())),
        (images, _) => {
            let chosen = images.iter().find(is_preferred).unwrap_or(&images[0]);
            with_labels(chosen).map(|labels| Kind::Idx(chosen.clone(), labels))
        }
    }
}

/// The file of labels beside a file of images, packed or not.
fn with_labels(images: &Path) -> Result<PathBuf> {
    let name = images.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.replace("images", "labels").replace("idx3", "idx1");
    let bare = name.strip_suffix(".gz").unwrap_or(&name).to_owned();
    let candidates = [name, bare.clone(), format!("{bare}.gz")];
    let mut candidates = candidates.iter().map(|name| images.with_file_name(name));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        Error::data(images, "", format!("expected the labels beside it, as {bare} or {bare}.gz"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Kinds of a folder in which these files and folders (with a slash at the end) are.
    fn kinds(names: &[&str]) -> [Result<Kind, String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            if name.ends_with('/') { fs::create_dir(path) } else { fs::write(path, "") }.unwrap();
        }
        [Purpose::Training, Purpose::Testing].map(|purpose| {
            kind(folder.path(), purpose).map_err(|error| error.to_string()).map(|kind| {
                let bare = |path: &Path| {
                    path.strip_prefix(folder.path()).map(Path::to_path_buf).unwrap_or_default()
                };
                match kind {
                    Kind::Idx(images, labels) => Kind::Idx(bare(&images), bare(&labels)),
                    Kind::Json(path) => Kind::Json(bare(&path)),
                    Kind::Folder(path) => Kind::Folder(bare(&path)),
                    Kind::Digits(path) => Kind::Digits(bare(&path)),
                    other => other,
                }
            })
        })
    }

    #[test]
    fn data_is_known_by_what_is_there() {
        let [training, testing] = kinds(&[
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte.gz",
        ]);
        let pair = |a: &str, b: &str| Ok(Kind::Idx(a.into(), b.into()));
        assert_eq!(training, pair("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"));
        assert_eq!(testing, pair("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"));
        assert_eq!(kinds(&["0.json", "1.json"])[0], Ok(Kind::Json("".into())));
        assert_eq!(kinds(&["cat/", "README.md"])[1], Ok(Kind::Folder("".into())));
        for names in [&[][..], &["README.md"], &[".git/"]] {
            let [problem, _] = kinds(names);
            assert!(problem.unwrap_err().contains("found a folder without them"));
        }
        let [problem, _] = kinds(&["train-images-idx3-ubyte"]);
        assert!(problem.unwrap_err().contains("train-labels-idx1-ubyte.gz"));
    }

    #[test]
    fn a_table_of_numbers_is_digits_and_any_other_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let found = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            kind(&path, Purpose::Training).unwrap()
        };
        assert!(matches!(found("a.csv", "0,1,2\n"), Kind::Digits(_)));
        assert!(matches!(found("a.csv", "1.png,2\n"), Kind::List(_)));
        assert!(matches!(found("a.tsv", ""), Kind::List(_)));
    }
}
