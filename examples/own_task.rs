//! A task that the crate does not know: where is the ink? A network tells the middle of what is drawn
//! in an image, two numbers, by a loss of its own.
//!
//! The loop, its optimizer, schedules and clipping are those of every task.
//!
//! ```text
//! cargo run --release --example own_task
//! ```

use zoo_tuning::dataset::{Batch, Loader, Samples as Images, digits};
use zoo_tuning::nn::{Design, Network, Pass};
use zoo_tuning::optim::{Decay, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::tape::Var;
use zoo_tuning::tensor::Tensor;
use zoo_tuning::train::task::{Part, Samples, Scores, Task};
use zoo_tuning::train::{Trainer, logits};
use zoo_tuning::{Result, ops};

/// Images to train on, and images to measure on.
struct Middle<'a> {
    training: Loader<'a>,
    test: Batch,
}

/// The middle of each image, row and column from -1 to 1: `[N, 2]`.
fn middles(images: &Tensor<f32>) -> Result<Tensor<f32>> {
    let [count, _, height, width] = images.dims("middles", "images", "[N, 1, H, W]")?;
    let of_image = |image: &[f32]| {
        let ink: f32 = image.iter().sum::<f32>().max(1e-6);
        let (mut row, mut column) = (0.0, 0.0);
        for (at, value) in image.iter().enumerate() {
            row += value * (2.0 * (at / width) as f32 / (height - 1) as f32 - 1.0);
            column += value * (2.0 * (at % width) as f32 / (width - 1) as f32 - 1.0);
        }
        [row / ink, column / ink]
    };
    let values = images.as_slice().chunks(height * width).flat_map(of_image).collect();
    Tensor::new(&[count, 2], values)
}

impl Task for Middle<'_> {
    type Batch = Batch;

    fn batch(&mut self, step: u64, _: &Network<f32>) -> Result<Batch> {
        self.training.batch(step)
    }

    /// Huber's loss of both numbers.
    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Batch) -> Result<Var> {
        let expected = pass.input(middles(batch.images())?);
        ops::huber(pass.tape(), output, expected, 0.1, None)
    }

    /// The mean distance, in half widths of an image.
    fn evaluate(&mut self, network: &Network<f32>, _: Part) -> Result<Option<Scores>> {
        let found = logits(network, self.test.images(), 100)?;
        let expected = middles(self.test.images())?;
        let pairs = found.as_slice().chunks(2).zip(expected.as_slice().chunks(2));
        let distances = pairs.map(|(a, b)| f64::from((a[0] - b[0]).hypot(a[1] - b[1])));
        let samples = self.test.indices().len();
        let values = vec![("distance".to_owned(), distances.sum::<f64>() / samples as f64)];
        Ok(Some(Scores { samples, larger_is_better: false, values }))
    }
}

fn main() -> Result<()> {
    const STEPS: u64 = 150;
    let images: Images = digits::read("data/digits/digits.csv.gz", 8)?;
    let (test, training): (Vec<usize>, Vec<usize>) = (0..1797).partition(|index| index % 5 == 0);
    let (of_test, labels) = images.batch(&test)?;
    let mut task = Middle {
        training: Loader::new(&images, 64, 1)?.subset(&training)?,
        test: Batch { images: of_test, labels, indices: test },
    };
    let mut network = Network::drawn(&Design::named("resnet_small", 1, 2)?, 1)?;
    let optimizer = Optimizer::new(Rule::ADAM_W, Groups::uniform(1e-4));
    let schedule = Schedule { warmup: 10, decay: Decay::Cosine };
    let mut trainer =
        Trainer { clip_norm: Some(1.0), ..Trainer::new(optimizer, 3e-3, schedule, STEPS) };
    let mut last = None;
    trainer.run(&mut network, &mut task, 0..STEPS, |_, network, task, done| {
        if done.steps % 50 == 0 {
            last = task.evaluate(network, Part::Test)?;
            let scores = last.as_ref().map(Scores::to_string).unwrap_or_default();
            println!("step {}: loss {:.5}, {scores}", done.steps, done.loss);
        }
        Ok(())
    })?;
    assert!(last.and_then(|scores| scores.get("distance")).is_some_and(|d| d < 0.1));
    Ok(())
}
