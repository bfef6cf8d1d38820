//! Every name of the [list](super::engine) on a device, against the processor.
//!
//! Operands are drawn, in `f32`, as networks are trained in; their sizes are such that they reach
//! beyond one tile, one group, one run of a kernel, and do not fill the last.

use super::aggregate::Stack;
use super::cost::{Strategy, Wanted};
use super::engine::{
    Engine, Factor, Layer, LayerGradients, Norm, Rectified, Targets, WantedOfNorm,
};
use super::loss::AdaptiveWing;
use super::norm::{Channels, Epilogue};
use super::pool::Divisor;
use super::resample::Interpolation;
use super::update::{Adam, Moments, RmsProp, Sgd};
use super::window::{Geometry, Window};
use crate::Result;
use crate::tensor::{Device, Tensor};

/// What one of the names computes of drawn operands.
type Compute = fn(&mut Draw) -> Result<Vec<Tensor<f32>>>;

/// Every name, or those that belong together, with what computes them.
pub const CHECKS: &[(&str, Compute)] = &[
    ("product", product),
    ("rows", rows),
    ("axes", axes),
    ("conv", conv),
    ("align", align),
    ("aggregate", aggregate),
    ("aggregated_conv, a kernel", |draw| layer(draw, Strategy::KernelSpace, true)),
    ("aggregated_conv, kernels", |draw| layer(draw, Strategy::KernelSpace, false)),
    ("aggregated_conv, outputs", |draw| layer(draw, Strategy::OutputSpace, false)),
    ("aggregated_conv, shared outputs", |draw| layer(draw, Strategy::OutputSpace, true)),
    ("batch norm", norm),
    ("max_pool", max_pool),
    ("avg_pool", avg_pool),
    ("plane_means", plane_means),
    ("resample", resample),
    ("concat and slice", pieces),
    ("elementwise", elementwise),
    ("softmax", softmax),
    ("select", select),
    ("cross_entropy", cross_entropy),
    ("mse", mse),
    ("huber", huber),
    ("adaptive_wing", adaptive_wing),
    ("sgd", sgd),
    ("adam", adam),
    ("rms_prop", rms_prop),
    ("sum_of_squares", sum_of_squares),
];

/// The largest difference of what `compute` gives on `device` and on the processor, relative to
/// the largest value; NaN if one holds it.
///
/// # Errors
/// If the device refuses.
pub fn difference(device: &Device, compute: Compute) -> Result<f64> {
    let expected = compute(&mut Draw::on(&Device::Cpu))?;
    let found = compute(&mut Draw::on(device))?;
    let mut worst = 0.0;
    for (expected, found) in expected.iter().zip(&found) {
        let difference = expected.relative_difference(&found.to(&Device::Cpu)?)?;
        // `max` would lose a NaN.
        worst = if difference > worst || difference.is_nan() { difference } else { worst };
    }
    Ok(worst)
}

/// Where is computed, and what is drawn for it: the same everywhere.
pub struct Draw {
    device: Device,
    rng: fastrand::Rng,
}

impl Draw {
    fn on(device: &Device) -> Self {
        Self { device: device.clone(), rng: fastrand::Rng::with_seed(1) }
    }

    fn tensor(&mut self, shape: &[usize]) -> Result<Tensor<f32>> {
        Tensor::normal(shape, 1.0, &mut self.rng).to(&self.device)
    }

    /// Squares of what is drawn, and `more`: a mean of squares is not negative.
    fn squares(&mut self, shape: &[usize], more: f32) -> Result<Tensor<f32>> {
        let roots = Tensor::<f32>::normal(shape, 1.0, &mut self.rng);
        let squares = roots.as_slice().iter().map(|root| more + root * root).collect();
        Tensor::new(shape, squares)?.to(&self.device)
    }

    fn engine(&self) -> &dyn Engine<f32> {
        self.device.engine()
    }

