//! A model of one's own, trained on the handwritten digits.
//!
//! A network is a struct that holds its [`Parameters`] and its layers; a [`Builder`] makes
//! both, and [`Network::forward`] says how a batch runs through them.
//!
//! ```text
//! cargo run --example train_a_model
//! ```

use zoo_tuning::Result;
use zoo_tuning::dataset::{Loader, digits};
use zoo_tuning::kernel::{Then, Window};
use zoo_tuning::nn::{BatchNorm, Builder, Conv, Linear, Network, Parameters, Pass, Place};
use zoo_tuning::ops;
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::tape::Var;
use zoo_tuning::train::classification::{accuracy, logits, train_step};

/// Two convolutions, each with batch norm and ReLU, and a classifier of their mean.
struct Digits {
    parameters: Parameters<f32>,
    layers: Vec<(Conv, BatchNorm)>,
    head: Linear,
}

impl Digits {
    fn new(seed: u64) -> Result<Self> {
        let mut builder = Builder::fresh(seed);
        let mut layers = Vec::new();
        for (stage, (inputs, outputs, stride)) in [(1, 16, 1), (16, 32, 2)].into_iter().enumerate()
        {
            let (name, window) = (format!("conv{stage}"), Window::square(stride, 1));
            let conv = builder.conv(&name, [outputs, inputs, 3, 3], window, Place::Stage(stage))?;
            layers.push((conv, builder.batch_norm(&format!("bn{stage}"), outputs)?));
        }
        let head = builder.linear("fc", 32, 10)?;
        Ok(Self { parameters: builder.finish(), layers, head })
    }
}

impl Network<f32> for Digits {
    /// The logits `[N, 10]` of images `x` `[N, 1, H, W]`.
    fn forward(&self, pass: &mut Pass<f32>, mut x: Var) -> Result<Var> {
        for (conv, norm) in &self.layers {
            x = conv.forward(pass, x)?;
            x = norm.forward(pass, x, Then::Relu)?;
        }
        x = ops::global_mean_pool(pass.tape(), x)?;
        self.head.forward(pass, x)
    }

    fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters<f32> {
        &mut self.parameters
    }
}

fn main() -> Result<()> {
    const STEPS: usize = 300;
    let samples = digits::read("data/digits/digits.csv.gz", 8)?;
    // Every fifth digit is kept for testing.
    let (test, train): (Vec<usize>, Vec<usize>) = (0..1797).partition(|index| index % 5 == 0);
    let loader = Loader::new(&samples, 64, 1)?.subset(&train)?;

    let mut network = Digits::new(1)?;
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let schedule = Schedule { warmup: 20, decay: Decay::Cosine };
    for step in 0..STEPS {
        let batch = loader.batch(step as u64)?;
        let rate = 0.1 * schedule.factor(step, STEPS);
        let loss = train_step(&mut network, &mut optimizer, &batch, 0.0, rate)?;
        if (step + 1) % 50 == 0 {
            println!("step {}: loss {loss:.4}", step + 1);
        }
    }

    let (images, labels) = samples.batch(&test)?;
    let accuracy = accuracy(&logits(&network, &images, 100)?, &labels)?;
    println!("{:.1} % of {} digits that it has not seen", 100.0 * accuracy, labels.len());
    assert!(accuracy > 0.95);
    Ok(())
}
