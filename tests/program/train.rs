//! What a configuration asks the loop for: optimizers, accumulation, averages, curves. That a run
//! which is stopped ends with the same bits is tested with all of them.

use crate::program::{SOURCES, digits, file, good, json, program, source};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zoo_tuning::nn::{Form, Network, Role, Step, open_zoo};
use zoo_tuning::optim::{Group, Groups, Optimizer, Rule, Schedule};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::train::task::One;
use zoo_tuning::train::{Config, Trainer};
use zoo_tuning::{dataset::Batch, optim::Decay};

/// A run of twelve steps into `folder`, with `extra` arguments.
fn training(folder: &Path, extra: &[&str]) -> Command {
    let mut command = program();
    command.args(["train", "--shots", "4", "--batch", "9", "--steps", "12", "--threads", "2"]);
    command.args(["--validation", "0.02", "--validate-every", "5", "--checkpoint-every", "2"]);
    command.arg("--zoo").args(["as_is", "edges"].map(source));
    command.arg("--data").arg(digits()).args(extra).arg("--out").arg(folder);
    command
}

/// What has to be the same, bit by bit.
fn result(folder: &Path) -> [Vec<u8>; 3] {
    ["metrics.jsonl", "model.safetensors", "checkpoint.safetensors"]
        .map(|name| fs::read(folder.join(name)).unwrap())
}

/// Starts the run and kills it after some lines of its record, then lets it go on to the end.
fn killed_and_resumed(folder: &Path, extra: &[&str], lines: usize) {
    let mut command = training(folder, extra);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let written = || fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    let begun = Instant::now();
    while written().lines().count() < lines && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    good(program().args(["train", "--threads", "2", "--resume"]).arg(folder));
}

#[test]
fn a_run_with_everything_goes_on_as_if_nothing_had_happened() {
    let folder = TempDir::new().unwrap();
    let adamw =
        ["--optimizer", "adamw", "--lr", "1e-3", "--betas", "0.8,0.99", "--accumulate", "2"];
    let adamw = [&adamw[..], &["--average", "0.7", "--clip-norm", "1", "--tensorboard"]].concat();
    let rms_prop = ["--optimizer", "rmsprop", "--lr", "1e-4", "--momentum", "0.5", "--centred"];
    let mixed = [
        "--mixup",
        "0.4",
        "--cutmix",
        "1",
        "--class-weights",
        "balanced",
        "--erasing",
        "0.5",
        "--auto-augment",
        "randaugment",
    ];
    let slowed = ["--sampler", "balanced", "--freeze", "conv1,bn1", "--layer-decay", "0.8"];
    let mixed = [&mixed[..], &slowed, &["--label-smoothing", "0.1"]].concat();
    for (name, extra) in [("adamw", &adamw[..]), ("rmsprop", &rms_prop), ("mixed", &mixed)] {
        let [whole, killed] =
            ["whole", "killed"].map(|k| folder.path().join(format!("{name}-{k}")));
        good(&mut training(&whole, extra));
        killed_and_resumed(&killed, extra, 5);
        assert!(result(&whole) == result(&killed), "{name}");
    }

    let [whole, alone, short] = ["whole", "alone", "short"];
    let at = |name: &str| folder.path().join(format!("mixed-{name}"));
    good(&mut training(&at(alone), &[&mixed[..], &["--threads", "1"]].concat()));
    assert!(result(&at(whole)) == result(&at(alone)), "threads change nothing");
    good(&mut training(&at(short), &[&mixed[..], &["--steps", "1"]].concat()));
    let tensor = |run: &str, name: &str| {
        let model = zoo_tuning::zoo::Checkpoint::open(at(run).join("model.safetensors")).unwrap();
        State::<f32>::mapped(&model).unwrap().get(name).unwrap().as_slice().to_vec()
    };
    assert_eq!(tensor(short, "conv1.weight"), tensor(whole, "conv1.weight"), "it is frozen");
    assert_ne!(tensor(short, "fc.weight"), tensor(whole, "fc.weight"));

    let run = folder.path().join("adamw-whole");
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<_> = metrics.lines().map(json).collect();
    assert!(lines.iter().all(|line| line["gradient_norm"].as_f64().unwrap() > 0.0));
    assert!(lines[4]["validation"]["accuracy"].is_f64(), "{}", lines[4]);
    let events = |run: &str| fs::read_dir(folder.path().join(run).join("tensorboard")).unwrap();
    assert_eq!(events("adamw-whole").count(), 1);
    assert_eq!(events("adamw-killed").count(), 2);
    let bytes = fs::read(events("adamw-whole").next().unwrap().unwrap().path()).unwrap();
    let has = |tag: &str| bytes.windows(tag.len()).any(|window| window == tag.as_bytes());
    for tag in [
        "train/loss",
        "train/learning_rate",
        "train/gradient_norm",
        "validation/accuracy",
        "validation/loss",
        "gates/conv1/edges",
        "[optimizer]",
    ] {
        assert!(has(tag), "{tag}");
    }
    assert!(!folder.path().join("rmsprop-whole/tensorboard").exists());

    // The average is written, and what a checkpoint is as a network.
    let [model, checkpoint] =
        ["model.safetensors", "checkpoint.safetensors"].map(|name| run.join(name));
    let eval = |path: &Path| {
        json(&good(program().args(["eval", "--json", "--data"]).arg(digits()).arg(path)))
    };
    assert_eq!(eval(&model), eval(&checkpoint));
    let read = |path: &Path| {
        let checkpoint = zoo_tuning::zoo::Checkpoint::open(path).unwrap();
        State::<f32>::mapped(&checkpoint).unwrap()
    };
    let (written, kept) = (read(&model), read(&checkpoint));
    let values = |state: &State<f32>, name: &str| state.get(name).unwrap().as_slice().to_vec();
    let name = "fc.weight";
    assert_eq!(values(&written, name), values(&kept, &format!("average.{name}")));
    assert_ne!(values(&written, name), values(&kept, name));
}

