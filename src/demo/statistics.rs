//! Means of few runs and what can be said of them.

/// What a handful of values say about the mean they come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n - 1); 0 for a single value.
    pub deviation: f64,
    /// Half width of the 95 % confidence interval of the mean, by Student's t; `None` for a
    /// single value.
    pub interval: Option<f64>,
}

/// Summarises `values`, of which there is at least one.
pub fn summary(values: &[f64]) -> Summary {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return Summary { mean, deviation: 0.0, interval: None };
    }
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0)).sqrt();
    Summary { mean, deviation, interval: Some(t95(values.len() - 1) * deviation / n.sqrt()) }
}

/// The 97.5 % quantile of Student's t with `freedom` degrees of freedom: tables up to 30, then
/// the first terms of the Cornish-Fisher expansion, which is right to three decimals there.
fn t95(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    match TABLE.get(freedom.wrapping_sub(1)) {
        Some(quantile) => *quantile,
        None => {
            let (z, n) = (1.959_964_f64, freedom as f64);
            z + (z.powi(3) + z) / (4.0 * n)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Mean 2, deviation 1, three values: 4.303 / sqrt(3).
        let of_three = summary(&[1.0, 2.0, 3.0]);
        assert_eq!((of_three.mean, of_three.deviation), (2.0, 1.0));
        assert!((of_three.interval.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(summary(&[0.5]), Summary { mean: 0.5, deviation: 0.0, interval: None });
    }

    #[test]
    fn quantiles_run_on_beyond_the_table() {
        // Tabulated: 2.040 at 31, 1.984 at 100.
        assert!((t95(31) - 2.040).abs() < 1e-3);
        assert!((t95(100) - 1.984).abs() < 1e-3);
        assert_eq!(t95(2), 4.303);
    }
}
