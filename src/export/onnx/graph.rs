//! A network's operations, noted down as the nodes of an ONNX graph.

use super::super::protobuf::Message;
use crate::kernel::elementwise::Rectifier;
use crate::kernel::{Divisor, Epilogue, Interpolation, Window};
use crate::nn::{BatchNorm, Conv, Id, Linear, Node, Operations, Parameters, Router};
use crate::{Error, Result};

/// The operators so far.
pub struct Graph<'a> {
    parameters: &'a Parameters<f32>,
    operators: Vec<Operator>,
    /// The names of the network's nodes.
    names: Vec<String>,
    /// The source of the image, `[1]`, in a routed network.
    route: Option<String>,
}

/// A node of the graph, as ONNX calls it.
struct Operator {
    kind: &'static str,
    inputs: Vec<String>,
    /// The name of its value, and its own.
    output: String,
    attributes: Vec<Message<'static>>,
}

impl<'a> Graph<'a> {
    /// A graph whose first node is the input of that name.
    pub fn new(parameters: &'a Parameters<f32>, input: &str) -> Self {
        Self { parameters, operators: vec![], names: vec![input.to_owned()], route: None }
    }

    /// Notes down how a router chooses the source of the one image.
    pub fn route(&mut self, router: &Router) -> Result<()> {
        let y = self.conv(&router.stem, Node::INPUT)?;
        let y = self.relu(y)?;
        let y = self.global_mean_pool(y)?;
        let inputs =
            vec![self.name(y)?, self.parameter(router.weight), self.parameter(router.bias)];
        let scores = self.layer("Gemm", Router::NAME, inputs, vec![integer("transB", 1)]);
        let attributes = vec![integer("axis", 1), integer("keepdims", 0)];
        self.route = Some(self.free("ArgMax", vec![scores], attributes));
        // What follows counts its nodes from the input.
        self.names.truncate(1);
        Ok(())
    }

    /// The one of the sources' tensors that the router chooses, in that shape.
    fn routed(&mut self, ids: &[Id], shape: &[usize]) -> Result<String> {
        let route = self
            .route
            .clone()
            .ok_or_else(|| Error::argument("write_onnx", "a routed layer without a router"))?;
        let parts = ids.iter().map(|&id| self.parameter(id)).collect();
        let all = self.free("Concat", parts, vec![integer("axis", 0)]);
        let stacked = [&[ids.len()], shape].concat();
        let stacked = self.in_shape(all, &stacked);
        let one = self.free("Gather", vec![stacked, route], vec![integer("axis", 0)]);
        Ok(self.in_shape(one, shape))
    }

    fn in_shape(&mut self, value: String, shape: &[usize]) -> String {
        let shape = self.free("Constant", vec![], vec![integers("value_ints", shape)]);
        self.free("Reshape", vec![value, shape], vec![])
    }

