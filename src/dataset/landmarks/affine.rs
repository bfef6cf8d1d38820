//! From a picture's pixels to those of a crop: one affine map, which carries points as it does pixels.

use super::Point;

/// `x -> a x + b` in pixels; pixel (0, 0) has its middle at the point (0, 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Rows of the matrix.
    a: [[f64; 2]; 2],
    b: Point,
}

impl Affine {
    /// The square of `side` pixels around `centre`, turned by `angle` (radians, counter-clockwise as a
    /// viewer sees it), as an image of `size` pixels.
    pub fn square(centre: Point, side: f64, angle: f64, size: usize) -> Self {
        let scale = size as f64 / side;
        let (sin, cos) = (scale * angle.sin(), scale * angle.cos());
        // Rows run downwards.
        let a = [[cos, sin], [-sin, cos]];
        let middle = (size as f64 - 1.0) / 2.0;
        let b = [0, 1].map(|i| middle - a[i][0] * centre[0] - a[i][1] * centre[1]);
        Self { a, b }
    }

    /// The same, and then mirrored in an image of `size` pixels: column x becomes `size - 1 - x`.
    pub fn mirrored(self, size: usize) -> Self {
        let Self { a: [[p, q], below], b: [x, y] } = self;
        Self { a: [[-p, -q], below], b: [size as f64 - 1.0 - x, y] }
    }

    /// Where a point goes.
    pub fn apply(&self, [x, y]: Point) -> Point {
        [0, 1].map(|i| self.a[i][0] * x + self.a[i][1] * y + self.b[i])
    }

    /// The way back.
    pub fn inverse(&self) -> Self {
        let [[p, q], [r, s]] = self.a;
        let determinant = p * s - q * r;
        let a = [[s, -q], [-r, p]].map(|row| row.map(|v| v / determinant));
        let b = [0, 1].map(|i| -(a[i][0] * self.b[0] + a[i][1] * self.b[1]));
        Self { a, b }
    }

    /// What lengths are multiplied with.
    pub fn scale(&self) -> f64 {
        let [[p, q], [r, s]] = self.a;
        (p * s - q * r).abs().sqrt()
    }

    /// The same map of a picture that was decoded at another size, whose pixels are `factor` times as
    /// large along each side.
    pub(in crate::dataset) fn of_larger_pixels(&self, factor: Point) -> Self {
        // The middle of pixel k is at `factor (k + 1/2) - 1/2`.
        let start = self.apply(factor.map(|factor| factor / 2.0 - 0.5));
        let a = self.a.map(|[x, y]| [x * factor[0], y * factor[1]]);
        Self { a, b: start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near([x, y]: Point, [u, v]: Point) -> bool {
        (x - u).abs() < 1e-9 && (y - v).abs() < 1e-9
    }

    #[test]
    fn a_square_fills_the_image() {
        // Four pixels around (5.5, 7.5): columns 4 to 7, rows 6 to 9.
        let map = Affine::square([5.5, 7.5], 4.0, 0.0, 8);
        assert!(near(map.apply([5.5, 7.5]), [3.5, 3.5]));
        // The left upper corner of pixel (4, 6) is that of pixel (0, 0).
        assert!(near(map.apply([3.5, 5.5]), [-0.5, -0.5]));
        assert!((map.scale() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_quarter_turn_brings_the_right_to_the_top() {
        let map = Affine::square([2.0, 2.0], 5.0, std::f64::consts::FRAC_PI_2, 5);
        assert!(near(map.apply([4.0, 2.0]), [2.0, 0.0]));
        assert!(near(map.mirrored(5).apply([2.0, 0.0]), [4.0, 2.0]));
    }

    #[test]
    fn the_inverse_leads_back() {
        let map = Affine::square([31.0, -4.0], 17.0, 0.4, 64).mirrored(64);
        for point in [[0.0, 0.0], [12.5, 9.0], [-3.0, 400.0]] {
            assert!(near(map.inverse().apply(map.apply(point)), point));
            // Pixels twice as large: pixel (a, b) has its middle at (2 a + 1/2, 2 b + 1/2).
            let half = map.of_larger_pixels([2.0, 2.0]);
            assert!(near(half.apply(point), map.apply(point.map(|v| 2.0 * v + 0.5))));
        }
    }
}
