//! Pictures for people.

use super::board::{Plane, SIDE};
use crate::dataset::Image;
use crate::{Error, Result};

/// Dots along a side of a piece, and pixels along a side of a dot.
const DOTS: usize = 8;
const ZOOM: usize = 2;

/// Pixels along a side of a board.
const PIXELS: usize = SIDE * DOTS * ZOOM;

/// What a piece looks like: its colour, and its dots, the top row first, the left one in the highest bit.
struct Piece {
    colour: [u8; 3],
    dots: [u8; DOTS],
}

const GROUND: [u8; 3] = [24, 27, 38];

fn piece(plane: Plane) -> Piece {
    let (colour, dots) = match plane {
        Plane::Trail => ([58, 100, 74], [0, 0, 0, 0x18, 0x18, 0, 0, 0]),
        Plane::ThreatTrail => ([110, 62, 70], [0, 0, 0, 0x18, 0x18, 0, 0, 0]),
        Plane::Gauge => ([74, 128, 168], [0xff, 0xff, 0, 0, 0, 0, 0, 0]),
        Plane::Wall => ([150, 118, 92], [0xfb, 0xfb, 0xfb, 0, 0xdf, 0xdf, 0xdf, 0]),
        Plane::Reward => ([244, 201, 85], [0, 0x3c, 0x7e, 0x76, 0x76, 0x7e, 0x3c, 0]),
        Plane::Threat => ([226, 88, 88], [0x42, 0x3c, 0x7e, 0xdb, 0xff, 0xbd, 0xa5, 0x24]),
        Plane::Shot => ([240, 240, 240], [0, 0, 0x18, 0x3c, 0x3c, 0x18, 0, 0]),
        Plane::Me => ([104, 210, 132], [0x18, 0x3c, 0x3c, 0x7e, 0xff, 0xff, 0x7e, 0x66]),
    };
    Piece { colour, dots }
}

/// What lies below comes first.
const ORDER: [Plane; 8] = [
    Plane::Gauge,
    Plane::ThreatTrail,
    Plane::Trail,
    Plane::Wall,
    Plane::Reward,
    Plane::Threat,
    Plane::Shot,
    Plane::Me,
];

/// The picture `[3, 160, 160]` of a frame of a board.
pub(super) fn of_board(frame: &[u8]) -> Result<Image> {
    let mut values: Vec<f32> = Vec::with_capacity(3 * PIXELS * PIXELS);
    for shade in GROUND {
        values.resize(values.len() + PIXELS * PIXELS, f32::from(shade) / 255.0);
    }
    for plane in ORDER {
        let Piece { colour, dots } = piece(plane);
        let cells = &frame[plane as usize * SIDE * SIDE..][..SIDE * SIDE];
        for cell in (0..SIDE * SIDE).filter(|cell| cells[*cell] > 0) {
            for pixel in 0..DOTS * ZOOM * DOTS * ZOOM {
                let (y, x) = (pixel / (DOTS * ZOOM), pixel % (DOTS * ZOOM));
                if dots[y / ZOOM] >> (DOTS - 1 - x / ZOOM) & 1 == 1 {
                    let (row, column) = (cell / SIDE, cell % SIDE);
                    let at = (row * DOTS * ZOOM + y) * PIXELS + column * DOTS * ZOOM + x;
                    for (channel, shade) in colour.into_iter().enumerate() {
                        values[channel * PIXELS * PIXELS + at] = f32::from(shade) / 255.0;
                    }
                }
            }
        }
    }
    Image::new([3, PIXELS, PIXELS], values)
}

/// The picture `[3, H, W]` of red, green and blue of each pixel.
pub(super) fn of_pixels([height, width]: [usize; 2], pixels: &[u8]) -> Result<Image> {
    let area = height.saturating_mul(width);
    if pixels.len() / 3 != area || !pixels.len().is_multiple_of(3) {
        let problem = format!("{} bytes are no picture of {height}x{width}", pixels.len());
        return Err(Error::argument("render", problem));
    }
    let channel = |channel: usize| pixels.iter().skip(channel).step_by(3);
    let values = (0..3).flat_map(channel).map(|value| f32::from(*value) / 255.0).collect();
    Image::new([3, height, width], values)
}
