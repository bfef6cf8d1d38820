//! Why networks cannot be averaged, and what matching repairs.

use super::gates::softmax;
use super::tape::{Matrix, Random, Tape, Var};
use std::fmt::Write;

// ANCHOR: data
/// Pictures of handwritten digits, `[N, 64]`, and which digit each is.
pub struct Digits {
    pub images: Matrix,
    pub labels: Vec<usize>,
}

/// Every fifth digit of the demo's file for testing, the others for training.
pub fn digits() -> zoo_tuning::Result<[Digits; 2]> {
    let samples = zoo_tuning::dataset::digits::read("data/digits/digits.csv.gz", 8)?;
    let (test, train): (Vec<usize>, Vec<usize>) = (0..1797).partition(|index| index % 5 == 0);
    let part = |indices: &[usize]| {
        let (images, labels) = samples.batch(indices)?;
        let values = images.as_slice().iter().map(|&v| v.into()).collect();
        let images = Matrix { rows: indices.len(), columns: 64, values };
        Ok(Digits { images, labels })
    };
    Ok([part(&train)?, part(&test)?])
}
// ANCHOR_END: data

// ANCHOR: loss
impl Tape {
    /// The mean of `-log softmax(x)[label]` over rows: `dx = dy (softmax(x) - one-hot) / N`.
    pub fn cross_entropy(&mut self, x: Var, labels: &[usize]) -> Var {
        let xv = self.value(x);
        let (rows, columns) = (xv.rows, xv.columns);
        let mut slope: Vec<f64> = xv.values.chunks(columns).flat_map(softmax).collect();
        let mut loss = 0.0;
        for (row, label) in labels.iter().enumerate() {
            loss -= slope[row * columns + label].ln() / rows as f64;
            slope[row * columns + label] -= 1.0;
        }
        let slope = Matrix { rows, columns, values: slope };
        self.record(Matrix::new(1, 1, |_, _| loss), [x], move |dy| {
            [slope.zip(&slope, |s, _| dy.at(0, 0) * s / rows as f64)]
        })
    }
}
// ANCHOR_END: loss

// ANCHOR: network
/// `W1 [64, h]`, `b1`, `W2 [h, h]`, `b2`, `W3 [h, 10]`, `b3`.
pub type Network = [Matrix; 6];

/// Units of a hidden layer.
pub const HIDDEN: usize = 32;

pub fn start(seed: u64, hidden: usize) -> Network {
    let mut random = Random(seed);
    let mut layer = |inputs: usize, outputs: usize| {
        let scale = (6.0 / inputs as f64).sqrt(); // activations keep their size (He et al., 2015)
        let weight = Matrix::new(inputs, outputs, |_, _| scale * random.next());
        (weight, Matrix::new(1, outputs, |_, _| 0.0))
    };
    let ((w1, b1), (w2, b2), (w3, b3)) =
        (layer(64, hidden), layer(hidden, hidden), layer(hidden, 10));
    [w1, b1, w2, b2, w3, b3]
}

fn layer(tape: &mut Tape, x: Var, w: Var, b: Var) -> Var {
    let y = tape.times(x, w);
    tape.add_row(y, b)
}

/// The values of both hidden layers, and the scores of the classes.
fn forward(tape: &mut Tape, x: Var, [w1, b1, w2, b2, w3, b3]: [Var; 6]) -> [Var; 3] {
    let first = layer(tape, x, w1, b1);
    let first = tape.relu(first);
    let second = layer(tape, first, w2, b2);
    let second = tape.relu(second);
    [first, second, layer(tape, second, w3, b3)]
}

/// The values of both hidden layers, and the scores of the classes.
pub fn values(network: &Network, images: &Matrix) -> [Matrix; 3] {
    let mut tape = Tape::default();
    let x = tape.leaf(images.clone());
    let vars = network.each_ref().map(|value| tape.leaf(value.clone()));
    forward(&mut tape, x, vars).map(|var| tape.value(var).clone())
}
// ANCHOR_END: network

// ANCHOR: training
pub fn trained(seed: u64, train: &Digits) -> Network {
    tuned(start(seed, HIDDEN), seed, 800, train)
}

/// The network after so many steps more, with batches that are drawn by the seed.
pub fn tuned(mut network: Network, seed: u64, steps: usize, train: &Digits) -> Network {
    let mut random = Random(seed);
    for _ in 0..steps {
        let pick = |r: f64| ((r + 1.0) / 2.0 * train.labels.len() as f64) as usize;
        let batch: Vec<usize> = (0..40).map(|_| pick(random.next())).collect();
        let labels: Vec<usize> = batch.iter().map(|&n| train.labels[n]).collect();
        let mut tape = Tape::default();
        let x = tape.leaf(Matrix::new(40, 64, |row, pixel| train.images.at(batch[row], pixel)));
        let vars = network.each_ref().map(|value| tape.leaf(value.clone()));
        let [.., scores] = forward(&mut tape, x, vars);
        let loss = tape.cross_entropy(scores, &labels);
        let mut gradients = tape.backward(loss);
        for (value, var) in network.iter_mut().zip(vars) {
            *value = value.zip(&gradients.take(var), |v, dv| v - 0.1 * dv);
        }
    }
    network
}

