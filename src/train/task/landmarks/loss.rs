//! The loss between heat maps, of the points that are there.

use super::codec::{Codec, rescaled};
use crate::dataset::landmarks::Point;
use crate::nn::Pass;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::train::choice::HeatMapLoss;
use crate::{Error, Result, ops};
use rayon::prelude::*;

/// What heat maps `[N, K, H, W]` should be, and which of them count.
pub struct Targets {
    /// The maps.
    pub maps: Tensor<f32>,
    /// For each map, whether its point is there and inside of the image.
    pub count: Vec<bool>,
}

impl Targets {
    /// Of the points of each sample, in pixels of images of `size`, as maps of `sides` `[H, W]`. A point
    /// that is missing, or outside of the image, does not count.
    ///
    /// # Errors
    /// If a sample has not the same number of points as the first.
    pub fn new(
        points: &[Vec<Option<Point>>],
        size: usize,
        sides: [usize; 2],
        codec: Codec,
    ) -> Result<Self> {
        let count = points.first().map_or(0, Vec::len);
        let [height, width] = sides;
        let inside = |point: &Option<Point>| point.filter(|point| is_inside(*point, size));
        let places: Vec<Option<Point>> = points.iter().flatten().map(inside).collect();
        let mut values = vec![0.0; places.len() * height * width];
        let maps = values.par_chunks_mut((height * width).max(1)).zip(&places);
        maps.for_each(|(map, place)| {
            if let Some(place) = place {
                codec.draw(map, sides, rescaled(*place, size, sides));
            }
        });
        let maps = Tensor::new(&[points.len(), count, height, width], values)?;
        Ok(Self { maps, count: places.iter().map(Option::is_some).collect() })
    }

    /// Pixels of a map.
    fn area(&self) -> usize {
        self.maps.len() / self.count.len().max(1)
    }

    /// Maps that count.
    fn counted(&self) -> usize {
        self.count.iter().filter(|counts| **counts).count()
    }

    /// What each value's loss is multiplied by, of the shape of the maps: 0 in maps that do not count;
    /// near a point, 11 if that `is_weighted`; else 1.
    fn weights(&self, is_weighted: bool) -> Result<Tensor<f32>> {
        /// What near a point is, in parts of its peak, and how much more it counts.
        const NEAR: f32 = 0.2;
        const MORE: f32 = 10.0;
        let width = self.maps.shape().last().copied().unwrap_or(1).max(1);
        let height = self.area() / width;
        let mut weights = vec![0.0; self.maps.len()];
        let area = self.area().max(1);
        let maps = weights.par_chunks_mut(area).zip(self.maps.as_slice().par_chunks(area));
        maps.zip(&self.count).for_each(|((weights, map), counts)| {
            if !counts {
                return;
            }
            let near = |at: usize, last: usize| at.saturating_sub(1)..=(at + 1).min(last);
            for (at, weight) in weights.iter_mut().enumerate() {
                let (row, column) = (at / width, at % width);
                let mut around = near(row, height - 1)
                    .flat_map(|row| near(column, width - 1).map(move |column| [row, column]));
                let is_near =
                    is_weighted && around.any(|[row, column]| map[row * width + column] >= NEAR);
                *weight = if is_near { 1.0 + MORE } else { 1.0 };
            }
        });
        Tensor::new(self.maps.shape(), weights)
    }
}

/// Whether a point lies on an image of `size` pixels a side, of which the middle of the first is 0.
pub fn is_inside(point: Point, size: usize) -> bool {
    point.iter().all(|v| (-0.5..size as f64 - 0.5).contains(v))
}

/// The loss between `output` `[N, K, H, W]` and the targets of that name, of shape `[]`.
///
/// # Errors
/// If `output` is of another shape than the targets.
pub fn heat_map_loss(
    pass: &mut Pass<f32>,
    output: Var,
    targets: Targets,
    loss: HeatMapLoss,
) -> Result<Var> {
    match loss {
        HeatMapLoss::Squares => masked_mse(pass, output, targets),
        HeatMapLoss::AdaptiveWing => masked_adaptive_wing(pass, output, targets, false),
        HeatMapLoss::WeightedAdaptiveWing => masked_adaptive_wing(pass, output, targets, true),
    }
}

