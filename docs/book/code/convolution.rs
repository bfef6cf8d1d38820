//! A convolution by its definition, as a product, and as a product whose columns are never all made.

use std::fmt::Write;

// ANCHOR: sizes
/// The sizes of a convolution: images `[N, C, H, W]`, kernels `[O, C, k, k]`.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub outputs: usize,
    pub taps: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Sizes {
    /// How many places the window has along an axis of `length` pixels.
    fn places(&self, length: usize) -> usize {
        (length + 2 * self.padding - self.taps) / self.stride + 1
    }

    /// `[H', W']`.
    pub fn output(&self) -> [usize; 2] {
        [self.places(self.height), self.places(self.width)]
    }

    /// `P = H' W'`.
    pub fn positions(&self) -> usize {
        self.output().iter().product()
    }

    /// `K = C k k`: what one number of the output is a sum of.
    pub fn depth(&self) -> usize {
        self.channels * self.taps * self.taps
    }

    /// Where the pixel of tap `(u, v)` at output place `(i, j)` lies; none in the padding.
    fn pixel(&self, n: usize, c: usize, [i, j]: [usize; 2], [u, v]: [usize; 2]) -> Option<usize> {
        let row = (i * self.stride + u).checked_sub(self.padding)?;
        let column = (j * self.stride + v).checked_sub(self.padding)?;
        let inside = row < self.height && column < self.width;
        inside.then(|| ((n * self.channels + c) * self.height + row) * self.width + column)
    }
}
// ANCHOR_END: sizes

