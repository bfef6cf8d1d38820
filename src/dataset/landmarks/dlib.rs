//! The XML of dlib's imglab: images, boxes in them, and the parts of each box.
//!
//! ```text
//! <dataset><images>
//!   <image file='a.jpg'>
//!     <box top='78' left='74' width='138' height='140'><part name='00' x='55' y='141'/></box>
//!   </image>
//! </images></dataset>
//! ```

use super::Region;
use super::marks::{MOST_POINTS, Marked, Marks, Named, Names, coordinate, point, region};
use crate::{Error, Result};
use roxmltree::{Document, Node};
use std::path::Path;

/// Reads such a file. Boxes without parts, and those that are to be ignored, are passed over.
///
/// # Errors
/// If it is none, or a part has no name or no place.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Marks> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::data(path, "", format!("expected UTF-8: {error}")))?;
    let document = Document::parse(text)
        .map_err(|error| Error::data(path, "", format!("expected XML: {error}")))?;
    let mut names = Names::default();
    let mut boxes = Vec::new();
    for image in document.descendants().filter(|node| node.has_tag_name("image")) {
        for of_image in image.children().filter(|node| node.has_tag_name("box")) {
            // Lines are counted from the beginning: once, and not for every box.
            let refuse = |problem| {
                let line = document.text_pos_at(of_image.range().start).row;
                Error::data(path, format!("line {line}"), problem)
            };
            if of_image.attribute("ignore") == Some("1") {
                continue;
            }
            let picture = image.attribute("file").unwrap_or_default();
            if picture.is_empty() {
                return Err(refuse("expected the file of an image, found none".to_owned()));
            }
            let parts = parts(of_image, &mut names).map_err(refuse)?;
            if parts.is_empty() {
                continue;
            }
            let region = corner(of_image).map_err(refuse)?;
            let place = format!("box {}", boxes.len() + 1);
            boxes.push((picture.to_owned(), place, parts, region));
        }
    }
    let names = names.all();
    if names.is_empty() {
        return Err(Error::data(path, "", "expected boxes with parts, found none"));
    }
    let marked = |(picture, place, parts, region): (String, String, Vec<(usize, _)>, _)| {
        let mut points = vec![None; names.len()];
        parts.into_iter().for_each(|(at, point)| points[at] = point);
        Marked { picture: Named::As(picture), place, points, region }
    };
    let pictures = boxes.into_iter().map(marked).collect();
    Ok(Marks { names, pictures, skeleton: vec![] })
}

type Part = (usize, Option<super::Point>);

fn parts(of_box: Node, names: &mut Names) -> Result<Vec<Part>, String> {
    let part = |part: Node| {
        let cell = |key| part.attribute(key).unwrap_or_default();
        let name = cell("name");
        if name.is_empty() {
            return Err("expected the name of a part, found none".to_owned());
        }
        let number = names.number(name);
        if number >= MOST_POINTS {
            return Err(format!("expected {MOST_POINTS} names of parts at most, found more"));
        }
        Ok((number, point(coordinate(cell("x"))?, coordinate(cell("y"))?)?))
    };
    of_box.children().filter(|node| node.has_tag_name("part")).map(part).collect()
}

fn corner(of_box: Node) -> Result<Option<Region>, String> {
    let mut corner = [0.0; 4];
    for (value, key) in corner.iter_mut().zip(["left", "top", "width", "height"]) {
        match coordinate(of_box.attribute(key).unwrap_or_default())? {
            Some(found) => *value = found,
            None => return Ok(None),
        }
    }
    region(Region::from_corner(corner))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const FILE: &str = "<?xml version='1.0'?>\n<dataset><images>\n<image file='a.jpg'>\n\
        <box top='20' left='10' width='30' height='40'><part name='b' x='1' y='2'/>\
        <part name='a' x='3' y='4'/></box>\n<box top='0' left='0' width='1' height='1' ignore='1'/>\n\
        </image><image file='b.jpg'><box top='0' left='0' width='5' height='5'>\
        <part name='a' x='7' y='8'/></box></image></images></dataset>";

    #[test]
    fn parts_are_known_by_name() {
        let found = read(Path::new("a.xml"), FILE.as_bytes()).unwrap();
        assert_eq!(found.names, ["b", "a"]);
        let [a, b] = &found.pictures[..] else { panic!("two boxes") };
        assert_eq!(a.region, Some(Region { centre: [24.5, 39.5], sides: [30.0, 40.0] }));
        assert_eq!(a.points, [Some([1.0, 2.0]), Some([3.0, 4.0])]);
        assert_eq!(
            (&b.picture, &b.points[..]),
            (&Named::As("b.jpg".into()), &[None, Some([7.0, 8.0])][..])
        );
        let error = read(Path::new("a.xml"), FILE.replace("'2'", "'two'").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "a.xml, line 4: expected a coordinate, found \"two\"");
    }
}
