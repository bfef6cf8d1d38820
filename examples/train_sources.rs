//! Trains source networks on MNIST; `data/recipe/train.sh` calls it.
//!
//!     cargo run --release --example train_sources -- MNIST_FOLDER OUT_FOLDER [KIND]
//!
//! | kind | four networks, each trained |
//! |---|---|
//! | `conditions` | on images in one condition: those of the demo, and what is made unless said otherwise |
//! | `alike` | on images as they are, from other random weights, in another order |
//! | `ancestor` | on images in one condition, from a network that knows them as they are |
//! | `classes` | on some of the classes, images in all conditions |

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use zoo_tuning::dataset::{Condition, Dataset, Loader, Samples, Transform, mnist};
use zoo_tuning::demo::{self, CONDITIONS, SIDE, Target, normalise};
use zoo_tuning::nn::{Design, Network};
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::train::task::Classification;
use zoo_tuning::train::{Model, Trainer, accuracy, logits};

const EPOCHS: usize = 6;
const BATCH: usize = 64;
const RATE: f64 = 0.05;
/// One image of so many is kept for testing, of whatever the source is: those of the indices 0, 10, 20 and
/// so on, of files that are sorted by class. `examples/zoos` has a target of these.
const KEPT: usize = 10;
/// The classes of each source of the kind `classes`.
const CLASSES: [std::ops::Range<usize>; 4] = [0..3, 3..6, 6..8, 8..10];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mnist, out, kind) = match &arguments[..] {
        [mnist, out] => (mnist, out, "conditions"),
        [mnist, out, kind] => (mnist, out, &**kind),
        _ => return Err("usage: train_sources MNIST_FOLDER OUT_FOLDER [KIND]".into()),
    };
    let raw = mnist::read_json(mnist, SIDE)?;
    let all: Vec<usize> = (0..raw.len()).collect();
    let drawn = |seed, classes| {
        Ok::<_, Box<dyn Error>>(Network::drawn(&Design::named("resnet_small", 1, classes)?, seed)?)
    };
    let of = |condition: Condition| Course {
        transforms: vec![Transform::Condition(condition)],
        about: format!("9 000 MNIST digits at {SIDE}x{SIDE}, {condition}"),
        epochs: EPOCHS,
        rate: RATE,
    };
    match kind {
        "conditions" => {
            for (condition, seed) in CONDITIONS.into_iter().zip(1..) {
                let mut network = drawn(seed, 10)?;
                let tested = of(condition).train(&mut network, &raw, &all, seed)?;
                of(condition).write(network, &raw, tested, out, condition.name())?;
            }
        }
        "alike" => {
            for seed in 21..25 {
                let mut network = drawn(seed, 10)?;
                let tested = of(Condition::AsIs).train(&mut network, &raw, &all, seed)?;
                of(Condition::AsIs).write(network, &raw, tested, out, &format!("seed-{seed}"))?;
            }
        }
        "ancestor" => {
            let mut ancestor = drawn(7, 10)?;
            Course { epochs: 4, ..of(Condition::AsIs) }.train(&mut ancestor, &raw, &all, 7)?;
            let known = ancestor.parameters().state("the ancestor");
            for (condition, seed) in CONDITIONS.into_iter().zip(21..) {
                let course = Course { epochs: 2, rate: 0.02, ..of(condition) };
                let mut network = ancestor.design().plain().build(&known)?;
                let tested = course.train(&mut network, &raw, &all, seed)?;
                course.write(network, &raw, tested, out, condition.name())?;
            }
        }
        "classes" => {
            let mixed = Target::of(&raw, &CONDITIONS)?;
            for (classes, seed) in CLASSES.into_iter().zip(21..) {
                let name = format!("digits-{}-{}", classes.start, classes.end - 1);
                let (samples, places) = only(mixed.samples(), classes)?;
                let mut network = drawn(seed, samples.classes().len())?;
                let about = format!(
                    "the MNIST digits {} at {SIDE}x{SIDE}, each in one of four conditions",
                    samples.classes().join(", ")
                );
                // As many steps as if it had all digits.
                let epochs = EPOCHS * raw.len() / samples.len();
                let course = Course { transforms: vec![], about, epochs, rate: RATE };
                let tested = course.train(&mut network, &samples, &places, seed)?;
                course.write(network, &samples, tested, out, &name)?;
            }
        }
        _ => return Err(format!("{kind}: conditions, alike, ancestor, or classes").into()),
    }
    Ok(())
}

/// The samples of some classes, which are numbered from 0, and their places among all.
fn only(samples: &Samples, classes: std::ops::Range<usize>) -> Result<(Samples, Vec<usize>)> {
    let chosen = |at: &usize| classes.contains(&samples.labels()[*at]);
    let places: Vec<usize> = (0..samples.len()).filter(chosen).collect();
    let images = places.iter().map(|&at| samples.images()[at].clone()).collect();
    let labels = places.iter().map(|&at| samples.labels()[at] - classes.start).collect();
    let names = samples.classes()[classes.clone()].to_vec();
    Ok((Samples::new("MNIST", images, labels, names)?, places))
}

/// How a source is trained.
struct Course {
    /// What images go through before they are normalised.
    transforms: Vec<Transform>,
    /// What it is trained on, for its notes.
    about: String,
    epochs: usize,
    rate: f64,
}

impl Course {
    /// The accuracy on samples that the network is not trained on; `places` are those of the samples
    /// among all images.
    fn train(
        &self,
        network: &mut Network<f32>,
        raw: &Samples,
        places: &[usize],
        seed: u64,
    ) -> Result<f64> {
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..raw.len()).partition(|&index| places[index].is_multiple_of(KEPT));
        let mut transforms = vec![Transform::RandomShift(1)];
        transforms.extend(self.transforms.iter().cloned());
        transforms.push(normalise());
        let loader = Loader::new(raw, BATCH, seed)?.subset(&train)?.transformed(transforms.clone());
        let steps = (self.epochs * loader.batches_per_epoch()) as u64;
        let schedule = Schedule { warmup: 50, decay: Decay::Cosine };
        let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        let mut trainer = Trainer::new(optimizer, self.rate, schedule, steps);
        let mut task = Classification::new(loader);
        trainer.run(network, &mut task, 0..steps, |_, _, _, _| Ok(()))?;
        let tested = raw.subset(&test)?.map(0, |_, image, rng| {
            transforms[1..].iter().try_fold(image.clone(), |image, seen| seen.apply(image, rng))
        })?;
        let (images, labels) = tested.batch(&(0..tested.len()).collect::<Vec<_>>())?;
        Ok(accuracy(&logits(network, &images, 100)?, &labels)?)
    }

    fn write(
        &self,
        network: Network<f32>,
        raw: &Samples,
        tested: f64,
        out: impl AsRef<Path>,
        name: &str,
    ) -> Result<()> {
        let path = out.as_ref().join(format!("{name}.safetensors"));
        let model = Model {
            network,
            input: demo::input(),
            classes: raw.classes().to_vec(),
            notes: BTreeMap::from([
                ("trained_on".into(), self.about.clone()),
                ("test_accuracy".into(), format!("{tested:.4}")),
            ]),
            origin: path.display().to_string(),
            choice: None,
        };
        model.write(&path)?;
        println!("{}: {:.2} % of the images kept for testing", path.display(), 100.0 * tested);
        Ok(())
    }
}
