//! One kernel of OpenCL beside the plain loop that it is, and what its work-items do.

use std::fmt::Write;

// ANCHOR: loop
/// `out[r, k] = sum_c weights[r, c] values[c, k]` for `weights` `[rows, terms]` and `values`
/// `[terms, len]`: the kernels of `rows` samples of `terms` sources' kernels.
pub fn plain_loop(weights: &[f32], values: &[f32], [rows, terms, len]: [usize; 3]) -> Vec<f32> {
    let mut out = vec![0.0; rows * len];
    for row in 0..rows {
        for k in 0..len {
            for term in 0..terms {
                out[row * len + k] += weights[row * terms + term] * values[term * len + k];
            }
        }
    }
    out
}
// ANCHOR_END: loop

// ANCHOR: work_item
/// What the work-item of this number does: the kernel, line by line.
pub fn work_item<const LANES: usize>(
    number: usize,
    weights: &[f32],
    values: &[f32],
    out: &mut [f32],
    [rows, terms, len]: [usize; 3],
) {
    // RUN(i, there, len)
    let i = number * LANES;
    if i >= len {
        return;
    }
    let there = LANES.min(len - i);
    for row in 0..rows {
        let of_row = &weights[row * terms..];
        let to = &mut out[row * len + i..];
        let mut sum = [0.0; LANES]; // a vector register
        for term in 0..terms {
            let weight = of_row[term];
            let lanes = load_some::<LANES>(&values[term * len + i..], there);
            for lane in 0..LANES {
                sum[lane] += weight * lanes[lane]; // one instruction for all lanes
            }
        }
        to[..there].copy_from_slice(&sum[..there]); // store_some(sum, to, there)
    }
}

fn load_some<const LANES: usize>(from: &[f32], there: usize) -> [f32; LANES] {
    std::array::from_fn(|lane| if lane < there { from[lane] } else { 0.0 })
}
// ANCHOR_END: work_item

// ANCHOR: launch
/// Runs all work-items, in the order of `numbers`, of which there are enough or more.
pub fn launch<const LANES: usize>(
    numbers: &[usize],
    weights: &[f32],
    values: &[f32],
    sizes: [usize; 3],
) -> Vec<f32> {
    let mut out = vec![f32::NAN; sizes[0] * sizes[2]]; // what is not written stays visible
    for &number in numbers {
        work_item::<LANES>(number, weights, values, &mut out, sizes);
    }
    out
}
// ANCHOR_END: launch

// ANCHOR: report
/// The kernels of five sources of a layer of ResNet-50, mixed for one batch.
pub fn report() -> String {
    let mut text = String::new();
    let (sources, len) = (5, 256 * 256 * 9); // of a layer of ResNet-50, one gate for the batch
    for lanes in [1, 16] {
        writeln!(text, "work-items of {lanes:2} lanes {:10}", usize::div_ceil(len, lanes)).unwrap();
    }
    let (work, bytes) = (sources * len, 4 * (sources + 1) * len); // all kernels read, one written
    writeln!(text, "multiply-adds         {work:10}").unwrap();
    writeln!(text, "bytes                 {bytes:10}").unwrap();
    writeln!(text, "bytes for each        {:10.1}", bytes as f64 / work as f64).unwrap();
    text
}
// ANCHOR_END: report

#[test]
fn what_is_printed() {
    super::printed::check("devices", &report());
}

// ANCHOR: any_order
/// Three rows of four terms, 37 values: the last run is short for every number of lanes here.
#[cfg(test)]
fn case() -> ([usize; 3], Vec<f32>, Vec<f32>) {
    let mut random = super::tape::Random(21);
    let mut draw = |count: usize| (0..count).map(|_| random.next() as f32).collect::<Vec<f32>>();
    let sizes @ [rows, terms, len] = [3, 4, 37];
    let weights = draw(rows * terms);
    (sizes, weights, draw(terms * len))
}

#[test]
fn work_items_in_any_order_compute_the_loop() {
    let (sizes, weights, values) = case();
    let expected = plain_loop(&weights, &values, sizes);
    let mut numbers: Vec<usize> = (0..64).collect(); // some have nothing to do
    for turn in 0..10 {
        assert_eq!(launch::<1>(&numbers, &weights, &values, sizes), expected);
        assert_eq!(launch::<4>(&numbers, &weights, &values, sizes), expected);
        assert_eq!(launch::<16>(&numbers, &weights, &values, sizes), expected);
        numbers.reverse();
        numbers.rotate_left(turn);
    }
}
// ANCHOR_END: any_order

/// What the chapter shows is what the crate compiles.
#[test]
fn the_kernel_is_the_crates() {
    let shown = include_str!("mix_kernels.cl");
    let sources = ["common", "aggregate"]
        .map(|name| std::fs::read_to_string(format!("opencl/{name}.cl")).expect("a kernel's file"));
    for name in ["run", "load", "signature", "body"] {
        let begin = format!("// ANCHOR: {name}\n");
        let part =
            shown.split_once(&begin).expect("begins").1.split_once("// ANCHOR_END").unwrap().0;
        assert!(sources.iter().any(|source| source.contains(part)), "{name} has changed");
    }
}

// ANCHOR: device
/// The kernel itself, on the first device that there is.
#[cfg(feature = "opencl")]
#[test]
fn a_device_computes_the_loop() -> zoo_tuning::Result<()> {
    use zoo_tuning::tensor::{Device, Tensor};
    use zoo_tuning::{ops, tape::Tape};

    let device = Device::opencl(0)?;
    let ([_, terms, len], weights, values) = case();
    let mut tape = Tape::new();
    let kernels = tape.constant(Tensor::new(&[terms, len], values.clone())?.to(&device)?);
    let gate = tape.constant(Tensor::new(&[terms], weights[..terms].to_vec())?.to(&device)?);
    let mixed = ops::aggregate(&mut tape, kernels, gate)?;
    let expected = plain_loop(&weights[..terms], &values, [1, terms, len]);
    for (found, expected) in tape.value(mixed)?.as_slice().iter().zip(expected) {
        // A device may multiply and add in one step, which rounds once instead of twice.
        assert!((found - expected).abs() < 1e-6);
    }
    Ok(())
}
// ANCHOR_END: device
