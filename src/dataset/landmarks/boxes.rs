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
    read(path, &bytes::read(path)?)
}

/// The same of bytes that were read from `path`.
fn read(path: &Path, content: &[u8]) -> Result<BTreeMap<String, Vec<Region>>> {
    let mut columns: Option<[usize; 5]> = None;
    let mut boxes: BTreeMap<String, Vec<Region>> = BTreeMap::new();
    for row in rows(path, content) {
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
    use super::super::open::tests::damaged;
    use super::*;

    const FILE: &str =
        "x,y,width,height,image\n1,2,30,40,a.jpg\n5,6,7,8.5,a.jpg\n-3,0,1e2,9,b.png\n";

    fn of(text: &str) -> Result<BTreeMap<String, Vec<Region>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.csv");
        std::fs::write(&path, text).unwrap();
        boxes(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_picture_has_its_boxes() {
        let found = of(FILE).unwrap();
        assert_eq!(found["a.jpg"][0], Region::from_corner([1.0, 2.0, 30.0, 40.0]));
        assert_eq!(found["a.jpg"].len(), 2);
        assert!(of("x,y,w,h,image\n").unwrap_err().contains("found no width"));
        let error = of("image,x,y,width,height\na,1,2,3,\n").unwrap_err();
        assert!(error.contains("line 2: expected a number in column 5"), "{error}");
        let error = of("image,x,y,width,height\na,1,2,0,0\n").unwrap_err();
        assert!(error.contains("line 2: expected a picture and a box"), "{error}");
    }

    /// As of annotations: boxes of pixels or an error, never a panic.
    #[test]
    fn ten_thousand_damaged_files_are_read_or_refused() {
        let (mut rng, path) = (fastrand::Rng::with_seed(7), Path::new("boxes.csv"));
        let (mut whole, mut refused) = (0, 0);
        for _ in 0..10_000 {
            match read(path, &damaged(FILE, &mut rng)) {
                Ok(found) => {
                    let numbers = |region: &Region| {
                        let [x, y] = region.centre;
                        x.is_finite() && y.is_finite() && region.sides.iter().all(|s| *s >= 1.0)
                    };
                    assert!(found.values().flatten().all(numbers), "{found:?}");
                    whole += 1;
                }
                Err(error) => {
                    assert!(error.to_string().starts_with("boxes.csv"), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(whole > 100 && refused > 100, "{whole} read, {refused} refused");
    }
}
