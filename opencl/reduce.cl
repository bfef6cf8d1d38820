// Sums in a fixed order, and what is made of them. Compiled with common.cl before it.
//
// Where the global size is "a group for each row", it is [GROUP rows], in groups of GROUP.

// y[row, part] = factor sum_k x[row, k] over one part of the row, for x [rows, len]. The sum of all
// is that of one row; means take factor = 1 / len. Rows are cut into parts that are `part` values
// long but for the last; where there are several, they are rows to sum up in turn.
// Global size: [GROUP parts, rows], in groups of [GROUP, 1].
GROUP_KERNEL void row_sums(
    global const REAL *x, REAL factor, global REAL *y, ulong len, ulong part
) {
    GROUP_MEMORY;
    const ulong row = get_global_id(1), first = get_group_id(0) * part;
    x += row * len + first;
    const long there = min((long)part, (long)len - (long)first);
    Vector lanes = 0;
    EACH_RUN(i, there) lanes += load_some(x + i, there - i, 0);
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) y[row * get_num_groups(0) + get_group_id(0)] = factor * sum;
}

// y[row, part] = <a[row / share], b[row]> over one part of the row, where each row of a
// [rows / share, len] stands against `share` rows of b [rows, len]. Rows are cut into `parts`
// that are `part` values long but for the last; row_sums adds them up.
// Global size: [GROUP parts, rows], in groups of [GROUP, 1].
GROUP_KERNEL void row_dots(
    global const REAL *a, global const REAL *b, global REAL *y, ulong len, ulong part, int share
) {
    GROUP_MEMORY;
    const ulong row = get_global_id(1), first = get_group_id(0) * part;
    a += row / share * len + first;
    b += row * len + first;
    const long there = min((long)part, (long)len - (long)first);
    Vector lanes = 0;
    EACH_RUN(i, there) lanes += load_some(a + i, there - i, 0) * load_some(b + i, there - i, 0);
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) y[row * get_num_groups(0) + get_group_id(0)] = sum;
}

// y[n, i, part] = <a[n], b[i]> over one part of the rows, for all rows of a [rows, len] with all of
// b [terms, len]: a product of few rows, which are long. Rows are cut into parts that are `part`
// values long but for the last; row_sums adds them up. Blocks of rows are summed up at once, so
// that each is read a few times only. Global size: [GROUP parts, ceil(rows / BLOCK)], in groups of
// [GROUP, 1].
// reduce.rs counts in blocks too.
#define BLOCK 4
#define OF_BLOCK(i) _Pragma("unroll") for (int i = 0; i < BLOCK; i++)
GROUP_KERNEL void all_dots(
    global const REAL *a, global const REAL *b, global REAL *y, ulong len, ulong part, int rows,
    int terms
) {
    GROUP_MEMORY;
    const int first_row = get_global_id(1) * BLOCK;
    const ulong first = get_group_id(0) * part, parts = get_num_groups(0);
    const long there = min((long)part, (long)len - (long)first);
    for (int first_term = 0; first_term < terms; first_term += BLOCK) {
        // Instead of rows that are not there, the last one again.
        global const REAL *of_a[BLOCK], *of_b[BLOCK];
        Vector sums[BLOCK][BLOCK];
        OF_BLOCK(i) {
            of_a[i] = a + min(first_row + i, rows - 1) * len + first;
            of_b[i] = b + min(first_term + i, terms - 1) * len + first;
            OF_BLOCK(j) sums[i][j] = 0;
        }
        EACH_RUN(k, there) {
            Vector row[BLOCK], term[BLOCK];
            OF_BLOCK(i) row[i] = load_some(of_a[i] + k, there - k, 0);
            OF_BLOCK(i) term[i] = load_some(of_b[i] + k, there - k, 0);
            OF_BLOCK(i) OF_BLOCK(j) sums[i][j] += row[i] * term[j];
        }
        OF_BLOCK(i) OF_BLOCK(j) {
            const REAL sum = group_sum(sums[i][j], shared);
            const int n = first_row + i, of = first_term + j;
            if (get_local_id(0) == 0 && n < rows && of < terms) {
                y[((ulong)n * terms + of) * parts + get_group_id(0)] = sum;
            }
        }
    }
}