/// The mean squared error of the maps that count: `sum_k v_k |h_k - t_k|^2 / (sum_k v_k H W)`, where v is
/// 1 for a point that counts, else 0; 0 if there is none.
///
/// # Errors
/// If `output` is of another shape than the targets.
fn masked_mse(pass: &mut Pass<f32>, output: Var, targets: Targets) -> Result<Var> {
    check("masked_mse", pass, output, &targets)?;
    let (area, counted) = (targets.area(), targets.counted());
    let is_masked = counted < targets.count.len();
    let mask = is_masked.then(|| targets.weights(false)).transpose()?;
    let device = pass.parameters().device();
    let target = pass.input(targets.maps.to(&device)?);
    // Where all count, one operation does it.
    let Some(mask) = mask else { return ops::mse(pass.tape(), output, target) };
    let mask = pass.input(mask.to(&device)?);
    let tape = pass.tape();
    let difference = ops::sub(tape, output, target)?;
    let difference = ops::mul(tape, difference, mask)?;
    let squares = ops::mul(tape, difference, difference)?;
    let sum = ops::sum_all(tape, squares)?;
    ops::scale(tape, sum, 1.0 / (counted * area).max(1) as f64)
}

/// The adaptive wing loss (Wang, Bo and Fuxin: Adaptive Wing Loss for Robust Face Alignment via Heatmap
/// Regression, ICCV 2019) of the maps that count: `sum_k v_k sum_i w_ki AWing(h_ki, t_ki) / (sum_k v_k H
/// W)`, where v is 1 for a point that counts, else 0; 0 if there is none. [`ops::adaptive_wing`] has the
/// formula of one value, whose constants are those of the paper.
///
/// `w` is 1; `is_weighted`, it is the paper's weighted loss map `1 + 10 M`, where M is 1 where the largest
/// target of the 3x3 pixels around is 0.2 at least.
///
/// # Errors
/// If `output` is of another shape than the targets.
fn masked_adaptive_wing(
    pass: &mut Pass<f32>,
    output: Var,
    targets: Targets,
    is_weighted: bool,
) -> Result<Var> {
    check("masked_adaptive_wing", pass, output, &targets)?;
    let (area, counted) = (targets.area(), targets.counted());
    let is_needed = is_weighted || counted < targets.count.len();
    let weights = is_needed.then(|| targets.weights(is_weighted)).transpose()?;
    let device = pass.parameters().device();
    let target = targets.maps.to(&device)?;
    let weights = weights.map(|weights| weights.to(&device)).transpose()?;
    let mut losses =
        ops::adaptive_wing(pass.tape(), output, &target, ops::AdaptiveWing::PUBLISHED)?;
    if let Some(weights) = weights {
        let weights = pass.input(weights);
        losses = ops::mul(pass.tape(), losses, weights)?;
    }
    let sum = ops::sum_all(pass.tape(), losses)?;
    ops::scale(pass.tape(), sum, 1.0 / (counted * area).max(1) as f64)
}

