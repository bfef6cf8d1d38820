//! Sources as people have them: kernels in another order, weights of 8 bits, files given twice.

use crate::program::{bad, digits, file, good, json, program, source, text};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zoo_tuning::nn::{Form, Mixing, Network, open_zoo};
use zoo_tuning::tensor::State;
use zoo_tuning::train::{Input, Model};
use zoo_tuning::zoo::Checkpoint;

/// A tensor to be written: its name, type, shape and bytes.
type Tensor = (String, &'static str, Vec<usize>, Vec<u8>);

/// A file of these tensors that says nothing of what it is, but for its images.
fn written(path: &Path, tensors: &[Tensor]) {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    entries.push(
        r#""__metadata__":{"input_mean":"0.5","input_std":"0.5","input_size":"16"}"#.to_owned(),
    );
    for (name, dtype, shape, bytes) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
        data.extend_from_slice(bytes);
    }
    let header = format!("{{{}}}", entries.join(","));
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], header.as_bytes(), &data].concat()).unwrap();
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The tensors of the source `as_is`, each changed into some.
fn changed(change: impl Fn(&str, &[usize], Vec<f32>) -> Vec<Tensor>) -> Vec<Tensor> {
    let checkpoint = Checkpoint::open(source("as_is")).unwrap();
    let floats = checkpoint.iter().filter(|view| view.dtype().name() == "F32");
    floats.flat_map(|view| change(view.name(), view.shape(), view.to_vec().unwrap())).collect()
}

fn whole(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    (name.to_owned(), "F32", shape.to_vec(), bytes(values))
}

/// What a network of `path` loses on the digits, with `options`.
fn loss(path: &Path, options: &[&str]) -> f64 {
    let mut eval = program();
    eval.args(["eval", "--json", "--data"]).arg(digits()).arg(path).args(options);
    json(&good(&mut eval))["loss"].as_f64().unwrap()
}

fn inspected(options: &[&str], files: &[&Path]) -> String {
    good(program().args(["inspect", "--brief"]).args(options).args(files))
}

#[test]
fn kernels_in_the_order_of_jax_are_named_and_taken() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    written(&ours, &changed(|name, shape, values| vec![whole(name, shape, &values)]));
    let transposed = |name: &str, shape: &[usize], values: Vec<f32>| match *shape {
        [o, c, kh, kw] => {
            let at = |i: usize| {
                let (tap, channel, output) = (i / (c * o), i / o % c, i % o);
                values[(output * c + channel) * kh * kw + tap]
            };
            vec![whole(name, &[kh, kw, c, o], &(0..values.len()).map(at).collect::<Vec<_>>())]
        }
        [o, c] => {
            let at = |i: usize| values[i % o * c + i / o];
            vec![whole(name, &[c, o], &(0..values.len()).map(at).collect::<Vec<_>>())]
        }
        _ => vec![whole(name, shape, &values)],
    };
    written(&theirs, &changed(transposed));

    let shown = inspected(&[], &[&theirs]);
    for part in ["the kernels of a resnet_small", "[kh, kw, C, O]", "--layout hwio takes them"] {
        assert!(shown.contains(part), "{shown}");
    }
    let says = bad(
        1,
        program().args(["eval", "--as", "resnet_small", "--data"]).arg(digits()).arg(&theirs),
    );
    assert!(says.contains("--layout hwio"), "{says}");
    let layout = ["--layout", "hwio-io"];
    assert!(inspected(&layout, &[&theirs]).contains("holds a resnet_small, names as they are"));
    assert_eq!(loss(&theirs, &layout), loss(&ours, &[]));

    let run = folder.path().join("run");
    let mut train = program();
    train.args(["train", "--form", "single", "--shots", "2", "--steps", "1", "--zoo"]).arg(&theirs);
    good(train.args(["--layout", "hwio", "--out"]).arg(&run).arg("--data").arg(digits()));
    // Of each source in a description, which train and check read.
    let mut describe = program();
    describe.args(["zoo", "describe", "--layout", "hwio"]).arg(&theirs);
    let description = folder.path().join("zoo.toml");
    fs::write(&description, good(&mut describe)).unwrap();
    let checked = good(program().args(["zoo", "check"]).arg(&description));
    assert!(checked.contains("this source forms a zoo"), "{checked}");
}

