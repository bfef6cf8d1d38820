//! The reader of ONNX models against the package `onnx` and PyTorch, whose script
//! `formats/make_onnx.py` wrote the files; the writer against ONNX Runtime, by
//! `formats/check_onnx.py`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zoo_tuning::export::{write_onnx, write_safetensors};
use zoo_tuning::nn::architectures::{Block, ResNet, Stem};
use zoo_tuning::nn::{Design, Form, Network, Pass, Values};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::zoo::{Checkpoint, Format};
use zoo_tuning::{Result, zoo::TensorView};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name)
}

/// Opens a model, and compares each tensor with what stands beside it; how many have their values
/// in place.
fn compared(name: &str) -> Result<(Checkpoint, usize)> {
    let checkpoint = Checkpoint::open(fixture(&format!("{name}.onnx")))?;
    assert_eq!(checkpoint.format(), Format::Onnx);
    let expected = std::fs::read_to_string(fixture(&format!("{name}.json"))).unwrap();
    let expected: BTreeMap<String, Value> = serde_json::from_str(&expected).unwrap();
    assert_eq!(checkpoint.len(), expected.len());
    for (name, expected) in &expected {
        let view = checkpoint.get(name)?;
        assert_eq!(view.dtype().name(), expected["dtype"], "{view:?}");
        assert_eq!(serde_json::json!(view.shape()), expected["shape"], "{view:?}");
        let bytes: String = view.bytes()?.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, expected["bytes"], "{view:?}");
    }
    let is_in_place = |view: &&TensorView| format!("{view:?}").contains(", bytes ");
    let in_place = checkpoint.iter().filter(is_in_place).count();
    Ok((checkpoint, in_place))
}

#[test]
fn values_one_by_one_are_those_of_the_reference() -> Result<()> {
    let (checkpoint, in_place) = compared("onnx_typed")?;
    let texts = checkpoint.metadata();
    assert_eq!((texts["author"].as_str(), texts["empty"].as_str()), ("a script", ""));
    assert_eq!(texts["onnx.opset"], "17, ai.onnx.ml 3");
    assert_eq!(texts["onnx.producer"], "tests/formats/make_onnx.py");
    // Those of 4 and 8 bytes that are floating-point numbers, single or in pairs.
    assert_eq!((checkpoint.len(), in_place), (23, 5));
    Ok(())
}

#[test]
fn raw_values_are_those_of_the_reference() -> Result<()> {
    let (checkpoint, in_place) = compared("onnx_raw")?;
    assert_eq!(in_place, checkpoint.len());
    assert!(!checkpoint.metadata().contains_key("onnx.not_read"));
    Ok(())
}

#[test]
fn values_in_a_file_beside_the_model_are_those_of_the_reference() -> Result<()> {
    let (checkpoint, in_place) = compared("onnx_external")?;
    assert_eq!(in_place, checkpoint.len());
    assert!(checkpoint.iter().all(|view| view.path().ends_with("onnx_external.bin")));
    Ok(())
}

#[test]
fn what_has_no_place_in_a_checkpoint_is_passed_over_and_said() -> Result<()> {
    let (checkpoint, _) = compared("onnx_passed_over")?;
    assert_eq!(
        checkpoint.metadata()["onnx.not_read"],
        "constants in nodes (1), graphs in nodes (2), sparse tensors (1), tensors of INT4 (1), \
         tensors of STRING (1)"
    );
    Ok(())
}

#[test]
fn what_pytorch_exports_is_its_state_dict() -> Result<()> {
    let (checkpoint, in_place) = compared("onnx_pytorch")?;
    assert_eq!(in_place, checkpoint.len());
    assert!(checkpoint.metadata()["onnx.producer"].starts_with("pytorch 2"));
    Ok(())
}

/// A network of a few kilobytes, of the same values on every machine.
fn network(block: Block, stem: Stem) -> Result<Network<f32>> {
    let network = ResNet { name: "tiny", block, depths: vec![1, 2], width: 2, stem };
    let design = Design::new(network, 3, 5);
    let mut network = Network::drawn(&design, 7)?;
    let parameters = network.parameters_mut();
    let mut rng = fastrand::Rng::with_seed(8);
    for id in parameters.ids() {
        let values = parameters.value_mut(id);
        // Scales and variances must be positive, for kernels zero is the middle.
        let lowest = if values.shape().len() == 1 { 0.5 } else { -0.5 };
        values.as_mut_slice().iter_mut().for_each(|v| *v = lowest + rng.f32());
    }
    Ok(network)
}

