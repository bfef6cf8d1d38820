//! The assignment problem.

/// Gives each row a column of its own so that the sum of `profit[row][column]` is largest,
/// for a square row-major matrix: the Hungarian method with potentials, `O(n^3)`
/// (Kuhn, 1955; Jonker and Volgenant, 1987). Profits must be finite.
pub(super) fn assign(n: usize, profit: &[f64]) -> Vec<usize> {
    // Rows and columns are counted from 1; column 0 holds the row that is being placed.
    let cost = |row: usize, column: usize| -profit[(row - 1) * n + column - 1];
    let (mut row_potential, mut column_potential) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut row_of = vec![0usize; n + 1];
    let mut before = vec![0usize; n + 1];
    for row in 1..=n {
        row_of[0] = row;
        let mut column = 0;
        let mut slack = vec![f64::INFINITY; n + 1];
        let mut visited = vec![false; n + 1];
        // Grows a tree of tight edges until it reaches a free column.
        while row_of[column] != 0 {
            visited[column] = true;
            let (from, mut step, mut next) = (row_of[column], f64::INFINITY, 0);
            for j in (1..=n).filter(|&j| !visited[j]) {
                let reduced = cost(from, j) - row_potential[from] - column_potential[j];
                if reduced < slack[j] {
                    (slack[j], before[j]) = (reduced, column);
                }
                // Of equal ones, as dead channels have them, a free column ends the search.
                if slack[j] < step || slack[j] == step && row_of[j] == 0 {
                    (step, next) = (slack[j], j);
                }
            }
            for j in 0..=n {
                if visited[j] {
                    row_potential[row_of[j]] += step;
                    column_potential[j] -= step;
                } else {
                    slack[j] -= step;
                }
            }
            column = next;
        }
        // Turns the path from the free column back to the row.
        while column != 0 {
            row_of[column] = row_of[before[column]];
            column = before[column];
        }
    }
    let mut column_of = vec![0; n];
    for column in 1..=n {
        column_of[row_of[column] - 1] = column - 1;
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best of all permutations, one by one.
    fn brute_force(n: usize, profit: &[f64], row: usize, used: &mut Vec<bool>) -> f64 {
        if row == n {
            return 0.0;
        }
        let mut best = f64::NEG_INFINITY;
        for column in 0..n {
            if !used[column] {
                used[column] = true;
                best = best.max(profit[row * n + column] + brute_force(n, profit, row + 1, used));
                used[column] = false;
            }
        }
        best
    }

    #[test]
    fn finds_the_best_of_all_permutations() {
        let mut rng = fastrand::Rng::with_seed(9);
        for n in 1..7 {
            for dead in [0, 2, 3].repeat(8) {
                // Some rows and columns without profit, as dead channels have none.
                let profits = |at: usize| {
                    let is_dead =
                        dead > 0 && [at / n, at % n].iter().any(|i| i.is_multiple_of(dead));
                    if is_dead { 0.0 } else { rng.f64() - 0.5 }
                };
                let profit: Vec<f64> = (0..n * n).map(profits).collect();
                let assigned = assign(n, &profit);
                let mut columns = assigned.clone();
                columns.sort_unstable();
                assert!(columns.into_iter().eq(0..n), "a permutation");
                let sum: f64 = assigned.iter().enumerate().map(|(r, &c)| profit[r * n + c]).sum();
                let best = brute_force(n, &profit, 0, &mut vec![false; n]);
                assert!((sum - best).abs() < 1e-12, "{sum} {best}");
            }
        }
    }
}
