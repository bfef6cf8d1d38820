//! What follows from a network's definition, found by carrying it out without any numbers.
//!
//! A value is known by its channels alone: a list of runs, each of one *group*. A convolution makes
//! a new group; an addition unites the groups of its operands, because channel k of the one meets
//! channel k of the other; a concatenation puts runs side by side; and whoever reads a value reads
//! a range of the columns of its own tensor. So the sets of channels that must keep one order come
//! out, with every place of every tensor where they occur.

use super::{BatchNorm, Builder, Conv, Layers, Linear, Node, Operations};
use crate::kernel::{Divisor, Epilogue, Geometry, Interpolation, Window};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashSet};

/// Channels that must keep one order among themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelGroup {
    /// How many there are.
    pub channels: usize,
    /// The nodes that show them, and the first of their channels there.
    pub activations: Vec<(Node, usize)>,
    /// Where they occur in the network's tensors.
    pub places: Vec<ChannelPlace>,
}

/// A range of an axis of a tensor that belongs to the channels of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPlace {
    /// The tensor's name.
    pub tensor: String,
    /// 0 where the channels are made, 1 where they are read.
    pub axis: usize,
    /// Where on the axis the first channel begins.
    pub first: usize,
    /// Columns of one channel: more than one behind a flattened map.
    pub columns: usize,
}

/// What a layer costs for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// The layer's name.
    pub layer: String,
    /// Height and width of its output.
    pub size: [usize; 2],
    /// Multiply-adds.
    pub multiply_adds: u64,
}

/// The convolution that reads the image.
#[derive(Clone, Debug)]
pub struct FirstLayer {
    /// The name of its kernel, `[O, C, kh, kw]`.
    pub weight: String,
    /// That shape, in whatever shape the kernel is stored.
    pub shape: [usize; 4],
    /// Rows and columns of zeros at a side of the image, at most.
    pub padding: [usize; 2],
    /// The name of its bias, `[O]`.
    pub bias: Option<String>,
    /// The batch norm behind it, if that alone reads its output.
    pub norm: Option<FirstNorm>,
}

/// The batch norm behind a [`FirstLayer`].
#[derive(Clone, Debug)]
pub struct FirstNorm {
    /// The name of its weight, `[O]`.
    pub weight: String,
    /// The name of its running mean, `[O]`.
    pub running_mean: String,
    /// The name of its running variance, `[O]`.
    pub running_variance: String,
    /// Added to the variance.
    pub epsilon: f64,
}

/// What tracing a network finds.
pub(super) struct Graph {
    /// For each node, the last node that is made from it; of the network's input, features and
    /// output the number of nodes.
    pub last_uses: Vec<usize>,
    /// Whether the output is a map.
    pub makes_maps: bool,
    /// What goes into the head.
    pub features: Node,
    /// The last map before, or that itself.
    pub last_map: Node,
    pub channel_groups: Vec<ChannelGroup>,
    /// In the order of the operations; empty if no size of images was given.
    pub costs: Vec<LayerCost>,
    /// If one convolution, and nothing else, reads the image.
    pub first_layer: Option<FirstLayer>,
    /// The batch norms that alone read a convolution's output, by the name of that.
    pub norms: BTreeMap<String, BatchNorm>,
    /// The first batch norm that reads something else.
    pub loose_norm: Option<String>,
}

impl Graph {
    /// Traces the layers that `builder` declared, for images of that size if it is known.
    pub fn trace(builder: &Builder, layers: &Layers, size: Option<[usize; 2]>) -> Result<Self> {
        let mut trace = Trace {
            builder,
            values: vec![],
            last_uses: vec![],
            groups: vec![],
            features: None,
            layers: HashSet::new(),
            costs: vec![],
            reads: vec![],
            first_layer: None,
            outputs: BTreeMap::new(),
            norms: vec![],
        };
        let input = trace.new_group(builder.channels());
        trace.groups[input].is_fixed = true;
        let runs = vec![Run { group: input, channels: builder.channels() }];
        let input = trace.push(Value { runs, size, kind: Kind::Map }, &[]);
        let output = layers(&mut trace, input)?;
        trace.finish(output)
    }
}

