//! Operations at random: RandAugment and TrivialAugment.

use super::Image;
use super::pixels::Operation;
use crate::Result;

/// Magnitudes from none to the largest.
pub(super) const MAGNITUDES: usize = 31;

/// RandAugment (Cubuk et al., 2020): so many operations one after the other, each at this magnitude of 0
/// to 30; operations and their largest magnitudes are torchvision's.
pub(super) fn rand_augment(
    mut image: Image,
    [operations, magnitude]: [usize; 2],
    rng: &mut fastrand::Rng,
) -> Result<Image> {
    for _ in 0..operations {
        image = drawn(&image, magnitude, Space::Rand, rng)?;
    }
    Ok(image)
}

/// TrivialAugment (Müller and Hutter, 2021), its wide space: one operation at any magnitude.
pub(super) fn trivial_augment(image: &Image, rng: &mut fastrand::Rng) -> Result<Image> {
    let magnitude = rng.usize(..MAGNITUDES);
    drawn(image, magnitude, Space::Trivial, rng)
}

/// How far operations go.
#[derive(Clone, Copy)]
enum Space {
    Rand,
    Trivial,
}

/// The image after an operation at random; every other one that has two directions goes the other way.
fn drawn(image: &Image, magnitude: usize, space: Space, rng: &mut fastrand::Rng) -> Result<Image> {
    let operation = Operation::ALL[rng.usize(..Operation::ALL.len())];
    let (mut strength, has_direction) = space.strength(operation, magnitude, image.shape());
    if has_direction && rng.bool() {
        strength = -strength;
    }
    operation.apply(image, strength)
}

impl Space {
    /// What an operation is applied with at a magnitude, to images of a shape `[C, H, W]`; whether it has
    /// two directions.
    fn strength(
        self,
        operation: Operation,
        magnitude: usize,
        [_, height, width]: [usize; 3],
    ) -> (f64, bool) {
        use Operation::*;
        let magnitude = magnitude.min(MAGNITUDES - 1) as f64;
        let share = magnitude / (MAGNITUDES - 1) as f64;
        let of = |rand: f64, trivial: f64| match self {
            Self::Rand => rand,
            Self::Trivial => trivial,
        };
        match operation {
            Identity | AutoContrast | Equalize => (0.0, false),
            ShearX | ShearY => (share * of(0.3, 0.99), true),
            TranslateX => (share * of(150.0 / 331.0 * width as f64, 32.0), true),
            TranslateY => (share * of(150.0 / 331.0 * height as f64, 32.0), true),
            Rotate => (share * of(30.0, 135.0), true),
            Brightness | Color | Contrast | Sharpness => (share * of(0.9, 0.99), true),
            Posterize => (8.0 - (share * of(4.0, 6.0)).round(), false),
            Solarize => (255.0 * (1.0 - share), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image::from_fn([3, 12, 16], |c, y, x| ((7 * x + 5 * y + 60 * c) % 256) as f32 / 255.0)
    }

    #[test]
    fn what_is_drawn_follows_from_the_generator() {
        let rng = fastrand::Rng::with_seed;
        let rand = |seed| rand_augment(image(), [2, 9], &mut rng(seed)).unwrap();
        let trivial = |seed| trivial_augment(&image(), &mut rng(seed)).unwrap();
        assert_eq!((rand(1), trivial(1)), (rand(1), trivial(1)));
        let differ = |of: &dyn Fn(u64) -> Image| (0..40).filter(|&k| of(k) != of(k + 1)).count();
        assert!(differ(&rand) > 30 && differ(&trivial) > 30);
        assert_eq!(rand_augment(image(), [0, 9], &mut rng(1)).unwrap(), image());
    }

    /// As `RandAugment._augmentation_space` and that of `TrivialAugmentWide` print them.
    #[test]
    fn magnitudes_are_torchvisions() {
        let of = |space: Space, operation| space.strength(operation, 9, [3, 224, 331]);
        let near = |(found, _): (f64, bool), expected: f64| (found - expected).abs() < 1e-5;
        assert!(near(of(Space::Rand, Operation::ShearX), 0.09));
        assert!(near(of(Space::Rand, Operation::TranslateX), 45.0));
        assert!(near(of(Space::Rand, Operation::TranslateY), 30.453_17));
        assert!(near(of(Space::Rand, Operation::Posterize), 7.0));
        assert!(near(of(Space::Rand, Operation::Solarize), 178.5));
        assert!(near(of(Space::Trivial, Operation::Rotate), 40.5));
        assert!(near(of(Space::Trivial, Operation::Posterize), 6.0));
        assert!(near(of(Space::Trivial, Operation::Color), 0.297));
    }
}
