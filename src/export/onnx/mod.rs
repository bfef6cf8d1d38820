//! Writes a network as an ONNX model, for programs that run such; [`crate::zoo`] reads its
//! tensors again.
//!
//! The nodes are noted down as the network itself names its operations, one by one (see
//! [`Operations`](crate::nn::Operations)): so what is written is what [`Network::forward`] computes.
//!
//! | here | node |
//! |---|---|
//! | convolution | `Conv`, with stride, padding, dilation and groups |
//! | batch norm | `BatchNormalization` by the running statistics |
//! | ReLU, max pooling, sum | `Relu`, `MaxPool`, `Add` |
//! | maps at the size of another, side by side | `Resize` after `Shape`, `Concat` |
//! | ReLU6 | `Clip` between two `Constant`s |
//! | global mean pooling | `GlobalAveragePool`, `Flatten` |
//! | linear layer | `Gemm` with the weight transposed |
//! | a source chosen by a router | `ArgMax`; of each kernel `Concat`, `Reshape`, `Gather` |

mod graph;

use super::protobuf::{Message, header};
use super::{Data, write_atomically};
use crate::nn::{Id, Network, Node, Parameters};
use crate::{Error, Result};
use graph::Graph;
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the file format, and that of the operators: of 2022, so that runtimes of some
/// years know them. None of the operators changed what it computes since.
const IR_VERSION: u64 = 8;
const OPSET: u64 = 17;

/// The names of what goes in, and of the classes or maps that come out.
const INPUT: &str = "input";
const LOGITS: &str = "logits";
const MAPS: &str = "maps";

/// The number of single precision among the types of number.
const FLOAT: u64 = 1;

/// The field of a model that is its graph, and that of a graph that is a tensor.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;

/// The longest message that readers of protocol buffers take, in bytes.
const LONGEST: u64 = i32::MAX as u64;

/// Writes a plain network to the ONNX model at `path`: from `input` `[N, C, H, W]`, with any
/// number of images of any size, to `logits` `[N, outputs]`, or to `maps` `[N, outputs, H', W']`. A
/// routed one is written for one image at a time: its kernels depend on it.
///
/// Its initializers are the network's tensors under their own names, so that the file is a
/// checkpoint too; `metadata` becomes the model's texts. The file is there in whole or not at
/// all, see [`write_atomically`]; the weights are written from where they are.
///
/// # Errors
/// If the network mixes sources, or is longer than the 2 GiB that readers take, or the file cannot be
/// written.
pub fn write_onnx(
    path: impl AsRef<Path>,
    network: &Network<f32>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let model = model(network, metadata)?;
    if model.len() > LONGEST {
        return Err(Error::Impossible {
            request: "write the network as an ONNX model",
            reason: format!(
                "it would have {} bytes, more than the {LONGEST} that its readers take",
                model.len()
            ),
            hint: "write it as safetensors",
        });
    }
    write_atomically(path, |writer| model.write_to(writer))
}

/// The whole file.
fn model<'a>(
    network: &'a Network<f32>,
    metadata: &BTreeMap<String, String>,
) -> Result<Message<'a>> {
    let design = network.design();
    let parameters = network.parameters();
    let mut operators = Graph::new(parameters, INPUT);
    let mut batch = Size::Any("batch");
    if let Some(router) = network.router() {
        operators.route(router)?;
        batch = Size::Of(1);
    }
    let last = network.operate(&mut operators, Node::INPUT)?;
    let mut answers = vec![batch, Size::Of(design.outputs)];
    let mut output = LOGITS;
    if network.makes_maps() {
        output = MAPS;
        answers.extend([Size::Any("map_height"), Size::Any("map_width")]);
    }

    let mut graph = Message::default();
    for operator in operators.operators(last, output) {
        graph.message(1, operator);
    }
    graph.bytes(2, design.name());
    for id in parameters.ids() {
        graph.message(INITIALIZER, initializer(parameters, id, graph.len()));
    }
    let images = [batch, Size::Of(design.channels), Size::Any("height"), Size::Any("width")];
    graph.message(11, value_info(INPUT, &images));
    graph.message(12, value_info(output, &answers));

    let mut model = Message::default();
    // First, for it is what tells the format.
    model.integer(1, IR_VERSION);
    model.bytes(2, "zoo-tuning");
    let mut opset = Message::default();
    opset.bytes(1, "");
    opset.integer(2, OPSET);
    model.message(8, opset);
    // Those that our reader adds tell of the file that they were read from.
    for (key, value) in metadata.iter().filter(|(key, _)| !key.starts_with("onnx.")) {
        model.message(14, entry(key, value));
    }
    // So that the graph begins at a multiple of 4, and with it what is at one within the graph.
    let place = model.len() + 2 + header(GRAPH, graph.len()).len() as u64;
    model.bytes(6, blanks((4 - place % 4) % 4));
    model.message(GRAPH, graph);
    Ok(model)
}

/// A tensor of the network, for a graph that has `before` bytes so far.
///
/// The values begin at a multiple of 4 bytes in the graph, so that whoever maps the file can use
/// them in place: where they would not, a description of a few blanks moves them.
fn initializer(parameters: &Parameters<f32>, id: Id, before: u64) -> Message<'_> {
    let value = parameters.value(id);
    // No description, then one of 0, 1, 2... blanks; some of the first few fits.
    let mut described = 0;
    loop {
        let mut tensor = Message::default();
        value.shape().iter().for_each(|&size| tensor.integer(1, size as u64));
        tensor.integer(2, FLOAT);
        tensor.bytes(8, parameters.name(id));
        if described > 0 {
            tensor.bytes(12, blanks(described - 1));
        }
        tensor.values(9, Data::from(value));
        let values = 4 * value.len() as u64;
        let place = before + header(INITIALIZER, tensor.len()).len() as u64 + tensor.len() - values;
        if place.is_multiple_of(4) {
            return tensor;
        }
        described += 1;
    }
}

