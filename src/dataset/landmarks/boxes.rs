//! Boxes of pictures: a CSV with the columns `image`, `x`, `y`, `width` and `height`, in any order.
//!
//! `x` and `y` are the left upper corner, 0 at the edge of the picture, as in COCO. A picture may have
//! several.

use super::Region;
use super::marks::{coordinate, region, rows};
use crate::dataset::bytes;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The boxes of each picture, by the name that the file at `path` has for it.
///
/// # Errors
/// If it cannot be read, or a row is no box.
pub fn boxes(path: impl AsRef<Path>) -> Result<BTreeMap<String, Vec<Region>>> {
    let path = path.as_ref();
    let content = bytes::read(path)?;
    let mut columns: Option<[usize; 5]> = None;
    let mut boxes: BTreeMap<String, Vec<Region>> = BTreeMap::new();
    for row in rows(path, &content) {
        let (place, row) = row?;
        let refuse = |problem| Error::data(path, &place, problem);
        let Some([image, corner @ ..]) = columns else {
            columns = Some(of_header(&row).map_err(refuse)?);
            continue;
        };
        let name = row.get(image).unwrap_or_default().trim();
        let mut values = [0.0; 4];
        for (value, at) in values.iter_mut().zip(corner) {
            let found = coordinate(row.get(at).unwrap_or_default()).map_err(refuse)?;
            *value =
                found.ok_or_else(|| refuse(format!("expected a number in column {}", at + 1)))?;
        }
        let found = region(Region::from_corner(values)).map_err(refuse)?;
        let found = found.filter(|_| !name.is_empty());
        let found = found.ok_or_else(|| {
            refuse("expected a picture and a box of one pixel at least, found none".to_owned())
        })?;
        boxes.entry(name.to_owned()).or_default().push(found);
    }
    Ok(boxes)
}

/// Where the columns are.
fn of_header(row: &csv::StringRecord) -> Result<[usize; 5], String> {
    let names = ["image", "x", "y", "width", "height"];
    let mut places = [0; 5];
    for (place, name) in places.iter_mut().zip(names) {
        let found = row.iter().position(|cell| cell.trim().eq_ignore_ascii_case(name));
        *place = found
            .ok_or_else(|| format!("expected the columns {}, found no {name}", names.join(", ")))?;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Vec<Region>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.csv");
        std::fs::write(&path, text).unwrap();
        boxes(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_picture_has_its_boxes() {
        let found = read("x,y,width,height,image\n1,2,30,40,a.jpg\n5,6,7,8,a.jpg\n").unwrap();
        assert_eq!(found["a.jpg"][0], Region::from_corner([1.0, 2.0, 30.0, 40.0]));
        assert_eq!(found["a.jpg"].len(), 2);
        assert!(read("x,y,w,h,image\n").unwrap_err().contains("found no width"));
        let error = read("image,x,y,width,height\na,1,2,3,\n").unwrap_err();
        assert!(error.contains("line 2: expected a number in column 5"), "{error}");
        let error = read("image,x,y,width,height\na,1,2,0,0\n").unwrap_err();
        assert!(error.contains("line 2: expected a picture and a box"), "{error}");
    }
}
