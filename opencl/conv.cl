// Convolutions as products of packed panels. Compiled with common.cl and panel.cl before it,
// whose build options and work sizes hold here.
//
// As told in src/kernel/conv.rs, with the P positions of all samples side by side:
//
//   forward            Y  = W X      X  [K, N P]   what the K taps read at each position
//   kernel gradient    dW = dY X^T                 positions are the inner axis
//   input gradient     dX = W' dY'   dY' [K', N Q] for each pixel, the outputs that read it
//
// X and dY' are never made: a tile reads its block of them out of the images as it packs it.
// Groups are products of their own, on the third axis. So are the samples where each has a
// kernel: [N, C, H, W] is then one sample of N groups, and their kernels are [N O, C, kh, kw].

// Images, read as the taps of a window see them. Position (i, j) of a grid lies at the pixel
// (i, j) * stride, and tap (u, v) reads what is tap_first + (u, v) * tap_step away from there,
// or zero outside of the image.
typedef struct {
    // From the first channel that is read, up to the end of the last image.
    global const REAL *images;
    long len;
    // From one image to the next.
    ulong image_len;
    int height, width;
    int grid_height, grid_width, stride_y, stride_x;
    int taps_y, taps_x, first_y, first_x, step_y, step_x;
} Window;

// Some positions, taken apart: the pixel's place among all images, its row and its column.
typedef struct {
    local long *origin;
    local int *row, *column;
} Positions;

// Some pairs of channel and tap, taken apart: what they add to a pixel's place, row and column.
typedef struct {
    local int *shift, *down, *right;
} Taps;