/// Fault: the note on a file of two networks named an option that `train` did not have.
#[test]
fn of_two_networks_in_a_file_the_one_behind_the_prefix_is_tuned() {
    let folder = TempDir::new().unwrap();
    let [twins, alone, run] = ["twins", "alone", "run"].map(|name| folder.path().join(name));
    let both = |name: &str, shape: &[usize], values: Vec<f32>| {
        let halved: Vec<f32> = values.iter().map(|value| value / 2.0).collect();
        let named = |prefix: &str, values: &[f32]| whole(&format!("{prefix}{name}"), shape, values);
        vec![named("student.", &values), named("teacher.", &halved)]
    };
    written(&twins, &changed(both));
    written(&alone, &changed(|name, shape, values| vec![whole(name, shape, &values)]));
    let tuned = |file: &Path, options: &[&str]| {
        let mut train = program();
        train.args(["train", "--form", "single", "--shots", "2", "--steps", "1"]);
        train.arg("--zoo").arg(file).args(options).arg("--data").arg(digits());
        let output = train.arg("--out").arg(&run).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let model = fs::read(run.join("model.safetensors")).unwrap();
        fs::remove_dir_all(&run).unwrap();
        (said, model)
    };
    let (said, teacher) = tuned(&twins, &[]);
    assert!(said.contains("--prefix student. takes another"), "{said}");
    let (said, student) = tuned(&twins, &["--prefix", "student"]);
    assert!(!said.contains("takes another"), "{said}");
    assert!(student != teacher);
    let values = |model: &[u8]| {
        let file = folder.path().join("model.safetensors");
        fs::write(&file, model).unwrap();
        let checkpoint = Checkpoint::open(file).unwrap();
        checkpoint.get("conv1.weight").unwrap().bytes().unwrap().to_vec()
    };
    assert_eq!(values(&student), values(&tuned(&alone, &[]).1));
    // A description says it of each source.
    let description = folder.path().join("zoo.toml");
    fs::write(&description, "[[source]]\nfile = \"twins\"\n").unwrap();
    let mut train = program();
    train.args(["train", "--prefix", "student", "--zoo"]).arg(&description).arg("--data");
    let stderr = bad(1, train.arg(digits()).arg("--out").arg(&run));
    assert!(stderr.contains("write it there"), "{stderr}");
}

