//! How numbers are tested: four ways, each with a bug that the others do not find.

use super::tape::{Matrix, Random, Tape};
use std::fmt::Write;

// ANCHOR: steps
pub const STEPS: [f64; 7] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7];

/// The slope of `x^3` at 1.5 by differences with the step `h`, as its relative error.
pub fn slope_error(h: f64) -> [f64; 2] {
    let exact = 3.0 * 1.5 * 1.5;
    let (above, below) = (1.5 + h, 1.5 - h);
    let double = (above * above * above - below * below * below) / (2.0 * h);
    let step = h as f32;
    let (above, below) = (1.5 + step, 1.5 - step);
    let single = (above * above * above - below * below * below) / (2.0 * step);
    [double, f64::from(single)].map(|slope| (slope - exact).abs() / exact)
}

pub fn steps_report() -> String {
    let mut text = String::new();
    writeln!(text, "h      error in f64  error in f32").unwrap();
    for h in STEPS {
        let [double, single] = slope_error(h);
        writeln!(text, "{h:.0e}  {double:11.0e}  {single:12.0e}").unwrap();
    }
    text
}
// ANCHOR_END: steps

// ANCHOR: wrong_rule
/// How far a layer's gradient of its weights is from differences, relative to the largest; and
/// the loss before training and after 300 steps.
pub fn with_rule(is_right: bool) -> (f64, [f64; 2]) {
    let mut random = Random(31);
    let mut draw = |rows, columns| Matrix::new(rows, columns, |_, _| random.next());
    let (noise, mut w) = (draw(30, 4), draw(4, 3));
    // Row n is of class n mod 3, and its number there is larger.
    let class = |row: usize, column: usize| if row % 3 == column { 1.0 } else { 0.0 };
    let x = Matrix::new(30, 4, |row, column| noise.at(row, column) + 2.0 * class(row, column));
    let goal = Matrix::new(30, 3, class);
    let loss_and_gradient = |w: &Matrix| {
        let mut tape = Tape::default();
        let (x, w) = (tape.leaf(x.clone()), tape.leaf(w.clone()));
        let scores = tape.times(x, w);
        let y = if is_right { tape.softmax(scores) } else { tape.softmax_wrong(scores) };
        let loss = tape.mean_square(y, &goal);
        (tape.value(loss).at(0, 0), tape.backward(loss).take(w))
    };
    let (before, gradient) = loss_and_gradient(&w);
    let slopes = Matrix::new(4, 3, |row, column| {
        let shifted = |by: f64| {
            let mut w = w.clone();
            w.values[row * 3 + column] += by;
            loss_and_gradient(&w).0
        };
        (shifted(1e-5) - shifted(-1e-5)) / 2e-5
    });
    let largest = |m: &Matrix| m.values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let error = largest(&slopes.zip(&gradient, |a, b| a - b)) / largest(&slopes);
    for _ in 0..300 {
        let gradient = loss_and_gradient(&w).1;
        w = w.zip(&gradient, |w, dw| w - dw);
    }
    (error, [before, loss_and_gradient(&w).0])
}

impl Tape {
    /// The right values, and a rule that forgets that a row's numbers share their sum.
    fn softmax_wrong(&mut self, x: super::tape::Var) -> super::tape::Var {
        let xv = self.value(x);
        let rows = xv.values.chunks(xv.columns).flat_map(super::gates::softmax);
        let y = Matrix { rows: xv.rows, columns: xv.columns, values: rows.collect() };
        let kept = y.clone();
        self.record(y, [x], move |dy| [dy.zip(&kept, |dy, y| dy * y * (1.0 - y))])
    }
}
// ANCHOR_END: wrong_rule

// ANCHOR: rules_report
pub fn rules_report() -> String {
    let mut text = String::new();
    for (name, is_right) in [("right", true), ("wrong", false)] {
        let (error, [before, after]) = with_rule(is_right);
        let error = if error < 1e-6 { "below 1e-6".to_owned() } else { format!("{error:10.2}") };
        writeln!(text, "{name} rule: error {error}, loss {before:.3} to {after:.3}").unwrap();
    }
    text
}
// ANCHOR_END: rules_report

