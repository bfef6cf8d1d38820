//! Several processes together compute what one does with the same batch. They are threads here;
//! `tests/mpi/check.sh` starts real ones.

use std::path::Path;
use toml::Table;
use zoo_tuning::nn::{Design, Form, Mixing, Network, Pass};
use zoo_tuning::ops;
use zoo_tuning::processes::{Share, threads::together};
use zoo_tuning::start::{RouterSettings, Targets, fit_router};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::train::{Config, Run};

fn sources(design: &Design) -> Vec<State<f64>> {
    let draw = |seed| {
        let network = Network::<f64>::drawn(design, seed).unwrap();
        network.parameters().state(format!("source {seed}"))
    };
    (1..=3).map(draw).collect()
}

fn images(count: usize) -> Tensor<f64> {
    Tensor::normal(&[count, 1, 10, 10], 1.0, &mut fastrand::Rng::with_seed(4))
}

fn part(images: &Tensor<f64>, samples: std::ops::Range<usize>) -> Tensor<f64> {
    let len = images.shape()[1..].iter().product::<usize>();
    let shape = [&[samples.len()], &images.shape()[1..]].concat();
    let values = images.as_slice()[samples.start * len..samples.end * len].to_vec();
    Tensor::new(&shape, values).unwrap()
}

/// The loss, every gradient, and what the buffers become.
type Found = (f64, Vec<Option<Vec<f64>>>, Vec<Vec<f64>>);

/// Of a step with `labels`, of which there are as many as images; in a process that has a share of them.
fn step(
    network: &Network<f64>,
    images: &Tensor<f64>,
    labels: &[usize],
    share: Option<Share>,
) -> zoo_tuning::Result<Found> {
    let (own, factor) = match &share {
        Some(share) => {
            let own = share.samples.clone();
            (own.clone(), share.factor() * own.len() as f64 / labels.len() as f64)
        }
        None => (0..labels.len(), 1.0),
    };
    let mut pass = Pass::train(network.parameters()).draw(7);
    if let Some(share) = share.clone() {
        pass = pass.together(share);
    }
    let x = pass.input(part(images, own.clone()));
    let logits = network.forward(&mut pass, x)?;
    let loss = ops::cross_entropy(pass.tape(), logits, &labels[own], 0.1)?;
    let loss = ops::scale(pass.tape(), loss, factor)?;
    let value = pass.value(loss)?.item()?;
    let mut told = 0;
    let step = pass.backward_with(loss, |_, gradient| {
        told += usize::from(gradient.is_some());
        Ok(())
    })?;
    assert_eq!(told, step.gradients().count(), "each gradient is told once");
    let gradients = network.parameters().ids().map(|id| {
        let own = step.gradient(id).map(|gradient| gradient.as_slice().to_vec());
        let Some(share) = &share else { return Ok(own) };
        let known = share.group.sum(&[f64::from(u8::from(own.is_some()))])?[0];
        let own = own.unwrap_or_else(|| vec![0.0; network.parameters().value(id).len()]);
        let sum = share.group.sum(&own)?;
        Ok((known > 0.0).then_some(sum))
    });
    let gradients = gradients.collect::<zoo_tuning::Result<Vec<_>>>()?;
    let value = share.map_or(Ok(value), |share| share.group.sum(&[value]).map(|sum| sum[0]))?;
    Ok((value, gradients, step.updates().map(|(_, value)| value.as_slice().to_vec()).collect()))
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    let largest = expected.iter().fold(1e-3f64, |largest, v| largest.max(v.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-9 * largest, "{what}: {found}, expected {expected}");
    }
}

fn assert_together(name: &str, network: &Network<f64>, count: usize, processes: usize) {
    let images = images(count);
    let labels: Vec<usize> = (0..count).map(|n| n % 3).collect();
    let (loss, gradients, updates) = step(network, &images, &labels, None).unwrap();
    let found = together(processes, |group| {
        let share = Share::of(&group, count);
        step(network, &images, &labels, Some(share))
    });
    for found in found {
        let (found_loss, found_gradients, found_updates) = found.unwrap();
        assert_close(&format!("{name}, loss"), &[found_loss], &[loss]);
        for (id, (found, expected)) in
            network.parameters().ids().zip(found_gradients.iter().zip(&gradients))
        {
            let what = format!("{name}, {processes} processes, {}", network.parameters().name(id));
            assert_eq!(found.is_some(), expected.is_some(), "{what}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert_close(&what, found, expected);
            }
        }
        assert_eq!(found_updates.len(), updates.len());
        for (found, expected) in found_updates.iter().zip(&updates) {
            assert_close(&format!("{name}, buffers"), found, expected);
        }
    }
}

