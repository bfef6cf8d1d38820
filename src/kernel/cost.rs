//! What an aggregated convolution costs, and which way to it is the shorter one.
//!
//! A way is a few products and passes over memory. A product of `f` floating-point operations
//! takes `f / RATE`, a pass over `b` bytes takes `b / BANDWIDTH`, both of one core; of the two
//! only the ratio matters, and it is about the same on all machines of today. Nothing is
//! measured when a network runs: the choice depends on sizes alone, so that a run can be
//! repeated to the bit. `zoo-tuning bench layer --explain` sets the predictions beside measured
//! times.
//!
//! With `N` samples, `P` output positions, `m` sources, and kernels of `O` rows of `K = C k k`:
//!
//! | | mixing kernels | mixing outputs |
//! |---|---|---|
//! | alignment | `2 m O^2 K`, reads and writes all kernels | `2 m O^2 N P` |
//! | mixing | `2 N m O K` per sample, `2 m O K` with one gate | (among the alignment) |
//! | convolution | `2 N P O K` | `2 m N P O K` |
//!
//! The backward pass makes twice as many products.

use super::aggregate::Aggregated;
use super::window::{Geometry, Window};
use super::winograd::{self, Tiles};
use crate::tensor::Element;

/// Floating-point operations per second of a large product, on one core.
const RATE: f64 = 1e11;
/// Bytes per second of a pass over memory, on one core.
const BANDWIDTH: f64 = 1e10;
/// Columns that a product has at least, as it were: narrower ones are filled up.
const NARROWEST: usize = 16;

/// A way to an aggregated convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Kernels are mixed, then the input is convolved.
    Kernels,
    /// The input is convolved with all sources' kernels, then outputs are mixed.
    Outputs,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kernels, Self::Outputs];

    /// `kernels` or `outputs`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels",
            Self::Outputs => "outputs",
        }
    }
}

/// Floating-point operations and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Of products; a multiply-add is two.
    pub operations: f64,
    /// On top of these, what fills up narrow panels.
    pub filler: f64,
    /// Read from and written to memory.
    pub bytes: f64,
}

impl Work {
    /// Of the products.
    pub fn multiply_adds(self) -> u64 {
        (self.operations / 2.0) as u64
    }

    /// How long it takes one core.
    pub fn seconds(self) -> f64 {
        (self.operations + self.filler) / RATE + self.bytes / BANDWIDTH
    }
}

impl<T: Element> Aggregated<'_, T> {
    /// Whether a way can be gone.
    pub fn has_way(&self, way: Way) -> bool {
        way == Way::Kernels || self.has_outputs()
    }

    /// The shorter way: of the forward pass alone, or of forward and backward pass.
    pub fn shortest_way(&self, is_training: bool) -> Way {
        let seconds = |way: &Way| {
            let [forward, backward] = self.work(*way).map(Work::seconds);
            if is_training { forward + backward } else { forward }
        };
        let ways = Way::ALL.into_iter().filter(|&way| self.has_way(way));
        ways.min_by(|a, b| seconds(a).total_cmp(&seconds(b))).unwrap_or(Way::Kernels)
    }

    /// The work of the forward and of the backward pass.
    pub fn work(&self, way: Way) -> [Work; 2] {
        let g = self.geometry;
        let size = size_of::<T>() as f64;
        let [n, m, o] = [g.batch, self.sources, g.outputs].map(|count| count as f64);
        let kernel = o * g.row_len() as f64;
        let positions = n * g.positions() as f64;
        let aligned = if self.alignment.is_some() { 1.0 } else { 0.0 };
        let forward = match way {
            Way::Kernels if self.is_shared() => Work {
                operations: 2.0 * kernel * (m * (1.0 + aligned * o) + positions),
                filler: 0.0,
                bytes: size * kernel * (m + 2.0),
            },
            Way::Kernels => {
                // Kernels of samples are not joined: each has edges of its own, and is packed.
                let columns = n * g.positions().next_multiple_of(NARROWEST) as f64;
                Work {
                    operations: 2.0 * kernel * (aligned * m * o + n * m + positions),
                    filler: 2.0 * kernel * (columns - positions),
                    bytes: size * kernel * (m + 2.0 * aligned * m + n),
                }
            }
            Way::Outputs => Work {
                operations: 2.0 * m * positions * (kernel + o * o),
                filler: 0.0,
                bytes: size * m * (kernel + 3.0 * positions * o),
            },
        };
        let backward = Work {
            operations: 2.0 * forward.operations,
            filler: 2.0 * forward.filler,
            bytes: 2.0 * forward.bytes,
        };
        [forward, backward]
    }
}

