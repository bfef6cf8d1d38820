//! Solutions of exercises, where they are code or numbers.

use super::convolution;
use super::matching;
use super::tape::{Matrix, Tape, Var};
use super::winograd::{self, Point};
use std::fmt::Write;

// ANCHOR: operations
impl Tape {
    /// `exp` of each number: `dx = dy y`.
    pub fn exp(&mut self, x: Var) -> Var {
        let xv = self.value(x);
        let y = xv.zip(xv, |x, _| x.exp());
        let kept = y.clone();
        self.record(y, [x], move |dy| [dy.zip(&kept, |dy, y| dy * y)])
    }

    /// `a - b`: `da = dy`, `db = -dy`.
    pub fn sub(&mut self, a: Var, b: Var) -> Var {
        let y = self.value(a).zip(self.value(b), |a, b| a - b);
        self.record(y, [a, b], |dy| [dy.clone(), dy.zip(dy, |dy, _| -dy)])
    }
}
// ANCHOR_END: operations

// ANCHOR: rate
pub fn rate_report() -> String {
    let mut text = String::new();
    let (x, goal) = super::tape::points();
    for rate in [0.1, 1.0] {
        let mut parameters = super::tape::start(16);
        write!(text, "rate {rate:3.1}, loss:").unwrap();
        for _ in 0..8 {
            let loss = super::tape::step(&mut parameters, &x, &goal, rate);
            write!(text, " {loss:.1e}").unwrap();
        }
        text.push('\n');
    }
    text
}
// ANCHOR_END: rate

// ANCHOR: readers
/// For a stride of 2 and three taps: how many taps read a pixel, by whether its row and its column
/// are odd. Together they are the nine taps, for four pixels.
pub fn readers() -> [[usize; 2]; 2] {
    let s = convolution::Sizes {
        batch: 1,
        channels: 1,
        height: 8,
        width: 8,
        outputs: 1,
        taps: 3,
        stride: 2,
        padding: 1,
    };
    // The gradient of the sum of all outputs, with a kernel of ones, counts them.
    let (x, w) = ([0.0; 64], [1.0; 9]);
    let [dx, _] = convolution::gradients(&s, &x, &w, &[1.0; 16]);
    [0, 1].map(|row| [0, 1].map(|column| dx[(2 + row) * 8 + 2 + column] as usize))
}
// ANCHOR_END: readers

// ANCHOR: other_points
pub fn points_report() -> String {
    use Point::{At, Infinity};
    let mut text = String::new();
    for (name, last) in [("0,  1, -1, infinity", -1.0), ("0,  1,  2, infinity", 2.0)] {
        let [_, found] = winograd::measured(&[At(0.0), At(1.0), At(last), Infinity]);
        writeln!(text, "{name}: error {:.1e}", found.error).unwrap();
    }
    text
}
// ANCHOR_END: other_points

// ANCHOR: widths
/// The average of two networks, matched or not, by the width of their hidden layers.
pub fn widths_report() -> zoo_tuning::Result<String> {
    let [train, test] = matching::digits()?;
    let mut text = "units     a      b  average  matched\n".to_owned();
    for hidden in [8, 16] {
        let [a, b] =
            [1, 2].map(|seed| matching::tuned(matching::start(seed, hidden), seed, 800, &train));
        let matched = matching::matched(&a, &b, &train.images);
        let [average, again] = [&b, &matched].map(|b| matching::between(&a, b, 0.5));
        let [a, b, average, matched] =
            [a, b, average, again].map(|n| 100.0 * matching::accuracy(&n, &test));
        writeln!(text, "{hidden:5}  {a:4.1}   {b:4.1}     {average:4.1}     {matched:4.1}")
            .unwrap();
    }
    Ok(text)
}
// ANCHOR_END: widths

