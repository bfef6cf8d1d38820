//! Batches whose images are mixed with each other, and the loss for mixed and weighted labels.

use super::Samples;
use crate::dataset::{Batch, sample_rng};
use crate::nn::Pass;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Result, ops};
use std::ops::Range;

/// How images of a batch are mixed, each with one other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mixing {
    /// Mixup (Zhang et al., 2018): `x = share x + (1 - share) other`, the share drawn from
    /// `Beta(mixup, mixup)`; 0 for not at all. With both, every batch has one of them at random.
    pub mixup: f64,
    /// CutMix (Yun et al., 2019): a box of the other, whose area is `1 - share` of the image before
    /// it is cut off at the edge.
    pub cutmix: f64,
}

/// A batch, mixed or not.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// The images, with their own labels.
    pub batch: Batch,
    /// The label of what each was mixed with.
    pub others: Vec<usize>,
    /// How much of each label is its own, 0 to 1; 1 if nothing was mixed.
    pub share: f64,
}

impl Mixing {
    /// The batch of a step, mixed as `seed` and the step say: image n with the n-th from the end.
    ///
    /// # Errors
    /// If the images are not `[N, C, H, W]`.
    pub fn mix(self, mut batch: Batch, seed: u64, step: u64) -> Result<Mixed> {
        let [count, channels, height, width] =
            batch.images.dims("mix", "images", "[N, C, H, W]")?;
        let others: Vec<usize> = batch.labels.iter().rev().copied().collect();
        let rng = &mut sample_rng(seed, step, usize::MAX - 1);
        let (cuts, alpha) = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return Ok(Mixed { batch, others, share: 1.0 }),
            (true, true) if rng.bool() => (true, self.cutmix),
            (mixes, _) => (!mixes, if mixes { self.mixup } else { self.cutmix }),
        };
        let share = beta(alpha, rng);
        let len = channels * height * width;
        let whole = batch.images.as_slice().to_vec();
        let pairs = batch.images.as_mut_slice().chunks_mut(len.max(1));
        let pairs = pairs.zip((0..count).rev().map(|other| &whole[other * len..][..len]));
        if !cuts {
            let (own, rest) = (share as f32, 1.0 - share as f32);
            for (image, other) in pairs {
                image.iter_mut().zip(other).for_each(|(v, o)| *v = own * *v + rest * o);
            }
            return Ok(Mixed { batch, others, share });
        }
        let side = (1.0 - share).sqrt();
        let mut range = |size: usize| {
            let half = (side * size as f64) as usize / 2;
            let middle = rng.usize(0..size.max(1));
            middle.saturating_sub(half)..(middle + half).min(size)
        };
        let (rows, columns) = (range(height), range(width));
        for (image, other) in pairs {
            for row in (0..channels).flat_map(|c| rows.clone().map(move |y| c * height + y)) {
                let at = row * width + columns.start..row * width + columns.end;
                image[at.clone()].copy_from_slice(&other[at]);
            }
        }
        let area = rows.len() * columns.len();
        Ok(Mixed { batch, others, share: 1.0 - area as f64 / (height * width) as f64 })
    }
}

/// A number of `Beta(alpha, alpha)`, by Jöhnk's method (1964): of two powers of uniform numbers whose
/// sum is at most 1, the share of the first.
fn beta(alpha: f64, rng: &mut fastrand::Rng) -> f64 {
    loop {
        let [x, y] = [rng.f64(), rng.f64()].map(|uniform| uniform.powf(1.0 / alpha));
        let sum = x + y;
        if sum > 0.0 && sum <= 1.0 {
            return x / sum;
        }
    }
}

impl Mixed {
    /// The sum of the weights of its labels, of which each class has one; the number of images, if there are
    /// none.
    pub fn weight(&self, weights: &[f64]) -> f64 {
        let weight = |class: &usize| weights.get(*class).copied().unwrap_or(1.0);
        let pairs = self.batch.labels.iter().zip(&self.others);
        pairs
            .map(|(own, other)| self.share * weight(own) + (1.0 - self.share) * weight(other))
            .sum()
    }
}