#[test]
fn what_is_left_out_of_a_file_is_named() {
    let folder = TempDir::new().unwrap();
    let (detector, whole_network) = (folder.path().join("detector"), folder.path().join("whole"));
    let beside = |name: &str, shape: &[usize], values: Vec<f32>| match name.strip_prefix("fc.") {
        Some(rest) => vec![whole(&format!("state.decode_head.{rest}"), shape, &values)],
        None => vec![whole(&format!("state.backbone.{name}"), shape, &values)],
    };
    let mut tensors = changed(beside);
    tensors.push(whole("state.neck.bias", &[1], &[0.0]));
    written(&detector, &tensors);
    let shown = inspected(&[], &[&detector]);
    for part in [
        "holds a resnet_small, names behind state.backbone.\n",
        "left out: state.decode_head (2), state.neck (1)\n",
        "without the head, such as fc.weight [1, 64]",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    written(&whole_network, &changed(|name, shape, values| vec![whole(name, shape, &values)]));
    let shown = inspected(&[], &[&whole_network]);
    assert!(!shown.contains("left out") && !shown.contains("without"), "{shown}");
}

#[test]
fn weights_of_8_bits_are_read_with_the_scales_beside_them() {
    let folder = TempDir::new().unwrap();
    let int8 = folder.path().join("int8.safetensors");
    let quantised = |name: &str, shape: &[usize], values: Vec<f32>| {
        if shape.len() != 4 {
            return vec![whole(name, shape, &values)];
        }
        let row = values.len() / shape[0];
        let largest = |row: &[f32]| row.iter().fold(1e-9f32, |most, v| most.max(v.abs()));
        let scales: Vec<f32> = values.chunks(row).map(largest).collect();
        let quantum = |(at, v): (usize, &f32)| (v / scales[at / row] * 127.0).round() as i8 as u8;
        let bytes = values.iter().enumerate().map(quantum).collect();
        let weight = (name.to_owned(), "I8", shape.to_vec(), bytes);
        vec![weight, whole(&name.replace("weight", "SCB"), &shape[..1], &scales)]
    };
    written(&int8, &changed(quantised));
    assert!(inspected(&[], &[&int8]).contains("holds a resnet_small, names as they are"));
    let ours = folder.path().join("ours.safetensors");
    written(&ours, &changed(|name, shape, values| vec![whole(name, shape, &values)]));
    let (theirs, ours) = (loss(&int8, &[]), loss(&ours, &[]));
    // What 8 bits lose, and no more.
    assert!(theirs != ours && (theirs - ours).abs() < 0.03 * ours, "{theirs} against {ours}");
}

#[test]
fn inspect_shows_all_files_though_one_is_bad() {
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("broken.pth");
    fs::write(&broken, "<!DOCTYPE html>").unwrap();
    let mut command = program();
    command.args(["inspect", "--brief"]).args([source("as_is"), broken.clone(), source("edges")]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert!(shown.contains("as_is") && shown.contains("edges"), "{shown}");
    assert!(said.contains("error: ") && said.contains("broken.pth"), "{said}");
    let output = command.arg("--json").output().unwrap();
    let report = json(&text(&output.stdout));
    assert!(report["files"][1]["problem"].as_str().unwrap().contains("broken.pth"));
    assert_eq!(report["files"][2]["network"]["architecture"], "resnet_small");
}

#[test]
fn a_file_that_is_given_twice_is_marked() {
    let again = file("zoo/../zoo/as_is.safetensors");
    let shown = inspected(&[], &[&source("as_is"), &again]);
    assert!(
        shown.contains("  the same file as ") && shown.contains("1 of them given before"),
        "{shown}"
    );
}

#[test]
fn a_zoo_of_our_own_is_described_with_its_sources_and_gates() {
    let folder = TempDir::new().unwrap();
    let trained = |form: &str| -> PathBuf {
        let run = folder.path().join(form);
        let mut train = program();
        train.args(["train", "--form", form, "--shots", "4", "--steps", "2", "--zoo"]);
        train.args(["as_is", "edges"].map(source)).arg("--data").arg(digits());
        good(train.arg("--out").arg(&run));
        run.join("model.safetensors")
    };
    let lite = trained("lite");
    let shown = inspected(&[], &[&lite]);
    assert!(
        shown.contains("holds a lite zoo of 2 sources, resnet_small with 1 channels"),
        "{shown}"
    );
    for name in ["as_is", "edges"] {
        let row = shown.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(row.contains("conv") || row.contains("downsample"), "{row}");
    }
    let report = json(&good(program().args(["inspect", "--json"]).arg(&lite)));
    let mixed = &report["files"][0]["mixed"];
    assert!(mixed["sources"][0]["score"].as_f64().is_some_and(|score| score > 0.2), "{mixed}");
    let sum = |gate: &serde_json::Value| -> f64 {
        gate[1].as_array().unwrap().iter().map(|weight| weight.as_f64().unwrap()).sum()
    };
    assert!(mixed["gates"].as_array().unwrap().iter().all(|gate| (sum(gate) - 1.0).abs() < 1e-3));
    let shown = inspected(&[], &[&trained("zoo")]);
    assert!(shown.contains("holds a zoo, gated sample by sample, of 2 sources"), "{shown}");
}

#[test]
fn an_old_whole_module_is_listed_by_its_class() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/module_legacy.pt");
    let shown = inspected(&[], &[&module]);
    assert!(shown.contains("Python would import") && !shown.contains("<persistent"), "{shown}");
}

#[test]
fn networks_of_names_that_nobody_knows_are_told_by_their_structure() {
    let folder = TempDir::new().unwrap();
    let [odd, half] = ["odd", "half"].map(|name| folder.path().join(name));
    let count = std::cell::Cell::new(0);
    let named = |shape: &[usize], values: &[f32]| {
        count.set(count.get() + 1);
        vec![whole(&format!("blob{}", count.get()), shape, values)]
    };
    let tensors = changed(|_, shape, values| named(shape, &values));
    written(&odd, &tensors);
    let shown = inspected(&[], &[&odd]);
    assert!(shown.contains("the tensors of a resnet_small under other names"), "{shown}");
    let report = json(&good(program().args(["inspect", "--json"]).arg(&odd)));
    assert_eq!(report["files"][0]["near"]["architecture"], "resnet_small");
    let kernels = tensors.into_iter().filter(|(_, _, shape, _)| shape.len() == 4).skip(2);
    written(&half, &kernels.collect::<Vec<_>>());
    let shown = inspected(&[], &[&half]);
    assert!(shown.contains("kernels have the shapes of a resnet_small"), "{shown}");
}

#[test]
fn inspect_says_what_is_wrong_with_a_zoo_of_our_own() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lite.safetensors");
    let (zoo, design) = open_zoo(&["as_is", "edges"].map(source), None).unwrap();
    let (sources, form) = (State::from_zoo(&zoo).unwrap(), Form::Lite(Mixing::default()));
    let network = Network::<f32>::from_sources(&design, form, &sources, 1).unwrap();
    let input = Input::usual(&design);
    Model::from_network(network, input, &[]).write(&path).unwrap();
    let mut content = fs::read(&path).unwrap();
    let name = content.windows(9).position(|part| part == b"\"fc.bias\"").unwrap();
    content[name + 4..name + 8].copy_from_slice(b"nose");
    fs::write(&path, content).unwrap();
    let shown = inspected(&[], &[&path]);
    assert!(shown.contains("says that it holds a zoo that was tuned here, but: "), "{shown}");
    assert!(shown.contains("fc.bias"), "{shown}");
    let report = json(&good(program().args(["inspect", "--json"]).arg(&path)));
    assert_eq!(report["files"][0]["near"]["kind"], "broken");
}