// ANCHOR: direct
/// `y` `[N, O, H', W']` by the definition.
pub fn direct(s: &Sizes, x: &[f64], w: &[f64]) -> Vec<f64> {
    let [height, width] = s.output();
    let mut y = Vec::new();
    for n in 0..s.batch {
        for o in 0..s.outputs {
            for i in 0..height {
                for j in 0..width {
                    let mut sum = 0.0;
                    for c in 0..s.channels {
                        for u in 0..s.taps {
                            for v in 0..s.taps {
                                let tap = ((o * s.channels + c) * s.taps + u) * s.taps + v;
                                let pixel = s.pixel(n, c, [i, j], [u, v]).map_or(0.0, |at| x[at]);
                                sum += w[tap] * pixel;
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}
// ANCHOR_END: direct

// ANCHOR: unfold
/// Where in the images number `(tap, column)` of `X` `[C k k, N P]` lies; none in the padding.
fn place(s: &Sizes, tap: usize, column: usize) -> Option<usize> {
    let [_, width] = s.output();
    let (n, position) = (column / s.positions(), column % s.positions());
    let (c, u, v) = (tap / (s.taps * s.taps), tap / s.taps % s.taps, tap % s.taps);
    s.pixel(n, c, [position / width, position % width], [u, v])
}

/// Some columns of `X`.
pub fn unfold(s: &Sizes, x: &[f64], columns: std::ops::Range<usize>) -> Vec<f64> {
    let mut unfolded = Vec::with_capacity(s.depth() * columns.len());
    for tap in 0..s.depth() {
        for column in columns.clone() {
            unfolded.push(place(s, tap, column).map_or(0.0, |at| x[at]));
        }
    }
    unfolded
}
// ANCHOR_END: unfold

// ANCHOR: product
/// `c = a b` for `a` `[m, k]` and `b` `[k, n]`.
pub fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            let row = &b[l * n..][..n];
            c[i * n..][..n].iter_mut().zip(row).for_each(|(sum, b)| *sum += a[i * k + l] * b);
        }
    }
    c
}
// ANCHOR_END: product

// ANCHOR: blocks
/// `y` `[N, O, H', W']` by products of `W` `[O, C k k]` with at most `block` columns of `X`.
pub fn convolve(s: &Sizes, x: &[f64], w: &[f64], block: usize) -> Vec<f64> {
    let (positions, columns) = (s.positions(), s.batch * s.positions());
    let mut y = vec![0.0; s.outputs * columns];
    for first in (0..columns).step_by(block) {
        let end = columns.min(first + block);
        let unfolded = unfold(s, x, first..end);
        let part = product(w, &unfolded, [s.outputs, s.depth(), end - first]);
        for (at, value) in part.into_iter().enumerate() {
            let (o, column) = (at / (end - first), first + at % (end - first));
            let (n, position) = (column / positions, column % positions);
            y[(n * s.outputs + o) * positions + position] = value;
        }
    }
    y
}
// ANCHOR_END: blocks

// ANCHOR: gradients
/// `[N, O, P]` as `[O, N P]`.
fn by_output(s: &Sizes, y: &[f64]) -> Vec<f64> {
    let columns = s.batch * s.positions();
    let from = |o: usize, column: usize| {
        (column / s.positions() * s.outputs + o) * s.positions() + column % s.positions()
    };
    (0..s.outputs * columns).map(|at| y[from(at / columns, at % columns)]).collect()
}

fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|at| a[at % rows * columns + at / rows]).collect()
}

/// The gradients of `x` and `w`, given `dy` `[N, O, H', W']`.
pub fn gradients(s: &Sizes, x: &[f64], w: &[f64], dy: &[f64]) -> [Vec<f64>; 2] {
    let columns = s.batch * s.positions();
    let dy = by_output(s, dy); // [O, N P]
    // dW = dY X'
    let unfolded = transposed(&unfold(s, x, 0..columns), s.depth(), columns);
    let dw = product(&dy, &unfolded, [s.outputs, columns, s.depth()]);
    // dX = W' dY, and each number of it goes back to the pixel that it was read from.
    let w = transposed(w, s.outputs, s.depth());
    let unfolded = product(&w, &dy, [s.depth(), s.outputs, columns]);
    let mut dx = vec![0.0; x.len()];
    for (at, value) in unfolded.into_iter().enumerate() {
        if let Some(pixel) = place(s, at / columns, at % columns) {
            dx[pixel] += value;
        }
    }
    [dx, dw]
}
// ANCHOR_END: gradients

// ANCHOR: report
/// A layer of ResNet-18, and what its columns take.
pub const LAYER: Sizes = Sizes {
    batch: 32,
    channels: 64,
    height: 56,
    width: 56,
    outputs: 64,
    taps: 3,
    stride: 1,
    padding: 1,
};

pub fn report() -> String {
    let mut text = String::new();
    let s = LAYER; // of ResNet-18, a batch of 32
    let values = s.batch * s.channels * s.height * s.width;
    let columns = s.batch * s.positions();
    let kibibytes = |values: usize| 4 * values / 1024; // of single precision
    writeln!(text, "x               {:7} KiB", kibibytes(values)).unwrap();
    writeln!(text, "X, all columns  {:7} KiB", kibibytes(s.depth() * columns)).unwrap();
    writeln!(text, "X, 48 columns   {:7} KiB", kibibytes(s.depth() * 48)).unwrap();
    let multiply_adds = s.outputs * s.depth() * columns;
    writeln!(text, "multiply-adds   {:7.2} 10^9", multiply_adds as f64 / 1e9).unwrap();
    text
}
// ANCHOR_END: report

// ANCHOR: example
/// A picture of 4 x 4 and one kernel of 2 x 2, with what is made of them.
pub fn example() -> (Sizes, Vec<f64>, Vec<f64>) {
    let s = Sizes {
        batch: 1,
        channels: 1,
        height: 4,
        width: 4,
        outputs: 1,
        taps: 2,
        stride: 1,
        padding: 0,
    };
    let x = (1..=16).map(f64::from).collect();
    (s, x, vec![1.0, 0.0, 0.0, -1.0])
}

pub fn example_report() -> String {
    let mut text = String::new();
    let (s, x, w) = example();
    let columns = s.positions();
    for (tap, row) in unfold(&s, &x, 0..columns).chunks(columns).enumerate() {
        writeln!(text, "tap {tap}: {row:>4?}").unwrap();
    }
    writeln!(text, "W X:   {:>4?}", convolve(&s, &x, &w, columns)).unwrap();
    text
}
// ANCHOR_END: example

#[test]
fn what_is_printed() {
    super::printed::check("convolution", &report());
    super::printed::check("unfolded", &example_report());
}

/// Sums run in the same order: not only near, but the same bits, for blocks of any size.
#[test]
fn products_are_what_the_definition_says() {
    let (s, x, w, _) = case();
    let expected = direct(&s, &x, &w);
    for block in [1, 7, 48, 10_000] {
        assert_eq!(convolve(&s, &x, &w, block), expected);
    }
}

// ANCHOR: gradient_test
/// Odd sizes with stride and padding, and values.
#[cfg(test)]
fn case() -> (Sizes, Vec<f64>, Vec<f64>, Vec<f64>) {
    let s = Sizes {
        batch: 3,
        channels: 4,
        height: 7,
        width: 6,
        outputs: 5,
        taps: 3,
        stride: 2,
        padding: 1,
    };
    let mut random = super::tape::Random(3);
    let mut draw = |count: usize| (0..count).map(|_| random.next()).collect::<Vec<f64>>();
    let x = draw(s.batch * s.channels * s.height * s.width);
    let w = draw(s.outputs * s.depth());
    let dy = draw(s.batch * s.outputs * s.positions());
    (s, x, w, dy)
}

/// The change of `sum(y dy)` that a small change of one number makes is what the gradient says.
#[test]
fn gradients_are_those_of_differences() {
    let (s, mut x, mut w, dy) = case();
    let [dx, dw] = gradients(&s, &x, &w, &dy);
    let value = |x: &[f64], w: &[f64]| -> f64 {
        direct(&s, x, w).iter().zip(&dy).map(|(y, dy)| y * dy).sum()
    };
    for at in 0..x.len() {
        let before = value(&x, &w);
        x[at] += 1.0; // y is linear in x: no step is too large
        assert!((value(&x, &w) - before - dx[at]).abs() < 1e-12);
        x[at] -= 1.0;
    }
    for at in 0..w.len() {
        let before = value(&x, &w);
        w[at] += 1.0;
        assert!((value(&x, &w) - before - dw[at]).abs() < 1e-12);
        w[at] -= 1.0;
    }
}
// ANCHOR_END: gradient_test

// ANCHOR: engine
/// The crate's own convolution, forward and backward.
#[test]
fn the_engine_computes_the_same() -> zoo_tuning::Result<()> {
    use zoo_tuning::{kernel::Window, ops, tape::Tape, tensor::Tensor};

    let (s, x, w, dy) = case();
    let mut tape = Tape::<f64>::new();
    let xv = tape.parameter(Tensor::new(&[s.batch, s.channels, s.height, s.width], x.clone())?);
    let wv = tape.parameter(Tensor::new(&[s.outputs, s.channels, s.taps, s.taps], w.clone())?);
    let y = ops::conv2d(&mut tape, xv, wv, None, Window::square(s.stride, s.padding))?;
    let [height, width] = s.output();
    let near = |a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    };
    near(tape.value(y)?.as_slice(), &direct(&s, &x, &w));
    let seed = Tensor::new(&[s.batch, s.outputs, height, width], dy.clone())?;
    let mut found = tape.backward_from(y, seed)?;
    for (var, expected) in [xv, wv].into_iter().zip(gradients(&s, &x, &w, &dy)) {
        near(found.take(var).expect("a gradient").as_slice(), &expected);
    }
    Ok(())
}
// ANCHOR_END: engine
