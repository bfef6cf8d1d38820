//! Torchvision's ResNets and ours, on the same weights and images.
//!
//! ```text
//! python tests/golden/torchvision_by_hand.py FOLDER    # needs PyTorch; see its first lines
//! cargo run --release --example against_torchvision -- FOLDER
//! ```

use zoo_tuning::nn::{Architecture, Blueprint, Form, Network, Pass};
use zoo_tuning::tensor::State;
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| {
        Error::argument("against_torchvision", "give the folder that torchvision_by_hand.py wrote")
    })?;
    for name in ["resnet18", "resnet34", "resnet50"] {
        let read = |file: String| -> Result<State<f32>> {
            State::mapped(&Checkpoint::open(format!("{folder}/{file}.safetensors"))?)
        };
        let (state, golden) = (read(name.to_owned())?, read(format!("{name}.logits"))?);
        let architecture = Architecture::of(name, &state)?;
        let network = Blueprint { architecture, form: Form::Plain, sources: 1 }.build(&state)?;
        for (mode, mut pass) in [
            ("evaluation", Pass::evaluate(network.parameters())),
            ("training", Pass::train(network.parameters())),
        ] {
            let x = pass.input(golden.get("images")?.clone());
            let y = network.forward(&mut pass, x)?;
            let error = golden.get(mode)?.relative_difference(pass.value(y)?)?;
            println!("{name}, {mode}: {error:.1e} of the largest logit");
            assert!(error <= 1e-4, "{name}, {mode}");
        }
    }
    Ok(())
}
