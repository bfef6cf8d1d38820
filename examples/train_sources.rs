//! Trains the source networks of the demo; `data/recipe/train.sh` calls it.
//!
//!     cargo run --release --example train_sources -- MNIST_FOLDER OUT_FOLDER

use std::collections::BTreeMap;
use std::path::Path;
use zoo_tuning::dataset::{Dataset, Loader, Transform, mnist};
use zoo_tuning::demo::{self, CONDITIONS, SIDE, normalise};
use zoo_tuning::nn::{Design, Network};
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::train::task::Classification;
use zoo_tuning::train::{Model, Trainer, accuracy, logits};

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
        let design = Design::named("resnet_small", 1, raw.classes().len())?;
        let mut network = Network::<f32>::drawn(&design, seed)?;
        let transforms =
            vec![Transform::RandomShift(1), Transform::Condition(condition), normalise()];
        let loader = Loader::new(&raw, BATCH, seed)?.subset(&train)?.transformed(transforms);
        let steps = EPOCHS * loader.batches_per_epoch();
        let schedule = Schedule { warmup: 50, decay: Decay::Cosine };
        let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        let mut trainer = Trainer::new(optimizer, 0.05, schedule, steps as u64);
        let mut task = Classification::new(loader);
        trainer.run(&mut network, &mut task, 0..steps as u64, |_, _, _, _| Ok(()))?;
        let normalise = normalise();
        let tested = raw
            .subset(&test)?
            .map(0, |_, image, rng| normalise.apply(condition.apply(image, rng), rng))?;
        let (images, labels) = tested.batch(&(0..tested.len()).collect::<Vec<_>>())?;
        let found = logits(&network, &images, 100)?;
        let accuracy = accuracy(&found, &labels)?;
        let path = Path::new(out).join(format!("{condition}.safetensors"));
        let model = Model {
            network,
            input: demo::input(),
            classes: raw.classes().to_vec(),
            notes: BTreeMap::from([
                ("trained_on".into(), format!("9 000 MNIST digits at {SIDE}x{SIDE}, {condition}")),
                ("test_accuracy".into(), format!("{accuracy:.4}")),
            ]),
            origin: path.display().to_string(),
            choice: None,
        };
        model.write(&path)?;
        println!("{}: {:.2} % of {} test images", path.display(), 100.0 * accuracy, test.len());
    }
    Ok(())
}