/// The share of images whose largest score is that of their digit.
pub fn accuracy(network: &Network, test: &Digits) -> f64 {
    let [.., scores] = values(network, &test.images);
    let is_right =
        |&(scores, label): &(&[f64], &usize)| (0..10).all(|class| scores[class] <= scores[*label]);
    let right = scores.values.chunks(10).zip(&test.labels).filter(is_right).count();
    right as f64 / test.labels.len() as f64
}
// ANCHOR_END: training

// ANCHOR: average
/// `(1 - t) a + t b`, number by number.
pub fn between(a: &Network, b: &Network, t: f64) -> Network {
    std::array::from_fn(|i| a[i].zip(&b[i], |a, b| (1.0 - t) * a + t * b))
}
// ANCHOR_END: average

// ANCHOR: permute
/// The network with its hidden units in other orders: unit `orders[0][k]` of the first layer comes
/// to place `k`, with what leads to it and what it leads to; likewise in the second.
pub fn permuted(network: &Network, orders: &[Vec<usize>; 2]) -> Network {
    let [w1, b1, w2, b2, w3, b3] = network;
    let columns =
        |m: &Matrix, order: &[usize]| Matrix::new(m.rows, m.columns, |r, c| m.at(r, order[c]));
    let rows =
        |m: &Matrix, order: &[usize]| Matrix::new(m.rows, m.columns, |r, c| m.at(order[r], c));
    let [first, second] = orders;
    [
        columns(w1, first),
        columns(b1, first),
        columns(&rows(w2, first), second),
        columns(b2, second),
        rows(w3, second),
        b3.clone(),
    ]
}
// ANCHOR_END: permute

// ANCHOR: correlations
/// How units `[N, units]` of two networks go together on the same images: entry `[p, q]` is the
/// correlation of unit `p` of `a` and unit `q` of `b`; 0 for a unit that never changes.
pub fn correlations(a: &Matrix, b: &Matrix) -> Matrix {
    let standardised = |m: &Matrix| {
        let mean = Matrix::new(1, m.rows, |_, _| 1.0 / m.rows as f64).times(m);
        let centred = Matrix::new(m.rows, m.columns, |r, c| m.at(r, c) - mean.at(0, c));
        let length = |c: usize| (0..m.rows).map(|r| centred.at(r, c).powi(2)).sum::<f64>().sqrt();
        let lengths: Vec<f64> = (0..m.columns).map(length).collect();
        Matrix::new(m.rows, m.columns, |r, c| centred.at(r, c) / lengths[c].max(1e-9))
    };
    standardised(a).t().times(&standardised(b))
}
// ANCHOR_END: correlations

// ANCHOR: assign
/// A unit `q` for each `p`, each once, with a large sum of `profit[p, q]`: two units are exchanged
/// as long as that helps.
pub fn assign(profit: &Matrix) -> Vec<usize> {
    let mut order: Vec<usize> = (0..profit.rows).collect();
    let mut improves = true;
    while improves {
        improves = false;
        for p in 0..order.len() {
            for q in 0..p {
                let now = profit.at(p, order[p]) + profit.at(q, order[q]);
                let then = profit.at(p, order[q]) + profit.at(q, order[p]);
                if then > now + 1e-12 {
                    order.swap(p, q);
                    improves = true;
                }
            }
        }
    }
    order
}

/// `b` with its units in the order of `a`.
pub fn matched(a: &Network, b: &Network, images: &Matrix) -> Network {
    let ([a1, a2, _], [b1, b2, _]) = (values(a, images), values(b, images));
    permuted(b, &[assign(&correlations(&a1, &b1)), assign(&correlations(&a2, &b2))])
}
// ANCHOR_END: assign

/// Accuracy on the way from one network to another, in steps of a tenth.
pub struct Ways {
    pub plain: Vec<f64>,
    pub matched: Vec<f64>,
}

/// Computed once, for the picture and for the test.
pub fn ways() -> &'static Ways {
    static WAYS: std::sync::OnceLock<Ways> = std::sync::OnceLock::new();
    WAYS.get_or_init(|| computed_ways().expect("the digits are there"))
}

fn computed_ways() -> zoo_tuning::Result<Ways> {
    let [train, test] = digits()?;
    let [a, b] = [1, 2].map(|seed| trained(seed, &train));
    let matched = matched(&a, &b, &train.images);
    let along = |b: &Network| -> Vec<f64> {
        (0..=10).map(|t| accuracy(&between(&a, b, f64::from(t) / 10.0), &test)).collect()
    };
    Ok(Ways { plain: along(&b), matched: along(&matched) })
}

