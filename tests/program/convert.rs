//! `convert`: from format to format and from name to name, as users run it.

use crate::program::{self, digits, source};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use zoo_tuning::zoo::{Checkpoint, Format};

fn command(arguments: &[&str], files: &[&Path]) -> Command {
    let mut command = program::program();
    command.args(arguments).args(files);
    command
}

fn good(arguments: &[&str], files: &[&Path]) -> String {
    program::good(&mut command(arguments, files))
}

fn bad(arguments: &[&str], files: &[&Path]) -> String {
    program::bad(1, &mut command(arguments, files))
}

/// Trains a zoo for a few steps into `folder`; its file.
fn trained(folder: &Path, arguments: &[&str]) -> PathBuf {
    let out = folder.join("run");
    let mut command = command(&["train", "--shots", "4", "--steps", "6", "--threads", "2"], &[]);
    command.arg("--zoo").args(["as_is", "edges"].map(source));
    command.arg("--data").arg(digits()).args(arguments);
    let output = command.arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.join("model.safetensors")
}

fn evaluation(file: &Path) -> serde_json::Value {
    let digits = digits();
    serde_json::from_str(&good(&["eval", "--json", "--data"], &[&digits, file])).unwrap()
}

#[test]
fn a_network_goes_to_pytorch_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let [there, back] = ["plain.pth", "plain.safetensors"].map(|name| folder.path().join(name));
    let report = good(&["convert", "--json"], &[&source("as_is"), &there]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    // The counts that PyTorch wants, one for each of the nine batch norms, are there too.
    assert_eq!(report["tensors"], 47 + 9);
    assert_eq!(report["format"], "PyTorch (zip)");
    assert_eq!(report["bytes"], fs::metadata(&there).unwrap().len());
    assert_eq!(report["bytes_before"], fs::metadata(source("as_is")).unwrap().len());
    assert_eq!(evaluation(&there)["accuracy"], evaluation(&source("as_is"))["accuracy"]);

    let shown = good(&["convert"], &[&there, &back]);
    assert!(shown.contains("56 tensors, safetensors") && shown.contains("(before: PyTorch (zip)"));
    let [original, there, back] =
        [source("as_is"), there, back].map(|path| Checkpoint::open(path).unwrap());
    assert_eq!((there.format(), back.format()), (Format::PytorchZip, Format::Safetensors));
    for view in &original {
        for other in [&there, &back] {
            let other = other.get(view.name()).unwrap();
            assert_eq!(other.bytes().unwrap(), view.bytes().unwrap(), "{}", view.name());
        }
    }
    assert_eq!(original.metadata(), there.metadata());
    assert_eq!(original.metadata(), back.metadata());
}

