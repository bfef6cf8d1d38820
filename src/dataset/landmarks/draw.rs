//! Points, and lines between them, drawn into a picture.

use super::Point;
use crate::dataset::Image;

/// Colours of points, one after the other: those of Okabe and Ito, which are told apart by most.
const COLOURS: [[f32; 3]; 7] = [
    [0.90, 0.62, 0.00],
    [0.34, 0.71, 0.91],
    [0.00, 0.62, 0.45],
    [0.94, 0.89, 0.26],
    [0.00, 0.45, 0.70],
    [0.84, 0.37, 0.00],
    [0.80, 0.47, 0.65],
];

/// The colour of lines.
const LINE: [f32; 3] = [1.0, 1.0, 1.0];

/// Draws a disc at each point, and a line for each pair of `skeleton` of which both ends are there.
/// Sizes follow those of the image, of values 0 to 1. `colour` is that of all points; without one, each
/// has its own.
pub fn draw(
    image: &mut Image,
    points: &[Option<Point>],
    skeleton: &[[usize; 2]],
    colour: Option<[f32; 3]>,
) {
    let [_, height, width] = image.shape();
    let radius = (height.min(width) as f64 / 90.0).max(1.2);
    let at = |number: usize| points.get(number).copied().flatten();
    for &[a, b] in skeleton {
        if let (Some(a), Some(b)) = (at(a), at(b)) {
            paint(image, a, b, radius / 3.0, LINE);
        }
    }
    for (number, point) in points.iter().enumerate() {
        if let Some(point) = *point {
            let colour = colour.unwrap_or(COLOURS[number % COLOURS.len()]);
            paint(image, point, point, radius, colour);
        }
    }
}

/// Paints all pixels within `radius` of the way from `a` to `b`, with soft edges.
fn paint(image: &mut Image, a: Point, b: Point, radius: f64, colour: [f32; 3]) {
    let [channels, height, width] = image.shape();
    let range = |axis: usize, size: usize| {
        let low = (a[axis].min(b[axis]) - radius - 1.0).clamp(0.0, size as f64) as usize;
        let high = (a[axis].max(b[axis]) + radius + 2.0).clamp(0.0, size as f64) as usize;
        low..high
    };
    let way = [b[0] - a[0], b[1] - a[1]];
    let square = way[0].powi(2) + way[1].powi(2);
    for row in range(1, height) {
        for column in range(0, width) {
            let from = [column as f64 - a[0], row as f64 - a[1]];
            let along = (from[0] * way[0] + from[1] * way[1]) / square.max(1e-12);
            let along = along.clamp(0.0, 1.0);
            let distance = (from[0] - along * way[0]).hypot(from[1] - along * way[1]);
            let share = (radius + 0.5 - distance).clamp(0.0, 1.0) as f32;
            for channel in 0..channels {
                let value = &mut image.values_mut()[(channel * height + row) * width + column];
                // Of a grey image, all colours are as light as their green.
                let shade = colour[if channels == 1 { 1 } else { channel.min(2) }];
                *value += share * (shade - *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_drawn_where_it_is() {
        let mut image = Image::new([3, 60, 80], vec![0.0; 3 * 60 * 80]).unwrap();
        let points = [Some([10.0, 20.0]), None, Some([70.0, 20.0]), Some([1e9, -1e9])];
        draw(&mut image, &points, &[[0, 2], [1, 2], [0, 9]], None);
        let at = |column: usize, row: usize| [0, 1, 2].map(|c| image.at(c, row, column));
        assert_eq!(at(10, 20), COLOURS[0]);
        assert_eq!(at(70, 20), COLOURS[2]);
        assert!(at(40, 20)[0] > 0.5, "the line");
        assert_eq!(at(40, 30), [0.0; 3]);
    }
}
