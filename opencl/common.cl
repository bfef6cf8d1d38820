// Stands before every other file of this folder.
//
// Numbers are read LANES at a time: as vectors by a processor, alone by a work-item of a graphics
// card. What is summed up is summed in GROUP x LANES interleaved sums, which are then halved until
// one is left: the order depends on sizes and options alone.
//
// Build options
//   -D REAL=float | double    the type of all numbers (default float)
//   -D VARIANT_VECTOR         for processors; otherwise, or with -D VARIANT_LOCAL, for graphics
//                             cards
//   -D LANES=2 | 4 | 8 | 16   numbers of a vector with VARIANT_VECTOR: what a register of the
//                             processor holds (default 16, or 8 if REAL is double)
//   -D GROUP=...              work-items of a group that sums up, a power of two (default 1 with
//                             VARIANT_VECTOR, else 128)

#ifndef REAL
#define REAL float
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

// Whether REAL is double, in a form that the preprocessor can ask.
#define DOUBLE_float 0
#define DOUBLE_double 1
#define IS_DOUBLE JOIN(DOUBLE_, REAL)

#if IS_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

#ifndef VARIANT_VECTOR
#undef LANES
#define LANES 1
#elif !defined(LANES)
#if IS_DOUBLE
#define LANES 8
#else
#define LANES 16
#endif
#endif

#ifndef GROUP
#ifdef VARIANT_VECTOR
#define GROUP 1
#else
#define GROUP 128
#endif
#endif

// Not to be left to the compiler where arrays go in and out: a call would put them into memory.
#define INLINE static inline __attribute__((always_inline))

#if LANES == 1
typedef REAL Vector;
typedef int Integers;
#define LOAD(pointer) (*(pointer))
#define STORE(vector, pointer) (*(pointer) = (vector))
#define LOAD_INTEGERS(pointer) (*(pointer))
#define MASK(integers) (integers)
#else
typedef JOIN(REAL, LANES) Vector;
typedef JOIN(int, LANES) Integers;
#define LOAD(pointer) JOIN(vload, LANES)(0, pointer)
#define STORE(vector, pointer) JOIN(vstore, LANES)(vector, 0, pointer)
#define LOAD_INTEGERS(pointer) JOIN(vload, LANES)(0, pointer)
// A condition on vectors is of the numbers' size.
#if IS_DOUBLE
#define MASK(integers) JOIN(convert_long, LANES)(integers)
#else
#define MASK(integers) (integers)
#endif
#endif

// The run of LANES values that is a work-item's, of `count` values: where it begins, and how many
// of its values there are. Every work-item beyond the last run is done.
#define RUN(begin, there, count)                          \
    const ulong begin = get_global_id(0) * LANES;         \
    if (begin >= (count)) return;                         \
    const int there = min((ulong)LANES, (count) - begin)

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

// Writes LANES values, or as many as there are.
static inline void store_some(Vector values, global REAL *to, long there) {
#if LANES > 1
    if (there < LANES) {
        REAL lanes[LANES];
        STORE(values, lanes);
        for (int i = 0; i < there; i++) to[i] = lanes[i];
        return;
    }
#endif
    STORE(values, to);
}

// The values, and zero instead of those that are not there.
static inline Vector only(Vector values, long there) {
#if LANES > 1
    if (there < LANES) {
        REAL lanes[LANES];
        STORE(values, lanes);
        for (int i = max(0L, there); i < LANES; i++) lanes[i] = 0;
        return LOAD(lanes);
    }
#endif
    return values;
}

// What a group shares to sum up.
#define GROUP_KERNEL kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
#define GROUP_MEMORY local REAL shared[GROUP]

// Goes over the runs of a row of `len` values that are this work-item's.
#define EACH_RUN(at, len) \
    for (long at = get_local_id(0) * LANES; at < (long)(len); at += GROUP * LANES)

// The sum, or the largest, of the lanes of all work-items of a group; each is told.
#define OF_GROUP(name, OPERATION)                                                     \
    static inline REAL name(Vector vector, local REAL *shared) {                             \
        REAL lanes[LANES];                                                            \
        STORE(vector, lanes);                                                         \
        for (int width = LANES / 2; width > 0; width /= 2) {                          \
            for (int i = 0; i < width; i++) {                                         \
                lanes[i] = OPERATION(lanes[i], lanes[i + width]);                     \
            }                                                                         \
        }                                                                             \
        if (GROUP == 1) return lanes[0];                                              \
        const int i = get_local_id(0);                                                \
        shared[i] = lanes[0];                                                         \
        barrier(CLK_LOCAL_MEM_FENCE);                                                 \
        for (int width = GROUP / 2; width > 0; width /= 2) {                          \
            if (i < width) shared[i] = OPERATION(shared[i], shared[i + width]);       \
            barrier(CLK_LOCAL_MEM_FENCE);                                             \
        }                                                                             \
        const REAL result = shared[0];                                                \
        barrier(CLK_LOCAL_MEM_FENCE);                                                 \
        return result;                                                                \
    }
#define ADD(a, b) ((a) + (b))
OF_GROUP(group_sum, ADD)
OF_GROUP(group_largest, fmax)

// All sizes of a convolution or pooling; an argument by value, sixteen ints one after the other.
typedef struct {
    int batch, channels, height, width;
    int outputs, kernel_height, kernel_width;
    int output_height, output_width;
    int stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int groups;
} Geometry;