/// Some channels of a value, one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    group: usize,
    channels: usize,
}

#[derive(Clone, Debug)]
struct Value {
    runs: Vec<Run>,
    size: Option<[usize; 2]>,
    kind: Kind,
}

/// How channels lie in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `[N, C, H, W]`.
    Map,
    /// `[N, C]`.
    Features,
    /// A flattened map, in which each channel has as many columns as the map has pixels.
    Flat,
    /// Flattened maps one after the other, maybe of different sizes: nobody knows whose a column is.
    Mixed,
}

impl Value {
    fn channels(&self) -> usize {
        self.runs.iter().map(|run| run.channels).sum()
    }
}

/// A set of channels in the making.
#[derive(Default)]
struct Group {
    /// The group that this one was united with.
    united: Option<usize>,
    channels: usize,
    /// Whether their order must stay: images and outputs have a meaning.
    is_fixed: bool,
    /// Behind a rectifier, where channels differ most.
    rectified: Vec<(Node, usize)>,
    /// Elsewhere, for groups that no rectifier shows.
    others: Vec<(Node, usize)>,
    places: Vec<ChannelPlace>,
}

struct Trace<'a> {
    builder: &'a Builder<'a>,
    values: Vec<Value>,
    last_uses: Vec<usize>,
    groups: Vec<Group>,
    features: Option<Node>,
    /// The weights of those that were used.
    layers: HashSet<String>,
    costs: Vec<LayerCost>,
    /// How often each node is read.
    reads: Vec<usize>,
    /// The last convolution that reads the image, and its output.
    first_layer: Option<(FirstLayer, Node)>,
    /// The convolutions' names by their outputs.
    outputs: BTreeMap<Node, String>,
    /// The batch norms, and what they read.
    norms: Vec<(Node, BatchNorm)>,
}

