//! How well a source fits a target whose samples have values instead of classes, such as the places of
//! points.

use super::ridge::Standardised;
use super::targets::Goals;
use crate::nn::{Design, Form, Network, Pass};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// Images of a batch, and what is known of them.
#[derive(Clone, Debug)]
pub struct ValuedBatch<T> {
    /// `[N, C, H, W]`.
    pub images: Tensor<T>,
    /// The values of each image, `None` where one is not known.
    pub values: Vec<Vec<Option<f64>>>,
    /// The sample that each image shows. Images of one sample are left out together.
    pub samples: Vec<usize>,
}

/// A batch, or why there is none.
pub type Valued<T> = Result<ValuedBatch<T>>;

/// How well a source, without any tuning, tells the values of `batches`: the
/// [`leave_one_out_fit`] of its last map before the head, as means over 4x4 parts of it, so that
/// features know places.
///
/// Batch norms use the statistics of each batch, as in [`score`](super::score()).
///
/// # Errors
/// As [`score`](super::score()).
pub fn score_of_values<T: Element>(
    design: &Design,
    source: &State<T>,
    batches: impl IntoIterator<Item = Valued<T>>,
) -> Result<f64> {
    let network = Network::from_sources(design, Form::Plain, std::slice::from_ref(source), 0)?;
    let (mut features, mut columns, mut known, mut of) = (vec![], 0, vec![], vec![]);
    for batch in batches {
        let ValuedBatch { images, values, samples } = batch?;
        if values.len() < 2 {
            continue;
        }
        let mut pass = Pass::train(network.parameters()).keep_only(network.last_nodes());
        let x = pass.input(images);
        network.forward(&mut pass, x)?;
        let map = network.last_map(&mut pass)?;
        let means = means_of_parts(pass.value(map)?)?;
        [_, columns] = means.dims("score_of_values", "features", "[N, D]")?;
        features.extend(means.into_vec());
        known.extend(values);
        of.extend(samples);
    }
    if known.is_empty() {
        let problem = "a source is judged by its features of two images at least";
        return Err(Error::argument("score_of_values", problem));
    }
    leave_one_out_fit(&Tensor::new(&[known.len(), columns], features)?, &known, &of)
}

/// The mean of each of 4x4 parts of a map `[N, C, H, W]`, `[N, 16 C]`; of fewer, if it is smaller.
pub(super) fn means_of_parts<T: Element>(map: &Tensor<T>) -> Result<Tensor<T>> {
    const PARTS: usize = 4;
    let [count, channels, height, width] = map.dims("score_of_values", "map", "[N, C, H, W]")?;
    let [rows, columns] = [height, width].map(|size| size.clamp(1, PARTS));
    let mut means = Vec::with_capacity(count * channels * rows * columns);
    for plane in map.as_slice().chunks((height * width).max(1)) {
        for row in 0..rows {
            for column in 0..columns {
                let [top, bottom] = [row, row + 1].map(|at| at * height / rows);
                let [left, right] = [column, column + 1].map(|at| at * width / columns);
                let lines = plane[top * width..bottom * width].chunks(width);
                let sum: f64 = lines.flat_map(|line| &line[left..right]).map(|v| v.widen()).sum();
                let area = ((bottom - top) * (right - left)).max(1);
                means.push(T::from_f64(sum / area as f64));
            }
        }
    }
    Tensor::new(&[count, channels * rows * columns], means)
}