/// One of two sources for each image, as the first channel of the stem says.
fn routed(design: Design) -> Result<Network<f32>> {
    let mut network = Network::new(&design.in_form(Form::Routed, 2), Values::drawn(7))?;
    let parameters = network.parameters_mut();
    let mut rng = fastrand::Rng::with_seed(9);
    for id in parameters.ids() {
        let is_router = parameters.name(id).starts_with("router.");
        let values = parameters.value_mut(id).as_mut_slice();
        let lowest = if values.len() < 5 { 0.5 } else { -0.5 };
        values.iter_mut().for_each(|v| *v = lowest + rng.f32());
        if is_router && values.len() == 4 {
            // The first source for images of much in that channel: for the second one.
            values.copy_from_slice(&[1.0, 0.0, -1.0, 0.0]);
        }
    }
    let bias = parameters.find("router.bias")?;
    *parameters.value_mut(bias) = Tensor::new(&[2], vec![-2.02, 2.02])?;
    Ok(network)
}

fn logits(network: &Network<f32>, images: &Tensor<f32>) -> Result<Tensor<f32>> {
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(images.clone());
    let logits = network.forward(&mut pass, x)?;
    Ok(pass.value(logits)?.clone())
}

const KINDS: [(&str, Block, Stem); 2] = [
    ("onnx_basic", Block::Basic, Stem::Imagenet),
    ("onnx_bottleneck", Block::Bottleneck, Stem::Small),
];

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("class_names".to_owned(), r#"["é","b","c","d","e"]"#.to_owned())])
}

#[test]
fn a_network_that_is_written_is_read_again_bit_for_bit() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for (name, block, stem) in KINDS {
        let network = network(block, stem)?;
        let path = folder.path().join(name);
        write_onnx(&path, &network, &metadata())?;
        let checkpoint = Checkpoint::open(&path)?;
        assert_eq!(checkpoint.metadata()["class_names"], metadata()["class_names"]);
        let design = network.design().clone();
        let state = State::mapped(&checkpoint)?;
        let again = design.plain().build(&state)?;
        for id in again.parameters().ids() {
            assert!(again.parameters().value(id).is_mapped() || cfg!(target_endian = "big"));
        }
        let images = Tensor::normal(&[2, 3, 31, 29], 1.0, &mut fastrand::Rng::with_seed(1));
        assert_eq!(logits(&again, &images)?.as_slice(), logits(&network, &images)?.as_slice());
    }
    Ok(())
}

/// The models in `formats` were written here, found valid by `onnx` and run by ONNX Runtime: as
/// long as the same bytes are written, they are still right. If others are meant to be, run
/// `formats/check_onnx.py` on the folder that is named, and copy the models from there.
#[test]
fn what_is_written_is_what_onnx_runtime_ran() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    std::fs::create_dir_all(&folder).unwrap();
    let mut others = Vec::new();
    let plain = KINDS.map(|(name, block, stem)| Ok((name, network(block, stem)?)));
    let plain = plain.into_iter().collect::<Result<Vec<_>>>()?;
    let routed = ("onnx_routed", routed(plain[0].1.design().clone())?);
    for (name, network) in plain.into_iter().chain([routed]) {
        let path = folder.join(format!("{name}.onnx"));
        write_onnx(&path, &network, &metadata())?;
        let images = Tensor::normal(&[2, 3, 31, 29], 1.0, &mut fastrand::Rng::with_seed(1));
        let logits = logits(&network, &images)?;
        let golden = [("images", (&images).into()), ("logits", (&logits).into())];
        write_safetensors(path.with_extension("golden.safetensors"), golden, &BTreeMap::new())?;
        let expected = std::fs::read(fixture(&format!("{name}.onnx")));
        if expected.ok() != Some(std::fs::read(&path).unwrap()) {
            others.push(path);
        }
    }
    assert!(others.is_empty(), "other bytes than before: {others:?}");
    Ok(())
}
