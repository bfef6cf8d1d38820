//! Shrinking a grey picture by areas: a pixel is the mean of what it covers.

/// Shrinks pictures of one size, as OpenCV's `INTER_AREA` does: each pixel is the mean of the part of the
/// picture that it covers, pixels at its edge by their share.
pub(super) struct Area {
    columns: Vec<Taps>,
    rows: Vec<Taps>,
    width: usize,
    sums: Vec<f32>,
}

/// What a pixel is made of along one axis: the first pixel, and how much of each counts.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let tap = |at: usize| {
        let (start, end) = (at as f64 * scale, ((at + 1) as f64 * scale).min(from as f64));
        let covered =
            |pixel: usize| (end.min(pixel as f64 + 1.0) - start.max(pixel as f64)) / scale;
        // An edge that is off by a rounding error covers nothing.
        let touched = start as usize..(end.ceil() as usize).min(from);
        let weights: Vec<f64> = touched.map(covered).take_while(|share| *share > 1e-6).collect();
        let sum: f64 = weights.iter().sum();
        let weights = weights.iter().map(|weight| (weight / sum) as f32).collect();
        Taps { first: start as usize, weights }
    };
    (0..to).map(tap).collect()
}

impl Area {
    /// From one size to another, `[H, W]`, which is not larger; none is 0.
    pub(super) fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        let [[height, width], [rows, columns]] = [from, to];
        let (rows, columns) = (taps(height, rows), taps(width, columns));
        Self { columns, rows, width, sums: vec![0.0; width] }
    }

    /// Shrinks a picture.
    pub(super) fn shrink(&mut self, picture: &[u8], into: &mut [u8]) {
        let Self { columns, rows, width, sums } = self;
        for (taps, into) in rows.iter().zip(into.chunks_exact_mut(columns.len())) {
            sums.fill(0.0);
            let lines = picture[taps.first * *width..].chunks_exact(*width);
            for (weight, line) in taps.weights.iter().zip(lines) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += weight * f32::from(*value);
                }
            }
            for (taps, pixel) in columns.iter().zip(into) {
                let products = taps.weights.iter().zip(&sums[taps.first..]);
                *pixel = products.map(|(weight, sum)| weight * sum).sum::<f32>().round() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(picture: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
        let mut small = vec![0; to[0] * to[1]];
        Area::new(from, to).shrink(picture, &mut small);
        small
    }

    #[test]
    fn whole_pixels_are_averaged() {
        assert_eq!(shrunk(&[0, 10, 20, 30, 100, 110, 120, 130], [2, 4], [1, 2]), [55, 75]);
    }

    #[test]
    fn edges_count_by_their_share() {
        // Three halves each: 90, and half of 60; half of 60, and 30.
        assert_eq!(shrunk(&[90, 60, 30], [1, 3], [1, 2]), [80, 40]);
        assert_eq!(shrunk(&[90, 60, 30], [3, 1], [2, 1]), [80, 40]);
    }

    #[test]
    fn a_flat_picture_and_the_same_size_stay() {
        assert!(shrunk(&[77; 210 * 160], [210, 160], [84, 84]).iter().all(|pixel| *pixel == 77));
        assert_eq!(shrunk(&[1, 2, 3, 4], [2, 2], [2, 2]), [1, 2, 3, 4]);
    }
}
