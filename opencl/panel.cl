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
//   VARIANT_LOCAL   for graphics cards. A work-group is of 16 x 16 work-items, each with 8 x 8
//                   sums in registers; the tile is a single panel.
//
// In both, numbers are read LANES at a time: as a vector in the first, alone in the second.
// The order of every sum depends on the sizes alone.
//
// Build options
//   -D VARIANT_VECTOR or -D VARIANT_LOCAL   (default VARIANT_LOCAL)
//   -D DEPTH=..., TILE_ROWS=..., TILE_COLUMNS=...   with VARIANT_VECTOR, where local memory, or
//                   the second-level cache, is not 1 MiB; multiples of LANES, the columns of
//                   3 LANES. It holds rows x depth + columns x depth + rows x columns numbers
//   -D PIECE_ROWS=8 | 4   with VARIANT_VECTOR: 4 where there are 16 vector registers, not 32
//
// Work sizes of every kernel over tiles
//   local   [WORKERS, WORKERS, 1]:  1 with VARIANT_VECTOR, 16 with VARIANT_LOCAL
//   global  [WORKERS ceil(columns / TILE_COLUMNS), WORKERS ceil(rows / TILE_ROWS), the
//           kernel's own third axis]

#ifdef VARIANT_VECTOR

#define WORKERS 1
// Rows of a piece, and its vectors: 24 registers for sums leave 8 of 32 for operands.
#ifndef PIECE_ROWS
#define PIECE_ROWS 8
#endif
#define PIECE_VECTORS 3
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
#define SUMS (TILE_ROWS * TILE_COLUMNS)
// One work-item may as well keep its sums in local memory.
#define SUM local REAL

#else

#define WORKERS 16
#undef PIECE_ROWS
#define PIECE_ROWS 8
#define PIECE_VECTORS 8
#ifndef DEPTH
#define DEPTH 16
#endif
#undef TILE_ROWS
#undef TILE_COLUMNS
#define TILE_ROWS (WORKERS * PIECE_ROWS)
#define TILE_COLUMNS (WORKERS * PIECE_VECTORS)
#define ROW_PANEL TILE_ROWS
#define COLUMN_PANEL TILE_COLUMNS
#define SUMS (PIECE_ROWS * PIECE_VECTORS)
#define SUM REAL

#endif

// How far a loop over one axis of a tile goes. Many work-items go over all of it, so that all
// take as many rounds, known beforehand; a single one stops where there is nothing more.
#if WORKERS == 1
#define EXTENT(count, most) (count)
#else
#define EXTENT(count, most) (most)
#endif

// A kernel over tiles, and what its work-group shares.
#define TILE_KERNEL kernel __attribute__((reqd_work_group_size(WORKERS, WORKERS, 1)))
#define TILE_MEMORY                            \
    local REAL a_panels[TILE_ROWS * DEPTH];    \
    local REAL b_panels[TILE_COLUMNS * DEPTH]; \
    SUM sums[SUMS]

// Where the number of a lane stands at a step, in panels of a width.
static inline int place(int lane, int step, int width) {
    return (lane / width * DEPTH + step) * width + lane % width;
}

