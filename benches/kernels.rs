//! How fast single kernels are, by criterion, through the public interface:
//!
//! ```sh
//! cargo bench                      # all of it: some minutes
//! cargo bench -- 'conv2d/forward'  # what matches
//! cargo test --bench kernels       # each once: does it run at all?
//! ```
//!
//! Threads are rayon's: `RAYON_NUM_THREADS=1` measures one core.

use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use ndarray::{Array2, linalg::general_mat_mul};
use std::hint::black_box;
use std::time::{Duration, Instant};
use zoo_tuning::kernel::gemm::{Matrix, par_gemm};
use zoo_tuning::kernel::{Epilogue, Window};
use zoo_tuning::nn::{Parameters, Pass, Role, Step};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::{Result, ops};

const BATCH: usize = 8;
const SOURCES: usize = 5;

/// The convolutions of `zoo-tuning bench conv`: input and output channels, taps, height and
/// width, stride, groups.
const CONVOLUTIONS: &str = include_str!("../src/cli/convolutions.json");

/// The layers of `zoo-tuning bench layer`.
const LAYERS: [[usize; 5]; 6] = [
    [64, 64, 3, 56, 1],
    [128, 128, 3, 28, 1],
    [256, 256, 3, 14, 1],
    [512, 512, 3, 7, 1],
    [1024, 256, 1, 14, 1],
    [512, 2048, 1, 7, 1],
];

fn normal(shape: &[usize]) -> Tensor<f32> {
    Tensor::normal(shape, 1.0, &mut fastrand::Rng::with_seed(0))
}

/// `3-64-7x7-224-s2`: channels in and out, taps, height and width, stride.
fn name([inputs, outputs, taps, side, stride]: [usize; 5]) -> String {
    format!("{inputs}-{outputs}-{taps}x{taps}-{side}-s{stride}")
}

/// The same, with `-g32` where there are groups.
fn grouped(sizes: [usize; 6]) -> String {
    let [plain @ .., groups] = sizes;
    if groups > 1 { format!("{}-g{groups}", name(plain)) } else { name(plain) }
}

/// A work on the tape. Each input has a value, and is a parameter where its gradient is wanted.
type Record<'a> = &'a dyn Fn(&mut Tape<f32>, &[Var]) -> Result<Var>;

fn recorded(inputs: &[Tensor<f32>], wanted: &[bool], record: Record) -> (Tape<f32>, Var) {
    let mut tape = Tape::new();
    let place = |(value, &wanted): (&Tensor<f32>, &bool)| {
        let value = value.clone(); // shares its values
        if wanted { tape.parameter(value) } else { tape.constant(value) }
    };
    let vars: Vec<Var> = inputs.iter().zip(wanted).map(place).collect();
    let y = record(&mut tape, &vars).expect("the shapes fit");
    (tape, y)
}

/// The forward pass alone, with nothing saved for another.
fn forward(
    group: &mut BenchmarkGroup<WallTime>,
    id: BenchmarkId,
    inputs: &[Tensor<f32>],
    record: Record,
) {
    let wanted = vec![false; inputs.len()];
    group.bench_function(id, |bencher| bencher.iter(|| recorded(inputs, &wanted, record)));
}

/// The backward pass alone, to the inputs that are `wanted`; the forward pass before it does not
/// count.
fn backward(
    group: &mut BenchmarkGroup<WallTime>,
    id: BenchmarkId,
    inputs: &[Tensor<f32>],
    wanted: &[bool],
    record: Record,
) {
    group.bench_function(id, |bencher| {
        let set_up = || {
            let (tape, y) = recorded(inputs, wanted, record);
            let dy = normal(tape.value(y).expect("not used yet").shape());
            (tape, y, dy)
        };
        let work = |(mut tape, y, dy): (Tape<f32>, Var, Tensor<f32>)| {
            black_box(tape.backward_from(y, dy).expect("the first time"));
        };
        bencher.iter_batched(set_up, work, BatchSize::PerIteration);
    });
}

/// Square products; `matrixmultiply` beside them, on one thread, by way of `ndarray`.
fn gemm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    for n in [128, 256, 512, 1024] {
        let [a, b] = [0, 1].map(|_| normal(&[n, n]));
        let mut c = vec![0.0; n * n];
        group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
        group.bench_function(BenchmarkId::new("ours", n), |bencher| {
            bencher.iter(|| {
                let [a, b] = [&a, &b].map(|matrix| Matrix::new(matrix.as_slice(), n, n));
                par_gemm(a, b, black_box(&mut c));
            });
        });
        let array = |t: &Tensor<f32>| Array2::from_shape_vec((n, n), t.as_slice().to_vec());
        let [a, b] = [&a, &b].map(|matrix| array(matrix).expect("n x n values"));
        let mut c = Array2::zeros((n, n));
        group.bench_function(BenchmarkId::new("matrixmultiply", n), |bencher| {
            bencher.iter(|| general_mat_mul(1.0, &a, &b, 0.0, black_box(&mut c)));
        });
    }
}

