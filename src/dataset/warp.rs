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

/// Adds the bilinear value at a point.
fn add(sum: &mut [f32; 3], picture: &Picture, [x, y]: Point) {
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
