//! What many episodes come to.

use super::playing::Episode;
use crate::dataset::sample_rng;

/// Returns of several episodes, summed up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Returns {
    /// How many episodes there were.
    pub episodes: usize,
    /// Their mean return.
    pub mean: f64,
    /// The standard deviation of their returns, with n - 1; 0 of one alone.
    pub std: f64,
    /// The mean of the middle half of the returns (Agarwal et al., 2021).
    pub interquartile_mean: f64,
    /// Their mean length in steps.
    pub length: f64,
}

impl Returns {
    /// Sums up episodes; of none, all is 0.
    pub fn of(episodes: &[Episode]) -> Self {
        let count = episodes.len();
        let sums: Vec<f64> = episodes.iter().map(|episode| episode.sum).collect();
        let mean = mean(&sums);
        let squares: f64 = sums.iter().map(|sum| (sum - mean).powi(2)).sum();
        let std = if count > 1 { (squares / (count - 1) as f64).sqrt() } else { 0.0 };
        let steps: u64 = episodes.iter().map(|episode| episode.length).sum();
        let length = steps as f64 / count.max(1) as f64;
        let interquartile_mean = interquartile_mean(&sums);
        Self { episodes: count, mean, std, interquartile_mean, length }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The mean of the values without a quarter of them, rounded down, at each end, as SciPy's
/// `trim_mean(values, 0.25)`; of none 0.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The 95 % interval of the interquartile mean of all scores by stratified bootstrap (Agarwal et al.,
/// 2021): within each group, such as the runs on one game, as many are drawn again with replacement;
/// 2000 times. `seed` draws. `None` if there is no score.
pub fn interquartile_interval(groups: &[Vec<f64>], seed: u64) -> Option<[f64; 2]> {
    const DRAWS: usize = 2000;
    if groups.iter().all(Vec::is_empty) {
        return None;
    }
    let mut rng = sample_rng(seed, 0, 0);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn: Vec<f64> = groups
                .iter()
                .flat_map(|group| {
                    group.iter().map(|_| group[rng.usize(..group.len())]).collect::<Vec<_>>()
                })
                .collect();
            interquartile_mean(&drawn)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some([means[DRAWS * 25 / 1000], means[DRAWS * 975 / 1000 - 1]])
}

/// The scores of a random policy and of a human on Atari games, without sticky actions, as published
/// with Nature DQN and used since for the games of Atari 100k (Badia et al., 2020, table of human
/// normalised scores).
const ATARI: [(&str, f64, f64); 6] = [
    ("Alien", 227.8, 7127.7),
    ("Gopher", 257.6, 2412.5),
    ("Jamesbond", 29.0, 302.8),
    ("Riverraid", 1338.5, 17118.0),
    ("Seaquest", 68.4, 42054.7),
    ("UpNDown", 533.4, 11693.2),
];

/// A return on the scale where a random policy has 0 and a human 1; `None` for what no human's score is
/// known of here.
pub fn human_normalised(environment: &str, score: f64) -> Option<f64> {
    let game = environment.strip_prefix("atari:")?;
    let (_, random, human) = ATARI.iter().find(|(name, ..)| name.eq_ignore_ascii_case(game))?;
    Some((score - random) / (human - random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_come_to_their_means() {
        let episodes: Vec<Episode> = [(1.0, 3), (2.0, 5), (3.0, 7), (10.0, 9)]
            .map(|(sum, length)| Episode { sum, length })
            .into();
        let found = Returns::of(&episodes);
        assert_eq!((found.episodes, found.mean, found.length), (4, 4.0, 6.0));
        // sqrt((9 + 4 + 1 + 36) / 3)
        assert!((found.std - 50f64.sqrt() / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(found.interquartile_mean, 2.5);
        assert_eq!(Returns::of(&[]).mean, 0.0);
        assert_eq!(Returns::of(&episodes[..1]).std, 0.0);
    }

    #[test]
    fn a_human_has_1_and_a_random_policy_0() {
        assert_eq!(human_normalised("atari:Alien", 7127.7), Some(1.0));
        assert_eq!(human_normalised("atari:jamesbond", 29.0), Some(0.0));
        assert_eq!(
            (human_normalised("atari:Pong", 1.0), human_normalised("Alien", 1.0)),
            (None, None)
        );
    }

    #[test]
    fn an_interval_holds_the_mean_and_shrinks_with_the_spread() {
        let wide: Vec<f64> = (0..40).map(f64::from).collect();
        let narrow: Vec<f64> = wide.iter().map(|value| 10.0 + value / 100.0).collect();
        let of = |groups: &[&[f64]]| {
            let groups: Vec<Vec<f64>> = groups.iter().map(|group| group.to_vec()).collect();
            interquartile_interval(&groups, 1).unwrap()
        };
        let [low, high] = of(&[&wide]);
        assert!(low < 19.5 && 19.5 < high && high - low > 5.0, "{low} {high}");
        let [low, high] = of(&[&narrow]);
        assert!(high - low < 0.2, "{low} {high}");
        assert_eq!(of(&[&wide]), of(&[&wide]), "the same seed draws the same");
        // Each group keeps its own size: two constant groups have no spread.
        assert_eq!(of(&[&[1.0; 4], &[3.0; 4]]), [2.0, 2.0]);
        assert_eq!(interquartile_interval(&[vec![]], 1), None);
    }
}
