// Batch normalisation of [N, C, L], L = H W, per channel (src/kernel/norm.rs). Compiled with
// common.cl before it.
//
// Sums are taken plane by plane, and then, channel by channel, over the samples in their order.
// Where the global size is "a group for each plane", it is [GROUP N C], in groups of GROUP; where
// it is "runs of planes", it is [ceil(len / LANES), N C], in groups of any size.

// mean[n, c] of a plane, and squares[n, c], the sum of the squares of what deviates from it.
// A group for each plane.
GROUP_KERNEL void plane_moments(
    global const REAL *x, global REAL *mean, global REAL *squares, int len
) {
    GROUP_MEMORY;
    const size_t plane = get_group_id(0);
    x += plane * len;
    Vector lanes = 0;
    EACH_RUN(i, len) lanes += load_some(x + i, len - i, 0);
    const REAL of_plane = group_sum(lanes, shared) / len;
    lanes = 0;
    EACH_RUN(i, len) {
        const Vector deviation = load_some(x + i, len - i, of_plane) - of_plane;
        lanes += deviation * deviation;
    }
    const REAL sum = group_sum(lanes, shared);
    if (get_local_id(0) == 0) {
        mean[plane] = of_plane;
        squares[plane] = sum;
    }
}

// mean [C] and (biased) variance [C] of what plane_moments found. As all planes are of one
// length, what Chan et al. (1983) add to their squares is that of their means. Global size: C.
kernel void moments(
    global const REAL *plane_mean, global const REAL *squares, global REAL *mean,
    global REAL *variance, int batch, int channels, int len
) {
    const int c = get_global_id(0);
    if (c >= channels) return;
    const REAL count = (REAL)batch * len;
    REAL of_channel = 0, sum = 0;
    for (int n = 0; n < batch; n++) of_channel += plane_mean[(size_t)n * channels + c] / batch;
    for (int n = 0; n < batch; n++) {
        const size_t plane = (size_t)n * channels + c;
        const REAL apart = plane_mean[plane] - of_channel;
        sum += (squares[plane] + len * apart * apart) / count;
    }
    mean[c] = of_channel;
    variance[c] = sum;
}

// inverse[c] = 1 / sqrt(variance[c] + epsilon). Global size: C.
kernel void inverse_std(
    global const REAL *variance, REAL epsilon, global REAL *inverse, int channels
) {
    const int c = get_global_id(0);
    if (c < channels) inverse[c] = 1 / sqrt(variance[c] + epsilon);
}

// What follows on the norm in the same pass.
enum Then { NOTHING, RELU, ADD_RELU, RELU6 };

// y = (x - mean) inverse weight + bias, and what follows on it: nothing (0), relu (1),
// relu(.. + residual) (2), or relu6 (3). The constants are [C], the residual is of the shape of x, and any
// buffer where there is none. NaN stays NaN. Runs of planes.
kernel void normalise(
    global const REAL *x, global const REAL *mean, global const REAL *inverse,
    global const REAL *weight, global const REAL *bias, int then, global const REAL *residual,
    global REAL *y, int channels, int len
) {
    RUN(i, there, (ulong)len);
    const size_t at = get_global_id(1) * len + i;
    const int c = get_global_id(1) % channels;
    Vector value = (load_some(x + at, there, 0) - mean[c]) * (weight[c] * inverse[c]) + bias[c];
    if (then == ADD_RELU) value += load_some(residual + at, there, 0);
    if (then != NOTHING) value = value < 0 ? (Vector)(0) : value;
    if (then == RELU6) value = value > 6 ? (Vector)(6) : value;
    store_some(value, y + at, there);
}

// sums[n, c] of dy over a plane, and moments[n, c] of dy (x - mean[c]); reduce.cl's column_sums
// adds up the samples. A group for each plane.
GROUP_KERNEL void gradient_sums(
    global const REAL *x, global const REAL *dy, global const REAL *mean, global REAL *sums,
    global REAL *moments, int channels, int len
) {
    GROUP_MEMORY;
    const size_t plane = get_group_id(0);
    const REAL of_channel = mean[plane % channels];
    x += plane * len;
    dy += plane * len;
    Vector of_dy = 0, of_both = 0;
    EACH_RUN(i, len) {
        const Vector d = load_some(dy + i, len - i, 0);
        of_dy += d;
        of_both += d * (load_some(x + i, len - i, of_channel) - of_channel);
    }
    const REAL sum = group_sum(of_dy, shared), moment = group_sum(of_both, shared);
    if (get_local_id(0) == 0) {
        sums[plane] = sum;
        moments[plane] = moment;
    }
}

// gradient_sums behind a rectifier that gave y, and that stops at 6 where `is_six` = 1: what of dy
// does not pass through it is set to zero on the way. A group for each plane.
GROUP_KERNEL void rectified_gradient_sums(
    global const REAL *x, global REAL *dy, int is_six, global const REAL *y,
    global const REAL *mean, global REAL *sums, global REAL *moments, int channels, int len
) {
    GROUP_MEMORY;
    const size_t plane = get_group_id(0);
    const REAL of_channel = mean[plane % channels];
    x += plane * len;
    dy += plane * len;
    y += plane * len;
    Vector of_dy = 0, of_both = 0;
    EACH_RUN(i, len) {
        const Vector all = load_some(dy + i, len - i, 0), value = load_some(y + i, len - i, 0);
        Vector d = value > 0 ? all : (Vector)(0);
        if (is_six) d = value < 6 ? d : (Vector)(0);
        store_some(d, dy + i, len - i);
        of_dy += d;
        of_both += d * (load_some(x + i, len - i, of_channel) - of_channel);
    }
    const REAL sum = group_sum(of_dy, shared), moment = group_sum(of_both, shared);
    if (get_local_id(0) == 0) {
        sums[plane] = sum;
        moments[plane] = moment;
    }
}

// Of the channels' sums [C] and moments [C] of dy: dweight = moment inverse, and b and c of
// input_gradient, which are 0 where mean and variance are constants (frozen = 1).
// `count` = N L. Global size: C.
kernel void gradient_constants(
    global const REAL *sum, global const REAL *moment, global const REAL *inverse,
    global const REAL *weight, global REAL *dweight, global REAL *b, global REAL *c, int channels,
    ulong count, int frozen
) {
    const int i = get_global_id(0);
    if (i >= channels) return;
    const REAL a = weight[i] * inverse[i];
    dweight[i] = moment[i] * inverse[i];
    b[i] = frozen ? 0 : -a * inverse[i] * inverse[i] * moment[i] / count;
    c[i] = frozen ? 0 : -a * sum[i] / count;
}

// dx = weight inverse dy + b (x - mean) + c, the constants [C]; dx may be dy. Runs of planes.
kernel void input_gradient(
    global const REAL *x, global const REAL *dy, global const REAL *mean,
    global const REAL *inverse, global const REAL *weight, global const REAL *b,
    global const REAL *c, global REAL *dx, int channels, int len
) {
    RUN(i, there, (ulong)len);
    const size_t at = get_global_id(1) * len + i;
    const int of = get_global_id(1) % channels;
    const Vector deviation = load_some(x + at, there, 0) - mean[of];
    const Vector d = load_some(dy + at, there, 0);
    store_some(weight[of] * inverse[of] * d + b[of] * deviation + c[of], dx + at, there);
}