    /// The operators as messages, in the order in which they were noted, which is one in which
    /// they can be computed. The node `last` goes by the name `output`.
    pub fn operators(self, last: Node, output: &str) -> impl Iterator<Item = Message<'static>> {
        let last = self.names.get(last.index()).cloned().unwrap_or_default();
        self.operators.into_iter().map(move |operator| {
            let named = |name: &str| if name == last { output.to_owned() } else { name.to_owned() };
            let mut message = Message::default();
            operator.inputs.iter().for_each(|input| message.bytes(1, named(input)));
            message.bytes(2, named(&operator.output));
            message.bytes(3, &operator.output);
            message.bytes(4, operator.kind);
            operator.attributes.into_iter().for_each(|attribute| message.message(5, attribute));
            message
        })
    }

    fn parameter(&self, id: Id) -> String {
        self.parameters.name(id).to_owned()
    }

    fn name(&self, node: Node) -> Result<String> {
        self.names.get(node.index()).cloned().ok_or_else(|| {
            Error::argument("Architecture::layers", "a node belongs to another network")
        })
    }

    /// The network's next node is the value of that name.
    fn node(&mut self, name: String) -> Result<Node> {
        self.names.push(name);
        Ok(Node::from_index(self.names.len() - 1))
    }

    /// An operator of the layer `name`, which its value is called by too.
    fn layer(
        &mut self,
        kind: &'static str,
        name: impl Into<String>,
        inputs: Vec<String>,
        attributes: Vec<Message<'static>>,
    ) -> String {
        let output = name.into();
        self.operators.push(Operator { kind, inputs, output: output.clone(), attributes });
        output
    }

    fn rectified(&mut self, x: String, rectifier: Rectifier) -> String {
        match rectifier {
            Rectifier::Relu => self.free("Relu", vec![x], vec![]),
            Rectifier::Relu6 => {
                let ends = [0.0, 6.0];
                let ends =
                    ends.map(|end| self.free("Constant", vec![], vec![float("value_float", end)]));
                let inputs = [x].into_iter().chain(ends).collect();
                self.free("Clip", inputs, vec![])
            }
        }
    }

    /// An operator that belongs to no layer; it is called by its kind and a number.
    fn free(
        &mut self,
        kind: &'static str,
        inputs: Vec<String>,
        attributes: Vec<Message<'static>>,
    ) -> String {
        let name = format!("{kind}_{}", self.operators.len());
        self.layer(kind, name, inputs, attributes)
    }
}