// ANCHOR: sums
/// The sum of `values` by so many threads, each with an equal share: the bug.
pub fn sum_by_threads(values: &[f32], threads: usize) -> f32 {
    sum_of_parts(values, values.len().div_ceil(threads), threads)
}

/// The sum by so many threads, in parts of 1024 values whoever takes them.
pub fn sum_by_size(values: &[f32], threads: usize) -> f32 {
    sum_of_parts(values, 1024, threads)
}

fn sum_of_parts(values: &[f32], part: usize, threads: usize) -> f32 {
    let parts: Vec<&[f32]> = values.chunks(part).collect();
    let mut sums = vec![0.0; parts.len()];
    let share = parts.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for (parts, sums) in parts.chunks(share).zip(sums.chunks_mut(share)) {
            scope.spawn(|| {
                parts.iter().zip(sums).for_each(|(part, sum)| *sum = part.iter().sum());
            });
        }
    });
    sums.iter().sum() // in the order of the parts
}
// ANCHOR_END: sums

// ANCHOR: sums_report
fn summands() -> Vec<f32> {
    let mut random = Random(41);
    (0..100_000).map(|_| random.next() as f32).collect()
}

pub fn sums_report() -> String {
    let mut text = String::new();
    let values = summands();
    writeln!(text, "threads  equal shares           parts of 1024").unwrap();
    for threads in [1, 2, 7] {
        let (a, b) = (sum_by_threads(&values, threads), sum_by_size(&values, threads));
        let (of_a, of_b) = (a.to_bits(), b.to_bits());
        writeln!(text, "{threads:7}  {a:10.5} {of_a:08x}    {b:10.5} {of_b:08x}").unwrap();
    }
    text
}
// ANCHOR_END: sums_report

// ANCHOR: reader
/// Names in a file: how many, a byte; then of each its length, a byte, and its text.
pub fn names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let (&count, mut rest) = bytes.split_first().ok_or("the file is empty")?;
    let mut names = Vec::new();
    for _ in 0..count {
        let (&length, behind) = rest.split_first().ok_or("a length is missing")?;
        let (name, behind) = behind.split_at_checked(length.into()).ok_or("a name is cut off")?;
        names.push(String::from_utf8(name.to_vec()).map_err(|_| "a name is no text")?);
        rest = behind;
    }
    Ok(names)
}

/// The same by someone who tried it with files that are right.
pub fn trusting_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut at = 1;
    let mut names = Vec::new();
    for _ in 0..bytes[0] {
        let end = at + 1 + usize::from(bytes[at]);
        names.push(String::from_utf8(bytes[at + 1..end].to_vec()).map_err(|_| "no text")?);
        at = end;
    }
    Ok(names)
}
// ANCHOR_END: reader

// ANCHOR: damage
/// How many of 200 damaged files make a reader panic.
pub fn panics(reader: fn(&[u8]) -> Result<Vec<String>, String>) -> usize {
    let valid = [3, 2, b'f', b'c', 5, b'c', b'o', b'n', b'v', b'1', 3, b'b', b'n', b'1'];
    let mut random = Random(51);
    let mut below = |end: usize| ((random.next() + 1.0) / 2.0 * end as f64) as usize;
    let damaged = (0..200).map(|_| {
        let mut file = valid.to_vec();
        match below(3) {
            0 => file[below(valid.len())] ^= 1 << below(8), // a bit turns over
            1 => file[below(valid.len())] = below(256) as u8,
            _ => file.truncate(below(valid.len())),
        }
        file
    });
    damaged.filter(|file| std::panic::catch_unwind(|| reader(file)).is_err()).count()
}
// ANCHOR_END: damage

