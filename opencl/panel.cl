// Products of packed panels, tile by tile: stands between common.cl and gemm.cl or conv.cl.
//
// As on the processor (src/kernel/panel.rs), a product is cut into tiles of the result, and the
// inner axis into blocks of steps. A work-group owns one tile. Block after block it packs what
// the tile needs of both operands into local memory, in panels: at each step the numbers of
// neighbouring lanes side by side, lanes being rows of the first operand, columns of the second.
//
//               lanes of a panel                      columns
//             +-----------------+             +--------+--------+--
//      step 0 | 0 1 2 3 ...     |             |   b    |   b    |      DEPTH steps at a time
//      step 1 | 0 1 2 3 ...     |        +----+--------+--------+--
//       ...   |                 |   rows | a  |  sum   |  sum   |      TILE_ROWS x TILE_COLUMNS
//             +-----------------+        +----+--------+--------+--
//
// How a tile is multiplied is all that the two variants differ in:
//
//   VARIANT_VECTOR  for processors. A work-group is a single work-item. It goes through the tile
//                   by pieces of 8 rows and 3 vectors, which are summed up in registers, and
//                   panels are as wide as such a piece.
//   VARIANT_LOCAL   for graphics cards. A work-group is of 8 x 8 or 16 x 16 work-items, each with
//                   a part of the sums in its registers; the tile is a single panel.
//
// In both, numbers are read LANES at a time: as a vector in the first, alone in the second.
// The order of every sum depends on the sizes alone.
//
// Build options
//   -D VARIANT_VECTOR or -D VARIANT_LOCAL   (default VARIANT_LOCAL)
//   -D DEPTH=..., TILE_ROWS=..., TILE_COLUMNS=...   the sizes above (default: those below). With
//                   VARIANT_VECTOR, multiples of LANES, rows of 8, columns of 3 LANES; local
//                   memory, or the second-level cache, holds rows x depth + columns x depth +
//                   rows x columns numbers. With VARIANT_LOCAL, rows and columns are multiples of
//                   4 WORKERS; they and DEPTH divide WORKERS^2, and times one another are
//                   multiples of it. src/kernel/opencl/tiles.rs has those that are used
//   -D WORKERS=16 | 8     with VARIANT_LOCAL: work-items of a group along each axis (default 16)
//
// Work sizes of every kernel over tiles
//   local   [WORKERS, WORKERS, 1], with VARIANT_VECTOR 1
//   global  [WORKERS ceil(columns / TILE_COLUMNS), WORKERS ceil(rows / TILE_ROWS), the
//           kernel's own third axis]

#ifdef VARIANT_VECTOR

#undef WORKERS
#define WORKERS 1
// Rows of a piece, and its vectors: 24 registers for sums leave 8 of 32 for operands.
#define PIECE_ROWS 8
#define PIECE_VECTORS 3
#define PAD 0
// All of a tile stays in a second-level cache of 1 MiB, and in as much local memory.
#ifndef DEPTH
#define DEPTH (IS_DOUBLE ? 128 : 256)
#endif
#ifndef TILE_ROWS
#define TILE_ROWS 256
#endif
#ifndef TILE_COLUMNS
#define TILE_COLUMNS 240
#endif
#define ROW_PANEL (LANES > PIECE_ROWS ? LANES : PIECE_ROWS)
#define COLUMN_PANEL (PIECE_VECTORS * LANES)
#define ROW_PANELS (TILE_ROWS * DEPTH)
#define COLUMN_PANELS (TILE_COLUMNS * DEPTH)
#define SUMS (TILE_ROWS * TILE_COLUMNS)
// One work-item may as well keep its sums in local memory.
#define SUM local REAL

#else

#ifndef WORKERS
#define WORKERS 16
#endif
#ifndef DEPTH
#define DEPTH (IS_DOUBLE ? 8 : 16)
#endif
#ifndef TILE_ROWS
#define TILE_ROWS (8 * WORKERS)
#endif
#ifndef TILE_COLUMNS
#define TILE_COLUMNS (8 * WORKERS)
#endif
// The part of a tile that is a work-item's.
#define PIECE_ROWS (TILE_ROWS / WORKERS)
#define PIECE_COLUMNS (TILE_COLUMNS / WORKERS)
// Four more than there are lanes: neighbouring steps are then in other banks of local memory, and
// fours of numbers stay aligned (tiles.rs counts them too).
#define PAD 4
#define ROW_PANEL (TILE_ROWS + PAD)
#define COLUMN_PANEL (TILE_COLUMNS + PAD)
#define ROW_PANELS (ROW_PANEL * DEPTH)
#define COLUMN_PANELS (COLUMN_PANEL * DEPTH)
#define SUMS (PIECE_ROWS * PIECE_COLUMNS)
#define SUM REAL

