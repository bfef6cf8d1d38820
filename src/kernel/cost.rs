//! What an aggregated convolution costs, and which strategy is the shorter one.
//!
//! A strategy is a few products and passes over memory. A product of `f` floating-point operations
//! takes `f / operations`, a pass over `b` bytes takes `b / bytes`, by the [`Rates`] of whatever
//! computes; of the two only the ratio matters, and it is about the same on all machines of today. Nothing is
//! measured when a network runs: the choice depends on sizes alone, so that a run can be
//! repeated to the bit. `zoo-tuning bench layer --explain` sets the predictions beside measured
//! times.
//!
//! With `N` samples, `P` output positions, `m` sources, and kernels of `O` rows of `K = C k k`:
//!
//! | | kernel space | output space |
//! |---|---|---|
//! | alignment | `2 m O^2 K`, reads and writes all kernels | `2 m O^2 N P` |
//! | mixing | `2 N m O K` per sample, `2 m O K` with one gate | (among the alignment) |
//! | convolution | `2 N P O K` | `2 m N P O K` |
//!
//! Where `winograd` is the shorter way of the convolution, its share is less.
//! The backward pass makes twice as many products.

use super::window::{Geometry, Window};
use super::winograd::{self, Tiles};

/// Columns that a product has at least, as it were: narrower ones are filled up.
const NARROWEST: usize = 16;

/// How an aggregated convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Kernels are mixed, then the input is convolved.
    KernelSpace,
    /// The input is convolved with all sources' kernels, then outputs are mixed.
    OutputSpace,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::KernelSpace, Self::OutputSpace];

    /// `kernel space` or `output space`.
    pub fn name(self) -> &'static str {
        match self {
            Self::KernelSpace => "kernel space",
            Self::OutputSpace => "output space",
        }
    }
}

/// Which gradients of an aggregated convolution are wanted: a frozen operand has none, and what
/// only it would need is not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of the input.
    pub x: bool,
    /// Of the sources' kernels.
    pub weight: bool,
    /// Of the alignments, if there are any.
    pub alignment: bool,
    /// Of the biases, if there are any.
    pub bias: bool,
    /// Of the gate.
    pub gate: bool,
}

impl Wanted {
    /// All of them.
    pub const ALL: Self = Self { x: true, weight: true, alignment: true, bias: true, gate: true };

    /// Whether the gradients of the aligned kernels are needed, which lead to those of kernels
    /// and alignments.
    pub fn aligned(self) -> bool {
        self.weight || self.alignment
    }

    /// Whether the gradients of the mixed kernels are needed, which lead to all but the input's
    /// and the biases'.
    pub fn mixed(self) -> bool {
        self.aligned() || self.gate
    }
}

/// How fast something computes.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Floating-point operations per second of a large product.
    pub operations: f64,
    /// Bytes per second of a pass over memory.
    pub bytes: f64,
}

impl Rates {
    /// Of one core of a processor.
    pub const CORE: Self = Self { operations: 1e11, bytes: 1e10 };
}

/// Floating-point operations and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Of products, each written out; a multiply-add is two.
    pub operations: f64,
    /// On top of these, what fills up narrow panels and what unfolding costs; below zero where
    /// `winograd` saves some.
    pub extra: f64,
    /// Read from and written to memory.
    pub bytes: f64,
}

impl Cost {
    /// Of the products.
    pub fn multiply_adds(self) -> u64 {
        (self.operations / 2.0) as u64
    }

    /// With that of `count` convolutions.
    fn and(self, count: f64, convolution: Self) -> Self {
        Self {
            operations: self.operations + count * convolution.operations,
            extra: self.extra + count * convolution.extra,
            bytes: self.bytes + count * convolution.bytes,
        }
    }

    /// How long it takes.
    pub fn seconds(self, rates: Rates) -> f64 {
        self.executed() / rates.operations + self.bytes / rates.bytes
    }

    /// Operations, and what is as long as some.
    fn executed(self) -> f64 {
        self.operations + self.extra
    }
}

/// What the cost of an aggregated convolution depends on.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Of the convolution.
    pub geometry: Geometry,
    /// Sources, `m`.
    pub sources: usize,
    /// Whether the kernels are aligned.
    pub is_aligned: bool,
    /// Whether all samples share a gate.
    pub is_shared: bool,
    /// Bytes of a value.
    pub value: usize,
}