fn blanks(count: u64) -> String {
    " ".repeat(count as usize)
}

/// A key and its text.
fn entry<'a>(key: &str, value: &str) -> Message<'a> {
    let mut entry = Message::default();
    entry.bytes(1, key);
    entry.bytes(2, value);
    entry
}

/// The size of an axis.
#[derive(Clone, Copy)]
enum Size {
    Of(usize),
    /// As it comes; the same for all axes of one name.
    Any(&'static str),
}

/// What goes into a graph or comes out of it: its name, type and shape.
fn value_info<'a>(name: &str, sizes: &[Size]) -> Message<'a> {
    let mut shape = Message::default();
    for size in sizes {
        let mut axis = Message::default();
        match size {
            Size::Of(size) => axis.integer(1, *size as u64),
            Size::Any(name) => axis.bytes(2, name),
        }
        shape.message(1, axis);
    }
    let (mut tensor, mut kind, mut info) =
        (Message::default(), Message::default(), Message::default());
    tensor.integer(1, FLOAT);
    tensor.message(2, shape);
    kind.message(1, tensor);
    info.bytes(1, name);
    info.message(2, kind);
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::architectures::{Block, ResNet, Stem};
    use crate::nn::{Design, Form, Mixing, Values};
    use crate::tensor::State;
    use crate::zoo::{Checkpoint, fixture};

    fn design(width: usize) -> Design {
        let (block, stem) = (Block::Basic, Stem::Small);
        Design::new(ResNet { name: "tiny", block, depths: vec![1], width, stem }, 3, 5)
    }

    fn written(network: &Network<f32>, metadata: &BTreeMap<String, String>) -> Checkpoint {
        let mut bytes = Vec::new();
        model(network, metadata).unwrap().write_to(&mut bytes).unwrap();
        Checkpoint::open(fixture::file(&bytes)).unwrap()
    }

    #[test]
    fn all_values_can_be_used_in_place_whatever_the_length_of_the_texts() {
        let network = Network::drawn(&design(3), 1).unwrap();
        // Lengths on both sides of where they take one byte more.
        for length in [0, 1, 2, 3, 100, 125, 126, 127, 128, 129, 130, 131, 16_383] {
            let metadata = BTreeMap::from([("key".to_owned(), "x".repeat(length))]);
            let read = written(&network, &metadata);
            assert_eq!(read.metadata()["key"].len(), length);
            assert_eq!(read.len(), network.parameters().len());
            for view in &read {
                assert!(
                    view.as_slice::<f32>().is_some() || cfg!(target_endian = "big"),
                    "{view:?}"
                );
            }
        }
    }

    #[test]
    fn a_model_is_told_what_wrote_it_and_not_what_was_read_before() {
        let network = Network::drawn(&design(1), 1).unwrap();
        let texts = [("onnx.producer", "another"), ("onnx.not_read", "much"), ("mean", "0.5")];
        let metadata = texts.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        let read = written(&network, &metadata);
        let expected = [("mean", "0.5"), ("onnx.opset", "17"), ("onnx.producer", "zoo-tuning")];
        assert!(read.metadata().iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
    }

    #[test]
    fn a_network_that_mixes_sources_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        for form in [Form::Zoo(Mixing::default()), Form::Lite(Mixing::default())] {
            let network = Network::new(&design(2).in_form(form, 2), Values::drawn(1)).unwrap();
            let error = write_onnx(&path, &network, &BTreeMap::new()).unwrap_err().to_string();
            assert_eq!(
                error,
                "cannot write the network as an ONNX model: conv1 mixes the kernels of several \
                 sources; collapse it into a plain one first, as `zoo-tuning collapse` does"
            );
        }
        assert!(!path.exists());
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_network_that_no_reader_takes_is_refused() {
        // Mapped from a file of zeros that is not on the disk: no value is read.
        let shapes = [
            ("conv1.weight", vec![8192, 3, 3, 3]),
            ("layer1.0.conv1.weight", vec![8192, 8192, 3, 3]),
            ("layer1.0.conv2.weight", vec![8192, 8192, 3, 3]),
            ("fc.weight", vec![5, 8192]),
            ("fc.bias", vec![5]),
        ];
        let norms = ["bn1", "layer1.0.bn1", "layer1.0.bn2"].into_iter().flat_map(|norm| {
            ["weight", "bias", "running_mean", "running_var"]
                .map(|part| (format!("{norm}.{part}"), vec![8192]))
        });
        let mut end = 0;
        let entries: Vec<_> = shapes
            .into_iter()
            .map(|(name, shape)| (name.to_owned(), shape))
            .chain(norms)
            .map(|(name, shape)| {
                let start = end;
                end += 4 * shape.iter().product::<usize>();
                format!(
                    r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
                )
            })
            .collect();
        let mut header = format!("{{{}}}", entries.join(","));
        header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
        let path =
            fixture::file(&[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len((8 + header.len() + end) as u64).unwrap();
        let state = State::mapped(&Checkpoint::open(&path).unwrap()).unwrap();
        let network = design(8192).plain().build(&state);
        let error = write_onnx("/nowhere/a.onnx", &network.unwrap(), &BTreeMap::new()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("more than the 2147483647 that its readers take"), "{error}");
        assert!(error.ends_with("write it as safetensors"), "{error}");
    }
}
