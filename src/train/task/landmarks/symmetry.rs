//! Whether pairs of points fit the pictures: in a mirror, the mean shape lies on itself.

use super::metrics::distance;
use crate::dataset::landmarks::{Annotations, Point};

/// What is wrong with pairs, for a reader: points whose place in the mirrored mean shape is far from that
/// of their partner, and near that of another.
///
/// Of each picture whose points are all known, the shape is centred and divided by its size.
pub fn doubts(annotations: &Annotations, partners: &[usize]) -> Vec<String> {
    let names = &annotations.names;
    let mut mean = vec![[0.0; 2]; names.len()];
    let mut count = 0;
    for picture in &annotations.pictures {
        let points: Option<Vec<Point>> = picture.points.iter().copied().collect();
        let Some(shape) = points.and_then(|points| standardised(&points)) else { continue };
        mean.iter_mut().zip(shape).for_each(|(sum, [x, y])| *sum = [sum[0] + x, sum[1] + y]);
        count += 1;
    }
    if count == 0 {
        return vec![];
    }
    let mean: Vec<Point> =
        mean.into_iter().map(|at| at.map(|sum| sum / f64::from(count))).collect();
    let doubt = |(at, &partner): (usize, &usize)| {
        let mirrored = [-mean[at][0], mean[at][1]];
        let far = |other: usize| distance(mirrored, mean[other]);
        let nearest = (0..mean.len()).min_by(|&a, &b| far(a).total_cmp(&far(b)))?;
        // Shapes are not quite symmetric, and points lie close together.
        let is_wrong = far(partner) > 0.3 && far(nearest) < 0.5 * far(partner);
        is_wrong.then(|| {
            let [own, partner, nearest] = [at, partner, nearest].map(|at| &names[at]);
            let as_pair = if own == partner { "itself".to_owned() } else { partner.clone() };
            format!("task.flip_pairs: mirrored, {own} lies on {nearest} rather than on {as_pair}")
        })
    };
    partners.iter().enumerate().filter_map(doubt).collect()
}

/// Centred, and divided by the root of the mean square of the distances from the middle.
fn standardised(points: &[Point]) -> Option<Vec<Point>> {
    let count = points.len() as f64;
    let middle = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / count);
    let square = points.iter().map(|point| distance(*point, middle).powi(2)).sum::<f64>() / count;
    let size = square.sqrt();
    let of = |point: &Point| [0, 1].map(|axis| (point[axis] - middle[axis]) / size);
    (size > 0.0).then(|| points.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HRNet-Facial-Landmark-Detection #12, Lightning Pose PR 446: a wrong pair is told by the data.
    #[test]
    fn a_mean_shape_lies_on_its_mirror_if_pairs_are_right() {
        let names = ["left_eye", "right_eye", "nose", "left_ear", "right_ear"].map(String::from);
        let mut rng = fastrand::Rng::with_seed(3);
        let shape = [[-2.0, -1.0], [2.0, -1.0], [0.0, 1.0], [-4.0, 0.0], [4.0, 0.0]];
        let pictures = (0..20).map(|_| ("a.png".into(), None)).collect();
        let mut made = Annotations::unmarked(&names, pictures);
        for picture in &mut made.pictures {
            let near = |v: f64, rng: &mut fastrand::Rng| Some(v + 0.2 * rng.f64());
            let jittered = shape.map(|[x, y]| Some([near(x, &mut rng)?, near(y, &mut rng)?]));
            picture.points = jittered.to_vec();
        }
        made.pictures[3].points[1] = None;
        assert!(doubts(&made, &[1, 0, 2, 4, 3]).is_empty());
        let wrong = doubts(&made, &[3, 4, 2, 0, 1]);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong[0].ends_with("mirrored, left_eye lies on right_eye rather than on left_ear"));
        let none = doubts(&made, &[0, 1, 2, 4, 3]);
        assert!(none[0].ends_with("left_eye lies on right_eye rather than on itself"), "{none:?}");
    }
}