impl Trace<'_> {
    fn finish(mut self, output: Node) -> Result<Graph> {
        let value = self.value(output)?.clone();
        self.fix(&value);
        let makes_maps = value.kind == Kind::Map;
        let features = self.features.unwrap_or(output);
        let is_map = |at: &usize| self.values[*at].kind == Kind::Map;
        let last_map = (0..=features.0).rev().find(is_map).map_or(features, Node);
        let count = self.values.len();
        // The input is the caller's, and the other two are what a caller asks for.
        [Node::INPUT, output, features].into_iter().for_each(|node| self.last_uses[node.0] = count);
        // What the groups that were united have gathered, by the one that stands for them.
        let mut found: BTreeMap<usize, Group> = BTreeMap::new();
        for at in 0..self.groups.len() {
            let root = self.root(at);
            let group = std::mem::take(&mut self.groups[at]);
            let into = found.entry(root).or_default();
            into.channels = group.channels.max(into.channels);
            into.is_fixed |= group.is_fixed;
            into.rectified.extend(group.rectified);
            into.others.extend(group.others);
            into.places.extend(group.places);
            // Only to find the roots of those that follow.
            self.groups[at].united = group.united;
        }
        let free = found.into_values().filter(|group| !group.is_fixed && !group.places.is_empty());
        let channel_groups = free.map(|group| {
            let Group { channels, mut rectified, mut others, places, .. } = group;
            let shown = if rectified.is_empty() { &mut others } else { &mut rectified };
            shown.sort_unstable();
            ChannelGroup { channels, activations: std::mem::take(shown), places }
        });
        let channel_groups = channel_groups.collect();
        let Self { builder, last_uses, costs, reads, first_layer, outputs, norms, .. } = self;
        let is_read_once = |node: Node| reads[node.0] == 1;
        let first_layer = first_layer.filter(|_| is_read_once(Node::INPUT));
        let first_layer = first_layer.map(|(layer, y)| {
            let norm = layer.norm.filter(|_| is_read_once(y));
            FirstLayer { norm, ..layer }
        });
        let of_conv = |(read, norm): (Node, BatchNorm)| {
            let conv = outputs.get(&read).filter(|_| is_read_once(read));
            conv.map_or(Err(norm.clone()), |conv| Ok((conv.clone(), norm)))
        };
        let (found, loose): (Vec<_>, Vec<_>) =
            norms.into_iter().map(of_conv).partition(Result::is_ok);
        let loose_norm = loose.into_iter().filter_map(Result::err).next();
        let loose_norm = loose_norm.map(|norm| builder.declared[norm.weight.0].name.clone());
        let norms = found.into_iter().flatten().collect();
        Ok(Graph {
            last_uses,
            makes_maps,
            features,
            last_map,
            channel_groups,
            costs,
            first_layer,
            norms,
            loose_norm,
        })
    }

    fn value(&self, node: Node) -> Result<&Value> {
        self.values.get(node.0).ok_or_else(|| {
            Error::argument("Architecture::layers", "a node belongs to another network")
        })
    }

    fn push(&mut self, value: Value, operands: &[Node]) -> Node {
        let node = Node(self.values.len());
        for operand in operands {
            self.last_uses[operand.0] = node.0;
            self.reads[operand.0] += 1;
        }
        self.values.push(value);
        self.last_uses.push(node.0);
        self.reads.push(0);
        node
    }

    fn new_group(&mut self, channels: usize) -> usize {
        self.groups.push(Group { channels, ..Group::default() });
        self.groups.len() - 1
    }

    fn root(&self, mut group: usize) -> usize {
        while let Some(united) = self.groups[group].united {
            group = united;
        }
        group
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            // The older one stands for both, so that groups come in the order of the layers.
            self.groups[a.max(b)].united = Some(a.min(b));
        }
    }

    fn fix(&mut self, value: &Value) {
        value.runs.iter().for_each(|run| self.groups[run.group].is_fixed = true);
    }

    /// Says that the channels of `value` are along an axis of a tensor, from its beginning.
    fn place(&mut self, value: &Value, tensor: &str, axis: usize, columns: usize) {
        let mut first = 0;
        for run in &value.runs {
            let tensor = tensor.to_owned();
            self.groups[run.group].places.push(ChannelPlace { tensor, axis, first, columns });
            first += run.channels * columns;
        }
    }

    /// Says that a node shows its channels, if it is a map.
    fn show(&mut self, node: Node, is_rectified: bool) {
        if self.values[node.0].kind != Kind::Map {
            return;
        }
        let mut first = 0;
        for run in self.values[node.0].runs.clone() {
            let group = &mut self.groups[run.group];
            let shown = if is_rectified { &mut group.rectified } else { &mut group.others };
            shown.push((node, first));
            first += run.channels;
        }
    }

    /// The channels of values that are added up.
    fn united(&mut self, operation: &'static str, operands: &[Node]) -> Result<Value> {
        let [first, others @ ..] = operands else {
            return Err(Error::argument(operation, "there is nothing to add"));
        };
        let value = self.value(*first)?.clone();
        for &other in others {
            let other = self.value(other)?.clone();
            if other.channels() != value.channels() {
                let expected = format!("{} channels, like the first", value.channels());
                let found = [other.channels()];
                return Err(Error::shape(operation, "another operand", expected, &found));
            }
            let lengths =
                |value: &Value| value.runs.iter().map(|run| run.channels).collect::<Vec<_>>();
            if lengths(&value) == lengths(&other) {
                value.runs.iter().zip(&other.runs).for_each(|(a, b)| self.unite(a.group, b.group));
            } else {
                // Runs that overlap in part: no order but the present one is known to do.
                self.fix(&value);
                self.fix(&other);
            }
        }
        Ok(value)
    }

    fn name(&self, id: super::Id) -> String {
        self.builder.declared[id.0].name.clone()
    }

    /// An error if a layer is used a second time: its tensors would be of two sets of channels, and
    /// its statistics of two places.
    fn enter_layer(&mut self, name: String) -> Result<()> {
        if self.layers.insert(name.clone()) {
            return Ok(());
        }
        let problem = format!("{name} is used twice; layers cannot share their tensors");
        Err(Error::argument("Architecture::layers", problem))
    }

    /// The head begins at the first of its layers.
    fn enter_head(&mut self, x: Node) {
        self.features.get_or_insert(x);
    }

    fn cost(&mut self, layer: &str, size: [usize; 2], factors: &[usize]) {
        let multiply_adds = factors.iter().fold(1u64, |n, &k| n.saturating_mul(k as u64));
        self.costs.push(LayerCost { layer: layer.to_owned(), size, multiply_adds });
    }

    fn pooled(&mut self, x: Node, size: [usize; 2], window: Window) -> Result<Node> {
        let Value { runs, size: of_x, kind } = self.value(x)?.clone();
        let size = match of_x {
            Some([height, width]) => {
                let x = [1, 1, height, width];
                Some(Geometry::new("pool", x, [1, 1, size[0], size[1]], window)?.output)
            }
            None => None,
        };
        Ok(self.push(Value { runs, size, kind }, &[x]))
    }
}

