//! The form routed: its guard, and that its runs go on, are read and used like all others.

use crate::program::{SOURCES, digits, good, json, program, source};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A run into `folder` of these sources.
fn training(folder: &Path, sources: &[&str], extra: &[&str]) -> Command {
    let mut command = program();
    command.args(["train", "--form", "routed", "--shots", "6", "--batch", "10", "--steps", "8"]);
    command.args(["--validation", "0.02", "--validate-every", "4", "--checkpoint-every", "3"]);
    command.arg("--zoo").args(sources.iter().map(|name| source(name)));
    command.arg("--data").arg(digits()).args(extra).arg("--out").arg(folder);
    command
}

/// A file of the first digits.
fn few_digits(folder: &Path) -> PathBuf {
    let all = zoo_tuning::dataset::digits::read(digits(), 8).unwrap();
    let row = |(image, label): (&zoo_tuning::dataset::Image, &usize)| {
        let values = image.values().iter().map(|value| format!("{},", (16.0 * value).round()));
        values.collect::<String>() + &label.to_string() + "\n"
    };
    let labels = zoo_tuning::dataset::Dataset::labels(&all);
    let rows = all.images().iter().zip(labels).take(60).map(row);
    let path = folder.join("few.csv");
    fs::write(&path, rows.collect::<String>()).unwrap();
    path
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_routed_run_ends_with_the_same_bits_and_its_file_is_used() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let result = |run: &str| {
        let files = ["metrics.jsonl", "model.safetensors", "checkpoint.safetensors"];
        files.map(|name| fs::read(at(run).join(name)).unwrap())
    };
    let whole = training(&at("whole"), &SOURCES, &["--guard", "off", "--threads", "2"]).output();
    let said = messages(&whole.unwrap());
    assert!(said.contains("each sample goes through the source that fits it"), "{said}");
    good(&mut training(&at("alone"), &SOURCES, &["--guard", "off", "--threads", "1"]));
    assert!(result("whole") == result("alone"), "threads change nothing");
    // Ended early, and extended.
    let short = ["--guard", "off", "--threads", "2", "--time-limit", "1ns"];
    good(&mut training(&at("short"), &SOURCES, &short));
    let limit = ["train", "--threads", "2", "--time-limit", "1h", "--resume"];
    good(program().args(limit).arg(at("short")));
    let [metrics, model, _] = result("short");
    let [_, expected, _] = result("whole");
    assert!(!metrics.is_empty() && model == expected, "a run that goes on is the same");

    let model = at("whole/model.safetensors");
    let summary = json(&fs::read_to_string(at("whole/summary.json")).unwrap());
    assert_eq!(summary["routing"]["taken"], true);
    let eval = |path: &Path| {
        json(&good(program().args(["eval", "--json", "--data"]).arg(digits()).arg(path)))
    };
    let checkpoint = at("whole/checkpoint.safetensors");
    assert_eq!(eval(&model)["accuracy"], eval(&checkpoint)["accuracy"]);
    let shown = good(program().arg("inspect").arg(&model));
    assert!(shown.contains("routed zoo, of which each sample takes one source"), "{shown}");
    let refused = program().arg("collapse").arg(&model).arg(at("plain.pth")).output().unwrap();
    assert!(messages(&refused).contains("train --form lite --teachers"), "{refused:?}");
    let few = few_digits(folder.path());
    // Two sources answer; of one alone the answer is the likeliest source's.
    let loss = |top: &str| {
        let mut eval = program();
        eval.args(["eval", "--json", "--mix-top", top, "--data"]).arg(&few).arg(&model);
        json(&good(&mut eval))["loss"].as_f64().unwrap()
    };
    let alone = good(program().args(["eval", "--json", "--data"]).arg(&few).arg(&model));
    assert_eq!(Some(loss("1")), json(&alone)["loss"].as_f64());
    assert!(loss("2").is_finite() && loss("2") != loss("1"));
    let mut predict = program();
    predict
        .args(["predict", "--mix-top", "2"])
        .arg(source(SOURCES[0]))
        .arg("tests/pictures/photo.png");
    let refused = messages(&predict.output().unwrap());
    assert!(refused.contains("--mix-top") && refused.contains("has no router"), "{refused}");
    // Without a source; of one alone a plain network is left.
    let eval_few = |path: &Path| {
        json(&good(program().args(["eval", "--json", "--data"]).arg(&few).arg(path)))["accuracy"]
            .clone()
    };
    let prune = |keep: &str, out: &Path| {
        let mut prune = program();
        prune.args(["zoo", "prune", "--json", "--keep", keep, "--data"]).arg(&few);
        json(&good(prune.arg(&model).arg("--out").arg(out)))
    };
    let pruned = prune("3", &at("three.safetensors"));
    assert_eq!(pruned["sources"].as_array().unwrap().len(), SOURCES.len());
    assert_eq!(pruned["written"]["after"]["accuracy"], eval_few(&at("three.safetensors")));
    assert!(pruned["written"]["bytes"].as_u64() < pruned["written"]["bytes_before"].as_u64());
    let shares = pruned["sources"].as_array().unwrap().iter().map(|s| s["share"].as_f64().unwrap());
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-4, "{pruned}");
    let refused = |arguments: &[&str], said: &str| {
        let mut prune = program();
        prune.args(["zoo", "prune", "--data"]).arg(&few).args(arguments);
        let output = prune.output().unwrap();
        assert!(!output.status.success() && messages(&output).contains(said), "{output:?}");
    };
    let (file, three) = (model.to_str().unwrap(), at("three.safetensors"));
    let three = three.to_str().unwrap();
    refused(&[file, "--keep", "2", "--out", three], "--force replaces it");
    refused(&[file, "--keep", "9", "--out", "new.safetensors"], "has 4 sources");
    let shown = good(program().args(["zoo", "prune", "--data"]).arg(&few).arg(file));
    assert!(shown.contains("ridge accuracy without it"), "{shown}");
    prune("1", &at("one.safetensors"));
    let plain = at("one.pth");
    good(program().arg("collapse").arg(at("one.safetensors")).arg(&plain));
    assert_eq!(eval_few(&plain), eval_few(&at("one.safetensors")));

    let onnx = at("routed.onnx");
    good(program().arg("convert").arg(&model).arg(&onnx));
    let shown = good(program().arg("inspect").arg(&onnx));
    assert!(shown.contains("router.stem.weight"), "{shown}");
    let page = fs::read_to_string(at("whole/report.html")).unwrap();
    assert!(page.contains("router"), "the page shows which source each sample took");
}

#[test]
fn sources_that_do_not_complement_each_other_are_not_routed() {
    let folder = TempDir::new().unwrap();
    // Twice the same.
    let alike = ["as_is", "as_is"];
    for (form, extra) in [("zoo", &[][..]), ("lite", &["--otherwise", "lite"])] {
        let run = folder.path().join(form);
        let output = training(&run, &alike, extra).output().unwrap();
        let said = messages(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("no sample is routed"), "{said}");
        let summary = json(&fs::read_to_string(run.join("summary.json")).unwrap());
        let ratio = summary["routing"]["error_ratio"].as_f64().unwrap();
        assert_eq!(summary["routing"]["taken"], false);
        assert_eq!(summary["form"], form);
        assert!(ratio > 0.67, "{ratio}");
        let shown = good(program().args(["inspect", "--json"]).arg(run.join("model.safetensors")));
        assert_eq!(json(&shown)["files"][0]["mixed"]["form"], form, "{shown}");
    }
    let run = folder.path().join("no");
    let refused = training(&run, &["as_is"], &[]).output().unwrap();
    assert!(messages(&refused).contains("a router chooses between sources: two at least"));
}