impl Sizes {
    /// Whether a strategy can be followed. In output space there has to be one group, since the
    /// sources' outputs would not stand side by side otherwise, and an alignment, without which it
    /// is never the shorter one.
    pub fn allows(&self, strategy: Strategy) -> bool {
        let has_outputs = self.geometry.window.groups == 1 && self.is_aligned;
        strategy == Strategy::KernelSpace || has_outputs
    }

    /// The shorter strategy: of the forward pass alone, or of forward and backward pass.
    pub fn shortest(&self, is_training: bool, rates: Rates) -> Strategy {
        let seconds = |strategy: &Strategy| {
            let [forward, backward] = self.cost(*strategy).map(|cost| cost.seconds(rates));
            if is_training { forward + backward } else { forward }
        };
        let strategies = Strategy::ALL.into_iter().filter(|&strategy| self.allows(strategy));
        let shortest = strategies.min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        shortest.unwrap_or(Strategy::KernelSpace)
    }

    /// The cost of the forward and of the backward pass.
    pub fn cost(&self, strategy: Strategy) -> [Cost; 2] {
        let g = &self.geometry;
        let size = self.value as f64;
        let [n, m, o] = [g.batch, self.sources, g.outputs].map(|count| count as f64);
        let kernel = o * g.row_len() as f64;
        let positions = n * g.positions() as f64;
        let aligned = if self.is_aligned { 1.0 } else { 0.0 };
        let forward = match strategy {
            Strategy::KernelSpace if self.is_shared => Cost {
                operations: 2.0 * kernel * m * (1.0 + aligned * o),
                extra: 0.0,
                bytes: size * kernel * (m + 2.0),
            }
            .and(1.0, convolution(g, g.outputs_per_group())),
            // Kernels of samples are not joined: each has edges of its own, and is packed.
            Strategy::KernelSpace => Cost {
                operations: 2.0 * kernel * m * (aligned * o + n),
                extra: 0.0,
                bytes: size * kernel * (m + 2.0 * aligned * m + n),
            }
            .and(n, convolution(&g.of_one_sample(), g.outputs_per_group())),
            Strategy::OutputSpace => Cost {
                operations: 2.0 * m * positions * o * o,
                extra: 0.0,
                bytes: size * m * (kernel + 3.0 * positions * o),
            }
            .and(1.0, convolution(g, self.sources * g.outputs)),
        };
        let backward = Cost {
            operations: 2.0 * forward.operations,
            extra: 2.0 * forward.extra,
            bytes: 2.0 * forward.bytes,
        };
        [forward, backward]
    }

