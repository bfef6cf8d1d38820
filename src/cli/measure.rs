//! What `bench` measures, and how: shared by its works and by `--explain`.

use crate::nn::{Aligned, Form, Mixing};
use crate::ops::GateFunction;
use clap::ValueEnum;
use std::time::Instant;

/// The form of the layers that are measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A kernel for each sample
    Zoo,
    /// A kernel for the batch
    Lite,
    /// One source for each sample
    Routed,
    /// One plain network
    Single,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Zoo => "zoo",
            Self::Lite => "lite",
            Self::Routed => "routed",
            Self::Single => "single",
        }
    }

    /// As the yardstick has it: sigmoid; kernels of more than one tap aligned as given.
    pub fn form(self, aligned: Aligned) -> Form {
        let mixing = Mixing { function: GateFunction::Sigmoid, aligned, ..Mixing::default() };
        match self {
            Self::Zoo => Form::Zoo(mixing),
            Self::Lite => Form::Lite(mixing),
            Self::Routed => Form::Routed,
            Self::Single => Form::Plain,
        }
    }
}

/// Layers of a ResNet-50: input and output channels, taps, height and width.
pub const LAYERS: [[usize; 4]; 6] = [
    [64, 64, 3, 56],
    [128, 128, 3, 28],
    [256, 256, 3, 14],
    [512, 512, 3, 7],
    [1024, 256, 1, 14],
    [512, 2048, 1, 7],
];

/// The median of `runs` times in seconds, after some runs that do not count.
pub fn median(
    warmup: usize,
    runs: usize,
    mut work: impl FnMut() -> crate::Result<()>,
) -> crate::Result<f64> {
    (0..warmup).try_for_each(|_| work())?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = Instant::now();
        work()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// To so many digits behind the point.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