// y[m, k] = factor sum_row x[m, row, k], for matrices x [rows, columns], row after row.
// Global size: [ceil(columns / LANES), matrices].
kernel void column_sums(
    global const REAL *x, REAL factor, global REAL *y, ulong rows, ulong columns
) {
    RUN(i, there, columns);
    const ulong matrix = get_global_id(1);
    x += matrix * rows * columns;
    y += matrix * columns;
    Vector sum = 0;
    for (ulong row = 0; row < rows; row++) {
        sum += factor * load_some(x + row * columns + i, there, 0);
    }
    store_some(sum, y + i, there);
}

// c = sum over the parts of a product (panel.cl), or c += it.
//
//   sums   [parts, count]
//   c      [count]
//   add    1 to add to c, else 0
//
// Global size: count.
kernel void sum_of_parts(global const REAL *sums, global REAL *c, ulong count, int parts, int add) {
    const size_t i = get_global_id(0);
    if (i >= count) return;
    REAL sum = add ? c[i] : 0;
    for (int part = 0; part < parts; part++) sum += sums[part * count + i];
    c[i] = sum;
}

// y[row, part] = sum (a - b)^2 over one part of the row; with one row and row_sums, the squared
// error. Sizes as in row_dots.
GROUP_KERNEL void squared_distances(
    global const REAL *a, global const REAL *b, global REAL *y, ulong len, ulong part
) {
    GROUP_MEMORY;
    const ulong row = get_global_id(1), first = get_group_id(0) * part;
    a += row * len + first;
    b += row * len + first;
    const long there = min((long)part, (long)len - (long)first);
    Vector lanes = 0;
    EACH_RUN(i, there) {
        const Vector d = load_some(a + i, there - i, 0) - load_some(b + i, there - i, 0);
        lanes += d * d;
    }
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) y[row * get_num_groups(0) + get_group_id(0)] = sum;
}

// y[first + part] = sum x^2 over one part of x [len], in parts that are `part` values long but for
// the last. Global size: [GROUP parts], in groups of [GROUP].
GROUP_KERNEL void squares(
    global const REAL *x, global REAL *y, ulong len, ulong part, ulong first
) {
    GROUP_MEMORY;
    const ulong begin = get_group_id(0) * part;
    x += begin;
    const long there = min((long)part, (long)len - (long)begin);
    Vector lanes = 0;
    EACH_RUN(i, there) {
        const Vector value = load_some(x + i, there - i, 0);
        lanes += value * value;
    }
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) y[first + get_group_id(0)] = sum;
}

// The largest of a row; NaN is not compared, as in fmax.
static inline REAL largest_of(global const REAL *x, int len, local REAL *shared) {
    Vector lanes = -INFINITY;
    EACH_RUN(i, len) lanes = fmax(lanes, load_some(x + i, len - i, -INFINITY));
    return group_largest(lanes, shared);
}

// The sum of exp(x - largest) over a row.
static inline REAL sum_of_exponentials(
    global const REAL *x, REAL largest, int len, local REAL *shared
) {
    Vector lanes = 0;
    EACH_RUN(i, len) lanes += only(exp(load_some(x + i, len - i, 0) - largest), len - i);
    return group_sum(lanes, shared);
}

// y[row, k] = exp(x[row, k] - largest) / sum_j exp(x[row, j] - largest), for x [rows, len]; y may
// be x. A group for each row.
GROUP_KERNEL void softmax(global const REAL *x, global REAL *y, int len) {
    GROUP_MEMORY;
    x += get_group_id(0) * (ulong)len;
    y += get_group_id(0) * (ulong)len;
    const REAL largest = largest_of(x, len, shared);
    const REAL sum = sum_of_exponentials(x, largest, len, shared);
    EACH_RUN(i, len) {
        store_some(exp(load_some(x + i, len - i, 0) - largest) / sum, y + i, len - i);
    }
}

// dx = y (dy - <dy, y>), row by row, for y [rows, len] of a softmax; dx may be dy.
// A group for each row.
GROUP_KERNEL void softmax_gradient(
    global const REAL *dy, global const REAL *y, global REAL *dx, int len
) {
    GROUP_MEMORY;
    const ulong first = get_group_id(0) * (ulong)len;
    dy += first;
    y += first;
    dx += first;
    Vector lanes = 0;
    EACH_RUN(i, len) lanes += load_some(dy + i, len - i, 0) * load_some(y + i, len - i, 0);
    const REAL mean = group_sum(lanes, shared);
    EACH_RUN(i, len) {
        const Vector d = load_some(dy + i, len - i, 0);
        store_some(load_some(y + i, len - i, 0) * (d - mean), dx + i, len - i);
    }
}

