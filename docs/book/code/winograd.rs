//! Winograd's convolution, from polynomials to its rounding error.

use super::tape::{Matrix, Random};
use std::fmt::Write;

// ANCHOR: points
/// A point at which a polynomial is evaluated.
#[derive(Clone, Copy, PartialEq)]
pub enum Point {
    At(f64),
    /// Where only the highest power counts: its coefficient.
    Infinity,
}

use Point::{At, Infinity};

/// Four points are enough for two outputs of three taps, six for four.
pub const TWO: [Point; 4] = [At(0.0), At(1.0), At(-1.0), Infinity];
pub const FOUR: [Point; 6] = [At(0.0), At(1.0), At(-1.0), At(2.0), At(-2.0), Infinity];
pub const SIX: [Point; 8] =
    [At(0.0), At(1.0), At(-1.0), At(2.0), At(-2.0), At(0.5), At(-0.5), Infinity];

/// The values at the points, `[points, length]` times the `length` coefficients.
pub fn evaluation(points: &[Point], length: usize) -> Matrix {
    Matrix::new(points.len(), length, |row, power| match points[row] {
        At(point) => point.powi(power as i32),
        Infinity => f64::from(power + 1 == length),
    })
}
// ANCHOR_END: points

// ANCHOR: interpolation
/// The coefficients of the product of two polynomials, lowest first.
fn multiplied(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; a.len() + b.len() - 1];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            product[i + j] += a * b;
        }
    }
    product
}

/// The coefficients of the polynomial that has these values at the points (Lagrange): column `i`
/// is the polynomial with value 1 at point `i` and 0 at the others.
pub fn interpolation(points: &[Point]) -> Matrix {
    let count = points.len();
    let columns: Vec<Vec<f64>> = (0..count)
        .map(|own| {
            // A factor (t - p) for each other point; none for infinity.
            let mut column = vec![1.0];
            for (other, point) in points.iter().enumerate() {
                if let (true, At(p)) = (other != own, *point) {
                    column = multiplied(&column, &[-p, 1.0]);
                }
            }
            if let At(own) = points[own] {
                let value: f64 =
                    column.iter().enumerate().map(|(k, c)| c * own.powi(k as i32)).sum();
                column.iter_mut().for_each(|c| *c /= value);
            }
            column.resize(count, 0.0);
            column
        })
        .collect();
    Matrix::new(count, count, |row, column| columns[column][row])
}
// ANCHOR_END: interpolation

// ANCHOR: transforms
/// `y = A' [(G g) (B' d)]`: three taps `g`, pixels `d`, as many as there are points.
pub struct Transforms {
    /// `A'`, `[outputs, points]`.
    pub a: Matrix,
    /// `B'`, `[points, points]`.
    pub b: Matrix,
    /// `G`, `[points, 3]`.
    pub g: Matrix,
}

pub fn transforms(points: &[Point]) -> Transforms {
    let outputs = points.len() - 2;
    let a = evaluation(points, outputs).t();
    let (mut b, mut g) = (interpolation(points).t(), evaluation(points, 3));
    // A number that divides a row of B' may go to the same row of G, which is computed once for
    // a kernel and not once for a tile: the numbers of B' become whole.
    for row in 0..points.len() {
        let scale = divisor(&b.values[row * points.len()..][..points.len()]);
        b.values[row * points.len()..][..points.len()].iter_mut().for_each(|v| *v *= scale);
        g.values[row * 3..][..3].iter_mut().for_each(|v| *v /= scale);
    }
    Transforms { a, b, g }
}

/// The least whole number by which all of these become whole, up to rounding.
fn divisor(values: &[f64]) -> f64 {
    let is_whole = |v: f64| (v - v.round()).abs() < 1e-9;
    (1..=1000).map(f64::from).find(|d| values.iter().all(|v| is_whole(d * v))).unwrap_or(1.0)
}
// ANCHOR_END: transforms

// ANCHOR: line
/// Two outputs of three taps and four pixels, by four multiplications.
pub fn two_outputs(d: [f64; 4], g: [f64; 3]) -> [f64; 2] {
    let sum = (g[0] + g[2]) / 2.0; // once for a kernel
    let u = [g[0], sum + g[1] / 2.0, sum - g[1] / 2.0, g[2]];
    let v = [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]];
    let m = [u[0] * v[0], u[1] * v[1], u[2] * v[2], u[3] * v[3]];
    [m[0] + m[1] + m[2], m[1] - m[2] + m[3]]
}
// ANCHOR_END: line

// ANCHOR: square
/// What is computed in, so that single precision can be told from double.
pub trait Real: Copy + std::ops::AddAssign + std::ops::Mul<Output = Self> {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
}

