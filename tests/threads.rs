//! The same bits, whatever the number of threads.
//!
//! Every operation runs forward and backward in pools of 1, 2 and 7 threads, at sizes
//! that are cut into several tasks; then whole networks are trained for a few steps.

use rayon::{ThreadPool, ThreadPoolBuilder};
use zoo_tuning::kernel::{Divisor, Epilogue, Window};
use zoo_tuning::nn::{Aligned, Design, Form, Mixing, Network, Parameters, Pass, Role};
use zoo_tuning::ops::{self, GateFunction, GateWeights, Noise, NoisyWeights};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::{Error, Result};

type Operation = fn(&mut Tape<f32>, &[Var]) -> Result<Var>;

const SAME: Window = Window { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
const HALVE: Window = Window { stride: [2, 2], ..SAME };
const GROUPS: Window = Window { groups: 4, ..SAME };
/// Of as many groups as there are channels: depthwise.
const EACH: Window = Window { groups: 40, stride: [2, 2], padding: [2, 2], ..SAME };
const POINT: Window = Window { padding: [0, 0], ..SAME };

/// Input, kernels and gate, then alignment and bias.
fn zoo(v: &[Var], is_aligned: bool, has_bias: bool) -> ops::ZooKernels {
    ops::ZooKernels {
        weight: v[1],
        gate: v[2],
        alignment: is_aligned.then(|| v[3]),
        bias: has_bias.then(|| v[3 + usize::from(is_aligned)]),
    }
}

/// Operations with the shapes of their inputs.
const CASES: &[(&str, &[&[usize]], Operation)] = &[
    ("add", &[&[5, 40_001], &[5, 40_001]], |t, v| ops::add(t, v[0], v[1])),
    ("add", &[&[5, 40_001]], |t, v| {
        // A value used three times: its gradients are summed in the order of the tape.
        let twice = ops::add(t, v[0], v[0])?;
        ops::add(t, twice, v[0])
    }),
    ("aggregate", &[&[4, 300, 257], &[4]], |t, v| ops::aggregate(t, v[0], v[1])),
    ("aggregated_conv2d", &[&[9, 16, 16, 16], &[4, 16, 16, 3, 3], &[9, 4]], |t, v| {
        ops::aggregated_conv2d(t, v[0], zoo(v, false, false), SAME)
    }),
    (
        "aggregated_conv2d",
        &[&[33, 64, 4, 4], &[3, 48, 64, 3, 3], &[33, 3], &[3, 48, 48], &[3, 48]],
        |t, v| ops::aggregated_conv2d(t, v[0], zoo(v, true, true), HALVE),
    ),
    (
        "aggregated_conv2d",
        &[&[9, 64, 28, 28], &[3, 48, 64, 3, 3], &[9, 3], &[3, 48, 48]],
        |t, v| ops::aggregated_conv2d(t, v[0], zoo(v, true, false), SAME),
    ),
    ("aggregated_conv2d", &[&[9, 64, 28, 28], &[3, 48, 64, 3, 3], &[3], &[3, 48, 48]], |t, v| {
        ops::aggregated_conv2d(t, v[0], zoo(v, true, false), SAME)
    }),
    ("aggregated_conv2d", &[&[5, 32, 7, 6], &[3, 16, 8, 3, 3], &[5, 3]], |t, v| {
        ops::aggregated_conv2d(t, v[0], zoo(v, false, false), GROUPS)
    }),
    ("aggregated_conv2d", &[&[5, 40, 29, 28], &[3, 40, 1, 5, 5], &[5, 3], &[3, 40, 40]], |t, v| {
        ops::aggregated_conv2d(t, v[0], zoo(v, true, false), EACH)
    }),
    ("align", &[&[4, 64, 64, 3, 3], &[4, 64, 64]], |t, v| ops::align(t, v[0], v[1])),
    ("avg_pool2d", &[&[6, 12, 30, 30]], |t, v| {
        ops::avg_pool2d(t, v[0], [3, 3], HALVE, Divisor::Pixels)
    }),
    ("batch_mean", &[&[100, 70]], |t, v| ops::batch_mean(t, v[0])),
    ("batch_norm", &[&[9, 40, 17, 16], &[40], &[40]], |t, v| {
        ops::batch_norm(t, v[0], v[1], v[2], 1e-5, Epilogue::Relu).map(|(y, _)| y)
    }),
    ("batch_norm", &[&[9, 40, 17, 16], &[40], &[40], &[9, 40, 17, 16]], |t, v| {
        ops::batch_norm(t, v[0], v[1], v[2], 1e-5, Epilogue::AddRelu(v[3])).map(|(y, _)| y)
    }),
    ("batch_norm", &[&[9, 40, 17, 16], &[40], &[40]], |t, v| {
        ops::batch_norm(t, v[0], v[1], v[2], 1e-5, Epilogue::Relu6).map(|(y, _)| y)
    }),
    ("batch_norm_frozen", &[&[9, 40, 17, 16], &[40], &[40]], |t, v| {
        let statistics = [Tensor::full(&[40], 0.1), Tensor::full(&[40], 1.3)];
        let [mean, variance] = &statistics;
        ops::batch_norm_frozen(t, v[0], [v[1], v[2]], mean, variance, 1e-5, Epilogue::Nothing)
    }),
    ("concat", &[&[9, 40, 17, 16], &[9, 7, 17, 16], &[9, 13, 17, 16]], |t, v| ops::concat(t, v, 1)),
    ("concat", &[&[70_001, 2], &[70_001, 3]], |t, v| ops::concat(t, v, 1)),
    ("conv2d", &[&[9, 16, 16, 16], &[16, 16, 3, 3], &[16]], |t, v| {
        ops::conv2d(t, v[0], v[1], Some(v[2]), SAME)
    }),
    ("conv2d", &[&[33, 64, 4, 4], &[48, 64, 3, 3]], |t, v| ops::conv2d(t, v[0], v[1], None, HALVE)),
    ("conv2d", &[&[5, 32, 7, 6], &[16, 8, 3, 3]], |t, v| ops::conv2d(t, v[0], v[1], None, GROUPS)),
    ("conv2d", &[&[9, 40, 29, 28], &[40, 1, 5, 5]], |t, v| ops::conv2d(t, v[0], v[1], None, EACH)),
    ("conv2d", &[&[3, 100, 30, 31], &[70, 100, 1, 1]], |t, v| {
        ops::conv2d(t, v[0], v[1], None, POINT)
    }),
    ("conv2d", &[&[2, 3, 64, 60], &[8, 3, 7, 7]], |t, v| {
        ops::conv2d(t, v[0], v[1], None, Window::square(2, 3))
    }),
    ("cross_entropy", &[&[50, 100]], |t, v| {
        let labels: Vec<usize> = (0..50).map(|n| n * 7 % 100).collect();
        ops::cross_entropy(t, v[0], &labels, 0.1)
    }),
    ("flatten", &[&[3, 40, 4, 5]], |t, v| ops::flatten(t, v[0])),
    ("gate", &[&[20, 40, 9, 9], &[11, 40], &[5, 11], &[5]], |t, v| {
        let weights = GateWeights { reduce: v[1], expand: v[2], bias: v[3] };
        ops::gate(t, v[0], weights, GateFunction::Softmax)
    }),
    ("exp", &[&[3, 50_001]], |t, v| ops::exp(t, v[0])),
    ("global_mean_pool", &[&[20, 40, 9, 9]], |t, v| ops::global_mean_pool(t, v[0])),
    ("adaptive_wing", &[&[3, 50_001]], |t, v| {
        ops::adaptive_wing(t, v[0], &Tensor::full(&[3, 50_001], 0.3), ops::AdaptiveWing::PUBLISHED)
    }),
    ("huber", &[&[300, 50], &[300, 50], &[300]], |t, v| ops::huber(t, v[0], v[1], 1.0, Some(v[2]))),
    ("huber_per_sample", &[&[3, 50_001], &[3, 50_001]], |t, v| {
        ops::huber_per_sample(t, v[0], v[1], 1.0)
    }),
    ("linear", &[&[300, 200], &[150, 200], &[150]], |t, v| ops::linear(t, v[0], v[1], Some(v[2]))),
    ("log", &[&[3, 50_001]], |t, v| {
        let x = ops::mul(t, v[0], v[0])?;
        ops::log(t, x)
    }),
    ("log_softmax", &[&[300, 200]], |t, v| ops::log_softmax(t, v[0])),
    ("matmul", &[&[300, 200], &[200, 150]], |t, v| ops::matmul(t, v[0], v[1])),
    ("max_pool2d", &[&[6, 12, 30, 30]], |t, v| ops::max_pool2d(t, v[0], [3, 3], HALVE)),
    ("mean_all", &[&[3, 50_001]], |t, v| ops::mean_all(t, v[0])),
    ("mean_axes", &[&[30, 40, 50, 2]], |t, v| ops::mean_axes(t, v[0], &[0, 2])),
    ("mse", &[&[3, 50_001], &[3, 50_001]], |t, v| ops::mse(t, v[0], v[1])),
    ("mul", &[&[3, 50_001], &[3, 50_001]], |t, v| ops::mul(t, v[0], v[1])),
    ("relu", &[&[3, 50_001]], |t, v| ops::relu(t, v[0])),
    ("relu6", &[&[3, 50_001]], |t, v| ops::relu6(t, v[0])),
    ("reshape", &[&[3, 400]], |t, v| ops::reshape(t, v[0], &[1200])),
    ("scale", &[&[3, 50_001]], |t, v| ops::scale(t, v[0], 0.3)),
    ("reorder", &[&[9, 40, 17, 16]], |t, v| ops::reorder(t, v[0], &[4, 5, 6, 0, 8, 7, 1, 3, 2])),
    (
        "routed_conv2d",
        &[&[9, 64, 12, 11], &[48, 64, 3, 3], &[48], &[48, 64, 3, 3], &[48]],
        |t, v| {
            let (weights, biases) = ([v[1], v[3]], [v[2], v[4]]);
            let kernels =
                ops::RoutedKernels { weights: &weights, biases: &biases, counts: &[7, 2] };
            ops::routed_conv2d(t, v[0], kernels, SAME)
        },
    ),
    ("select", &[&[300, 7]], |t, v| {
        ops::select(t, v[0], &(0..300).map(|n| n * n % 7).collect::<Vec<_>>())
    }),
    ("sigmoid", &[&[3, 50_001]], |t, v| ops::sigmoid(t, v[0])),
    ("slice", &[&[9, 40, 17, 16]], |t, v| ops::slice(t, v[0], 1, 5..31)),
    ("softmax", &[&[300, 200]], |t, v| ops::softmax(t, v[0])),
    ("dueling", &[&[300, 57 * 51]], |t, v| ops::dueling(t, v[0], 51)),
    ("noisy_linear", &[&[300, 512], &[57, 512], &[57], &[57, 512], &[57]], |t, v| {
        let noise = Noise::drawn(512, 57, &mut fastrand::Rng::with_seed(1));
        let weights =
            NoisyWeights { weight: v[1], bias: v[2], weight_sigma: v[3], bias_sigma: v[4] };
        ops::noisy_linear(t, v[0], weights, &noise)
    }),
    ("soft_cross_entropy_per_sample", &[&[300, 200], &[300, 200]], |t, v| {
        ops::soft_cross_entropy_per_sample(t, v[0], v[1])
    }),
    ("sub", &[&[3, 50_001], &[3, 50_001]], |t, v| ops::sub(t, v[0], v[1])),
    ("sum_all", &[&[3, 50_001]], |t, v| ops::sum_all(t, v[0])),
    ("sum_axes", &[&[30, 40, 50, 2]], |t, v| ops::sum_axes(t, v[0], &[1, 2, 3])),
    ("sum", &[&[3, 50_001], &[3, 50_001], &[3, 50_001], &[3, 50_001]], |t, v| ops::sum(t, v)),
    ("upsample_bilinear", &[&[5, 36, 8, 8]], |t, v| ops::upsample_bilinear(t, v[0], [64, 64])),
    ("upsample_bilinear", &[&[5, 36, 31, 29]], |t, v| ops::upsample_bilinear(t, v[0], [40, 17])),
    ("upsample_nearest", &[&[5, 36, 16, 16]], |t, v| ops::upsample_nearest(t, v[0], [64, 64])),
];

/// The bits of the output and of all gradients.
fn bits(shapes: &[&[usize]], operation: Operation) -> Result<Vec<Vec<u32>>> {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut tape = Tape::new();
    let inputs: Vec<Var> =
        shapes.iter().map(|shape| tape.parameter(Tensor::normal(shape, 1.0, &mut rng))).collect();
    let y = operation(&mut tape, &inputs)?;
    let mut found = vec![tape.value(y)?.clone()];
    let dy = Tensor::normal(found[0].shape(), 1.0, &mut rng);
    let mut gradients = tape.backward_from(y, dy)?;
    for input in inputs {
        let missing = || Error::argument("threads", "an input received no gradient");
        found.push(gradients.take(input).ok_or_else(missing)?);
    }
    Ok(found.iter().map(|t| t.as_slice().iter().map(|v| v.to_bits()).collect()).collect())
}

fn pools() -> [ThreadPool; 3] {
    [1, 2, 7].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

#[test]
fn results_are_bit_identical_for_any_number_of_threads() {
    let pools = pools();
    for (name, shapes, operation) in CASES {
        let run = |pool: &ThreadPool| pool.install(|| bits(shapes, *operation)).unwrap();
        let [one, two, seven] = [0, 1, 2].map(|i| run(&pools[i]));
        // Twice in the same pool: tasks are stolen in another order each time.
        let again = run(&pools[2]);
        assert!(one == two && one == seven && one == again, "{name} {shapes:?}");
    }
}

#[test]
fn every_operation_is_run() {
    for (name, _) in ops::GRADIENT_CASES {
        assert!(CASES.iter().any(|(case, ..)| case == name), "{name}");
    }
}

/// Losses and all tensors after five steps of a small network on drawn images.
fn trained(form: &Form) -> Result<Vec<Vec<u32>>> {
    let mut rng = fastrand::Rng::with_seed(3);
    let design = Design::named("resnet_small", 3, 10)?;
    let source = |seed| -> Result<State<f32>> {
        let network = Network::<f32>::drawn(&design, seed)?;
        Ok(network.parameters().state(format!("source {seed}")))
    };
    let sources = [source(1)?, source(2)?, source(3)?];
    let mut network = Network::from_sources(&design, form.clone(), &sources, 4)?;
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let mut losses = Vec::new();
    for step in 0..5 {
        let images = Tensor::normal(&[16, 3, 16, 16], 1.0, &mut rng);
        let labels: Vec<usize> = (0..16).map(|n| (n * 7 + step) % 10).collect();
        let mut pass = Pass::train(network.parameters()).draw(step as u64);
        let x = pass.input(images);
        let logits = network.forward(&mut pass, x)?;
        let loss = ops::cross_entropy(pass.tape(), logits, &labels, 0.1)?;
        losses.push(pass.value(loss)?.item()?.to_bits());
        let mut step = pass.backward(loss)?;
        network.share_gradients(&mut step)?;
        optimizer.step(network.parameters_mut(), step, 0.05).unwrap();
    }
    let parameters = network.parameters();
    let values = parameters.ids().map(|id| parameters.value(id));
    let bits = values.map(|t| t.as_slice().iter().map(|v| v.to_bits()).collect());
    Ok(std::iter::once(losses).chain(bits).collect())
}

#[test]
fn a_norm_of_gradients_is_bit_identical_for_any_number_of_threads() {
    let pools = pools();
    let clipped = || -> Result<(u64, Vec<u32>)> {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut parameters = Parameters::<f32>::default();
        let weight = Tensor::normal(&[300, 1001], 0.01, &mut rng);
        let weight = parameters.add("weight", Role::Head, weight)?;
        let mut pass = Pass::train(&parameters);
        let x = Tensor::normal(&[2, 1001], 1.0, &mut fastrand::Rng::with_seed(2));
        let x = pass.input(x);
        let weight = pass.var(weight);
        let logits = ops::linear(pass.tape(), x, weight, None)?;
        let loss = ops::cross_entropy(pass.tape(), logits, &[0, 299], 0.1)?;
        let mut step = pass.backward(loss)?;
        let norm = step.clip_norm(0.1)?;
        let values = step.gradients().flat_map(|(_, g)| g.as_slice().iter().map(|v| v.to_bits()));
        Ok((norm.to_bits(), values.collect()))
    };
    let [one, two, seven] = pools.each_ref().map(|pool| pool.install(clipped).unwrap());
    assert!(f64::from_bits(one.0) > 0.1, "it is clipped");
    assert!(one == two && one == seven);
}

#[test]
fn training_is_bit_identical_for_any_number_of_threads() {
    let pools = pools();
    let mixing = Mixing { aligned: Aligned::everywhere(), ..Mixing::default() };
    for form in [Form::Zoo(mixing.clone()), Form::Lite(mixing), Form::Routed] {
        let [one, two, seven] =
            pools.each_ref().map(|pool| pool.install(|| trained(&form)).unwrap());
        assert!(one[0].iter().all(|&bits| f32::from_bits(bits).is_finite()));
        assert!(one == two && one == seven, "{}", form.name());
    }
}
