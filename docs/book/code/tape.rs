//! A tape in a hundred lines, and a network that it trains.

use std::fmt::Write;

// ANCHOR: matrix
/// Numbers in rows, one row after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    /// The matrix with `f(row, column)` at each place.
    pub fn new(rows: usize, columns: usize, mut f: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            (0..columns).for_each(|column| values.push(f(row, column)));
        }
        Self { rows, columns, values }
    }

    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    /// The rows as columns.
    pub fn t(&self) -> Self {
        Self::new(self.columns, self.rows, |row, column| self.at(column, row))
    }

    /// `f` of each number and the one at the same place in `other`.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!((self.rows, self.columns), (other.rows, other.columns));
        let pairs = self.values.iter().zip(&other.values);
        Self { values: pairs.map(|(&a, &b)| f(a, b)).collect(), ..*self }
    }

    /// The product of two matrices.
    pub fn times(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.rows);
        let mut product = Self::new(self.rows, other.columns, |_, _| 0.0);
        for row in 0..self.rows {
            let sums = &mut product.values[row * other.columns..][..other.columns];
            for (inner, &a) in self.values[row * self.columns..][..self.columns].iter().enumerate()
            {
                let of_other = &other.values[inner * other.columns..][..other.columns];
                sums.iter_mut().zip(of_other).for_each(|(sum, b)| *sum += a * b);
            }
        }
        product
    }
}
// ANCHOR_END: matrix

// ANCHOR: tape
/// Given the gradient of an operation's output, the gradients of its inputs.
type Rule = Box<dyn FnOnce(&Matrix) -> Vec<Matrix>>;

struct Node {
    value: Matrix,
    inputs: Vec<Var>,
    /// What is no operation's output has none.
    rule: Option<Rule>,
}

/// The number of a node.
#[derive(Clone, Copy)]
pub struct Var(usize);

/// What was computed, in this order.
#[derive(Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

impl Tape {
    pub fn leaf(&mut self, value: Matrix) -> Var {
        self.nodes.push(Node { value, inputs: vec![], rule: None });
        Var(self.nodes.len() - 1)
    }

    pub fn record<const N: usize>(
        &mut self,
        value: Matrix,
        inputs: [Var; N],
        rule: impl FnOnce(&Matrix) -> [Matrix; N] + 'static,
    ) -> Var {
        let rule: Rule = Box::new(|dy| rule(dy).into());
        self.nodes.push(Node { value, inputs: inputs.into(), rule: Some(rule) });
        Var(self.nodes.len() - 1)
    }

    pub fn value(&self, var: Var) -> &Matrix {
        &self.nodes[var.0].value
    }

    /// The gradients of the number `loss` in all leaves.
    pub fn backward(mut self, loss: Var) -> Gradients {
        let mut gradients: Vec<Option<Matrix>> = self.nodes.iter().map(|_| None).collect();
        gradients[loss.0] = Some(Matrix::new(1, 1, |_, _| 1.0));
        while let Some(node) = self.nodes.pop() {
            let Some(rule) = node.rule else { continue };
            let Some(dy) = gradients[self.nodes.len()].take() else { continue };
            for (input, gradient) in node.inputs.into_iter().zip(rule(&dy)) {
                let sum = &mut gradients[input.0];
                *sum = Some(match sum.take() {
                    None => gradient,
                    Some(sum) => sum.zip(&gradient, |a, b| a + b),
                });
            }
        }
        Gradients(gradients)
    }
}

pub struct Gradients(Vec<Option<Matrix>>);

impl Gradients {
    pub fn take(&mut self, leaf: Var) -> Matrix {
        self.0[leaf.0].take().expect("the loss depends on it")
    }
}
// ANCHOR_END: tape

// ANCHOR: operations
impl Tape {
    /// `x w`: `dx = dy w'`, `dw = x' dy`.
    pub fn times(&mut self, x: Var, w: Var) -> Var {
        let (xv, wv) = (self.value(x).clone(), self.value(w).clone());
        self.record(xv.times(&wv), [x, w], move |dy| [dy.times(&wv.t()), xv.t().times(dy)])
    }

