//! Inference in Rust, for the comparison with C: benches/c.py.
//!
//! `inference write FILE` writes a ResNet-50 of drawn values. `inference FILE THREADS` answers each line of the
//! standard input, a number of images of 224x224, with the seconds that they took one by one.

use std::io::{BufRead, Write};
use std::time::Instant;
use zoo_tuning::nn::{Design, Network, Pass};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::train::{Input, Model};
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, second] = &arguments[..] else {
        return Err(Error::argument("inference", "write FILE, or FILE THREADS"));
    };
    if first == "write" {
        let design = Design::named("resnet50", 3, 1000)?;
        let network = Network::drawn(&design, 1)?;
        return Model::from_network(network, Input::usual(&design), &[]).write(second);
    }
    let number = |text: &str| {
        text.parse::<usize>().map_err(|_| Error::argument("inference", format!("{text}?")))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(number(second)?).build();
    let pool = pool.map_err(|error| Error::argument("inference", error.to_string()))?;
    let network = Model::open(first, None)?.network;
    let image = Tensor::full(&[1, 3, 224, 224], 0.5);
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        let count = number(&line)?;
        let begun = Instant::now();
        for _ in 0..count {
            pool.install(|| {
                let mut pass = Pass::evaluate(network.parameters());
                let x = pass.input(image.clone());
                let logits = network.forward(&mut pass, x)?;
                pass.value(logits).map(|logits| assert_eq!(logits.len(), 1000))
            })?;
        }
        println!("{}", begun.elapsed().as_secs_f64());
        std::io::stdout().flush().map_err(Error::io("write", "the standard output"))?;
    }
    Ok(())
}
