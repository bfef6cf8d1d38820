//! How far points that a network finds are from where they are.

use crate::dataset::landmarks::{Point, Region};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What errors are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalizer {
    /// The larger side of the box; of a picture without one, its own.
    Box,
    /// The distance of two points.
    Between(usize, usize),
}

impl Normalizer {
    /// The word for the first.
    pub const BOX: &str = "box";

    /// What it is, for a reader.
    pub fn text(self, names: &[String]) -> String {
        let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| at.to_string());
        match self {
            Self::Box => "the larger side of the box".to_owned(),
            Self::Between(a, b) => format!("the distance from {} to {}", name(a), name(b)),
        }
    }

    /// Its value in pixels; `None` if it is 0 or one of its points is missing.
    pub fn of(self, points: &[Option<Point>], region: Region) -> Option<f64> {
        let length = match self {
            Self::Box => region.side(),
            Self::Between(a, b) => distance(points[a]?, points[b]?),
        };
        (length > 0.0).then_some(length)
    }
}

/// The distance of two points.
pub fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// What was found on a set of pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LandmarkEvaluation {
    /// Pictures that were measured.
    pub samples: usize,
    /// Those that were left out, since none of their points is known.
    pub unmarked: usize,
    /// Those that were left out, since what errors are divided by is 0 there, or not known.
    pub without_normalizer: usize,
    /// Marked points outside of what the network sees, in all pictures. They count as all others do.
    #[serde(default)]
    pub outside: usize,
    /// What errors are divided by.
    pub normalizer: String,
    /// The mean over pictures of the mean error of a picture's points, divided: NME.
    pub nme: f64,
    /// The mean error of a point, in pixels of its picture.
    pub pixels: f64,
    /// The share of pictures whose error is above 0.08, and above 0.1.
    pub failures: [f64; 2],
    /// The area under the cumulative curve of errors up to 0.08 and 0.1, in parts of these:
    /// the mean of `max(0, 1 - e / t)`.
    pub auc: [f64; 2],
    /// The share of points whose error is at most 0.05, and at most 0.1.
    pub pck: [f64; 2],
    /// Each point.
    pub points: Vec<PointEvaluation>,
    /// The pictures' errors, the smallest first.
    pub errors: Vec<f64>,
    /// A few of the pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<ShownPicture>,
}

/// What was found of one point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointEvaluation {
    /// Its name.
    pub name: String,
    /// Pictures in which it is known.
    pub samples: usize,
    /// Its mean error, divided.
    pub nme: Option<f64>,
    /// In pixels of its picture.
    pub pixels: Option<f64>,
    /// The share of errors that are at most 0.05, and at most 0.1.
    pub pck: Option<[f64; 2]>,
    /// The share of errors that are above 0.08, and above 0.1.
    #[serde(default)]
    pub failures: Option<[f64; 2]>,
}

/// A picture as the network saw it, with the points drawn into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownPicture {
    /// The name of its file.
    pub name: String,
    /// The mean error of its points, divided.
    pub error: Option<f64>,
    /// Height and width.
    pub size: [usize; 2],
    /// Red, green, blue, row by row.
    pub pixels: Vec<u8>,
}

/// Pictures fail whose error is above these.
pub const FAILURE: [f64; 2] = [0.08, 0.1];

/// Points are found whose error is at most these.
pub const FOUND: [f64; 2] = [0.05, 0.1];

/// Gathers errors, picture by picture.
#[derive(Debug)]
pub struct LandmarkMeasures {
    of_points: Vec<Sums>,
    errors: Vec<f64>,
    unmarked: usize,
    without_normalizer: usize,
    /// Marked points outside of what the network sees, which whoever places them adds up.
    pub outside: usize,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    count: usize,
    errors: f64,
    pixels: f64,
    found: [usize; 2],
    failed: [usize; 2],
}

impl LandmarkMeasures {
    /// None yet, of so many points.
    pub fn new(points: usize) -> Self {
        let of_points = vec![Sums::default(); points];
        Self { of_points, errors: vec![], unmarked: 0, without_normalizer: 0, outside: 0 }
    }

    /// Adds a picture: the errors of its points in pixels, `None` where a point is missing, and what
    /// they are divided by. The picture's mean error, divided, if it is measured.
    pub fn add(&mut self, pixels: &[Option<f64>], normalizer: Option<f64>) -> Option<f64> {
        let known: Vec<f64> = pixels.iter().flatten().copied().collect();
        if known.is_empty() {
            self.unmarked += 1;
            return None;
        }
        let Some(length) = normalizer else {
            self.without_normalizer += 1;
            return None;
        };
        for (sums, pixels) in self.of_points.iter_mut().zip(pixels) {
            let Some(pixels) = pixels else { continue };
            let error = pixels / length;
            sums.count += 1;
            sums.errors += error;
            sums.pixels += pixels;
            sums.found.iter_mut().zip(FOUND).for_each(|(n, most)| *n += usize::from(error <= most));
            let failed = sums.failed.iter_mut().zip(FAILURE);
            failed.for_each(|(n, most)| *n += usize::from(error > most));
        }
        let mean = known.iter().sum::<f64>() / known.len() as f64 / length;
        self.errors.push(mean);
        Some(mean)
    }