#endif

#define THREADS (WORKERS * WORKERS)

INLINE int worker(void) {
    return get_local_id(1) * WORKERS + get_local_id(0);
}

// Loops over the two axes of a panel, NEAR around FAR. A single work-item goes over the `count`
// lanes or steps that are there, by runs of LANES or, along an axis of `pace` 1, one by one. Where
// there are many, neighbours take neighbours on the near axis, `near` long, and go over all of the
// far one, `far` long, there or not: all of their loads are known beforehand, and none waits for
// another. EXTENT is how far a table is filled for them: what there is, or all.
#ifdef VARIANT_VECTOR
#define NEAR(i, count, near) for (int i = 0; i < (count); i += LANES)
#define FAR(j, count, pace, far, near) for (int j = 0; j < (count); j += (pace))
#define EXTENT(count, most) (count)
#else
#define NEAR(i, count, near) for (int i = worker() % (near), once = 1; once; once = 0)
#define FAR(j, count, pace, far, near)                                          \
    _Pragma("unroll") for (int round = 0, j = worker() / (near);                \
                           round < (far) * (near) / THREADS;                    \
                           round++, j += THREADS / (near))
#define EXTENT(count, most) (most)
#endif
// Lanes of a single panel of a width.
#define LANES_OF(width) ((width) - PAD)

// Where the tile of a group begins. Not by get_group_id, which begins anew where a launch is cut.
#define TILE_ROW ((int)(get_global_id(1) / WORKERS) * TILE_ROWS)
#define TILE_COLUMN ((int)get_group_id(0) * TILE_COLUMNS)

// A kernel over tiles, and what its work-group shares.
#define TILE_KERNEL kernel __attribute__((reqd_work_group_size(WORKERS, WORKERS, 1)))
#define TILE_MEMORY                                                   \
    local REAL a_panels[ROW_PANELS] __attribute__((aligned(64)));     \
    local REAL b_panels[COLUMN_PANELS] __attribute__((aligned(64)));  \
    SUM sums[SUMS]

// Where the number of a lane stands at a step, in panels of a width.
INLINE int place(int lane, int step, int width) {
    return (lane / width * DEPTH + step) * width + lane % width;
}

// Makes columns of LANES rows. Every round rotates the bits of a number's place, row and column
// written one after the other, by one; after log2(LANES) rounds they have changed places.
INLINE void turn(Vector *rows) {
#if LANES > 1
#pragma unroll
    for (int round = 1; round < LANES; round *= 2) {
        Vector mixed[LANES];
#pragma unroll
        for (int i = 0; i < LANES / 2; i++) {
            const Vector first = rows[i], second = rows[i + LANES / 2];
            mixed[2 * i].even = first.lo;
            mixed[2 * i].odd = second.lo;
            mixed[2 * i + 1].even = first.hi;
            mixed[2 * i + 1].odd = second.hi;
        }
#pragma unroll
        for (int i = 0; i < LANES; i++) rows[i] = mixed[i];
    }
#endif
}

// A matrix of any strides, seen from its first lane and step of a block.
typedef struct {
    global const REAL *values;
    ulong lane_stride, step_stride;
} Matrix;

// Packs the LANES x LANES numbers of a matrix that begin at a lane and a step; `there` says how
// many lanes and steps there are from that place on. Lanes that are not there may be left as they
// are: what they would be multiplied to is not written.
INLINE void pack_block(
    local REAL *to, int width, const Matrix *m, ulong lane, ulong step, int2 there
) {
#if LANES == 1
    // Within a tile 32 bits are enough, of strides below 2^24, and half the registers.
    const uint at = (uint)lane * (uint)m->lane_stride + (uint)step * (uint)m->step_stride;
    *to = there.x > 0 && there.y > 0 ? m->values[at] : 0;
#else
    global const REAL *corner = m->values + lane * m->lane_stride + step * m->step_stride;
    const int columns = min(LANES, there.x), rows = min(LANES, there.y);
    if (columns == LANES && m->lane_stride == 1) {
        for (int i = 0; i < rows; i++) STORE(LOAD(corner + i * m->step_stride), to + i * width);
    } else if (columns == LANES && rows == LANES && m->step_stride == 1) {
        Vector block[LANES];
#pragma unroll
        for (int i = 0; i < LANES; i++) block[i] = LOAD(corner + i * m->lane_stride);
        turn(block);
#pragma unroll
        for (int i = 0; i < LANES; i++) STORE(block[i], to + i * width);
    } else {
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                to[i * width + j] = corner[i * m->step_stride + j * m->lane_stride];
            }
        }
    }