// ANCHOR: damage_report
pub fn damage_report() -> String {
    let mut text = String::new();
    writeln!(text, "trusting reader: {} of 200 damaged files", panics(trusting_names)).unwrap();
    writeln!(text, "careful reader:  {} of 200 damaged files", panics(names)).unwrap();
    text
}
// ANCHOR_END: damage_report

#[test]
fn what_is_printed() {
    super::printed::check("testing_steps", &steps_report());
    super::printed::check("testing_rules", &rules_report());
    super::printed::check("testing_sums", &sums_report());
    super::printed::check("testing_damage", &damage_report());
}

#[test]
fn a_wrong_rule_trains_and_is_found_by_differences() {
    let (error, [before, after]) = with_rule(false);
    assert!(error > 0.1 && after < before / 2.0, "{error} {before} {after}");
    assert!(with_rule(true).0 < 1e-6);
}

#[test]
fn equal_bits_need_parts_that_do_not_know_of_threads() {
    let values = summands();
    let bits = |sum: fn(&[f32], usize) -> f32| [1, 2, 7].map(|n| sum(&values, n).to_bits());
    let [one, two, seven] = bits(sum_by_threads);
    assert!(one != two || one != seven);
    let [one, two, seven] = bits(sum_by_size);
    assert_eq!((one, one), (two, seven));
}

#[test]
fn a_reader_that_trusts_its_file_panics() {
    let valid = [2, 1, b'a', 1, b'b'];
    assert_eq!(names(&valid), trusting_names(&valid));
    assert!(panics(trusting_names) > 0);
    assert_eq!(panics(names), 0);
}

// ANCHOR: gradcheck
/// Both divisors have right gradients: each is the gradient of what is computed.
#[test]
fn differences_accept_either_divisor() -> zoo_tuning::Result<()> {
    use zoo_tuning::gradcheck::{Case, max_relative_error};
    use zoo_tuning::kernel::{Divisor, Window};
    use zoo_tuning::{ops, tensor::Tensor};

    for divisor in [Divisor::Taps, Divisor::Pixels] {
        let x = Tensor::normal(&[2, 3, 6, 7], 1.0, &mut fastrand::Rng::with_seed(1));
        let case = Case::new([x], move |tape, v| {
            ops::avg_pool2d(tape, v[0], [3, 3], Window::square(2, 1), divisor)
        });
        assert!(max_relative_error(&case)? < 1e-6);
    }
    Ok(())
}
// ANCHOR_END: gradcheck

// ANCHOR: golden
/// One of them is what PyTorch computes by default, and only PyTorch can say which.
#[test]
fn golden_values_tell_the_divisors_apart() -> zoo_tuning::Result<()> {
    use zoo_tuning::kernel::{Divisor, Window};
    use zoo_tuning::{ops, tape::Tape, tensor::Tensor};

    let text = std::fs::read("tests/golden/avg_pool2d.json").expect("a file of the repository");
    let cases: serde_json::Value = serde_json::from_slice(&text).expect("valid JSON");
    let case = &cases[0];
    assert_eq!(case["attributes"]["count_include_pad"], true);
    let tensor = |value: &serde_json::Value| {
        let list = |key: &str| value[key].as_array().expect("a list").clone();
        let shape: Vec<usize> =
            list("shape").iter().map(|v| v.as_u64().unwrap() as usize).collect();
        Tensor::new(&shape, list("values").iter().map(|v| v.as_f64().unwrap()).collect())
    };
    let expected = tensor(&case["output"])?;
    let error = |divisor| -> zoo_tuning::Result<f64> {
        let mut tape = Tape::<f64>::new();
        let x = tape.constant(tensor(&case["inputs"][0])?);
        let y = ops::avg_pool2d(&mut tape, x, [3, 3], Window::square(2, 1), divisor)?;
        tape.value(y)?.relative_difference(&expected)
    };
    assert!(error(Divisor::Taps)? < 1e-5); // what is by default
    assert!(error(Divisor::Pixels)? > 0.01); // what someone may have thought of
    Ok(())
}
// ANCHOR_END: golden
