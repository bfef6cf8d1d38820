// Pooling over windows and over whole channels (src/kernel/pool.rs). Compiled with common.cl
// before it.

// LANES numbers of a row, `stride` apart and from `column` on; what is outside of the row is not
// a number of it, but may be read. `at` is the row's place among all `len` values of the images.
static inline Vector read_row(
    global const REAL *images, ulong len, ulong at, int width, int column, int stride
) {
#if LANES > 1
    const long first = (long)at + column;
    if (stride == 1 && first >= 0 && first + LANES <= (long)len) return LOAD(images + first);
    if (stride == 2 && first >= 0 && first + 2 * LANES <= (long)len) {
        Vector numbers;
        numbers.lo = LOAD(images + first).even;
        numbers.hi = LOAD(images + first + LANES).even;
        return numbers;
    }
    REAL lanes[LANES];
    for (int i = 0; i < LANES; i++) {
        lanes[i] = images[at + clamp(column + i * stride, 0, width - 1)];
    }
    return LOAD(lanes);
#else
    return images[at + clamp(column, 0, width - 1)];
#endif
}

// A condition on numbers, as one on integers.
#if LANES > 1 && IS_DOUBLE
#define OF_INTEGERS(mask) JOIN(convert_int, LANES)(mask)
#else
#define OF_INTEGERS(mask) (mask)
#endif

// The largest value of each window, and the pixel within its channel that held it; of equals the
// first in row-major order. Padding never wins, NaN always.
//
//   x           [N, C, H, W]
//   y, argmax  [N, C, H', W']; no window sees padding only
//
// Global size: [ceil(W' / LANES), H', N C], in groups of any size.
kernel void max_pool(global const REAL *x, global REAL *y, global uint *argmax, Geometry g) {
    RUN(j, there, (ulong)g.output_width);
    const int i = get_global_id(1);
    const ulong channel = get_global_id(2), pixels = g.height * g.width;
    if (i >= g.output_height) return;
    int numbers[LANES];
    for (int lane = 0; lane < LANES; lane++) numbers[lane] = lane * g.stride_x;
    const Integers lanes = LOAD_INTEGERS(numbers);
    Vector largest = -INFINITY;
    Integers winner = 0;
    // From the last tap to the first: of equals, the first is the last to win.
    for (int u = g.kernel_height - 1; u >= 0; u--) {
        const int row = i * g.stride_y + u * g.dilation_y - g.padding_y;
        if (row < 0 || row >= g.height) continue;
        const ulong at = channel * pixels + row * g.width;
        for (int v = g.kernel_width - 1; v >= 0; v--) {
            const int first = (int)j * g.stride_x + v * g.dilation_x - g.padding_x;
            const Vector value =
                read_row(x, g.batch * g.channels * pixels, at, g.width, first, g.stride_x);
            const Integers column = lanes + first, inside = column >= 0 && column < g.width;
            // Without a branch, which could not be foreseen.
#if LANES > 1
            const Integers wins = inside & OF_INTEGERS(value >= largest || isnan(value));
#else
            const bool wins = inside & (value >= largest || isnan(value));
#endif
            largest = MASK(wins) ? value : largest;
            winner = wins ? row * g.width + column : winner;
        }
    }
    const size_t to = (channel * g.output_height + i) * g.output_width + j;
    store_some(largest, y + to, there);
#if LANES > 1
    JOIN(vstore, LANES)(winner, 0, numbers);
#else
    numbers[0] = winner;
#endif
    for (int lane = 0; lane < there; lane++) argmax[to + lane] = numbers[lane];
}

// dx[pixel] = the sum of dy over the windows that the pixel won, in row-major order.
//
//   argmax, dy  [N, C, H', W']
//   dx           [N, C, H, W]
//
// Global size: [W, H, N C].
kernel void max_pool_gradient(
    global const uint *argmax, global const REAL *dy, global REAL *dx, Geometry g
) {
    const int column = get_global_id(0), row = get_global_id(1);
    const size_t channel = get_global_id(2);
    if (column >= g.width || row >= g.height) return;
    argmax += channel * g.output_height * g.output_width;
    dy += channel * g.output_height * g.output_width;
    // The windows that span the pixel.
    const int reach_y = (g.kernel_height - 1) * g.dilation_y;
    const int reach_x = (g.kernel_width - 1) * g.dilation_x;
    const int first_i = max(0, row + g.padding_y - reach_y + g.stride_y - 1) / g.stride_y;
    const int first_j = max(0, column + g.padding_x - reach_x + g.stride_x - 1) / g.stride_x;
    const int last_i = min(g.output_height - 1, (row + g.padding_y) / g.stride_y);
    const int last_j = min(g.output_width - 1, (column + g.padding_x) / g.stride_x);
    const uint pixel = row * g.width + column;
    REAL sum = 0;
    for (int i = first_i; i <= last_i; i++) {
        for (int j = first_j; j <= last_j; j++) {
            const size_t at = (size_t)i * g.output_width + j;
            if (argmax[at] == pixel) sum += dy[at];
        }
    }
    dx[channel * g.height * g.width + pixel] = sum;
}

