//! candle's convolutions on the CPU: the shapes, the keys and the batch of `zoo-tuning bench conv`.
//! Groups candle convolves one after the other.
//!
//! `candle-conv [RUNS]`; the number of threads is `RAYON_NUM_THREADS`.

use candle_core::{Device, Result, Var};
use std::hint::black_box;
use std::time::Instant;

const BATCH: usize = 8;
/// Input and output channels, taps, height and width, stride, groups, as `[[3, 64, ...], ...]`.
const SHAPES: &str = include_str!("../../../../src/cli/convolutions.json");

fn main() -> Result<()> {
    let runs = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(1);
    let numbers: Vec<usize> =
        SHAPES.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse().ok()).collect();
    for &[inputs, outputs, taps, side, stride, groups] in numbers.as_chunks().0 {
        let x = Var::randn(0f32, 1.0, (BATCH, inputs, side, side), &Device::Cpu)?;
        let w = Var::randn(0f32, 1.0, (outputs, inputs / groups, taps, taps), &Device::Cpu)?;
        // Without gradients, as the others do it.
        let [x_only, w_only] = [x.as_detached_tensor(), w.as_detached_tensor()];
        let forward = median(runs, || {
            x_only.conv2d(&w_only, taps / 2, stride, 1, groups).map(|y| drop(black_box(y)))
        })?;
        let both = median(runs, || {
            // From a gradient of ones, which costs as much as any other.
            let y = x.conv2d(&w, taps / 2, stride, 1, groups)?;
            y.backward().map(|gradients| drop(black_box(gradients)))
        })?;
        let groups = if groups > 1 { format!(", {groups}") } else { String::new() };
        println!(
            "{{\"conv\": [{inputs}, {outputs}, {taps}, {side}, {stride}{groups}], \"batch\": {BATCH}, \
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
