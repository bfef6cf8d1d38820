//! A layer of a zoo: gates by softmax, aligned kernels, one kernel for each sample.

use super::convolution::{Sizes, convolve, product};
use super::tape::{Matrix, Random, Tape, Var};
use std::fmt::Write;

// ANCHOR: softmax
/// Positive numbers that sum to 1, the larger the larger `scores` are.
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b)); // exp must not overflow
    let powers: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

impl Tape {
    /// Softmax of each row: `dx = y (dy - <dy, y>)`.
    pub fn softmax(&mut self, x: Var) -> Var {
        let xv = self.value(x);
        let rows = xv.values.chunks(xv.columns).flat_map(softmax);
        let y = Matrix { rows: xv.rows, columns: xv.columns, values: rows.collect() };
        let kept = y.clone();
        self.record(y, [x], move |dy| {
            let dots = dy.zip(&kept, |dy, y| dy * y);
            let sum = |row: usize| (0..dots.columns).map(|k| dots.at(row, k)).sum::<f64>();
            [Matrix::new(dy.rows, dy.columns, |row, column| {
                kept.at(row, column) * (dy.at(row, column) - sum(row))
            })]
        })
    }

    /// `max(x, 0)`: `dx = dy` where `x > 0`.
    pub fn relu(&mut self, x: Var) -> Var {
        let xv = self.value(x).clone();
        let y = xv.zip(&xv, |x, _| x.max(0.0));
        self.record(y, [x], move |dy| [dy.zip(&xv, |dy, x| if x > 0.0 { dy } else { 0.0 })])
    }

    /// For each row the sum of `x` times the constants `z`: `dx = dy z`.
    pub fn weigh(&mut self, x: Var, z: &Matrix) -> Var {
        let (xv, z) = (self.value(x), z.clone());
        let of_row = |row: usize| (0..z.columns).map(|k| xv.at(row, k) * z.at(row, k)).sum();
        let y = Matrix::new(z.rows, 1, |row, _| of_row(row));
        self.record(y, [x], move |dy| {
            [Matrix::new(z.rows, z.columns, |row, column| dy.at(row, 0) * z.at(row, column))]
        })
    }
}
// ANCHOR_END: softmax

// ANCHOR: gate
/// `softmax(W2 relu(W1 mean) + b2)` of means `[N, C]`, for `W1'` `[C, C / 4 + 1]` and `W2'`
/// `[C / 4 + 1, m]`; `[N, m]`.
pub fn gate(tape: &mut Tape, means: Var, [w1, w2, b2]: [Var; 3]) -> Var {
    let hidden = tape.times(means, w1);
    let hidden = tape.relu(hidden);
    let scores = tape.times(hidden, w2);
    let scores = tape.add_row(scores, b2);
    tape.softmax(scores)
}
// ANCHOR_END: gate

// ANCHOR: learning
/// Learns which of two sources is right: `z` `[N, 2]` are what they answer, and the first is right
/// where channel 0 is dark on average. Returns the gate's weights after so many steps.
pub fn learned(steps: usize) -> [Matrix; 3] {
    let mut random = Random(11);
    let mut draw = |rows, columns| Matrix::new(rows, columns, |_, _| random.next());
    let (means, z) = (draw(200, 4), draw(200, 2));
    let mut weights = [draw(4, 2), draw(2, 2), Matrix::new(1, 2, |_, _| 0.0)];
    let goal = Matrix::new(200, 1, |n, _| z.at(n, usize::from(means.at(n, 0) > 0.0)));
    for _ in 0..steps {
        let mut tape = Tape::default();
        let x = tape.leaf(means.clone());
        let vars = weights.each_ref().map(|w| tape.leaf(w.clone()));
        let g = gate(&mut tape, x, vars);
        let y = tape.weigh(g, &z);
        let loss = tape.mean_square(y, &goal);
        let mut gradients = tape.backward(loss);
        for (weight, var) in weights.iter_mut().zip(vars) {
            *weight = weight.zip(&gradients.take(var), |w, dw| w - 0.5 * dw);
        }
    }
    weights
}

/// The gate of an input whose channel 0 has this mean, the others 0.
pub fn gate_of(weights: &[Matrix; 3], brightness: f64) -> Vec<f64> {
    let mut tape = Tape::default();
    let x = tape.leaf(Matrix::new(1, 4, |_, c| if c == 0 { brightness } else { 0.0 }));
    let vars = weights.each_ref().map(|w| tape.leaf(w.clone()));
    let g = gate(&mut tape, x, vars);
    tape.value(g).values.clone()
}
// ANCHOR_END: learning

// ANCHOR: learning_report
pub fn learning_report() -> String {
    let mut text = String::new();
    writeln!(text, "brightness   -0.8          -0.2          0.2           0.8").unwrap();
    for steps in [0, 100, 2000] {
        let weights = learned(steps);
        write!(text, "{steps:4} steps  ").unwrap();
        for brightness in [-0.8, -0.2, 0.2, 0.8] {
            let g = gate_of(&weights, brightness);
            write!(text, "  {:.2} and {:.2}", g[0], g[1]).unwrap();
        }
        writeln!(text).unwrap();
    }
    text
}
// ANCHOR_END: learning_report

