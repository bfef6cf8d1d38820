//! Points that were found, as files that other programs read.

use super::{Point, Region};
use crate::{Error, Result};
use serde_json::json;
use std::fmt::Write;

/// The points that were found in one picture, or in one box of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPoints {
    /// The picture's file.
    pub picture: String,
    /// Height and width.
    pub sides: [usize; 2],
    /// The box that was looked at.
    pub region: Region,
    /// In pixels of the picture, with how sure the network is of each, 0 to 1.
    pub points: Vec<(Point, f64)>,
}

/// The CSV of DeepLabCut: rows `scorer`, `bodyparts` and `coords`, then x, y and likelihood of each
/// point, a row for each of `found`.
///
/// # Errors
/// If it cannot be written as CSV.
pub fn deeplabcut(names: &[String], scorer: &str, found: &[FoundPoints]) -> Result<String> {
    let refuse = |error: &dyn std::fmt::Display| Error::config("csv", error.to_string());
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(vec![]);
    let thrice = |first: &str, of: &dyn Fn(&str) -> [String; 3]| -> Vec<String> {
        let cells = names.iter().flat_map(|name| of(name));
        std::iter::once(first.to_owned()).chain(cells).collect()
    };
    let rows = [
        thrice("scorer", &|_| [scorer, scorer, scorer].map(str::to_owned)),
        thrice("bodyparts", &|name| [name, name, name].map(str::to_owned)),
        thrice("coords", &|_| ["x", "y", "likelihood"].map(str::to_owned)),
    ];
    let of_picture = |found: &FoundPoints| -> Vec<String> {
        let cells =
            found.points.iter().flat_map(|([x, y], sure)| [x, y, sure].map(ToString::to_string));
        std::iter::once(found.picture.clone()).chain(cells).collect()
    };
    for row in rows.into_iter().chain(found.iter().map(of_picture)) {
        writer.write_record(&row).map_err(|error| refuse(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| refuse(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A `.pts` of the points, which counts pixels from 1.
pub fn pts(found: &FoundPoints) -> String {
    let mut text = format!("version: 1\nn_points: {}\n{{\n", found.points.len());
    for ([x, y], _) in &found.points {
        let _ = writeln!(text, "{} {}", x + 1.0, y + 1.0);
    }
    text + "}\n"
}

/// The JSON of COCO's keypoints: one instance for each of `found`, whose `score` is the mean of how
/// sure the network is of its points.
pub fn coco(names: &[String], skeleton: &[[usize; 2]], found: &[FoundPoints]) -> String {
    let mut files: Vec<&str> = Vec::new();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (at, one) in found.iter().enumerate() {
        let known = files.iter().position(|file| *file == one.picture);
        let image = known.unwrap_or_else(|| {
            files.push(&one.picture);
            let [height, width] = one.sides;
            let id = files.len();
            images.push(
                json!({"id": id, "file_name": one.picture, "width": width, "height": height}),
            );
            files.len() - 1
        });
        let keypoints: Vec<f64> = one.points.iter().flat_map(|([x, y], _)| [*x, *y, 2.0]).collect();
        let sure: f64 = one.points.iter().map(|(_, sure)| sure).sum();
        let corner @ [_, _, width, height] = one.region.corner();
        annotations.push(json!({
            "id": at + 1, "image_id": image + 1, "category_id": 1, "keypoints": keypoints,
            "num_keypoints": one.points.len(), "bbox": corner, "area": width * height, "iscrowd": 0,
            "score": sure / one.points.len().max(1) as f64,
        }));
    }
    // COCO counts from 1 there.
    let skeleton: Vec<[usize; 2]> = skeleton.iter().map(|line| line.map(|end| end + 1)).collect();
    let category = json!({"id": 1, "name": "object", "keypoints": names, "skeleton": skeleton});
    json!({"images": images, "annotations": annotations, "categories": [category]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::open::reader;
    use super::*;
    use std::path::Path;

    fn found() -> Vec<FoundPoints> {
        let region = Region::from_corner([1.0, 2.0, 30.0, 40.0]);
        let of = |picture: &str, points: [Point; 2]| FoundPoints {
            picture: picture.to_owned(),
            sides: [50, 60],
            region,
            points: points.map(|point| (point, 0.75)).to_vec(),
        };
        vec![of("a, b.png", [[1.5, 2.25], [0.0, 7.0]]), of("c.png", [[3.0, -1.0], [9.0, 9.5]])]
    }

    /// What is written is read, to the bit; a `.pts` counts from 1 both ways.
    #[test]
    fn what_is_written_is_read() {
        let names = ["nose", "tail"].map(String::from);
        let files = [
            ("a.csv", deeplabcut(&names, "zoo-tuning", &found()).unwrap(), true),
            ("a.json", coco(&names, &[[0, 1]], &found()), true),
            ("a.pts", pts(&found()[0]), false),
        ];
        for (name, text, is_named) in files {
            let path = Path::new(name);
            let read = reader(path, text.as_bytes()).unwrap()(path, text.as_bytes()).unwrap();
            for (marked, found) in read.pictures.iter().zip(found()) {
                let points: Vec<_> = found.points.iter().map(|(point, _)| Some(*point)).collect();
                assert_eq!(marked.points, points, "{text}");
            }
            assert_eq!(read.names == names, is_named);
            if name == "a.json" {
                assert_eq!(read.skeleton, [[0, 1]]);
                assert_eq!(read.pictures[1].region, Some(found()[1].region));
            }
        }
    }
}
