//! Steps of training in Rust, for the comparison with Python: benches/python.py.
//!
//! A line of the standard input is a number of steps; the answer is the seconds that they took.

use std::io::{BufRead, Write};
use std::time::Instant;
use zoo_tuning::nn::{Design, Form, Mixing, Network, Pass, open_zoo};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::{Error, Result, ops};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, batch, size, threads, files @ ..] = &arguments[..] else {
        return Err(Error::argument("steps", "NETWORK BATCH SIZE THREADS FILES..."));
    };
    let number = |text: &String| {
        text.parse::<usize>().map_err(|_| Error::argument("steps", format!("{text} is no number")))
    };
    let (batch, size, threads) = (number(batch)?, number(size)?, number(threads)?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|error| Error::argument("steps", error.to_string()))?;
    let mut network = if files.is_empty() {
        Network::<f32>::drawn(&Design::named(network, 3, 10)?, 1)?
    } else {
        let (zoo, design) = open_zoo(files, Some(network))?;
        let sources = State::from_zoo(&zoo)?;
        Network::from_sources(&design, Form::Lite(Mixing::default()), &sources, 1)?
    };
    let images = Tensor::full(&[batch, network.design().channels, size, size], 0.5);
    let labels: Vec<usize> = (0..batch).map(|n| n % 10).collect();
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        let begun = Instant::now();
        for _ in 0..number(&line)? {
            let mut pass = Pass::train(network.parameters());
            let x = pass.input(images.clone());
            let logits = network.forward(&mut pass, x)?;
            let loss = ops::cross_entropy(pass.tape(), logits, &labels, 0.0)?;
            let step = pass.backward(loss)?;
            optimizer.step(network.parameters_mut(), step, 1e-4)?;
        }
        println!("{}", begun.elapsed().as_secs_f64());
        std::io::stdout().flush().map_err(Error::io("write", "the standard output"))?;
    }
    Ok(())
}
