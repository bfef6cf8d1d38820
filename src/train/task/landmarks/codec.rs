//! From points to heat maps, and back.

use crate::dataset::landmarks::Point;
use crate::train::choice::CodecName;

/// How a point is drawn into a map `[H, W]`, and found in one. Places are in pixels of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    /// Which of the two.
    pub name: CodecName,
    /// Standard deviation of a Gaussian.
    pub sigma: f64,
}

impl Codec {
    /// Adds a Gaussian of height 1 to an empty map `[height, width]`.
    ///
    /// Of `hrnet`, its middle is rounded to a pixel, and it ends 3 sigma from there, as
    /// `generate_target` of HRNet-Facial-Landmark-Detection does (which cuts off the digits of a place
    /// that counts from the edge).
    pub fn draw(&self, map: &mut [f32], [height, width]: [usize; 2], at: Point) {
        let (at, reach) = match self.name {
            CodecName::Subpixel => (at, f64::INFINITY),
            // A half is rounded up, as by cutting off.
            CodecName::Hrnet => (at.map(|v| (v + 0.5).floor()), (3.0 * self.sigma).floor()),
        };
        let along = |size: usize, middle: f64| -> Vec<f32> {
            let value = |k: usize| {
                let distance = k as f64 - middle;
                let inside = distance.abs() <= reach;
                if inside { (-(distance / self.sigma).powi(2) / 2.0).exp() as f32 } else { 0.0 }
            };
            (0..size).map(value).collect()
        };
        let (columns, rows) = (along(width, at[0]), along(height, at[1]));
        for (line, down) in map.chunks_mut(width.max(1)).zip(rows) {
            line.iter_mut().zip(&columns).for_each(|(value, right)| *value = down * right);
        }
    }

    /// Where the largest value of a map `[height, width]` is, and that value.
    ///
    /// Between pixels: at the top of the parabola through the logarithms of the largest value and its
    /// neighbours, which is exact for a Gaussian (Zhang et al., 2020, "Distribution-aware coordinate
    /// representation for human pose estimation"). At an edge there is one neighbour, which tells the place
    /// since sigma is known; it may be half a pixel further out. Of `hrnet`, a quarter of a pixel towards
    /// the larger neighbour, and none at an edge.
    pub fn find(&self, map: &[f32], [height, width]: [usize; 2]) -> (Point, f64) {
        let largest =
            (0..map.len()).fold(0, |best, at| if map[at] > map[best] { at } else { best });
        let (row, column) = (largest / width, largest % width);
        let inwards = |inner: usize| match self.name {
            CodecName::Subpixel => self.top_at_edge(map[largest], map[inner]),
            CodecName::Hrnet => 0.0,
        };
        let towards = |at: usize, size: usize, step: usize| {
            match (at == 0, at + 1 >= size) {
                (true, true) => return 0.0,
                (true, false) => return inwards(largest + step),
                (false, true) => return -inwards(largest - step),
                (false, false) => {}
            }
            let [before, top, after] =
                [largest - step, largest, largest + step].map(|at| f64::from(map[at]));
            match self.name {
                CodecName::Subpixel => top_of_parabola([before, top, after]),
                CodecName::Hrnet if after > before => 0.25,
                CodecName::Hrnet if after < before => -0.25,
                CodecName::Hrnet => 0.0,
            }
        };
        let x = column as f64 + towards(column, width, 1);
        let y = row as f64 + towards(row, height, width);
        ([x, y], f64::from(map[largest]))
    }

    /// How far inside of the pixel at an edge, of value `top`, a Gaussian has its middle, by the value of
    /// the pixel next to it: `(1 - 2 sigma^2 ln(top / inner)) / 2`.
    fn top_at_edge(&self, top: f32, inner: f32) -> f64 {
        let [top, inner] = [top, inner].map(|value| f64::from(value).max(LEAST).ln());
        // Of two alike one cannot tell which is the top.
        if top <= inner {
            return 0.0;
        }
        (0.5 - self.sigma.powi(2) * (top - inner)).clamp(-0.5, 0.5)
    }
}

/// Far below any value that says something, and above 0, which has no logarithm.
const LEAST: f64 = 1e-10;