    /// `x` with the row `b` added to each row: `dx = dy`, `db` is the sum of the rows of `dy`.
    pub fn add_row(&mut self, x: Var, b: Var) -> Var {
        let (xv, bv) = (self.value(x), self.value(b));
        let y =
            Matrix::new(xv.rows, xv.columns, |row, column| xv.at(row, column) + bv.at(0, column));
        self.record(y, [x, b], |dy| {
            let ones = Matrix::new(1, dy.rows, |_, _| 1.0);
            [dy.clone(), ones.times(dy)]
        })
    }

    /// `tanh` of each number: `dx = dy (1 - y^2)`.
    pub fn tanh(&mut self, x: Var) -> Var {
        let xv = self.value(x);
        let y = xv.zip(xv, |x, _| x.tanh());
        let kept = y.clone();
        self.record(y, [x], move |dy| [dy.zip(&kept, |dy, y| dy * (1.0 - y * y))])
    }

    /// The mean of `(x - goal)^2`, one number: `dx = dy 2 (x - goal) / count`.
    pub fn mean_square(&mut self, x: Var, goal: &Matrix) -> Var {
        let error = self.value(x).zip(goal, |x, goal| x - goal);
        let count = error.values.len() as f64;
        let mean = error.values.iter().map(|e| e * e).sum::<f64>() / count;
        self.record(Matrix::new(1, 1, |_, _| mean), [x], move |dy| {
            [error.zip(&error, |e, _| dy.at(0, 0) * 2.0 * e / count)]
        })
    }
}
// ANCHOR_END: operations

// ANCHOR: random
/// Numbers that look random and are the same every time (xorshift, Marsaglia, 2003).
pub struct Random(pub u64);

impl Random {
    /// Between -1 and 1.
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}
// ANCHOR_END: random

// ANCHOR: network
/// Parameters of `y = tanh(x W1 + b1) W2 + b2`, for rows `x` of one number.
pub fn start(hidden: usize) -> [Matrix; 4] {
    let mut random = Random(2026);
    [
        Matrix::new(1, hidden, |_, _| 2.0 * random.next()),
        Matrix::new(1, hidden, |_, _| random.next()),
        Matrix::new(hidden, 1, |_, _| random.next()),
        Matrix::new(1, 1, |_, _| 0.0),
    ]
}

pub fn forward(tape: &mut Tape, x: Var, [w1, b1, w2, b2]: [Var; 4]) -> Var {
    let hidden = tape.times(x, w1);
    let hidden = tape.add_row(hidden, b1);
    let hidden = tape.tanh(hidden);
    let y = tape.times(hidden, w2);
    tape.add_row(y, b2)
}
// ANCHOR_END: network

// ANCHOR: training
/// The curve to be learned, at 41 points: `[41, 1]` of `x`, and of `sin(3 x)`.
pub fn points() -> (Matrix, Matrix) {
    let x = Matrix::new(41, 1, |row, _| row as f64 / 20.0 - 1.0);
    let goal = x.zip(&x, |x, _| (3.0 * x).sin());
    (x, goal)
}

/// Moves the parameters against their gradients, and returns the loss before.
pub fn step(parameters: &mut [Matrix; 4], x: &Matrix, goal: &Matrix, rate: f64) -> f64 {
    let mut tape = Tape::default();
    let x = tape.leaf(x.clone());
    let vars = parameters.each_ref().map(|value| tape.leaf(value.clone()));
    let y = forward(&mut tape, x, vars);
    let loss = tape.mean_square(y, goal);
    let before = tape.value(loss).at(0, 0);
    let mut gradients = tape.backward(loss);
    for (parameter, var) in parameters.iter_mut().zip(vars) {
        *parameter = parameter.zip(&gradients.take(var), |p, dp| p - rate * dp);
    }
    before
}
// ANCHOR_END: training

/// What the network answers for these `x`.
pub fn answer(parameters: &[Matrix; 4], x: &Matrix) -> Matrix {
    let mut tape = Tape::default();
    let x = tape.leaf(x.clone());
    let vars = parameters.each_ref().map(|value| tape.leaf(value.clone()));
    let y = forward(&mut tape, x, vars);
    tape.value(y).clone()
}

