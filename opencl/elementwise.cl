// Passes in which every value stands alone. Compiled with common.cl before it.
//
// Every kernel takes `count` values and runs over ceil(count / LANES) work-items, in groups of any
// size. A result may take the place of an operand.

// y = a + b; with y = a, what is added up.
kernel void add(global const REAL *a, global const REAL *b, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(load_some(a + i, there, 0) + load_some(b + i, there, 0), y + i, there);
}

// y = a b
kernel void mul(global const REAL *a, global const REAL *b, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(load_some(a + i, there, 0) * load_some(b + i, there, 0), y + i, there);
}

// y = factor x
kernel void scale(global const REAL *x, REAL factor, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(factor * load_some(x + i, there, 0), y + i, there);
}

// y = ((a + b) + c) + d, of which b, c, and d are the first `more` of three; the others are any
// buffer.
kernel void sum(
    global const REAL *a, global const REAL *b, global const REAL *c, global const REAL *d,
    int more, global REAL *y, ulong count
) {
    RUN(i, there, count);
    Vector value = load_some(a + i, there, 0);
    if (more > 0) value += load_some(b + i, there, 0);
    if (more > 1) value += load_some(c + i, there, 0);
    if (more > 2) value += load_some(d + i, there, 0);
    store_some(value, y + i, there);
}

// y = factor (a - b)
kernel void scaled_difference(
    REAL factor, global const REAL *a, global const REAL *b, global REAL *y, ulong count
) {
    RUN(i, there, count);
    const Vector difference = load_some(a + i, there, 0) - load_some(b + i, there, 0);
    store_some(factor * difference, y + i, there);
}

// y = of_a a + of_b b: a moving average; with of_b = 1 and y = b, `add_scaled`.
kernel void blend(
    REAL of_a, global const REAL *a, REAL of_b, global const REAL *b, global REAL *y, ulong count
) {
    RUN(i, there, count);
    store_some(
        of_a * load_some(a + i, there, 0) + of_b * load_some(b + i, there, 0), y + i, there);
}

// y = x / divisor
kernel void quotient(global const REAL *x, REAL divisor, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(load_some(x + i, there, 0) / divisor, y + i, there);
}

// y = max(x, 0). Written so that NaN stays NaN: a fault must not be hidden here.
kernel void relu(global const REAL *x, global REAL *y, ulong count) {
    RUN(i, there, count);
    const Vector value = load_some(x + i, there, 0);
    store_some(value < 0 ? (Vector)(0) : value, y + i, there);
}

// dx = dy where y = relu(x) is positive, else 0
kernel void relu_gradient(
    global const REAL *dy, global const REAL *y, global REAL *dx, ulong count
) {
    RUN(i, there, count);
    const Vector d = load_some(dy + i, there, 0);
    store_some(load_some(y + i, there, 0) > 0 ? d : (Vector)(0), dx + i, there);
}

// y = exp(x); as for the logarithm below, OpenCL has the short name already.
kernel void exponential(global const REAL *x, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(exp(load_some(x + i, there, 0)), y + i, there);
}

// y = log(x)
kernel void logarithm(global const REAL *x, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(log(load_some(x + i, there, 1)), y + i, there);
}

// dx = dy / x
kernel void log_gradient(global const REAL *dy, global const REAL *x, global REAL *dx, ulong count) {
    RUN(i, there, count);
    store_some(load_some(dy + i, there, 0) / load_some(x + i, there, 1), dx + i, there);
}

// y = min(max(x, 0), 6); NaN stays NaN.
kernel void relu6(global const REAL *x, global REAL *y, ulong count) {
    RUN(i, there, count);
    const Vector value = load_some(x + i, there, 0);
    const Vector least = value < 0 ? (Vector)(0) : value;
    store_some(least > 6 ? (Vector)(6) : least, y + i, there);
}

// dx = dy where y = relu6(x) is between 0 and 6, else 0
kernel void relu6_gradient(
    global const REAL *dy, global const REAL *y, global REAL *dx, ulong count
) {
    RUN(i, there, count);
    const Vector value = load_some(y + i, there, 0);
    const Vector d = value > 0 ? load_some(dy + i, there, 0) : (Vector)(0);
    store_some(value < 6 ? d : (Vector)(0), dx + i, there);
}

// y = 1 / (1 + exp(-x))
kernel void sigmoid(global const REAL *x, global REAL *y, ulong count) {
    RUN(i, there, count);
    store_some(1 / (1 + exp(-load_some(x + i, there, 0))), y + i, there);
}

// dx = dy y (1 - y) for y = sigmoid(x)
kernel void sigmoid_gradient(
    global const REAL *dy, global const REAL *y, global REAL *dx, ulong count
) {
    RUN(i, there, count);
    const Vector value = load_some(y + i, there, 0);
    store_some(load_some(dy + i, there, 0) * value * (1 - value), dx + i, there);
}

// y[row, k] += bias[k], for y [rows, columns]. Global size: [ceil(columns / LANES), rows].
kernel void add_to_rows(global REAL *y, global const REAL *bias, int columns) {
    RUN(i, there, (ulong)columns);
    y += (ulong)get_global_id(1) * columns + i;
    store_some(load_some(y, there, 0) + load_some(bias + i, there, 0), y, there);
}

