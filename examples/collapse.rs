//! Lite Zoo-Tuning: from a zoo of four networks to one plain network in a file.
//!
//! ```text
//! cargo run --example collapse
//! ```

use std::collections::BTreeMap;
use zoo_tuning::collapse::collapse;
use zoo_tuning::dataset::Loader;
use zoo_tuning::demo::{Part, Target, Test};
use zoo_tuning::export::write_safetensors;
use zoo_tuning::nn::{Blueprint, Form, Mixing, Network, open_zoo};
use zoo_tuning::optim::{Groups, Optimizer, Rule, Schedule};
use zoo_tuning::tensor::State;
use zoo_tuning::train::task::Classification;
use zoo_tuning::train::{Trainer, logits};
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let files = ["as_is", "rotated", "inverted", "edges"];
    let files = files.map(|name| format!("data/zoo/{name}.safetensors"));
    let (zoo, design) = open_zoo(&files, None)?;
    let sources: Vec<State<f32>> = State::from_zoo(&zoo)?;

    // In lite, a batch is gated as a whole, and a moving average of the gate is kept.
    let mut lite = Network::from_sources(&design, Form::Lite(Mixing::default()), &sources, 1)?;
    match collapse(&lite) {
        Err(error @ Error::Impossible { .. }) => println!("before training: {error}"),
        _ => unreachable!("there is no average of a gate yet"),
    }
    let split = Target::read("data/digits/digits.csv.gz")?.split(Part::Demo, 20, 1)?;
    let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let mut trainer = Trainer::new(optimizer, 0.01, Schedule::default(), 20);
    let mut task = Classification::new(Loader::new(&split.train, 32, 1)?);
    trainer.run(&mut lite, &mut task, 0..20, |_, _, _, _| Ok(()))?;

    // Alignment and aggregation, done once and for all. The names are torchvision's.
    let plain = collapse(&lite)?;
    let path = std::env::temp_dir().join(format!("collapsed-{}.safetensors", std::process::id()));
    let state = plain.parameters().state("the collapsed network");
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.into()));
    write_safetensors(&path, tensors, &plain.blueprint().to_metadata())?;

    // Whoever has the file needs nothing else.
    let file = Checkpoint::open(&path)?;
    let metadata: &BTreeMap<String, String> = file.metadata();
    let read = Blueprint::from_metadata("the file", metadata)?;
    let read: Network<f32> = read.build(&State::mapped(&file)?)?;
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