    fn geometries(&self) -> Result<[Geometry; 8]> {
        let dilated = Window { dilation: [2, 1], padding: [2, 0], ..Window::default() };
        let grouped = Window { groups: 3, ..Window::square(1, 1) };
        let depthwise =
            |stride, taps: usize| Window { groups: 37, ..Window::square(stride, taps / 2) };
        let [a, b, c, d, e, f, g, h] = [
            ([3, 5, 19, 23], [7, 5, 3, 3], Window::square(1, 1)),
            ([2, 40, 9, 11], [300, 40, 3, 3], Window::square(2, 1)),
            ([2, 70, 5, 5], [33, 70, 1, 1], Window::square(2, 0)),
            ([2, 6, 8, 9], [9, 2, 3, 3], grouped),
            ([4, 64, 18, 15], [48, 64, 3, 3], Window::square(1, 1)),
            ([1, 3, 12, 10], [4, 3, 3, 2], dilated),
            ([2, 37, 13, 18], [37, 1, 5, 5], depthwise(2, 5)),
            ([3, 37, 10, 7], [74, 1, 3, 3], depthwise(1, 3)),
        ]
        .map(|(x, weight, window)| Geometry::new("check", x, weight, window));
        Ok([a?, b?, c?, d?, e?, f?, g?, h?])
    }
}

fn product(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for [m, k, n] in [[1, 1, 1], [3, 700, 5], [270, 33, 250], [17, 300, 130]] {
        let (a, b) = (draw.tensor(&[m, k])?, draw.tensor(&[k, n])?);
        let (at, bt) = (draw.tensor(&[k, m])?, draw.tensor(&[n, k])?);
        let factors = [Factor::new(&a), Factor::new(&at).t()];
        for left in factors {
            for right in [Factor::new(&b), Factor::new(&bt).t()] {
                found.push(draw.engine().product(left, right)?);
            }
        }
    }
    Ok(found)
}

fn rows(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (x, row) = (draw.tensor(&[37, 53])?, draw.tensor(&[53])?);
    Ok(vec![draw.engine().add_to_rows(x, &row)?])
}

fn axes(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    // Columns, rows, what lies between; one row that is cut into parts.
    for (shape, axes) in [
        (&[37, 53][..], 0..1),
        (&[37, 53], 1..2),
        (&[3, 7, 2, 19], 1..3),
        (&[70_001], 0..1),
        (&[2, 5], 0..2),
    ] {
        let x = draw.tensor(shape)?;
        let engine = draw.engine();
        let sum = engine.sum_axes(&x, axes.clone(), 0.5)?;
        found.push(engine.repeat(&sum, axes.start, &shape[axes], 0.25)?);
        found.push(sum);
    }
    Ok(found)
}

fn conv(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for g in draw.geometries()? {
        let (x, weight) = (draw.tensor(&g.input_shape())?, draw.tensor(&g.weight_shape())?);
        let (dy, bias) = (draw.tensor(&g.output_shape())?, draw.tensor(&[g.outputs])?);
        let engine = draw.engine();
        found.push(engine.conv(&g, &x, &weight, None)?);
        found.push(engine.conv(&g, &x, &weight, Some(&bias))?);
        found.push(engine.conv_input_gradient(&g, &dy, &weight)?);
        found.push(engine.conv_kernel_gradient(&g, &x, &dy)?);
        found.push(engine.conv_bias_gradient(&g, &dy)?);
    }
    Ok(found)
}

fn align(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let stack = Stack { sources: 3, outputs: 37, row: 45 };
    let (weight, dy) = (draw.tensor(&[3, 37, 5, 3, 3])?, draw.tensor(&[3, 37, 5, 3, 3])?);
    let transform = draw.tensor(&[3, 37, 37])?;
    let engine = draw.engine();
    Ok(vec![
        engine.align(stack, &weight, &transform)?,
        engine.align_weight_gradient(stack, &dy, &transform)?,
        engine.align_transform_gradient(stack, &dy, &weight)?,
    ])
}

fn aggregate(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (gate, values) = (draw.tensor(&[4])?, draw.tensor(&[4, 31, 57])?);
    let dy = draw.tensor(&[31, 57])?;
    let engine = draw.engine();
    let mixed = engine.aggregate(&gate, &values)?;
    let gradients = engine.aggregate_gradients(&gate, &values, &dy, [true; 2])?;
    Ok([Some(mixed)].into_iter().chain(gradients).flatten().collect())
}

