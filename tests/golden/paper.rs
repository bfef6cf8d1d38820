//! Fifty steps by the preset `paper` against PyTorch's, from the same sources on the same batches.
//!
//! The numbers come from `tests/golden/paper.py`, which restates the recipe of the authors' released
//! code in double precision; nothing here needs PyTorch.

use zoo_tuning::dataset::Batch;
use zoo_tuning::nn::architectures::{Block, ResNet, Stem};
use zoo_tuning::nn::{Design, Network, Pass};
use zoo_tuning::optim::Optimizer;
use zoo_tuning::tape::Var;
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::train::task::{Part, Scores, Task};
use zoo_tuning::train::{Config, Trainer};
use zoo_tuning::{Result, ops, zoo::Checkpoint};

const STEPS: u64 = 50;
const BATCH: usize = 48;

/// The batches of the script.
struct Batches {
    images: Tensor<f32>,
    labels: Vec<usize>,
}

impl Task for Batches {
    type Batch = Batch;

    fn batch(&mut self, step: u64, _: &Network<f32>) -> Result<Batch> {
        let len = self.images.len() / self.labels.len();
        let indices: Vec<usize> =
            (0..BATCH).map(|i| (5 * step as usize + 7 * i) % self.labels.len()).collect();
        let image = |&index: &usize| self.images.as_slice()[index * len..][..len].to_vec();
        let values = indices.iter().flat_map(image).collect();
        let mut shape = self.images.shape().to_vec();
        shape[0] = BATCH;
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Ok(Batch { images: Tensor::new(&shape, values)?, labels, indices })
    }

    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Batch) -> Result<Var> {
        ops::cross_entropy(pass.tape(), output, &batch.labels, 0.0)
    }

    fn evaluate(&mut self, _: &Network<f32>, _: Part) -> Result<Option<Scores>> {
        Ok(None)
    }
}

#[test]
fn the_preset_paper_follows_the_released_recipe() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/paper.safetensors");
    let fixture = State::<f32>::mapped(&Checkpoint::open(path).unwrap()).unwrap();
    let flags = "preset = 'paper'\nmethod.zoo = ['of the script']\ndata.path = 'the same'";
    let config = Config::read(None, flags.parse().unwrap()).unwrap();
    let depths = vec![1; 4];
    let resnet =
        ResNet { name: "small", block: Block::Bottleneck, depths, width: 4, stem: Stem::Imagenet };
    let design = Design::new(resnet, 3, 5);
    let sources: Vec<_> = (0..3).map(|i| fixture.below(&format!("source{i}."))).collect();
    let form = config.method.form(None);
    let mut network = Network::from_sources(&design, form, &sources, 0).unwrap();
    let mut state = network.parameters().state("the start");
    for (key, tensor) in fixture.below("start.").tensors {
        assert!(state.tensors.contains_key(&key), "{key} is no tensor of the preset's network");
        state.insert(key, tensor);
    }
    network.parameters_mut().load(&state).unwrap();

    let optimizer = &config.optimizer;
    let mut trainer = Trainer::new(
        Optimizer::new(optimizer.rule(), config.groups()),
        optimizer.learning_rate,
        optimizer.schedule(),
        optimizer.steps.unwrap(),
    );
    let labels = fixture.get("labels").unwrap().as_slice().iter().map(|&v| v as usize).collect();
    let mut task = Batches { images: fixture.get("images").unwrap().clone(), labels };
    let mut losses = Vec::new();
    let each = |_: &mut Trainer, _: &mut _, _: &mut _, done: zoo_tuning::train::Done| {
        losses.push(done.loss);
        Ok(())
    };
    trainer.run(&mut network, &mut task, 0..STEPS, each).unwrap();
    let expected = fixture.get("losses").unwrap().as_slice();
    assert_eq!(losses.len(), expected.len());
    let mut largest: f64 = 0.0;
    for (step, (found, &expected)) in losses.iter().zip(expected).enumerate() {
        let error = (found - f64::from(expected)).abs();
        assert!(error < 1e-3, "step {step}: {found}, PyTorch has {expected}");
        largest = largest.max(error);
    }
    println!("largest difference of a loss: {largest:.1e}");
}
