//! `devices --tune`: which ways of the kernels are the fastest, measured on steps of training.

use super::progress::counted;
use std::sync::Arc;
use zoo_tuning::Result;
use zoo_tuning::dataset::Batch;
use zoo_tuning::nn::{Aligned, Architecture, Builder, Form, Mixing, Network, Resnet};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::opencl::{Measured, OpenCl};
use zoo_tuning::tensor::{Device, Tensor};
use zoo_tuning::train::classification::train_step;

/// Networks whose layers are measured: depth, height and width of the images, images of a batch.
/// Layers of other sizes take what was measured for about the same. The last one only where it does
/// not take minutes.
const NETWORKS: [(&str, usize, usize); 3] =
    [("resnet18", 64, 16), ("resnet50", 224, 8), ("resnet50", 224, 32)];

/// Sources of the zoos among them.
const SOURCES: usize = 5;

/// Measures every product of a step of the networks, as one network, as a zoo and as a lite one;
/// what does not fit into the device's memory is left out.
pub fn tune(device: &Arc<OpenCl>) -> Result<Vec<Measured>> {
    let place = Device::OpenCl(device.clone());
    let mixing = Mixing { aligned: Aligned::default(), ..Mixing::default() };
    let forms = [Form::Plain, Form::Lite(mixing.clone()), Form::Zoo(mixing)];
    let networks = &NETWORKS[..if device.properties().is_cpu { 2 } else { 3 }];
    let bar = counted("measuring", networks.len() * forms.len());
    let measured = device.tune(|| {
        for &(name, side, batch) in networks {
            for form in &forms {
                match step(&place, name, form, [batch, side]) {
                    Err(zoo_tuning::Error::DeviceMemory { .. }) => {}
                    other => other?,
                }
                bar.inc(1);
            }
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(measured)
}

/// A step of training.
fn step(device: &Device, name: &str, form: &Form, [batch, side]: [usize; 2]) -> Result<()> {
    let architecture = Architecture::named(name, 3, 100)?;
    let mut network = Resnet::<f32>::new(&architecture, Builder::drawn(form.clone(), SOURCES, 0))?;
    network.parameters_mut().to(device)?;
    let mut rng = fastrand::Rng::with_seed(0);
    let images = Tensor::normal(&[batch, 3, side, side], 1.0, &mut rng);
    let (labels, indices) = ((0..batch).map(|n| n % 100).collect(), (0..batch).collect());
    let labelled = Batch { images, labels, indices };
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    train_step(&mut network, &mut optimizer, &labelled, 0.0, 0.0)?;
    device.finish()
}