/// Its rates are of operations, two for each multiply-add.
fn conv2d(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv2d");
    let all: Vec<[usize; 6]> = serde_json::from_str(CONVOLUTIONS).expect("a list of sizes");
    for sizes @ [inputs, outputs, taps, side, stride, groups] in all {
        let kernel = [outputs, inputs / groups, taps, taps];
        let operands = [normal(&[BATCH, inputs, side, side]), normal(&kernel)];
        let window = Window { groups, ..Window::square(stride, taps / 2) };
        let record = |tape: &mut Tape<f32>, v: &[Var]| ops::conv2d(tape, v[0], v[1], None, window);
        let positions = BATCH * side.div_ceil(stride).pow(2);
        let operations = 2 * positions * outputs * inputs / groups * taps * taps;
        group.throughput(Throughput::Elements(operations as u64));
        let id = |what| BenchmarkId::new(what, grouped(sizes));
        forward(&mut group, id("forward"), &operands, &record);
        backward(&mut group, id("input gradient"), &operands, &[true, false], &record);
        backward(&mut group, id("kernel gradient"), &operands, &[false, true], &record);
    }
}

/// Five sources, aligned where there is more than one tap, mixed by a gate that is given: of each
/// sample, or of the batch (lite).
fn zoo_layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("zoo layer");
    for sizes @ [inputs, outputs, taps, side, stride] in LAYERS {
        let window = Window::square(stride, taps / 2);
        let zoo = |tape: &mut Tape<f32>, v: &[Var]| {
            let (weight, gate, alignment) = (v[1], v[2], v.get(3).copied());
            let kernels = ops::ZooKernels { weight, gate, alignment, bias: None };
            ops::aggregated_conv2d(tape, v[0], kernels, window)
        };
        for (form, gate) in [("zoo", &[BATCH, SOURCES][..]), ("lite", &[SOURCES])] {
            let mut operands = vec![
                normal(&[BATCH, inputs, side, side]),
                normal(&[SOURCES, outputs, inputs, taps, taps]),
                normal(gate),
            ];
            if taps > 1 {
                operands.push(normal(&[SOURCES, outputs, outputs]));
            }
            let id = |pass| BenchmarkId::new(format!("{form} {pass}"), name(sizes));
            forward(&mut group, id("forward"), &operands, &zoo);
            let wanted = vec![true; operands.len()];
            backward(&mut group, id("backward"), &operands, &wanted, &zoo);
        }
    }
}

/// What does little with each value: its rates are of values, to be held against the memory's.
fn elementwise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("elementwise");
    let x = normal(&[BATCH, 256, 56, 56]);
    group.throughput(Throughput::Elements(x.len() as u64));
    let mut both = |what: &str, inputs: &[Tensor<f32>], record: Record| {
        forward(&mut group, BenchmarkId::new(what, "forward"), inputs, record);
        let wanted = vec![true; inputs.len()];
        backward(&mut group, BenchmarkId::new(what, "backward"), inputs, &wanted, record);
    };
    both("relu", std::slice::from_ref(&x), &|tape, v| ops::relu(tape, v[0]));
    both("add", &[x.clone(), x.clone()], &|tape, v| ops::add(tape, v[0], v[1]));
    let [weight, bias] = [normal(&[256]), normal(&[256])];
    both("batch norm", &[x, weight, bias], &|tape, v| {
        ops::batch_norm(tape, v[0], v[1], v[2], 1e-5, Epilogue::Nothing).map(|(y, _)| y)
    });
}

/// One step over a layer of 16 million values; the pass that gives the gradient does not count.
fn optimizer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimizer");
    const SIDE: usize = 4096;
    for (what, rule) in [("SGD", Rule::SGD), ("Adam", Rule::ADAM), ("RMSProp", Rule::RMS_PROP)] {
        let mut parameters = Parameters::<f32>::default();
        let weight = parameters.add("weight", Role::Head, normal(&[SIDE, SIDE]));
        let weight = weight.expect("a new name");
        let mut optimizer = Optimizer::new(rule, Groups::uniform(5e-4));
        let x = normal(&[1, SIDE]);
        let gradients = |parameters: &Parameters<f32>| -> Result<Step<f32>> {
            let mut pass = Pass::train(parameters);
            let x = pass.input(x.clone());
            let weight = pass.var(weight);
            let y = ops::linear(pass.tape(), x, weight, None)?;
            let loss = ops::cross_entropy(pass.tape(), y, &[0], 0.0)?;
            pass.backward(loss)
        };
        let trained = parameters.ids().filter(|&id| parameters.role(id) != Role::Buffer);
        let count: usize = trained.map(|id| parameters.value(id).len()).sum();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(what, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..iterations {
                    let step = gradients(&parameters).expect("the shapes fit");
                    let begun = Instant::now();
                    optimizer.step(&mut parameters, step, 1e-3).unwrap();
                    elapsed += begun.elapsed();
                }
                elapsed
            });
        });
    }
}

criterion_group! {
    name = kernels;
    // Few and short samples: the largest take a tenth of a second each.
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = gemm, conv2d, zoo_layer, elementwise, optimizer
}
criterion_main!(kernels);