/// With all that it may have: alignment where it can be, and biases.
fn layer(draw: &mut Draw, strategy: Strategy, is_shared: bool) -> Result<Vec<Tensor<f32>>> {
    let (mut found, m) = (Vec::new(), 3);
    for geometry in draw.geometries()? {
        for is_aligned in [true, false] {
            let (o, g) = (geometry.outputs, &geometry);
            let gate = if is_shared { vec![m] } else { vec![g.batch, m] };
            let weight = [&[m], &g.weight_shape()[..]].concat();
            let layer = Layer {
                geometry,
                sources: m,
                x: draw.tensor(&g.input_shape())?,
                weight: draw.tensor(&weight)?,
                alignment: is_aligned.then(|| draw.tensor(&[m, o, o])).transpose()?,
                bias: Some(draw.tensor(&[m, o])?),
                gate: draw.tensor(&gate)?,
            };
            let dy = draw.tensor(&g.output_shape())?;
            if !layer.sizes().allows(strategy) {
                continue;
            }
            let engine = draw.engine();
            // Also of a layer whose kernels are frozen.
            let frozen = Wanted { weight: false, alignment: false, bias: false, ..Wanted::ALL };
            for wanted in [Wanted::ALL, frozen] {
                let (y, kept) = engine.aggregated_conv_in(strategy, &layer)?;
                let gradients = engine.aggregated_conv_gradients(&layer, &dy, kept, wanted)?;
                let LayerGradients { x, weight, alignment, bias, gate } = gradients;
                found.push(y);
                found.extend([weight, gate, x, alignment, bias].into_iter().flatten());
            }
        }
    }
    Ok(found)
}

fn norm(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for (shape, is_frozen) in
        [([3, 5, 7, 9], false), ([2, 33, 1, 1], false), ([4, 2, 20, 31], true)]
    {
        let channels = Channels { batch: shape[0], channels: shape[1], len: shape[2] * shape[3] };
        let [x, dy, residual] = [(); 3].map(|()| draw.tensor(&shape));
        let [weight, bias] = [(); 2].map(|()| draw.tensor(&shape[1..2]));
        let (x, dy, residual, weight, bias) = (x?, dy?, residual?, weight?, bias?);
        let engine = draw.engine();
        let [mean, variance] = engine.moments(channels, &x)?;
        let inverse = engine.inverse_std(&variance, 0.1)?;
        found.extend([mean.clone(), variance, inverse.clone()]);
        let norm = Norm { channels, mean, inverse, weight, is_frozen };
        for then in
            [Epilogue::Nothing, Epilogue::Relu, Epilogue::Relu6, Epilogue::AddRelu(&residual)]
        {
            let y = engine.normalise(&norm, &x, &bias, then)?;
            let rectified = then.rectifier().map(|by| Rectified { by, y: &y });
            for residual in [true, false] {
                let wanted = WantedOfNorm { x: true, residual };
                let gradients = engine.norm_gradients(&norm, &x, dy.clone(), rectified, wanted)?;
                found.extend([gradients.weight, gradients.bias]);
                found.extend(gradients.x.into_iter().chain(gradients.residual));
            }
            found.push(y);
        }
    }
    Ok(found)
}

fn max_pool(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let window = Window { groups: 5, ..Window::square(2, 1) };
    let g = Geometry::new("check", [2, 5, 21, 14], [5, 1, 3, 3], window)?;
    let (x, dy) = (draw.tensor(&g.input_shape())?, draw.tensor(&g.output_shape())?);
    let (y, argmax) = draw.engine().max_pool(&g, &x)?;
    Ok(vec![y, draw.engine().max_pool_gradient(&g, &argmax, &dy)?])
}

fn avg_pool(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    let dilated = Window { dilation: [2, 1], padding: [1, 0], ..Window::square(1, 0) };
    for (size, window) in
        [([3, 3], Window::square(2, 1)), ([2, 2], Window::square(2, 0)), ([2, 3], dilated)]
    {
        let window = Window { groups: 5, ..window };
        let g = Geometry::new("check", [2, 5, 21, 38], [5, 1, size[0], size[1]], window)?;
        let (x, dy) = (draw.tensor(&g.input_shape())?, draw.tensor(&g.output_shape())?);
        for divisor in [Divisor::Taps, Divisor::Pixels] {
            found.push(draw.engine().avg_pool(&g, divisor, &x)?);
            found.push(draw.engine().avg_pool_gradient(&g, divisor, &dy)?);
        }
    }
    Ok(found)
}

