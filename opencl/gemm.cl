// Matrix products. Compiled with common.cl and panel.cl before it, whose build options and work
// sizes hold here.

// C = A B, or C += A B, for a batch of matrices.
//
//   a   [batch, m, k], the number of row i and column l at i a_strides.x + l a_strides.y;
//       a transposed matrix has its strides exchanged; below 2^24
//   b   [batch, k, n], likewise
//   c   [parts, batch, m, n]
//   m, k, n
//   batch
//   batch_strides   from one matrix of the batch to the next, of a (x) and b (y);
//                   0 takes the same one again
//   parts   the inner axis is cut into this many parts, a multiple of DEPTH long but for the
//           last, whose products are written one after the other (sum_of_parts in reduce.cl adds
//           them up): for results with too few tiles to keep a device busy; else 1
//   add     1 to add to c, else 0; 0 where there are parts
//
// Global size: panel.cl's, rows m, columns n, third axis batch * parts.
TILE_KERNEL void gemm(
    global const REAL *a, ulong2 a_strides, global const REAL *b, ulong2 b_strides,
    global REAL *c, int m, int k, int n, int batch, ulong2 batch_strides,
    int parts, int add
) {
    TILE_MEMORY;
    const int row = TILE_ROW, column = TILE_COLUMN;
    const int rows = min(TILE_ROWS, m - row), columns = min(TILE_COLUMNS, n - column);
    const ulong matrix = get_global_id(2) / parts;
    const int part = get_global_id(2) % parts;
    a += matrix * batch_strides.x + row * a_strides.x;
    b += matrix * batch_strides.y + column * b_strides.y;
    c += ((ulong)part * batch + matrix) * m * n;

    clear(sums, rows);
    const int first = part * part_len(k, parts), end = min(k, first + part_len(k, parts));
    for (int step = first; step < end; step += DEPTH) {
        const int steps = min(DEPTH, end - step);
        const Matrix of_a = {a + step * a_strides.y, a_strides.x, a_strides.y};
        const Matrix of_b = {b + step * b_strides.x, b_strides.y, b_strides.x};
        pack_matrix(a_panels, ROW_PANEL, of_a, rows, steps);
        pack_matrix(b_panels, COLUMN_PANEL, of_b, columns, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(a_panels, b_panels, sums, rows, columns, steps);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    Target target = matrix_target(c, m, n, n);
    target.add = add;
    write_tile(&target, row, column, sums);
}