#endif
}

// Packs `lanes` x `steps` numbers of a matrix, read along the axis on which they lie side by side.
INLINE void pack_matrix(local REAL *panels, int width, Matrix m, int lanes, int steps) {
    if (m.step_stride == 1 && m.lane_stride != 1) {
        NEAR(step, steps, DEPTH) FAR(lane, lanes, LANES, LANES_OF(width), DEPTH) {
            local REAL *to = panels + place(lane, step, width);
            pack_block(to, width, &m, lane, step, (int2)(lanes - lane, steps - step));
        }
    } else {
        NEAR(lane, lanes, LANES_OF(width)) FAR(step, steps, LANES, DEPTH, LANES_OF(width)) {
            local REAL *to = panels + place(lane, step, width);
            pack_block(to, width, &m, lane, step, (int2)(lanes - lane, steps - step));
        }
    }
}

// The inner axis, `len` steps long, cut into parts: how long a part is, but for the last.
INLINE int part_len(int len, int parts) {
    return ((len + parts - 1) / parts + DEPTH - 1) / DEPTH * DEPTH;
}

INLINE void clear(SUM *sums, int rows) {
#ifdef VARIANT_VECTOR
    for (int i = 0; i < rows * TILE_COLUMNS; i++) sums[i] = 0;
#else
#pragma unroll
    for (int i = 0; i < SUMS; i++) sums[i] = 0;
#endif
}

#ifdef VARIANT_VECTOR

// One piece: sums[8][VECTORS] += a b. A function for each width, so that all of its loops are of
// constant lengths and its sums in registers.
#define PIECE(VECTORS)                                                                           \
    INLINE void multiply_piece_of_##VECTORS(                                              \
        local const REAL *a, local const REAL *b, local REAL *sums, int steps                    \
    ) {                                                                                          \
        Vector sum[PIECE_ROWS][VECTORS];                                                         \
        EACH_SUM(VECTORS) sum[i][j] = LOAD(sums + i * TILE_COLUMNS + j * LANES);                 \
        for (int step = 0; step < steps; step++, a += ROW_PANEL, b += COLUMN_PANEL) {            \
            EACH_SUM(VECTORS) sum[i][j] += a[i] * LOAD(b + j * LANES);                           \
        }                                                                                        \
        EACH_SUM(VECTORS) STORE(sum[i][j], sums + i * TILE_COLUMNS + j * LANES);                 \
    }
#define EACH_SUM(VECTORS)                                                                        \
    _Pragma("unroll") for (int i = 0; i < PIECE_ROWS; i++)                                       \
        _Pragma("unroll") for (int j = 0; j < VECTORS; j++)

PIECE(1)
PIECE(2)
PIECE(3)

// sums += a b for the packed blocks of a tile of `rows` x `columns`.
INLINE void multiply(
    local const REAL *a, local const REAL *b, local REAL *sums, int rows, int columns, int steps
) {
    for (int row = 0; row < rows; row += PIECE_ROWS) {
        local const REAL *of_a = a + place(row, 0, ROW_PANEL);
        for (int column = 0; column < columns; column += COLUMN_PANEL) {
            const int vectors = min(PIECE_VECTORS, (columns - column + LANES - 1) / LANES);
            local const REAL *of_b = b + place(column, 0, COLUMN_PANEL);
            local REAL *piece = sums + row * TILE_COLUMNS + column;
            switch (vectors) {
            case 1: multiply_piece_of_1(of_a, of_b, piece, steps); break;
            case 2: multiply_piece_of_2(of_a, of_b, piece, steps); break;
            default: multiply_piece_of_3(of_a, of_b, piece, steps);
            }
        }
    }
}

#else

// Rows and columns of a work-item are fours of neighbours, read and written as such; so the fours
// of the work-items of a row of the group stand side by side. Where the `i`th one of work-item `id`
// is:
#define OWN(i, id) ((i) / 4 * 4 * WORKERS + 4 * (id) + (i) % 4)
typedef JOIN(REAL, 4) Four;

// values = those of a work-item of a step of a panel, which begins with its first four.
INLINE void read_own(local const REAL *from, REAL *values, const int count) {
#pragma unroll
    for (int i = 0; i < count; i += 4) {
        const Four four = *(local const Four *)(from + i * WORKERS);
        values[i] = four.x;
        values[i + 1] = four.y;
        values[i + 2] = four.z;
        values[i + 3] = four.w;
    }
}