    /// Multiply-adds of the products that the wanted gradients ask for. [`cost`](Self::cost), by
    /// which the strategy is chosen, does not look at what is wanted, so that freezing a group
    /// changes no value of the forward pass.
    pub fn multiply_adds_backward(&self, strategy: Strategy, wanted: Wanted) -> u64 {
        let product = |factors: &[usize]| {
            factors.iter().fold(1u64, |product, &f| product.saturating_mul(f as u64))
        };
        let g = &self.geometry;
        let (n, m, o) = (g.batch, self.sources, g.outputs);
        let kernel = o.saturating_mul(g.row_len());
        let count = |wanted: bool| u64::from(wanted);
        let convolution = g.multiply_adds();
        let parts = match strategy {
            Strategy::KernelSpace => {
                // `dA` and `dT'` lead to the gate's gradient, so that its product is an alignment's.
                let gate = wanted.alignment || (self.is_shared && wanted.gate);
                let aligning = if self.is_aligned { product(&[m, o, kernel]) } else { 0 };
                let mixing = match (self.is_shared, self.is_aligned) {
                    (true, true) => 0,
                    (true, false) => count(wanted.weight) + count(wanted.gate),
                    (false, _) => count(wanted.x) + count(wanted.aligned()) + count(wanted.gate),
                };
                let samples = if self.is_shared { 1 } else { n };
                [
                    aligning.saturating_mul(count(wanted.weight) + count(gate)),
                    product(&[samples, m, kernel]).saturating_mul(mixing),
                    convolution.saturating_mul(count(wanted.x) + count(wanted.mixed())),
                ]
            }
            Strategy::OutputSpace => {
                let outputs = wanted.x || wanted.weight || wanted.gate;
                let aligning =
                    if self.is_aligned { product(&[m, n, g.positions(), o, o]) } else { 0 };
                [
                    aligning.saturating_mul(count(outputs) + count(wanted.alignment)),
                    product(&[m, n, g.positions(), o]).saturating_mul(count(wanted.gate)),
                    convolution
                        .saturating_mul(m as u64)
                        .saturating_mul(count(wanted.x) + count(wanted.weight)),
                ]
            }
        };
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// What a convolution costs, with so many output channels in each group.
fn convolution(g: &Geometry, outputs: usize) -> Cost {
    let groups = g.window.groups as f64;
    let plain = plain_cost(g, outputs);
    let winograd = winograd_cost(g, outputs).filter(|cost| cost.executed() < plain.executed());
    Cost::default().and(groups, winograd.unwrap_or(plain))
}

/// What one group costs, as a product of the kernel and the unfolded input.
fn plain_cost(g: &Geometry, outputs: usize) -> Cost {
    let columns = g.batch * g.positions();
    let of_column = 2.0 * (outputs * g.row_len()) as f64;
    // Unfolding costs about a quarter more.
    let unfolding = if g.taps_len() > 1 { 0.25 } else { 0.0 };
    let filled = columns.next_multiple_of(NARROWEST) as f64 * (1.0 + unfolding);
    let operations = of_column * columns as f64;
    Cost { operations, extra: of_column * filled - operations, bytes: 0.0 }
}

/// What one group costs by [`winograd`], if that way is open: it takes 36 multiply-adds for each
/// tile of 16 outputs instead of 144, but pixels, outputs and kernels have to be transformed.
fn winograd_cost(g: &Geometry, outputs: usize) -> Option<Cost> {
    /// What the transform of a pixel's or output's place costs, in multiply-adds of a product.
    const IMAGES: f64 = 45.0;
    /// Likewise of a kernel's.
    const KERNELS: f64 = 20.0;
    /// Values of the transforms that are held at once, in any of the passes.
    const MOST: usize = 1 << 26;
    let Window { stride, padding, dilation, .. } = g.window;
    let is_open = g.taps == [3, 3]
        && (stride, dilation) == ([1, 1], [1, 1])
        && padding[0] <= 2
        && padding[1] <= 2
        && winograd::is_on();
    if !is_open {
        return None;
    }
    let (channels, tiles) = (g.channels_per_group(), Tiles::of(g).count());
    let held = [
        tiles.min(outputs).saturating_mul(channels),
        tiles.min(channels).saturating_mul(outputs),
        tiles.saturating_mul(channels + outputs).min(channels.saturating_mul(outputs)),
    ];
    if held.into_iter().any(|values| values.saturating_mul(36) > MOST) {
        return None;
    }
    let (kernels, images) = ((channels * outputs) as f64, (channels + outputs) as f64);
    let tiles = tiles.next_multiple_of(NARROWEST) as f64;
    let multiply_adds = tiles * (kernels + images * IMAGES) + kernels * KERNELS;
    let operations = plain_cost(g, outputs).operations;
    Some(Cost { operations, extra: 72.0 * multiply_adds - operations, bytes: 0.0 })
}

/// Whether [`winograd`] is the shorter way, for so many output channels of one group.
pub(super) fn winograd_wins(g: &Geometry, outputs: usize) -> bool {
    winograd_cost(g, outputs)
        .is_some_and(|cost| cost.executed() < plain_cost(g, outputs).executed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortest(
        c: usize,
        size: usize,
        batch: usize,
        is_aligned: bool,
        is_shared: bool,
    ) -> Strategy {
        let window = Window::square(1, 1);
        let geometry = Geometry::new("test", [batch, c, size, size], [c, c, 3, 3], window).unwrap();
        let sizes = Sizes { geometry, sources: 5, is_aligned, is_shared, value: 4 };
        sizes.shortest(true, Rates::CORE)
    }

    #[test]
    fn large_images_mix_kernels_and_small_ones_outputs() {
        // The layers of a ResNet at 224 pixels, then of one at 64 pixels.
        assert_eq!(shortest(64, 56, 8, true, false), Strategy::KernelSpace);
        assert_eq!(shortest(256, 14, 8, true, false), Strategy::KernelSpace);
        assert_eq!(shortest(512, 7, 8, true, false), Strategy::OutputSpace);
        assert_eq!(shortest(512, 2, 16, true, false), Strategy::OutputSpace);
        assert_eq!(shortest(512, 2, 16, true, true), Strategy::OutputSpace);
        assert_eq!(shortest(512, 7, 32, true, false), Strategy::OutputSpace);
        assert_eq!(shortest(512, 7, 32, true, true), Strategy::KernelSpace);
        // Without alignment there is nothing to be saved.
        assert_eq!(shortest(512, 2, 16, false, false), Strategy::KernelSpace);
        assert_eq!(shortest(512, 2, 16, false, true), Strategy::KernelSpace);
    }
}