/// `m x m'` for a matrix `m` `[rows, n]` of constants and a square `x` `[n, n]`.
fn both_sides<T: Real>(m: &Matrix, x: &[T]) -> Vec<T> {
    let (rows, n) = (m.rows, m.columns);
    let mut left = vec![T::of(0.0); rows * n];
    for (row, column, inner) in each(rows, n, n) {
        left[row * n + column] += T::of(m.at(row, inner)) * x[inner * n + column];
    }
    let mut both = vec![T::of(0.0); rows * rows];
    for (row, column, inner) in each(rows, rows, n) {
        both[row * rows + column] += left[row * n + inner] * T::of(m.at(column, inner));
    }
    both
}

fn each(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |at| (at / (b * c), at / c % b, at % c))
}

/// One tile of outputs `[outputs, outputs]`: the sum over channels of pixels `[points, points]`
/// convolved with kernels `[3, 3]`; and how many products of two transforms that takes.
pub fn tile<T: Real>(t: &Transforms, pixels: &[Vec<T>], kernels: &[Vec<T>]) -> (Vec<T>, usize) {
    let places = t.b.rows * t.b.rows;
    let mut sums = vec![T::of(0.0); places];
    let mut products = 0;
    for (pixels, kernel) in pixels.iter().zip(kernels) {
        let (u, v) = (both_sides(&t.g, kernel), both_sides(&t.b, pixels));
        for place in 0..places {
            sums[place] += u[place] * v[place];
            products += 1;
        }
    }
    (both_sides(&t.a, &sums), products)
}
// ANCHOR_END: square

// ANCHOR: measured
/// The same by the definition.
pub fn direct<T: Real>(outputs: usize, pixels: &[Vec<T>], kernels: &[Vec<T>]) -> (Vec<T>, usize) {
    let side = outputs + 2;
    let (mut y, mut products) = (vec![T::of(0.0); outputs * outputs], 0);
    for (pixels, kernel) in pixels.iter().zip(kernels) {
        for (place, tap, _) in each(outputs * outputs, 9, 1) {
            let row = place / outputs + tap / 3;
            let column = place % outputs + tap % 3;
            y[place] += kernel[tap] * pixels[row * side + column];
            products += 1;
        }
    }
    (y, products)
}

/// Of one way to convolve: products for each output and channel, and the largest error in single
/// precision, relative to the largest output.
pub struct Measured {
    pub products: f64,
    pub error: f64,
}

/// The plain sum and the transforms of these points, of 200 tiles of 64 channels.
pub fn measured(points: &[Point]) -> [Measured; 2] {
    let (t, outputs, mut random) = (transforms(points), points.len() - 2, Random(64));
    let (mut errors, mut largest, mut counts) = ([0.0f64; 2], 0.0f64, [0; 2]);
    for _ in 0..200 {
        let mut draw = |len: usize| -> Vec<Vec<f32>> {
            (0..64).map(|_| (0..len).map(|_| random.next() as f32).collect()).collect()
        };
        let (pixels, kernels) = (draw(points.len() * points.len()), draw(9));
        let widened = |of: &[Vec<f32>]| -> Vec<Vec<f64>> {
            of.iter().map(|v| v.iter().map(|&v| v.into()).collect()).collect()
        };
        let exact = direct(outputs, &widened(&pixels), &widened(&kernels)).0;
        let ways = [direct(outputs, &pixels, &kernels), tile(&t, &pixels, &kernels)];
        for (way, (y, products)) in ways.into_iter().enumerate() {
            counts[way] = products;
            for (y, exact) in y.iter().zip(&exact) {
                errors[way] = errors[way].max((y.wide() - exact).abs());
                largest = largest.max(exact.abs());
            }
        }
    }
    let outputs = (64 * outputs * outputs) as f64;
    [0, 1].map(|way| Measured {
        products: counts[way] as f64 / outputs,
        error: errors[way] / largest,
    })
}
// ANCHOR_END: measured

