//! Conditions: the ways in which the same things may be seen.
//!
//! The sources of the demo each know one of them, and their target holds several.

use super::Image;
use crate::tensor::Tensor;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// As it was read.
    AsIs,
    /// Turned by 90 degrees, counter-clockwise.
    Rotated,
    /// Dark and light exchanged.
    Inverted,
    /// Its outlines only: the Sobel gradient's magnitude.
    Edges,
    /// With Gaussian noise.
    Noisy,
    /// Mirrored.
    Flipped,
}

impl Condition {
    /// All conditions.
    pub const ALL: [Self; 6] =
        [Self::AsIs, Self::Rotated, Self::Inverted, Self::Edges, Self::Noisy, Self::Flipped];

    /// The standard deviation of the noise of [`Noisy`](Self::Noisy), where 1 is white.
    pub const NOISE: f64 = 0.3;

    /// The name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsIs => "as_is",
            Self::Rotated => "rotated",
            Self::Inverted => "inverted",
            Self::Edges => "edges",
            Self::Noisy => "noisy",
            Self::Flipped => "flipped",
        }
    }

    /// An image of values 0 to 1 in this condition, again of values 0 to 1.
    ///
    /// Only [`Noisy`](Self::Noisy) draws from `rng`. [`Rotated`](Self::Rotated) exchanges
    /// height and width.
    pub fn apply(self, image: &Image, rng: &mut fastrand::Rng) -> Image {
        match self {
            Self::AsIs => image.clone(),
            Self::Rotated => image.rotated(),
            Self::Inverted => mapped(image, |value| 1.0 - value),
            Self::Edges => edges(image),
            Self::Noisy => {
                let noise = Tensor::<f32>::normal(&image.shape(), Self::NOISE, rng);
                let mut noise = noise.as_slice().iter();
                mapped(image, |value| (value + noise.next().unwrap_or(&0.0)).clamp(0.0, 1.0))
            }
            Self::Flipped => image.flipped(),
        }
    }
}

fn mapped(image: &Image, mut f: impl FnMut(f32) -> f32) -> Image {
    let mut image = image.clone();
    image.values_mut().iter_mut().for_each(|value| *value = f(*value));
    image
}

/// `sqrt(gx^2 + gy^2)` of each channel, divided by the largest of the image; beyond the
/// border the edge repeats. An image of one value has no edges: all 0.
fn edges(image: &Image) -> Image {
    let magnitude = Image::from_fn(image.shape(), |c, row, column| {
        let at = |down: isize, right: isize| {
            image.at_clamped(c, row as isize + down, column as isize + right)
        };
        let gx = at(-1, 1) - at(-1, -1) + 2.0 * (at(0, 1) - at(0, -1)) + at(1, 1) - at(1, -1);
        let gy = at(1, -1) - at(-1, -1) + 2.0 * (at(1, 0) - at(-1, 0)) + at(1, 1) - at(-1, 1);
        gx.hypot(gy)
    });
    let largest = magnitude.values().iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    mapped(&magnitude, |value| value / largest)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::argument("condition", format!("expected one of {names}, found {name:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(condition: Condition, image: &Image) -> Image {
        condition.apply(image, &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn names_are_read_back_and_are_those_of_serde() {
        for condition in Condition::ALL {
            assert_eq!(condition.name().parse::<Condition>().unwrap(), condition);
            assert_eq!(serde_json::to_value(condition).unwrap(), condition.name());
        }
        let text = "upside_down".parse::<Condition>().unwrap_err().to_string();
        assert!(text.contains("as_is, rotated") && text.contains("\"upside_down\""), "{text}");
    }

    #[test]
    fn the_simple_conditions_do_as_they_say() {
        let image = Image::new([1, 1, 2], vec![0.0, 0.75]).unwrap();
        assert_eq!(shown(Condition::AsIs, &image), image);
        assert_eq!(shown(Condition::Inverted, &image).values(), [1.0, 0.25]);
        assert_eq!(shown(Condition::Flipped, &image).values(), [0.75, 0.0]);
        assert_eq!(shown(Condition::Rotated, &image).shape(), [1, 2, 1]);
    }

    #[test]
    fn a_step_has_its_edge_on_both_sides() {
        // Dark left half, light right half: gx is 4 beside the step and 0 elsewhere.
        let image = Image::from_fn([1, 4, 6], |_, _, column| if column < 3 { 0.2 } else { 0.6 });
        let edges = shown(Condition::Edges, &image);
        for row in edges.values().chunks(6) {
            assert_eq!(row, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        }
        let flat = Image::from_fn([3, 4, 4], |c, _, _| c as f32 / 2.0);
        assert_eq!(shown(Condition::Edges, &flat).values(), [0.0; 48]);
    }

    #[test]
    fn noise_has_its_deviation_and_follows_from_the_generator() {
        let image = Image::from_fn([1, 100, 100], |_, _, _| 0.5);
        let noisy = shown(Condition::Noisy, &image);
        assert_eq!(noisy, shown(Condition::Noisy, &image));
        let mean = noisy.values().iter().sum::<f32>() / 1e4;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        // 9.6 % of a normal distribution lie above 0.5 / 0.3 deviations, on two sides.
        let clamped = noisy.values().iter().filter(|v| **v == 0.0 || **v == 1.0).count();
        assert!((800..1120).contains(&clamped), "{clamped}");
    }
}
