//! How long a run is, where it begins, and which network it leaves.

use crate::program::{bad, digits, good, json, program, source, text};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use zoo_tuning::tensor::State;
use zoo_tuning::zoo::Checkpoint;

/// A run of lite at a constant rate, measured every two steps.
fn training(folder: &Path, extra: &[&str]) -> Command {
    let mut command = program();
    command.args(["train", "--shots", "4", "--batch", "9", "--schedule", "constant", "--json"]);
    command.args(["--validation", "0.02", "--validate-every", "2", "--threads", "2", "--test"]);
    command.args(["0.02", "--lr", "0.05"]).arg("--zoo").args(["as_is", "edges"].map(source));
    command.arg("--data").arg(digits()).args(extra).arg("--out").arg(folder);
    command
}

fn resumed(folder: &Path, extra: &[&str]) -> Command {
    let mut command = program();
    command.args(["train", "--threads", "2", "--json"]).args(extra).arg("--resume").arg(folder);
    command
}

fn bits(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn a_finished_run_that_is_extended_is_the_longer_run() {
    let folder = TempDir::new().unwrap();
    let [long, short] = ["long", "short"].map(|name| folder.path().join(name));
    good(&mut training(&long, &["--steps", "8"]));
    good(&mut training(&short, &["--steps", "4"]));
    assert_ne!(bits(&long, "model.safetensors"), bits(&short, "model.safetensors"));
    let summary = json(&good(&mut resumed(&short, &["--steps", "8"])));
    assert_eq!((&summary["steps"], &summary["resumed_at_step"]), (&8.into(), &4.into()));
    for name in ["model.safetensors", "best.safetensors", "metrics.jsonl", "config.toml"] {
        assert!(bits(&long, name) == bits(&short, name), "{name}");
    }
    // Nothing else may change, and a run is not shortened.
    let refused = bad(1, &mut resumed(&short, &["--steps", "9", "--seed", "2"]));
    assert!(refused.contains("what may change is --epochs, --steps"), "{refused}");
    bad(1, &mut resumed(&short, &["--steps", "7"]));
}

#[test]
fn what_cannot_go_on_for_longer_stays_as_it_was() {
    let folder = TempDir::new().unwrap();
    let [run, data] = ["run", "digits.csv.gz"].map(|name| folder.path().join(name));
    fs::copy(digits(), &data).unwrap();
    good(training(&run, &["--steps", "2"]).arg("--data").arg(&data));
    let files = ["config.toml", "summary.json", "data.json"];
    let before = files.map(|name| bits(&run, name));
    let file = fs::File::options().append(true).open(&data).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let refused = bad(1, &mut resumed(&run, &["--steps", "4"]));
    assert!(refused.contains("--accept-changed-data"), "{refused}");
    let refused = bad(1, &mut resumed(&run, &["--steps", "1", "--accept-changed-data"]));
    assert!(refused.contains("the checkpoint is of step 2"), "{refused}");
    assert!(before == files.map(|name| bits(&run, name)));
    let longer = json(&good(&mut resumed(&run, &["--steps", "4", "--accept-changed-data"])));
    assert_eq!(longer["steps"], 4);
}

#[test]
fn another_normalisation_than_that_of_the_network_is_refused() {
    let folder = TempDir::new().unwrap();
    let train = |extra: &[&str]| {
        let mut train = program();
        train.args(["train", "--steps", "1", "--shots", "2", "--data"]).arg(digits());
        train.arg("--from").arg(source("as_is")).args(extra);
        train.arg("--out").arg(folder.path().join("run"));
        train
    };
    let refused = bad(1, &mut train(&["--mean", "0.25"]));
    assert!(refused.contains("data.mean: [0.25] is not what"), "{refused}");
    good(&mut train(&["--mean", "0.5", "--std", "0.5"]));
}

#[test]
fn patience_ends_a_run_and_the_best_network_is_kept() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let extra = ["--steps", "60", "--patience", "2", "--checkpoint-every", "3"];
    let both = json(&good(&mut training(&at("both"), &extra)));
    assert_eq!(both["stopped_by"], "patience");
    let best = both["best"]["step"].as_u64().unwrap();
    assert_eq!(both["steps"], best + 4);
    // It is the network that a shorter run ends with.
    let steps = best.to_string();
    let short = json(&good(&mut training(&at("short"), &["--steps", &steps])));
    assert!(bits(&at("both"), "best.safetensors") == bits(&at("short"), "model.safetensors"));
    assert_eq!(
        (&both["best"]["test"], &both["best"]["validation"]),
        (&short["test"], &short["validation"])
    );
    let of_best =
        json(&good(&mut training(&at("best"), &[&extra[..], &["--keep", "best"]].concat())));
    assert!(bits(&at("best"), "model.safetensors") == bits(&at("short"), "model.safetensors"));
    assert_eq!((&of_best["test"], of_best["steps"].as_u64()), (&short["test"], Some(best + 4)));
    assert!(!at("best").join("best.safetensors").exists());
    let last = [&extra[..], &["--keep", "last"]].concat();
    assert!(json(&good(&mut training(&at("last"), &last)))["best"].is_null());
    assert!(bits(&at("both"), "model.safetensors") == bits(&at("last"), "model.safetensors"));

    // Killed and resumed, it ends at the same step with the same bits.
    let killed = at("killed");
    let mut command = training(&killed, &extra);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let written = || fs::read_to_string(killed.join("metrics.jsonl")).unwrap_or_default();
    while written().lines().count() < 5 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let summary = json(&good(&mut resumed(&killed, &[])));
    assert_eq!((&summary["steps"], &summary["best"]), (&both["steps"], &both["best"]));
    for name in ["model.safetensors", "best.safetensors", "metrics.jsonl", "checkpoint.safetensors"]
    {
        assert!(bits(&killed, name) == bits(&at("both"), name), "{name}");
    }
    for flags in [["--patience", "2"], ["--keep", "best"]] {
        let refused =
            bad(1, &mut training(&at("none"), &[&flags[..], &["--validation", "0"]].concat()));
        assert!(refused.contains("validation samples"), "{refused}");
    }
}

