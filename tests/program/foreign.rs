//! Other programs' checkpoints, as users of the program meet them.

use crate::program::{self, bad, digits, good, json, program, source};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zoo_tuning::export::write_pytorch;
use zoo_tuning::zoo::Checkpoint;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name)
}

/// A source of the zoo as another program would have it: in PyTorch's format, behind a prefix,
/// and without a word on what it is but for two that mean something else.
fn disguised(folder: &Path, name: &str, prefix: &str) -> PathBuf {
    let path = folder.join(format!("{name}.pth"));
    let source = Checkpoint::open(source(name)).unwrap();
    let names: Vec<String> = source.names().map(|name| format!("{prefix}{name}")).collect();
    let tensors = names.iter().map(String::as_str).zip(source.iter().map(Into::into));
    let texts = [("architecture", "ResNet"), ("form", "v2"), ("input_mean", "0.5")];
    let texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
    write_pytorch(&path, tensors, &texts.into()).unwrap();
    path
}

#[test]
fn what_a_file_would_run_is_shown_and_not_run() {
    let folder = TempDir::new().unwrap();
    let hostile = fixture("hostile.pt");
    let shown = good(program().current_dir(folder.path()).arg("inspect").arg(&hostile));
    assert!(shown.contains("nothing was run"), "{shown}");
    let call = r#"    posix.system("echo this should never run")"#;
    assert!(shown.lines().any(|line| line == call), "{shown}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing happened");
    let report = json(&good(program().args(["inspect", "--json"]).arg(&hostile)));
    let foreign = &report["files"][0]["foreign"][0];
    assert!(foreign["name"].as_str().unwrap().ends_with(".system"), "{foreign}");
    assert_eq!(foreign["count"], 1);
}

#[test]
fn networks_behind_prefixes_are_compared_tuned_and_evaluated_without_a_flag() {
    let folder = TempDir::new().unwrap();
    let files = [
        disguised(folder.path(), "as_is", "state_dict.module.encoder_q."),
        disguised(folder.path(), "edges", "backbone.body."),
    ];
    let shown = good(program().args(["inspect", "--brief"]).args(&files));
    assert!(shown.contains("holds a resnet_small, names behind backbone.body."), "{shown}");
    assert!(shown.contains("these 2 files form a zoo: 45 tensors in common"), "{shown}");
    let shown = good(program().args(["inspect", "--as", "resnet_small"]).args(&files));
    assert!(shown.contains("fits resnet_small: 47 tensors found, names behind backbone.body."));
    let report = program().args(["inspect", "--json", "--as", "resnet18"]).args(&files).output();
    let report = json(&program::text(&report.unwrap().stdout));
    assert_eq!(report["files"][0]["network"]["fits"], false);
    assert!(report["files"][0]["network"]["missing"].as_array().unwrap().len() > 50);

    let run = folder.path().join("run");
    let mut train = program();
    train.args(["train", "--shots", "2", "--steps", "2", "--zoo"]).args(&files);
    good(train.arg("--data").arg(digits()).arg("--out").arg(&run));
    assert!(run.join("model.safetensors").is_file());

    let evaluated = |file: &Path| {
        let mut command = program();
        json(&good(command.args(["eval", "--json", "--data"]).arg(digits()).arg(file)))
    };
    let expected = evaluated(&source("as_is"));
    let onnx = folder.path().join("as_is.onnx");
    good(program().arg("convert").args([&files[0], &onnx]));
    for file in [&files[0], &onnx] {
        // Without names of classes, they are those of the data, in their order.
        assert_eq!(evaluated(file)["loss"], expected["loss"], "{}", file.display());
    }
}

#[test]
fn rules_for_names_are_applied_and_checked() {
    let folder = TempDir::new().unwrap();
    let odd = folder.path().join("odd.safetensors");
    good(program().args(["convert", "--rename", "conv=comb"]).arg(source("edges")).arg(&odd));
    let says =
        bad(1, program().args(["eval", "--as", "resnet_small", "--data"]).arg(digits()).arg(&odd));
    assert!(says.contains("missing: conv1.weight [16, 3, 3, 3] (there is comb1.weight)"), "{says}");
    let shown = good(program().args(["inspect", "--brief"]).arg(&odd));
    assert!(shown.contains("  holds the tensors of a resnet_small under other names"), "{shown}");
    let near = &json(&good(program().args(["inspect", "--json"]).arg(&odd)))["files"][0]["near"];
    assert_eq!((&near["kind"], &near["architecture"]), (&"renamed".into(), &"resnet_small".into()));
    let back = ["inspect", "--as", "resnet_small", "--rename", "comb=conv"];
    good(program().args(back).arg(&odd));
    let out = folder.path().join("out.safetensors");
    let says = bad(1, program().args(["convert", "--rename", "(=x"]).arg(&odd).arg(&out));
    assert!(says.contains("no regular expression"), "{says}");
    let says =
        bad(1, program().args(["convert", "--rename", "conv=bn"]).arg(source("edges")).arg(&out));
    assert!(says.contains("more than once") && !out.exists(), "{says}");
}