// y[row, k] = x[row, k] - log sum_j exp(x[row, j]), for x [rows, len]; y may be x. A group for each
// row.
GROUP_KERNEL void log_softmax(global const REAL *x, global REAL *y, int len) {
    GROUP_MEMORY;
    x += get_group_id(0) * (ulong)len;
    y += get_group_id(0) * (ulong)len;
    const REAL largest = largest_of(x, len, shared);
    const REAL log_sum = log(sum_of_exponentials(x, largest, len, shared));
    // Differences to the largest first: they are small where values are large.
    EACH_RUN(i, len) {
        store_some((load_some(x + i, len - i, 0) - largest) - log_sum, y + i, len - i);
    }
}

// dx = dy - exp(y) sum(dy), row by row, for y [rows, len] of a log_softmax; dx may be dy.
// A group for each row.
GROUP_KERNEL void log_softmax_gradient(
    global const REAL *dy, global const REAL *y, global REAL *dx, int len
) {
    GROUP_MEMORY;
    const ulong first = get_group_id(0) * (ulong)len;
    dy += first;
    y += first;
    dx += first;
    Vector lanes = 0;
    EACH_RUN(i, len) lanes += load_some(dy + i, len - i, 0);
    const REAL sum = group_sum(lanes, shared);
    EACH_RUN(i, len) {
        const Vector share = exp(load_some(y + i, len - i, 0));
        store_some(load_some(dy + i, len - i, 0) - share * sum, dx + i, len - i);
    }
}

// y[row] = factor sum_k h(a[row, k] - b[row, k]), for a and b [rows, len], with h(d) = d^2 / 2 where
// |d| is at most delta, else delta (|d| - delta / 2). A group for each row.
GROUP_KERNEL void huber(
    global const REAL *a, global const REAL *b, REAL delta, REAL factor, global REAL *y, int len
) {
    GROUP_MEMORY;
    a += get_group_id(0) * (ulong)len;
    b += get_group_id(0) * (ulong)len;
    Vector lanes = 0;
    EACH_RUN(i, len) {
        const Vector d = fabs(load_some(a + i, len - i, 0) - load_some(b + i, len - i, 0));
        // One form for both pieces: where d is small, `near` is d.
        const Vector near = fmin(d, delta);
        lanes += near * (d - near / 2);
    }
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) y[get_group_id(0)] = factor * sum;
}

// loss[n] = -sum_k q[n, k] log softmax(x[n])[k], with q = kept for the label and spread for each
// class, for logits x [N, classes] and labels [N]. The mean is row_sums's. A group for each row.
GROUP_KERNEL void cross_entropy(
    global const REAL *x, global const uint *labels, REAL kept, REAL spread, global REAL *loss,
    int classes
) {
    GROUP_MEMORY;
    const size_t n = get_group_id(0);
    x += n * classes;
    const REAL largest = largest_of(x, classes, shared);
    const REAL log_sum = log(sum_of_exponentials(x, largest, classes, shared));
    // Differences to the largest first: they are small where the scores are large.
    REAL sum = kept * (log_sum - (x[labels[n]] - largest));
    // An excluded class (minus infinity) is no fault while nothing is spread to it.
    if (spread > 0) {
        Vector lanes = 0;
        EACH_RUN(i, classes) {
            const Vector surprise = log_sum - (load_some(x + i, classes - i, 0) - largest);
            lanes += only(surprise, classes - i);
        }
        sum += spread * group_sum(lanes, shared);
    }
    if (get_local_id(0) == 0) loss[n] = sum;
}

// dx[n, k] = scale (softmax(x[n])[k] - q[n, k]), for the targets q of cross_entropy; dx may be x.
// A group for each row.
GROUP_KERNEL void cross_entropy_gradient(
    global const REAL *x, global const uint *labels, REAL kept, REAL spread, REAL scale,
    global REAL *dx, int classes
) {
    GROUP_MEMORY;
    const size_t n = get_group_id(0);
    x += n * classes;
    dx += n * classes;
    const REAL largest = largest_of(x, classes, shared);
    const REAL sum = sum_of_exponentials(x, largest, classes, shared);
    const REAL of_label = exp(x[labels[n]] - largest) / sum - kept;
    barrier(CLK_GLOBAL_MEM_FENCE);
    EACH_RUN(i, classes) {
        const Vector y = exp(load_some(x + i, classes - i, 0) - largest) / sum;
        store_some((y - spread) * scale, dx + i, classes - i);
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
    if (get_local_id(0) == 0) dx[labels[n]] = (of_label - spread) * scale;
}
