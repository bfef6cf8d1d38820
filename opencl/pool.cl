// Pooling over windows and over whole channels (src/kernel/pool.rs). Compiled with common.cl
// before it.

// The largest value of each window, and the pixel within its channel that held it; of equals the
// first in row-major order. Padding never wins, NaN always.
//
//   x           [N, C, H, W]
//   y, winners  [N, C, H', W']; no window sees padding only
//
// Global size: [W', H', N C].
kernel void max_pool(global const REAL *x, global REAL *y, global uint *winners, Geometry g) {
    const int j = get_global_id(0), i = get_global_id(1);
    const size_t channel = get_global_id(2);
    if (j >= g.output_width || i >= g.output_height) return;
    x += channel * g.height * g.width;
    REAL largest = -INFINITY;
    int winner = 0;
    // From the last tap to the first: of equals, the first is the last to win.
    for (int u = g.kernel_height - 1; u >= 0; u--) {
        const int row = i * g.stride_y + u * g.dilation_y - g.padding_y;
        if (row < 0 || row >= g.height) continue;
        for (int v = g.kernel_width - 1; v >= 0; v--) {
            const int column = j * g.stride_x + v * g.dilation_x - g.padding_x;
            if (column < 0 || column >= g.width) continue;
            const int pixel = row * g.width + column;
            if (x[pixel] >= largest || isnan(x[pixel])) {
                largest = x[pixel];
                winner = pixel;
            }
        }
    }
    const size_t at = (channel * g.output_height + i) * g.output_width + j;
    y[at] = largest;
    winners[at] = winner;
}

// dx[pixel] = the sum of dy over the windows that the pixel won, in row-major order.
//
//   winners, dy  [N, C, H', W']
//   dx           [N, C, H, W]
//
// Global size: [W, H, N C].
kernel void max_pool_gradient(
    global const uint *winners, global const REAL *dy, global REAL *dx, Geometry g
) {
    const int column = get_global_id(0), row = get_global_id(1);
    const size_t channel = get_global_id(2);
    if (column >= g.width || row >= g.height) return;
    winners += channel * g.output_height * g.output_width;
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
            if (winners[at] == pixel) sum += dy[at];
        }
    }
    dx[channel * g.height * g.width + pixel] = sum;
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
