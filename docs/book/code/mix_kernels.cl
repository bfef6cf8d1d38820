// The parts of opencl/common.cl and opencl/aggregate.cl that the book shows; a test compares them.

// ANCHOR: run
// The run of LANES values that is a work-item's, of `count` values: where it begins, and how many
// of its values there are. Every work-item beyond the last run is done.
#define RUN(begin, there, count)                          \
    const ulong begin = get_global_id(0) * LANES;         \
    if (begin >= (count)) return;                         \
    const int there = min((ulong)LANES, (count) - begin)
// ANCHOR_END: run

// ANCHOR: load
// LANES values, filled up with `rest` where there are fewer.
static inline Vector load_some(global const REAL *from, long there, REAL rest) {
#if LANES > 1
    if (there < LANES) {
        REAL lanes[LANES];
        for (int i = 0; i < LANES; i++) lanes[i] = i < there ? from[i] : rest;
        return LOAD(lanes);
    }
#endif
    return LOAD(from);
}
// ANCHOR_END: load

// ANCHOR: signature
kernel void mix_kernels(
    global const REAL *weights, uint2 weight_strides, global const REAL *values, global REAL *out,
    int rows, int terms, ulong len, int add
) {
// ANCHOR_END: signature
// ANCHOR: body
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
// ANCHOR_END: body
