//! Steps of training live on the memory of the first. A program of its own: nobody else uses the
//! pool meanwhile.

use zoo_tuning::nn::{Design, Network, Pass};
use zoo_tuning::ops;
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::{Tensor, buffer};

#[test]
fn a_step_takes_little_from_the_system_after_the_first() -> zoo_tuning::Result<()> {
    let design = Design::named("resnet18", 3, 10)?;
    let mut network = Network::<f32>::drawn(&design, 0)?;
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(0.0));
    let images = Tensor::full(&[4, 3, 64, 64], 0.5);
    let mut fresh = Vec::new();
    for _ in 0..4 {
        let before = buffer::usage::<f32>().fresh;
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(images.clone());
        let logits = network.forward(&mut pass, x)?;
        let loss = ops::cross_entropy(pass.tape(), logits, &[0, 1, 2, 3], 0.0)?;
        let step = pass.backward(loss)?;
        optimizer.step(network.parameters_mut(), step, 0.01).unwrap();
        let usage = buffer::usage::<f32>();
        assert!(usage.used + usage.unused <= usage.peak + usage.peak / 8, "{usage:?}");
        fresh.push(usage.fresh - before);
    }
    assert!(fresh[3] <= fresh[0] / 10, "bytes from the system in each step: {fresh:?}");
    let kept = buffer::usage::<f32>().unused;
    buffer::clear::<f32>();
    assert!(kept > 0 && buffer::usage::<f32>().unused == 0);
    Ok(())
}