// ANCHOR: layer
/// A source's kernel `[O, C, k, k]`, and the matrix `[O, O]` that aligns its channels.
pub struct Source {
    pub kernel: Vec<f64>,
    pub alignment: Vec<f64>,
}

/// `sum_i g[i] T_i W_i`: one kernel of the size of one source's.
pub fn aggregated(s: &Sizes, zoo: &[Source], g: &[f64]) -> Vec<f64> {
    let mut kernel = vec![0.0; s.outputs * s.depth()];
    for (source, g) in zoo.iter().zip(g) {
        // Output channel o of A is a mixture of the source's output channels.
        let aligned = product(&source.alignment, &source.kernel, [s.outputs, s.outputs, s.depth()]);
        kernel.iter_mut().zip(aligned).for_each(|(sum, a)| *sum += g * a);
    }
    kernel
}

/// `y` `[N, O, H', W']` of `x` `[N, C, H, W]`: every sample with a kernel of its own.
pub fn zoo_layer(s: &Sizes, x: &[f64], zoo: &[Source], gates: &[Vec<f64>]) -> Vec<f64> {
    let one = Sizes { batch: 1, ..*s };
    let samples = x.chunks(x.len() / s.batch).zip(gates);
    samples.flat_map(|(x, g)| convolve(&one, x, &aggregated(s, zoo, g), 48)).collect()
}
// ANCHOR_END: layer

// ANCHOR: outputs
/// The same by mixing outputs: a convolution is linear in its kernel.
pub fn mixed_outputs(s: &Sizes, x: &[f64], zoo: &[Source], gates: &[Vec<f64>]) -> Vec<f64> {
    let len = s.outputs * s.positions();
    let mut y = vec![0.0; s.batch * len];
    for (i, source) in zoo.iter().enumerate() {
        let z = convolve(s, x, &source.kernel, 48);
        for (n, y) in y.chunks_mut(len).enumerate() {
            let z = &z[n * len..][..len]; // [O, P]
            let aligned = product(&source.alignment, z, [s.outputs, s.outputs, s.positions()]);
            y.iter_mut().zip(aligned).for_each(|(sum, a)| *sum += gates[n][i] * a);
        }
    }
    y
}
// ANCHOR_END: outputs

// ANCHOR: average
/// The gate's moving average, right from the first step on.
#[derive(Default)]
pub struct Average {
    sum: Vec<f64>,
    weight: f64,
}

impl Average {
    pub fn add(&mut self, gate: &[f64]) {
        self.sum.resize(gate.len(), 0.0);
        self.sum.iter_mut().zip(gate).for_each(|(s, g)| *s = 0.9 * *s + 0.1 * g);
        self.weight = 0.9 * self.weight + 0.1;
    }

    pub fn value(&self) -> Vec<f64> {
        self.sum.iter().map(|s| s / self.weight).collect()
    }
}
// ANCHOR_END: average

// ANCHOR: numbers
/// Parameters and multiply-adds for one sample of a layer of ResNet-50, with five sources.
pub fn numbers() -> String {
    let (o, c, k, positions, m, batch) = (256, 256, 3, 14 * 14, 5, 48);
    let kernel = o * c * k * k;
    let hidden = c / 4 + 1;
    let gate = hidden * c + m * hidden; // and m biases
    let convolution = positions * kernel;
    let alignment = m * o * kernel; // once for a batch: it depends on no input
    let mixing = m * kernel; // once for each sample
    let mut text = String::new();
    writeln!(text, "                 parameters  multiply-adds   relative").unwrap();
    let mut row = |name: &str, parameters: usize, work: usize| {
        let ratio = work as f64 / convolution as f64;
        writeln!(text, "{name:14} {parameters:12} {work:14} {ratio:10.2}").unwrap();
    };
    row("one source", kernel, convolution);
    row("gate", gate + m, gate);
    row("alignment", m * o * o, alignment / batch);
    row("mixing", 0, mixing);
    row("zoo of five", m * (kernel + o * o) + gate + m, {
        convolution + gate + alignment / batch + mixing
    });
    row("ensemble", m * kernel, m * convolution);
    row("collapsed", kernel, convolution);
    text
}
// ANCHOR_END: numbers

#[test]
fn what_is_printed() {
    super::printed::check("gates", &numbers());
    super::printed::check("gates_learned", &learning_report());
}

