//! The settings of landmarks in the table `[task]`, and what they come to for points of given names.

use super::codec::Codec;
use super::metrics::Normalizer;
use crate::dataset::landmarks::{Annotations, Crops, Variation};
use crate::train::Input;
use crate::train::choice::{CodecName, HeatMapLoss};
use crate::train::config::within;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};

/// The settings of the task, beside its `name` in the table `[task]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LandmarksConfig {
    /// How points become heat maps, and are found in them.
    pub codec: CodecName,
    /// Standard deviation of a point's Gaussian, in pixels of the heat map.
    pub sigma: f64,
    /// What is made small between heat maps.
    pub loss: HeatMapLoss,
    /// What errors are divided by: the distance of two points, or `box`.
    #[serde(deserialize_with = "one_or_several")]
    pub normalizer: Vec<String>,
    /// Points that change places in a mirror.
    pub flip_pairs: Vec<[String; 2]>,
    /// The share of pictures that are mirrored; a half where there are pairs, else none.
    pub flip: Option<f64>,
    /// The side of what is looked at, in parts of the box's larger side.
    pub box_factor: f64,
    /// By how much that side changes at random.
    pub scale: f64,
    /// By how many degrees a picture is turned at most.
    pub rotation: f64,
    /// The share of pictures that are turned.
    pub rotation_share: f64,
    /// How far the middle moves, in parts of the side.
    pub shift: f64,
    /// By how much values change.
    pub brightness: f64,
    /// By how much their distances from the mean change.
    pub contrast: f64,
    /// Pairs of points that are drawn with a line between them.
    pub skeleton: Vec<[String; 2]>,
}

/// The recipe of HRNet-Facial-Landmark-Detection, but for its codec.
impl Default for LandmarksConfig {
    fn default() -> Self {
        Self {
            codec: CodecName::Subpixel,
            sigma: 1.5,
            loss: HeatMapLoss::Squares,
            normalizer: vec![Normalizer::BOX.to_owned()],
            flip_pairs: vec![],
            flip: None,
            box_factor: 1.25,
            scale: 0.25,
            rotation: 30.0,
            rotation_share: 0.6,
            shift: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            skeleton: vec![],
        }
    }
}

/// A list of texts, or one alone.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::Several(several) => several,
    })
}

/// What the settings come to for points of given names; what a network's file keeps of its task.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheme {
    /// The names of the points.
    pub names: Vec<String>,
    /// How points become heat maps, and are found in them.
    pub codec: Codec,
    /// What errors are divided by.
    pub normalizer: Normalizer,
    /// For each point, the one that it becomes in a mirror.
    pub partners: Vec<usize>,
    /// Pairs of points that are drawn with a line between them.
    pub skeleton: Vec<[usize; 2]>,
    /// The side of what is looked at, in parts of the box's larger side.
    pub box_factor: f64,
}

impl Scheme {
    /// Pictures as a network sees them that takes `input`.
    ///
    /// # Errors
    /// If that sees no pictures.
    pub fn crops(&self, annotations: Annotations, input: &Input) -> Result<Crops> {
        Ok(Crops::new(annotations, input.reading()?, input.size, self.box_factor))
    }
}

impl LandmarksConfig {
    /// An error unless every value has a meaning.
    pub(in crate::train) fn check(&self) -> Result<()> {
        within("task.sigma", self.sigma, 0.1, 100.0)?;
        within("task.box_factor", self.box_factor, 0.1, 10.0)?;
        within("task.scale", self.scale, 0.0, 0.9)?;
        within("task.rotation", self.rotation, 0.0, 180.0)?;
        within("task.shift", self.shift, 0.0, 1.0)?;
        within("task.brightness", self.brightness, 0.0, 1.0)?;
        within("task.contrast", self.contrast, 0.0, 1.0)?;
        within("task.rotation_share", self.rotation_share, 0.0, 1.0)?;
        within("task.flip", self.flip.unwrap_or(0.0), 0.0, 1.0)
    }

    /// How training pictures are changed at random.
    pub fn variation(&self) -> Variation {
        let usual = if self.flip_pairs.is_empty() { 0.0 } else { 0.5 };
        let Self { scale, rotation, rotation_share, shift, flip, .. } = *self;
        Variation { scale, rotation, rotation_share, shift, flip: flip.unwrap_or(usual) }
    }