/// The share of the values' variance that ridge regression on `features` `[N, D]` explains of samples
/// that it was not shown: `1 - sum r^2 / sum r0^2`, where r is a sample's error by the regression of all
/// others, and r0 by their mean. 1 is perfect; what is below 0 is worse than the mean.
///
/// A sample may have several rows, such as crops of one picture: `samples` says which one each row is of,
/// and all rows of a sample are left out together.
///
/// In closed form, as [`leave_one_out_accuracy`](super::leave_one_out_accuracy): the errors of the rows S
/// of a sample are `((G^-1)_SS)^-1 (G^-1 y)_S`. A value that is not known stands at the mean of its column,
/// and is not judged. Beyond 2000 rows only the first 2000 are looked at.
///
/// # Errors
/// If there are not as many rows of values of one length as of features, a feature is not finite, or there
/// is one sample only.
pub fn leave_one_out_fit<T: Element>(
    features: &Tensor<T>,
    values: &[Vec<Option<f64>>],
    samples: &[usize],
) -> Result<f64> {
    let [n, d] = features.dims("leave_one_out_fit", "features", "[N, D]")?;
    if n != values.len() || n != samples.len() || n < 2 || d == 0 {
        let expected = format!(
            "[{}, D], a row for each of as many values, and the samples of {}; two at least",
            values.len(),
            samples.len()
        );
        return Err(Error::shape("leave_one_out_fit", "features", expected, features.shape()));
    }
    let n = n.min(super::MOST);
    let goals = Goals::of_values(&values[..n], &samples[..n])?;
    Ok(goals.judged(&Standardised::of(features, n)?).score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_follow_from_features_are_explained_and_others_are_not() {
        let (n, d) = (40, 3);
        let mut rng = fastrand::Rng::with_seed(5);
        let features = Tensor::<f64>::normal(&[n, d], 1.0, &mut rng);
        let rows: Vec<&[f64]> = features.as_slice().chunks(d).collect();
        let fit = |value: &mut dyn FnMut(&[f64]) -> f64| {
            let values =
                rows.iter().enumerate().map(|(at, row)| vec![(at % 5 > 0).then(|| value(row))]);
            let samples: Vec<usize> = (0..n).collect();
            leave_one_out_fit(&features, &values.collect::<Vec<_>>(), &samples).unwrap()
        };
        let linear = fit(&mut |row| 3.0 * row[0] - row[2] + 100.0);
        // Less than 1 by the ridge.
        assert!(linear > 0.95, "{linear}");
        let mut noise = fastrand::Rng::with_seed(9);
        let none = fit(&mut |_| noise.f64());
        assert!(none < 0.3, "{none}");
        assert_eq!(fit(&mut |_| 4.0), 0.0, "what is always the same");
    }

    /// Against the regression fitted anew without each sample.
    #[test]
    fn the_closed_form_is_leaving_one_out() {
        let (n, d) = (12, 2);
        let mut rng = fastrand::Rng::with_seed(6);
        let features = Tensor::<f64>::normal(&[n, d], 1.0, &mut rng);
        let values: Vec<f64> = (0..n).map(|_| rng.f64()).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let gram = Standardised::of(&features, n).unwrap().gram(None);
        let of = |row: usize| &gram.z[row * gram.p..][..gram.p];
        let (mut left, mut whole) = (0.0, 0.0);
        for out in 0..n {
            let kept: Vec<usize> = (0..n).filter(|row| *row != out).collect();
            let dot = |a: usize, b: usize| of(a).iter().zip(of(b)).map(|(x, y)| x * y).sum::<f64>();
            let mut square = Vec::new();
            for &a in &kept {
                square.extend(
                    kept.iter().map(|&b| dot(a, b) + if a == b { gram.ridge } else { 0.0 }),
                );
            }
            let inverse = super::super::ridge::inverse_of_positive(n - 1, square);
            let told: f64 = (0..n - 1)
                .flat_map(|i| (0..n - 1).map(move |j| (i, j)))
                .map(|(i, j)| {
                    dot(out, kept[i]) * inverse[i * (n - 1) + j] * (values[kept[j]] - mean)
                })
                .sum();
            left += (values[out] - mean - told).powi(2);
            whole += ((values[out] - mean) * n as f64 / (n - 1) as f64).powi(2);
        }
        let rows: Vec<_> = values.iter().map(|v| vec![Some(*v)]).collect();
        let samples: Vec<usize> = (0..n).collect();
        let found = leave_one_out_fit(&features, &rows, &samples).unwrap();
        assert!((found - (1.0 - left / whole)).abs() < 1e-9, "{found}");
    }

    #[test]
    fn values_of_which_few_are_known_are_not_explained_by_noise() {
        let (n, d) = (15, 200);
        let mut rng = fastrand::Rng::with_seed(3);
        for known in [3, 5, 10, 15] {
            let mut explained = 0.0;
            for _ in 0..8 {
                let features = Tensor::<f64>::normal(&[n, d], 1.0, &mut rng);
                let values: Vec<_> =
                    (0..n).map(|row| vec![(row < known).then(|| rng.f64())]).collect();
                let samples: Vec<usize> = (0..n).collect();
                explained += leave_one_out_fit(&features, &values, &samples).unwrap() / 8.0;
            }
            assert!(explained.abs() < 0.15, "{known}: {explained}");
        }
    }

    /// Against the regression fitted anew to the rows of all other samples, of which there are fewer than
    /// features.
    #[test]
    fn rows_of_a_sample_are_left_out_together() {
        let (n, d) = (10, 24);
        let samples: Vec<usize> = (0..n).map(|row| row % 4).collect();
        let mut rng = fastrand::Rng::with_seed(8);
        let features = Tensor::<f64>::normal(&[n, d], 1.0, &mut rng);
        let values: Vec<f64> = (0..n).map(|_| rng.f64()).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let gram = Standardised::of(&features, n).unwrap().gram(None);
        let of = |row: usize| &gram.z[row * gram.p..][..gram.p];
        let dot = |a: usize, b: usize| of(a).iter().zip(of(b)).map(|(x, y)| x * y).sum::<f64>();
        let (mut left, mut whole) = (0.0, 0.0);
        for sample in 0..4 {
            let kept: Vec<usize> = (0..n).filter(|row| samples[*row] != sample).collect();
            let ridge = |a, b| if a == b { gram.ridge } else { 0.0 };
            let square = kept.iter().flat_map(|&a| kept.iter().map(move |&b| (a, b)));
            let square = square.map(|(a, b)| dot(a, b) + ridge(a, b)).collect();
            let inverse = super::super::ridge::inverse_of_positive(kept.len(), square);
            let by_mean = kept.iter().map(|&row| values[row]).sum::<f64>() / kept.len() as f64;
            for out in (0..n).filter(|row| samples[*row] == sample) {
                let factor = |row: &[f64]| {
                    row.iter().zip(&kept).map(|(v, &row)| v * (values[row] - mean)).sum::<f64>()
                };
                let rows = inverse.chunks(kept.len()).zip(&kept);
                let told: f64 = rows.map(|(row, &at)| dot(out, at) * factor(row)).sum();
                left += (values[out] - mean - told).powi(2);
                whole += (values[out] - by_mean).powi(2);
            }
        }
        let rows: Vec<_> = values.iter().map(|v| vec![Some(*v)]).collect();
        let found = leave_one_out_fit(&features, &rows, &samples).unwrap();
        assert!((found - (1.0 - left / whole)).abs() < 1e-9, "{found}");
        let alone = leave_one_out_fit(&features, &rows, &vec![0; n]).unwrap_err();
        assert!(alone.to_string().contains("one sample"), "{alone}");
    }

    #[test]
    fn a_map_becomes_means_of_its_parts() {
        let map = Tensor::new(&[1, 1, 5, 2], (0..10).map(f64::from).collect()).unwrap();
        let means = means_of_parts(&map).unwrap();
        assert_eq!(means.shape(), [1, 8]);
        assert_eq!(means.as_slice()[..4], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(means.as_slice()[6..], [7.0, 8.0], "the mean of the last two rows");
    }
}
