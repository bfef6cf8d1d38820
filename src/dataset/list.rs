//! Lists of pictures and their classes: CSV and TSV files.

use super::picture::Reading;
use super::{Pictures, Split, bytes};
use crate::{Error, Result};
use csv::StringRecord;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the columns of a list may be called.
const FILE: [&str; 6] = ["file", "path", "filename", "image", "file_name", "image_path"];
const CLASS: [&str; 4] = ["class", "label", "class_name", "category"];
const SPLIT: [&str; 4] = ["split", "set", "part", "subset"];

/// Where a list says what.
struct Columns {
    file: usize,
    class: usize,
    split: Option<usize>,
    /// A column for each split, in which its samples have a mark.
    marks: Vec<(Split, usize)>,
}

impl Columns {
    /// The columns that a first row names; without names, the file, its class, and what it is for.
    fn of(header: &StringRecord) -> (Self, bool) {
        let is = |at: usize, names: &[&str]| {
            header.get(at).is_some_and(|name| names.contains(&name.trim().to_lowercase().as_str()))
        };
        let find = |names: &[&str]| (0..header.len()).find(|&at| is(at, names));
        let marks = |at: usize| Some((Split::named(header.get(at)?.trim())?, at));
        match (find(&FILE), find(&CLASS)) {
            (Some(file), Some(class)) => {
                let marks = (0..header.len()).filter_map(marks).collect();
                (Self { file, class, split: find(&SPLIT), marks }, true)
            }
            _ => {
                let split = (header.len() > 2).then_some(2);
                (Self { file: 0, class: 1, split, marks: vec![] }, false)
            }
        }
    }
}

impl Pictures {
    /// The pictures that a CSV or TSV file lists, a row each: its file, relative to the list's
    /// folder, its class, and what it is for, if there is a column `split`, or columns `train`,
    /// `val` and `test` of which one has a 1. A first row may name the columns, in any order.
    ///
    /// Classes are in the order of their names, or of their numbers if all are numbers.
    ///
    /// # Errors
    /// If the list cannot be read, holds no row, or a row lacks something or says what is not known.
    pub fn list(path: impl AsRef<Path>, reading: Reading) -> Result<Self> {
        let path = path.as_ref();
        let content = bytes::read(path)?;
        let first = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let delimiter = if first.contains(&b'\t') { b'\t' } else { b',' };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(&content[..]);
        let mut rows = Vec::new();
        let mut columns = None;
        for row in reader.records() {
            let row = row.map_err(|error| Error::data(path, "", error.to_string()))?;
            let line = row.position().map_or(0, csv::Position::line);
            let columns = match &columns {
                Some(columns) => columns,
                None => {
                    let (found, is_named) = Columns::of(&row);
                    let columns = &*columns.insert(found);
                    if is_named {
                        continue;
                    }
                    columns
                }
            };
            let row = sample(&row, columns)
                .map_err(|problem| Error::data(path, format!("line {line}"), problem))?;
            rows.push(row);
        }
        let is_divided = columns.is_some_and(|c| c.split.is_some() || !c.marks.is_empty());
        let folder = path.parent().unwrap_or(Path::new(""));
        let rows = rows.into_iter().map(|(file, class, split)| (folder.join(file), class, split));
        Self::labelled(path, rows.collect(), is_divided, reading)
    }

    /// Files with the names of their classes, and what they are for.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn labelled(
        root: &Path,
        rows: Vec<(PathBuf, String, Split)>,
        is_divided: bool,
        reading: Reading,
    ) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::data(root, "", "expected a picture in each row, found no row"));
        }
        // Numbers in their order, names behind them in theirs.
        let key = |name: &str| (name.parse::<u64>().unwrap_or(u64::MAX), name.to_owned());
        let names: BTreeMap<_, _> = rows.iter().map(|(_, class, _)| (key(class), ())).collect();
        let classes: Vec<String> = names.into_keys().map(|(_, name)| name).collect();
        let number: BTreeMap<&str, usize> =
            classes.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let labels = rows.iter().map(|(_, class, _)| number[class.as_str()]).collect();
        let splits = rows.iter().map(|(.., split)| *split).filter(|_| is_divided).collect();
        let files = rows.into_iter().map(|(file, ..)| file).collect();
        let (root, left_out) = (root.to_path_buf(), String::new());
        Ok(Self { root, files, labels, classes, splits, left_out, reading })
    }
}