impl Operations for Trace<'_> {
    fn conv(&mut self, conv: &Conv, x: Node) -> Result<Node> {
        let input = self.value(x)?.clone();
        let [outputs, per_group, kh, kw] = conv.shape;
        let groups = conv.window.groups;
        if input.channels() != per_group * groups {
            let expected = format!("{} channels", per_group * groups);
            return Err(Error::shape(
                "conv2d",
                format!("the input of {}", conv.name()),
                expected,
                &[input.channels()],
            ));
        }
        if conv.is_head {
            self.enter_head(x);
        }
        let (weight, bias) = (self.name(conv.weight), conv.bias.map(|bias| self.name(bias)));
        self.enter_layer(weight.clone())?;
        // Where the kernel is stored as a matrix, a channel has a column for each tap.
        let columns = if conv.is_matrix { kh * kw } else { 1 };
        let runs = if groups > 1 && groups == outputs && per_group == 1 {
            // Channel by channel: what comes in goes out in the same order.
            input.runs.clone()
        } else {
            if groups > 1 {
                // A permutation would have to keep the groups together.
                self.fix(&input);
            } else {
                self.place(&input, &weight, 1, columns);
            }
            let group = self.new_group(outputs);
            self.groups[group].is_fixed = groups > 1 || conv.is_head;
            vec![Run { group, channels: outputs }]
        };
        let size = match input.size {
            Some([height, width]) => {
                let x = [1, input.channels(), height, width];
                Some(conv.output_size(x)?)
            }
            None => None,
        };
        let output = Value { runs, size, kind: Kind::Map };
        self.place(&output, &weight, 0, 1);
        if let Some(bias) = bias {
            self.place(&output, &bias, 0, 1);
        }
        if let Some(size @ [height, width]) = size {
            self.cost(conv.name(), size, &[outputs, per_group, kh, kw, height, width]);
        }
        let y = self.push(output, &[x]);
        self.show(y, false);
        self.outputs.insert(y, conv.name().to_owned());
        if x == Node::INPUT && groups == 1 {
            let bias = conv.bias.map(|bias| self.name(bias));
            // As SAME the odd zero is at the end.
            let padding = if conv.is_same { [kh / 2, kw / 2] } else { conv.window.padding };
            let (shape, norm) = (conv.shape, None);
            self.first_layer = Some((FirstLayer { weight, shape, padding, bias, norm }, y));
        }
        Ok(y)
    }

    fn batch_norm(&mut self, norm: &BatchNorm, x: Node, then: Epilogue<Node>) -> Result<Node> {
        self.enter_layer(self.name(norm.weight))?;
        let residual = then.residual();
        let value = match residual {
            Some(residual) => self.united("batch_norm", &[x, residual])?,
            None => self.value(x)?.clone(),
        };
        let normalised = self.value(x)?.clone();
        for id in [norm.weight, norm.bias, norm.running_mean, norm.running_variance] {
            let name = self.name(id);
            self.place(&normalised, &name, 0, 1);
        }
        let [weight, running_mean, running_variance] =
            [norm.weight, norm.running_mean, norm.running_variance].map(|id| self.name(id));
        if let Some((first, _)) = self.first_layer.as_mut().filter(|(_, y)| *y == x) {
            let epsilon = norm.epsilon;
            first.norm = Some(FirstNorm { weight, running_mean, running_variance, epsilon });
        }
        self.norms.push((x, norm.clone()));
        let operands: Vec<Node> = residual.into_iter().chain([x]).collect();
        let y = self.push(value, &operands);
        self.show(y, !matches!(then, Epilogue::Nothing));
        Ok(y)
    }

    fn linear(&mut self, linear: &Linear, x: Node) -> Result<Node> {
        let input = self.value(x)?.clone();
        let [outputs, features] = linear.shape;
        let channels = input.channels();
        let fits = match input.kind {
            Kind::Mixed => true,
            Kind::Flat => channels > 0 && features % channels == 0,
            Kind::Map | Kind::Features => features == channels,
        };
        if !fits {
            let expected = format!("{features} features");
            let name = format!("the input of {}", linear.name());
            return Err(Error::shape("linear", name, expected, &[channels]));
        }
        self.enter_head(x);
        let weight = self.name(linear.weight);
        self.enter_layer(weight.clone())?;
        if input.kind != Kind::Mixed {
            let names = linear.sigmas.map(|[of_weight, _]| self.name(of_weight));
            for name in names.iter().chain([&weight]) {
                self.place(&input, name, 1, features / channels);
            }
        }
        let group = self.new_group(outputs);
        self.groups[group].is_fixed = true;
        self.cost(linear.name(), [1, 1], &[outputs, features]);
        let runs = vec![Run { group, channels: outputs }];
        Ok(self.push(Value { runs, size: None, kind: Kind::Features }, &[x]))
    }

    fn relu(&mut self, x: Node) -> Result<Node> {
        let value = self.value(x)?.clone();
        let y = self.push(value, &[x]);
        self.show(y, true);
        Ok(y)
    }

    fn relu6(&mut self, x: Node) -> Result<Node> {
        self.relu(x)
    }

    fn sum(&mut self, parts: &[Node]) -> Result<Node> {
        let value = self.united("sum", parts)?;
        let y = self.push(value, parts);
        self.show(y, false);
        Ok(y)
    }

    fn concat(&mut self, parts: &[Node]) -> Result<Node> {
        let values = parts.iter().map(|&part| self.value(part).cloned());
        let values = values.collect::<Result<Vec<_>>>()?;
        let (size, first) = values.first().map_or((None, Kind::Map), |v| (v.size, v.kind));
        let kind = match first {
            Kind::Map | Kind::Features if values.iter().all(|value| value.kind == first) => first,
            _ => {
                values.iter().for_each(|value| self.fix(value));
                Kind::Mixed
            }
        };
        let runs = values.into_iter().flat_map(|value| value.runs).collect();
        Ok(self.push(Value { runs, size, kind }, parts))
    }

    fn upsample(&mut self, x: Node, like: Node, _: Interpolation) -> Result<Node> {
        let (runs, size) = (self.value(x)?.runs.clone(), self.value(like)?.size);
        Ok(self.push(Value { runs, size, kind: Kind::Map }, &[x, like]))
    }

    fn max_pool(&mut self, x: Node, size: [usize; 2], window: Window) -> Result<Node> {
        self.pooled(x, size, window)
    }

    fn avg_pool(&mut self, x: Node, size: [usize; 2], window: Window, _: Divisor) -> Result<Node> {
        self.pooled(x, size, window)
    }

    /// A channel becomes as many columns as the map has pixels: whoever reads them knows how many.
    fn flatten(&mut self, x: Node) -> Result<Node> {
        let Value { runs, kind, .. } = self.value(x)?.clone();
        let kind = if kind == Kind::Map { Kind::Flat } else { kind };
        Ok(self.push(Value { runs, size: None, kind }, &[x]))
    }

    fn global_mean_pool(&mut self, x: Node) -> Result<Node> {
        let runs = self.value(x)?.runs.clone();
        Ok(self.push(Value { runs, size: None, kind: Kind::Features }, &[x]))
    }
}
