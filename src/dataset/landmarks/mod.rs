//! Pictures with points marked in them, and where they are read from.
//!
//! A point is a column and a row in pixels; the middle of the upper left pixel is (0, 0). Files that
//! count from 1 are read as if they counted from 0. A point may be missing; then there is none, and
//! no number that stands for it.
//!
//! Points are known by their names and pictures by the names of their files, never by where they stand
//! in a file.
//!
//! | file | holds |
//! |---|---|
//! | `open` | which reader a file or folder is for, where its pictures are |
//! | `marks` | what a reader finds |
//! | `hrnet` | CSV of HRNet-Facial-Landmark-Detection: 300W, WFLW, AFLW |
//! | `deeplabcut` | CSV of DeepLabCut and Lightning Pose |
//! | `coco` | JSON of COCO's keypoints |
//! | `dlib` | XML of dlib's imglab |
//! | `menpo` | `.pts` and `.ljson`, a file for each picture |
//! | `boxes` | boxes of pictures, CSV |
//! | `affine` | the map from a picture to what a network sees |
//! | `crops` | pictures as a network sees them |
//! | `write` | what was found, in the files of others |
//! | `draw` | points drawn into a picture |

mod affine;
mod boxes;
mod coco;
mod crops;
mod deeplabcut;
mod dlib;
mod draw;
mod hrnet;
mod marks;
mod menpo;
mod open;
mod write;

pub use affine::Affine;
pub use boxes::boxes;
pub use crops::{Crops, Placement, Variation};
pub use draw::draw;
pub use write::{FoundPoints, coco, deeplabcut, pts};

use super::Split;
use crate::{Error, Result};
use std::path::PathBuf;

/// Column and row, in pixels; the middle of the upper left pixel is (0, 0).
pub type Point = [f64; 2];

/// The part of a picture that is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Its middle.
    pub centre: Point,
    /// Width and height.
    pub sides: [f64; 2],
}

impl Region {
    /// The box whose left upper corner is `left`, `top` where 0 is the edge of the picture, as in COCO.
    pub fn from_corner([left, top, width, height]: [f64; 4]) -> Self {
        // The edge of the picture is half a pixel before the middle of its first pixel.
        let centre = [left + width / 2.0 - 0.5, top + height / 2.0 - 0.5];
        Self { centre, sides: [width, height] }
    }

    /// Left, top, width and height, as [`Region::from_corner`] takes them.
    pub fn corner(&self) -> [f64; 4] {
        let Self { centre: [x, y], sides: [width, height] } = *self;
        [x + 0.5 - width / 2.0, y + 0.5 - height / 2.0, width, height]
    }

    /// All of a picture of `[height, width]` pixels.
    pub fn whole([height, width]: [usize; 2]) -> Self {
        Self::from_corner([0.0, 0.0, width as f64, height as f64])
    }

    /// The larger side.
    pub fn side(&self) -> f64 {
        self.sides[0].max(self.sides[1])
    }
}

/// A picture and its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotated {
    /// The picture's file.
    pub file: PathBuf,
    /// In the order of the names; `None` where a point is missing.
    pub points: Vec<Option<Point>>,
    /// The box to look at; all of the picture if there is none.
    pub region: Option<Region>,
}

/// Pictures with points.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    /// Where they were read from, for messages.
    pub origin: PathBuf,
    /// The names of the points.
    pub names: Vec<String>,
    /// The pictures; of a picture with several boxes, one for each.
    pub pictures: Vec<Annotated>,
    /// What each of them is for, if that is known from where it is; otherwise empty.
    pub splits: Vec<Split>,
    /// Pairs of points that are drawn with a line between them.
    pub skeleton: Vec<[usize; 2]>,
    /// What a user should know of them.
    pub notes: Vec<String>,
}

