//! Lite Zoo-Tuning: from a zoo of four networks to one plain network in a file.
//!
//! ```text
//! cargo run --example collapse
//! ```

use std::collections::BTreeMap;
use zoo_tuning::collapse::collapse;
use zoo_tuning::dataset::Batch;
use zoo_tuning::demo::{Part, Target, Test};
use zoo_tuning::export::write_safetensors;
use zoo_tuning::nn::{Blueprint, Builder, Form, Mixing, Network, Resnet, open_zoo};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::State;
use zoo_tuning::train::classification::{logits, train_step};
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let files = ["as_is", "rotated", "inverted", "edges"];
    let files = files.map(|name| format!("data/zoo/{name}.safetensors"));
    let (zoo, architecture) = open_zoo(&files, None)?;
    let sources: Vec<State<f32>> = State::of_zoo(&zoo)?;

    // In lite, a batch is gated as a whole, and a moving average of the gate is kept.
    let builder = Builder::from_sources(&sources, Form::Lite(Mixing::default()), 1)?;
    let mut lite = Resnet::new(&architecture, builder)?;
    match collapse(&lite) {
        Err(error @ Error::Impossible { .. }) => println!("before training: {error}"),
        _ => unreachable!("there is no average of a gate yet"),
    }
    let split = Target::read("data/digits/digits.csv.gz")?.split(Part::Demo, 20, 1)?;
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    for step in 0..20 {
        let indices: Vec<usize> = (0..32).map(|i| (step * 32 + i) % 200).collect();
        let (images, labels) = split.train.batch(&indices)?;
        let batch = Batch { images, labels, indices };
        train_step(&mut lite, &mut optimizer, &batch, 0.0, 0.01)?;
    }

    // Alignment and aggregation, done once and for all. The names are torchvision's.
    let plain = collapse(&lite)?;
    let path = std::env::temp_dir().join(format!("collapsed-{}.safetensors", std::process::id()));
    let blueprint = Blueprint { architecture, form: Form::Plain, sources: 1 };
    let state = plain.parameters().state("the collapsed network");
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.into()));
    write_safetensors(&path, tensors, &blueprint.to_metadata())?;

    // Whoever has the file needs nothing else.
    let file = Checkpoint::open(&path)?;
    let metadata: &BTreeMap<String, String> = file.metadata();
    let read = Blueprint::from_metadata("the file", metadata)?;
    let read: Resnet<f32> = read.build(&State::mapped(&file)?)?;
    let Test { images, .. } = &split.test;
    let (expected, found) = (logits(&lite, images, 100)?, logits(&read, images, 100)?);
    let difference = expected.relative_difference(&found)?;
    println!(
        "{} values in lite, {} in the collapsed file",
        lite.parameters().count(),
        read.parameters().count()
    );
    println!("largest difference of a logit, relative to the largest one: {difference:.1e}");
    std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    assert!(difference < 1e-5);
    Ok(())
}
