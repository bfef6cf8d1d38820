//! Shrinking a grey picture by areas: a pixel is the mean of what it covers.

/// Shrinks pictures of one size, as OpenCV's `INTER_AREA` does: each pixel is the mean of the part of the
/// picture that it covers, pixels at its edge by their share.
pub(super) struct Area {
    columns: Taps,
    rows: Taps,
    width: usize,
    sums: Vec<f32>,
}

/// What the pixels are made of along one axis: the first pixel of each, and how much of it and of those
/// behind it counts, `reach` for each, of which the last ones may count nothing.
struct Taps {
    first: Vec<usize>,
    weights: Vec<f32>,
    reach: usize,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let reach = (scale.ceil() as usize + 1).min(from);
        let (mut first, mut weights) = (Vec::new(), Vec::new());
        for at in 0..to {
            let (start, end) = (at as f64 * scale, (at + 1) as f64 * scale);
            let touched = (start as usize).min(from - reach);
            first.push(touched);
            weights.extend((touched..touched + reach).map(|pixel| {
                let covered = end.min(pixel as f64 + 1.0) - start.max(pixel as f64);
                (covered.max(0.0) / scale) as f32
            }));
        }
        Self { first, weights, reach }
    }

    /// The first pixel, and the weights, of each.
    fn each(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.first.iter().copied().zip(self.weights.chunks_exact(self.reach))
    }
}

impl Area {
    /// From one size to another, `[H, W]`, which is not larger; none is 0.
    pub(super) fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        let [[height, width], [rows, columns]] = [from, to];
        let (rows, columns) = (Taps::new(height, rows), Taps::new(width, columns));
        Self { columns, rows, width, sums: vec![0.0; width] }
    }

    /// Shrinks a picture.
    pub(super) fn shrink(&mut self, picture: &[u8], into: &mut [u8]) {
        let Self { columns, rows, width, sums } = self;
        for ((first, weights), into) in rows.each().zip(into.chunks_exact_mut(columns.first.len()))
        {
            sums.fill(0.0);
            let lines = picture[first * *width..].chunks_exact(*width);
            for (weight, line) in weights.iter().zip(lines) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += weight * f32::from(*value);
                }
            }
            match columns.reach {
                // The one of Atari, whose loop is unrolled.
                3 => across::<3>(columns, sums, into),
                _ => {
                    for ((first, weights), pixel) in columns.each().zip(into) {
                        let products = weights.iter().zip(&sums[first..]);
                        *pixel = rounded(products.map(|(weight, sum)| weight * sum).sum());
                    }
                }
            }
        }
    }
}

fn across<const REACH: usize>(columns: &Taps, sums: &[f32], into: &mut [u8]) {
    let weights = columns.weights.as_chunks::<REACH>().0;
    for ((first, weights), pixel) in columns.first.iter().zip(weights).zip(into) {
        if let Some(sums) = sums[*first..].first_chunk::<REACH>() {
            *pixel = rounded((0..REACH).map(|at| weights[at] * sums[at]).sum());
        }
    }
}

fn rounded(value: f32) -> u8 {
    (value + 0.5) as u8
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
    fn a_screen_is_averaged_over_the_parts_of_its_pixels() {
        // In both sizes at once a screen has 2 times 21 parts for a pixel, a frame 5 times 40.
        let mut rng = fastrand::Rng::with_seed(1);
        let screen: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(210 * 160).collect();
        let small = shrunk(&screen, [210, 160], [84, 84]);
        for (at, pixel) in small.iter().enumerate() {
            let (top, left) = (at / 84 * 5, at % 84 * 40);
            let parts = (top..top + 5).flat_map(|y| (left..left + 40).map(move |x| (y, x)));
            let sum: f64 = parts.map(|(y, x)| f64::from(screen[y / 2 * 160 + x / 21])).sum();
            assert!((f64::from(*pixel) - sum / 200.0).abs() <= 0.5001, "pixel {at}");
        }
    }

    #[test]
    fn a_flat_picture_and_the_same_size_stay() {
        assert!(shrunk(&[77; 210 * 160], [210, 160], [84, 84]).iter().all(|pixel| *pixel == 77));
        assert_eq!(shrunk(&[1, 2, 3, 4], [2, 2], [2, 2]), [1, 2, 3, 4]);
    }
}
