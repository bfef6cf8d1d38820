//! The profile: complete, of valid JSON, no more than the clock says, and silent unless asked for.

use crate::program::{digits, good, json, program, source, text};
use serde_json::Value;
use std::fs;
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zoo_tuning::nn::{Design, Network};
use zoo_tuning::{ops, profile, tape::Tape, tensor::Tensor};

fn is_of(event: &Value, layer: &str, category: &str) -> bool {
    event["args"]["layer"] == layer && event["cat"] == category
}

/// A step of a small network, with `arguments` and `variable`.
fn step(arguments: &[&str], variable: &str) -> Output {
    let mut command = program();
    command.args(["bench", "step", "--kind", "single", "--depth", "18", "--size", "32"]);
    command.args(["--batch", "2", "--runs", "1", "--threads", "1"]).args(arguments);
    let output = command.env("ZOO_PROFILE", variable).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

#[test]
fn every_layer_is_in_the_trace_forward_and_backward() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    let begun = Instant::now();
    let output = step(&[&format!("--profile={}", path.display())], "");
    let wall = begun.elapsed().as_secs_f64() * 1e6;

    let trace = json(&fs::read_to_string(&path).unwrap());
    let events = trace.as_array().unwrap();
    let number = |event: &Value, key: &str| event[key].as_f64().unwrap();
    for event in events {
        assert_eq!(event["ph"], "X");
        assert!(number(event, "ts") >= 0.0 && number(event, "dur") >= 0.0, "{event}");
    }
    let design = Design::named("resnet18", 3, 100).unwrap();
    let network = Network::<f32>::drawn(&design, 0).unwrap();
    let layers: Vec<&str> = network.convolutions().map(|conv| conv.name()).chain(["fc"]).collect();
    for layer in &layers {
        for category in ["forward", "backward"] {
            assert!(events.iter().any(|e| is_of(e, layer, category)), "{layer} {category}");
        }
    }
    // A product backward is two of the forward one's size; but the images want no gradient.
    let flops = |category: &str| -> f64 {
        let of = events.iter().filter(|e| e["name"] == "conv2d" && e["cat"] == category);
        of.map(|e| number(&e["args"], "flops")).sum()
    };
    let ratio = flops("backward") / flops("forward");
    assert!((1.5..2.0).contains(&ratio), "{ratio}");
    // Two steps, the first to warm up; one thread, so that nothing goes on at once.
    let span = |name: &str| {
        let spans: Vec<_> = events.iter().filter(|event| event["name"] == name).collect();
        assert_eq!((spans.len(), spans[0]["cat"].as_str()), (2, Some("span")), "{name}");
        spans.iter().map(|event| number(event, "dur")).sum::<f64>()
    };
    let steps = span("train step");
    let within: f64 = events
        .iter()
        .filter(|event| event["name"] != "train step")
        .map(|event| number(event, "dur"))
        .sum();
    assert!(span("optimizer") < within && within <= steps && steps <= wall, "{within} {steps}");

    let table = text(&output.stderr);
    for word in ["conv2d", "batch_norm", "optimizer", "GFLOP/s", "layer4.1.conv2"] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
    assert!(json(&text(&output.stdout)).is_object(), "the result stays as it is");
}

#[test]
fn nothing_is_measured_unless_asked_for() {
    for variable in ["", "0"] {
        assert_eq!(text(&step(&[], variable).stderr), "");
    }
    assert!(text(&step(&[], "1").stderr).starts_with("profile: "));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    step(&["--profile"], path.to_str().unwrap());
    assert!(!path.exists(), "the flag is over the variable");
    step(&[], path.to_str().unwrap());
    assert!(json(&fs::read_to_string(path).unwrap()).is_array());
}

#[test]
fn a_run_shows_what_it_does_beside_its_steps() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.json");
    let mut command = program();
    command.args(["train", "--form", "lite", "--shots", "2", "--steps", "2"]);
    command.arg("--zoo").args(["as_is", "edges"].map(source)).arg("--data").arg(digits());
    command.arg("--out").arg(folder.path().join("run"));
    good(command.arg(format!("--profile={}", path.display())));
    let trace = json(&fs::read_to_string(path).unwrap());
    for name in ["load batch", "wait for batch", "optimizer", "evaluate", "write checkpoint"] {
        assert!(trace.as_array().unwrap().iter().any(|event| event["name"] == name), "no {name}");
    }
}

/// Each moment is counted once, where it belongs; the only test here that measures itself.
#[test]
fn what_lies_inside_of_a_span_is_not_counted_twice() {
    const NAP: Duration = Duration::from_millis(50);
    let mut tape = Tape::new();
    let x = tape.parameter(Tensor::<f64>::scalar(1.0));
    ops::relu(&mut tape, x).unwrap();
    profile::start();
    {
        let _outer = profile::span("outer");
        sleep(NAP);
        let _inner = profile::span("inner");
        sleep(NAP);
        let mut tape = Tape::new();
        sleep(NAP);
        let x = tape.parameter(Tensor::<f64>::scalar(1.0));
        let _innermost = profile::span("innermost");
        ops::relu(&mut tape, x).unwrap();
    }
    let profile = profile::finish();
    assert!(profile.measured() >= 3 * NAP && profile.measured() <= profile.wall(), "{profile}");
    let mut trace = Vec::new();
    profile.write_trace(&mut trace).unwrap();
    let trace = json(&text(&trace));
    let names: Vec<_> = trace.as_array().unwrap().iter().map(|event| &event["name"]).collect();
    assert_eq!(names, ["relu", "innermost", "inner", "outer"]);
    // The tape does not count what was before its parameter.
    assert!(trace[0]["dur"].as_f64().unwrap() < NAP.as_micros() as f64);
}
