// Convolution with 3x3 taps by a quarter of the multiplications, F(4x4, 3x3)
// (src/kernel/winograd). Compiled with common.cl before it.
//
//   y = A^T [ (G g G^T) (B^T d B) ] A      for a tile of 4x4 outputs, which sees 6x6 pixels
//
// For each of the 36 places of a transform, the sum over channels is a matrix product. With
// stride and dilation 1 and a padding of 2 at most:
//
//   forward           U = kernels_to_places(weight), V = pixels_to_places(x),
//                     M = U V by gemm,               y = places_to_outputs(M)
//   input gradient    the same of dy, with the kernels transposed and a padding of 2 - padding
//   kernel gradient   V = pixels_to_places(x), S = outputs_to_places(dy),
//                     D = S V^T by gemm,             dw = places_to_kernels(D)
//
//   U, D  [groups, 36, rows, depth]       of a group's kernels: O / groups x C / groups
//   V, S  [groups, 36, channels, tiles]   of a group's channels
//   M     [groups, 36, rows, tiles]
//
// so that the products are batches of 36 groups. Tiles of all samples stand side by side,
// `tiles` = N ceil(H' / 4) ceil(W' / 4), by the outputs H' x W'.
//
// Global sizes are of runs of LANES. Groups are of any size, but of [1, 1, 1] with
// VARIANT_VECTOR: a driver on a processor keeps the tiles of a whole group on the stack.

#define OUT 4
#define IN 6
#define PLACES (IN * IN)

#ifdef VARIANT_VECTOR
#define WINOGRAD_KERNEL kernel __attribute__((reqd_work_group_size(1, 1, 1)))
#else
#define WINOGRAD_KERNEL kernel
#endif

// B^T, G and A^T.
constant REAL PIXELS[IN][IN] = {
    {4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
    {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1},
};
constant REAL TAPS[IN][3] = {
    {(REAL)1 / 4, 0, 0},
    {-(REAL)1 / 6, -(REAL)1 / 6, -(REAL)1 / 6},
    {-(REAL)1 / 6, (REAL)1 / 6, -(REAL)1 / 6},
    {(REAL)1 / 24, (REAL)1 / 12, (REAL)1 / 6},
    {(REAL)1 / 24, -(REAL)1 / 12, (REAL)1 / 6},
    {0, 0, 1},
};
constant REAL OUTPUTS[OUT][IN] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1},
};

// to [R][R] = M from [C][C] M^T, for LANES tiles at once, where FACTOR is the number of M at row
// i and column k. All loops are of constant lengths, so that no zero is multiplied.
#define TRANSFORM(name, R, C, FACTOR)                                                 \
    static inline void name(const Vector *from, Vector *to) {                                \
        Vector middle[R][C];                                                            \
        EACH(i, R) EACH(j, C) {                                                       \
            middle[i][j] = 0;                                                           \
            EACH(k, C) if (FACTOR != 0) middle[i][j] += FACTOR * from[k * C + j];       \
        }                                                                             \
        EACH(j, R) EACH(i, R) {                                                       \
            Vector sum = 0;                                                           \
            EACH(k, C) if (FACTOR != 0) sum += FACTOR * middle[j][k];                   \
            to[j * R + i] = sum;                                                      \
        }                                                                             \
    }
#define EACH(i, count) _Pragma("unroll") for (int i = 0; i < count; i++)
TRANSFORM(transform_pixels, IN, IN, PIXELS[i][k])
TRANSFORM(transform_taps, IN, 3, TAPS[i][k])
TRANSFORM(transform_places, OUT, IN, OUTPUTS[i][k])
TRANSFORM(spread_outputs, IN, OUT, OUTPUTS[k][i])
TRANSFORM(gather_taps, 3, IN, TAPS[k][i])

// The tiles of some images of one size; an argument by value, nine ints one after the other.
typedef struct {
    int samples;
    // Of all groups.
    int channels, groups;
    // Of what the tiles see, and of the outputs.
    int height, width, output_height, output_width;
    // Rows and columns of zeros before the first pixel.
    int padding_y, padding_x;
} Tiles;

static inline int across(const Tiles *t) {
    return (t->output_width + OUT - 1) / OUT;
}

static inline int of_sample(const Tiles *t) {
    return (t->output_height + OUT - 1) / OUT * across(t);
}

// Reads LANES tiles of side x side numbers, which begin `padding` before the image, as
// [side][side] vectors; zero outside of the image.
static inline void read_tiles(
    const Tiles *t, global const REAL *images, int channel, int first, int there, const int side,
    int padding_y, int padding_x, Vector *tile
) {
    REAL lanes[PLACES][LANES];
    for (int lane = 0; lane < LANES; lane++) {
        const int at = first + min(lane, there - 1);
        const int sample = at / of_sample(t), of = at % of_sample(t);
        const int top = of / across(t) * OUT - padding_y, left = of % across(t) * OUT - padding_x;
        global const REAL *image =
            images + ((size_t)sample * t->channels + channel) * t->height * t->width;
        const bool inside = top >= 0 && left >= 0 && top + side <= t->height
            && left + side <= t->width;
        for (int i = 0; i < side; i++) {
            const int row = top + i;
            global const REAL *line = image + row * t->width + left;
            const bool has_row = row >= 0 && row < t->height;
            if (inside) {
                EACH(j, IN) if (j < side) lanes[i * side + j][lane] = line[j];
            } else {
                for (int j = 0; j < side; j++) {
                    const bool has = has_row && left + j >= 0 && left + j < t->width;
                    lanes[i * side + j][lane] = has ? line[j] : 0;
                }
            }
        }
    }
    for (int i = 0; i < side * side; i++) tile[i] = LOAD(lanes[i]);
}