// y[n, c, i] += bias[row c of `biases`], for planes of `len` values, `channels` of them for each
// sample. `of_samples` is 1 where each sample has biases of its own, [N, C], and 0 where
// they are [C]. Global size: [ceil(len / LANES), N C].
kernel void add_to_planes(
    global REAL *y, global const REAL *biases, int channels, int len, int of_samples
) {
    RUN(i, there, (ulong)len);
    const int plane = get_global_id(1);
    y += (ulong)plane * len + i;
    store_some(load_some(y, there, 0) + biases[of_samples ? plane : plane % channels], y, there);
}

// to[row, to_first + k] = from[row, from_first + k] for the `len` first k, in rows that are
// `from_width` and `to_width` long. Global size: [ceil(len / LANES), rows].
kernel void copy_rows(
    global const REAL *from, ulong from_first, ulong from_width,
    global REAL *to, ulong to_first, ulong to_width, ulong len
) {
    RUN(i, there, len);
    const ulong row = get_global_id(1);
    const Vector values = load_some(from + row * from_width + from_first + i, there, 0);
    store_some(values, to + row * to_width + to_first + i, there);
}

// y[m, row, k] = factor x[m, k] in each of `rows` rows of some matrices, for x [matrices, columns].
// Global size: [ceil(columns / LANES), rows, matrices].
kernel void repeat_rows(REAL factor, global const REAL *x, global REAL *y, int rows, int columns) {
    RUN(i, there, (ulong)columns);
    const ulong matrix = get_global_id(2);
    x += matrix * columns + i;
    y += (matrix * rows + get_global_id(1)) * columns + i;
    store_some(factor * load_some(x, there, 0), y, there);
}

// y[row, k] = factor x[row] in each of `columns` columns, for x [rows].
// Global size: [ceil(columns / LANES), rows].
kernel void repeat_values(REAL factor, global const REAL *x, global REAL *y, int columns) {
    RUN(i, there, (ulong)columns);
    const ulong row = get_global_id(1);
    store_some((Vector)(factor * x[row]), y + row * columns + i, there);
}

// y[row] = x[row, columns[row]], for x [rows, len]. Global size: rows.
kernel void select_columns(
    global const REAL *x, global const uint *columns, global REAL *y, ulong rows, int len
) {
    const ulong row = get_global_id(0);
    if (row >= rows) return;
    y[row] = x[row * len + columns[row]];
}

// dx[row, k] = dy[row] where k = columns[row], else 0, for dx [rows, len].
// Global size: [ceil(len / LANES), rows].
kernel void select_columns_gradient(
    global const REAL *dy, global const uint *columns, global REAL *dx, int len
) {
    RUN(i, there, (ulong)len);
    const ulong row = get_global_id(1), column = columns[row];
    dx += row * len;
    store_some((Vector)(0), dx + i, there);
    if (column >= i && column < i + there) dx[column] = dy[row];
}

// da[row, k] = factor dy[row] d, for rows of `len` values, with d = a[row, k] - b[row, k] clipped to
// -delta..delta. Written so that NaN stays NaN. Global size: [ceil(len / LANES), rows].
kernel void huber_gradient(
    global const REAL *dy, global const REAL *a, global const REAL *b, REAL delta, REAL factor,
    global REAL *da, int len
) {
    RUN(i, there, (ulong)len);
    const ulong row = get_global_id(1), at = row * len + i;
    Vector d = load_some(a + at, there, 0) - load_some(b + at, there, 0);
    d = d > delta ? (Vector)(delta) : d;
    d = d < -delta ? (Vector)(-delta) : d;
    store_some(factor * dy[row] * d, da + at, there);
}

// The parts of the adaptive wing loss, for d = |a - t| and p = alpha - t: `near` is d as far as the
// curve goes, x = (near / epsilon)^p, and the slope there. Written so that NaN stays NaN.
#define WING_PARTS                                                                 \
    RUN(i, there, count);                                                          \
    const Vector from = load_some(a + i, there, 0), to = load_some(t + i, there, 0); \
    const Vector d = fabs(from - to), p = alpha - to;                              \
    const Vector near = d > theta ? (Vector)(theta) : d;                           \
    const Vector root = pow(near / epsilon, p - 1);                                \
    const Vector x = root * near / epsilon;                                        \
    const Vector slope = omega * p * root / (epsilon * (1 + x))

// y = omega log(1 + (d / epsilon)^p) where d is below theta; beyond it the line with the same slope.
kernel void adaptive_wing(
    global const REAL *a, global const REAL *t, REAL alpha, REAL omega, REAL epsilon, REAL theta,
    global REAL *y, ulong count
) {
    WING_PARTS;
    store_some(omega * log1p(x) + slope * (d - near), y + i, there);
}

// The slope of adaptive_wing in a.
kernel void adaptive_wing_slope(
    global const REAL *a, global const REAL *t, REAL alpha, REAL omega, REAL epsilon, REAL theta,
    global REAL *y, ulong count
) {
    WING_PARTS;
    store_some(from < to ? -slope : slope, y + i, there);
}
