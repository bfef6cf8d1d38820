//! The CSV of HRNet-Facial-Landmark-Detection: 300W and WFLW, and AFLW with its `box_size`.
//!
//! ```text
//! image_name,scale,center_w,center_h,original_0_x,original_0_y,original_1_x,...
//! image_name,scale,box_size,center_w,center_h,original_0_x,original_0_y,...
//! ```
//!
//! `scale` is the side of the face's box, in 200 pixels. A point whose y is 0 or less is missing, as in
//! the loader of that code.

use super::marks::{
    MOST_POINTS, Marked, Marks, Named, at_least, coordinate, numbered, point, region, rows,
};
use super::{Point, Region};
use crate::{Error, Result};
use csv::StringRecord;
use std::path::Path;

/// Whether a first row is of such a file.
pub(super) fn is_header(row: &str) -> bool {
    ["center_w", "center_h"].iter().all(|name| row.contains(name))
}

struct Columns {
    image: usize,
    scale: usize,
    box_size: Option<usize>,
    centre: [usize; 2],
    first: usize,
    points: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, String> {
        let find = |names: &[&str]| header.iter().position(|cell| names.contains(&cell.trim()));
        let need = |names: &[&str]| {
            find(names).ok_or_else(|| format!("expected a column {}, found none", names[0]))
        };
        let centre = [need(&["center_w"])?, need(&["center_h"])?];
        let first = centre[0].max(centre[1]) + 1;
        let cells = header.len().saturating_sub(first);
        if cells < 2 || cells % 2 == 1 || cells > 2 * MOST_POINTS {
            return Err(format!("expected columns x and y for each point, found {cells} columns"));
        }
        Ok(Self {
            image: need(&["image_name", "image", "filename"])?,
            scale: need(&["scale"])?,
            box_size: find(&["box_size"]),
            centre,
            first,
            points: cells / 2,
        })
    }

    fn marked(&self, row: &StringRecord, place: &str) -> Result<Marked, String> {
        at_least(row, self.first + 2 * self.points)?;
        let number = |at: usize| coordinate(row.get(at).unwrap_or_default());
        let side = match self.box_size {
            Some(at) => number(at)?,
            None => number(self.scale)?.map(|scale| 200.0 * scale),
        };
        let centre: [Option<f64>; 2] = [number(self.centre[0])?, number(self.centre[1])?];
        let of_point = |k: usize| -> Result<Option<Point>, String> {
            let found = point(number(self.first + 2 * k)?, number(self.first + 2 * k + 1)?)?;
            Ok(found.filter(|[_, y]| *y > 0.0))
        };
        let picture = row.get(self.image).unwrap_or_default().trim();
        if picture.is_empty() {
            return Err("expected the name of a picture, found nothing".to_owned());
        }
        let points: Result<Vec<_>, String> = (0..self.points).map(of_point).collect();
        Ok(Marked {
            picture: Named::As(picture.to_owned()),
            place: place.to_owned(),
            points: points?,
            region: match (centre, side) {
                ([Some(x), Some(y)], Some(side)) => {
                    region(Region { centre: [x, y], sides: [side; 2] })?
                }
                _ => None,
            },
        })
    }
}

/// Reads such a file.
///
/// # Errors
/// If a row lacks something, or is none.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Marks> {
    let mut columns: Option<Columns> = None;
    let mut pictures = Vec::new();
    for row in rows(path, bytes) {
        let (place, row) = row?;
        let refuse = |problem| Error::data(path, &place, problem);
        match &columns {
            None => columns = Some(Columns::of(&row).map_err(refuse)?),
            Some(columns) => pictures.push(columns.marked(&row, &place).map_err(refuse)?),
        }
    }
    let names = numbered(columns.map_or(0, |columns| columns.points));
    Ok(Marks { names, pictures, skeleton: vec![] })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const FILE: &str = "image_name,scale,center_w,center_h,original_0_x,original_0_y,original_1_x,\
                            original_1_y\nb.jpg,1.5,100,120,10,20.5,30,40\na.jpg,0.5,1,2,7,0,,\n";

    #[test]
    fn the_box_is_200_pixels_times_the_scale() {
        let found = read(Path::new("a.csv"), FILE.as_bytes()).unwrap();
        assert_eq!(found.names, ["0", "1"]);
        let [b, a] = &found.pictures[..] else { panic!("two rows") };
        assert_eq!((&b.picture, b.place.as_str()), (&Named::As("b.jpg".into()), "line 2"));
        assert_eq!(b.points, [Some([10.0, 20.5]), Some([30.0, 40.0])]);
        assert_eq!(b.region, Some(Region { centre: [100.0, 120.0], sides: [300.0; 2] }));
        // Of y 0, and of no cells.
        assert_eq!(a.points, [None, None]);
    }

    #[test]
    fn aflw_has_the_size_of_its_box() {
        let text = "image,scale,box_size,center_w,center_h,x,y\na.jpg,1.81,362,5,6,1,2\n";
        let found = read(Path::new("a.csv"), text.as_bytes()).unwrap();
        assert_eq!(found.pictures[0].region.unwrap().sides, [362.0; 2]);
        assert_eq!(found.pictures[0].points, [Some([1.0, 2.0])]);
    }

    #[test]
    fn a_row_that_lacks_something_is_named() {
        let text = FILE.replace("20.5", "east");
        let error = read(Path::new("a.csv"), text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "a.csv, line 2: expected a coordinate, found \"east\"");
        let text = FILE.replace("30,40", "30,");
        let error = read(Path::new("a.csv"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("line 2: expected two coordinates, found x without y"), "{error}");
    }
}