#[test]
fn the_head_of_another_task_is_left_out() {
    let folder = TempDir::new().unwrap();
    let projected = folder.path().join("projected.pth");
    // As self-supervised sources have it: a head of its own name beside the network's parts.
    let rename = ["--rename", "^fc=projection_head", "--rename", "^=module."];
    good(program().arg("convert").args(rename).arg(source("as_is")).arg(&projected));
    let files = [projected.clone(), source("edges")];
    for named in [&[][..], &["--as", "resnet_small"]] {
        let shown = good(program().args(["inspect", "--brief"]).args(named).args(&files));
        assert!(shown.contains("these 2 files form a zoo: 45 tensors in common"), "{shown}");
    }
    let run = folder.path().join("run");
    let mut train = program();
    train.args(["train", "--shots", "2", "--steps", "2", "--zoo"]).args(&files);
    good(train.arg("--data").arg(digits()).arg("--out").arg(&run));
    let taken = folder.path().join("taken.safetensors");
    let named = ["convert", "--as", "resnet_small"];
    good(program().args(named).arg(&projected).arg(&taken));
    let report = json(&good(program().args(["inspect", "--json"]).arg(&taken)));
    let tensors = report["files"][0]["tensors"].as_array().unwrap();
    let counters = |tensor: &&serde_json::Value| {
        tensor["name"].as_str().unwrap().ends_with("num_batches_tracked")
    };
    assert_eq!((tensors.len(), tensors.iter().filter(counters).count()), (54, 9));
}

#[test]
fn a_described_zoo_is_checked_and_tuned() {
    let folder = TempDir::new().unwrap();
    let files = ["as_is", "edges"].map(|name| format!("{name}.pth"));
    disguised(folder.path(), "as_is", "module.");
    disguised(folder.path(), "edges", "");
    let mut describe = program();
    let described = good(describe.current_dir(&folder).args(["zoo", "describe"]).args(&files));
    let description = folder.path().join("zoo.toml");
    let licensed = described.replace("name = ", "licence = \"MIT\"\nmean = [0.5]\nname = ");
    fs::write(&description, &licensed).unwrap();

    let checked = good(program().args(["zoo", "check"]).arg(&description));
    assert!(checked.contains("these 2 sources form a zoo: 45 tensors in common"), "{checked}");
    assert!(checked.contains("behind module.") && checked.contains("MIT"), "{checked}");
    let run = folder.path().join("run");
    let train = |form: &str| {
        let mut train = program();
        train.args(["train", "--shots", "2", "--steps", "2", "--form", form, "--zoo"]);
        train.arg(&description).arg("--data").arg(digits()).arg("--out").arg(run.join(form));
        train
    };
    good(&mut train("lite"));
    assert!(bad(1, &mut train("single")).contains("tunes one source"));
    let says = bad(1, train("zoo").args(["--rename", "conv=comb"]));
    assert!(says.contains("rename: ") && says.contains("zoo.toml"), "{says}");
    let other = licensed.replace("\"resnet_small\"", "\"resnet18\"");
    fs::write(&description, other).unwrap();
    assert!(bad(1, &mut train("zoo")).contains("does not hold a resnet18"));
    fs::write(&description, &licensed).unwrap();

    // Another normalisation: the first layer of that source takes it over, and check says it as
    // train does.
    let halves = licensed.replacen("mean = [0.5]", "mean = [76.5]\nstd = [51]\nrange = 255", 1);
    fs::write(&description, &halves).unwrap();
    let checked = good(program().args(["zoo", "check"]).arg(&description));
    let note = checked.lines().find(|line| line.contains("its first layer takes that over"));
    let note = note.unwrap_or_else(|| panic!("{checked}"));
    assert!(note.contains("edges.pth: expects images of mean 0.5000 and std 0.5000"), "{note}");
    let said = train("average").output().unwrap();
    assert!(said.status.success() && program::text(&said.stderr).contains(note));
    fs::write(&description, &licensed).unwrap();

    // One bit in the middle.
    let path = folder.path().join(&files[1]);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = program().args(["zoo", "check", "--json"]).arg(&description).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = json(&program::text(&output.stdout));
    assert_eq!(report["sources"][0]["problem"], serde_json::Value::Null);
    assert!(report["sources"][1]["problem"].as_str().unwrap().contains("its SHA-256 is"));

    fs::write(&description, licensed.replace("[0.5]", "[0.5, 0.5]")).unwrap();
    let output = program().args(["zoo", "check"]).arg(&description).output().unwrap();
    assert!(program::text(&output.stdout).contains("mean"), "of two channels there is one");

    fs::write(&description, licensed.replace("mean", "maen")).unwrap();
    assert!(bad(1, program().args(["zoo", "check"]).arg(&description)).contains("maen"));
}