// Writes the places of LANES tiles of a channel to [groups, 36, channels, tiles].
static inline void write_places(
    const Tiles *t, const Vector *places, global REAL *to, int channel, int first, int there,
    ulong tiles
) {
    const int channels = t->channels / t->groups;
    to += ((ulong)(channel / channels) * PLACES * channels + channel % channels) * tiles + first;
    for (int i = 0; i < PLACES; i++) store_some(places[i], to + i * channels * tiles, there);
}

// V = B^T d B, of images [N, C, H, W]. Global size: [ceil(tiles / LANES), C].
WINOGRAD_KERNEL void pixels_to_places(global const REAL *images, global REAL *places, Tiles t) {
    const ulong tiles = (ulong)t.samples * of_sample(&t);
    RUN(first, there, tiles);
    const int channel = get_global_id(1);
    Vector tile[PLACES], found[PLACES];
    read_tiles(&t, images, channel, first, there, IN, t.padding_y, t.padding_x, tile);
    transform_pixels(tile, found);
    write_places(&t, found, places, channel, first, there, tiles);
}

// S = A dy A^T, of dy [N, O, H', W']; here height and width are H' and W' as well, and channels
// O. Global size: [ceil(tiles / LANES), O].
WINOGRAD_KERNEL void outputs_to_places(global const REAL *dy, global REAL *places, Tiles t) {
    const ulong tiles = (ulong)t.samples * of_sample(&t);
    RUN(first, there, tiles);
    const int channel = get_global_id(1);
    Vector tile[PLACES], found[PLACES];
    read_tiles(&t, dy, channel, first, there, OUT, 0, 0, tile);
    spread_outputs(tile, found);
    write_places(&t, found, places, channel, first, there, tiles);
}

// U = G g G^T, of weight [O, C / groups, 3, 3]: [groups, 36, rows, depth] with rows = O / groups
// and depth = C / groups, or transposed (1), for the input gradient, with rows and depth exchanged
// and the taps in reverse. Global size: [ceil(depth / LANES), rows, groups].
WINOGRAD_KERNEL void kernels_to_places(
    global const REAL *weight, global REAL *places, int rows, int depth, int transposed
) {
    RUN(first, there, (ulong)depth);
    const ulong row = get_global_id(1), group = get_global_id(2);
    REAL lanes[9][LANES];
    for (int lane = 0; lane < LANES; lane++) {
        const ulong at = first + min(lane, there - 1);
        const ulong kernel_at = transposed ? (group * depth + at) * rows + row
                                       : (group * rows + row) * depth + at;
        for (int tap = 0; tap < 9; tap++) {
            lanes[tap][lane] = weight[kernel_at * 9 + (transposed ? 8 - tap : tap)];
        }
    }
    Vector taps[9], found[PLACES];
    for (int tap = 0; tap < 9; tap++) taps[tap] = LOAD(lanes[tap]);
    transform_taps(taps, found);
    places += (group * PLACES * rows + row) * depth + first;
    for (int i = 0; i < PLACES; i++) {
        store_some(found[i], places + (ulong)i * rows * depth, there);
    }
}

// y [N, channels, H', W'] = A^T M A, of M [groups, 36, channels / groups, tiles].
// Global size: [ceil(tiles / LANES), channels].
WINOGRAD_KERNEL void places_to_outputs(global const REAL *places, global REAL *y, Tiles t) {
    const ulong tiles = (ulong)t.samples * of_sample(&t);
    RUN(first, there, tiles);
    const int channel = get_global_id(1), channels = t.channels / t.groups;
    const ulong group = channel / channels;
    places += (group * PLACES * channels + channel % channels) * tiles + first;
    Vector place[PLACES], found[OUT * OUT];
    EACH(i, PLACES) place[i] = load_some(places + i * channels * tiles, there, 0);
    transform_places(place, found);
    REAL lanes[OUT * OUT][LANES];
    EACH(i, OUT * OUT) STORE(found[i], lanes[i]);
    for (int lane = 0; lane < there; lane++) {
        const int sample = (first + lane) / of_sample(&t), of = (first + lane) % of_sample(&t);
        const int top = of / across(&t) * OUT, left = of % across(&t) * OUT;
        const int rows = min(OUT, t.output_height - top);
        const int columns = min(OUT, t.output_width - left);
        global REAL *to = y
            + (((size_t)sample * t.channels + channel) * t.output_height + top) * t.output_width
            + left;
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                to[i * t.output_width + j] = lanes[i * OUT + j][lane];
            }
        }
    }
}

// dw [O, C / groups, 3, 3] = G^T D G, of D [groups, 36, rows, depth], rows = O / groups and
// depth = C / groups. Global size: [ceil(depth / LANES), rows, groups].
WINOGRAD_KERNEL void places_to_kernels(
    global const REAL *places, global REAL *dw, int rows, int depth
) {
    RUN(first, there, (ulong)depth);
    const ulong row = get_global_id(1), group = get_global_id(2);
    places += (group * PLACES * rows + row) * depth + first;
    Vector place[PLACES], found[9];
    EACH(i, PLACES) place[i] = load_some(places + (ulong)i * rows * depth, there, 0);
    gather_taps(place, found);
    REAL lanes[9][LANES];
    EACH(tap, 9) STORE(found[tap], lanes[tap]);
    dw += ((group * rows + row) * depth + first) * 9;
    for (int lane = 0; lane < there; lane++) {
        for (int tap = 0; tap < 9; tap++) dw[lane * 9 + tap] = lanes[tap][lane];
    }
}
