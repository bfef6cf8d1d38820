//! A network's operations, noted down as the nodes of an ONNX graph.

use super::message::Message;
use crate::kernel::elementwise::Rectifier;
use crate::kernel::{Then, Window};
use crate::nn::{BatchNorm, Conv, Id, Linear, Operations, Parameters};
use crate::{Error, Result};

/// The nodes so far. A value is known by its name.
pub struct Notes<'a> {
    parameters: &'a Parameters<f32>,
    nodes: Vec<Node>,
}

struct Node {
    operator: &'static str,
    inputs: Vec<String>,
    /// The name of its value, and its own.
    output: String,
    attributes: Vec<Message<'static>>,
}

impl<'a> Notes<'a> {
    pub fn new(parameters: &'a Parameters<f32>) -> Self {
        Self { parameters, nodes: Vec::new() }
    }

    /// The nodes as messages, in the order in which they were noted, which is one in which they
    /// can be computed. The value `last` goes by the name `output`.
    pub fn nodes(self, last: &str, output: &str) -> impl Iterator<Item = Message<'static>> {
        self.nodes.into_iter().map(move |node| {
            let named = |name: &str| if name == last { output.to_owned() } else { name.to_owned() };
            let mut message = Message::default();
            node.inputs.iter().for_each(|input| message.bytes(1, named(input)));
            message.bytes(2, named(&node.output));
            message.bytes(3, &node.output);
            message.bytes(4, node.operator);
            node.attributes.into_iter().for_each(|attribute| message.message(5, attribute));
            message
        })
    }

    fn name(&self, id: Id) -> String {
        self.parameters.name(id).to_owned()
    }

    /// A node of the layer `name`.
    fn layer(
        &mut self,
        operator: &'static str,
        name: impl Into<String>,
        inputs: Vec<String>,
        attributes: Vec<Message<'static>>,
    ) -> Result<String> {
        let output = name.into();
        self.nodes.push(Node { operator, inputs, output: output.clone(), attributes });
        Ok(output)
    }

    /// A node that belongs to no layer; it is called by its operator and a number.
    fn free(
        &mut self,
        operator: &'static str,
        inputs: Vec<String>,
        attributes: Vec<Message<'static>>,
    ) -> Result<String> {
        let name = format!("{operator}_{}", self.nodes.len());
        self.layer(operator, name, inputs, attributes)
    }
}

impl Operations for Notes<'_> {
    type Value = String;

    fn conv(&mut self, conv: &Conv, x: String) -> Result<String> {
        if conv.mix.is_some() {
            return Err(Error::Impossible {
                request: "write the network as an ONNX model",
                reason: format!("{} mixes the kernels of several sources", conv.name()),
                hint: "collapse it into a plain one first, as `zoo-tuning collapse` does",
            });
        }
        let inputs = [x, self.name(conv.weight)];
        let inputs = inputs.into_iter().chain(conv.bias.map(|id| self.name(id))).collect();
        let shape = self.parameters.value(conv.weight).shape();
        let mut attributes = of_window(&shape[2..], conv.window);
        attributes.push(integer("group", conv.window.groups));
        self.layer("Conv", conv.name(), inputs, attributes)
    }

    /// Each of its parts as a node of its own, as ONNX has it.
    fn batch_norm(&mut self, norm: &BatchNorm, x: String, then: Then<String>) -> Result<String> {
        let [weight, bias, mean, variance] =
            [norm.weight, norm.bias, norm.running_mean, norm.running_variance]
                .map(|id| self.name(id));
        let name = of_layer(&weight);
        let attributes = vec![float("epsilon", BatchNorm::EPSILON as f32)];
        let inputs = vec![x, weight, bias, mean, variance];
        let mut y = self.layer("BatchNormalization", name, inputs, attributes)?;
        let rectifier = then.rectifier();
        if let Some(residual) = then.residual() {
            y = self.free("Add", vec![y, residual], vec![])?;
        }
        match rectifier {
            None => Ok(y),
            Some(Rectifier::Relu) => self.free("Relu", vec![y], vec![]),
            Some(Rectifier::Relu6) => {
                let mut constant =
                    |value| self.free("Constant", vec![], vec![float("value_float", value)]);
                let (least, most) = (constant(0.0)?, constant(6.0)?);
                self.free("Clip", vec![y, least, most], vec![])
            }
        }
    }

    fn max_pool(&mut self, x: String, size: [usize; 2], window: Window) -> Result<String> {
        self.free("MaxPool", vec![x], of_window(&size, window))
    }

    fn global_mean_pool(&mut self, x: String) -> Result<String> {
        let means = self.free("GlobalAveragePool", vec![x], vec![])?;
        self.free("Flatten", vec![means], vec![integer("axis", 1)])
    }

    fn linear(&mut self, linear: &Linear, x: String) -> Result<String> {
        let weight = self.name(linear.weight);
        let name = of_layer(&weight);
        let inputs = [x, weight].into_iter().chain(linear.bias.map(|id| self.name(id))).collect();
        self.layer("Gemm", name, inputs, vec![integer("transB", 1)])
    }
}

/// The name of the layer that a weight belongs to.
fn of_layer(weight: &str) -> String {
    weight.strip_suffix(".weight").unwrap_or(weight).to_owned()
}

/// What a convolution and a pooling have in common. Padding is given for the beginning of each
/// axis, then for the end of each.
fn of_window(size: &[usize], window: Window) -> Vec<Message<'static>> {
    vec![
        integers("kernel_shape", size),
        integers("strides", &window.stride),
        integers("pads", &[window.padding, window.padding].concat()),
        integers("dilations", &window.dilation),
    ]
}

fn float(name: &str, value: f32) -> Message<'static> {
    attribute(name, 1, |attribute| attribute.float(2, value))
}

fn integer(name: &str, value: usize) -> Message<'static> {
    attribute(name, 2, |attribute| attribute.integer(3, value as u64))
}

fn integers(name: &str, values: &[usize]) -> Message<'static> {
    attribute(name, 7, |attribute| {
        values.iter().for_each(|&value| attribute.integer(8, value as u64));
    })
}

/// An attribute of that type, whose value `fill` puts in.
fn attribute(name: &str, kind: u64, fill: impl FnOnce(&mut Message)) -> Message<'static> {
    let mut attribute = Message::default();
    attribute.bytes(1, name);
    fill(&mut attribute);
    attribute.integer(20, kind);
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Builder;

    #[test]
    fn what_follows_on_a_norm_is_a_node_of_its_own() {
        let mut builder = Builder::<f32>::fresh(1);
        let norm = builder.batch_norm("bn1", 3).unwrap();
        let parameters = builder.finish();
        let nodes = |then| {
            let mut notes = Notes::new(&parameters);
            notes.batch_norm(&norm, "x".to_owned(), then).unwrap();
            let node = |node: Node| format!("{} {}", node.operator, node.inputs.join(" "));
            notes.nodes.into_iter().skip(1).map(node).collect::<Vec<_>>()
        };
        assert!(nodes(Then::Nothing).is_empty());
        assert_eq!(nodes(Then::Relu), ["Relu bn1"]);
        assert_eq!(nodes(Then::AddRelu("r".to_owned())), ["Add bn1 r", "Relu Add_1"]);
        let clipped = ["Constant ", "Constant ", "Clip bn1 Constant_1 Constant_2"];
        assert_eq!(nodes(Then::Relu6), clipped);
    }
}
