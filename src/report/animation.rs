//! An episode as a picture that moves: what an agent acts in, and beside it whom its gates listen to.

use crate::dataset::Image;
use crate::train::observe::{self, LayerGates};
use crate::train::task::reinforcement::{Episode, Player};
use crate::{Error, Result};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgba, RgbaImage};
use std::time::Duration;

/// Colours of sources, one after the other: those of Okabe and Ito, which are told apart by most.
pub const SOURCES: [[u8; 3]; 8] = [
    [0, 114, 178],
    [230, 159, 0],
    [0, 158, 115],
    [204, 121, 167],
    [86, 180, 233],
    [213, 94, 0],
    [240, 228, 66],
    [127, 127, 127],
];

/// Pixels from one thing to the next.
const GAP: u32 = 8;
/// Width of the bars of gates.
const BARS: u32 = 96;
/// The colour beneath everything.
const PAPER: Rgba<u8> = Rgba([24, 24, 28, 255]);

/// An episode of an agent as a GIF, each of its first `steps` steps standing for `pause`; and what the
/// episode came to. `stopped` is asked after every step whether to give up.
///
/// # Errors
/// If the environment fails, or [`Error::Interrupted`] if it was given up.
pub fn episode(
    player: &Player,
    seed: u64,
    steps: u64,
    pause: Duration,
    stopped: &dyn Fn() -> bool,
) -> Result<(Vec<u8>, Episode)> {
    let epsilon = player.settings().test_epsilon;
    let mut bytes = vec![];
    let mut animation = Animation::new(&mut bytes, pause)?;
    let episode = player.watch(epsilon, seed, &mut |moment| {
        if stopped() {
            return Err(Error::Interrupted { saved: None });
        }
        if moment.before.length >= steps {
            return Ok(());
        }
        let gates = observe::gates(player.network(), moment.state)?;
        animation.push(&moment.environment.render()?, &gates)
    })?;
    drop(animation);
    Ok((bytes, episode))
}

/// A GIF that is being made, picture by picture.
struct Animation<'a> {
    encoder: GifEncoder<&'a mut Vec<u8>>,
    pause: Duration,
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::argument("animation", error.to_string())
}

impl<'a> Animation<'a> {
    fn new(bytes: &'a mut Vec<u8>, pause: Duration) -> Result<Self> {
        /// How quickly colours are chosen, 1 to 30: pictures of games have few.
        const SPEED: i32 = 10;
        let mut encoder = GifEncoder::new_with_speed(bytes, SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(refused)?;
        Ok(Self { encoder, pause })
    }

    /// Adds a picture, and beside it a bar for each layer of `gates`, divided as they are.
    fn push(&mut self, picture: &Image, gates: &[LayerGates]) -> Result<()> {
        let delay = Delay::from_saturating_duration(self.pause);
        let frame = Frame::from_parts(drawn(picture, gates), 0, 0, delay);
        self.encoder.encode_frame(frame).map_err(refused)
    }
}

/// A picture with its gates.
fn drawn(picture: &Image, gates: &[LayerGates]) -> RgbaImage {
    let [_, height, width] = picture.shape().map(|size| size as u32);
    let beside = if gates.is_empty() { 0 } else { GAP + BARS };
    let mut drawn = RgbaImage::from_pixel(width + beside, height, PAPER);
    for (at, rgb) in picture.rgb_bytes().chunks_exact(3).enumerate() {
        let at = at as u32;
        drawn.put_pixel(at % width, at / width, Rgba([rgb[0], rgb[1], rgb[2], 255]));
    }
    let room = height / gates.len().max(1) as u32;
    for (layer, top) in gates.iter().zip((0..).map(|at| at * room)) {
        let thickness = room.saturating_sub(GAP).clamp(1, 24);
        let total: f64 = layer.mean.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mut left = 0.0;
        for (source, share) in layer.mean.iter().enumerate() {
            let right = left + share / total * f64::from(BARS);
            let [r, g, b] = SOURCES[source % SOURCES.len()];
            for x in left.round() as u32..(right.round() as u32).min(BARS) {
                for y in top..(top + thickness).min(height) {
                    drawn.put_pixel(width + GAP + x, y, Rgba([r, g, b, 255]));
                }
            }
            left = right;
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder;
    use image::codecs::gif::GifDecoder;

    #[test]
    fn a_picture_stands_beside_the_shares_of_its_sources() {
        let picture = Image::new([3, 32, 20], vec![1.0; 3 * 32 * 20]).unwrap();
        let layer =
            |mean: &[f64]| LayerGates { layer: "conv1".into(), mean: mean.into(), std: vec![] };
        let gates = [layer(&[0.75, 0.25]), layer(&[0.0, 1.0])];
        let pause = Duration::from_millis(100);
        let mut bytes = vec![];
        let mut animation = Animation::new(&mut bytes, pause).unwrap();
        (0..2).for_each(|_| animation.push(&picture, &gates).unwrap());
        drop(animation);
        let decoder = GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 2);
        let seen = frames[0].buffer();
        assert_eq!(seen.dimensions(), (20 + GAP + BARS, 32));
        let near = |x: u32, y: u32, rgb: [u8; 3]| {
            let found = seen.get_pixel(x, y).0;
            rgb.iter().zip(found).all(|(a, b)| a.abs_diff(b) < 12)
        };
        assert!(near(3, 3, [255; 3]));
        let bar = 20 + GAP;
        assert!(near(bar, 0, SOURCES[0]) && near(bar + 71, 0, SOURCES[0]));
        assert!(near(bar + 73, 0, SOURCES[1]) && near(bar, 16, SOURCES[1]));
    }
}