/// Where the parabola through logarithms at -1, 0 and 1 is highest.
fn top_of_parabola(values: [f64; 3]) -> f64 {
    let [before, top, after] = values.map(|value| value.max(LEAST).ln());
    let curvature = before - 2.0 * top + after;
    if curvature < -1e-9 { ((before - after) / (2.0 * curvature)).clamp(-0.5, 0.5) } else { 0.0 }
}

/// A place among `size` pixels in pixels of which there are `other` over the same length.
pub fn rescaled(point: Point, size: usize, other: [usize; 2]) -> Point {
    // Pixel k lies from k - 1/2 to k + 1/2.
    let [height, width] = other;
    let along = |v: f64, other: usize| (v + 0.5) * other as f64 / size as f64 - 0.5;
    [along(point[0], width), along(point[1], height)]
}

/// The way back.
pub fn unscaled(point: Point, size: usize, other: [usize; 2]) -> Point {
    let [height, width] = other;
    let along = |v: f64, other: usize| (v + 0.5) * size as f64 / other as f64 - 0.5;
    [along(point[0], width), along(point[1], height)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean distance between drawn and found points that are not at the edge, in pixels.
    fn floor_of(name: CodecName) -> f64 {
        let codec = Codec { name, sigma: 1.5 };
        let mut rng = fastrand::Rng::with_seed(3);
        let (sides, count) = ([48, 64], 2000);
        let mut sum = 0.0;
        for _ in 0..count {
            let at = [2.0 + 59.0 * rng.f64(), 2.0 + 43.0 * rng.f64()];
            let mut map = vec![0.0; sides[0] * sides[1]];
            codec.draw(&mut map, sides, at);
            let (found, height) = codec.find(&map, sides);
            assert!(height > 0.8);
            sum += (found[0] - at[0]).hypot(found[1] - at[1]);
        }
        sum / f64::from(count)
    }

    /// pose-hg #16: what a codec loses on perfect Gaussians. That of a rounded middle is the mean distance
    /// to the middle of a square, `(sqrt 2 + ln(1 + sqrt 2)) / 6 = 0.3826`.
    #[test]
    fn a_codec_loses_what_it_must() {
        let subpixel = floor_of(CodecName::Subpixel);
        assert!(subpixel < 0.005, "{subpixel}");
        let hrnet = floor_of(CodecName::Hrnet);
        assert!((hrnet - 0.38).abs() < 0.03, "{hrnet}");
    }

    #[test]
    fn a_point_in_the_pixels_at_an_edge_is_found_as_any_other() {
        let codec = Codec { name: CodecName::Subpixel, sigma: 1.5 };
        let mut map = vec![0.0; 5 * 7];
        for at in [[-0.4, 2.2], [0.3, -0.25], [6.45, 4.1], [5.8, 0.0], [3.0, 4.49]] {
            codec.draw(&mut map, [5, 7], at);
            let ([x, y], _) = codec.find(&map, [5, 7]);
            assert!((x - at[0]).abs() < 1e-5 && (y - at[1]).abs() < 1e-5, "{at:?}: {x}, {y}");
        }
        // Further out it is where a picture ends.
        codec.draw(&mut map, [5, 7], [-2.0, 2.0]);
        assert_eq!(codec.find(&map, [5, 7]).0, [-0.5, 2.0]);
    }

    #[test]
    fn a_map_without_a_top_has_a_place_all_the_same() {
        for name in [CodecName::Subpixel, CodecName::Hrnet] {
            let codec = Codec { name, sigma: 1.5 };
            for value in [0.0, -1.0, 5.0] {
                let (found, height) = codec.find(&[value; 12], [3, 4]);
                assert_eq!((found, height), ([0.0, 0.0], f64::from(value)));
            }
            assert_eq!(codec.find(&[1.0], [1, 1]).0, [0.0, 0.0]);
        }
    }

    #[test]
    fn heat_maps_lie_over_their_image_edge_to_edge() {
        // The corner of 64 pixels is that of 16.
        assert_eq!(rescaled([-0.5, 63.5], 64, [16, 16]), [-0.5, 15.5]);
        assert_eq!(unscaled(rescaled([10.0, 20.0], 64, [8, 16]), 64, [8, 16]), [10.0, 20.0]);
        // A mirror of one is a mirror of the other.
        let [x, _] = rescaled([10.0, 0.0], 64, [16, 16]);
        assert_eq!(rescaled([63.0 - 10.0, 0.0], 64, [16, 16])[0], 15.0 - x);
    }
}
