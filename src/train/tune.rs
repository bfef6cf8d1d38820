//! Which tilings of products are the fastest on a device, measured on steps of training.

use super::Trainer;
use super::task::One;
use crate::dataset::Batch;
use crate::nn::architectures::MEASURED;
use crate::nn::{Design, Form, Mixing, Network, Values};
use crate::optim::{Groups, Optimizer, Rule, Schedule};
use crate::tensor::opencl::{Measured, OpenCl};
use crate::tensor::{Device, Tensor};
use crate::{Error, Result};
use std::sync::Arc;

/// A network whose layers are measured. Layers of other sizes take what was measured for about the
/// same.
struct Sample {
    name: &'static str,
    /// Height and width of the images.
    side: usize,
    batch: usize,
    /// Whether a processor would take minutes.
    is_long: bool,
}

const SMALL: &str = MEASURED[0].1;
const LARGE: &str = MEASURED[2].1;

const SAMPLES: [Sample; 3] = [
    Sample { name: SMALL, side: 64, batch: 16, is_long: false },
    Sample { name: LARGE, side: 224, batch: 8, is_long: false },
    Sample { name: LARGE, side: 224, batch: 32, is_long: true },
];

/// Sources of the zoos among them.
const SOURCES: usize = 5;

/// What was measured.
#[derive(Debug)]
pub struct Tuned {
    /// The device's whole table.
    pub products: Vec<Measured>,
    /// The steps that it had no room for.
    pub skipped: Vec<String>,
}

/// Measures every product of a step of two networks, each as a plain network, as a zoo and as a lite
/// one, and keeps the fastest tilings for this process and for later ones. `progress` is told how many
/// steps are done, and of how many.
///
/// # Errors
/// If a step fails otherwise than for lack of room.
pub fn tune(device: &Arc<OpenCl>, progress: impl Fn(usize, usize)) -> Result<Tuned> {
    let place = Device::OpenCl(device.clone());
    let mixing = Mixing::default();
    let forms = [Form::Plain, Form::Lite(mixing.clone()), Form::Zoo(mixing)];
    let is_patient = !device.properties().is_cpu;
    let samples = SAMPLES.iter().filter(|sample| is_patient || !sample.is_long);
    let steps: Vec<_> =
        samples.flat_map(|sample| forms.iter().map(move |form| (sample, form))).collect();
    let mut skipped = Vec::new();
    let products = device.tune(|| {
        for (done, (sample, form)) in steps.iter().enumerate() {
            progress(done, steps.len());
            match sample.step(&place, form) {
                Err(Error::DeviceMemory { .. }) => {
                    let Sample { name, side, batch, .. } = sample;
                    let form = form.name();
                    skipped.push(format!("{form} of {name}, {batch} images of {side}x{side}"));
                }
                other => other?,
            }
        }
        Ok(())
    })?;
    Ok(Tuned { products, skipped })
}

impl Sample {
    /// A step of training.
    fn step(&self, device: &Device, form: &Form) -> Result<()> {
        let &Self { name, side, batch, .. } = self;
        let blueprint = Design::named(name, 3, 100)?.in_form(form.clone(), SOURCES);
        let mut network = Network::new(&blueprint, Values::drawn(0))?;
        network.parameters_mut().to(device)?;
        let mut rng = fastrand::Rng::with_seed(0);
        let images = Tensor::normal(&[batch, 3, side, side], 1.0, &mut rng);
        let (labels, indices) = ((0..batch).map(|n| n % 100).collect(), (0..batch).collect());
        let labelled = Batch { images, labels, indices };
        let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        let mut trainer = Trainer::new(optimizer, 0.0, Schedule::default(), 1);
        trainer.step(&mut network, &mut One(labelled), 0)?;
        device.finish()
    }
}