fn resample(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for (from, to) in
        [([9, 11], [18, 22]), ([5, 4], [40, 32]), ([13, 17], [7, 40]), ([1, 3], [5, 1])]
    {
        let x = draw.tensor(&[2, 3, from[0], from[1]])?;
        let dy = draw.tensor(&[2, 3, to[0], to[1]])?;
        for rule in [Interpolation::Nearest, Interpolation::Bilinear] {
            found.push(draw.engine().resample(rule, &x, to)?);
            found.push(draw.engine().resample_gradient(rule, &dy, from)?);
        }
    }
    Ok(found)
}

fn pieces(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for axis in 0..3 {
        let mut part = |len| {
            let mut shape = [5, 6, 37];
            shape[axis] = len;
            draw.tensor(&shape)
        };
        let (a, b, c) = (part(3)?, part(1)?, part(19)?);
        let engine = draw.engine();
        let all = engine.concat(&[&a, &b, &c], axis)?;
        found.push(engine.slice(&all, axis, 2..21)?);
        found.push(engine.slice_gradient(&c, axis, 2, 23)?);
        found.push(all);
    }
    Ok(found)
}

fn plane_means(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (x, dy) = (draw.tensor(&[3, 7, 9, 11])?, draw.tensor(&[3, 7])?);
    let engine = draw.engine();
    Ok(vec![engine.plane_means(&x)?, engine.plane_means_gradient(&dy, [3, 7, 9, 11])?])
}

fn elementwise(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (a, b) = (draw.tensor(&[37, 131])?, draw.tensor(&[37, 131])?);
    let engine = draw.engine();
    let mut sum = a.clone();
    engine.add_to(&mut sum, &b)?;
    let mut scaled = a.clone();
    engine.scale_in_place(&mut scaled, 0.3)?;
    let (relu, sigmoid) = (engine.relu(&a)?, engine.sigmoid(&a)?);
    let relu6 = engine.relu6(&engine.quotient(&a, 0.2)?)?;
    let several = [&a, &b, &sum, &relu, &sigmoid];
    let sums = (1..=5).map(|count| engine.sum(&several[..count])).collect::<Result<Vec<_>>>()?;
    let found = vec![
        sum,
        scaled,
        engine.add(&a, &b)?,
        engine.blend([0.9, 0.1], &a, &b)?,
        engine.mul(&a, &b)?,
        engine.scale(&a, 3.0)?,
        engine.exp(&a)?,
        engine.log(&sigmoid)?,
        engine.log_gradient(b.clone(), &sigmoid)?,
        engine.quotient(&a, 3.0)?,
        engine.relu_gradient(b.clone(), &relu)?,
        engine.relu6_gradient(b.clone(), &relu6)?,
        engine.sigmoid_gradient(b, &sigmoid)?,
        relu,
        relu6,
        sigmoid,
    ];
    Ok(found.into_iter().chain(sums).collect())
}

fn softmax(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for shape in [[5, 3], [4, 1000]] {
        let (x, dy) = (draw.tensor(&shape)?, draw.tensor(&shape)?);
        let y = draw.engine().softmax(&x)?;
        found.push(draw.engine().softmax_gradient(dy.clone(), &y)?);
        found.push(y);
        let y = draw.engine().log_softmax(&x)?;
        found.push(draw.engine().log_softmax_gradient(dy, &y)?);
        found.push(y);
    }
    Ok(found)
}

fn select(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (x, dy) = (draw.tensor(&[37, 45])?, draw.tensor(&[37])?);
    let engine = draw.engine();
    let columns = engine.indices((0..37).map(|n| 11 * n % 45).collect())?;
    Ok(vec![engine.select(&x, &columns)?, engine.select_gradient(&dy, &columns, 45)?])
}

