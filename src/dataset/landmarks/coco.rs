//! The JSON of COCO's keypoints: images, and for each instance a box and its points.
//!
//! A point is `x, y, v`: missing where v is 0, marked where v is 1 (hidden) or 2. A skeleton's points
//! are counted from 1.

use super::marks::{MOST_POINTS, Marked, Marks, Named, checked, region};
use super::{Point, Region};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: i64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    #[serde(default)]
    category_id: i64,
    #[serde(default)]
    keypoints: Vec<f64>,
    bbox: Option<[f64; 4]>,
}

#[derive(Deserialize)]
struct Category {
    id: i64,
    #[serde(default)]
    keypoints: Vec<String>,
    #[serde(default)]
    skeleton: Vec<[usize; 2]>,
}

/// Reads such a file.
///
/// # Errors
/// If it is none, has points of several kinds of things, or an instance has not as many points as its
/// kind.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Marks> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        Error::data(
            path,
            "",
            format!("expected COCO's images, annotations and categories: {error}"),
        )
    })?;
    let mut kinds = file.categories.into_iter().filter(|kind| !kind.keypoints.is_empty());
    let Some(kind) = kinds.next() else {
        let problem = "expected a category with keypoints, found none";
        return Err(Error::data(path, "", problem));
    };
    if kinds.next().is_some() || kind.keypoints.len() > MOST_POINTS {
        let problem = format!(
            "expected one category with at most {MOST_POINTS} keypoints, found several or more; write \
             a file for each of them"
        );
        return Err(Error::data(path, "", problem));
    }
    let names = kind.keypoints;
    let images: HashMap<i64, &str> =
        file.images.iter().map(|image| (image.id, image.file_name.as_str())).collect();
    let of_kind = file.annotations.iter().enumerate().filter(|(_, of)| of.category_id == kind.id);
    let marked = |(at, annotation): (usize, &Annotation)| {
        let place = format!("annotation {at}");
        let refuse = |problem| Error::data(path, &place, problem);
        let id = annotation.image_id;
        let picture = images.get(&id).ok_or_else(|| {
            refuse(format!("expected the id of an image, found {id}, which no image has"))
        })?;
        if annotation.keypoints.len() != 3 * names.len() {
            let (expected, found) = (3 * names.len(), annotation.keypoints.len());
            return Err(refuse(format!("expected {expected} numbers of points, found {found}")));
        }
        let corner = annotation.bbox.map(Region::from_corner);
        let points = annotation.keypoints.chunks(3).map(of_triple).collect::<Result<_, _>>();
        Ok(Marked {
            picture: Named::As((*picture).to_owned()),
            points: points.map_err(refuse)?,
            region: corner.map_or(Ok(None), region).map_err(refuse)?,
            place: place.clone(),
        })
    };
    let pictures = of_kind.map(marked).collect::<Result<_>>()?;
    let lines = kind.skeleton.into_iter().map(|line| line.map(|end| end.wrapping_sub(1)));
    let skeleton = lines.filter(|line| line.iter().all(|end| *end < names.len())).collect();
    Ok(Marks { names, pictures, skeleton })
}

fn of_triple(triple: &[f64]) -> Result<Option<Point>, String> {
    match *triple {
        [x, y, v] if v > 0.0 => super::marks::point(checked(x)?, checked(y)?),
        _ => Ok(None),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const FILE: &str = r#"{
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, "bbox": [10, 20, 30, 40],
             "keypoints": [11, 21, 2, 0, 0, 0], "num_keypoints": 1},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 0],
             "keypoints": [1, 2, 1, 3, 4, 2]}],
        "categories": [{"id": 1, "name": "fly", "keypoints": ["head", "tail"], "skeleton": [[1, 2]]}]}"#;

    /// mmpose PR 328: what has no visibility is no point.
    #[test]
    fn a_point_that_is_not_visible_is_none() {
        let found = read(Path::new("a.json"), FILE.as_bytes()).unwrap();
        assert_eq!(
            (&found.names[..], &found.skeleton[..]),
            (&["head", "tail"].map(String::from)[..], &[[0, 1]][..])
        );
        let [a, b] = &found.pictures[..] else { panic!("two instances") };
        assert_eq!(a.picture, Named::As("a.jpg".into()));
        assert_eq!(a.points, [Some([11.0, 21.0]), None]);
        assert_eq!(a.region, Some(Region { centre: [24.5, 39.5], sides: [30.0, 40.0] }));
        assert_eq!((b.points[0], b.region), (Some([1.0, 2.0]), None));
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let of = |from: &str, to: &str| {
            read(Path::new("a.json"), FILE.replace(from, to).as_bytes()).unwrap_err().to_string()
        };
        let error = of("\"image_id\": 7", "\"image_id\": 8");
        assert!(error.starts_with("a.json, annotation 1: expected the id of an image"), "{error}");
        let error = of("[1, 2, 1, 3, 4, 2]", "[1, 2, 1]");
        assert!(error.contains("annotation 1: expected 6 numbers of points, found 3"), "{error}");
        assert!(of("\"keypoints\": [\"head\", \"tail\"],", "").contains("category with keypoints"));
    }
}
