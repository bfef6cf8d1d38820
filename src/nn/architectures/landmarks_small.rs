//! A network of landmarks for small images and few of them: residual blocks of three sizes, put side
//! by side at the largest.

use super::normed::normed;
use super::residual::Residual;
use super::{Family, Members};
use crate::Result;
use crate::kernel::{Epilogue, Interpolation, Window};
use crate::nn::{Architecture, Builder, Initial, Layers};
use std::sync::Arc;

pub(super) const FAMILY: Family =
    Family { members: || -> Members { vec![Arc::new(LandmarksSmall)] }, specified: |_| None };

/// Heat maps of a quarter of the image's height and width.
struct LandmarksSmall;

const STEM: usize = 16;
/// Each stage by its part of the image's height and width, with its channels and blocks.
const STAGES: [(&str, usize, usize); 3] =
    [("quarter", 32, 1), ("eighth", 64, 2), ("sixteenth", 64, 2)];
/// Of the map that all stages together become.
const MIXED: usize = 64;

impl Architecture for LandmarksSmall {
    fn name(&self) -> &str {
        "landmarks_small"
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        let stem = b.conv("stem.conv1", [STEM, b.channels(), 3, 3], Window::square(2, 1))?;
        let stem = (stem, b.batch_norm("stem.bn1", STEM)?);
        let (mut stages, mut entering) = (Vec::new(), STEM);
        for (stage, channels, count) in STAGES {
            let mut blocks = Vec::new();
            for number in 0..count {
                let (name, stride) = (format!("{stage}.{number}"), 2 - number.min(1));
                blocks.push(Residual::basic(b, name, [entering, channels], stride)?);
                entering = channels;
            }
            stages.push(blocks);
        }
        let all = STAGES.iter().map(|(_, channels, _)| channels).sum();
        let mixed = (
            b.conv("mixed.conv1", [MIXED, all, 1, 1], Window::default())?,
            b.batch_norm("mixed.bn1", MIXED)?,
        );
        b.initial(Initial::Normal(0.01));
        let head = b.conv_with_bias("head", [b.outputs(), MIXED, 1, 1], Window::default())?;
        Ok(Box::new(move |o, x| {
            let mut x = normed(o, &stem, x, Epilogue::Relu)?;
            let mut maps = Vec::new();
            for blocks in &stages {
                for block in blocks {
                    x = block.output(o, x)?;
                }
                maps.push(x);
            }
            o.enter("mixed");
            let largest = maps[0];
            for map in &mut maps[1..] {
                *map = o.upsample(*map, largest, Interpolation::Bilinear)?;
            }
            let all = o.concat(&maps)?;
            let y = normed(o, &mixed, all, Epilogue::Relu)?;
            o.conv(&head, y)
        }))
    }

    fn head(&self) -> &[&str] {
        &["head."]
    }

    /// The stem and the later stages, as in residual networks.
    fn is_aligned(&self, layer: &str) -> bool {
        layer == "stem.conv1" || layer.starts_with("eighth.") || layer.starts_with("sixteenth.")
    }

    fn is_shortcut(&self, layer: &str) -> bool {
        layer.ends_with(".downsample.0")
    }

    fn usual_sizes(&self) -> [usize; 2] {
        [96, 96]
    }
}
