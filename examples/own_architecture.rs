//! A network that the crate does not know: defined in one place, it gets everything that the
//! built-in ones have.
//!
//! Two sources are trained and written to files. They are opened as a zoo, scored, matched, and tuned
//! together, as a zoo and in the lite form, which is collapsed, saved, reopened, and exported to ONNX.
//!
//! ```text
//! cargo run --example own_architecture
//! ```

use zoo_tuning::dataset::{Condition, Dataset, Loader, Transform, digits};
use zoo_tuning::demo::{Part, SIDE, Target, input, normalise};
use zoo_tuning::export::write_onnx;
use zoo_tuning::kernel::{Epilogue, Interpolation, Window};
use zoo_tuning::nn::{Architecture, Builder, Design, Form, Layers, Mixing, Network, architectures};
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::start::{Preparation, STRENGTH};
use zoo_tuning::tensor::State;
use zoo_tuning::train::task::{Classification, Whole};
use zoo_tuning::train::{Model, Trainer, accuracy, logits};
use zoo_tuning::{Error, Result, nn::open_zoo};

/// Two branches of another resolution each, joined: in no library.
struct Forked;

impl Architecture for Forked {
    fn name(&self) -> &str {
        "forked"
    }

    /// Layers are declared and used in the same place. Names are the tensors' in a file.
    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        let channels = b.channels();
        let mut layer = |name: &str, inputs, outputs, stride| -> Result<_> {
            let conv = b.conv(name, [outputs, inputs, 3, 3], Window::square(stride, 1))?;
            Ok((conv, b.batch_norm(&format!("{name}_norm"), outputs)?))
        };
        let stem = layer("stem", channels, 16, 1)?;
        let (fine, coarse) = (layer("fine", 16, 24, 2)?, layer("coarse", 24, 40, 2)?);
        let joined = layer("joined", 24 + 40, 64, 2)?;
        let head = b.linear("fc", 64, b.outputs())?;
        Ok(Box::new(move |o, x| {
            let mut run = |x, (conv, norm): &_| {
                let y = o.conv(conv, x)?;
                o.batch_norm(norm, y, Epilogue::Relu)
            };
            let x = run(x, &stem)?;
            let fine = run(x, &fine)?;
            let coarse = run(fine, &coarse)?;
            let coarse = o.upsample(coarse, fine, Interpolation::Bilinear)?;
            let both = o.concat(&[fine, coarse])?;
            let y = o.conv(&joined.0, both)?;
            let y = o.batch_norm(&joined.1, y, Epilogue::Relu)?;
            let features = o.global_mean_pool(y)?;
            o.linear(&head, features)
        }))
    }

    fn usual_sizes(&self) -> [usize; 2] {
        [SIDE, SIDE]
    }
}

/// Trains a network, whatever it is; the loop is the one of every task.
fn train(network: &mut Network<f32>, loader: Loader, steps: u64) -> Result<()> {
    let schedule = Schedule { warmup: 5, decay: Decay::Cosine };
    let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let mut trainer = Trainer::new(optimizer, 0.1, schedule, steps);
    trainer.run(network, &mut Classification::new(loader), 0..steps, |_, _, _, _| Ok(()))
}

fn main() -> Result<()> {
    // From here on, files that say `forked` can be opened, and others are compared with it.
    architectures::register(Forked)?;
    let folder = std::env::temp_dir().join(format!("own-architecture-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;

    // Two sources, each trained on digits in one condition.
    let raw = digits::read("data/digits/digits.csv.gz", SIDE)?;
    let mut files = Vec::new();
    for condition in [Condition::AsIs, Condition::Inverted] {
        let mut network = Network::drawn(&Design::named("forked", 1, 10)?, files.len() as u64)?;
        let seen = vec![Transform::Condition(condition), normalise()];
        train(&mut network, Loader::new(&raw, 64, 1)?.transformed(seen), 60)?;
        files.push(folder.join(format!("{condition}.safetensors")));
        Model::from_network(network, input(), raw.classes()).write(&files[files.len() - 1])?;
    }

    // Opened by what their tensors tell; scored and matched by a few samples of the target.
    let (zoo, design) = open_zoo(&files, None)?;
    let split = Target::read("data/digits/digits.csv.gz")?.split(Part::Demo, 20, 1)?;
    let (images, labels) = split.train.batch(&(0..200).collect::<Vec<_>>())?;
    let preparation =
        Preparation { matches: true, prior: Some(STRENGTH), chooses: false, router: None };
    let probe = Whole { images, labels };
    let prepared = preparation.prepare(&design, State::from_zoo(&zoo)?, &probe, |_| ())?;
    println!("leave-one-out accuracy of the sources: {:.3?}", prepared.scores);

    // Tuned together in one network: with gates of each sample, and lite, which becomes a plain one.
    let mixing = Mixing { prior: prepared.prior, ..Mixing::default() };
    let tuned = |form| -> Result<Model> {
        let mut network = Network::from_sources(&design, form, &prepared.sources, 1)?;
        train(&mut network, Loader::new(&split.train, 32, 1)?, 100)?;
        Ok(Model::from_network(network, input(), &[]))
    };
    let [zoo, lite] = [tuned(Form::Zoo(mixing.clone()))?, tuned(Form::Lite(mixing))?];
    let path = folder.join("collapsed.safetensors");
    lite.collapsed()?.write(&path)?;

    // Reopened from its file, by whoever knows the architecture; an ONNX model by anyone.
    let plain = Model::open(&path, None)?;
    write_onnx(folder.join("collapsed.onnx"), &plain.network, &plain.metadata())?;
    let of = |model: &Model| logits(&model.network, &split.test.images, 100);
    let [zoo, whole, collapsed] = [of(&zoo)?, of(&lite)?, of(&plain)?];
    let [zoo, lite] = [&zoo, &collapsed].map(|logits| accuracy(logits, &split.test.labels));
    println!("accuracy of the zoo {:.3}, of the lite one {:.3}", zoo?, lite?);
    println!("largest difference of a logit: {:.1e}", whole.relative_difference(&collapsed)?);
    std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))
}