// ANCHOR: branches
/// The average of `a` and a network that left it after so many steps.
pub fn branches_report() -> zoo_tuning::Result<String> {
    let [train, test] = matching::digits()?;
    let start = matching::start(1, matching::HIDDEN);
    let a = matching::tuned(start.clone(), 1, 800, &train);
    let mut text = String::new();
    for steps in [0, 10] {
        let ancestor = matching::tuned(start.clone(), 1, steps, &train);
        let c = matching::tuned(ancestor, 3, 800 - steps, &train);
        let average = matching::accuracy(&matching::between(&a, &c, 0.5), &test);
        writeln!(text, "after {steps:2} steps: {:.1} %", 100.0 * average).unwrap();
    }
    Ok(text)
}
// ANCHOR_END: branches

// ANCHOR: doubled
/// A pickle of `5 times + 3` bytes whose value has `2^times` numbers.
pub fn doubled(times: usize) -> Vec<u8> {
    let pair = [b'q', 0, b'h', 0, 0x86]; // BINPUT 0, BINGET 0, TUPLE2
    [&[b'K', 1][..], &pair.repeat(times), b"."].concat()
}
// ANCHOR_END: doubled

// ANCHOR: strided
/// The numbers of a matrix `[rows, columns]` that lies in a storage with these strides.
pub fn strided(
    storage: &[f32],
    offset: usize,
    [rows, columns]: [usize; 2],
    strides: [usize; 2],
) -> Option<Vec<f32>> {
    let at = |n: usize| {
        let row = (n / columns).checked_mul(strides[0])?;
        let column = (n % columns).checked_mul(strides[1])?;
        storage.get(offset.checked_add(row)?.checked_add(column)?).copied()
    };
    (0..rows.checked_mul(columns)?).map(at).collect()
}
// ANCHOR_END: strided

// ANCHOR: relu
/// What a work-item does in `relu`.
pub fn relu_work_item<const LANES: usize>(number: usize, x: &[f32], y: &mut [f32]) {
    let i = number * LANES;
    if i >= x.len() {
        return;
    }
    let there = LANES.min(x.len() - i);
    for lane in i..i + there {
        // Not `max`, which answers 0 for what is not a number, and would hide a fault.
        y[lane] = if x[lane] < 0.0 { 0.0 } else { x[lane] };
    }
}
// ANCHOR_END: relu

#[test]
fn what_is_printed() -> zoo_tuning::Result<()> {
    super::printed::check("solutions_rate", &rate_report());
    super::printed::check("solutions_points", &points_report());
    super::printed::check("solutions_widths", &widths_report()?);
    super::printed::check("solutions_branches", &branches_report()?);
    Ok(())
}

#[test]
fn operations_have_the_gradients_of_differences() {
    let value = |a: f64, b: f64| {
        let mut tape = Tape::default();
        let [a, b] = [a, b].map(|v| tape.leaf(Matrix::new(1, 1, |_, _| v)));
        let power = tape.exp(a);
        let y = tape.sub(power, b);
        let loss = tape.mean_square(y, &Matrix::new(1, 1, |_, _| 0.5));
        let loss_value = tape.value(loss).at(0, 0);
        let mut gradients = tape.backward(loss);
        (loss_value, [gradients.take(a).at(0, 0), gradients.take(b).at(0, 0)])
    };
    let (a, b, h) = (0.3, 0.7, 1e-5);
    let [da, db] = value(a, b).1;
    assert!((da - (value(a + h, b).0 - value(a - h, b).0) / (2.0 * h)).abs() < 1e-8);
    assert!((db - (value(a, b + h).0 - value(a, b - h).0) / (2.0 * h)).abs() < 1e-8);
}

#[test]
fn four_pixels_are_read_by_nine_taps() {
    assert_eq!(readers(), [[1, 2], [2, 4]]);
}

/// `5 + 2 - 1` points: 36 products for four outputs of 25 taps each.
#[test]
fn five_taps_take_nine_products() {
    let points = 5 + 2 - 1;
    assert_eq!((points * points / (2 * 2), 5 * 5), (9, 25));
}

