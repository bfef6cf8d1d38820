//! L2-SP: the weights stay near those that they began with.

use crate::Result;
use crate::nn::{Id, Network, Pass, Role};
use crate::ops;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::train::{Forward, Penalty};

/// `alpha / 2 |w - w0|^2` over kernels and batch norms, which the network shares with its start
/// (Li, Grandvalet and Davoine, 2018, "Explicit inductive bias for transfer learning with
/// convolutional networks"). The other half of it, `beta / 2 |w|^2` over the fresh classifier, is
/// the head's weight decay.
pub(super) struct L2Sp {
    alpha: f64,
    start: Vec<(Id, Tensor<f32>)>,
}

impl L2Sp {
    /// A distance from the values of `start`.
    pub fn new(alpha: f64, start: &Network<f32>) -> Self {
        let parameters = start.parameters();
        let shared = parameters.ids().filter(|&id| parameters.role(id) == Role::Backbone);
        Self { alpha, start: shared.map(|id| (id, parameters.value(id).clone())).collect() }
    }
}

impl Penalty for L2Sp {
    fn penalty(&mut self, pass: &mut Pass<f32>, _: &Forward) -> Result<Option<Var>> {
        let device = pass.parameters().device();
        let mut parts = Vec::new();
        for (id, start) in &mut self.start {
            *start = start.to(&device)?;
            let (w, w0) = (pass.var(*id), pass.input(start.clone()));
            let mean = ops::mse(pass.tape(), w, w0)?;
            parts.push(ops::scale(pass.tape(), mean, self.alpha / 2.0 * start.len() as f64)?);
        }
        if parts.is_empty() { Ok(None) } else { ops::sum(pass.tape(), &parts).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;

    #[test]
    fn the_gradient_of_l2_sp_is_the_distance_times_alpha() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let mut network = Network::<f32>::drawn(&design, 1).unwrap();
        let mut penalty = L2Sp::new(0.5, &network);
        let [moved, head] =
            ["conv1.weight", "fc.weight"].map(|name| network.parameters().find(name).unwrap());
        for id in [moved, head] {
            let values = network.parameters_mut().value_mut(id).as_mut_slice();
            values.iter_mut().for_each(|v| *v += 0.25);
        }
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(Tensor::full(&[2, 1, 8, 8], 1.0));
        let output = network.forward(&mut pass, x).unwrap();
        let forward = Forward { network: &network, x, output };
        let loss = penalty.penalty(&mut pass, &forward).unwrap().unwrap();
        let count = network.parameters().value(moved).len() as f32;
        let value = pass.value(loss).unwrap().item().unwrap();
        assert!((value - 0.25 * 0.0625 * count).abs() < 1e-4, "{value}");
        let step = pass.backward(loss).unwrap();
        let gradient = step.gradient(moved).unwrap().as_slice();
        assert!(gradient.iter().all(|g| (g - 0.125).abs() < 1e-6), "{:?}", &gradient[..3]);
        assert!(step.gradient(head).is_none(), "the classifier began from nowhere");
    }
}