// The longest axis of a tile.
#define LONGER(a, b) ((a) > (b) ? (a) : (b))
#define LONGEST LONGER(LONGER(TILE_ROWS, TILE_COLUMNS), DEPTH)
#define POSITIONS(name)                                        \
    local long name##_origin[LONGEST];                         \
    local int name##_row[LONGEST], name##_column[LONGEST];     \
    const Positions name = {name##_origin, name##_row, name##_column}
#define TAPS(name)                                             \
    local int name##_shift[LONGEST];                           \
    local int name##_down[LONGEST], name##_right[LONGEST];     \
    const Taps name = {name##_shift, name##_down, name##_right}

// The row of what is not there. Whatever is added to it, it is outside of the image.
#define NOWHERE (-(1 << 29))

// Tables are filled up to whole runs, or as far as EXTENT says, with what is nowhere.
INLINE int whole_runs(int count) {
    return (count + LANES - 1) / LANES * LANES;
}

// Takes the positions from `first` on apart, sample after sample.
INLINE void find_positions(const Positions *p, const Window *w, int first, int count) {
    const int len = w->grid_height * w->grid_width;
    int sample = 0, i = 0, j = 0;
    for (int at = worker(); at < EXTENT(whole_runs(count), LONGEST); at += THREADS) {
        if (WORKERS > 1 || at == 0) {
            sample = (first + at) / len;
            i = (first + at) % len / w->grid_width;
            j = (first + at) % len % w->grid_width;
        }
        const int row = i * w->stride_y, column = j * w->stride_x;
        p->origin[at] = (long)(sample * w->image_len) + row * w->width + column;
        p->row[at] = at < count ? row : NOWHERE;
        p->column[at] = column;
        // A single worker comes to the neighbour next, without divisions.
        if (++j == w->grid_width) {
            j = 0;
            if (++i == w->grid_height) {
                i = 0;
                sample++;
            }
        }
    }
}

// Takes the rows of the unfolded images from `first` on apart: (channel, tap row, tap column).
INLINE void find_taps(const Taps *t, const Window *w, int first, int count) {
    const int taps = w->taps_y * w->taps_x;
    for (int at = worker(); at < EXTENT(whole_runs(count), LONGEST); at += THREADS) {
        const int channel = (first + at) / taps, tap = (first + at) % taps;
        const int down = w->first_y + tap / w->taps_x * w->step_y;
        const int right = w->first_x + tap % w->taps_x * w->step_x;
        t->shift[at] = (channel * w->height + down) * w->width + right;
        t->down[at] = at < count ? down : NOWHERE;
        t->right[at] = right;
    }
}

// LANES neighbouring positions.
typedef struct {
    Integers row, column;
    long first;
    local const long *origin;
    // How far their pixels are apart, if it is 1 or 2 everywhere; else 0.
    int spacing;
} Run;

INLINE Run run_at(const Positions *p, int first) {
    local const long *origin = p->origin + first;
    Run run = {
        LOAD_INTEGERS(p->row + first), LOAD_INTEGERS(p->column + first), *origin, origin, 0,
    };
#if LANES > 1
    const long spacing = origin[1] - origin[0];
    bool even = spacing == 1 || spacing == 2;
    for (int i = 2; i < LANES; i++) even = even && origin[i] - origin[i - 1] == spacing;
    run.spacing = even ? spacing : 0;
#endif
    return run;
}

// What a tap reads at the positions of a run.
INLINE Vector read_run(
    const Window *w, const Run *run, int shift, int down, int right
) {
    const Integers row = run->row + down, column = run->column + right;
#if LANES == 1
    const bool inside = (uint)row < (uint)w->height && (uint)column < (uint)w->width;
    return inside ? w->images[run->first + shift] : 0;
#else
    const Integers inside = row >= 0 && row < w->height && column >= 0 && column < w->width;
    const long first = run->first + shift;
    Vector numbers;
    if (run->spacing == 1 && first >= 0 && first + LANES <= w->len) {
        numbers = LOAD(w->images + first);
    } else if (run->spacing == 2 && first >= 0 && first + 2 * LANES <= w->len) {
        numbers.lo = LOAD(w->images + first).even;
        numbers.hi = LOAD(w->images + first + LANES).even;
    } else {
        REAL lanes[LANES];
        int is_inside[LANES];
        JOIN(vstore, LANES)(inside, 0, is_inside);
        for (int i = 0; i < LANES; i++) {
            lanes[i] = is_inside[i] ? w->images[run->origin[i] + shift] : 0;
        }
        return LOAD(lanes);
    }
    return MASK(inside) ? numbers : (Vector)(0);
#endif
}

// Packs rows of the unfolded images whose columns are the lanes.
INLINE void pack_columns(
    local REAL *panels, int width, const Window *w, const Positions *lanes, int lane_count,
    const Taps *steps, int step_count
) {
    NEAR(lane, lane_count, LANES_OF(width)) {
        const Run run = run_at(lanes, lane);
        FAR(step, step_count, 1, DEPTH, LANES_OF(width)) {
            const Vector numbers =
                read_run(w, &run, steps->shift[step], steps->down[step], steps->right[step]);
            STORE(numbers, panels + place(lane, step, width));
        }
    }
}

// Packs rows of the unfolded images that are the lanes themselves.
INLINE void pack_rows(
    local REAL *panels, int width, const Window *w, const Taps *lanes, int lane_count,
    const Positions *steps, int step_count
) {
    NEAR(step, step_count, DEPTH) {
        const Run run = run_at(steps, step);
        FAR(lane, lane_count, LANES, LANES_OF(width), DEPTH) {
            Vector block[LANES];
            for (int i = 0; i < LANES; i++) {
                const int at = lane + i;
                block[i] = read_run(w, &run, lanes->shift[at], lanes->down[at], lanes->right[at]);
            }
            turn(block);
            local REAL *to = panels + place(lane, step, width);
#pragma unroll
            for (int i = 0; i < LANES; i++) STORE(block[i], to + i * width);
        }
    }
}

// What the window reads in the images `x` `[N, C, H, W]`, in the channels of a group.
INLINE Window forward_window(const Geometry *g, global const REAL *x, int group) {
    const int pixels = g->height * g->width;
    const ulong image_len = (ulong)g->channels * pixels;
    const ulong first = (ulong)group * (g->channels / g->groups) * pixels;
    const Window w = {
        x + first, g->batch * image_len - first, image_len, g->height, g->width,
        g->output_height, g->output_width, g->stride_y, g->stride_x,
        g->kernel_height, g->kernel_width, -g->padding_y, -g->padding_x,
        g->dilation_y, g->dilation_x,
    };
    return w;
}

// y[n, o, i, j] = sum_{c, u, v} weight[o, c, u, v] x[n, c, i s - p + u d, j s - p + v d]
//
//   x       [N, C, H, W]
//   weight  [O, C / groups, kh, kw]
//   y       [parts, N, O, H', W']
//   parts   the inner axis, C / groups kh kw, is cut into this many parts, as in gemm.cl
//
// Global size: panel.cl's, rows O / groups, columns N H' W', third axis groups * parts.
TILE_KERNEL void conv_forward(
    global const REAL *x, global const REAL *weight, global REAL *y, Geometry g, int parts
) {
    TILE_MEMORY;
    POSITIONS(positions);
    TAPS(taps);
    const int group = get_global_id(2) / parts, part = get_global_id(2) % parts;
    const int outputs = g.outputs / g.groups;
    const int len = g.output_height * g.output_width;
    const int row_len = g.channels / g.groups * g.kernel_height * g.kernel_width;
    const int row = TILE_ROW, column = TILE_COLUMN;
    const int rows = min(TILE_ROWS, outputs - row);
    const int columns = min(TILE_COLUMNS, g.batch * len - column);
    const Window w = forward_window(&g, x, group);
    weight += ((ulong)group * outputs + row) * row_len;

    find_positions(&positions, &w, column, columns);
    clear(sums, rows);
    const int first = part * part_len(row_len, parts);
    const int end = min(row_len, first + part_len(row_len, parts));
    for (int step = first; step < end; step += DEPTH) {
        const int steps = min(DEPTH, end - step);
        find_taps(&taps, &w, step, steps);
        const Matrix kernels = {weight + step, row_len, 1};
        pack_matrix(a_panels, ROW_PANEL, kernels, rows, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
        pack_columns(b_panels, COLUMN_PANEL, &w, &positions, columns, &taps, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(a_panels, b_panels, sums, rows, columns, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const Target target = {
        y + ((ulong)part * g.batch * g.outputs + group * outputs) * len,
        outputs, g.batch * len, len, len,
        (ulong)g.outputs * len, len, 0, 1, false,
    };
    write_tile(&target, row, column, sums);
}

// dw[o, c, u, v] = sum_{n, i, j} dy[n, o, i, j] x[n, c, i s - p + u d, j s - p + v d]
//
//   x      [N, C, H, W]
//   dy     [N, O, H', W']
//   dw     [parts, O, C / groups, kh, kw]
//   parts  the positions are cut into this many parts, as in gemm.cl
//
// Global size: panel.cl's, rows O / groups, columns C / groups kh kw, third axis groups * parts.
TILE_KERNEL void conv_kernel_gradient(
    global const REAL *x, global const REAL *dy, global REAL *dw, Geometry g, int parts
) {
    TILE_MEMORY;
    POSITIONS(inputs);
    POSITIONS(outputs);
    TAPS(taps);
    TAPS(channels);
    const int group = get_global_id(2) / parts, part = get_global_id(2) % parts;
    const int per_group = g.outputs / g.groups;
    const int len = g.output_height * g.output_width;
    const int row_len = g.channels / g.groups * g.kernel_height * g.kernel_width;
    const int row = TILE_ROW, column = TILE_COLUMN;
    const int rows = min(TILE_ROWS, per_group - row);
    const int columns = min(TILE_COLUMNS, row_len - column);
    const Window of_x = forward_window(&g, x, group);
    const ulong output_len = (ulong)g.outputs * len, first_output = (ulong)group * per_group * len;
    // A position has a single tap in dy, itself.
    const Window of_dy = {
        dy + first_output, g.batch * output_len - first_output, output_len, 1, len,
        1, len, 1, 1, 1, 1, 0, 0, 0, 0,
    };

    find_taps(&channels, &of_dy, row, rows);
    find_taps(&taps, &of_x, column, columns);
    clear(sums, rows);
    const int all = g.batch * len, first = part * part_len(all, parts);
    const int end = min(all, first + part_len(all, parts));
    for (int step = first; step < end; step += DEPTH) {
        const int steps = min(DEPTH, end - step);
        find_positions(&inputs, &of_x, step, steps);
        find_positions(&outputs, &of_dy, step, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
        pack_rows(a_panels, ROW_PANEL, &of_dy, &channels, rows, &outputs, steps);
        pack_rows(b_panels, COLUMN_PANEL, &of_x, &taps, columns, &inputs, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(a_panels, b_panels, sums, rows, columns, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    dw += ((ulong)part * g.outputs + group * per_group) * row_len;
    const Target target = matrix_target(dw, per_group, row_len, row_len);
    write_tile(&target, row, column, sums);
}

// Along one axis, the pixels first, first + stride, ... are read by the same taps of a window:
// those u for which (first + padding - u dilation) / stride is whole. It is the output that reads
// the first of these pixels by that tap.
typedef struct {
    // The first of these taps, and from one to the next.
    int tap, tap_step, count;
    // The output of the first tap, and from one to the next.
    int output, output_step;
} Phase;

INLINE Phase phase_of(int first, int padding, int stride, int dilation, int taps) {
    Phase phase = {0, 1, 0, 0, 0};
    for (int u = 0; u < taps; u++) {
        if ((first + padding - u * dilation) % stride != 0) continue;
        if (phase.count == 0) phase.tap = u;
        if (phase.count == 1) phase.tap_step = u - phase.tap;
        phase.count++;
    }
    phase.output = (first + padding - phase.tap * dilation) / stride;
    phase.output_step = -(phase.tap_step * dilation / stride);
    return phase;
}

// Packs the kernels with their axes exchanged: lane c and step (o, tap) hold weight[o, c, tap],
// for the taps of a phase, which `shifts` are those of.
INLINE void pack_transposed(
    local REAL *panels, int width, global const REAL *weight, int window, int lanes,
    local const int *shifts, int steps
) {
    NEAR(lane, lanes, LANES_OF(width)) {
        FAR(step, steps, 1, DEPTH, LANES_OF(width)) {
            global const REAL *from = weight + shifts[step] + lane * window;
            local REAL *to = panels + place(lane, step, width);
#if LANES == 1
            *to = lane < lanes && step < steps ? *from : 0;
#else
            if (window == 1 && lane + LANES <= lanes) {
                STORE(LOAD(from), to);
            } else {
                const int count = min(LANES, lanes - lane);
                for (int i = 0; i < count; i++) to[i] = from[i * window];
            }
#endif
        }
    }
}

// dx[n, c, pixel] = sum of weight[o, c, u, v] dy[n, o, i, j] over all (o, u, v) and (i, j) that
// read the pixel. A gather: with a stride, pixels fall into stride_y stride_x phases which
// different taps read, and each is a product of its own.
//
//   dy      [N, O, H', W']
//   weight  [O, C / groups, kh, kw]
//   dx      [parts, N, C, H, W]
//   parts   the inner axis, O / groups kh kw / (stride_y stride_x) or about that, is cut into this
//           many parts, as in gemm.cl
//
// Global size: panel.cl's, rows C / groups, columns N ceil(H / stride_y) ceil(W / stride_x),
// third axis groups * stride_y * stride_x * parts.
TILE_KERNEL void conv_input_gradient(
    global const REAL *dy, global const REAL *weight, global REAL *dx, Geometry g, int parts
) {
    TILE_MEMORY;
    POSITIONS(pixels);
    TAPS(taps);
    local int of_weight[DEPTH];
    // (group, phase row, phase column, part)
    int of = get_global_id(2);
    const int part = of % parts;
    of /= parts;
    const int first_x = of % g.stride_x;
    of /= g.stride_x;
    const int first_y = of % g.stride_y;
    const int group = of / g.stride_y;
    const int grid_height = (g.height - first_y + g.stride_y - 1) / g.stride_y;
    const int grid_width = (g.width - first_x + g.stride_x - 1) / g.stride_x;
    const int len = max(grid_height, 0) * max(grid_width, 0);
    const int channels = g.channels / g.groups, outputs = g.outputs / g.groups;
    const int row = TILE_ROW, column = TILE_COLUMN;
    const int rows = min(TILE_ROWS, channels - row);
    const int columns = min(TILE_COLUMNS, g.batch * len - column);
    if (columns <= 0) return;
    const int window = g.kernel_height * g.kernel_width, row_len = channels * window;
    const Phase y = phase_of(first_y, g.padding_y, g.stride_y, g.dilation_y, g.kernel_height);
    const Phase x = phase_of(first_x, g.padding_x, g.stride_x, g.dilation_x, g.kernel_width);
    const int positions = g.output_height * g.output_width;
    const ulong output_len = (ulong)g.outputs * positions;
    const ulong first_output = (ulong)group * outputs * positions;
    const Window w = {
        dy + first_output, g.batch * output_len - first_output, output_len,
        g.output_height, g.output_width, grid_height, grid_width, 1, 1,
        y.count, x.count, y.output, x.output, y.output_step, x.output_step,
    };
    weight += (ulong)group * outputs * row_len + row * window;

    find_positions(&pixels, &w, column, columns);
    clear(sums, rows);
    const int phase_window = y.count * x.count, depth = outputs * phase_window;
    const int first = part * part_len(depth, parts);
    const int end = min(depth, first + part_len(depth, parts));
    for (int step = first; step < end; step += DEPTH) {
        const int steps = min(DEPTH, end - step);
        find_taps(&taps, &w, step, steps);
        for (int at = worker(); at < EXTENT(steps, DEPTH); at += THREADS) {
            const int output = (step + at) / phase_window, tap = (step + at) % phase_window;
            const int u = y.tap + tap / x.count * y.tap_step;
            const int v = x.tap + tap % x.count * x.tap_step;
            of_weight[at] = output * row_len + u * g.kernel_width + v;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        pack_transposed(a_panels, ROW_PANEL, weight, window, rows, of_weight, steps);
        pack_columns(b_panels, COLUMN_PANEL, &w, &pixels, columns, &taps, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(a_panels, b_panels, sums, rows, columns, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int size = g.height * g.width;
    const Target target = {
        dx + ((ulong)part * g.batch * g.channels + group * channels) * size
            + first_y * g.width + first_x,
        channels, g.batch * len, len, size, (ulong)g.channels * size,
        grid_width, g.stride_y * g.width, g.stride_x, false,
    };
    write_tile(&target, row, column, sums);
}
