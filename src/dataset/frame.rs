//! What a transform takes of an image, and at which size.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a picture of any proportions becomes a square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// Its shorter side is resized, the proportions stay, and the middle is taken: torchvision's
    /// `Resize(n)` and `CenterCrop`, and timm's.
    #[default]
    ShortSide,
    /// Both sides are resized, whatever the proportions: torchvision's `Resize((n, n))`.
    Squash,
}

impl ResizeMode {
    /// The names, as in files and flags.
    pub const NAMES: [&str; 2] = ["short-side", "squash"];

    /// The name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::ShortSide, Self::Squash].into_iter().find(|mode| mode.name() == name)
    }
}

/// Rows and columns of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Area {
    pub fn whole([height, width]: [usize; 2]) -> Self {
        Self { top: 0, left: 0, height, width }
    }

    /// The middle of an image of these sides. Half a pixel is rounded to the even number, as
    /// torchvision's `CenterCrop` does by Python's `round`.
    pub fn middle([rows, columns]: [usize; 2], height: usize, width: usize) -> Self {
        let start = |whole: usize, part: usize| {
            let margin = whole.saturating_sub(part);
            margin / 2 + (margin & 1 & (margin / 2))
        };
        Self { top: start(rows, height), left: start(columns, width), height, width }
    }

    /// Whether it lies inside of an image of these sides, and is not empty.
    pub fn fits(&self, [rows, columns]: [usize; 2]) -> bool {
        let fits = |start: usize, size: usize, whole: usize| {
            size > 0 && start.checked_add(size).is_some_and(|end| end <= whole)
        };
        fits(self.top, self.height, rows) && fits(self.left, self.width, columns)
    }
}

/// A part of an image, resized, and what is wanted of the result: nothing else is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub part: Area,
    /// Height and width that the part is resized to.
    pub size: [usize; 2],
    pub window: Area,
}

impl Frame {
    /// The longest side that an image may be resized to; more is a mistake, not a wish.
    pub const LARGEST_SIDE: usize = 1 << 14;

    /// All of `part` at another height and width.
    pub fn resized(part: Area, size: [usize; 2]) -> Self {
        Self { part, size, window: Area::whole(size) }
    }

    /// An image of these sides as a network is to see it: resized to `resize`, and of that the
    /// square of `size` in the middle, or all.
    pub fn fitted(sides: [usize; 2], mode: ResizeMode, resize: usize, size: Option<usize>) -> Self {
        let shorter = sides[0].min(sides[1]).max(1);
        let full = match mode {
            ResizeMode::Squash => [resize; 2],
            // Rounded down, as in torchvision.
            ResizeMode::ShortSide => sides.map(|side| side.saturating_mul(resize) / shorter),
        };
        let window = size.map_or(Area::whole(full), |size| Area::middle(full, size, size));
        Self { part: Area::whole(sides), size: full, window }
    }

    /// An error unless it can be taken of an image of these sides.
    pub fn check(&self, sides: [usize; 2]) -> Result<()> {
        let Self { part, size, window } = self;
        if !part.fits(sides) {
            let [rows, columns] = sides;
            let Area { top, left, height, width } = part;
            return Err(Error::argument(
                "crop",
                format!(
                    "{height}x{width} at row {top}, column {left} is no part of {rows}x{columns}"
                ),
            ));
        }
        let allowed = 1..=Self::LARGEST_SIDE;
        if !window.fits(*size)
            || !allowed.contains(&window.height)
            || !allowed.contains(&window.width)
        {
            let Area { height, width, .. } = window;
            let [full_height, full_width] = size;
            return Err(Error::argument(
                "resize",
                format!(
                    "sides should have {allowed:?} pixels, not {height}x{width} of \
                     {full_height}x{full_width}"
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torchvision.transforms.Resize(resize)` and `CenterCrop(size)` of torchvision 0.30.
    #[test]
    fn the_short_side_is_resized_and_the_middle_taken_as_in_torchvision() {
        let of = |sides, resize, size| {
            let frame = Frame::fitted(sides, ResizeMode::ShortSide, resize, Some(size));
            (frame.size, [frame.window.top, frame.window.left])
        };
        assert_eq!(of([73, 97], 256, 224), ([256, 340], [16, 58]));
        assert_eq!(of([97, 73], 64, 56), ([85, 64], [14, 4]));
        // Margins of 85 and 87: halves go to the even side.
        assert_eq!(of([100, 185], 100, 100), ([100, 185], [0, 42]));
        assert_eq!(of([100, 187], 100, 100), ([100, 187], [0, 44]));
        let squashed = Frame::fitted([73, 97], ResizeMode::Squash, 256, Some(224));
        assert_eq!((squashed.size, squashed.window.left), ([256, 256], 16));
    }

    #[test]
    fn what_is_no_part_is_an_error() {
        let whole = Area::whole([4, 5]);
        assert!(Frame::resized(whole, [2, 2]).check([4, 4]).is_err());
        assert!(Frame::resized(whole, [0, 2]).check([4, 5]).is_err());
        assert!(Frame::resized(whole, [1 << 20, 2]).check([4, 5]).is_err());
        // A long picture of which only the middle is wanted.
        Frame::fitted([10, 100_000], ResizeMode::ShortSide, 256, Some(224))
            .check([10, 100_000])
            .unwrap();
    }
}
