// Images of another size (src/kernel/resample.rs). Compiled with common.cl before it.

// An axis of `in` pixels that becomes one of `out`; `scale` = in / out, in single precision for the
// nearest pixel. An argument by values.
typedef struct {
    int in, out;
    REAL scale;
    int is_bilinear;
} Axis;

// What one output of an axis is made of: (1 - share) x[low] + share x[high].
typedef struct {
    int low, high;
    REAL share;
} Pair;

static inline Pair pair(int i, Axis axis) {
    Pair pair;
    if (axis.is_bilinear) {
        const REAL at = clamp((i + (REAL)0.5) * axis.scale - (REAL)0.5, (REAL)0,
                              (REAL)(axis.in - 1));
        pair.low = (int)at;
        pair.high = min(pair.low + 1, axis.in - 1);
        pair.share = at - pair.low;
    } else {
        pair.low = pair.high = min((int)((float)i * (float)axis.scale), axis.in - 1);
        pair.share = 0;
    }
    return pair;
}

// What output i took of a pixel.
static inline REAL taken(int i, int pixel, Axis axis) {
    const Pair of = pair(i, axis);
    return (of.low == pixel ? 1 - of.share : 0) + (of.high == pixel ? of.share : 0);
}

// The first output that may have taken of a pixel, and the last; one more on either side, since
// this is rounded.
static inline int first_taken(int pixel, Axis axis) {
    return pixel == 0 ? 0 : max(0, (int)floor((pixel - 1) / axis.scale) - 1);
}
static inline int last_taken(int pixel, Axis axis) {
    if (pixel == axis.in - 1) return axis.out - 1;
    return min(axis.out - 1, (int)ceil((pixel + (REAL)1.5) / axis.scale) + 1);
}

// y of x, by the nearest pixels or between them.
//
//   x  [N, C, H, W]
//   y  [N, C, H', W']
//
// Sizes: [H, W, H', W']. Global size: [W', H', N C].
kernel void resample(
    global const REAL *x, global REAL *y, int4 sizes, REAL scale_y, REAL scale_x, int is_bilinear
) {
    const Axis rows = {sizes.s0, sizes.s2, scale_y, is_bilinear};
    const Axis columns = {sizes.s1, sizes.s3, scale_x, is_bilinear};
    const int j = get_global_id(0), i = get_global_id(1);
    const size_t plane = get_global_id(2);
    if (j >= columns.out || i >= rows.out) return;
    const Pair row = pair(i, rows), column = pair(j, columns);
    x += plane * rows.in * columns.in;
    global const REAL *low = x + (size_t)row.low * columns.in;
    REAL value = low[column.low];
    if (is_bilinear) {
        global const REAL *high = x + (size_t)row.high * columns.in;
        const REAL of_low = (1 - column.share) * value + column.share * low[column.high];
        const REAL of_high = (1 - column.share) * high[column.low] + column.share * high[column.high];
        value = (1 - row.share) * of_low + row.share * of_high;
    }
    y[(plane * rows.out + i) * columns.out + j] = value;
}

// dx[pixel] = the sum of what the outputs took of it, in row-major order.
//
//   dy  [N, C, H', W']
//   dx  [N, C, H, W]
//
// Sizes: [H, W, H', W']. Global size: [W, H, N C].
kernel void resample_gradient(
    global const REAL *dy, global REAL *dx, int4 sizes, REAL scale_y, REAL scale_x, int is_bilinear
) {
    const Axis rows = {sizes.s0, sizes.s2, scale_y, is_bilinear};
    const Axis columns = {sizes.s1, sizes.s3, scale_x, is_bilinear};
    const int c = get_global_id(0), r = get_global_id(1);
    const size_t plane = get_global_id(2);
    if (c >= columns.in || r >= rows.in) return;
    dy += plane * rows.out * columns.out;
    const int first = first_taken(c, columns), last = last_taken(c, columns);
    const int last_row = last_taken(r, rows);
    REAL sum = 0;
    for (int i = first_taken(r, rows); i <= last_row; i++) {
        const REAL of_row = taken(i, r, rows);
        if (of_row == 0) continue;
        REAL line = 0;
        for (int j = first; j <= last; j++) {
            const REAL of_column = taken(j, c, columns);
            if (of_column != 0) line += of_column * dy[(size_t)i * columns.out + j];
        }
        sum += of_row * line;
    }
    dx[(plane * rows.in + r) * columns.in + c] = sum;
}
