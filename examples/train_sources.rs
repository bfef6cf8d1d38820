//! Trains the source networks of the demo; `data/recipe/train.sh` calls it.
//!
//!     cargo run --release --example train_sources -- MNIST_FOLDER OUT_FOLDER

use std::collections::BTreeMap;
use std::path::Path;
use zoo_tuning::dataset::{Dataset, Loader, Transform, mnist};
use zoo_tuning::demo::{self, CONDITIONS, SIDE, normalise};
use zoo_tuning::nn::{Architecture, Blueprint, Builder, Form, Resnet};
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::train::Model;
use zoo_tuning::train::classification;

const EPOCHS: usize = 6;
const BATCH: usize = 64;
/// Images that the sources are tested on, of 10 000.
const TEST: usize = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mnist_folder, out] = &arguments[..] else {
        return Err("usage: train_sources MNIST_FOLDER OUT_FOLDER".into());
    };
    let raw = mnist::read_json(mnist_folder, SIDE)?;
    // The files are sorted by class; every tenth is kept for testing.
    let (test, train): (Vec<usize>, Vec<usize>) =
        (0..raw.len()).partition(|index| index % (raw.len() / TEST) == 0);
    for (number, condition) in CONDITIONS.into_iter().enumerate() {
        let seed = number as u64 + 1;
        let architecture = Architecture::named("resnet_small", 1, raw.classes().len())?;
        let mut network = Resnet::<f32>::new(&architecture, Builder::fresh(seed))?;
        let transforms =
            vec![Transform::RandomShift(1), Transform::Condition(condition), normalise()];
        let loader = Loader::new(&raw, BATCH, seed)?.subset(&train)?.transformed(transforms);
        let steps = EPOCHS * loader.batches_per_epoch();
        let schedule = Schedule { warmup: 50, decay: Decay::Cosine };
        let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        for step in 0..steps {
            let batch = loader.batch(step as u64)?;
            let rate = 0.05 * schedule.factor(step, steps);
            classification::train_step(&mut network, &mut optimizer, &batch, 0.0, rate)?;
        }
        let normalise = normalise();
        let tested = raw
            .subset(&test)?
            .map(0, |_, image, rng| normalise.apply(condition.apply(image, rng), rng))?;
        let (images, labels) = tested.batch(&(0..tested.len()).collect::<Vec<_>>())?;
        let logits = classification::logits(&network, &images, 100)?;
        let accuracy = classification::accuracy(&logits, &labels)?;
        let path = Path::new(out).join(format!("{condition}.safetensors"));
        let model = Model {
            blueprint: Blueprint { architecture, form: Form::Plain, sources: 1 },
            network,
            input: demo::input(),
            classes: raw.classes().to_vec(),
            notes: BTreeMap::from([
                ("trained_on".into(), format!("9 000 MNIST digits at {SIDE}x{SIDE}, {condition}")),
                ("test_accuracy".into(), format!("{accuracy:.4}")),
            ]),
            origin: path.display().to_string(),
        };
        model.write(&path)?;
        println!("{}: {:.2} % of {} test images", path.display(), 100.0 * accuracy, test.len());
    }
    Ok(())
}
