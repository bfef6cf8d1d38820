//! A plain network of any checkpoint against logits that another program computed.
//!
//! ```text
//! cargo run --release --example logits -- resnet18.pth io.safetensors
//! ```
//!
//! The second file holds `images` `[N, C, H, W]` and `logits` `[N, classes]`; printed is the
//! largest difference over the largest logit. The network is told by its tensors' names.

use zoo_tuning::nn::{Pass, open_network};
use zoo_tuning::tensor::State;
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, expected] = &arguments[..] else {
        return Err(Error::argument(
            "logits",
            "give a checkpoint, and a file of images and logits",
        ));
    };
    let network = open_network::<f32>(network, None)?;
    let expected = State::mapped(&Checkpoint::open(expected)?)?;
    let mut pass = Pass::evaluate(network.parameters());
    let images = pass.input(expected.get("images")?.clone());
    let logits = network.forward(&mut pass, images)?;
    println!("{:e}", expected.get("logits")?.relative_difference(pass.value(logits)?)?);
    Ok(())
}
