//! DELTA: the last feature maps stay near those of the network before its first step.

use crate::nn::{Id, Network, Pass};
use crate::processes::Share;
use crate::start::{Labelled, channel_attention};
use crate::tape::Var;
use crate::tensor::{Device, Tensor};
use crate::train::{Forward, Penalty};
use crate::{Result, ops};

/// `alpha / (2 N) sum_n sum_j w_j |F_j(x_n) - F0_j(x_n)|^2 / (H W)`, where `F` `[N, C, H, W]` is the
/// last map before the head, and `F0` that of the network before its first step (Li et al., 2019,
/// "DELTA: deep learning transfer using feature map with attention for convolutional networks").
/// With attention `w_j` is C times its weight of the channel, see [`channel_attention`]; without,
/// 1.
///
/// Batch norms of both networks use the statistics of the batch, so that the distance is 0 at first.
/// `F0` costs one forward pass a step.
pub(super) struct Delta {
    alpha: f64,
    start: Network<f32>,
    /// With attention.
    weights: Option<Vec<f64>>,
}

impl Delta {
    /// A distance from the maps of `start`; channels are weighed by `labelled` samples, if there are
    /// some.
    pub fn new(
        alpha: f64,
        start: Network<f32>,
        labelled: Option<impl IntoIterator<Item = Labelled>>,
    ) -> Result<Self> {
        let weights = labelled.map(|samples| channel_attention(&start, samples)).transpose()?;
        Ok(Self { alpha, start, weights })
    }

    /// The map of the start for the images `x`, through the same sources if they are routed.
    fn map(
        &mut self,
        x: Tensor<f32>,
        routes: Option<Vec<usize>>,
        share: Option<Share>,
        device: &Device,
    ) -> Result<Tensor<f32>> {
        self.start.parameters_mut().to(device)?;
        let parameters = self.start.parameters();
        let mut pass = Pass::train(parameters).freeze(&parameters.ids().collect::<Vec<Id>>());
        if let Some(routes) = routes {
            pass = pass.give_routes(&routes);
        }
        if let Some(share) = share {
            pass = pass.together(share);
        }
        let x = pass.input(x);
        self.start.forward(&mut pass, x)?;
        let map = self.start.last_map(&mut pass)?;
        pass.value(map).cloned()
    }
}

impl Penalty for Delta {
    fn penalty(&mut self, pass: &mut Pass<f32>, forward: &Forward) -> Result<Option<Var>> {
        let device = pass.parameters().device();
        let (x, share) = (pass.value(forward.x)?.clone(), pass.share().cloned());
        let start = self.map(x, pass.routes(), share, &device)?;
        let [count, channels, height, width] = start.dims("delta", "map", "[N, C, H, W]")?;
        let weight = |j: usize| self.weights.as_ref().map_or(1.0, |w| channels as f64 * w[j]);
        let weights = (0..channels).map(|j| weight(j) as f32).collect();
        let weights = pass.input(Tensor::new(&[channels], weights)?.to(&device)?);
        let (now, start) = (forward.network.last_map(pass)?, pass.input(start));
        let tape = pass.tape();
        let change = ops::sub(tape, now, start)?;
        let squares = ops::mul(tape, change, change)?;
        let of_channels = ops::sum_axes(tape, squares, &[0, 2, 3])?;
        let weighted = ops::mul(tape, of_channels, weights)?;
        let sum = ops::sum_all(tape, weighted)?;
        ops::scale(tape, sum, self.alpha / (2 * count * height * width) as f64).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;

    /// The penalty of a network whose last batch norm was moved by `shift` in channel 0, and the
    /// gradient of that.
    fn moved(weights: Option<Vec<f64>>, shift: f32) -> (f32, f32) {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let start = Network::<f32>::drawn(&design, 1).unwrap();
        let mut network = Network::<f32>::drawn(&design, 1).unwrap();
        let bias = network.parameters().find("layer3.0.bn2.bias").unwrap();
        network.parameters_mut().value_mut(bias).as_mut_slice()[0] += shift;
        let mut penalty = Delta { alpha: 0.5, start, weights };
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(Tensor::normal(&[4, 1, 8, 8], 1.0, &mut fastrand::Rng::with_seed(2)));
        let output = network.forward(&mut pass, x).unwrap();
        let forward = Forward { network: &network, x, output };
        let loss = penalty.penalty(&mut pass, &forward).unwrap().unwrap();
        let value = pass.value(loss).unwrap().item().unwrap();
        let step = pass.backward(loss).unwrap();
        (value, step.gradient(bias).unwrap().as_slice()[0])
    }

    #[test]
    fn delta_is_half_the_mean_square_of_what_changed_in_the_last_map() {
        assert_eq!(moved(None, 0.0), (0.0, 0.0));
        // So high that the rectifier behind lets all of the change through: 5 of it, at least.
        let (value, gradient) = moved(None, 1000.0);
        assert!((value / (0.25 * 1e6) - 1.0).abs() < 1e-2, "{value}");
        assert!((gradient / 500.0 - 1.0).abs() < 1e-2, "{gradient}");
        // Only channel 0 has changed, and counts 64 times its weight.
        let attention = (0..64).map(|j| if j == 0 { 0.5 } else { 0.5 / 63.0 }).collect();
        let (weighted, _) = moved(Some(attention), 1000.0);
        assert!((weighted / value - 32.0).abs() < 1e-3, "{weighted}");
    }
}
