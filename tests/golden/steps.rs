//! Three steps of training against PyTorch.
//!
//! The numbers come from `tests/golden/steps.py`, which was run once; nothing here needs
//! PyTorch. Losses, the logits after training, and every parameter and buffer are compared,
//! relative to the largest value of the tensor in question.

use zoo_tuning::nn::architectures::{Block, ResNet, Stem};
use zoo_tuning::nn::*;
use zoo_tuning::ops::{self, GateFunction};
use zoo_tuning::optim::{Group, Groups, Optimizer, Rule};
use zoo_tuning::tensor::{Element, State, Tensor};
use zoo_tuning::{Result, zoo::Checkpoint};

const SMOOTHING: f64 = 0.1;
const DECAY: f64 = 5e-4;

/// The networks of the script: two stages of one block each, four channels wide.
fn design(name: &str) -> Design {
    let (block, stem) = match name {
        "basic" => (Block::Basic, Stem::Small),
        _ => (Block::Bottleneck, Stem::Imagenet),
    };
    let depths = vec![1, 1];
    Design::new(ResNet { name: "small", block, depths, width: 4, stem }, 3, 5)
}

fn fixture<T: Element>() -> State<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/steps.safetensors");
    State::mapped(&Checkpoint::open(path).unwrap()).unwrap()
}

/// What the fixture's single precision permits, and the rounding of training in it.
fn tolerance<T: Element>() -> f64 {
    if size_of::<T>() == 4 { 1e-4 } else { 1e-6 }
}

fn assert_close<T: Element>(found: &Tensor<T>, expected: &Tensor<T>, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let largest = expected.as_slice().iter().fold(0.0f64, |a, b| a.max(b.widen().abs()));
    for (at, (found, expected)) in found.as_slice().iter().zip(expected.as_slice()).enumerate() {
        let error = (found.widen() - expected.widen()).abs();
        // A comparison that a NaN fails.
        let close = error <= tolerance::<T>() * largest;
        assert!(close, "{what}[{at}] is {found:?}, PyTorch has {expected:?}");
    }
}

/// The network as it starts from its sources, with what the script drew.
fn started<T: Element>(name: &str, form: Form, fixture: &State<T>) -> Result<Network<T>> {
    let design = design(name);
    let count = if form == Form::Plain { 1 } else { 3 };
    let sources: Vec<_> =
        (0..count).map(|i| fixture.below(&format!("{name}.source{i}."))).collect();
    let mut network = Network::from_sources(&design, form, &sources, 0)?;
    let mut state = network.parameters().state("the start");
    for (key, tensor) in fixture.below(&format!("{name}.start.")).tensors {
        // A plain network takes the head only.
        if state.tensors.contains_key(&key) {
            state.insert(key, tensor);
        }
    }
    network.parameters_mut().load(&state)?;
    Ok(network)
}

fn check<T: Element>(variant: &str, name: &str, form: Form, rule: Rule) -> Result<()> {
    let fixture = fixture::<T>();
    let labels = fixture.get("labels")?.as_slice().iter().map(|v| v.widen() as usize);
    let labels: Vec<usize> = labels.collect();
    let rates = if rule == Rule::SGD { [0.05, 0.05, 0.005] } else { [0.002, 0.002, 0.0002] };
    let group = |lr_scale| Group { lr_scale, decay: DECAY };
    let groups =
        Groups { backbone: group(1.0), alignment: group(2.0), gate: group(5.0), head: group(10.0) };
    let mut network = started(name, form, &fixture)?;
    let mut optimizer = Optimizer::new(rule, groups);
    let mut losses = Vec::new();
    for rate in rates {
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(fixture.get("images")?.clone());
        let logits = network.forward(&mut pass, x)?;
        let loss = ops::cross_entropy(pass.tape(), logits, &labels, SMOOTHING)?;
        losses.push(pass.value(loss)?.item()?);
        let step = pass.backward(loss)?;
        optimizer.step(network.parameters_mut(), step, rate).unwrap();
    }
    let expected = fixture.below(&format!("{variant}."));
    assert_close(&Tensor::new(&[3], losses)?, expected.get("losses")?, variant);

    let end = expected.below("end.");
    let parameters = network.parameters();
    assert_eq!(parameters.len(), end.tensors.len(), "{variant}: nothing is left out");
    for id in parameters.ids() {
        let key = parameters.name(id);
        assert_close(parameters.value(id), end.get(key)?, &format!("{variant}: {key}"));
    }

    let mut pass = Pass::evaluate(parameters);
    let x = pass.input(fixture.get("unseen")?.clone());
    let logits = network.forward(&mut pass, x)?;
    assert_close(pass.value(logits)?, expected.get("logits")?, &format!("{variant}: logits"));
    Ok(())
}