// sums += a b for the packed blocks of a tile; what is not there is zero, and multiplied too.
INLINE void multiply(
    local const REAL *a, local const REAL *b, REAL *sums, int rows, int columns, int steps
) {
    local const REAL *of_a = a + OWN(0, get_local_id(1)), *of_b = b + OWN(0, get_local_id(0));
    // Of more steps written out at once, an H100's registers do not hold the operands.
#pragma unroll 2
    for (int step = 0; step < DEPTH; step++) {
        REAL row[PIECE_ROWS], column[PIECE_COLUMNS];
        read_own(of_a + step * ROW_PANEL, row, PIECE_ROWS);
        read_own(of_b + step * COLUMN_PANEL, column, PIECE_COLUMNS);
#pragma unroll
        for (int i = 0; i < PIECE_ROWS; i++) {
#pragma unroll
            for (int j = 0; j < PIECE_COLUMNS; j++) {
                sums[i * PIECE_COLUMNS + j] += row[i] * column[j];
            }
        }
    }
}

#endif

// Where a result of `rows` x `columns` goes: column n positions + p is position p of sample n.
// Position p lies at row p / grid_width of a grid and at column p % grid_width, whose places are
// `down` and `right` apart. A matrix is one sample of one row.
typedef struct {
    global REAL *values;
    int rows, columns, positions;
    ulong row_stride, sample_stride;
    int grid_width, down, right;
    // Whether to add to what is there.
    bool add;
} Target;

INLINE Target matrix_target(global REAL *values, int rows, int columns, ulong row_stride) {
    const Target target = {values, rows, columns, columns, row_stride, 0, columns, 0, 1, false};
    return target;
}

// From the first number of a row to that of a column.
INLINE ulong column_offset(const Target *t, int column) {
    const int sample = column / t->positions, position = column % t->positions;
    const int y = position / t->grid_width, x = position % t->grid_width;
    return sample * t->sample_stride + (ulong)y * t->down + (ulong)x * t->right;
}

// Writes the sums of the tile that begins at `row` and `column`, column by column: where a column
// is takes divisions, and the rows follow from it.
INLINE void write_tile(const Target *t, int row, int column, const SUM *sums) {
    global REAL *corner = t->values + row * t->row_stride;
    const int rows = min(TILE_ROWS, t->rows - row);
    const int columns = min(TILE_COLUMNS, t->columns - column);
#ifdef VARIANT_VECTOR
    for (int j = 0; j < columns; j += LANES) {
        const int there = min(LANES, columns - j);
        const ulong first = column_offset(t, column + j);
        const ulong last = column_offset(t, column + j + there - 1);
        if (there == LANES && t->right == 1 && last - first == LANES - 1) {
            for (int i = 0; i < rows; i++) {
                const Vector sum = LOAD(sums + i * TILE_COLUMNS + j);
                global REAL *to = corner + i * t->row_stride + first;
                STORE(t->add ? sum + LOAD(to) : sum, to);
            }
            continue;
        }
        for (int lane = 0; lane < there; lane++) {
            global REAL *to = corner + column_offset(t, column + j + lane);
            for (int i = 0; i < rows; i++, to += t->row_stride) {
                const REAL sum = sums[i * TILE_COLUMNS + j + lane];
                *to = t->add ? *to + sum : sum;
            }
        }
    }
#else
#pragma unroll
    for (int j = 0; j < PIECE_COLUMNS; j += 4) {
        const int x = OWN(j, get_local_id(0));
        ulong at[4];
        bool is_aligned = t->right == 1 && x + 3 < columns && t->row_stride % 4 == 0;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            at[k] = column_offset(t, column + min(x + k, columns - 1));
            is_aligned = is_aligned && at[k] - at[0] == k;
        }
        is_aligned = is_aligned && (ulong)(corner + at[0]) % sizeof(Four) == 0;
#pragma unroll
        for (int i = 0; i < PIECE_ROWS; i++) {
            const int y = OWN(i, get_local_id(1));
            const REAL *sum = sums + i * PIECE_COLUMNS + j;
            global REAL *to = corner + y * t->row_stride;
            if (y < rows && is_aligned) {
                global Four *four = (global Four *)(to + at[0]);
                const Four found = {sum[0], sum[1], sum[2], sum[3]};
                *four = t->add ? *four + found : found;
            } else {
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    global REAL *one = to + at[k];
                    if (y < rows && x + k < columns) *one = t->add ? *one + sum[k] : sum[k];
                }
            }
        }
    }
#endif
}
