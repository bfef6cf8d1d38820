//! Operations that change the colours of an image or move its pixels, as Pillow does them: on 8 bits,
//! to the bit.

use super::Image;
use crate::Result;

/// An operation of RandAugment and TrivialAugment, in torchvision's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// Changes an image `[C, H, W]` of values 0 to 1, which are rounded to 8 bits, by a magnitude: the
    /// tangent of a shear, pixels (whose fraction is dropped), degrees counter-clockwise, what a
    /// strength of 1 is raised by, bits that are kept, or the value from which colours are inverted.
    /// What comes in from outside is black.
    ///
    /// # Errors
    /// Never: the shape stays.
    pub fn apply(self, image: &Image, magnitude: f64) -> Result<Image> {
        let values = image.values().iter().map(|value| (value * 255.0).round() as u8);
        let mut pixels = Pixels { shape: image.shape(), values: values.collect() };
        let factor = (1.0 + magnitude) as f32;
        match self {
            Self::Identity => {}
            Self::ShearX => pixels.moved([1.0, magnitude, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY => pixels.moved([1.0, 0.0, 0.0, magnitude, 1.0, 0.0]),
            Self::TranslateX => pixels.moved([1.0, 0.0, -magnitude.trunc(), 0.0, 1.0, 0.0]),
            Self::TranslateY => pixels.moved([1.0, 0.0, 0.0, 0.0, 1.0, -magnitude.trunc()]),
            Self::Rotate => pixels.rotate(magnitude),
            Self::Brightness => pixels.blend(|_, _| 0, factor),
            Self::Color => {
                let grey = pixels.grey();
                pixels.blend(|_, place| grey[place], factor);
            }
            Self::Contrast => {
                let grey = pixels.grey();
                let sum: u64 = grey.iter().map(|&value| u64::from(value)).sum();
                let mean = (sum as f64 / grey.len() as f64 + 0.5) as u8;
                pixels.blend(|_, _| mean, factor);
            }
            Self::Sharpness => {
                let smooth = pixels.smooth();
                let area = pixels.area();
                pixels.blend(|channel, place| smooth[channel * area + place], factor);
            }
            Self::Posterize => {
                let kept = (magnitude as u32).min(8);
                let mask = (0xff00u32 >> kept) as u8;
                pixels.map(|_| std::array::from_fn(|value| value as u8 & mask));
            }
            Self::Solarize => pixels.map(|_| {
                std::array::from_fn(|value| {
                    (if (value as f64) < magnitude { value } else { 255 - value }) as u8
                })
            }),
            Self::AutoContrast => pixels.map(spread),
            Self::Equalize => pixels.map(equalized),
        }
        let values = pixels.values.iter().map(|&value| f32::from(value) / 255.0);
        Image::new(pixels.shape, values.collect())
    }
}

/// An image `[C, H, W]` of 8 bits.
struct Pixels {
    shape: [usize; 3],
    values: Vec<u8>,
}

impl Pixels {
    /// The number of pixels.
    fn area(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// The luminance of each pixel, as in ITU-R 601-2: Pillow's `L`.
    fn grey(&self) -> Vec<u8> {
        let area = self.area();
        let weighted = |place: usize| {
            let of = |channel: usize| u32::from(self.values[channel * area + place]);
            ((of(0) * 19595 + of(1) * 38470 + of(2) * 7471 + 0x8000) >> 16) as u8
        };
        match self.shape[0] {
            3 => (0..area).map(weighted).collect(),
            _ => self.values[..area].to_vec(),
        }
    }

    /// Pillow's filter `SMOOTH`: means of 3x3 pixels, of which the middle one counts five times. The
    /// border stays.
    fn smooth(&self) -> Vec<u8> {
        let [channels, height, width] = self.shape;
        let mut smooth = self.values.clone();
        for channel in 0..channels {
            for row in 1..height.saturating_sub(1) {
                for column in 1..width.saturating_sub(1) {
                    let at = (channel * height + row) * width + column;
                    let rows = [at - width, at, at + width];
                    let around =
                        rows.iter().flat_map(|&middle| &self.values[middle - 1..middle + 2]);
                    let sum: u32 = around.map(|&value| u32::from(value)).sum();
                    let sum = sum + 4 * u32::from(self.values[at]);
                    // Thirteenths are never halves.
                    smooth[at] = ((2 * sum + 13) / 26) as u8;
                }
            }
        }
        smooth
    }

    /// From `other`, of a channel and a place in it, so far towards the image, or beyond it.
    fn blend(&mut self, other: impl Fn(usize, usize) -> u8, factor: f32) {
        let area = self.area();
        for (at, value) in self.values.iter_mut().enumerate() {
            let other = f32::from(other(at / area, at % area));
            // The fraction is dropped, and what is beyond 0 and 255 is cut off.
            *value = (other + factor * (f32::from(*value) - other)) as u8;
        }
    }

    /// Replaces the values of each channel by a table, which is made of how often each occurs.
    fn map(&mut self, table: impl Fn(&[u64; 256]) -> [u8; 256]) {
        let area = self.area();
        for plane in self.values.chunks_exact_mut(area) {
            let mut counts = [0; 256];
            plane.iter().for_each(|&value| counts[usize::from(value)] += 1);
            let table = table(&counts);
            plane.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
        }
    }

    /// Turned about the middle by so many degrees, counter-clockwise.
    fn rotate(&mut self, degrees: f64) {
        let [_, height, width] = self.shape;
        let (sin, cos) = (-degrees.to_radians()).sin_cos();
        let [x, y] = [width, height].map(|side| side as f64 / 2.0);
        self.moved([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]);
    }

    /// Each pixel becomes the one that `[a, b, c, d, e, f]` leads to from its middle (x, y): that at
    /// (a x + b y + c, d x + e y + f); in Pillow's fixed numbers of 16 bits behind the point.
    fn moved(&mut self, [a, b, c, d, e, f]: [f64; 6]) {
        let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
        let [channels, height, width] = self.shape;
        let (x, y) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
        let [a, b, d, e] = [a, b, d, e].map(fixed);
        let before = std::mem::replace(&mut self.values, vec![0; channels * height * width]);
        let inside =
            |fixed: i64, side: usize| usize::try_from(fixed >> 16).ok().filter(|&at| at < side);
        for place in 0..height * width {
            let (row, column) = ((place / width) as i64, (place % width) as i64);
            let from = inside(y + column * d + row * e, height)
                .zip(inside(x + column * a + row * b, width));
            let Some((row, column)) = from else { continue };
            for channel in 0..channels {
                let plane = channel * height * width;
                self.values[plane + place] = before[plane + row * width + column];
            }
        }
    }
}

/// The table that spreads the values that occur over all of them.
fn spread(counts: &[u64; 256]) -> [u8; 256] {
    let occurs = |value: &usize| counts[*value] > 0;
    let low = (0..256).find(occurs).unwrap_or(0);
    let high = (0..256).rfind(occurs).unwrap_or(0);
    if high <= low {
        return std::array::from_fn(|value| value as u8);
    }
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    std::array::from_fn(|value| (value as f64 * scale + offset) as u8)
}

/// The table after which all values occur about as often.
fn equalized(counts: &[u64; 256]) -> [u8; 256] {
    let same = std::array::from_fn(|value| value as u8);
    let last = counts.iter().rfind(|&&count| count > 0).unwrap_or(&0);
    let step = (counts.iter().sum::<u64>() - last) / 255;
    if step == 0 {
        return same;
    }
    let mut below = step / 2;
    let mut table = same;
    for (value, count) in table.iter_mut().zip(counts) {
        *value = (below / step).min(255) as u8;
        below += count;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize)]
    struct Golden {
        images: BTreeMap<String, Original>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Original {
        shape: [usize; 3],
        values: String,
    }

    #[derive(Deserialize)]
    struct Case {
        image: String,
        operation: String,
        magnitude: f64,
        result: String,
    }

    fn bytes(digits: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    /// By `tests/golden/augment.py`.
    #[test]
    fn every_operation_is_pillows_to_the_bit() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/augment.json")).unwrap();
        let mut tried = Vec::new();
        for Case { image, operation, magnitude, result } in golden.cases {
            let Original { shape, values } = &golden.images[&image];
            let values = bytes(values).iter().map(|&value| f32::from(value) / 255.0).collect();
            let image = Image::new(*shape, values).unwrap();
            let of_name = |one: &Operation| format!("{one:?}") == operation;
            let one = Operation::ALL.into_iter().find(of_name).unwrap();
            let found = one.apply(&image, magnitude).unwrap();
            let found: Vec<u8> = found.values().iter().map(|v| (v * 255.0).round() as u8).collect();
            let expected = bytes(&result);
            let differ = (0..expected.len()).filter(|&at| expected[at] != found[at]).count();
            assert_eq!(differ, 0, "{operation} {magnitude}: {found:?} instead of {expected:?}");
            tried.push(one);
        }
        assert!(Operation::ALL.iter().all(|one| tried.contains(one)));
    }

    #[test]
    fn images_of_one_pixel_and_of_two_channels_go_through() {
        for shape in [[1, 1, 1], [2, 1, 3], [3, 2, 1]] {
            let image = Image::from_fn(shape, |c, y, x| (c + y + x) as f32 / 5.0);
            for one in Operation::ALL {
                for magnitude in [-0.99, 0.0, 0.99, 300.0] {
                    assert_eq!(one.apply(&image, magnitude).unwrap().shape(), shape);
                }
            }
        }
    }
}