/// The file, the class and the split of a row, or what is wrong with it.
fn sample(row: &StringRecord, columns: &Columns) -> Result<(String, String, Split), String> {
    let cell = |at: usize, what: &str| {
        let cell = row.get(at).map(str::trim).filter(|cell| !cell.is_empty());
        cell.ok_or_else(|| format!("expected {what} in column {}, found nothing", at + 1))
    };
    let (file, class) = (cell(columns.file, "a file")?, cell(columns.class, "a class")?);
    let marked = |at: usize| {
        let mark = row.get(at).unwrap_or_default().trim();
        !["", "0", "0.0"].contains(&mark) && !mark.eq_ignore_ascii_case("false")
    };
    let split = match columns.split {
        Some(at) => {
            let name = cell(at, "train, val or test")?;
            Split::named(name).ok_or_else(|| {
                format!("expected train, val or test in column {}, found {name:?}", at + 1)
            })?
        }
        None if columns.marks.is_empty() => Split::Training,
        None => {
            let mut marks = columns.marks.iter().filter(|(_, at)| marked(*at));
            match (marks.next(), marks.next()) {
                (Some((split, _)), None) => *split,
                _ => return Err("expected a mark in one column of the splits".to_owned()),
            }
        }
    };
    Ok((file.to_owned(), class.to_owned(), split))
}

/// Whether a file of text is such a list, by its first row: other tables have numbers alone.
pub fn is_list(path: &Path) -> Result<bool> {
    let content = bytes::read(path)?;
    let first = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut cells = first.split(|byte| [b',', b'\t'].contains(byte));
    Ok(cells.any(|cell| String::from_utf8_lossy(cell).trim().parse::<f64>().is_err()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Channels, Dataset};

    fn list(name: &str, content: &str) -> Result<Pictures, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let found = Pictures::list(&path, Reading::upright(Channels::Rgb));
        let mut found = found.map_err(|error| error.to_string())?;
        let bare = |file: &PathBuf| file.strip_prefix(folder.path()).unwrap().to_path_buf();
        found.files = found.files.iter().map(bare).collect();
        Ok(found)
    }

    #[test]
    fn a_list_with_names_has_its_columns_in_any_order() {
        let found = list(
            "a.csv",
            "label,split,path\ncat,train,\"x/1,5.jpg\"\ndog,val,2.png\ncat,TEST,3.png\n",
        );
        let found = found.unwrap();
        assert_eq!(found.files, [Path::new("x/1,5.jpg"), Path::new("2.png"), Path::new("3.png")]);
        assert_eq!(
            (found.classes(), found.labels()),
            (&["cat", "dog"].map(String::from)[..], &[0, 1, 0][..])
        );
        assert_eq!(found.splits(), [Split::Training, Split::Validation, Split::Test]);
    }

    #[test]
    fn a_list_without_names_has_files_and_classes() {
        let found = list("a.tsv", "1.jpg\t10\n2.jpg\t9\n").unwrap();
        assert_eq!(
            (found.classes(), found.labels()),
            (&["9", "10"].map(String::from)[..], &[1, 0][..])
        );
        assert!(found.splits().is_empty());
    }

    #[test]
    fn splits_may_have_a_column_each() {
        let found = list("a.csv", "file,class,train,test\n1,a,1,0\n2,a,,x\n").unwrap();
        assert_eq!(found.splits(), [Split::Training, Split::Test]);
        let text = list("a.csv", "file,class,train,test\n1,a,1,1\n").unwrap_err();
        assert!(text.ends_with("line 2: expected a mark in one column of the splits"), "{text}");
    }

    #[test]
    fn a_row_that_says_nothing_is_named() {
        let text = list("a.csv", "1.jpg,a\n2.jpg\n").unwrap_err();
        assert!(text.ends_with("line 2: expected a class in column 2, found nothing"), "{text}");
        let text = list("a.csv", "1.jpg,a,train\n2.jpg,a,holdout\n").unwrap_err();
        assert!(text.contains("line 2: expected train, val or test in column 3"), "{text}");
        assert!(list("a.csv", "path,class\n").is_err());
    }
}
