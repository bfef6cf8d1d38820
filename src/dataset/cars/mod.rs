//! Stanford Cars (Krause et al., 2013), by the annotations that it is published with.
//!
//! | at the root | pictures | a struct of `annotations` |
//! |---|---|---|
//! | `cars_annos.mat` | `car_ims/` | `relative_im_path`, `class`, `test` (0 or 1), a box |
//! | `devkit/cars_train_annos.mat` | `cars_train/` | `fname`, `class`, a box |
//! | `cars_test_annos_withlabels.mat`, also in `devkit/` | `cars_test/` | the same |
//!
//! The names of the classes are the cells `class_names` of `cars_annos.mat` or `devkit/cars_meta.mat`; class 1
//! is the first. The boxes are not read: the published results are of whole pictures.

#[cfg(test)]
mod tests;

use super::Pictures;
use super::mat::{Array, Variables};
use super::picture::Reading;
use super::split::Split;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const WHOLE: &str = "cars_annos.mat";
const TRAIN: &str = "devkit/cars_train_annos.mat";
/// The last is published without classes, but some have replaced it.
const TEST: [&str; 3] = [
    "cars_test_annos_withlabels.mat",
    "devkit/cars_test_annos_withlabels.mat",
    "devkit/cars_test_annos.mat",
];
const NAMES: &str = "devkit/cars_meta.mat";

const HAS_CLASSES: &str = "the test pictures' classes are in cars_test_annos_withlabels.mat, which is \
                           published beside the devkit: put it into the data set's folder";

/// Whether the annotations lie in `folder`.
pub(super) fn are_in(folder: &Path) -> bool {
    [WHOLE, TRAIN].iter().any(|name| folder.join(name).is_file())
}

/// The pictures below `root`, divided as published; none is opened yet.
///
/// Classes are in the order of their numbers, with the published names, or with the numbers where
/// `devkit/cars_meta.mat` is not there.
///
/// # Errors
/// If annotations or a folder of pictures are missing, a file is damaged or no MAT-file of level 5, or a
/// struct has not the fields that it needs.
pub(super) fn pictures(root: &Path, reading: Reading) -> Result<Pictures> {
    let (whole, train) = (root.join(WHOLE), root.join(TRAIN));
    // Where both are, the pictures say which was meant.
    let is_whole = whole.is_file() && (root.join("car_ims").is_dir() || !train.is_file());
    let (rows, names) = if is_whole {
        let variables = Variables::read(&whole, &["annotations", "class_names"])?;
        let names = names(&whole, &variables)?;
        let rows = rows(&whole, &variables, "relative_im_path", Some(names.len()), |path, row| {
            let split = match row.number("test")? {
                0.0 => Split::Training,
                1.0 => Split::Test,
                found => return Err(format!("expected 0 or 1 in the field test, found {found}")),
            };
            Ok((root.join(path), split))
        })?;
        (rows, Some(names))
    } else {
        let path = root.join(NAMES);
        let names = match path.is_file() {
            true => Some(names(&path, &Variables::read(&path, &["class_names"])?)?),
            false => None,
        };
        let classes = names.as_ref().map(Vec::len);
        let test = TEST.map(|name| root.join(name)).into_iter().find(|file| file.is_file());
        let test = test.ok_or_else(|| {
            let problem = format!("expected {}, found none; {HAS_CLASSES}", TEST[0]);
            Error::data(root, "", problem)
        })?;
        let mut rows = Vec::new();
        for (split, file, folder) in
            [(Split::Training, &train, "cars_train"), (Split::Test, &test, "cars_test")]
        {
            let variables = Variables::read(file, &["annotations"])?;
            rows.extend(self::rows(file, &variables, "fname", classes, |path, _| {
                Ok((root.join(folder).join(path), split))
            })?);
        }
        (rows, names)
    };
    match names {
        Some(classes) => Ok(Pictures {
            root: root.to_path_buf(),
            labels: rows.iter().map(|(_, class, _)| class - 1).collect(),
            splits: rows.iter().map(|(.., split)| *split).collect(),
            files: rows.into_iter().map(|(file, ..)| file).collect(),
            classes,
            left_out: String::new(),
            reading,
        }),
        None => {
            let rows =
                rows.into_iter().map(|(file, class, split)| (file, class.to_string(), split));
            Pictures::labelled(root, rows.collect(), true, reading)
        }
    }
}