// ANCHOR: report
/// The plain sum, and tiles of three sizes.
pub fn rows() -> [(&'static str, Measured); 4] {
    let [[sum, two], [_, four], [_, six]] = [&TWO[..], &FOUR, &SIX].map(measured);
    [("sum", sum), ("2x2", two), ("4x4", four), ("6x6", six)]
}

pub fn report() -> String {
    let mut text = String::new();
    writeln!(text, "tile  products for an output  largest error").unwrap();
    for (name, Measured { products, error }) in rows() {
        writeln!(text, "{name}   {products:22.2}  {error:13.1e}").unwrap();
    }
    text
}
// ANCHOR_END: report

pub fn matrices() -> String {
    let mut text = String::new();
    let Transforms { a, b, g } = transforms(&TWO);
    for (name, matrix) in [("A'", a), ("B'", b), ("G", g)] {
        for (at, row) in matrix.values.chunks(matrix.columns).enumerate() {
            let name = if at == 0 { name } else { "" };
            let row: Vec<String> = row.iter().map(|v| format!("{:4}", v + 0.0)).collect();
            writeln!(text, "{name:2}  {}", row.join(" ")).unwrap();
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn what_is_printed() {
    super::printed::check("winograd", &report());
    super::printed::check("winograd_matrices", &matrices());
}

// ANCHOR: line_test
#[test]
fn two_outputs_are_a_convolution() {
    let (d, g) = ([3.0, -1.0, 4.0, 1.0], [2.0, 7.0, 1.0]);
    let expected = [3.0 * 2.0 - 7.0 + 4.0, -2.0 + 4.0 * 7.0 + 1.0];
    assert_eq!(two_outputs(d, g), expected);
}
// ANCHOR_END: line_test

/// Polynomials multiplied by their values are what they are multiplied by their coefficients.
#[test]
fn values_determine_a_product() {
    for points in [&TWO[..], &FOUR, &SIX] {
        let outputs = points.len() - 2;
        let (g, u) = ([2.0, -3.0, 0.5], (1..=outputs).map(|k| k as f64).collect::<Vec<_>>());
        let column = |v: &[f64]| Matrix::new(v.len(), 1, |row, _| v[row]);
        let of_g = evaluation(points, 3).times(&column(&g));
        let of_u = evaluation(points, outputs).times(&column(&u));
        let found = interpolation(points).times(&of_g.zip(&of_u, |a, b| a * b));
        for (found, expected) in found.values.iter().zip(multiplied(&g, &u)) {
            assert!((found - expected).abs() < 1e-10, "{found} {expected}");
        }
    }
}

#[test]
fn tiles_are_what_the_definition_says() {
    let mut random = Random(5);
    let others = [At(0.0), At(1.0), At(2.0), Infinity]; // of an exercise
    for (points, count) in [(&TWO[..], 16), (&FOUR, 36), (&SIX, 64), (&others, 16)] {
        let outputs = points.len() - 2;
        let mut draw = |len: usize| vec![(0..len).map(|_| random.next()).collect::<Vec<f64>>()];
        let (pixels, kernels) = (draw(points.len() * points.len()), draw(9));
        let (expected, plain) = direct(outputs, &pixels, &kernels);
        let (found, products) = tile(&transforms(points), &pixels, &kernels);
        assert_eq!((plain, products), (9 * outputs * outputs, count));
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    }
}

/// What the chapter says of the table.
#[test]
fn larger_tiles_save_products_and_cost_digits() {
    let found = rows().map(|(_, measured)| measured);
    let products: Vec<f64> = found.iter().map(|m| m.products).collect();
    assert_eq!(&products[..3], &[9.0, 4.0, 2.25]);
    assert!(found.windows(2).all(|w| w[1].products < w[0].products));
    // The sum's own error is about that of the smallest tiles.
    assert!(found.windows(2).skip(1).all(|w| w[1].error > w[0].error));
    assert!(found[2].error > 2.0 * found[0].error && found[2].error < 1e-5);
}

// ANCHOR: engine
/// The crate's convolution in single precision, where it takes this way, beside its own in double.
#[test]
fn the_engine_stays_within_its_bound() -> zoo_tuning::Result<()> {
    use zoo_tuning::tensor::{Element, Tensor};
    use zoo_tuning::{Result, kernel::Window, ops, tape::Tape};

    fn convolved<T: Element>(x: &Tensor<T>, w: &Tensor<T>) -> Result<Tensor<T>> {
        let mut tape = Tape::new();
        let (x, w) = (tape.constant(x.clone()), tape.constant(w.clone()));
        let y = ops::conv2d(&mut tape, x, w, None, Window::square(1, 1))?;
        Ok(tape.value(y)?.clone())
    }
    let mut random = Random(7);
    let x = Tensor::<f32>::from_fn(&[2, 64, 28, 28], || random.next() as f32);
    let w = Tensor::<f32>::from_fn(&[64, 64, 3, 3], || random.next() as f32);
    let exact = convolved(&x.cast::<f64>(), &w.cast::<f64>())?;
    let error = exact.relative_difference(&convolved(&x, &w)?.cast::<f64>())?;
    assert!(error < 1e-5, "{error}");
    Ok(())
}
// ANCHOR_END: engine
