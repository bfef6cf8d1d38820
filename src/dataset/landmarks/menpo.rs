//! The files of menpo, one beside each picture: `.pts`, and `.ljson` of its three versions.
//!
//! ```text
//! version: 1
//! n_points: 68
//! {
//! 161.5 247.0
//! ...
//! }
//! ```
//!
//! A `.pts` counts pixels from 1, a `.ljson` from 0, with the row before the column.

use super::Point;
use super::marks::{MOST_POINTS, Marked, Marks, Named, checked, coordinate, numbered, point};
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// Reads a `.pts`.
///
/// # Errors
/// If it is none, or has not the points that it says.
pub(super) fn read_pts(path: &Path, bytes: &[u8]) -> Result<Marks> {
    let text = String::from_utf8_lossy(bytes);
    let (mut said, mut points, mut is_inside) = (None, Vec::new(), false);
    for (at, line) in text.lines().map(str::trim).enumerate() {
        let refuse = |problem| Error::data(path, format!("line {}", at + 1), problem);
        match line {
            "" => {}
            "{" if !is_inside => is_inside = true,
            "}" => break,
            _ if is_inside => {
                if points.len() == MOST_POINTS {
                    return Err(refuse(format!("expected {MOST_POINTS} points at most")));
                }
                points.push(pts_point(line).map_err(refuse)?);
            }
            _ => match line.split_once(':') {
                Some(("n_points", count)) => said = Some(count.trim().to_owned()),
                Some(_) => {}
                None => {
                    return Err(refuse(format!("expected version: 1 or {{, found {line:?}")));
                }
            },
        }
    }
    if let Some(said) = said.filter(|said| *said != points.len().to_string()) {
        let problem = format!("expected {said} points, as n_points says, found {}", points.len());
        return Err(Error::data(path, "", problem));
    }
    Ok(one(points))
}

fn pts_point(line: &str) -> Result<Option<Point>, String> {
    let mut cells = line.split_whitespace();
    match (cells.next(), cells.next()) {
        (Some(x), Some(y)) => {
            let found = point(coordinate(x)?, coordinate(y)?)?;
            // The first pixel is 1 there.
            Ok(found.map(|point| point.map(|v| v - 1.0)))
        }
        _ => Err(format!("expected two coordinates, found {line:?}")),
    }
}

/// The one picture of a file.
fn one(points: Vec<Option<Point>>) -> Marks {
    let names = numbered(points.len());
    let marked = Marked { picture: Named::Beside, place: String::new(), points, region: None };
    Marks { names, pictures: vec![marked], skeleton: vec![] }
}

/// A `.ljson`: of version 3 the landmarks lie in groups, of version 2 at the top; version 1 has a point
/// in a table of its own, in groups that follow each other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ljson {
    Grouped { groups: std::collections::BTreeMap<String, Landmarks> },
    Alone(Landmarks),
    First { groups: Vec<FirstGroup> },
}

#[derive(Deserialize)]
struct Landmarks {
    landmarks: Shape,
}

#[derive(Deserialize)]
struct Shape {
    /// Row and column.
    points: Vec<[Option<f64>; 2]>,
    #[serde(default)]
    connectivity: Option<Vec<[usize; 2]>>,
}

#[derive(Deserialize)]
struct FirstGroup {
    landmarks: Vec<FirstPoint>,
}

#[derive(Deserialize)]
struct FirstPoint {
    point: [Option<f64>; 2],
}

/// Reads a `.ljson`.
///
/// # Errors
/// If it is none.
pub(super) fn read_ljson(path: &Path, bytes: &[u8]) -> Result<Marks> {
    let file: Ljson = serde_json::from_slice(bytes)
        .map_err(|error| Error::data(path, "", format!("expected menpo's landmarks: {error}")))?;
    let (rows, lines) = match file {
        Ljson::Alone(of) => (of.landmarks.points, of.landmarks.connectivity),
        Ljson::Grouped { groups } => match groups.into_values().next() {
            Some(of) => (of.landmarks.points, of.landmarks.connectivity),
            None => (vec![], None),
        },
        Ljson::First { groups } => {
            let points = groups.into_iter().flat_map(|group| group.landmarks);
            (points.map(|of| of.point).collect(), None)
        }
    };
    if rows.is_empty() || rows.len() > MOST_POINTS {
        let problem = format!("expected 1 to {MOST_POINTS} points, found {}", rows.len());
        return Err(Error::data(path, "", problem));
    }
    let of_row = |(at, [y, x]): (usize, &[Option<f64>; 2])| {
        let value = |v: &Option<f64>| v.map_or(Ok(None), checked);
        let found = value(x).and_then(|x| point(x, value(y)?));
        found.map_err(|problem| Error::data(path, format!("point {at}"), problem))
    };
    let points = rows.iter().enumerate().map(of_row).collect::<Result<Vec<_>>>()?;
    let count = points.len();
    let mut marks = one(points);
    let lines = lines.unwrap_or_default().into_iter();
    marks.skeleton = lines.filter(|line| line.iter().all(|end| *end < count)).collect();
    Ok(marks)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const PTS: &str = "version: 1\nn_points:  3\n{\n1 1\n161.5 247\nnan nan\n}\n";
    pub const LJSON: &str = r#"{"labels": [{"label": "all", "mask": [0, 1]}], "landmarks":
        {"connectivity": [[0, 1], [1, 7]], "points": [[2.0, 1.0], [null, null]]}, "version": 2}"#;

    /// menpo #160: a `.pts` counts from 1.
    #[test]
    fn a_pts_counts_from_1() {
        let found = read_pts(Path::new("a.pts"), PTS.as_bytes()).unwrap();
        assert_eq!(found.names, ["0", "1", "2"]);
        assert_eq!(found.pictures[0].points, [Some([0.0, 0.0]), Some([160.5, 246.0]), None]);
        assert_eq!(found.pictures[0].picture, Named::Beside);
        let error = read_pts(Path::new("a.pts"), PTS.replace('3', "4").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "a.pts: expected 4 points, as n_points says, found 3");
        let error = read_pts(Path::new("a.pts"), PTS.replace(" 247", "").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "a.pts, line 5: expected two coordinates, found \"161.5\"");
    }

    #[test]
    fn a_ljson_has_the_row_first() {
        let expected = [Some([1.0, 2.0]), None];
        let grouped = format!(r#"{{"groups": {{"LJSON": {LJSON}}}, "version": 3}}"#);
        let first = r#"{"groups": [{"landmarks": [{"point": [2.0, 1.0]}, {"point": [null, null]}]}],
                       "version": 1}"#;
        for text in [LJSON, &grouped, first] {
            let found = read_ljson(Path::new("a.ljson"), text.as_bytes()).unwrap();
            assert_eq!(found.pictures[0].points, expected, "{text}");
        }
        let found = read_ljson(Path::new("a.ljson"), LJSON.as_bytes()).unwrap();
        assert_eq!(found.skeleton, [[0, 1]]);
    }
}
