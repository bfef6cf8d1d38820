//! Channel alignment and the adaptive aggregation of kernels.
//!
//! With the kernels of `m` sources as rows of a matrix `A` `[m, O C k k]`, the kernel
//! of sample `n` is the row vector `K_n = g_n A`. It is made in a scratch buffer,
//! used and forgotten; the backward pass makes it again. At no time do the kernels
//! of a whole batch exist.

use super::conv::{KernelRows, Phases, add_bias};
use super::gemm::{Matrix, par_gemm};
use super::panel::{Layout, Operand, Target, multiply};
use super::reduce;
use super::window::Geometry;
use crate::tensor::{Element, buffer, buffer::Buffer};
use rayon::prelude::*;

/// The sizes of the kernels of a zoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Sources, `m`.
    pub sources: usize,
    /// Output channels, `O`.
    pub outputs: usize,
    /// Values of one row of a kernel, `C k k`.
    pub row: usize,
}

impl Stack {
    /// Values of one source's kernel.
    pub fn kernel_len(&self) -> usize {
        self.outputs * self.row
    }
}

/// Mixes each source's kernel over its output channels: `A_i = T_i W_i`, for
/// `weight` `[m, O, C k k]` and `transform` `[m, O, O]`.
pub fn align<T: Element>(stack: Stack, weight: &[T], transform: &[T]) -> Vec<T> {
    let Stack { outputs, row, .. } = stack;
    let mut aligned = vec![T::zero(); weight.len()];
    aligned
        .par_chunks_mut(stack.kernel_len())
        .zip(weight.par_chunks(stack.kernel_len()))
        .zip(transform.par_chunks(outputs * outputs))
        .for_each(|((aligned, weight), transform)| {
            let transform = Matrix::new(transform, outputs, outputs);
            par_gemm(transform, Matrix::new(weight, outputs, row), aligned);
        });
    aligned
}

/// The gradient of `weight` in [`align`]: `dW_i = T_i^T dA_i`.
pub fn align_weight_gradient<T: Element>(stack: Stack, dy: &[T], transform: &[T]) -> Vec<T> {
    let Stack { outputs, row, .. } = stack;
    let mut dw = vec![T::zero(); dy.len()];
    dw.par_chunks_mut(stack.kernel_len())
        .zip(dy.par_chunks(stack.kernel_len()))
        .zip(transform.par_chunks(outputs * outputs))
        .for_each(|((dw, dy), transform)| {
            let transform = Matrix::new(transform, outputs, outputs);
            par_gemm(transform.t(), Matrix::new(dy, outputs, row), dw);
        });
    dw
}

/// The gradient of `transform` in [`align`]: `dT_i = dA_i W_i^T`.
pub fn align_transform_gradient<T: Element>(stack: Stack, dy: &[T], weight: &[T]) -> Vec<T> {
    let Stack { sources, outputs, row } = stack;
    let mut dt = vec![T::zero(); sources * outputs * outputs];
    dt.par_chunks_mut(outputs * outputs)
        .zip(dy.par_chunks(stack.kernel_len()))
        .zip(weight.par_chunks(stack.kernel_len()))
        .for_each(|((dt, dy), weight)| {
            let weight = Matrix::new(weight, outputs, row);
            par_gemm(Matrix::new(dy, outputs, row), weight.t(), dt);
        });
    dt
}

/// `out = sum_i gate[i] values[i]`, for `values` `[m, out.len()]`, in strips that stay
/// in the first-level cache.
pub fn mix<T: Element>(gate: &[T], values: &[T], out: &mut [T]) {
    const STRIP: usize = 1 << 11;
    let len = out.len();
    for (strip, out) in out.chunks_mut(STRIP).enumerate() {
        out.fill(T::zero());
        for (i, &gate) in gate.iter().enumerate() {
            reduce::add_scaled(out, gate, &values[i * len + strip * STRIP..][..out.len()]);
        }
    }
}

/// One kernel for a whole batch (lite): `K = sum_i gate[i] A_i`, for `gate` `[m]` and
/// `values` `[m, len]`.
pub fn aggregate<T: Element>(gate: &[T], values: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); values.len() / gate.len()];
    mix(gate, values, &mut out);
    out
}

/// The gradients of `gate` and `values` in [`aggregate`]:
/// `dg_i = <dK, A_i>` and `dA_i = g_i dK`.
pub fn aggregate_gradients<T: Element>(
    gate: &[T],
    values: &[T],
    dy: &[T],
    wanted: [bool; 2],
) -> [Option<Vec<T>>; 2] {
    let dgate = wanted[0].then(|| {
        let source = |i: usize| &values[i * dy.len()..][..dy.len()];
        (0..gate.len()).into_par_iter().map(|i| reduce::dot(dy, source(i))).collect()
    });
    let dvalues = wanted[1].then(|| {
        let mut dvalues = vec![T::zero(); values.len()];
        dvalues.par_chunks_mut(dy.len()).zip(gate).for_each(|(out, &gate)| {
            out.iter_mut().zip(dy).for_each(|(out, &dy)| *out = gate * dy);
        });
        dvalues
    });
    [dgate, dvalues]
}