/// Whether the transforms of [`winograd`] are worth it, for so many output channels of one group
/// of a convolution: it takes 36 multiply-adds for each tile of 16 outputs instead of 144, but
/// pixels, outputs and kernels have to be transformed.
pub(super) fn winograd_wins(g: &Geometry, outputs: usize) -> bool {
    /// What the transform of a pixel's or output's place costs, in multiply-adds of a product.
    const IMAGES: f64 = 50.0;
    /// Likewise of a kernel's, as long as all of them fit a cache; and if they do not.
    const KERNELS: f64 = 60.0;
    const KERNELS_IN_MEMORY: f64 = 300.0;
    /// Values that fit a third-level cache.
    const CACHE: usize = 1 << 22;
    let Window { stride, padding, dilation, .. } = g.window;
    let is_open = g.taps == [3, 3]
        && (stride, dilation) == ([1, 1], [1, 1])
        && padding[0] <= 2
        && padding[1] <= 2
        && winograd::is_on();
    if !is_open {
        return false;
    }
    let channels = g.channels_per_group();
    let of_sample = Tiles::of(g).of_sample();
    // The transforms of one sample are held at once.
    const MOST: usize = 1 << 24;
    if of_sample.saturating_mul(36).saturating_mul(channels.max(outputs)) > MOST {
        return false;
    }
    let places = (36 * (g.batch * of_sample).next_multiple_of(NARROWEST)) as f64;
    let plain = ((g.batch * g.positions()).next_multiple_of(NARROWEST) * 9) as f64;
    let (kernels, images) = ((channels * outputs) as f64, (channels + outputs) as f64);
    let of_kernel = if 36 * channels * outputs > CACHE { KERNELS_IN_MEMORY } else { KERNELS };
    // Unfolding costs a plain product about a quarter more.
    places * (kernels + images * IMAGES) + 36.0 * kernels * of_kernel < 1.25 * plain * kernels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(c: usize, size: usize, batch: usize, is_aligned: bool, is_shared: bool) -> Way {
        let window = Window::square(1, 1);
        let g = Geometry::new("test", [batch, c, size, size], [c, c, 3, 3], window).unwrap();
        let gate = vec![0.2f32; if is_shared { 5 } else { 5 * batch }];
        let alignment: Option<&[f32]> = if is_aligned { Some(&[]) } else { None };
        let layer = Aggregated {
            geometry: &g,
            x: &[],
            weight: &[],
            alignment,
            bias: None,
            gate: &gate,
            sources: 5,
        };
        layer.shortest_way(true)
    }

    #[test]
    fn large_images_mix_kernels_and_small_ones_outputs() {
        // The layers of a ResNet at 224 pixels, then of one at 64 pixels.
        assert_eq!(way(64, 56, 8, true, false), Way::Kernels);
        assert_eq!(way(256, 14, 8, true, false), Way::Kernels);
        assert_eq!(way(512, 7, 8, true, false), Way::Outputs);
        assert_eq!(way(512, 2, 16, true, false), Way::Outputs);
        assert_eq!(way(512, 2, 16, true, true), Way::Outputs);
        assert_eq!(way(512, 7, 32, true, false), Way::Kernels);
        // Without alignment there is nothing to be saved.
        assert_eq!(way(512, 2, 16, false, false), Way::Kernels);
        assert_eq!(way(512, 2, 16, false, true), Way::Kernels);
    }
}