// The same, channel by channel, each dy given to the pixel that won: for processors, on which it
// is many times as fast. Global size: N C, in groups of any size.
kernel void max_pool_gradient_of_channels(
    global const uint *argmax, global const REAL *dy, global REAL *dx, Geometry g
) {
    const size_t channel = get_global_id(0);
    const int pixels = g.height * g.width, positions = g.output_height * g.output_width;
    argmax += channel * positions;
    dy += channel * positions;
    dx += channel * pixels;
    for (int pixel = 0; pixel < pixels; pixel++) dx[pixel] = 0;
    for (int position = 0; position < positions; position++) dx[argmax[position]] += dy[position];
}

// The taps of a window that lie on an axis of `size` pixels, for the output `i`.
static inline int taps_inside(int i, int taps, int stride, int padding, int dilation, int size) {
    int count = 0;
    for (int u = 0; u < taps; u++) {
        const int pixel = i * stride + u * dilation - padding;
        count += pixel >= 0 && pixel < size;
    }
    return count;
}

// The mean of each window, in which the padding is zero: of all its taps, or (`of_pixels` = 1) of
// those on the image, of which each has one.
//
//   x  [N, C, H, W]
//   y  [N, C, H', W']
//
// Global size: [ceil(W' / LANES), H', N C], in groups of any size.
kernel void avg_pool(global const REAL *x, global REAL *y, int of_pixels, Geometry g) {
    RUN(j, there, (ulong)g.output_width);
    const int i = get_global_id(1);
    const ulong channel = get_global_id(2), pixels = g.height * g.width;
    if (i >= g.output_height) return;
    int numbers[LANES];
    for (int lane = 0; lane < LANES; lane++) numbers[lane] = lane * g.stride_x;
    const Integers lanes = LOAD_INTEGERS(numbers);
    Vector sum = 0, count = 0;
    for (int u = 0; u < g.kernel_height; u++) {
        const int row = i * g.stride_y + u * g.dilation_y - g.padding_y;
        if (row < 0 || row >= g.height) continue;
        const ulong at = channel * pixels + row * g.width;
        for (int v = 0; v < g.kernel_width; v++) {
            const int first = (int)j * g.stride_x + v * g.dilation_x - g.padding_x;
            const Vector value =
                read_row(x, g.batch * g.channels * pixels, at, g.width, first, g.stride_x);
            const Integers column = lanes + first, inside = column >= 0 && column < g.width;
            sum += MASK(inside) ? value : (Vector)(0);
            count += MASK(inside) ? (Vector)(1) : (Vector)(0);
        }
    }
    const Vector divisor = of_pixels ? count : (Vector)(g.kernel_height * g.kernel_width);
    store_some(sum / divisor, y + (channel * g.output_height + i) * g.output_width + j, there);
}

// dx[pixel] = the sum of dy, divided as avg_pool does, over the windows that see the pixel, in the
// order of their taps.
//
//   dy  [N, C, H', W']
//   dx  [N, C, H, W]
//
// Global size: [W, H, N C].
kernel void avg_pool_gradient(global const REAL *dy, global REAL *dx, int of_pixels, Geometry g) {
    const int column = get_global_id(0), row = get_global_id(1);
    const size_t channel = get_global_id(2);
    if (column >= g.width || row >= g.height) return;
    dy += channel * g.output_height * g.output_width;
    REAL sum = 0;
    for (int u = 0; u < g.kernel_height; u++) {
        const int down = row + g.padding_y - u * g.dilation_y, i = down / g.stride_y;
        if (down < 0 || down % g.stride_y != 0 || i >= g.output_height) continue;
        const int rows = of_pixels ? taps_inside(i, g.kernel_height, g.stride_y, g.padding_y,
                                                 g.dilation_y, g.height)
                                   : g.kernel_height;
        for (int v = 0; v < g.kernel_width; v++) {
            const int right = column + g.padding_x - v * g.dilation_x, j = right / g.stride_x;
            if (right < 0 || right % g.stride_x != 0 || j >= g.output_width) continue;
            const int columns = of_pixels ? taps_inside(j, g.kernel_width, g.stride_x, g.padding_x,
                                                        g.dilation_x, g.width)
                                          : g.kernel_width;
            sum += dy[(size_t)i * g.output_width + j] / (rows * columns);
        }
    }
    dx[channel * g.height * g.width + (size_t)row * g.width + column] = sum;
}

// y[row] = sum(x[row]) / len, for x [rows, len]. Global size: [GROUP rows], in groups of GROUP.
GROUP_KERNEL void row_means(global const REAL *x, global REAL *y, int len) {
    GROUP_MEMORY;
    x += get_group_id(0) * (ulong)len;
    Vector lanes = 0;
    EACH_RUN(i, len) lanes += load_some(x + i, len - i, 0);
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) y[get_group_id(0)] = sum * ((REAL)1 / len);
}

// dx[row, k] = dy[row] / len: each dy spread evenly over its row. Global size:
// [ceil(len / LANES), rows].
kernel void row_means_gradient(global const REAL *dy, global REAL *dx, int len) {
    RUN(i, there, (ulong)len);
    const size_t row = get_global_id(1);
    store_some((Vector)(dy[row] * ((REAL)1 / len)), dx + row * len + i, there);
}
