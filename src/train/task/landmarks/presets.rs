//! Settings of published sets of faces, as in HRNet-Facial-Landmark-Detection and mmpose, whose pairs
//! are the same.

use std::fmt::Write;

/// A published set of faces.
pub struct FacePreset {
    /// `box`, or the outer corners of the eyes.
    normalizer: &'static str,
    sigma: f64,
    learning_rate: &'static str,
    /// Points that change places in a mirror.
    pairs: &'static [[usize; 2]],
}

impl FacePreset {
    /// 300W. Its normalizer is the distance of the outer corners of the eyes.
    #[rustfmt::skip]
    pub const W300: Self = Self {
        normalizer: "['36', '45']",
        sigma: 1.0,
        learning_rate: "1e-4",
        pairs: &[
            [0, 16], [1, 15], [2, 14], [3, 13], [4, 12], [5, 11], [6, 10], [7, 9], [17, 26], [18, 25],
            [19, 24], [20, 23], [21, 22], [31, 35], [32, 34], [36, 45], [37, 44], [38, 43], [39, 42],
            [40, 47], [41, 46], [48, 54], [49, 53], [50, 52], [55, 59], [56, 58], [60, 64], [61, 63],
            [65, 67],
        ],
    };

    /// WFLW; its normalizer as that of 300W.
    #[rustfmt::skip]
    pub const WFLW: Self = Self {
        normalizer: "['60', '72']",
        sigma: 1.5,
        learning_rate: "1e-4",
        pairs: &[
            [0, 32], [1, 31], [2, 30], [3, 29], [4, 28], [5, 27], [6, 26], [7, 25], [8, 24], [9, 23],
            [10, 22], [11, 21], [12, 20], [13, 19], [14, 18], [15, 17], [33, 46], [34, 45], [35, 44],
            [36, 43], [37, 42], [38, 50], [39, 49], [40, 48], [41, 47], [55, 59], [56, 58], [60, 72],
            [61, 71], [62, 70], [63, 69], [64, 68], [65, 75], [66, 74], [67, 73], [76, 82], [77, 81],
            [78, 80], [83, 87], [84, 86], [88, 92], [89, 91], [93, 95], [96, 97],
        ],
    };

    /// COFW. Its points 8 and 9 are outer corners of the eyes too; the pupils are 16 and 17.
    #[rustfmt::skip]
    pub const COFW: Self = Self {
        normalizer: "['8', '9']",
        sigma: 1.5,
        learning_rate: "1e-4",
        pairs: &[
            [0, 1], [2, 3], [4, 6], [5, 7], [8, 9], [10, 11], [12, 14], [13, 15], [16, 17], [18, 19],
            [22, 23],
        ],
    };

    /// AFLW, whose normalizer is the side of the face's box.
    #[rustfmt::skip]
    pub const AFLW: Self = Self {
        normalizer: "'box'",
        sigma: 1.5,
        learning_rate: "2e-4",
        pairs: &[
            [0, 5], [1, 4], [2, 3], [6, 11], [7, 10], [8, 9], [12, 14], [15, 17],
        ],
    };

    /// The keys that it sets, as TOML.
    pub fn text(&self) -> String {
        let Self { normalizer, sigma, learning_rate, pairs, .. } = self;
        let mut text = format!(
            "[task]\nname = 'landmarks'\nsigma = {sigma:?}\nnormalizer = {normalizer}\nflip_pairs = ["
        );
        for [a, b] in *pairs {
            let _ = write!(text, "['{a}', '{b}'],");
        }
        let _ = write!(
            text,
            "]\n[optimizer]\nrule = 'adam'\nlearning_rate = {learning_rate}\nweight_decay = 0.0\n\
             batch = 16\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Config;
    use crate::train::choice::Preset;
    use crate::train::config::TaskConfig;

    /// As in the experiment files of HRNet-Facial-Landmark-Detection: 300W has the narrower Gaussians,
    /// AFLW the higher rate.
    #[test]
    fn sigma_and_rate_are_those_of_each_set() {
        let sets = [
            (Preset::W300, 1.0, 1e-4, &["36", "45"][..]),
            (Preset::Wflw, 1.5, 1e-4, &["60", "72"]),
            (Preset::Cofw, 1.5, 1e-4, &["8", "9"]),
            (Preset::Aflw, 1.5, 2e-4, &["box"]),
        ];
        for (preset, sigma, rate, normalizer) in sets {
            let asked = format!(
                "preset = '{}'\n[method]\nform = 'scratch'\narchitecture = 'hrnet_w18'\n\
                 [data]\npath = 'faces'",
                preset.name()
            );
            let flags = asked.parse().unwrap();
            let config = Config::layered("", toml::Table::new(), flags).unwrap();
            let TaskConfig::Landmarks(settings) = config.task else { panic!("landmarks") };
            assert_eq!((settings.sigma, &settings.normalizer[..]), (sigma, &*texts(normalizer)));
            let optimizer = config.optimizer;
            assert_eq!((optimizer.learning_rate, optimizer.batch), (rate, 16), "{}", preset.name());
        }
    }

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    /// HRNet-Facial-Landmark-Detection #12, DeepLabCut PR 1805: pairs that are off by one. What lies on
    /// the axis is as listed for each set.
    #[test]
    fn pairs_are_an_involution_and_leave_the_axis_alone() {
        let sets: [(FacePreset, usize, usize, &[usize]); 4] = [
            (FacePreset::W300, 68, 29, &[8, 27, 28, 29, 30, 33, 51, 57, 62, 66]),
            (FacePreset::WFLW, 98, 44, &[16, 51, 52, 53, 54, 57, 79, 85, 90, 94]),
            (FacePreset::COFW, 29, 11, &[20, 21, 24, 25, 26, 27, 28]),
            (FacePreset::AFLW, 19, 8, &[13, 16, 18]),
        ];
        for (set, points, count, axis) in sets {
            assert_eq!(set.pairs.len(), count);
            let mut seen = vec![0; points];
            set.pairs.iter().flatten().for_each(|point| seen[*point] += 1);
            axis.iter().for_each(|point| seen[*point] += 1);
            assert!(seen.iter().all(|times| *times == 1), "{seen:?}");
        }
    }
}
