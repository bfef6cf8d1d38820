//! What a reader of annotations finds in one file, before the pictures are looked for.

use super::{Point, Region};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// The points of one file.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub names: Vec<String>,
    pub pictures: Vec<Marked>,
    /// Pairs of points with a line between them.
    pub skeleton: Vec<[usize; 2]>,
}

/// One picture of a file, or one box in it.
#[derive(Debug)]
pub(super) struct Marked {
    pub picture: Named,
    /// Where the file says it, such as a line.
    pub place: String,
    pub points: Vec<Option<Point>>,
    pub region: Option<Region>,
}

/// Which picture is meant.
#[derive(Debug, PartialEq)]
pub(super) enum Named {
    /// The one of this name.
    As(String),
    /// The one beside the file, whose name differs in its ending alone.
    Beside,
}

/// Names of points that are found one after the other.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Names {
    /// The number of a name, which may be a new one.
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    /// All of them.
    pub fn all(self) -> Vec<String> {
        self.names
    }
}

/// Pixels that a coordinate or a side may have, at most.
const LARGEST: f64 = 1e6;

/// Points of one file, at most: more is a damaged file.
pub(super) const MOST_POINTS: usize = 10_000;

/// Names that are numbers from 0.
pub(super) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// A coordinate or length in pixels; `None` where it is missing: an empty cell, or no number.
///
/// # Errors
/// What is wrong with another text.
pub(super) fn coordinate(text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) => checked(value),
        Err(_) => Err(format!("expected a coordinate, found {text:?}")),
    }
}

/// A coordinate that may be NaN for none.
///
/// # Errors
/// If it is too large to be one.
pub(super) fn checked(value: f64) -> Result<Option<f64>, String> {
    match value {
        _ if value.is_nan() => Ok(None),
        _ if value.abs() <= LARGEST => Ok(Some(value)),
        _ => Err(format!("expected a coordinate of up to {LARGEST} pixels, found {value}")),
    }
}

/// A point of two coordinates, of which one alone says nothing.
///
/// # Errors
/// If one of them is missing.
pub(super) fn point(x: Option<f64>, y: Option<f64>) -> Result<Option<Point>, String> {
    match (x, y) {
        (Some(x), Some(y)) => Ok(Some([x, y])),
        (None, None) => Ok(None),
        (Some(_), None) => Err("expected two coordinates, found x without y".to_owned()),
        (None, Some(_)) => Err("expected two coordinates, found y without x".to_owned()),
    }
}

/// A box; `None` if it is smaller than a pixel, as where a file has a box of zeros for none.
///
/// # Errors
/// If it is too large to be one.
pub(super) fn region(region: Region) -> Result<Option<Region>, String> {
    if region.centre.iter().chain(&region.sides).any(|value| value.abs() > LARGEST) {
        return Err(format!("expected a box of up to {LARGEST} pixels, found {region:?}"));
    }
    Ok(Some(region).filter(|region| region.sides.iter().all(|side| *side >= 1.0)))
}

/// Whether a row has so many cells.
///
/// # Errors
/// If it has fewer: a file that was cut off should not be read as one of missing points.
pub(super) fn at_least(row: &csv::StringRecord, cells: usize) -> Result<(), String> {
    match row.len() {
        found if found < cells => Err(format!("expected {cells} cells, found {found}")),
        _ => Ok(()),
    }
}

/// The rows of a CSV file of any length, with their lines.
///
/// # Errors
/// If one of them is no CSV.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
) -> impl Iterator<Item = Result<(String, csv::StringRecord)>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.into_records().map(move |row| {
        let row = row.map_err(|error| Error::data(path, "", error.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        Ok((format!("line {line}"), row))
    })
}
