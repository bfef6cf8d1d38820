//! A part of a picture under an affine map: turned, scaled and mirrored in one go.

use super::Image;
use super::landmarks::{Affine, Point};
use super::picture::{Channels, Picture};
use crate::Result;
use std::ops::Range;

/// What `map`, from the picture's pixels to those of the image, shows in an image `[C, size, size]` of
/// values 0 to 1; what lies outside of the picture is 0.
///
/// Where the picture shrinks, it is first made of means of `s x s` pixels, s being the whole number nearest
/// to what lengths are divided by, up to 16. Of these, or of the pixels themselves, a value is bilinear.
pub(super) fn warped(picture: &Picture, map: &Affine, size: usize) -> Result<Image> {
    const MOST: f64 = 16.0;
    let [height, width] = picture.sides();
    let [full_height, full_width] = picture.full_sides();
    let factor = [full_width as f64 / width as f64, full_height as f64 / height as f64];
    let shrinks = map.of_larger_pixels(factor).inverse().scale();
    // At least 1 also of what is no number.
    let side = (shrinks.round().min(MOST) as usize).max(1);
    let back = map.of_larger_pixels(factor.map(|factor| factor * side as f64)).inverse();
    let cells = Cells::shown(picture, &back, size, side);
    let share = 1.0 / (255 * side * side) as f32;
    let places = (0..size).flat_map(|row| (0..size).map(move |column| [column as f64, row as f64]));
    let pixels = places.map(|place| cells.bilinear(back.apply(place)).map(|sum| sum * share));
    let grey = |[r, g, b, _]: [f32; 4]| 0.299 * r + 0.587 * g + 0.114 * b;
    match picture.channels() {
        Channels::Grey => Image::new([1, size, size], pixels.map(grey).collect()),
        Channels::Rgb => {
            let mut values = vec![0.0; 3 * size * size];
            let (red, others) = values.split_at_mut(size * size);
            let (green, blue) = others.split_at_mut(size * size);
            let planes = red.iter_mut().zip(green).zip(blue);
            for (((red, green), blue), [r, g, b, _]) in planes.zip(pixels) {
                (*red, *green, *blue) = (r, g, b);
            }
            Image::new([3, size, size], values)
        }
    }
}

/// Sums over squares of pixels, red, green and blue, of the part of a picture that an image shows. Around
/// it are cells of zeros, one before and two behind, so that nobody asks whether a neighbour is there.
struct Cells {
    sums: Vec<[f32; 4]>,
    /// Row and column, among all cells of the picture, of the first that is not of the border.
    first: [usize; 2],
    /// Without the border.
    rows: usize,
    columns: usize,
}

/// Cells of the border along a side.
const BORDER: usize = 3;

impl Cells {
    /// Those of `side x side` pixels that an image of `size` pixels shows, whose pixels `back` leads to cells.
    fn shown(picture: &Picture, back: &Affine, size: usize, side: usize) -> Self {
        let [height, width] = picture.sides();
        let last = size as f64 - 1.0;
        let corners = [[0.0, 0.0], [last, 0.0], [0.0, last], [last, last]].map(|at| back.apply(at));
        // With the neighbour that a bilinear value asks for.
        let range = |axis: usize, count: usize| {
            let along = corners.map(|at| at[axis]);
            let low = along.into_iter().fold(f64::INFINITY, f64::min).floor();
            let high = along.into_iter().fold(f64::NEG_INFINITY, f64::max).floor() + 2.0;
            // A float that is below 0, or no number, becomes 0.
            let low = (low as usize).min(count);
            low..(high as usize).clamp(low, count)
        };
        let (rows, columns) = (range(1, height.div_ceil(side)), range(0, width.div_ceil(side)));
        let mut cells = Self {
            sums: vec![[0.0; 4]; (rows.len() + BORDER) * (columns.len() + BORDER)],
            first: [rows.start, columns.start],
            rows: rows.len(),
            columns: columns.len(),
        };
        for row in rows.start * side..(rows.end * side).min(height) {
            cells.add_row(
                picture,
                row,
                columns.start * side..(columns.end * side).min(width),
                side,
            );
        }
        cells
    }

    /// Adds a row of the picture.
    fn add_row(&mut self, picture: &Picture, row: usize, columns: Range<usize>, side: usize) {
        let start = (row / side - self.first[0] + 1) * (self.columns + BORDER) + 1;
        let into = &mut self.sums[start..][..self.columns];
        let mut pixels = picture.pixels(row, columns);
        for sum in into {
            for [r, g, b] in pixels.by_ref().take(side) {
                [r, g, b].into_iter().zip(&mut *sum).for_each(|(v, sum)| *sum += f32::from(v));
            }
        }
    }