/// An error unless there is an output for each value of the targets.
fn check(name: &'static str, pass: &Pass<f32>, output: Var, targets: &Targets) -> Result<()> {
    let (found, shape) = (pass.value(output)?.shape(), targets.maps.shape());
    if found == shape {
        return Ok(());
    }
    Err(Error::shape(name, "output", format!("{shape:?}, a heat map for each point"), found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Network};
    use crate::train::choice::CodecName;

    const CODEC: Codec = Codec { name: CodecName::Subpixel, sigma: 1.0 };

    /// The mean squared error of maps, and its gradient.
    fn loss(maps: &Tensor<f32>, targets: Targets) -> (f32, Tensor<f32>) {
        named(HeatMapLoss::Squares, maps, targets)
    }

    fn named(name: HeatMapLoss, maps: &Tensor<f32>, targets: Targets) -> (f32, Tensor<f32>) {
        let network = Network::drawn(&Design::named("resnet_small", 1, 2).unwrap(), 1).unwrap();
        let mut pass = Pass::train(network.parameters());
        let output = pass.tape().parameter(maps.clone());
        let loss = heat_map_loss(&mut pass, output, targets, name).unwrap();
        let value = pass.value(loss).unwrap().item().unwrap();
        let gradient = pass.tape().backward(loss).unwrap().take(output).unwrap();
        (value, gradient)
    }

    fn maps(shape: &[usize]) -> Tensor<f32> {
        Tensor::normal(shape, 1.0, &mut fastrand::Rng::with_seed(4))
    }

    /// mmpose PR 328, mmfashion #36: a missing point does not enter.
    #[test]
    fn only_points_that_are_there_count() {
        let points = vec![vec![Some([1.0, 2.0]), None], vec![Some([3.0, 3.0]), Some([0.0, 1.0])]];
        let targets = || Targets::new(&points, 4, [4, 4], CODEC).unwrap();
        assert_eq!(targets().count, [true, false, true, true]);
        let maps = maps(&[2, 2, 4, 4]);
        let (value, gradient) = loss(&maps, targets());
        let pairs = maps.as_slice().iter().zip(targets().maps.as_slice().to_vec());
        let differences: Vec<f32> = pairs.map(|(h, t)| h - t).collect();
        let counts = |at: &usize| at / 16 != 1;
        let sum: f32 = (0..64).filter(counts).map(|at| differences[at].powi(2)).sum();
        assert!((value - sum / 48.0).abs() < 1e-6, "{value}");
        for (at, (found, difference)) in gradient.as_slice().iter().zip(&differences).enumerate() {
            let expected = if counts(&at) { 2.0 * difference / 48.0 } else { 0.0 };
            assert!((found - expected).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn where_all_points_are_missing_the_loss_is_0() {
        let targets = Targets::new(&[vec![None, None]], 4, [4, 4], CODEC).unwrap();
        let (value, gradient) = loss(&maps(&[1, 2, 4, 4]), targets);
        assert_eq!(value, 0.0);
        assert!(gradient.as_slice().iter().all(|v| *v == 0.0));
        for name in [HeatMapLoss::AdaptiveWing, HeatMapLoss::WeightedAdaptiveWing] {
            let targets = Targets::new(&[vec![None, None]], 4, [4, 4], CODEC).unwrap();
            let (value, gradient) = named(name, &maps(&[1, 2, 4, 4]), targets);
            assert_eq!(value, 0.0);
            assert!(gradient.as_slice().iter().all(|v| *v == 0.0));
        }
    }

    /// The formula of the paper, value by value, of maps that count; and its weighted loss map.
    #[test]
    fn adaptive_wing_leaves_out_what_the_squares_leave_out() {
        let awing = |h: f32, t: f32| {
            let (d, power) = ((h - t).abs(), 2.1 - t);
            if d < 0.5 {
                return 14.0 * (1.0 + d.powf(power)).ln();
            }
            let ratio = 0.5f32.powf(power);
            let slope = 14.0 / (1.0 + ratio) * power * 0.5f32.powf(power - 1.0);
            slope * d - (0.5 * slope - 14.0 * (1.0 + ratio).ln())
        };
        let points = vec![vec![Some([1.0, 2.0]), None], vec![Some([6.0, 6.0]), Some([0.0, 1.0])]];
        let targets = || Targets::new(&points, 8, [8, 8], CODEC).unwrap();
        let drawn = maps(&[2, 2, 8, 8]);
        let expected = targets().maps.as_slice().to_vec();
        let near = |at: usize| {
            let (map, row, column) = (at / 64, at / 8 % 8, at % 8);
            (0..64).any(|other| {
                let is_around = row.abs_diff(other / 8) <= 1 && column.abs_diff(other % 8) <= 1;
                is_around && expected[map * 64 + other] >= 0.2
            })
        };
        for (name, more) in
            [(HeatMapLoss::AdaptiveWing, 0.0), (HeatMapLoss::WeightedAdaptiveWing, 10.0)]
        {
            let (value, gradient) = named(name, &drawn, targets());
            let of = |at: usize| {
                let weight = if near(at) { 1.0 + more } else { 1.0 };
                weight * awing(drawn.as_slice()[at], expected[at])
            };
            let sum: f32 = (0..256).filter(|at| at / 64 != 1).map(of).sum();
            assert!((value - sum / 192.0).abs() < 1e-4 * value, "{value} {}", sum / 192.0);
            for (at, found) in gradient.as_slice().iter().enumerate() {
                assert_eq!(*found == 0.0, at / 64 == 1, "{at}");
            }
        }
        assert!((0..64).filter(|at| near(*at)).count() < 40, "not all of a map is near its point");
    }

    /// HRNet's `generate_target` leaves zeros to be learnt there.
    #[test]
    fn a_point_outside_of_the_image_does_not_count() {
        let points = vec![vec![Some([-0.6, 2.0]), Some([-0.4, 2.0]), Some([2.0, 7.5])]];
        let targets = Targets::new(&points, 8, [2, 2], CODEC).unwrap();
        assert_eq!(targets.count, [false, true, false]);
    }

    #[test]
    fn an_output_that_is_no_heat_map_is_an_error() {
        let network = Network::drawn(&Design::named("resnet_small", 1, 2).unwrap(), 1).unwrap();
        let mut pass = Pass::train(network.parameters());
        let output = pass.input(Tensor::zeros(&[1, 2]));
        let targets = Targets::new(&[vec![None, None]], 4, [4, 4], CODEC).unwrap();
        let error = masked_mse(&mut pass, output, targets).unwrap_err().to_string();
        assert!(error.contains("[1, 2, 4, 4], a heat map for each point"), "{error}");
    }
}
