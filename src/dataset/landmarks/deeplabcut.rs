//! The CSV of DeepLabCut and Lightning Pose: labels with a header of several rows.
//!
//! ```text
//! scorer,ann,ann,ann,ann
//! bodyparts,nose,nose,tail,tail
//! coords,x,y,x,y
//! labeled-data/mouse/img00.png,12.5,40,,
//! ```
//!
//! The name of a picture is in the columns before the first x: one, or `labeled-data`, the video and
//! the file in three. An empty cell is a missing point.

use super::marks::{MOST_POINTS, Marked, Marks, Named, at_least, coordinate, point, rows};
use crate::{Error, Result};
use csv::StringRecord;
use std::path::Path;

/// Whether a first row is of such a file.
pub(super) fn is_header(row: &str) -> bool {
    row.split(',').next().is_some_and(|cell| cell.trim() == "scorer")
}

struct Columns {
    /// Those before the first x.
    of_name: usize,
    names: Vec<String>,
    /// Of each point, those of x and y.
    places: Vec<[usize; 2]>,
}

impl Columns {
    /// From the rows `bodyparts` and `coords`.
    fn of(parts: &StringRecord, coordinates: &StringRecord) -> Result<Self, String> {
        let is = |at: usize, name: &str| coordinates.get(at).is_some_and(|c| c.trim() == name);
        let of_name = (0..coordinates.len()).find(|&at| is(at, "x"));
        let of_name = of_name.filter(|count| *count > 0).ok_or_else(|| {
            "expected the names of pictures and then a column x, found none".to_owned()
        })?;
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for x in (of_name..coordinates.len()).filter(|&at| is(at, "x")) {
            let name = parts.get(x).unwrap_or_default().trim();
            let y = x + 1;
            if !is(y, "y") || parts.get(y).map(str::trim) != Some(name) {
                let column = x + 2;
                return Err(format!("expected y of {name:?} in column {column}, found another"));
            }
            if name.is_empty() || names.iter().any(|known| known == name) {
                return Err(format!(
                    "expected a name for each point, found {name:?} twice or empty"
                ));
            }
            if names.len() == MOST_POINTS {
                return Err(format!("expected {MOST_POINTS} points at most, found more"));
            }
            names.push(name.to_owned());
            places.push([x, y]);
        }
        Ok(Self { of_name, names, places })
    }

    fn marked(&self, row: &StringRecord, place: &str) -> Result<Marked, String> {
        let parts: Vec<&str> =
            row.iter().take(self.of_name).map(str::trim).filter(|cell| !cell.is_empty()).collect();
        if parts.is_empty() {
            return Err("expected the name of a picture, found nothing".to_owned());
        }
        at_least(row, self.places.iter().flatten().max().map_or(0, |last| last + 1))?;
        let number = |at: usize| coordinate(row.get(at).unwrap_or_default());
        let points: Result<Vec<_>, String> =
            self.places.iter().map(|&[x, y]| point(number(x)?, number(y)?)).collect();
        // Written on Windows, names have the other slash.
        let picture = Named::As(parts.join("/").replace('\\', "/"));
        Ok(Marked { picture, place: place.to_owned(), points: points?, region: None })
    }
}

/// Reads such a file.
///
/// # Errors
/// If its header is another, it is of several animals, or a row lacks something.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Marks> {
    let mut parts: Option<StringRecord> = None;
    let mut columns: Option<Columns> = None;
    let mut pictures = Vec::new();
    for row in rows(path, bytes) {
        let (place, row) = row?;
        let refuse = |problem| Error::data(path, &place, problem);
        let first = row.get(0).unwrap_or_default().trim();
        match (&columns, &parts, first) {
            (Some(columns), ..) => pictures.push(columns.marked(&row, &place).map_err(refuse)?),
            (None, _, "scorer") => {}
            (None, _, "bodyparts") => parts = Some(row),
            (None, Some(parts), "coords") => {
                columns = Some(Columns::of(parts, &row).map_err(refuse)?);
            }
            (None, _, "individuals") => {
                let problem = "expected one animal in each picture, found a row of individuals; \
                               write a file for each of them";
                return Err(refuse(problem.to_owned()));
            }
            _ => {
                let problem =
                    format!("expected the rows scorer, bodyparts and coords, found {first:?}");
                return Err(refuse(problem));
            }
        }
    }
    let names = columns.map_or_else(Vec::new, |columns| columns.names);
    Ok(Marks { names, pictures, skeleton: vec![] })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const FILE: &str = "scorer,a,a,a,a\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n\
                            labeled-data/m/img02.png,12.5,40,,\nlabeled-data/m/img01.png,1,2,3,4\n";

    #[test]
    fn a_picture_has_its_name_and_its_points_theirs() {
        let found = read(Path::new("a.csv"), FILE.as_bytes()).unwrap();
        assert_eq!(found.names, ["nose", "tail"]);
        let [first, second] = &found.pictures[..] else { panic!("two rows") };
        assert_eq!(first.picture, Named::As("labeled-data/m/img02.png".into()));
        assert_eq!(first.points, [Some([12.5, 40.0]), None]);
        assert_eq!(second.points, [Some([1.0, 2.0]), Some([3.0, 4.0])]);
    }

    #[test]
    fn a_name_in_three_columns_and_a_likelihood_are_understood() {
        let text = "scorer,,,a,a,a\nbodyparts,,,nose,nose,nose\ncoords,,,x,y,likelihood\n\
                    labeled-data,m,img1.png,1,2,0.5\n";
        let found = read(Path::new("a.csv"), text.as_bytes()).unwrap();
        assert_eq!(found.pictures[0].picture, Named::As("labeled-data/m/img1.png".into()));
        assert_eq!(
            (found.names, &found.pictures[0].points[..]),
            (vec!["nose".to_owned()], &[Some([1.0, 2.0])][..])
        );
    }

    #[test]
    fn several_animals_are_an_error_that_says_so() {
        let text = FILE.replace("bodyparts", "individuals,m1,m1,m2,m2\nbodyparts");
        let error = read(Path::new("a.csv"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("a.csv, line 2: expected one animal"), "{error}");
    }
}