fn cross_entropy(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for (shape, kept, spread) in [([6, 10], 1.0, 0.0), ([3, 300], 0.9, 0.1 / 300.0)] {
        let logits = draw.tensor(&shape)?;
        let labels = (0..shape[0]).map(|n| (7 * n % shape[1]) as u32).collect();
        let engine = draw.engine();
        let targets = Targets { labels: engine.indices(labels)?, kept, spread };
        found.push(engine.cross_entropy(&logits, &targets)?);
        found.push(engine.cross_entropy_gradient(logits, &targets, 0.5)?);
    }
    Ok(found)
}

fn mse(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (a, b) = (draw.tensor(&[230, 199])?, draw.tensor(&[230, 199])?);
    Ok(vec![draw.engine().mse(&a, &b)?, draw.engine().mse_gradient(0.5, &a, &b)?])
}

fn huber(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for shape in [&[50][..], &[7, 5, 41]] {
        let (a, b) = (draw.tensor(shape)?, draw.tensor(shape)?);
        let dy = draw.tensor(&shape[..1])?;
        found.push(draw.engine().huber(&a, &b, 0.8)?);
        found.push(draw.engine().huber_gradient(&dy, &a, &b, 0.8)?);
    }
    Ok(found)
}

fn adaptive_wing(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let (a, t) = (draw.tensor(&[7, 41])?, draw.tensor(&[7, 41])?);
    // Heat maps: from 0 to 1.
    let t = draw.engine().sigmoid(&t)?;
    let other = AdaptiveWing { alpha: 2.4, omega: 10.0, epsilon: 0.5, theta: 0.3 };
    let mut found = Vec::new();
    for wing in [AdaptiveWing::PUBLISHED.cast(), other] {
        found.push(draw.engine().adaptive_wing(&a, &t, wing)?);
        found.push(draw.engine().adaptive_wing_slope(&a, &t, wing)?);
    }
    Ok(found)
}

fn sgd(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for nesterov in [true, false] {
        let [w, g, v] = [(); 3].map(|()| draw.tensor(&[1001]));
        let (mut w, g, mut v) = (w?, g?, v?);
        let settings = Sgd { rate: 0.1, decay: 0.01, momentum: 0.9, nesterov };
        draw.engine().sgd(&mut w, &g, &mut v, settings)?;
        found.extend([w, v]);
    }
    Ok(found)
}

fn adam(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    // Adam, and AdamW.
    for (decay, keep) in [(0.01, 1.0), (0.0, 0.9)] {
        let [w, g, m] = [(); 3].map(|()| draw.tensor(&[1001]));
        let (mut w, g, mut m, mut v) = (w?, g?, m?, draw.squares(&[1001], 0.0)?);
        let settings = Adam {
            rate: 0.01,
            decay,
            keep,
            betas: [0.9, 0.999],
            rest: [0.1, 0.001],
            root: 1.5,
            epsilon: 1e-8,
        };
        draw.engine().adam(&mut w, &g, [&mut m, &mut v], settings)?;
        found.extend([w, m, v]);
    }
    Ok(found)
}

fn rms_prop(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for (is_centred, has_momentum) in [(false, false), (true, false), (false, true), (true, true)] {
        let [w, g, mean, velocity] = [(); 4].map(|()| draw.tensor(&[1001]));
        let (mut w, g, mut mean, mut velocity) = (w?, g?, mean?, velocity?);
        // So large that a variance is left.
        let mut square = draw.squares(&[1001], 20.0)?;
        let moments = Moments {
            square: &mut square,
            mean: is_centred.then_some(&mut mean),
            velocity: has_momentum.then_some(&mut velocity),
        };
        let settings = RmsProp {
            rate: 0.01,
            decay: 0.01,
            alpha: 0.9,
            rest: 0.1,
            epsilon: 1e-8,
            momentum: 0.9,
        };
        draw.engine().rms_prop(&mut w, &g, moments, settings)?;
        found.extend([w, square, mean, velocity]);
    }
    Ok(found)
}

fn sum_of_squares(draw: &mut Draw) -> Result<Vec<Tensor<f32>>> {
    let mut found = Vec::new();
    for shapes in [&[1, 1001, 300_007, 17][..], &[5]] {
        let tensors = shapes.iter().map(|&len| draw.tensor(&[len])).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<&Tensor<f32>> = tensors.iter().collect();
        found.push(Tensor::scalar(draw.engine().sum_of_squares(&tensors)? as f32));
    }
    Ok(found)
}