/// In both precisions.
fn check_both(variant: &str, name: &str, form: Form, rule: Rule) -> Result<()> {
    check::<f64>(variant, name, form.clone(), rule)?;
    check::<f32>(variant, name, form, rule)
}

fn mixing(function: GateFunction) -> Mixing {
    Mixing { function, aligned: Aligned::everywhere(), ..Mixing::default() }
}

#[test]
fn zoo() -> Result<()> {
    let [softmax, sigmoid] =
        [GateFunction::Softmax, GateFunction::Sigmoid].map(|f| Form::Zoo(mixing(f)));
    check_both("zoo_softmax", "basic", softmax.clone(), Rule::SGD)?;
    check_both("zoo_sigmoid", "basic", sigmoid, Rule::SGD)?;
    check_both("zoo_adam", "basic", softmax.clone(), Rule::ADAM)?;
    check_both("zoo_bottleneck", "bottleneck", softmax, Rule::SGD)
}

#[test]
fn lite() -> Result<()> {
    let [softmax, sigmoid] =
        [GateFunction::Softmax, GateFunction::Sigmoid].map(|f| Form::Lite(mixing(f)));
    check_both("lite_softmax", "basic", softmax.clone(), Rule::SGD)?;
    check_both("lite_sigmoid", "basic", sigmoid.clone(), Rule::SGD)?;
    check_both("lite_adam", "basic", sigmoid, Rule::ADAM)?;
    check_both("lite_bottleneck", "bottleneck", softmax, Rule::SGD)
}

#[test]
fn plain() -> Result<()> {
    check_both("plain", "basic", Form::Plain, Rule::SGD)
}

/// One convolution with a bias, stride 2.
struct Biased;

impl Architecture for Biased {
    fn name(&self) -> &str {
        "biased"
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        let window = zoo_tuning::kernel::Window::square(2, 1);
        let conv = b.conv_with_bias("conv", [b.outputs(), b.channels(), 3, 3], window)?;
        Ok(Box::new(move |o, x| o.conv(&conv, x)))
    }
}

/// Against `tests/golden/biased_layer.py`, which restates the layer: `T b` beside `T W`, by one gate.
#[test]
fn biases_are_aligned_and_mixed_as_kernels_are() {
    let text = include_str!("biased_layer.json");
    let golden: serde_json::Value = serde_json::from_str(text).unwrap();
    let tensor = |value: &serde_json::Value| {
        let numbers = |key: &str| -> Vec<f64> {
            value[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let shape: Vec<usize> = numbers("shape").into_iter().map(|v| v as usize).collect();
        Tensor::<f64>::new(&shape, numbers("values")).unwrap()
    };
    let mut state = State::new("the restatement");
    for (name, value) in golden["tensors"].as_object().unwrap() {
        state.insert(name, tensor(value));
    }
    let x = state.tensors.remove("x").unwrap();
    let mixing = Mixing { aligned: Aligned::everywhere(), ..Mixing::default() };
    let network = Design::new(Biased, 5, 4).in_form(Form::Zoo(mixing), 2).build(&state).unwrap();
    let mut pass = Pass::train(network.parameters());
    let x = pass.tape().parameter(x);
    let y = network.forward(&mut pass, x).unwrap();
    assert_close(pass.value(y).unwrap(), &tensor(&golden["y"]), "y");
    let vars: Vec<_> = network.parameters().ids().map(|id| (id, pass.var(id))).collect();
    let mut gradients = pass.tape().backward_from(y, tensor(&golden["dy"])).unwrap();
    for (id, var) in vars {
        let name = network.parameters().name(id);
        let found = gradients.take(var).unwrap();
        assert_close(&found, &tensor(&golden["gradients"][name]), name);
    }
    assert_close(&gradients.take(x).unwrap(), &tensor(&golden["gradients"]["x"]), "x");
}
