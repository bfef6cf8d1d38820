//! A model of one's own, trained on the handwritten digits.
//!
//! An [`Architecture`] declares the layers of a network to a [`Builder`], and says how a batch runs
//! through them. `own_architecture.rs` shows what else follows from that.
//!
//! ```text
//! cargo run --example train_a_model
//! ```

use zoo_tuning::Result;
use zoo_tuning::dataset::{Loader, digits};
use zoo_tuning::kernel::{Epilogue, Window};
use zoo_tuning::nn::{Architecture, Builder, Design, Layers, Network};
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::train::task::Classification;
use zoo_tuning::train::{Trainer, accuracy, logits};

/// Two convolutions, each with batch norm and ReLU, and a classifier of their mean.
struct Digits;

impl Architecture for Digits {
    fn name(&self) -> &str {
        "digits"
    }

    /// The logits `[N, 10]` of images `x` `[N, 1, H, W]`.
    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        let mut layers = Vec::new();
        for (i, (inputs, outputs, stride)) in
            [(b.channels(), 16, 1), (16, 32, 2)].iter().enumerate()
        {
            let window = Window::square(*stride, 1);
            let conv = b.conv(&format!("conv{i}"), [*outputs, *inputs, 3, 3], window)?;
            layers.push((conv, b.batch_norm(&format!("bn{i}"), *outputs)?));
        }
        let head = b.linear("fc", 32, b.outputs())?;
        Ok(Box::new(move |o, mut x| {
            for (conv, norm) in &layers {
                x = o.conv(conv, x)?;
                x = o.batch_norm(norm, x, Epilogue::Relu)?;
            }
            x = o.global_mean_pool(x)?;
            o.linear(&head, x)
        }))
    }
}

fn main() -> Result<()> {
    const STEPS: u64 = 300;
    let samples = digits::read("data/digits/digits.csv.gz", 8)?;
    // Every fifth digit is kept for testing.
    let (test, train): (Vec<usize>, Vec<usize>) = (0..1797).partition(|index| index % 5 == 0);
    let loader = Loader::new(&samples, 64, 1)?.subset(&train)?;

    let mut network = Network::drawn(&Design::new(Digits, 1, 10), 1)?;
    let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let schedule = Schedule { warmup: 20, decay: Decay::Cosine };
    let mut trainer = Trainer::new(optimizer, 0.1, schedule, STEPS);
    let mut task = Classification::new(loader);
    trainer.run(&mut network, &mut task, 0..STEPS, |_, _, _, done| {
        if done.steps % 50 == 0 {
            println!("step {}: loss {:.4}", done.steps, done.loss);
        }
        Ok(())
    })?;

    let (images, labels) = samples.batch(&test)?;
    let accuracy = accuracy(&logits(&network, &images, 100)?, &labels)?;
    println!("{:.1} % of {} digits that it has not seen", 100.0 * accuracy, labels.len());
    assert!(accuracy > 0.95);
    Ok(())
}
