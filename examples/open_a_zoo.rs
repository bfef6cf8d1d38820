//! A zoo of pretrained networks: opened, looked at, and made into one network for a target.
//!
//! ```text
//! cargo run --example open_a_zoo
//! ```

use zoo_tuning::Result;
use zoo_tuning::demo::{Part, SIDE, Target};
use zoo_tuning::nn::{Form, Mixing, Network, Pass, open_zoo};
use zoo_tuning::start;
use zoo_tuning::tensor::{State, Tensor};

const FILES: [&str; 4] = [
    "data/zoo/as_is.safetensors",
    "data/zoo/rotated.safetensors",
    "data/zoo/inverted.safetensors",
    "data/zoo/edges.safetensors",
];

fn main() -> Result<()> {
    // The files, of any format, are mapped and checked against each other; no value is read yet.
    // Which network they hold, their tensors tell. Heads may differ, since they belong to the
    // tasks that the sources were trained on.
    let (zoo, design) = open_zoo(&FILES, None)?;
    for source in zoo.sources() {
        let bytes: usize = source.iter().map(|view| view.byte_len()).sum();
        let trained_on = source.metadata().get("trained_on").map_or("", String::as_str);
        let path = source.path().display();
        println!("{path}: {} tensors, {bytes} bytes, {trained_on}", source.iter().len());
    }
    let sources: Vec<State<f32>> = State::from_zoo(&zoo)?;
    assert!(sources.iter().all(|source| source.tensors.values().all(Tensor::is_mapped)));

    // The target: twenty labelled digits of each class, none in the sources' data.
    let target = Target::read("data/digits/digits.csv.gz")?;
    let train = target.split(Part::Demo, 20, 1)?.train;
    let (images, labels) = train.batch(&(0..200).collect::<Vec<_>>())?;
    let design = design.with_outputs(target.classes().len());

    // The gate prior: how well does each source, frozen, separate the target's classes?
    let score = |source| start::score(&design, source, [Ok((images.clone(), labels.clone()))]);
    let scores: Vec<f64> = sources.iter().map(score).collect::<Result<_>>()?;
    let best = start::best(&scores).unwrap_or(0);
    println!("leave-one-out accuracy of each source, frozen: {scores:.3?}");

    // The matched start: the channels of all sources in the order of the best one.
    let matched = start::matched(&design, &sources, best, &images)?;

    let mixing =
        Mixing { prior: Some(start::gate_bias(&scores, start::STRENGTH)), ..Mixing::default() };
    let network = Network::from_sources(&design, Form::Zoo(mixing), &matched, 1)?;
    let (trained, of_one) = (network.parameters().trained(), sources[0].tensors.values());
    println!(
        "one network of {} sources: {trained} parameters in training, {} in a source",
        zoo.len(),
        of_one.map(Tensor::len).sum::<usize>()
    );

    // Every sample has its own gate; before training all of them are the prior.
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(Tensor::zeros(&[1, 1, SIDE, SIDE]));
    network.forward(&mut pass, x)?;
    for (layer, gate) in pass.gates() {
        println!("{layer:22} {:.2?}", pass.value(gate)?.as_slice());
        assert!(pass.value(gate)?.as_slice()[best] > 0.75);
    }
    Ok(())
}
