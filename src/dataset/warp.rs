//! A part of a picture under an affine map: turned, scaled and mirrored in one go.

use super::landmarks::Affine;
use super::picture::{Channels, Picture};
use super::{Image, landmarks::Point};
use crate::Result;

/// What `map`, from the picture's pixels to those of the image, shows in an image `[C, size, size]` of
/// values 0 to 1; what lies outside of the picture is 0.
///
/// Between pixels it is bilinear. Where the picture shrinks, a pixel is the mean of as many such values
/// along each side as it covers pixels, up to 16.
pub(super) fn warped(picture: &Picture, map: &Affine, size: usize) -> Result<Image> {
    const MOST: f64 = 16.0;
    let [height, width] = picture.sides();
    let [full_height, full_width] = picture.full_sides();
    let factor = [full_width as f64 / width as f64, full_height as f64 / height as f64];
    let back = map.of_larger_pixels(factor).inverse();
    let taps = back.scale().ceil().clamp(1.0, MOST) as usize;
    let places: Vec<f64> = (0..taps).map(|k| (k as f64 + 0.5) / taps as f64 - 0.5).collect();
    let share = 1.0 / (255 * taps * taps) as f32;
    let mut pixels = Vec::with_capacity(size * size);
    for row in 0..size {
        for column in 0..size {
            let mut sum = [0.0f32; 3];
            for down in &places {
                for right in &places {
                    let at = back.apply([column as f64 + right, row as f64 + down]);
                    add(&mut sum, picture, at);
                }
            }
            pixels.push(sum.map(|sum| sum * share));
        }
    }
    let plane = |channel: usize| pixels.iter().map(move |pixel| pixel[channel]);
    let grey = |[r, g, b]: &[f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
    match picture.channels() {
        Channels::Grey => Image::new([1, size, size], pixels.iter().map(grey).collect()),
        Channels::Rgb => Image::new([3, size, size], (0..3).flat_map(plane).collect()),
    }
}

/// Adds the bilinear value at a point. Nearly all points lie between four pixels, whose values and shares
/// are summed in the same order as those at an edge, without asking of each whether it is there.
fn add(sum: &mut [f32; 3], picture: &Picture, at: Point) {
    let [x, y] = at;
    let [height, width] = picture.sides();
    // Also not of what is no number.
    let is_inside = x >= 0.0 && y >= 0.0 && x + 1.0 < width as f64 && y + 1.0 < height as f64;
    if !is_inside {
        return add_at_edge(sum, picture, at);
    }
    let (left, top) = (x as u32, y as u32);
    let (right, lower) = ((x - f64::from(left)) as f32, (y - f64::from(top)) as f32);
    let (other_row, other_column) = (1.0 - lower, 1.0 - right);
    let shares = [other_row * other_column, other_row * right, lower * other_column, lower * right];
    for (share, pixel) in shares.into_iter().zip(picture.square(top as usize, left as usize)) {
        sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += share * f32::from(v));
    }
}

/// The same anywhere; what is not there is 0.
fn add_at_edge(sum: &mut [f32; 3], picture: &Picture, [x, y]: Point) {
    let [height, width] = picture.sides();
    let (left, top) = (x.floor(), y.floor());
    // Also of what is no number.
    let is_near = left >= -1.0 && top >= -1.0 && left < width as f64 && top < height as f64;
    if !is_near {
        return;
    }
    let (right_share, lower_share) = ((x - left) as f32, (y - top) as f32);
    let (left, top) = (left as isize, top as isize);
    for (row, row_share) in [(top, 1.0 - lower_share), (top + 1, lower_share)] {
        for (column, column_share) in [(left, 1.0 - right_share), (left + 1, right_share)] {
            let share = row_share * column_share;
            let is_inside = row >= 0 && column >= 0;
            let (row, column) = (row as usize, column as usize);
            if share > 0.0 && is_inside && row < height && column < width {
                let pixel = picture.pixel(row, column);
                sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += share * f32::from(v));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Reading;
    use crate::dataset::picture::read_picture;

    #[test]
    fn between_four_pixels_the_value_is_that_of_any_point_to_the_bit() {
        let mut rng = fastrand::Rng::with_seed(1);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        let noise = image::RgbImage::from_fn(9, 7, |_, _| image::Rgb([(); 3].map(|()| rng.u8(..))));
        noise.save(&file).unwrap();
        let picture = read_picture(&file, Reading::upright(Channels::Rgb)).unwrap();
        let corners = [[0.0, 0.0], [8.0, 6.0], [7.0, 5.0], [-1.0, 3.0], [f64::NAN, 0.0]];
        let drawn: Vec<Point> =
            (0..2000).map(|_| [12.0 * rng.f64() - 1.5, 10.0 * rng.f64() - 1.5]).collect();
        let mut between = 0;
        for at in corners.into_iter().chain(drawn) {
            // On top of a sum, as in a pixel that covers several.
            let [mut fast, mut slow] = [[rng.f32(); 3]; 2];
            add(&mut fast, &picture, at);
            add_at_edge(&mut slow, &picture, at);
            assert_eq!(fast.map(f32::to_bits), slow.map(f32::to_bits), "{at:?}");
            between += u32::from((0.0..8.0).contains(&at[0]) && (0.0..6.0).contains(&at[1]));
        }
        assert!((500..1500).contains(&between), "{between}");
    }
}
