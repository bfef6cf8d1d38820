//! candle's convolutions on the CPU: the shapes, the keys and the batch of `zoo-tuning bench conv`.
//!
//! `candle-conv [RUNS]`; the number of threads is `RAYON_NUM_THREADS`.

use candle_core::{Device, Result, Var};
use std::hint::black_box;
use std::time::Instant;

const BATCH: usize = 8;
/// Input and output channels, taps, height and width, stride.
const SHAPES: [[usize; 5]; 9] = [
    [3, 64, 7, 224, 2],
    [64, 64, 1, 56, 1],
    [64, 64, 3, 56, 1],
    [64, 256, 1, 56, 1],
    [128, 128, 3, 28, 1],
    [256, 256, 3, 14, 1],
    [512, 512, 3, 7, 1],
    [1024, 256, 1, 14, 1],
    [512, 2048, 1, 7, 1],
];

fn main() -> Result<()> {
    let runs = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(1);
    for [inputs, outputs, taps, side, stride] in SHAPES {
        let x = Var::randn(0f32, 1.0, (BATCH, inputs, side, side), &Device::Cpu)?;
        let w = Var::randn(0f32, 1.0, (outputs, inputs, taps, taps), &Device::Cpu)?;
        // Without gradients, as the others do it.
        let [x_only, w_only] = [x.as_detached_tensor(), w.as_detached_tensor()];
        let forward = median(runs, || {
            x_only.conv2d(&w_only, taps / 2, stride, 1, 1).map(|y| drop(black_box(y)))
        })?;
        let both = median(runs, || {
            // From a gradient of ones, which costs as much as any other.
            let y = x.conv2d(&w, taps / 2, stride, 1, 1)?;
            y.backward().map(|gradients| drop(black_box(gradients)))
        })?;
        println!(
            "{{\"conv\": [{inputs}, {outputs}, {taps}, {side}, {stride}], \"batch\": {BATCH}, \
             \"fwd_ms\": {:.2}, \"fwdbwd_ms\": {:.2}}}",
            forward * 1e3,
            both * 1e3
        );
    }
    Ok(())
}

/// The median of `runs` times in seconds, after one that does not count.
fn median(runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = Instant::now();
        work()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
