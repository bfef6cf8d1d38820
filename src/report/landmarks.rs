//! What pages show of landmarks: errors of pictures, and pictures with points in them.

use super::format::{escape, percent};
use super::layers::data_address;
use crate::Result;
use crate::train::task::landmarks::ShownPicture;
use std::fmt::Write;

/// The share of errors that are at most x, for each x in per cent, as the corners of a line; `errors`, in
/// parts of 1, begin with the smallest.
pub(crate) fn cumulative(errors: &[f64]) -> Vec<(f64, f64)> {
    /// Errors in per cent that are drawn.
    const MOST: f64 = 20.0;
    let count = errors.len().max(1) as f64;
    let mut points = vec![(0.0, 0.0)];
    for (at, error) in errors.iter().map(|error| 100.0 * error).enumerate() {
        if error > MOST {
            break;
        }
        // A step up at each picture.
        points.push((error, at as f64 / count));
        points.push((error, (at + 1) as f64 / count));
    }
    let last = points.last().map_or(0.0, |point| point.1);
    points.push((MOST, last));
    points
}

/// A few pictures, with the points in them.
///
/// # Errors
/// If one cannot be encoded.
pub(crate) fn pictures(pictures: &[ShownPicture]) -> Result<String> {
    if pictures.is_empty() {
        return Ok(String::new());
    }
    let mut html = String::from(
        "<h3 class=\"apart\">A few pictures</h3>\n<p>As the network sees them: what is marked in green, what \
         it finds in orange.</p>\n<ul class=\"samples\">\n",
    );
    for picture in pictures {
        let [height, width] = picture.size;
        let is_whole = height.checked_mul(width).and_then(|area| area.checked_mul(3));
        if is_whole != Some(picture.pixels.len()) || picture.pixels.is_empty() {
            continue;
        }
        let name = picture.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let error = picture.error.map_or(String::from("not measured"), |error| {
            format!("error {}&nbsp;%", percent(error))
        });
        let _ = writeln!(
            html,
            "<li><div class=\"pair alone\"><img width=\"{width}\" height=\"{height}\" alt=\"{}, with \
             points\" src=\"{}\"></div>\n<p><strong>{}</strong><br><small>{error}</small></p></li>",
            escape(name),
            data_address(picture.size, &picture.pixels)?,
            escape(name)
        );
    }
    html.push_str("</ul>\n");
    Ok(html)
}