/// Gates of a half: the kernel begins as `m / 2` times the mean.
#[test]
fn a_zoo_of_sigmoids_begins_too_large() {
    let sigmoid = |score: f64| 1.0 / (1.0 + (-score).exp());
    let m = 5.0;
    assert_eq!(sigmoid(0.0) * m, m / 2.0);
}

/// The alignment costs `m O` for each number of a kernel, a convolution `N P`.
#[test]
fn the_alignment_costs_a_convolution_on_small_maps() {
    let places = 5.0 * 256.0 / 48.0;
    assert!(places > 5.0 * 5.0 && places < 6.0 * 6.0);
}

// ANCHOR: align_gradients
/// `A = T W`: `dT = dA W'`, `dW = T' dA`.
#[test]
fn the_alignment_is_a_product() {
    let mut random = super::tape::Random(9);
    let [t, w, da] = [(3, 3), (3, 5), (3, 5)]
        .map(|(rows, columns)| Matrix::new(rows, columns, |_, _| random.next()));
    let (dt, dw) = (da.times(&w.t()), t.t().times(&da));
    let dot = |a: &Matrix, b: &Matrix| a.zip(b, |a, b| a * b).values.iter().sum::<f64>();
    // A product is linear in each of its two: <dA, T W> = <dT, T> = <dW, W>.
    let value = dot(&da, &t.times(&w));
    assert!((value - dot(&dt, &t)).abs() < 1e-14 && (value - dot(&dw, &w)).abs() < 1e-14);
}
// ANCHOR_END: align_gradients

// ANCHOR: stuck
/// Exchanging any two makes it worse, and the cycle of three is best.
#[test]
fn exchanging_two_can_stop_too_early() {
    let rows = [[0.0, 1.0, -3.0], [-3.0, 0.0, 1.0], [1.0, -3.0, 0.0]];
    let profit = Matrix::new(3, 3, |row, column| rows[row][column]);
    let sum = |order: &[usize]| (0..3).map(|p| profit.at(p, order[p])).sum::<f64>();
    let found = matching::assign(&profit);
    assert_eq!((sum(&found), sum(&[1, 2, 0])), (0.0, 3.0));
}
// ANCHOR_END: stuck

#[test]
fn a_value_that_is_used_twice_is_copied() {
    use super::checkpoints::{Value, read};
    fn leaves(value: &Value) -> usize {
        match value {
            Value::Tuple(values) => values.iter().map(leaves).sum(),
            _ => 1,
        }
    }
    for times in [1, 5, 12] {
        let bytes = doubled(times);
        assert_eq!((bytes.len(), leaves(&read(&bytes).unwrap().0)), (5 * times + 3, 1 << times));
    }
    // 2^28 numbers in less than 200 bytes, of which each takes more than 16.
    assert!(doubled(28).len() < 200 && size_of::<Value>() << 28 > 4 << 30);
}

#[test]
fn a_transposed_matrix_is_the_same_storage() {
    let storage = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(strided(&storage, 0, [2, 3], [3, 1]).unwrap(), storage);
    assert_eq!(strided(&storage, 0, [3, 2], [1, 3]).unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(strided(&storage, 1, [2, 3], [3, 1]), None);
}

#[test]
fn relu_in_work_items() {
    let x = [-1.0, 2.0, -3.0, f32::NAN, 5.0];
    let mut y = [7.0; 5];
    (0..4).for_each(|number| relu_work_item::<2>(number, &x, &mut y));
    assert_eq!(y[..3], [0.0, 2.0, 0.0]);
    assert!(y[3].is_nan() && y[4] == 5.0);
}

/// A difference over the kink says a half.
#[test]
fn a_kink_has_a_slope_between() {
    let relu = |x: f64| x.max(0.0);
    assert_eq!((relu(1e-5) - relu(-1e-5)) / 2e-5, 0.5);
}