impl Samples for Mixed {
    fn images(&self) -> &Tensor<f32> {
        self.batch.images()
    }

    fn indices(&self) -> &[usize] {
        self.batch.indices()
    }

    fn part(&self, samples: Range<usize>) -> Result<Self> {
        let (batch, others) = (self.batch.part(samples.clone())?, self.others[samples].to_vec());
        Ok(Self { batch, others, share: self.share })
    }
}

/// The cross-entropy of `logits` `[N, K]` with the labels of a batch, smoothed and mixed, and with a
/// weight for each class, unless there are none: with `t[n, k]` for the share of class k,
/// `-sum_nk w_k t[n, k] log softmax(x[n])[k] / sum_n w(n)`, where `w(n)` is the weight of the labels of
/// n by their shares. That is PyTorch's `CrossEntropyLoss` with `weight` and `label_smoothing`.
///
/// # Errors
/// If the logits do not fit the batch.
pub fn mixed_cross_entropy(
    pass: &mut Pass<f32>,
    logits: Var,
    mixed: &Mixed,
    smoothing: f64,
    weights: &[f64],
) -> Result<Var> {
    let Mixed { batch: Batch { labels, .. }, others, share } = mixed;
    if weights.is_empty() && *share >= 1.0 {
        return ops::cross_entropy(pass.tape(), logits, labels, smoothing);
    }
    let value = pass.value(logits)?;
    let [count, classes] = value.dims("cross_entropy", "logits", "[N, K]")?;
    let device = value.device();
    let weight = |class: usize| weights.get(class).copied().unwrap_or(1.0);
    let mut targets = vec![0.0; count * classes];
    let mut whole = 0.0;
    for (row, (&own, &other)) in targets.chunks_mut(classes.max(1)).zip(labels.iter().zip(others)) {
        row.iter_mut().for_each(|target| *target = smoothing / classes as f64);
        for (label, share) in [(own, *share), (other, 1.0 - share)] {
            let target = row.get_mut(label).ok_or_else(|| {
                let problem = format!("label {label} is out of range: there are {classes} classes");
                crate::Error::argument("cross_entropy", problem)
            })?;
            *target += (1.0 - smoothing) * share;
            whole += share * weight(label);
        }
        row.iter_mut().enumerate().for_each(|(class, target)| *target *= weight(class));
    }
    // A batch of classes without weight teaches nothing.
    let scale = if whole > 0.0 { -1.0 / whole } else { 0.0 };
    let targets = targets.into_iter().map(|target| (target * scale) as f32).collect();
    let targets = Tensor::new(&[count, classes], targets)?.to(&device)?;
    let targets = pass.input(targets);
    let tape = pass.tape();
    let likely = ops::log_softmax(tape, logits)?;
    let products = ops::mul(tape, likely, targets)?;
    ops::sum_all(tape, products)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Parameters;

    /// Four images `[1, 8, 8]` that hold their number.
    fn batch() -> Batch {
        let values = (0..4 * 64).map(|at| (at / 64) as f32).collect();
        let images = Tensor::new(&[4, 1, 8, 8], values).unwrap();
        Batch { images, labels: vec![0, 1, 2, 0], indices: vec![5, 6, 7, 8] }
    }

    fn loss(mixed: &Mixed, smoothing: f64, weights: &[f64]) -> f64 {
        let parameters = Parameters::default();
        let mut pass = Pass::evaluate(&parameters);
        let logits = [1.0, 0.0, -1.0, 0.5, 2.0, 0.0, 0.0, 0.3, 0.1, -2.0, 1.0, 0.0];
        let logits = pass.input(Tensor::new(&[4, 3], logits.to_vec()).unwrap());
        let loss = mixed_cross_entropy(&mut pass, logits, mixed, smoothing, weights).unwrap();
        f64::from(pass.value(loss).unwrap().item().unwrap())
    }

    #[test]
    fn mixup_is_the_weighted_mean_of_images_and_labels() {
        let mixing = Mixing { mixup: 0.4, cutmix: 0.0 };
        let mixed = mixing.mix(batch(), 1, 3).unwrap();
        assert_eq!(mixed.others, [0, 2, 1, 0]);
        assert!((0.0..=1.0).contains(&mixed.share));
        for (n, image) in mixed.batch.images.as_slice().chunks(64).enumerate() {
            let expected = mixed.share * n as f64 + (1.0 - mixed.share) * (3 - n) as f64;
            assert!(image.iter().all(|&v| (f64::from(v) - expected).abs() < 1e-6));
        }
        let again = mixing.mix(batch(), 1, 3).unwrap();
        assert_eq!(again.batch.images.as_slice(), mixed.batch.images.as_slice());
        assert_ne!(mixing.mix(batch(), 1, 4).unwrap().share, mixed.share);
    }

    #[test]
    fn cutmix_shares_labels_by_the_area_of_its_box() {
        for step in 0..20 {
            let mixed = Mixing { mixup: 0.0, cutmix: 1.0 }.mix(batch(), 1, step).unwrap();
            for (n, image) in mixed.batch.images.as_slice().chunks(64).enumerate() {
                let own = image.iter().filter(|&&v| v == n as f32).count();
                let other = image.iter().filter(|&&v| v == (3 - n) as f32).count();
                assert_eq!(own + other, 64);
                assert!((own as f64 / 64.0 - mixed.share).abs() < 1e-12, "step {step}");
            }
        }
    }

    #[test]
    fn the_share_is_drawn_from_the_beta_distribution() {
        let mut rng = fastrand::Rng::with_seed(3);
        for alpha in [0.2, 1.0, 2.0] {
            let drawn: Vec<f64> = (0..4000).map(|_| beta(alpha, &mut rng)).collect();
            let mean = drawn.iter().sum::<f64>() / 4000.0;
            let variance = drawn.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0;
            // 1/2 and 1 / (4 (2 alpha + 1)).
            assert!((mean - 0.5).abs() < 0.02, "{alpha}: {mean}");
            assert!(
                (variance * 4.0 * (2.0 * alpha + 1.0) - 1.0).abs() < 0.08,
                "{alpha}: {variance}"
            );
        }
    }

    #[test]
    fn the_mixed_loss_is_the_sum_of_the_plain_ones_by_their_shares() {
        let own = Mixed { batch: batch(), others: vec![0, 2, 1, 0], share: 1.0 };
        let mut turned = own.clone();
        turned.batch.labels = own.others.clone();
        let mixed = Mixed { share: 0.3, ..own.clone() };
        for smoothing in [0.0, 0.1] {
            let expected = 0.3 * loss(&own, smoothing, &[]) + 0.7 * loss(&turned, smoothing, &[]);
            assert!((loss(&mixed, smoothing, &[]) - expected).abs() < 1e-6);
            let equal = loss(&own, smoothing, &[2.0; 3]);
            assert!((equal - loss(&own, smoothing, &[])).abs() < 1e-6, "equal weights are none");
        }
    }

    /// By PyTorch 2.15: `CrossEntropyLoss(weight=[0.5, 2, 1], label_smoothing=0.1)` of these logits
    /// and labels, and the same without smoothing.
    #[test]
    fn class_weights_are_those_of_pytorch() {
        let mixed = Mixed { batch: batch(), others: vec![0; 4], share: 1.0 };
        let weights = [0.5, 2.0, 1.0];
        assert!(
            (loss(&mixed, 0.0, &weights) - PLAIN).abs() < 1e-6,
            "{}",
            loss(&mixed, 0.0, &weights)
        );
        assert!(
            (loss(&mixed, 0.1, &weights) - SMOOTHED).abs() < 1e-6,
            "{}",
            loss(&mixed, 0.1, &weights)
        );
    }
    const PLAIN: f64 = 0.9077128940;
    const SMOOTHED: f64 = 0.9553567491;
}
