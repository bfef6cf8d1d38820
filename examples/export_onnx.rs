//! Write a network as an ONNX model, which other programs run; read it back as a checkpoint; and
//! compare. What the network answers is written beside the model, for
//! `tests/formats/check_onnx.py` to compare with ONNX Runtime.
//!
//! ```text
//! cargo run --release --example export_onnx
//! cargo run --release --example export_onnx -- FOLDER resnet18 resnet50   # with drawn weights
//! cargo run --release --example export_onnx -- FOLDER all                 # every architecture
//! ```

use std::path::{Path, PathBuf};
use zoo_tuning::export::{write_onnx, write_safetensors};
use zoo_tuning::nn::{Blueprint, Design, Network, Parameters, Pass, architectures, open_network};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| PathBuf::from("target/onnx"), PathBuf::from);
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;

    // A network of the repository, with all that its file says of it.
    let source = "data/zoo/as_is.safetensors";
    let metadata = Checkpoint::open(source)?.metadata().clone();
    export(&folder, &open_network(source, None)?, 16, &metadata)?;

    // Larger ones.
    let mut names: Vec<String> = arguments.collect();
    if names == ["all"] {
        names = architectures::names();
    }
    for name in names {
        let design = Design::named(&name, 3, 1000)?;
        let mut network = Network::drawn(&design, 1)?;
        draw(network.parameters_mut(), design.architecture().head());
        let [_, size] = design.architecture().usual_sizes();
        export(&folder, &network, size, &network.blueprint().to_metadata())?;
    }
    Ok(())
}

/// Writes the network, and what it answers for two images of that height and width.
fn export(
    folder: &Path,
    network: &Network<f32>,
    size: usize,
    metadata: &std::collections::BTreeMap<String, String>,
) -> Result<()> {
    let (name, channels) = (network.design().name(), network.design().channels);
    let path = folder.join(format!("{name}.onnx"));
    write_onnx(&path, network, metadata)?;

    let mut rng = fastrand::Rng::with_seed(2);
    let images = Tensor::normal(&[2, channels, size, size], 1.0, &mut rng);
    let logits = answers(network, &images)?;
    let golden = [("images", (&images).into()), ("logits", (&logits).into())];
    write_safetensors(path.with_extension("golden.safetensors"), golden, &Default::default())?;

    // The model is a checkpoint with the same tensors, and says what network they are.
    let checkpoint = Checkpoint::open(&path)?;
    let blueprint = Blueprint::from_metadata(name, checkpoint.metadata())?;
    let again = blueprint.build(&State::mapped(&checkpoint)?)?;
    assert_eq!(answers(&again, &images)?.as_slice(), logits.as_slice());
    println!("{}: {} tensors, the same answers", path.display(), checkpoint.len());
    Ok(())
}

fn answers(network: &Network<f32>, images: &Tensor<f32>) -> Result<Tensor<f32>> {
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(images.clone());
    let logits = network.forward(&mut pass, x)?;
    Ok(pass.value(logits)?.clone())
}

/// Batch norms and a classifier that do something: those of a fresh network scale by 1 and shift
/// by 0, and make logits that are almost the same for all images. Smaller scales keep the sums
/// over many blocks in the range of a trained network's.
fn draw(parameters: &mut Parameters<f32>, head: &[&str]) {
    let mut rng = fastrand::Rng::with_seed(3);
    for id in parameters.ids() {
        let name = parameters.name(id).to_owned();
        let values = parameters.value_mut(id);
        let is_kernel = values.shape().len() > 1;
        for value in values.as_mut_slice() {
            *value = match name.rsplit('.').next() {
                _ if head.iter().any(|head| name.starts_with(head)) => 10.0 * *value,
                Some("weight") if !is_kernel => 0.25 + 0.5 * rng.f32(),
                Some("running_var") => 0.5 + rng.f32(),
                Some("bias" | "running_mean") => rng.f32() - 0.5,
                _ => *value,
            };
        }
    }
}