impl Operations for Graph<'_> {
    /// A kernel that is stored as a matrix is put into its shape first.
    fn conv(&mut self, conv: &Conv, x: Node) -> Result<Node> {
        if conv.mix.is_some() {
            return Err(Error::Impossible {
                request: "write the network as an ONNX model",
                reason: format!("{} mixes the kernels of several sources", conv.name()),
                hint: "collapse it into a plain one first, as `zoo-tuning collapse` does",
            });
        }
        let (weight, bias) = match &conv.routes {
            Some(routes) => {
                let weight = self.routed(&routes.kernels, &conv.shape)?;
                (weight, Some(self.routed(&routes.biases, &conv.shape[..1])?))
            }
            None => {
                let mut weight = self.parameter(conv.weight);
                if self.parameters.value(conv.weight).shape() != conv.shape {
                    weight = self.in_shape(weight, &conv.shape);
                }
                (weight, conv.bias.map(|id| self.parameter(id)))
            }
        };
        let inputs = [self.name(x)?, weight].into_iter().chain(bias).collect();
        let mut attributes = of_window(&conv.shape[2..], conv.window);
        if conv.is_same {
            attributes[PADS] = text("auto_pad", "SAME_UPPER");
        }
        attributes.push(integer("group", conv.window.groups));
        let y = self.layer("Conv", conv.name(), inputs, attributes);
        self.node(y)
    }

    /// Each of its parts as an operator of its own, as ONNX has it.
    fn batch_norm(&mut self, norm: &BatchNorm, x: Node, then: Epilogue<Node>) -> Result<Node> {
        let [weight, bias, mean, variance] =
            [norm.weight, norm.bias, norm.running_mean, norm.running_variance]
                .map(|id| self.parameter(id));
        let name = of_layer(&weight);
        let attributes = vec![float("epsilon", norm.epsilon as f32)];
        let inputs = vec![self.name(x)?, weight, bias, mean, variance];
        let mut y = self.layer("BatchNormalization", name, inputs, attributes);
        if let Some(residual) = then.residual() {
            y = self.free("Add", vec![y, self.name(residual)?], vec![]);
        }
        if let Some(rectifier) = then.rectifier() {
            y = self.rectified(y, rectifier);
        }
        self.node(y)
    }

    fn linear(&mut self, linear: &Linear, x: Node) -> Result<Node> {
        let [weight, bias] = [linear.weight, linear.bias].map(|id| self.parameter(id));
        let inputs = vec![self.name(x)?, weight, bias];
        let y = self.layer("Gemm", linear.name(), inputs, vec![integer("transB", 1)]);
        self.node(y)
    }

    fn relu(&mut self, x: Node) -> Result<Node> {
        let x = self.name(x)?;
        let y = self.rectified(x, Rectifier::Relu);
        self.node(y)
    }

    fn relu6(&mut self, x: Node) -> Result<Node> {
        let x = self.name(x)?;
        let y = self.rectified(x, Rectifier::Relu6);
        self.node(y)
    }

    fn sum(&mut self, parts: &[Node]) -> Result<Node> {
        let mut parts = parts.iter().map(|&part| self.name(part)).collect::<Result<Vec<_>>>()?;
        let mut sum = parts.remove(0);
        for part in parts {
            sum = self.free("Add", vec![sum, part], vec![]);
        }
        self.node(sum)
    }

    fn concat(&mut self, parts: &[Node]) -> Result<Node> {
        let parts = parts.iter().map(|&part| self.name(part)).collect::<Result<Vec<_>>>()?;
        let y = self.free("Concat", parts, vec![integer("axis", 1)]);
        self.node(y)
    }

    /// To samples and channels of the one, height and width of the other, whatever they are.
    fn upsample(&mut self, x: Node, like: Node, interpolation: Interpolation) -> Result<Node> {
        let (x, like) = (self.name(x)?, self.name(like)?);
        let first = [integer("start", 0), integer("end", 2)].into();
        let sizes = vec![
            self.free("Shape", vec![x.clone()], first),
            self.free("Shape", vec![like], vec![integer("start", 2)]),
        ];
        let sizes = self.free("Concat", sizes, vec![integer("axis", 0)]);
        let attributes = match interpolation {
            Interpolation::Bilinear => {
                vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")]
            }
            Interpolation::Nearest => vec![
                text("mode", "nearest"),
                text("coordinate_transformation_mode", "asymmetric"),
                text("nearest_mode", "floor"),
            ],
        };
        // Of what may be given besides, there is neither a region nor a scale.
        let y = self.free("Resize", vec![x, String::new(), String::new(), sizes], attributes);
        self.node(y)
    }

    fn max_pool(&mut self, x: Node, size: [usize; 2], window: Window) -> Result<Node> {
        let x = self.name(x)?;
        let y = self.free("MaxPool", vec![x], of_window(&size, window));
        self.node(y)
    }

    fn avg_pool(
        &mut self,
        x: Node,
        size: [usize; 2],
        window: Window,
        divisor: Divisor,
    ) -> Result<Node> {
        let x = self.name(x)?;
        if window.dilation != [1, 1] {
            return Err(Error::Impossible {
                request: "write the network as an ONNX model",
                reason: "average pooling there has no dilation".to_owned(),
                hint: "write it as safetensors",
            });
        }
        let mut attributes = of_window(&size, window);
        // Dilation is not among this operator's attributes.
        attributes.pop();
        attributes.push(integer("count_include_pad", usize::from(divisor == Divisor::Taps)));
        let y = self.free("AveragePool", vec![x], attributes);
        self.node(y)
    }

    fn flatten(&mut self, x: Node) -> Result<Node> {
        let x = self.name(x)?;
        let y = self.free("Flatten", vec![x], vec![integer("axis", 1)]);
        self.node(y)
    }

    fn global_mean_pool(&mut self, x: Node) -> Result<Node> {
        let x = self.name(x)?;
        let means = self.free("GlobalAveragePool", vec![x], vec![]);
        let y = self.free("Flatten", vec![means], vec![integer("axis", 1)]);
        self.node(y)
    }
}

/// The name of the layer that a weight belongs to.
fn of_layer(weight: &str) -> String {
    weight.strip_suffix(".weight").unwrap_or(weight).to_owned()
}

/// Which of a window's attributes is the padding.
const PADS: usize = 2;

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

fn text(name: &str, value: &str) -> Message<'static> {
    attribute(name, 3, |attribute| attribute.bytes(4, value))
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