    /// The bilinear value at a place that counts in cells; 0 where there are none.
    fn bilinear(&self, [x, y]: Point) -> [f32; 4] {
        // On the border everything is 0, as beyond it; also what is no number is taken there.
        let within = |at: f64, first: usize, count: usize| {
            (at - first as f64 + 1.0).max(0.0).min(count as f64 + 1.0)
        };
        let x = within(x, self.first[1], self.columns);
        let y = within(y, self.first[0], self.rows);
        let (left, top) = (x as u32, y as u32);
        let (right, lower) = ((x - f64::from(left)) as f32, (y - f64::from(top)) as f32);
        let at = top as usize * (self.columns + BORDER) + left as usize;
        let below = at + self.columns + BORDER;
        let (upper, below) = (&self.sums[at..at + 2], &self.sums[below..below + 2]);
        let shares = [
            (1.0 - lower) * (1.0 - right),
            (1.0 - lower) * right,
            lower * (1.0 - right),
            lower * right,
        ];
        let mut sum = [0.0; 4];
        for (share, cell) in shares.into_iter().zip([upper[0], upper[1], below[0], below[1]]) {
            sum.iter_mut().zip(cell).for_each(|(sum, v)| *sum += share * v);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Reading;
    use crate::dataset::picture::read_picture;

    /// The same, cell by cell and pixel by pixel.
    fn slow(picture: &Picture, map: &Affine, size: usize) -> Vec<[f64; 3]> {
        let [height, width] = picture.sides();
        let side = map.inverse().scale().round().clamp(1.0, 16.0) as isize;
        let back = map.of_larger_pixels([side as f64; 2]).inverse();
        let mean = |row: isize, column: isize| {
            let mut sum = [0.0; 3];
            for row in row * side..(row + 1) * side {
                for column in column * side..(column + 1) * side {
                    let is_inside = (0..height as isize).contains(&row)
                        && (0..width as isize).contains(&column);
                    if is_inside {
                        let pixel =
                            picture.pixels(row as usize, column as usize..width).next().unwrap();
                        sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += f64::from(v) / 255.0);
                    }
                }
            }
            sum.map(|sum| sum / (side * side) as f64)
        };
        let mut values = Vec::new();
        for row in 0..size {
            for column in 0..size {
                let [x, y] = back.apply([column as f64, row as f64]);
                let (left, top) = (x.floor(), y.floor());
                let mut sum = [0.0; 3];
                for (down, row_share) in [(0, 1.0 - (y - top)), (1, y - top)] {
                    for (right, column_share) in [(0, 1.0 - (x - left)), (1, x - left)] {
                        let mean = mean(top as isize + down, left as isize + right);
                        sum.iter_mut()
                            .zip(mean)
                            .for_each(|(sum, v)| *sum += row_share * column_share * v);
                    }
                }
                values.push(sum);
            }
        }
        values
    }

    fn noise(width: u32, height: u32, channels: Channels, rng: &mut fastrand::Rng) -> Picture {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        let noise = image::RgbImage::from_fn(width, height, |_, _| {
            image::Rgb([(); 3].map(|()| rng.u8(..)))
        });
        noise.save(&file).unwrap();
        read_picture(&file, Reading::upright(channels)).unwrap()
    }

    #[test]
    fn every_map_shows_what_its_slow_twin_shows() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut shrunk = 0;
        for _ in 0..60 {
            let picture = noise(rng.u32(1..60), rng.u32(1..60), Channels::Rgb, &mut rng);
            let centre = [0; 2].map(|_: i32| 90.0 * rng.f64() - 20.0);
            let size = rng.usize(1..40);
            let map = Affine::square(centre, 80.0 * rng.f64() + 1.0, 7.0 * rng.f64(), size);
            let map = if rng.bool() { map.mirrored(size) } else { map };
            let image = warped(&picture, &map, size).unwrap();
            shrunk += usize::from(map.scale() < 0.5);
            for (at, expected) in slow(&picture, &map, size).into_iter().enumerate() {
                let found = [0, 1, 2].map(|plane| image.values()[plane * size * size + at]);
                for (found, expected) in found.into_iter().zip(expected) {
                    assert!(
                        (f64::from(found) - expected).abs() < 1e-6,
                        "{found} {expected} {map:?}"
                    );
                }
            }
        }
        assert!((15..45).contains(&shrunk), "{shrunk}");
    }

    #[test]
    fn what_lies_elsewhere_is_black() {
        let picture = noise(9, 7, Channels::Grey, &mut fastrand::Rng::with_seed(2));
        for centre in [[-50.0, 3.0], [4.0, 1e9], [1e300, -1e300], [f64::NAN, 3.0]] {
            for side in [1e-3, 5.0, 30.0] {
                let map = Affine::square(centre, side, 0.3, 8);
                let image = warped(&picture, &map, 8).unwrap();
                assert!(image.values().iter().all(|value| *value == 0.0), "{centre:?} {side}");
            }
        }
        // And so is a picture that is far smaller than a pixel.
        let image = warped(&picture, &Affine::square([4.0, 3.0], 1e12, 0.0, 8), 8).unwrap();
        assert!(image.values().iter().all(|value| *value < 1e-3));
    }
}