#[test]
fn what_is_there_is_replaced_only_if_asked_even_the_input() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.safetensors");
    fs::copy(source("as_is"), &file).unwrap();
    let before = fs::read(&file).unwrap();
    let said = bad(&["convert"], &[&source("edges"), &file]);
    assert!(said.contains("a.safetensors exists; --force replaces it"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
    good(&["convert", "--force"], &[&file, &file]);
    assert_eq!(Checkpoint::open(&file).unwrap().len(), 47);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_converted_is_refused_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out.h5");
    let said = bad(&["convert"], &[&source("as_is"), &out]);
    assert!(said.contains("those that do are .safetensors, .pth"), "{said}");
    let out = folder.path().join("out.pth");
    let said = bad(&["convert", "--names", "authors"], &[&source("as_is"), &out]);
    assert!(said.contains("is a plain network"), "{said}");
    let onnx = out.with_extension("onnx");
    let said = bad(&["convert", "--names", "authors"], &[&source("as_is"), &onnx]);
    assert!(said.contains("a zoo is not written as ONNX") && !onnx.exists(), "{said}");
    let said = bad(&["convert", "--names", "ours"], &[&source("as_is"), &out]);
    assert!(said.contains("no zoo with the authors' names"), "{said}");
    let softmax = trained(folder.path(), &["--form", "lite"]);
    let said = bad(&["convert", "--names", "authors"], &[&softmax, &out]);
    assert!(said.contains("are softmax"), "{said}");
    assert!(!out.exists());
}

#[test]
fn a_zoo_goes_to_the_authors_names_and_comes_back_and_collapses() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let model = trained(folder.path(), &["--form", "lite", "--gate", "sigmoid"]);
    let [theirs, ours, plain] = ["theirs.pth", "ours.safetensors", "plain.pth"].map(file);
    good(&["convert", "--names", "authors"], &[&model, &theirs]);
    let names = Checkpoint::open(&theirs).unwrap();
    assert!(names.contains("f_net.conv1.lite_attention") && names.contains("c_net.bias"));
    good(&["convert", "--names", "ours"], &[&theirs, &ours]);
    let expected = evaluation(&model);
    assert_eq!(evaluation(&ours), expected);
    // As their code saves it when it runs on several devices.
    let [wrapped, unwrapped] = ["wrapped.pth", "unwrapped.safetensors"].map(file);
    good(&["convert", "--rename", "^=state_dict.module."], &[&theirs, &wrapped]);
    let rename = ["convert", "--names", "ours", "--rename", r"^state_dict\.module\.="];
    good(&rename, &[&wrapped, &unwrapped]);
    assert_eq!(evaluation(&unwrapped), expected);
    let collapsed = file("collapsed.safetensors");
    good(&["collapse"], &[&ours, &collapsed]);
    good(&["convert"], &[&collapsed, &plain]);
    assert_eq!(evaluation(&plain)["accuracy"], expected["accuracy"]);
}

#[test]
fn collapse_writes_the_format_that_the_ending_says() {
    let folder = TempDir::new().unwrap();
    let model = trained(folder.path(), &["--form", "lite"]);
    let plain = |ending: &str| folder.path().join(format!("plain.{ending}"));
    good(&["collapse"], &[&model, &plain("safetensors")]);
    let expected = Checkpoint::open(plain("safetensors")).unwrap();
    for (ending, format) in
        [("pth", Format::PytorchZip), ("PT", Format::PytorchZip), ("onnx", Format::Onnx)]
    {
        let said = good(&["collapse"], &[&model, &plain(ending)]);
        assert!(said.contains(format.name()), "{said}");
        let written = Checkpoint::open(plain(ending)).unwrap();
        assert_eq!(written.format(), format);
        for tensor in &expected {
            let other = written.get(tensor.name()).unwrap();
            assert_eq!(other.to_vec::<f32>().unwrap(), tensor.to_vec::<f32>().unwrap());
        }
        // As `convert` writes it too: strict loading misses nothing.
        let counted = written.contains("bn1.num_batches_tracked");
        assert_eq!(counted, format == Format::PytorchZip);
    }
    let said = bad(&["collapse"], &[&model, &plain("h5")]);
    assert!(said.contains("those that do are .safetensors, .pth"), "{said}");
    assert!(!plain("h5").exists());
}

#[test]
fn half_precision_is_half_the_size_and_what_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let half = folder.path().join("half.safetensors");
    good(&["convert", "--half"], &[&source("as_is"), &half]);
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(10 * size(&half) < 6 * size(&source("as_is")));
    let accuracy = |path: &Path| evaluation(path)["accuracy"].as_f64().unwrap();
    assert!((accuracy(&half) - accuracy(&source("as_is"))).abs() < 0.01);
    let onnx = folder.path().join("half.onnx");
    assert!(bad(&["convert", "--half"], &[&source("as_is"), &onnx]).contains("ONNX"));

    let large = folder.path().join("large.safetensors");
    let value = zoo_tuning::tensor::Tensor::new(&[1], vec![1e5f32]).unwrap();
    let tensors = [("scale", (&value).into())];
    zoo_tuning::export::write_safetensors(&large, tensors, &Default::default()).unwrap();
    let said = bad(&["convert", "--half", "--force"], &[&large, &half]);
    assert!(said.contains("scale") && said.contains("65504"), "{said}");
}