#[test]
fn accumulated_batches_are_counted_in_epochs() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    // 40 images in batches of 8: 5 an epoch, so that 2 epochs are 10 batches, and 4 steps of 3.
    let mut command = program();
    command.args(["train", "--form", "scratch", "--architecture", "resnet_small", "--epochs", "2"]);
    command.args(["--shots", "4", "--batch", "8", "--accumulate", "3", "--size", "16"]);
    command.args(["--average", "0.5", "--data"]);
    good(command.arg(digits()).arg("--out").arg(&run));
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<_> = metrics.lines().map(json).collect();
    let epochs: Vec<_> = lines.iter().map(|line| line["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 2, 3]);
    let measured: Vec<_> = lines.iter().map(|line| line["validation"].is_object()).collect();
    assert_eq!(measured, [false, true, false, true]);
    // A plain network's checkpoint is its average, too.
    let eval = |name: &str| {
        let path = run.join(name);
        json(&good(program().args(["eval", "--json", "--data"]).arg(digits()).arg(path)))
    };
    assert_eq!(eval("model.safetensors"), eval("checkpoint.safetensors"));
}

#[test]
fn what_is_frozen_stays_and_has_no_gradient() {
    let files = SOURCES.map(source);
    let (zoo, design) = open_zoo(&files, None).unwrap();
    let sources = State::from_zoo(&zoo).unwrap();
    let form = Form::Lite(Default::default());
    let mut network = Network::<f32>::from_sources(&design, form, &sources, 1).unwrap();
    let frozen = Group { lr_scale: 0.0, decay: 0.1 };
    let groups = Groups { backbone: frozen, alignment: frozen, ..Groups::uniform(0.0) };
    let schedule = Schedule { warmup: 0, decay: Decay::Constant };
    let mut trainer = Trainer::new(Optimizer::new(Rule::ADAM, groups), 0.01, schedule, 2);
    let roles: Vec<_> =
        network.parameters().ids().map(|id| (id, network.parameters().role(id))).collect();
    trainer.reduce = Box::new({
        let roles = roles.clone();
        move |_: u64, step: &mut Step<f32>| {
            for &(id, role) in &roles {
                let is_trained = matches!(role, Role::Gate | Role::Head);
                assert_eq!(step.gradient(id).is_some(), is_trained, "{role:?}");
            }
            Ok(())
        }
    });
    let before = network.parameters().state("before");
    let images = Tensor::new(&[4, 1, 16, 16], (0..1024).map(|i| (i % 7) as f32 / 7.0).collect());
    let images = images.unwrap();
    let mut task = One(Batch { images, labels: vec![3, 1, 4, 1], indices: vec![0, 1, 2, 3] });
    trainer.run(&mut network, &mut task, 0..2, |_, _, _, _| Ok(())).unwrap();
    for &(id, role) in &roles {
        let name = network.parameters().name(id);
        let same =
            before.get(name).unwrap().as_slice() == network.parameters().value(id).as_slice();
        match role {
            Role::Backbone | Role::Alignment => assert!(same, "{name} is frozen"),
            Role::Head => assert!(!same, "{name} is trained"),
            _ => {}
        }
    }
}

#[test]
fn the_documented_keys_options_and_defaults_are_the_configurations() {
    let path = file("").join("../docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let documented: Vec<[String; 3]> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let [key, option, default] = [cells.next()?, cells.next()?, cells.next()?].map(cell);
            option.starts_with("--").then_some([key, option, default])
        })
        .filter(|[key, ..]| key != "preset")
        .collect();
    let keys: Vec<_> = documented.iter().map(|[key, ..]| key.as_str()).collect();
    let (mut expected, mut found) = (Config::keys(), keys.clone());
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let defaults = serde_json::to_value(Config::default()).unwrap();
    for [key, option, default] in &documented {
        assert_eq!(option, &Config::flag(key));
        let value = key.split('.').fold(&defaults, |value, name| &value[name]);
        if !value.is_null() {
            assert_eq!(&json(default), value, "{key}");
        }
    }
}
