//! The loss between heat maps, of the points that are there.

use super::codec::{Codec, rescaled};
use crate::dataset::landmarks::Point;
use crate::nn::Pass;
use crate::tape::Var;
use crate::tensor::Tensor;
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
        let within = -0.5..size as f64 - 0.5;
        let is_inside = |point: &Point| point.iter().all(|v| within.contains(v));
        let places: Vec<Option<Point>> =
            points.iter().flatten().map(|point| point.filter(is_inside)).collect();
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
}

/// The mean squared error of the maps that count: `sum_k v_k |h_k - t_k|^2 / (sum_k v_k H W)`, where v is
/// 1 for a point that counts, else 0; 0 if there is none.
///
/// # Errors
/// If `output` is of another shape than the targets.
pub fn masked_mse(pass: &mut Pass<f32>, output: Var, targets: Targets) -> Result<Var> {
    let Targets { maps, count } = targets;
    let shape = maps.shape().to_vec();
    let found = pass.value(output)?.shape();
    if found != shape {
        let expected = format!("{shape:?}, a heat map for each point");
        return Err(Error::shape("masked_mse", "output", expected, found));
    }
    let device = pass.parameters().device();
    let area = maps.len() / count.len().max(1);
    let counted = count.iter().filter(|counts| **counts).count();
    let of_map = |counts: &bool| std::iter::repeat_n(f32::from(u8::from(*counts)), area);
    let mask = (counted < count.len())
        .then(|| Tensor::new(&shape, count.iter().flat_map(of_map).collect()))
        .transpose()?;
    let target = pass.input(maps.to(&device)?);
    let Some(mask) = mask else { return ops::mse(pass.tape(), output, target) };
    let mask = pass.input(mask.to(&device)?);
    let tape = pass.tape();
    let difference = ops::sub(tape, output, target)?;
    let difference = ops::mul(tape, difference, mask)?;
    let squares = ops::mul(tape, difference, difference)?;
    let sum = ops::sum_all(tape, squares)?;
    ops::scale(tape, sum, 1.0 / (counted * area).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Network};
    use crate::train::choice::CodecName;

    const CODEC: Codec = Codec { name: CodecName::Subpixel, sigma: 1.0 };

    /// The loss of maps, and its gradient.
    fn loss(maps: &Tensor<f32>, targets: Targets) -> (f32, Tensor<f32>) {
        let network = Network::drawn(&Design::named("resnet_small", 1, 2).unwrap(), 1).unwrap();
        let mut pass = Pass::train(network.parameters());
        let output = pass.tape().parameter(maps.clone());
        let loss = masked_mse(&mut pass, output, targets).unwrap();
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