impl Annotations {
    /// Pictures whose points are not known.
    pub fn unmarked(names: &[String], pictures: Vec<(PathBuf, Option<Region>)>) -> Self {
        let unmarked = |(file, region)| Annotated { file, points: vec![None; names.len()], region };
        let pictures = pictures.into_iter().map(unmarked).collect();
        Self { names: names.to_vec(), pictures, ..Self::default() }
    }

    /// The same with the points of these names, in this order; those that there are not are missing.
    ///
    /// # Errors
    /// If there is none of them.
    pub fn with_names(mut self, names: &[String]) -> Result<Self> {
        let places: Vec<Option<usize>> =
            names.iter().map(|name| self.names.iter().position(|own| own == name)).collect();
        if places.iter().all(Option::is_none) {
            let problem = format!(
                "expected points called {}, found {}",
                some_of(names),
                some_of(&self.names)
            );
            return Err(Error::data(self.origin, "", problem));
        }
        for picture in &mut self.pictures {
            let of = |place: &Option<usize>| place.and_then(|place| picture.points[place]);
            picture.points = places.iter().map(of).collect();
        }
        let place = |old: usize| places.iter().position(|place| *place == Some(old));
        let line = |[a, b]: [usize; 2]| Some([place(a)?, place(b)?]);
        self.skeleton = self.skeleton.into_iter().filter_map(line).collect();
        self.names = names.to_vec();
        Ok(self)
    }

    /// These and others for another purpose; points are matched by name.
    ///
    /// # Errors
    /// If the others have none of these points.
    pub fn joined(mut self, split: Split, others: Self) -> Result<Self> {
        let others = others.with_names(&self.names)?;
        self.splits.resize(self.pictures.len(), Split::Training);
        self.splits.resize(self.pictures.len() + others.pictures.len(), split);
        self.pictures.extend(others.pictures);
        self.notes.extend(others.notes);
        Ok(self)
    }

    /// The number of a point, by its name, or as a number that counts from 0.
    pub fn number(names: &[String], name: &str) -> Option<usize> {
        let by_name = names.iter().position(|known| known == name);
        by_name.or_else(|| name.parse().ok().filter(|number| *number < names.len()))
    }
}

/// A few of many names.
fn some_of(names: &[String]) -> String {
    const MOST: usize = 6;
    let more = if names.len() > MOST { " and others" } else { "" };
    format!("{}{more}", names[..names.len().min(MOST)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(names: &[&str], points: &[Option<Point>]) -> Annotations {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut made = Annotations::unmarked(&names, vec![("a.png".into(), None)]);
        made.pictures[0].points = points.to_vec();
        made
    }

    #[test]
    fn points_are_matched_by_name() {
        let made = annotations(&["a", "b", "c"], &[Some([1.0, 1.0]), None, Some([3.0, 3.0])]);
        let made = Annotations { skeleton: vec![[0, 2], [1, 2]], ..made };
        let names = ["c", "d", "a"].map(str::to_owned);
        let found = made.clone().with_names(&names).unwrap();
        assert_eq!(found.pictures[0].points, [Some([3.0, 3.0]), None, Some([1.0, 1.0])]);
        assert_eq!(found.skeleton, [[2, 0]]);
        let error = made.with_names(&["x".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("expected points called x, found a, b, c"), "{error}");
    }

    #[test]
    fn a_point_is_called_by_its_name_before_its_number() {
        let names = ["1", "0", "tail"].map(str::to_owned);
        let number = |name| Annotations::number(&names, name);
        assert_eq!(
            [number("1"), number("2"), number("tail"), number("3")],
            [Some(0), Some(2), Some(2), None]
        );
    }

    #[test]
    fn boxes_count_from_the_edge_of_the_picture() {
        let whole = Region::whole([4, 6]);
        assert_eq!((whole.centre, whole.side()), ([2.5, 1.5], 6.0));
        assert_eq!(Region::from_corner([0.0, 0.0, 6.0, 4.0]), whole);
    }
}