/// The parameters after each of these numbers of steps.
pub fn trained(steps: &[usize]) -> Vec<[Matrix; 4]> {
    let (x, goal) = points();
    let mut parameters = start(16);
    let mut kept = Vec::new();
    for at in 0..=*steps.last().unwrap() {
        if steps.contains(&at) {
            kept.push(parameters.clone());
        }
        step(&mut parameters, &x, &goal, 0.1);
    }
    kept
}

// ANCHOR: by_hand
/// `loss = (x w - 2)^2` for `x = 3`, `w = 1`: the value and the gradient of `w`.
pub fn by_hand() -> (f64, f64) {
    let mut tape = Tape::default();
    let x = tape.leaf(Matrix::new(1, 1, |_, _| 3.0));
    let w = tape.leaf(Matrix::new(1, 1, |_, _| 1.0));
    let y = tape.times(x, w);
    let loss = tape.mean_square(y, &Matrix::new(1, 1, |_, _| 2.0));
    let value = tape.value(loss).at(0, 0);
    (value, tape.backward(loss).take(w).at(0, 0))
}
// ANCHOR_END: by_hand

// ANCHOR: report
pub fn report() -> String {
    let mut text = String::new();
    let (x, goal) = points();
    let mut parameters = start(16);
    for at in 0..=3000 {
        let loss = step(&mut parameters, &x, &goal, 0.1);
        if [0, 10, 100, 1000, 3000].contains(&at) {
            writeln!(text, "after {at:4} steps: loss {loss:.5}").unwrap();
        }
    }
    text
}
// ANCHOR_END: report

#[test]
fn what_is_printed() {
    super::printed::check("tape", &report());
}

#[test]
fn the_example_by_hand() {
    assert_eq!(by_hand(), (1.0, 6.0));
}

// ANCHOR: twice
#[test]
fn a_value_used_twice_receives_both_gradients() {
    // (w w - 1)^2 at w = 3: 8^2 = 64, and 2 * 8 * 2 * 3 = 96.
    let mut tape = Tape::default();
    let w = tape.leaf(Matrix::new(1, 1, |_, _| 3.0));
    let square = tape.times(w, w);
    let loss = tape.mean_square(square, &Matrix::new(1, 1, |_, _| 1.0));
    assert_eq!(tape.value(loss).at(0, 0), 64.0);
    assert_eq!(tape.backward(loss).take(w).at(0, 0), 96.0);
}
// ANCHOR_END: twice

// ANCHOR: differences
/// The slope at 0, by central differences.
#[cfg(test)]
fn slope(f: impl Fn(f64) -> f64) -> f64 {
    (f(1e-5) - f(-1e-5)) / 2e-5
}

#[test]
fn gradients_are_those_of_differences() {
    let (x, goal) = points();
    let parameters = start(3);
    let rate = 1e-3;
    let mut moved = parameters.clone();
    step(&mut moved, &x, &goal, rate);
    for which in 0..4 {
        for at in 0..parameters[which].values.len() {
            let slope = slope(|by| {
                let mut changed = parameters.clone();
                changed[which].values[at] += by;
                step(&mut changed, &x, &goal, 0.0)
            });
            let taken = (parameters[which].values[at] - moved[which].values[at]) / rate;
            assert!((slope - taken).abs() < 1e-7, "{which} {at}: {slope} {taken}");
        }
    }
}
// ANCHOR_END: differences

#[test]
fn the_network_learns_the_curve() {
    let (x, goal) = points();
    let parameters = trained(&[3000]).remove(0);
    let errors = answer(&parameters, &x).zip(&goal, |y, goal| (y - goal).abs());
    assert!(errors.values.iter().all(|&e| e < 0.1), "{errors:?}");
}

/// The tape and its operations have about a hundred lines.
#[test]
fn the_tape_has_a_hundred_lines() {
    let source = include_str!("tape.rs");
    let lines = |name: &str| {
        let (begin, end) = (format!("// ANCHOR: {name}\n"), format!("// ANCHOR_END: {name}\n"));
        let inside = source.split_once(&begin).unwrap().1.split_once(&end).unwrap().0;
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        inside.lines().filter(is_code).count()
    };
    let count = lines("tape") + lines("operations");
    assert!((80..=100).contains(&count), "{count}");
}
