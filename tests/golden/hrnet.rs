//! High-resolution networks against `hrnet.py`, which writes them down in PyTorch.

use super::networks::{answers, drawn, numbers, trained, with_drawn_values};
use serde_json::Value;
use zoo_tuning::kernel::Interpolation;
use zoo_tuning::nn::architectures::{self, HRNet, HRNetHead};
use zoo_tuning::nn::*;
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::{Element, Tensor};
use zoo_tuning::{Result, ops};

const OUTPUTS: usize = 3;

/// What `hrnet.py` wrote.
fn golden() -> Value {
    serde_json::from_str(include_str!("hrnet.json")).unwrap()
}

/// FNV-1a of 64 bits.
fn hashed(text: &str) -> String {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

#[test]
fn tensors_have_the_names_and_shapes_of_pytorchs() -> Result<()> {
    for (name, golden) in golden()["names"].as_object().unwrap() {
        let tensors = Design::named(name, 3, 68)?.tensors()?;
        let list: String =
            tensors.iter().map(|(name, shape)| format!("{name} {shape:?}\n")).collect();
        let hint = format!("python tests/golden/hrnet.py {name} lists them");
        assert_eq!(golden["tensors"], tensors.len(), "{hint}");
        assert_eq!(golden["parameters"], trained(&tensors), "{hint}");
        assert_eq!(golden["hash"], hashed(&list), "{hint}");
    }
    // Each norm has a counter of batches beside, which makes 1 839 entries of a state dict.
    let tensors = Design::named("hrnet_w18", 3, 68)?.tensors()?;
    let norms = tensors.iter().filter(|(name, _)| name.ends_with(".running_mean")).count();
    assert_eq!((tensors.len(), norms), (1533, 306));
    Ok(())
}

/// The narrow network of the script.
fn narrow(run: &Value) -> HRNet {
    let interpolation = match run["mode"].as_str().unwrap() {
        "bilinear" => Interpolation::Bilinear,
        _ => Interpolation::Nearest,
    };
    let (head, momentum) = match run["head"].as_str() {
        Some("landmarks") => (HRNetHead::Landmarks, 0.01),
        Some(_) => (HRNetHead::Pose, 0.1),
        None => (HRNetHead::Classes { inner: 2, features: 16 }, 0.1),
    };
    HRNet {
        name: "narrow".to_owned(),
        stem: 4,
        bottlenecks: 2,
        inner: 2,
        width: 3,
        blocks: 1,
        modules: [1, 2, 1],
        head,
        interpolation,
        momentum,
        size: 64,
    }
}

/// Every so many of the values, as the script takes them.
fn few<T: Element>(values: &Tensor<T>) -> Vec<T> {
    values.as_slice().iter().step_by(values.len() / 200 + 1).copied().collect()
}

/// Whether values are close to those of the script, relative to the largest.
fn assert_close<T: Element>(found: &[T], expected: &Value, tolerance: f64, what: &str) {
    let expected = Tensor::new(&[found.len()], numbers(expected)).unwrap();
    let found = Tensor::new(&[found.len()], found.to_vec()).unwrap();
    let difference = expected.relative_difference(&found).unwrap();
    assert!(difference < tolerance, "{what}: {difference:e}");
}

#[test]
fn answers_are_those_of_pytorch() -> Result<()> {
    fn check<T: Element>(run: &Value) -> Result<()> {
        let [size, batch] = ["size", "batch"].map(|key| run[key].as_u64().unwrap() as usize);
        let network = with_drawn_values::<T>(&Design::new(narrow(run), 3, OUTPUTS))?;
        let found = answers(&network, &drawn("images", &[batch, 3, size, size]))?;
        let what = format!("{} {} {size}", run["head"], run["mode"]);
        assert_close(&few(&found), &run["answers"], 1e-5, &what);
        Ok(())
    }
    for run in golden()["runs"].as_array().unwrap() {
        check::<f32>(run)?;
        check::<f64>(run)?;
    }
    Ok(())
}

#[test]
fn a_whole_module_that_was_pickled_opens_as_the_network() -> Result<()> {
    let landmarks = serde_json::json!({ "mode": "bilinear", "head": "landmarks" });
    let narrow = narrow(&landmarks);
    let narrowest =
        HRNet { stem: 2, bottlenecks: 1, inner: 1, width: 1, modules: [1, 1, 1], ..narrow };
    let design = Design::new(narrowest.clone(), 3, OUTPUTS);
    architectures::register(narrowest)?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hrnet.pth");
    let opened = open_network::<f32>(path, None)?;
    assert_eq!(opened.design(), &design);
    let images = drawn("images", &[1, 3, 64, 64]);
    let expected = answers(&with_drawn_values(&design)?, &images)?;
    assert_eq!(answers(&opened, &images)?.as_slice(), expected.as_slice());
    Ok(())
}

#[test]
fn three_steps_leave_what_they_leave_in_pytorch() -> Result<()> {
    const TOLERANCE: f64 = 1e-5;
    let golden = golden();
    let trained = golden["runs"].as_array().unwrap().iter().filter(|run| run["losses"].is_array());
    for run in trained {
        let [size, batch] = ["size", "batch"].map(|key| run[key].as_u64().unwrap() as usize);
        let what = format!("{} {size}", run["mode"]);
        let mut network = with_drawn_values::<f64>(&Design::new(narrow(run), 3, OUTPUTS))?;
        let images = drawn("images", &[batch, 3, size, size]);
        let targets = drawn("targets", &[batch, OUTPUTS, size / 4, size / 4]);
        let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        let mut losses = Vec::new();
        for _ in 0..3 {
            let mut pass = Pass::train(network.parameters());
            let [x, targets] = [&images, &targets].map(|values| pass.input(values.clone()));
            let maps = network.forward(&mut pass, x)?;
            let loss = ops::mse(pass.tape(), maps, targets)?;
            losses.push(pass.value(loss)?.item()?);
            let step = pass.backward(loss)?;
            optimizer.step(network.parameters_mut(), step, 0.01)?;
        }
        assert_close(&losses, &run["losses"], TOLERANCE, &what);
        let parameters = network.parameters();
        let [norms, products] = ["norms", "products"].map(|key| numbers::<f64>(&run[key]));
        assert_eq!(parameters.len(), norms.len(), "{what}: nothing is left out");
        for (at, id) in parameters.ids().enumerate() {
            let (name, values) = (parameters.name(id), parameters.value(id));
            let sum_with = |other: &Tensor<f64>| -> f64 {
                values.as_slice().iter().zip(other.as_slice()).map(|(a, b)| a * b).sum()
            };
            let product = sum_with(&drawn(name, values.shape()));
            let norm = sum_with(values).sqrt();
            let error = (norm - norms[at]).abs().max((product - products[at]).abs());
            assert!(error <= TOLERANCE * norms[at], "{what}: {name} is {error:e} away");
        }
        assert_close(&few(&answers(&network, &images)?), &run["after"], TOLERANCE, &what);
    }
    Ok(())
}

#[test]
fn the_way_to_enlarge_maps_is_in_the_name_where_it_is_not_the_usual_one() {
    for (asked, name) in [
        ("hrnet_w18:nearest", "hrnet_w18:nearest"),
        ("hrnet_w18:bilinear", "hrnet_w18"),
        ("hrnet_w18_c:nearest", "hrnet_w18_c"),
        ("hrnet_w32_pose:bilinear", "hrnet_w32_pose:bilinear"),
    ] {
        assert_eq!(Design::named(asked, 1, 5).unwrap().name(), name);
    }
    let error = Design::named("hrnet_w18:cubic", 1, 5).unwrap_err().to_string();
    assert!(error.contains("\"cubic\" should be bilinear or nearest"), "{error}");
}

#[test]
fn parameters_and_multiply_adds_are_those_that_are_published() -> Result<()> {
    for (name, channels, outputs, size, parameters, millions) in [
        ("hrnet_w18", 3, 68, 256, 9_654_398, 4660.0),
        ("hrnet_w18", 3, 98, 128, 9_662_528, 1165.0),
        ("hrnet_w18", 3, 19, 64, 9_641_119, 291.0),
        // HRNet-W18-C: 21.3 million parameters and 4.32 G multiply-adds.
        ("hrnet_w18_c", 3, 1000, 224, 21_299_004, 4320.0),
        ("hrnet_small", 1, 17, 96, 379_441, 31.8),
    ] {
        let design = Design::named(name, channels, outputs)?;
        assert_eq!(trained(&design.tensors()?), parameters, "{name}");
        let costs = design.costs([size; 2])?;
        let found = costs.iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64 / 1e6;
        assert!((found - millions).abs() < 0.02 * millions, "{name}, {size}: {found}");
    }
    Ok(())
}