#[test]
fn a_limit_of_time_ends_a_run_that_may_go_on_later() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let summary = json(&good(&mut training(&run, &["--steps", "40", "--time-limit", "1ms"])));
    assert_eq!((&summary["steps"], &summary["stopped_by"]), (&1.into(), &"time_limit".into()));
    assert!(summary["validation"].is_object() && run.join("model.safetensors").exists());
    let summary = json(&good(&mut resumed(&run, &["--time-limit", "1h", "--steps", "3"])));
    assert_eq!((&summary["steps"], &summary["stopped_by"]), (&3.into(), &serde_json::Value::Null));
    let refused = bad(1, &mut training(&folder.path().join("other"), &["--time-limit", "soon"]));
    assert!(refused.contains("expected a time such as 30m"), "{refused}");
}

/// At a rate of 0, batch norms alone learn: the classifier is what it began as.
#[test]
fn a_classifier_in_closed_form_is_a_good_beginning() {
    let folder = TempDir::new().unwrap();
    let accuracy = |name: &str, extra: &[&str]| {
        let extra = [&["--shots", "20", "--lr", "0", "--steps", "40"], extra].concat();
        let summary = json(&good(&mut training(&folder.path().join(name), &extra)));
        summary["validation"]["accuracy"].as_f64().unwrap()
    };
    let (fitted, drawn) = (accuracy("fitted", &["--linear-probe"]), accuracy("drawn", &[]));
    assert!(fitted > 0.6 && drawn < 0.4, "{fitted} {drawn}");
}

#[test]
fn a_run_begins_from_a_tuned_network() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let output = training(&at("first"), &["--steps", "2"]).output().unwrap();
    let shown = text(&output.stderr);
    assert!(shown.contains("accuracy of the sources before tuning: as_is "), "{shown}");
    let model = at("first").join("model.safetensors");
    let from = |out: &Path, data: &Path, extra: &[&str]| {
        let mut command = program();
        command.args(["train", "--steps", "1", "--lr", "0", "--batch", "9", "--from"]).arg(&model);
        command.arg("--data").arg(data).args(extra).arg("--out").arg(out);
        command
    };
    let shown = good(&mut from(&at("second"), &digits(), &["--shots", "4"]));
    assert!(shown.contains("Next, one plain network of it: zoo-tuning collapse"), "{shown}");
    let read = |run: &str| {
        State::<f32>::mapped(&Checkpoint::open(at(run).join("model.safetensors")).unwrap()).unwrap()
    };
    let (first, second) = (read("first"), read("second"));
    for name in ["fc.weight", "conv1.weight", "conv1.gate.fc1.weight"] {
        if let Ok(tensor) = first.get(name) {
            assert_eq!(tensor.as_slice(), second.get(name).unwrap().as_slice(), "{name}");
        }
    }
    // Other classes have a fresh classifier.
    for (class, shade) in [("cat", 40), ("dog", 200)] {
        fs::create_dir_all(at("photos").join(class)).unwrap();
        for at_place in 0..4u8 {
            let image = image::GrayImage::from_pixel(16, 16, image::Luma([shade + at_place]));
            image.save(at("photos").join(class).join(format!("{at_place}.png"))).unwrap();
        }
    }
    good(&mut from(&at("third"), &at("photos"), &["--validation", "0"]));
    let third = read("third");
    assert_eq!(third.get("fc.weight").unwrap().shape()[0], 2);
    assert_eq!(
        first.get("layer1.0.conv1.weight").unwrap().as_slice(),
        third.get("layer1.0.conv1.weight").unwrap().as_slice()
    );
    let refused = bad(1, &mut from(&at("fourth"), &digits(), &["--form", "zoo"]));
    assert!(refused.contains("--form: has no effect with --from"), "{refused}");
    let zoo = source("as_is");
    bad(2, &mut from(&at("fourth"), &digits(), &["--zoo", zoo.to_str().unwrap()]));
}