/// The names of the classes, of which none may be there twice.
fn names(file: &Path, variables: &Variables) -> Result<Vec<String>> {
    let refuse = |problem: String| Error::data(file, "variable class_names", problem);
    let cells = match variables.expect("class_names").map_err(refuse)? {
        Array::Cells(cells) if !cells.is_empty() => cells,
        other => return Err(refuse(format!("expected a cell for each class, found {other}"))),
    };
    let mut known = BTreeSet::new();
    let name = |(at, cell): (usize, &Array)| match cell {
        Array::Text(name) if !name.is_empty() && known.insert(name.clone()) => Ok(name.clone()),
        other => {
            let problem = format!("expected a name that no other class has, found {other}");
            Err(refuse(format!("cell {}: {problem}", at + 1)))
        }
    };
    cells.iter().enumerate().map(name).collect()
}

/// What a struct says of a picture.
struct Row<'a> {
    fields: &'a [String],
    values: &'a [Array],
}

impl Row<'_> {
    fn value(&self, name: &str) -> Result<&Array, String> {
        let at = self.fields.iter().position(|field| field == name);
        at.and_then(|at| self.values.get(at)).ok_or_else(|| {
            format!("expected the field {name}, found the fields {}", self.fields.join(", "))
        })
    }

    fn number(&self, name: &str) -> Result<f64, String> {
        match self.value(name)? {
            Array::Numbers(values) if values.len() == 1 => Ok(values[0]),
            other => Err(format!("expected a number in the field {name}, found {other}")),
        }
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        match self.value(name)? {
            Array::Text(text) if !text.is_empty() => Ok(text),
            other => Err(format!("expected text in the field {name}, found {other}")),
        }
    }
}

/// The pictures of a file, with their classes from 1: each of a file whose name is in the field `picture`,
/// and that `place` makes a path and a purpose of.
fn rows(
    file: &Path,
    variables: &Variables,
    picture: &str,
    classes: Option<usize>,
    place: impl Fn(&str, &Row) -> Result<(PathBuf, Split), String>,
) -> Result<Vec<(PathBuf, usize, Split)>> {
    let refuse = |problem: String| Error::data(file, "", problem);
    let (fields, values) = match variables.expect("annotations").map_err(refuse)? {
        Array::Structs { fields, values } if !values.is_empty() => (fields, values),
        other => {
            let problem = format!("expected a struct for each picture, found {other}");
            return Err(Error::data(file, "variable annotations", problem));
        }
    };
    if file.ends_with(TEST[2]) && fields.iter().all(|field| field != "class") {
        let fields = fields.join(", ");
        let problem = format!("expected the field class, found the fields {fields}; {HAS_CLASSES}");
        return Err(refuse(problem));
    }
    let most = classes.unwrap_or(u32::MAX as usize);
    let row = |row: Row| {
        let class = row.number("class")?;
        if class.fract() != 0.0 || !(1.0..=most as f64).contains(&class) {
            return Err(format!("expected a class from 1 to {most}, found {class}"));
        }
        let (path, split) = place(row.text(picture)?, &row)?;
        Ok((path, class as usize, split))
    };
    let rows = values.chunks_exact(fields.len()).enumerate().map(|(at, values)| {
        row(Row { fields, values })
            .map_err(|problem| Error::data(file, format!("annotation {}", at + 1), problem))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    // A folder that is missing is one fault, and not one of each of its pictures.
    let mut folders = BTreeSet::new();
    for (path, ..) in &rows {
        let folder = path.parent().unwrap_or(Path::new(""));
        if folders.insert(folder) && !folder.is_dir() {
            let (name, annotations) = (path.file_name().unwrap_or_default(), file.display());
            let problem = format!(
                "expected the folder of the pictures of {annotations}, such as {}, found none",
                name.display()
            );
            return Err(Error::data(folder, "", problem));
        }
    }
    Ok(rows)
}
