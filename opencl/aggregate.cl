// Mixing the kernels, or the outputs, of a zoo's sources (src/kernel/aggregate). Compiled with
// common.cl before it.
//
// The products of an aggregated layer are those of the other files:
//
//   A_i = T_i W_i           gemm, a batch of m:   a = T, b = W
//   dW_i = T_i^T dA_i       gemm, a batch of m:   a = T transposed, b = dA
//   dT_i = dA_i W_i^T       gemm, a batch of m:   a = dA, b = W transposed
//   y_n = K_n * x_n         conv_forward, with each sample a group (see conv.cl); with one tap,
//                           gemm, a batch of N
//   Z = W * x               conv_forward, with the m O outputs of all sources
//   y = T (g Z)             conv_forward with one tap, T side by side, of gated outputs
//   dg[n, i] = <dK_n, A_i>   reduce.cl, all_dots
//   dg[n, i] = <dZ_ni, Z_ni> reduce.cl, row_dots
//
// Runs are of LANES values, in groups of any size.

// out[r, k] = sum_c weights[r, c] values[c, k], or out[r, k] += it: a few rows of many values,
// each of which is read once.
//
//   weights  [rows, terms], with the strides weight_strides (x: row, y: term)
//   values   [terms, len]
//   out      [rows, len]
//
// The kernels K_n = sum_i g[n, i] A_i take weights = g [N, m] (one row for a shared gate); the
// gradients dA_i = sum_n g[n, i] dK_n take its transpose. Global size: ceil(len / LANES).
kernel void mix_kernels(
    global const REAL *weights, uint2 weight_strides, global const REAL *values, global REAL *out,
    int rows, int terms, ulong len, int add
) {
    RUN(i, there, len);
    for (int row = 0; row < rows; row++) {
        global const REAL *of_row = weights + row * weight_strides.x;
        global REAL *to = out + row * len + i;
        Vector sum = add ? load_some(to, there, 0) : (Vector)(0);
        for (int term = 0; term < terms; term++) {
            const REAL weight = of_row[term * weight_strides.y];
            sum += weight * load_some(values + term * len + i, there, 0);
        }
        store_some(sum, to, there);
    }
}

// dz[n, i, k] = gate[n, i] dy[n, k], for dy [N, len]; gate_stride is m, or 0 where all samples
// share a gate. The gate's gradient is dg[n, i] = <dy[n], z[n, i]>: row_dots, with share = m.
// Global size: [ceil(len / LANES), N].
kernel void mix_outputs_gradient(
    global const REAL *gate, int gate_stride, global const REAL *dy, global REAL *dz, int sources,
    ulong len
) {
    RUN(i, there, len);
    const size_t n = get_global_id(1);
    gate += n * gate_stride;
    dz += n * sources * len + i;
    const Vector d = load_some(dy + n * len + i, there, 0);
    for (int source = 0; source < sources; source++) {
        store_some(gate[source] * d, dz + source * len, there);
    }
}

// out[part, k] = gate[part % gates] values[part, k], for parts of `len` values: gated outputs
// [N, m, len], by a gate [N, m] or, shared, [m]; or gated transforms [m, O O]. out may be values.
// Global size: [ceil(len / LANES), parts].
kernel void gated(
    global const REAL *gate, int gates, global const REAL *values, global REAL *out, ulong len
) {
    RUN(i, there, len);
    const size_t part = get_global_id(1);
    const ulong at = part * len + i;
    store_some(gate[part % gates] * load_some(values + at, there, 0), out + at, there);
}

// out[o, i, p] = values[i, o, p], for values [first, second, len]: the transforms of all sources
// [m, O, O] side by side, [O, m O], and with first = O and second = m, back again.
// Global size: [ceil(len / LANES), second, first].
kernel void side_by_side(
    global const REAL *values, global REAL *out, int first, int second, ulong len
) {
    RUN(k, there, len);
    const size_t i = get_global_id(2), o = get_global_id(1);
    const ulong from = (i * second + o) * len + k, to = (o * first + i) * len + k;
    store_some(load_some(values + from, there, 0), out + to, there);
}