// Makes columns of LANES rows. Every round rotates the bits of a number's place, row and column
// written one after the other, by one; after log2(LANES) rounds they have changed places.
static inline void turn(Vector *rows) {
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

// Packs `lanes` x `steps` numbers of a matrix. Blocks of LANES x LANES are read along the axis on
// which they lie side by side. Lanes that are not there are left as they are: what they would
// be multiplied to is not written.
static inline void pack_matrix(local REAL *panels, int width, Matrix m, int lanes, int steps) {
    const bool along_steps = m.step_stride == 1 && m.lane_stride != 1;
    const int x = get_local_id(0) * LANES, y = get_local_id(1) * LANES;
    for (int lane = along_steps ? y : x; lane < lanes; lane += WORKERS * LANES) {
        for (int step = along_steps ? x : y; step < steps; step += WORKERS * LANES) {
            global const REAL *corner =
                m.values + lane * m.lane_stride + step * m.step_stride;
            local REAL *to = panels + place(lane, step, width);
            const int columns = min(LANES, lanes - lane), rows = min(LANES, steps - step);
            if (LANES > 1 && columns == LANES && m.lane_stride == 1) {
                for (int i = 0; i < rows; i++) {
                    STORE(LOAD(corner + i * m.step_stride), to + i * width);
                }
            } else if (columns == LANES && rows == LANES && m.step_stride == 1) {
                Vector block[LANES];
#pragma unroll
                for (int i = 0; i < LANES; i++) block[i] = LOAD(corner + i * m.lane_stride);
                turn(block);
#pragma unroll
                for (int i = 0; i < LANES; i++) STORE(block[i], to + i * width);
            } else {
                for (int i = 0; i < rows; i++) {
                    for (int j = 0; j < columns; j++) {
                        to[i * width + j] = corner[i * m.step_stride + j * m.lane_stride];
                    }
                }
            }
        }
    }
}

// The inner axis, `len` steps long, cut into parts: how long a part is, but for the last.
static inline int part_len(int len, int parts) {
    return ((len + parts - 1) / parts + DEPTH - 1) / DEPTH * DEPTH;
}

static inline void clear(SUM *sums, int rows) {
    const int count = WORKERS == 1 ? rows * TILE_COLUMNS : SUMS;
    for (int i = 0; i < count; i++) sums[i] = 0;
}

#ifdef VARIANT_VECTOR

// One piece: sums[8][VECTORS] += a b. A function for each width, so that all of its loops are of
// constant lengths and its sums in registers.
#define PIECE(VECTORS)                                                                           \
    static inline void multiply_piece_of_##VECTORS(                                              \
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
static inline void multiply(
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

// sums += a b: a work-item's rows are neighbours, its columns WORKERS apart, so that the
// work-items of a row read neighbouring numbers.
static inline void multiply(
    local const REAL *a, local const REAL *b, REAL *sums, int rows, int columns, int steps
) {
    local const REAL *of_a = a + get_local_id(1) * PIECE_ROWS;
    local const REAL *of_b = b + get_local_id(0);
    for (int step = 0; step < steps; step++) {
        REAL row[PIECE_ROWS];
#pragma unroll
        for (int i = 0; i < PIECE_ROWS; i++) row[i] = of_a[step * TILE_ROWS + i];
#pragma unroll
        for (int j = 0; j < PIECE_VECTORS; j++) {
            const REAL number = of_b[step * TILE_COLUMNS + j * WORKERS];
#pragma unroll
            for (int i = 0; i < PIECE_ROWS; i++) {
                sums[i * PIECE_VECTORS + j] += row[i] * number;
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

static inline Target matrix_target(global REAL *values, int rows, int columns, ulong row_stride) {
    const Target target = {values, rows, columns, columns, row_stride, 0, columns, 0, 1, false};
    return target;
}

// From the first number of a row to that of a column.
static inline ulong column_offset(const Target *t, int column) {
    const int sample = column / t->positions, position = column % t->positions;
    const int y = position / t->grid_width, x = position % t->grid_width;
    return sample * t->sample_stride + (ulong)y * t->down + (ulong)x * t->right;
}

// Writes the sums of the tile that begins at `row` and `column`, column by column: where a column
// is takes divisions, and the rows follow from it.
static inline void write_tile(const Target *t, int row, int column, const SUM *sums) {
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
    for (int j = 0; j < PIECE_VECTORS; j++) {
        const int x = get_local_id(0) + j * WORKERS;
        if (x >= columns) break;
        global REAL *to = corner + column_offset(t, column + x);
        for (int i = 0; i < PIECE_ROWS; i++) {
            const int y = get_local_id(1) * PIECE_ROWS + i;
            if (y >= rows) break;
            const REAL sum = sums[i * PIECE_VECTORS + j];
            to[y * t->row_stride] = t->add ? to[y * t->row_stride] + sum : sum;
        }
    }
#endif
}