#[test]
fn shares_of_a_batch_have_its_loss_and_its_gradients() {
    let design = Design::named("resnet_small", 1, 3).unwrap();
    let sources = sources(&design);
    for (name, form) in [
        ("plain", Form::Plain),
        ("zoo", Form::Zoo(Mixing::default())),
        ("lite", Form::Lite(Mixing::default())),
    ] {
        let count = if name == "plain" { 1 } else { 3 };
        let network = Network::from_sources(&design, form, &sources[..count], 3).unwrap();
        assert_together(name, &network, 7, 3);
        // More processes than samples.
        assert_together(name, &network, 2, 3);
    }
}

#[test]
fn routed_samples_go_the_same_ways_in_whichever_process() {
    let design = Design::named("resnet_small", 1, 3).unwrap();
    let sources = sources(&design);
    let images = images(24);
    let labels: Vec<usize> = (0..24).map(|n| n % 3).collect();
    let settings = RouterSettings::default();
    let fitted =
        fit_router(&design, &sources, 0, &images, Targets::Classes(&labels), &settings).unwrap();
    let network = fitted.network(&design, &sources, &images, 5).unwrap();
    assert_together("routed", &network, 9, 3);
    assert_together("routed", &network, 4, 4);
}

/// A run of digits, of two sources: with these keys of its method and its record, and those of its optimizer.
fn config(method: &str, record: &str, optimizer: &str) -> Config {
    let text = format!(
        "[method]\nzoo = [\"data/zoo/as_is.safetensors\", \"data/zoo/inverted.safetensors\"]\n{method}\n\
         [data]\npath = \"data/digits/digits.csv.gz\"\nshots = 4\ntest = 0.02\nvalidation = 0.02\n\
         [record]\nlog_every = 1\n{record}\n\
         [optimizer]\nsteps = 5\nlearning_rate = 0.01\n{optimizer}\n"
    );
    Config::read(None, text.parse().unwrap()).unwrap()
}

fn losses(folder: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let loss = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["loss"].as_f64().unwrap()
    };
    text.lines().map(loss).collect()
}

/// A run by three processes that goes on with two has the losses of one that goes on by itself; each is
/// recorded whole, whatever is kept and stays near.
#[test]
fn a_run_of_several_processes_is_recorded_as_that_of_one() {
    let cases = [
        ["", "keep = \"both\"", "batch = 8"],
        ["", "keep = \"best\"", "batch = 7\npatience = 20"],
        ["l2_sp = 0.1\ndelta = 0.5\nform = \"lite\"", "", "batch = 8\ntime_limit = \"1h\""],
    ];
    for [method, record, optimizer] in cases {
        let config = || config(method, record, optimizer);
        let folder = tempfile::tempdir().unwrap();
        let [alone, several] = ["alone", "several"].map(|name| folder.path().join(name));
        let longer: Table = "[optimizer]\nsteps = 8".parse().unwrap();
        Run::create(&alone, config()).unwrap().train(&mut ()).unwrap();
        Run::resume(&alone).unwrap().extended(longer.clone()).unwrap().train(&mut ()).unwrap();
        let begun =
            together(3, |group| Run::together(group, &several, Some(config()))?.train(&mut ()));
        begun.into_iter().for_each(|summary| drop(summary.unwrap()));
        let went_on = together(2, |group| {
            Run::together(group, &several, None)?.extended(longer.clone())?.train(&mut ())
        });
        went_on.into_iter().for_each(|summary| drop(summary.unwrap()));
        let (expected, found) = (losses(&alone), losses(&several));
        assert_eq!(found.len(), 8);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5 * expected, "{method}: {found}, {expected}");
        }
        let files = |folder: &Path| {
            let entries = std::fs::read_dir(folder).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(files(&several), files(&alone));
    }
}