    /// What the settings come to for points of these names.
    ///
    /// # Errors
    /// If a name or number is no point's, a point is in two pairs, or a pair is of one point.
    pub fn scheme(&self, names: &[String]) -> Result<Scheme> {
        let number = |key: &str, name: &String| {
            Annotations::number(names, name).ok_or_else(|| {
                let problem = format!("there is no point {name:?}; there are {}", names.join(", "));
                Error::config(key, problem)
            })
        };
        let pair = |key: &str, [a, b]: &[String; 2]| Ok([number(key, a)?, number(key, b)?]);
        let key = "task.normalizer";
        let normalizer = match &self.normalizer[..] {
            [one] if one == Normalizer::BOX => Normalizer::Box,
            [a, b] => match [number(key, a)?, number(key, b)?] {
                [a, b] if a == b => {
                    return Err(Error::config(key, "needs two points, not one twice"));
                }
                [a, b] => Normalizer::Between(a, b),
            },
            _ => {
                let problem = "should be box, or two points whose distance errors are divided by";
                return Err(Error::config(key, problem));
            }
        };
        let key = "task.flip_pairs";
        let mut partners: Vec<usize> = (0..names.len()).collect();
        for names in &self.flip_pairs {
            let [a, b] = pair(key, names)?;
            if a == b || partners[a] != a || partners[b] != b {
                let problem = format!(
                    "{} and {} should be two points of no other pair; what lies on the axis is left out",
                    names[0], names[1]
                );
                return Err(Error::config(key, problem));
            }
            (partners[a], partners[b]) = (b, a);
        }
        let skeleton = self.skeleton.iter().map(|line| pair("task.skeleton", line));
        Ok(Scheme {
            names: names.to_vec(),
            codec: Codec { name: self.codec, sigma: self.sigma },
            normalizer,
            partners,
            skeleton: skeleton.collect::<Result<_>>()?,
            box_factor: self.box_factor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["left", "right", "nose"].map(String::from).to_vec()
    }

    fn pairs(pairs: &[[&str; 2]]) -> Vec<[String; 2]> {
        pairs.iter().map(|pair| pair.map(str::to_owned)).collect()
    }

    #[test]
    fn points_are_meant_by_name_or_number() {
        let settings = LandmarksConfig {
            normalizer: vec!["left".into(), "2".into()],
            flip_pairs: pairs(&[["1", "left"]]),
            ..LandmarksConfig::default()
        };
        let scheme = settings.scheme(&names()).unwrap();
        assert_eq!(scheme.normalizer, Normalizer::Between(0, 2));
        assert_eq!(scheme.partners, [1, 0, 2]);
        assert_eq!(
            (settings.variation().flip, LandmarksConfig::default().variation().flip),
            (0.5, 0.0)
        );
    }

    #[test]
    fn what_means_no_point_is_an_error() {
        let problem =
            |settings: LandmarksConfig| settings.scheme(&names()).unwrap_err().to_string();
        let of = |flip_pairs| LandmarksConfig { flip_pairs, ..LandmarksConfig::default() };
        let text = problem(of(pairs(&[["left", "tail"]])));
        assert_eq!(
            text,
            "task.flip_pairs: there is no point \"tail\"; there are left, right, nose"
        );
        for twice in [pairs(&[["0", "1"], ["1", "2"]]), pairs(&[["2", "nose"]])] {
            assert!(problem(of(twice)).contains("two points of no other pair"));
        }
        for normalizer in [vec!["nose"], vec!["nose", "nose"], vec!["a", "b", "c"]] {
            let normalizer = normalizer.into_iter().map(String::from).collect();
            let text = problem(LandmarksConfig { normalizer, ..LandmarksConfig::default() });
            assert!(text.starts_with("task.normalizer"), "{text}");
        }
    }

    #[test]
    fn a_normalizer_may_be_written_alone() {
        let read = |text: &str| toml::from_str::<LandmarksConfig>(text).unwrap().normalizer;
        assert_eq!(read("normalizer = 'box'"), ["box"]);
        assert_eq!(read("normalizer = ['36', '45']"), ["36", "45"]);
    }
}