/// The operands of a convolution whose kernel is aggregated per sample.
#[derive(Clone, Copy)]
pub struct PerSample<'a, T> {
    /// Sizes of the convolution.
    pub geometry: &'a Geometry,
    /// Input, `[N, C, H, W]`.
    pub x: &'a [T],
    /// Aligned kernels, `[m, O, C / groups, kh, kw]`.
    pub weight: &'a [T],
    /// Biases, `[m, O]`.
    pub bias: Option<&'a [T]>,
    /// Gate, `[N, m]`.
    pub gate: &'a [T],
    /// Sources, `m`.
    pub sources: usize,
}

impl<T: Element> PerSample<'_, T> {
    fn gate_of(&self, n: usize) -> &[T] {
        &self.gate[n * self.sources..][..self.sources]
    }

    fn kernel_len(&self) -> usize {
        self.geometry.outputs * self.geometry.row_len()
    }

    /// One sample as a batch.
    fn one(&self) -> Geometry {
        Geometry { batch: 1, ..*self.geometry }
    }

    /// Blocks of the kernel's rows, such that the kernels of all samples fit the third-level
    /// cache.
    fn blocks(&self) -> Vec<KernelRows> {
        const VALUES: usize = 1 << 21;
        KernelRows::blocks(self.geometry, VALUES / self.geometry.batch.max(1))
    }

    /// The sources' rows of a block, `[m, rows K]`.
    fn sources_of(&self, rows: &KernelRows) -> Matrix<'_, T> {
        let range = rows.kernel(self.geometry);
        Matrix::strided(&self.weight[range.start..], self.sources, range.len(), self.kernel_len())
    }

    /// The kernels of all samples, `[N, rows K]`: `K = g A`. The sources are read once.
    fn kernels(&self, rows: &KernelRows) -> Buffer<T> {
        let batch = self.geometry.batch;
        let sources = self.sources_of(rows);
        let mut kernels = buffer::scratch(batch * rows.kernel(self.geometry).len());
        par_gemm(Matrix::new(self.gate, batch, self.sources), sources, &mut kernels);
        kernels
    }

    /// `y_n = conv(x_n, sum_i gate[n, i] A_i) + sum_i gate[n, i] bias_i`, of shape
    /// `[N, O, H', W']`.
    pub fn forward(&self) -> Vec<T> {
        let (g, one) = (self.geometry, self.one());
        let sample_out = g.outputs * g.positions();
        let mut y = buffer::take(g.batch * sample_out);
        for rows in self.blocks() {
            let kernels = self.kernels(&rows);
            y.par_chunks_mut(sample_out)
                .zip(self.x.par_chunks(g.sample_len()))
                .zip(kernels.par_chunks(rows.kernel(g).len()))
                .for_each(|((y, x), kernel)| rows.forward(&one, x, kernel, y));
        }
        if let Some(bias) = self.bias {
            for (n, y) in y.chunks_mut(sample_out).enumerate() {
                let mut of_sample = vec![T::zero(); g.outputs];
                mix(self.gate_of(n), bias, &mut of_sample);
                add_bias(g, &of_sample, y);
            }
        }
        y
    }

    /// The gradient of `x` `[N, C, H, W]`; the kernels are made once more.
    pub fn input_gradient(&self, dy: &[T]) -> Vec<T> {
        let (g, one) = (self.geometry, self.one());
        let sample_out = g.outputs * g.positions();
        let mut samples: Vec<Phases<T>> = (0..g.batch).map(|_| Phases::new(&one)).collect();
        for rows in self.blocks() {
            let kernels = self.kernels(&rows);
            samples
                .par_iter_mut()
                .zip(dy.par_chunks(sample_out))
                .zip(kernels.par_chunks(rows.kernel(g).len()))
                .for_each(|((dx, dy), kernel)| dx.add(&one, dy, rows.clone(), kernel));
        }
        let mut dx = buffer::take(g.batch * g.sample_len());
        dx.par_chunks_mut(g.sample_len())
            .zip(samples)
            .for_each(|(dx, sample)| dx.copy_from_slice(&sample.finish(&one)));
        dx
    }

    /// The gradients of `weight` `[m, O, C / groups, kh, kw]` and, from the kernels
    /// alone, of `gate` `[N, m]`.
    ///
    /// With `D` `[N, rows K]` the gradients of all samples' kernels, some rows at a time:
    /// `dA = g^T D` and `dg += D A^T`. Sources are read once, and `D` while it is in the cache.
    pub fn kernel_gradients(&self, dy: &[T]) -> (Vec<T>, Vec<T>) {
        let (g, one, m) = (self.geometry, self.one(), self.sources);
        let sample_out = g.outputs * g.positions();
        let mut dweight = buffer::take(self.weight.len());
        let mut dgate = vec![T::zero(); self.gate.len()];
        for rows in self.blocks() {
            let range = rows.kernel(g);
            let mut d = buffer::scratch(g.batch * range.len());
            d.par_chunks_mut(range.len())
                .zip(self.x.par_chunks(g.sample_len()))
                .zip(dy.par_chunks(sample_out))
                .for_each(|((d, x), dy)| rows.kernel_gradient(&one, x, dy, d));
            let d = Matrix::new(&d, g.batch, range.len());
            let gate = Matrix::new(self.gate, g.batch, m);
            let layout = Layout { row_stride: self.kernel_len(), ..Layout::matrix(m, range.len()) };
            let target = Target::new(&mut dweight[range.start..], layout);
            multiply(Operand::Steps(&gate), Operand::Steps(&d), g.batch, target, false);
            let sources = self.sources_of(&rows);
            let target = Target::new(&mut dgate, Layout::matrix(g.batch, m));
            multiply(Operand::Lanes(&d), Operand::Lanes(&sources), range.len(), target, true);
        }
        (dweight, dgate)
    }

    /// The gradient of `bias` `[m, O]`, and the biases' share of the gate's `[N, m]`.
    pub fn bias_gradients(&self, bias: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        let (g, m) = (self.geometry, self.sources);
        let mut dbias = vec![T::zero(); bias.len()];
        let mut dgate = vec![T::zero(); self.gate.len()];
        for (n, dy) in dy.chunks(g.outputs * g.positions()).enumerate() {
            let db: Vec<T> = dy.chunks(g.positions()).map(reduce::sum).collect();
            for (i, &gate) in self.gate_of(n).iter().enumerate() {
                let source = i * g.outputs..(i + 1) * g.outputs;
                reduce::add_scaled(&mut dbias[source.clone()], gate, &db);
                dgate[n * m + i] = reduce::dot(&bias[source], &db);
            }
        }
        (dbias, dgate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::reference;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_its_readable_twin(numbers in prop::collection::vec(any::<u32>(), 32)) {
            let mut draw = Draw::new(numbers);
            let (g, m) = (draw.geometry(2), draw.size(1, 6));
            let [o, c, kh, kw] = g.weight_shape();
            let (x, w) = (draw.tensor(&g.input_shape()), draw.tensor(&[m, o, c, kh, kw]));
            let (gate, transform) = (draw.tensor(&[g.batch, m]), draw.tensor(&[m, o, o]));
            let (x, w, gate) = (x.as_slice(), w.as_slice(), gate.as_slice());
            let stack = Stack { sources: m, outputs: o, row: c * kh * kw };
            let aligned = align(stack, w, transform.as_slice());
            let twin = reference::align(w, transform.as_slice(), m, o, c * kh * kw);
            prop_assert!(aligned.iter().zip(&twin).all(|(a, b)| (a - b).abs() < 1e-12));
            let layer = PerSample { geometry: &g, x, weight: &twin, bias: None, gate, sources: m };
            let y = layer.forward();
            let twin = reference::aggregated_conv2d(&g, x, &twin, gate, m);
            prop_assert!(y.iter().zip(&twin).all(|(a, b)| (a - b).abs() < 1e-11), "{:?}", g);
        }
    }

    /// Sizes that need several blocks of channels:
    /// `<y, dy> = <A, dA>`, and the same again sample by sample for the gate.
    #[test]
    fn gradients_of_a_large_layer_are_adjoint_to_its_forward_pass() {
        let window = crate::kernel::Window::square(1, 1);
        let g = Geometry::new("test", [9, 48, 6, 7], [64, 48, 3, 3], window).unwrap();
        let (m, mut draw) = (3, Draw::seeded(5));
        let (x, w) = (draw.tensor(&g.input_shape()), draw.tensor(&[m, 64, 48, 3, 3]));
        let (gate, dy) = (draw.tensor(&[g.batch, m]), draw.tensor(&g.output_shape()));
        let layer = PerSample {
            geometry: &g,
            x: x.as_slice(),
            weight: w.as_slice(),
            bias: None,
            gate: gate.as_slice(),
            sources: m,
        };
        let y = layer.forward();
        let (dweight, dgate) = layer.kernel_gradients(dy.as_slice());
        let product = reduce::dot(&y, dy.as_slice());
        assert!((product - reduce::dot(w.as_slice(), &dweight)).abs() < 1e-8);
        let sample = y.len() / g.batch;
        for n in 0..g.batch {
            let product =
                reduce::dot(&y[n * sample..][..sample], &dy.as_slice()[n * sample..][..sample]);
            let by_gate = reduce::dot(layer.gate_of(n), &dgate[n * m..][..m]);
            assert!((product - by_gate).abs() < 1e-8, "{product} {by_gate}");
        }
    }
}