    /// What was found of points of these names.
    ///
    /// # Errors
    /// If no picture was measured.
    pub fn evaluation(self, names: &[String], normalizer: String) -> Result<LandmarkEvaluation> {
        let Self { of_points, mut errors, unmarked, without_normalizer, outside } = self;
        if errors.is_empty() {
            let problem = format!(
                "no picture can be measured: {unmarked} have no points, and in {without_normalizer} \
                 errors cannot be divided by {normalizer}; see --normalizer"
            );
            return Err(Error::config("task.normalizer", problem));
        }
        errors.sort_by(f64::total_cmp);
        let samples = errors.len();
        let mean = |of: &dyn Fn(f64) -> f64| {
            errors.iter().map(|error| of(*error)).sum::<f64>() / samples as f64
        };
        let all = of_points.iter().fold(Sums::default(), |sum, point| Sums {
            count: sum.count + point.count,
            errors: sum.errors + point.errors,
            pixels: sum.pixels + point.pixels,
            found: [0, 1].map(|k| sum.found[k] + point.found[k]),
            failed: [0, 1].map(|k| sum.failed[k] + point.failed[k]),
        });
        let share = |of: &Sums, k: usize| of.found[k] as f64 / of.count.max(1) as f64;
        let point = |(name, sums): (&String, &Sums)| {
            let of = |value: f64| (sums.count > 0).then(|| value / sums.count as f64);
            PointEvaluation {
                name: name.clone(),
                samples: sums.count,
                nme: of(sums.errors),
                pixels: of(sums.pixels),
                pck: (sums.count > 0).then(|| [0, 1].map(|k| share(sums, k))),
                failures: (sums.count > 0)
                    .then(|| sums.failed.map(|failed| failed as f64 / sums.count as f64)),
            }
        };
        Ok(LandmarkEvaluation {
            samples,
            unmarked,
            without_normalizer,
            outside,
            normalizer,
            nme: mean(&|error| error),
            pixels: all.pixels / all.count.max(1) as f64,
            failures: FAILURE.map(|most| mean(&|error| f64::from(u8::from(error > most)))),
            auc: FAILURE.map(|most| mean(&|error| (1.0 - error / most).max(0.0))),
            pck: [0, 1].map(|k| share(&all, k)),
            points: names.iter().zip(&of_points).map(point).collect(),
            errors: errors.clone(),
            pictures: vec![],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        Region::from_corner([0.0, 0.0, 30.0, 40.0])
    }

    #[test]
    fn numbers_are_those_of_their_formulas() {
        let mut measures = LandmarkMeasures::new(2);
        assert_eq!(measures.add(&[Some(2.0), Some(4.0)], Some(100.0)), Some(0.03));
        assert_eq!(measures.add(&[Some(9.0), None], Some(100.0)), Some(0.09));
        assert_eq!(measures.add(&[None, None], Some(100.0)), None);
        let names = ["a", "b"].map(String::from);
        let found = measures.evaluation(&names, "box".into()).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert_eq!((found.samples, found.unmarked, found.without_normalizer), (2, 1, 0));
        assert!(near(found.nme, 0.06) && near(found.pixels, 5.0));
        assert_eq!((found.failures, found.errors), ([0.5, 0.0], vec![0.03, 0.09]));
        // (1 - 3/8 + 0) / 2 and (1 - 0.3 + 1 - 0.9) / 2.
        assert!(near(found.auc[0], 0.3125) && near(found.auc[1], 0.4));
        assert!(near(found.pck[0], 2.0 / 3.0) && near(found.pck[1], 1.0));
        assert!(near(found.points[0].nme.unwrap(), 0.055));
        assert_eq!((found.points[1].samples, found.points[1].pck), (1, Some([1.0, 1.0])));
        assert_eq!(found.points[0].failures, Some([0.5, 0.0]));
        assert_eq!(found.points[1].failures, Some([0.0, 0.0]));
    }

    /// The area under a curve in steps, as others sum it up, is the exact one in the limit.
    #[test]
    fn the_area_is_that_of_the_curve() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut measures = LandmarkMeasures::new(1);
        let errors: Vec<f64> = (0..300).map(|_| 0.15 * rng.f64()).collect();
        for error in &errors {
            measures.add(&[Some(*error)], Some(1.0));
        }
        let found = measures.evaluation(&["a".to_owned()], String::new()).unwrap();
        let steps = 10_000;
        let share = |x: f64| errors.iter().filter(|e| **e <= x).count() as f64 / 300.0;
        let sum: f64 =
            (0..steps).map(|k| share(0.08 * (f64::from(k) + 0.5) / f64::from(steps))).sum();
        assert!((found.auc[0] - sum / f64::from(steps)).abs() < 1e-3);
    }

    /// PIPNet #28, mmpose PR 813: a profile whose eyes are one point has no distance between them.
    #[test]
    fn a_picture_whose_normalizer_is_0_is_counted_and_left_out() {
        let eyes = Normalizer::Between(0, 1);
        let at = Some([3.0, 4.0]);
        assert_eq!(eyes.of(&[at, at], region()), None);
        assert_eq!(eyes.of(&[at, None], region()), None);
        assert_eq!(eyes.of(&[at, Some([0.0, 0.0])], region()), Some(5.0));
        assert_eq!(Normalizer::Box.of(&[None, None], region()), Some(40.0));
        let mut measures = LandmarkMeasures::new(2);
        measures.add(&[Some(1.0), Some(1.0)], None);
        measures.add(&[Some(1.0), Some(3.0)], Some(10.0));
        let names = ["a", "b"].map(String::from);
        let found = measures.evaluation(&names, eyes.text(&names)).unwrap();
        assert_eq!((found.samples, found.without_normalizer, found.nme), (1, 1, 0.2));
        assert_eq!(found.normalizer, "the distance from a to b");
        assert_eq!(found.points[0].samples, 1);
    }

    #[test]
    fn nothing_to_measure_is_an_error() {
        let mut measures = LandmarkMeasures::new(1);
        measures.add(&[None], Some(1.0));
        let error = measures.evaluation(&["a".to_owned()], "the box".into()).unwrap_err();
        assert!(error.to_string().contains("1 have no points"), "{error}");
    }
}