// ANCHOR: report
pub fn report() -> zoo_tuning::Result<String> {
    let [train, test] = digits()?;
    let [a, b] = [1, 2].map(|seed| trained(seed, &train));
    let backwards: Vec<usize> = (0..HIDDEN).rev().collect();
    let turned = permuted(&a, &[backwards.clone(), backwards]);
    let again = matched(&a, &turned, &train.images);
    let other = matched(&a, &b, &train.images);
    let ancestor = tuned(start(1, HIDDEN), 1, 100, &train); // what a was after 100 of its 800 steps
    let c = tuned(ancestor, 3, 700, &train);
    let mut text = String::new();
    let mut row = |name: &str, network: &Network| {
        writeln!(text, "{name:34} {:5.1} %", 100.0 * accuracy(network, &test)).unwrap();
    };
    row("a", &a);
    row("a, units backwards", &turned);
    row("average of these two", &between(&a, &turned, 0.5));
    row("average of these two, matched", &between(&a, &again, 0.5));
    row("b, trained from another start", &b);
    row("average of a and b", &between(&a, &b, 0.5));
    row("average of a and b, matched", &between(&a, &other, 0.5));
    row("c, from what a was at 100 steps", &c);
    row("average of a and c", &between(&a, &c, 0.5));
    Ok(text)
}
// ANCHOR_END: report

#[test]
fn what_is_printed() -> zoo_tuning::Result<()> {
    super::printed::check("matching", &report()?);
    Ok(())
}

/// Orders of 32 units.
#[test]
fn there_are_many_orders() {
    let orders: f64 = (1..=HIDDEN).map(|k| k as f64).product();
    assert!((2.6e35..2.7e35).contains(&orders), "{orders}");
}

/// What the chapter says of its table.
#[test]
fn an_average_is_wrong_and_matching_repairs_a_part() {
    let Ways { plain, matched } = ways();
    let ends = plain[0].min(plain[10]);
    assert!(ends > 0.93, "{plain:?}");
    assert!(plain[5] < ends - 0.2, "{plain:?}");
    assert!(matched[5] > plain[5] + 0.1 && matched[5] < ends, "{matched:?}");
    // Matching moves units and changes nothing else.
    assert_eq!(matched[10], plain[10]);
}

// ANCHOR: same_function
#[test]
fn another_order_of_units_computes_the_same() -> zoo_tuning::Result<()> {
    let [train, test] = digits()?;
    let a = trained(1, &train);
    let shift = |by: usize| (0..HIDDEN).map(|k| (k + by) % HIDDEN).collect::<Vec<_>>();
    let moved = permuted(&a, &[shift(3), shift(7)]);
    // The sums run in another order, so the last bits may differ.
    let near = |a: &Matrix, b: &Matrix| {
        a.values.iter().zip(&b.values).for_each(|(a, b)| assert!((a - b).abs() < 1e-10));
    };
    let ([.., expected], [.., found]) = (values(&a, &test.images), values(&moved, &test.images));
    near(&expected, &found);
    // And matching finds every unit again: both hidden layers answer as those of a, unit by unit.
    let again = matched(&a, &moved, &train.images);
    let pairs = values(&a, &train.images).into_iter().zip(values(&again, &train.images));
    pairs.for_each(|(expected, found)| near(&expected, &found));
    Ok(())
}
// ANCHOR_END: same_function

// ANCHOR: engine
/// The crate's matched start moves the channels of real networks, and changes no answer.
#[test]
fn the_engine_matches_whole_networks() -> zoo_tuning::Result<()> {
    use zoo_tuning::nn::{Pass, open_zoo};
    use zoo_tuning::tensor::{State, Tensor};
    use zoo_tuning::{dataset, start};

    let files = ["as_is", "rotated", "edges"].map(|name| format!("data/zoo/{name}.safetensors"));
    let (zoo, design) = open_zoo(&files, None)?;
    let sources: Vec<State<f32>> = State::from_zoo(&zoo)?;
    let digits = dataset::digits::read("data/digits/digits.csv.gz", 16)?;
    let (images, _) = digits.batch(&(0..64).collect::<Vec<_>>())?;
    let matched = start::matched(&design, &sources, 0, &images)?;
    let logits = |state: &State<f32>| -> zoo_tuning::Result<Tensor<f32>> {
        let network = design.plain().build(state)?;
        let mut pass = Pass::evaluate(network.parameters());
        let x = pass.input(images.clone());
        let y = network.forward(&mut pass, x)?;
        Ok(pass.value(y)?.clone())
    };
    for (before, after) in sources.iter().zip(&matched) {
        let difference = logits(before)?.relative_difference(&logits(after)?)?;
        assert!(difference < 1e-5, "{difference}");
    }
    let moved =
        sources[1].get("conv1.weight")?.as_slice() != matched[1].get("conv1.weight")?.as_slice();
    assert!(moved, "some channels stand elsewhere");
    Ok(())
}
// ANCHOR_END: engine