#[test]
fn softmax_sums_to_one_and_knows_only_differences() {
    let g = softmax(&[1.0, 2.0, 4.0]);
    assert!((g.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    assert_near(&softmax(&[1001.0, 1002.0, 1004.0]), &g);
    assert_eq!(softmax(&[0.0; 5]), [0.2; 5]);
}

/// The learned gate takes the source that is right.
#[test]
fn a_gate_learns_which_source_is_right() {
    let weights = learned(2000);
    assert!(gate_of(&weights, -0.8)[0] > 0.8 && gate_of(&weights, 0.8)[1] > 0.8);
}

/// The rules of this chapter, against differences.
#[test]
fn gradients_are_those_of_differences() {
    let z = Matrix::new(2, 3, |row, column| [[1.0, -2.0, 0.5], [0.3, 0.1, 2.0]][row][column]);
    let value = |x: &Matrix| {
        let mut tape = Tape::default();
        let x = tape.leaf(x.clone());
        let g = tape.relu(x);
        let g = tape.softmax(g);
        let y = tape.weigh(g, &z);
        let loss = tape.mean_square(y, &Matrix::new(2, 1, |_, _| 1.0));
        (tape.value(loss).at(0, 0), tape.backward(loss).take(x))
    };
    let x = Matrix::new(2, 3, |row, column| 0.4 * row as f64 - 0.3 + 0.5 * column as f64);
    let gradient = value(&x).1;
    for at in 0..6 {
        let shifted = |by: f64| {
            let mut x = x.clone();
            x.values[at] += by;
            value(&x).0
        };
        let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
        assert!((slope - gradient.values[at]).abs() < 1e-9);
    }
}

#[test]
fn kernels_or_outputs_are_mixed_to_the_same() {
    let (s, x, zoo, gates) = case();
    assert_near(&zoo_layer(&s, &x, &zoo, &gates), &mixed_outputs(&s, &x, &zoo, &gates));
}

/// One gate for all samples: the zoo is one plain kernel.
#[test]
fn lite_collapses() {
    let (s, x, zoo, gates) = case();
    let mut average = Average::default();
    average.add(&gates[0]);
    assert_near(&average.value(), &gates[0]); // right from the first step on
    average.add(&gates[1]);
    let g = average.value();
    assert!((g.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    let plain = aggregated(&s, &zoo, &g);
    assert_eq!(plain.len(), zoo[0].kernel.len());
    assert_near(&convolve(&s, &x, &plain, 48), &zoo_layer(&s, &x, &zoo, &[g.clone(), g]));
}

#[test]
fn an_identity_changes_nothing_and_a_permutation_reorders() {
    let (s, _, mut zoo, _) = case();
    zoo[0].alignment = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(aggregated(&s, &zoo[..1], &[1.0]), zoo[0].kernel);
    zoo[0].alignment = vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    let reordered = aggregated(&s, &zoo[..1], &[1.0]);
    assert_eq!(reordered[..s.depth()], zoo[0].kernel[s.depth()..2 * s.depth()]);
}

// ANCHOR: engine
/// A zoo of three sources, and two samples with gates of their own.
pub fn case() -> (Sizes, Vec<f64>, Vec<Source>, Vec<Vec<f64>>) {
    let s = Sizes {
        batch: 2,
        channels: 4,
        height: 5,
        width: 6,
        outputs: 3,
        taps: 3,
        stride: 1,
        padding: 1,
    };
    let mut random = Random(12);
    let mut draw = |count: usize| (0..count).map(|_| random.next()).collect::<Vec<f64>>();
    let x = draw(s.batch * s.channels * s.height * s.width);
    let zoo = (0..3).map(|_| Source { kernel: draw(s.outputs * s.depth()), alignment: draw(9) });
    let zoo = zoo.collect();
    let gates = (0..s.batch).map(|_| softmax(&draw(3))).collect();
    (s, x, zoo, gates)
}

#[cfg(test)]
fn assert_near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} {b}"));
}

/// The crate's operation, which never holds the kernels of all samples.
#[test]
fn the_engine_computes_the_same() -> zoo_tuning::Result<()> {
    use zoo_tuning::{kernel::Window, ops, tape::Tape, tensor::Tensor};

    let (s, x, zoo, gates) = case();
    let (m, o) = (zoo.len(), s.outputs);
    let kernels = zoo.iter().flat_map(|source| source.kernel.clone()).collect();
    let alignments = zoo.iter().flat_map(|source| source.alignment.clone()).collect();
    let mut tape = Tape::<f64>::new();
    let input = Tensor::new(&[s.batch, s.channels, s.height, s.width], x.clone())?;
    let xv = tape.constant(input);
    let weight = tape.parameter(Tensor::new(&[m, o, s.channels, s.taps, s.taps], kernels)?);
    let alignment = tape.parameter(Tensor::new(&[m, o, o], alignments)?);
    let gate = tape.parameter(Tensor::new(&[s.batch, m], gates.concat())?);
    let kernels = ops::ZooKernels { weight, alignment: Some(alignment), bias: None, gate };
    let y = ops::aggregated_conv2d(&mut tape, xv, kernels, Window::square(1, 1))?;
    assert_near(tape.value(y)?.as_slice(), &zoo_layer(&s, &x, &zoo, &gates));
    Ok(())
}
// ANCHOR_END: engine
