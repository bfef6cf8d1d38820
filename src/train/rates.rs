//! How fast the layers of a network learn: some not at all, deep ones less.

use super::config::OptimizerConfig;
use crate::nn::{Parameters, Role};
use crate::{Error, Result};

/// What the learning rate of each parameter is multiplied with, beside that of its group: 0 of layers
/// that `freeze` names, and of the others `layer_decay^d` for the d-th block below the head. Blocks are
/// told by names, in the order in which they are declared: `layer1.0.conv1.weight` lies in `layer1.0`,
/// `conv1.weight` in none, which is a block too.
///
/// # Errors
/// If `freeze` names what there is not.
pub fn rates(config: &OptimizerConfig, parameters: &Parameters<f32>) -> Result<Vec<f64>> {
    let is_in = |name: &str, layer: &str| {
        let rest = name.strip_prefix(layer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let names = || parameters.ids().map(|id| parameters.name(id));
    for layer in &config.freeze {
        if !names().any(|name| is_in(name, layer)) {
            let mut first: Vec<&str> =
                names().map(|name| name.split('.').next().unwrap_or(name)).collect();
            first.dedup();
            let problem = format!("there is no layer {layer:?}; there are {}", first.join(", "));
            return Err(Error::config("optimizer.freeze", problem));
        }
    }
    let mut blocks = Vec::with_capacity(parameters.len());
    let (mut count, mut last) = (0, None);
    for id in parameters.ids() {
        let name = parameters.name(id);
        let mut parts = name.splitn(3, '.');
        let block = match (parts.next(), parts.next(), parts.next()) {
            (Some(stage), Some(block), Some(_)) if block.parse::<u32>().is_ok() => (stage, block),
            _ => ("", ""),
        };
        // What is not trained, as a router, makes no block.
        let is_trained = !matches!(parameters.role(id), Role::Head | Role::Buffer);
        if is_trained && last != Some(block) {
            (count, last) = (count + 1, Some(block));
        }
        blocks.push(count);
    }
    let rate = |(id, block)| {
        let name = parameters.name(id);
        if config.freeze.iter().any(|layer| is_in(name, layer)) {
            0.0
        } else if parameters.role(id) == Role::Head {
            1.0
        } else {
            config.layer_decay.powi(count + 1 - block)
        }
    };
    Ok(parameters.ids().zip(blocks).map(rate).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Network};

    #[test]
    fn layers_are_frozen_by_name_and_slowed_by_block() {
        let design = Design::named("resnet18", 3, 10).unwrap();
        let network = Network::<f32>::drawn(&design, 1).unwrap();
        let parameters = network.parameters();
        let rates_of = |config: &OptimizerConfig, names: &[&str]| -> Vec<f64> {
            let rates = rates(config, parameters).unwrap();
            names.iter().map(|name| rates[parameters.find(name).unwrap().index()]).collect()
        };
        let freeze = vec!["conv1".into(), "layer1".into(), "layer2.0".into()];
        let frozen = OptimizerConfig { freeze, ..OptimizerConfig::default() };
        let names = [
            "conv1.weight",
            "layer1.1.bn2.bias",
            "layer2.0.conv1.weight",
            "layer2.1.conv1.weight",
            "bn1.weight",
        ];
        assert_eq!(rates_of(&frozen, &names), [0.0, 0.0, 0.0, 1.0, 1.0]);
        let slowed = OptimizerConfig { layer_decay: 0.5, ..OptimizerConfig::default() };
        // Eight blocks and the stem below the head.
        let names = [
            "fc.weight",
            "layer4.1.conv2.weight",
            "layer4.0.downsample.0.weight",
            "layer1.0.conv1.weight",
            "bn1.weight",
            "conv1.weight",
        ];
        let expected = [0, 1, 2, 8, 9, 9].map(|depth| 0.5f64.powi(depth));
        assert_eq!(rates_of(&slowed, &names), expected);
        let freeze = vec!["layer".into()];
        let unknown = OptimizerConfig { freeze, ..OptimizerConfig::default() };
        let error = rates(&unknown, parameters).unwrap_err().to_string();
        assert!(error.contains("there are conv1, bn1, layer1, layer2"), "{error}");
    }
}
