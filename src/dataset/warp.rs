//! A part of a picture under an affine map: turned, scaled and mirrored in one go.

use super::landmarks::Affine;
use super::picture::{Bytes, Channels, Picture};
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
    let mut pixels = vec![[0.0; 3]; size * size];
    for (row, line) in pixels.chunks_mut(size.max(1)).enumerate() {
        let mut first = 0;
        for line in line.chunks_mut(LANES) {
            let mut sums = [[0.0f32; 4]; LANES];
            for down in &places {
                for right in &places {
                    let points = std::array::from_fn(|lane| {
                        back.apply([(first + lane) as f64 + right, row as f64 + down])
                    });
                    add_all(&mut sums, picture, points);
                }
            }
            let each = line.iter_mut().zip(sums);
            each.for_each(|(pixel, [r, g, b, _])| *pixel = [r, g, b].map(|sum| sum * share));
            first += LANES;
        }
    }
    let plane = |channel: usize| pixels.iter().map(move |pixel| pixel[channel]);
    let grey = |[r, g, b]: &[f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
    match picture.channels() {
        Channels::Grey => Image::new([1, size, size], pixels.iter().map(grey).collect()),
        Channels::Rgb => Image::new([3, size, size], (0..3).flat_map(plane).collect()),
    }
}

/// Pixels that are made side by side, so that none of their sums waits for another: twice as fast as one by
/// one.
const LANES: usize = 8;

/// Adds the bilinear value at each point to its sum, whose fourth value means nothing. Nearly all points lie
/// between four pixels, whose values and shares are summed in the same order as those at an edge,
/// without asking of each whether it is there.
fn add_all(sums: &mut [[f32; 4]; LANES], picture: &Picture, points: [Point; LANES]) {
    let [height, width] = picture.sides();
    let Bytes { all, origin, down, right: next } = picture.bytes();
    let corners = [0, next, down, down + next];
    // From the first pixel of a square to the last of the four bytes that are read of the one that lies last.
    let reach = 3 + next.max(0) + down.max(0);
    let (mut at, mut shares) = ([0i32; LANES], [[0.0f32; LANES]; 4]);
    let mut is_inside = true;
    for (lane, [x, y]) in points.into_iter().enumerate() {
        // Also not what is no number.
        is_inside &= x >= 0.0 && y >= 0.0 && x + 1.0 < width as f64 && y + 1.0 < height as f64;
        let (left, top) = (x as i32, y as i32);
        let (right, lower) = ((x - f64::from(left)) as f32, (y - f64::from(top)) as f32);
        let (other_row, other_column) = (1.0 - lower, 1.0 - right);
        shares[0][lane] = other_row * other_column;
        shares[1][lane] = other_row * right;
        shares[2][lane] = lower * other_column;
        shares[3][lane] = lower * right;
        let of_row = top.wrapping_mul(down).wrapping_add(origin);
        at[lane] = left.wrapping_mul(next).wrapping_add(of_row);
    }
    is_inside = is_inside && at.iter().all(|&at| (at.saturating_add(reach) as usize) < all.len());
    if !is_inside {
        sums.iter_mut().zip(points).for_each(|(sum, at)| add(sum, picture, at));
        return;
    }
    for (lane, sum) in sums.iter_mut().enumerate() {
        for (corner, shares) in corners.into_iter().zip(&shares) {
            let at = (at[lane] + corner) as usize;
            let Some((pixel, _)) = all[at..].split_first_chunk::<4>() else { continue };
            sum.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += shares[lane] * f32::from(v));
        }
    }
}

/// The same of one point anywhere; what is not there is 0.
fn add(sum: &mut [f32; 4], picture: &Picture, [x, y]: Point) {
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
    use image::metadata::Orientation;

    #[test]
    fn points_side_by_side_have_the_values_of_each_to_the_bit() {
        let mut rng = fastrand::Rng::with_seed(1);
        // From the first pixel in memory to the last, and the other way round.
        for orientation in [Orientation::NoTransforms, Orientation::Rotate180] {
            let noise = (0..3 * 9 * 7).map(|_| rng.u8(..)).collect();
            let picture = &Picture::upright(noise, [7, 9], Channels::Rgb, orientation, None);
            let corners = [[0.0, 0.0], [8.0, 6.0], [7.0, 5.0], [-1.0, 3.0], [f64::NAN, 0.0]];
            let mut whole = 0;
            for _ in 0..1000 {
                // All inside, or any.
                let most = [7.99, 5.99].map(|most| if rng.bool() { most } else { most + 2.0 });
                let mut points = [(); LANES].map(|()| most.map(|most| most * rng.f64()));
                if rng.u8(..) < 64 {
                    points[rng.usize(..LANES)] = corners[rng.usize(..corners.len())];
                }
                // On top of sums, as in pixels that cover several.
                let mut fast = [(); LANES].map(|()| [rng.f32(), rng.f32(), rng.f32(), 0.0]);
                let mut slow = fast;
                add_all(&mut fast, picture, points);
                slow.iter_mut().zip(points).for_each(|(sum, at)| add(sum, picture, at));
                let bits =
                    |sums: [[f32; 4]; LANES]| sums.map(|[r, g, b, _]| [r, g, b].map(f32::to_bits));
                assert_eq!(bits(fast), bits(slow), "{points:?}");
                whole += u32::from(points.iter().all(|[x, y]| *x < 8.0 && *y < 6.0));
            }
            assert!((200..800).contains(&whole), "{whole}");
        }
    }
}