#[test]
fn what_a_hub_says_beside_a_checkpoint_is_used_and_told() {
    let folder = TempDir::new().unwrap();
    let [path, config] = ["model", "config.json"].map(|name| folder.path().join(name));
    // It no longer says what its images are.
    let mut silent = fs::read(source("as_is")).unwrap();
    for at in 0..2000 {
        if silent[at..].starts_with(b"input_") {
            silent[at..at + 5].copy_from_slice(b"other");
        }
    }
    fs::write(&path, silent).unwrap();
    let content = r#"{"pretrained_cfg": {"input_size": [1, 16, 16], "crop_pct": 1.0,
        "mean": [0.25], "std": [0.5]}}"#;
    fs::write(&config, content).unwrap();
    let told = |options: &[&str]| {
        let mut eval = program();
        eval.args(["eval", "--data"]).arg(digits()).arg(&path).args(options);
        let output = eval.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let said = told(&[]);
    assert!(said.contains("config.json: 16x16") && said.contains("mean 0.25, std 0.5"), "{said}");
    assert!(!said.contains("assumed"), "{said}");
    assert!(told(&["--mean", "0.5"]).contains("mean 0.5, std 0.5"));
    // Flags of train are what all sources are shown, so that this one takes the difference over.
    let mut train = program();
    train.args(["train", "--form", "single", "--steps", "1", "--shots", "2", "--mean", "0.5"]);
    train.arg("--data").arg(digits()).arg("--zoo").arg(&path);
    let output = train.arg("--out").arg(folder.path().join("run")).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("its first layer takes that over"), "{said}");
    assert!(said.contains("expects images as") && said.contains("config.json says"), "{said}");
}
