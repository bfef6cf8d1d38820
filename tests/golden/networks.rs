//! The networks that PyTorch has too: their tensors, and what they compute.

use serde_json::Value;
use std::collections::BTreeMap;
use zoo_tuning::Result;
use zoo_tuning::nn::*;
use zoo_tuning::tensor::{Element, State, Tensor};

const OUTPUTS: usize = 3;

/// What `networks.py` wrote.
fn golden() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("networks.json")).unwrap()
}

/// Values from -1 to 1, by the function of that name in `drawn.py`.
pub fn drawn<T: Element>(name: &str, shape: &[usize]) -> Tensor<T> {
    let seed = name.bytes().fold(0u32, |seed, b| seed.wrapping_mul(31).wrapping_add(b.into()));
    let mixed = |x: u32| (x ^ x >> 16).wrapping_mul(73_244_475);
    let value = |at: u32| {
        let x = mixed(mixed(at.wrapping_mul(2_654_435_761).wrapping_add(seed)));
        T::from_f64(f64::from(x ^ x >> 16) / f64::from(1u32 << 31) - 1.0)
    };
    let values = (0..shape.iter().product::<usize>() as u32).map(value).collect();
    Tensor::new(shape, values).unwrap()
}

/// The network of the values that `value` of `drawn.py` makes.
pub fn with_drawn_values<T: Element>(design: &Design) -> Result<Network<T>> {
    let mut state = State::new("the script's values");
    for (name, shape) in design.tensors()? {
        let scale = (6.0 / shape.iter().skip(1).product::<usize>() as f64).sqrt();
        let is_positive = name.ends_with("running_var") || name.ends_with("weight");
        let value = |v: &f64| {
            T::from_f64(match shape.len() {
                2.. => v * scale,
                _ if is_positive => 1.0 + v / 2.0,
                _ => v / 2.0,
            })
        };
        let values = drawn(&name, &shape).as_slice().iter().map(value).collect();
        state.insert(name, Tensor::new(&shape, values)?);
    }
    design.plain().build(&state)
}

/// Numbers of a list.
pub fn numbers<T: Element>(list: &Value) -> Vec<T> {
    list.as_array().unwrap().iter().map(|v| T::from_f64(v.as_f64().unwrap())).collect()
}

/// What the network answers in evaluation.
pub fn answers<T: Element>(network: &Network<T>, images: &Tensor<T>) -> Result<Tensor<T>> {
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(images.clone());
    let y = network.forward(&mut pass, x)?;
    pass.value(y).cloned()
}

#[test]
fn there_are_as_many_tensors_and_parameters_as_in_pytorch() -> Result<()> {
    for (name, golden) in golden() {
        let tensors = Design::named(&name, 3, 1000)?.tensors()?;
        assert_eq!(golden["tensors"], tensors.len(), "{name}");
        assert_eq!(golden["parameters"], trained(&tensors), "{name}");
    }
    Ok(())
}

/// Values of the tensors that are trained.
pub fn trained(tensors: &[(String, Vec<usize>)]) -> usize {
    let trained = tensors.iter().filter(|(name, _)| !name.contains(".running_"));
    trained.map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

#[test]
fn logits_are_those_of_pytorch() -> Result<()> {
    for (name, golden) in golden() {
        let runs = golden["logits"].as_array().unwrap();
        if runs.is_empty() {
            continue;
        }
        let network = with_drawn_values::<f32>(&Design::named(&name, 3, OUTPUTS)?)?;
        for run in runs {
            let [height, width] = [0, 1].map(|i| run["size"][i].as_u64().unwrap() as usize);
            let found = answers(&network, &drawn("images", &[2, 3, height, width]))?;
            let expected = Tensor::new(&[2, OUTPUTS], numbers(&run["values"]))?;
            let difference = expected.relative_difference(&found)?;
            assert!(difference < 1e-4, "{name}, {height}x{width}: {difference:e}");
        }
    }
    Ok(())
}
