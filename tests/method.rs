//! The method as a whole: what a zoo network computes, on networks of drawn values.

use zoo_tuning::Error;
use zoo_tuning::collapse::collapse;
use zoo_tuning::nn::architectures::{Block, ResNet, Stem};
use zoo_tuning::nn::*;
use zoo_tuning::ops::{self, GateFunction};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::start;
use zoo_tuning::tensor::{State, Tensor};

type Result = zoo_tuning::Result<()>;

fn small() -> Design {
    Design::named("resnet_small", 1, 10).unwrap()
}

/// A network with drawn values everywhere, so that nothing is 0 or 1 by its start.
fn source(design: &Design, seed: u64) -> State<f64> {
    let network = Network::<f64>::drawn(design, seed).unwrap();
    let mut state = network.parameters().state(format!("source {seed}"));
    let mut rng = fastrand::Rng::with_seed(!seed);
    for (name, tensor) in &mut state.tensors {
        let drawn = Tensor::<f64>::normal(tensor.shape(), 0.3, &mut rng);
        if name.ends_with("running_var") || name.contains("bn") && name.ends_with("weight") {
            let positive = drawn.as_slice().iter().map(|v| 0.5 + v.abs()).collect();
            *tensor = Tensor::new(drawn.shape(), positive).unwrap();
        } else if !name.contains("conv") {
            *tensor = drawn;
        }
    }
    state
}

fn images(count: usize, design: &Design, size: usize) -> Tensor<f64> {
    let shape = [count, design.channels, size, size];
    Tensor::normal(&shape, 1.0, &mut fastrand::Rng::with_seed(4))
}

fn logits(network: &Network<f64>, x: &Tensor<f64>, training: bool) -> Tensor<f64> {
    let parameters = network.parameters();
    let mut pass = if training { Pass::train(parameters) } else { Pass::evaluate(parameters) };
    let x = pass.input(x.clone());
    let y = network.forward(&mut pass, x).unwrap();
    pass.value(y).unwrap().clone()
}

fn forms(mixing: Mixing) -> [Form; 2] {
    [Form::Zoo(mixing.clone()), Form::Lite(mixing)]
}

#[test]
fn a_zoo_of_copies_computes_what_the_one_source_computes() -> Result {
    for name in ["resnet18", "resnet34", "resnet50", "resnet_small"] {
        let design = Design::named(name, 2, 3)?;
        let small = name == "resnet_small";
        let one = source(&design, 1);
        let x = images(2, &design, if small { 12 } else { 33 });
        let copies = vec![one; if small { 4 } else { 2 }];
        // Aligning the late stages of the large ones would only take time.
        let early = AlignedLayers::Named(vec!["conv1".to_owned(), "layer1".to_owned()]);
        let layers = if small { AlignedLayers::All } else { early };
        let aligned = Aligned { layers, pointwise: false };
        let plain = Values::sources(&copies[..1], 0).head(Head::Kept);
        let plain = Network::new(&design.plain(), plain)?;
        for form in forms(Mixing { aligned, ..Mixing::default() }) {
            let zoo = Values::sources(&copies, 7).head(Head::Kept).statistics(Statistics::Mean);
            let zoo = Network::new(&design.in_form(form, copies.len()), zoo)?;
            for training in [false, true] {
                let (expected, found) = (logits(&plain, &x, training), logits(&zoo, &x, training));
                let difference = expected.relative_difference(&found)?;
                assert!(difference < 1e-5, "{name}, training {training}: {difference:e}");
            }
        }
    }
    Ok(())
}

/// A layer that is used twice.
struct Shared;

impl Architecture for Shared {
    fn name(&self) -> &str {
        "shared"
    }

    fn layers(&self, b: &mut Builder) -> zoo_tuning::Result<Layers> {
        let window = zoo_tuning::kernel::Window::square(1, 1);
        let conv = b.conv("conv", [b.channels(), b.channels(), 3, 3], window)?;
        Ok(Box::new(move |o, x| {
            let x = o.conv(&conv, x)?;
            o.conv(&conv, x)
        }))
    }
}

#[test]
fn layers_do_not_share_their_tensors() {
    let error = Network::<f64>::drawn(&Design::new(Shared, 3, 3), 1).err().unwrap();
    assert!(error.to_string().contains("conv.weight is used twice"), "{error}");
}

/// One layer with a bias.
struct Biased;

impl Architecture for Biased {
    fn name(&self) -> &str {
        "biased"
    }

    fn layers(&self, b: &mut Builder) -> zoo_tuning::Result<Layers> {
        let window = zoo_tuning::kernel::Window::square(2, 1);
        let conv = b.conv_with_bias("conv", [b.outputs(), b.channels(), 3, 3], window)?;
        Ok(Box::new(move |o, x| o.conv(&conv, x)))
    }
}

#[test]
fn biases_are_aggregated_with_the_kernels() -> Result {
    let shape = [4, 3, 3, 3];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut one = State::<f64>::new("one");
    one.insert("conv.weight", Tensor::normal(&shape, 1.0, &mut rng));
    one.insert("conv.bias", Tensor::normal(&[4], 1.0, &mut rng));
    let x = Tensor::normal(&[2, 3, 7, 5], 1.0, &mut rng);
    let copies = vec![one; 3];
    let output = |form: Form| -> zoo_tuning::Result<Tensor<f64>> {
        let network = Network::from_sources(&Design::new(Biased, 3, 4), form, &copies, 2)?;
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(x.clone());
        let y = network.forward(&mut pass, x)?;
        pass.value(y).cloned()
    };
    let plain = output(Form::Plain)?;
    for form in forms(Mixing::default()) {
        assert!(plain.relative_difference(&output(form)?)? < 1e-12);
    }
    Ok(())
}

#[test]
fn the_mean_of_sources_starts_batch_norms_and_the_plain_average() -> Result {
    let sources = [source(&small(), 1), source(&small(), 2)];
    let network = Network::from_sources(&small(), Form::Plain, &sources, 0)?;
    let parameters = network.parameters();
    for name in ["layer2.0.conv1.weight", "layer1.0.bn2.bias"] {
        let found = parameters.value(parameters.find(name)?);
        for (at, v) in found.as_slice().iter().enumerate() {
            let of = |i: usize| sources[i].tensors[name].as_slice()[at];
            assert!((v - (of(0) + of(1)) / 2.0).abs() < 1e-12);
        }
    }
    let variance = parameters.value(parameters.find("bn1.running_var")?);
    assert!(variance.as_slice().iter().all(|&v| v == 1.0), "reset, as the release does");
    let head = parameters.value(parameters.find("fc.weight")?);
    assert!(head.as_slice().iter().all(|v| v.abs() < 0.06), "fresh, from N(0, 0.01)");
    Ok(())
}

#[test]
fn matching_changes_nothing_that_a_source_computes() -> Result {
    for name in ["resnet_small", "resnet18", "resnet50"] {
        let design = Design::named(name, 1, 5)?;
        let size = if name == "resnet_small" { 10 } else { 33 };
        let sources = [source(&design, 1), source(&design, 2)];
        let x = images(3, &design, size);
        let matched = start::matched(&design, &sources, 0, &x)?;
        let blueprint = design.plain();
        let before = logits(&blueprint.build(&sources[1])?, &x, false);
        let after = logits(&blueprint.build(&matched[1])?, &x, false);
        assert!(before.relative_difference(&after)? < 1e-6, "{name}");
        let kernel = "layer2.0.conv1.weight";
        assert_ne!(sources[1].tensors[kernel].as_slice(), matched[1].tensors[kernel].as_slice());
    }
    Ok(())
}

#[test]
fn matching_undoes_a_permutation() -> Result {
    let design = small();
    let x = images(4, &design, 12);
    // No channel may be dead, since of two that are always zero, matching cannot know which is
    // which: the running statistics have to be those of the images.
    let alive = |seed| -> zoo_tuning::Result<State<f64>> {
        let state = source(&design, seed);
        let blueprint = design.plain();
        let mut network = blueprint.build(&state)?;
        for _ in 0..40 {
            let mut pass = Pass::train(network.parameters());
            let input = pass.input(x.clone());
            let y = network.forward(&mut pass, input)?;
            let loss = ops::cross_entropy(pass.tape(), y, &[0; 4], 0.0)?;
            pass.backward(loss)?.update_buffers(network.parameters_mut());
        }
        Ok(network.parameters().state(state.origin))
    };
    let first = alive(1)?;
    // Matching `first` to another network permutes it; matching that to `first` restores it.
    let other = alive(2)?;
    let shuffled = start::matched(&design, &[other, first.clone()], 0, &x)?.remove(1);
    let name = "layer3.0.conv1.weight";
    assert_ne!(shuffled.tensors[name].as_slice(), first.tensors[name].as_slice());
    let restored = start::matched(&design, &[first.clone(), shuffled], 0, &x)?.remove(1);
    for (name, tensor) in &first.tensors {
        assert!(restored.tensors[name].as_slice() == tensor.as_slice(), "{name}");
    }
    Ok(())
}

/// Some steps of training on drawn images and labels.
fn train(network: &mut Network<f64>, steps: usize) -> zoo_tuning::Result<f64> {
    let x = images(8, network.design(), 12);
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let mut last = 0.0;
    for _ in 0..steps {
        let mut pass = Pass::train(network.parameters());
        let input = pass.input(x.clone());
        let y = network.forward(&mut pass, input)?;
        let loss = ops::cross_entropy(pass.tape(), y, &[0, 1, 2, 3, 4, 5, 6, 7], 0.0)?;
        last = pass.value(loss)?.item()?;
        let step = pass.backward(loss)?;
        optimizer.step(network.parameters_mut(), step, 0.01).unwrap();
    }
    Ok(last)
}

#[test]
fn a_trained_lite_network_collapses() -> Result {
    let sources = [source(&small(), 1), source(&small(), 2), source(&small(), 3)];
    for function in [GateFunction::Softmax, GateFunction::Sigmoid] {
        let mixing = Mixing { function, aligned: Aligned::everywhere(), ..Mixing::default() };
        let mut lite = Network::from_sources(&small(), Form::Lite(mixing), &sources, 1)?;
        assert!(matches!(collapse(&lite), Err(Error::Impossible { .. })), "no average yet");
        let first = train(&mut lite, 1)?;
        assert!(train(&mut lite, 12)? < first, "it learns");
        let plain = collapse(&lite)?;
        let x = images(5, &small(), 12);
        let difference =
            logits(&lite, &x, false).relative_difference(&logits(&plain, &x, false))?;
        assert!(difference < 1e-5, "{difference:e}");
        let fresh = Network::<f64>::drawn(&small(), 0)?;
        let (found, expected) = (plain.parameters(), fresh.parameters());
        let names = found.ids().map(|id| found.name(id));
        assert!(names.eq(expected.ids().map(|id| expected.name(id))));
    }
    Ok(())
}

#[test]
fn what_cannot_collapse_says_why() -> Result {
    let sources = [source(&small(), 1), source(&small(), 2)];
    let refused = |form: Form| -> zoo_tuning::Result<String> {
        let mut network = Network::from_sources(&small(), form, &sources, 1)?;
        train(&mut network, 1)?;
        match collapse(&network) {
            Err(error @ Error::Impossible { .. }) => Ok(error.to_string()),
            Err(error) => Err(error),
            Ok(_) => panic!("it collapsed"),
        }
    };
    assert!(refused(Form::Zoo(Mixing::default()))?.contains("every sample on its own"));
    let released = Mixing { shortcuts_per_sample: true, ..Mixing::default() };
    assert!(refused(Form::Lite(released))?.contains("downsample"));
    assert!(refused(Form::Plain)?.contains("plain network already"));
    Ok(())
}

/// A routed network of three sources, whose running statistics, biases and head have moved away from where
/// they start.
fn routed(design: &Design, rng: &mut fastrand::Rng) -> zoo_tuning::Result<Network<f64>> {
    let sources = [1, 2, 3].map(|seed| source(design, seed));
    let mut network = Network::from_sources(design, Form::Routed, &sources, 1)?;
    let ids: Vec<_> = network.parameters().ids().collect();
    for id in ids {
        let value = network.parameters_mut().value_mut(id);
        value.as_mut_slice().iter_mut().for_each(|value| *value += 0.1 * rng.f64());
    }
    Ok(network)
}

#[test]
fn a_router_that_sends_all_samples_to_one_source_collapses() -> Result {
    let convnet = || Design::named("convnet_small", 1, 3).unwrap();
    for design in [small(), convnet()] {
        let mut network = routed(&design, &mut fastrand::Rng::with_seed(7))?;
        let router = network.router().unwrap();
        let (weight, bias) = (router.weight, router.bias);
        assert!(matches!(collapse(&network), Err(Error::Impossible { .. })), "it looks at samples");
        let parameters = network.parameters_mut();
        parameters.value_mut(weight).as_mut_slice().fill(0.5);
        parameters.value_mut(bias).as_mut_slice().copy_from_slice(&[0.0, 2.0, 1.0]);
        let plain = collapse(&network)?;
        let x = images(5, &design, 12);
        let difference =
            logits(&network, &x, false).relative_difference(&logits(&plain, &x, false))?;
        assert!(difference < 1e-12, "{}: {difference:e}", design.name());
    }
    Ok(())
}

#[test]
fn the_likeliest_sources_of_a_sample_are_mixed_by_how_likely_they_are() -> Result {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut network = routed(&small(), &mut rng)?;
    // Samples differ in which source they like, and the third is liked by none.
    let router = network.router().unwrap();
    let (weight, bias) = (router.weight, router.bias);
    let parameters = network.parameters_mut();
    parameters
        .value_mut(weight)
        .as_mut_slice()
        .iter_mut()
        .for_each(|w| *w = 200.0 * (rng.f64() - 0.5));
    parameters.value_mut(bias).as_mut_slice().fill(0.0);
    let x = images(9, &small(), 12);
    let scores = |network: &Network<f64>| -> zoo_tuning::Result<Vec<f64>> {
        let mut pass = Pass::evaluate(network.parameters());
        let input = pass.input(x.clone());
        let scores = network.router().unwrap().scores(&mut pass, input)?;
        Ok(pass.value(scores)?.as_slice().to_vec())
    };
    let apart: f64 = scores(&network)?.chunks(3).map(|row| row[0] - row[1]).sum();
    let biases = [0.0, apart / 9.0, -1e6];
    network.parameters_mut().value_mut(bias).as_mut_slice().copy_from_slice(&biases);
    let answers =
        |network: &Network<f64>, routes: Option<&[usize]>| -> zoo_tuning::Result<Vec<f64>> {
            let mut pass = Pass::evaluate(network.parameters());
            if let Some(routes) = routes {
                pass = pass.give_routes(routes);
            }
            let input = pass.input(x.clone());
            let y = network.forward(&mut pass, input)?;
            let y = ops::softmax(pass.tape(), y)?;
            Ok(pass.value(y)?.as_slice().to_vec())
        };
    let softmax = |row: &[f64]| -> Vec<f64> {
        let sum: f64 = row.iter().map(|z| (z - row[0].max(row[1])).exp()).sum();
        row.iter().map(|z| (z - row[0].max(row[1])).exp() / sum).collect()
    };
    let shares: Vec<f64> = scores(&network)?.chunks(3).flat_map(softmax).collect();
    let each: Vec<Vec<f64>> = (0..3)
        .map(|source| answers(&network, Some(&[source; 9])))
        .collect::<zoo_tuning::Result<_>>()?;

    let likeliest = answers(&network, None)?;
    network.mix_likeliest(2)?;
    let mixed = answers(&network, None)?;
    let classes = mixed.len() / 9;
    let mut alone = 0;
    for (n, q) in shares.chunks(3).enumerate() {
        let row = |source: usize| &each[source][n * classes..][..classes];
        let first = usize::from(q[1] > q[0]);
        // Below a twentieth the second is not asked.
        let second = if q[1 - first] < 0.05 { 0.0 } else { q[1 - first] };
        alone += usize::from(second == 0.0);
        let sum = q[first] + second;
        for k in 0..classes {
            let expected = (q[first] * row(first)[k] + second * row(1 - first)[k]) / sum;
            let found = mixed[n * classes + k];
            assert!((found - expected).abs() < 1e-12, "{n}, {k}: {found} {expected}");
            assert!((likeliest[n * classes + k] - row(first)[k]).abs() < 1e-12);
        }
    }
    assert!((1..9).contains(&alone), "{alone} of 9 samples asked one source");

    // What is no number is not hidden by the logarithm.
    let head = network.parameters().find("fc.bias")?;
    let before = network.parameters().value(head).clone();
    network.parameters_mut().value_mut(head).as_mut_slice()[0] = f64::NAN;
    assert!(answers(&network, None)?.iter().all(|p| p.is_nan()));
    *network.parameters_mut().value_mut(head) = before;

    // What is given is taken, and what is no choice is refused.
    assert_eq!(answers(&network, Some(&[1; 9]))?, each[1]);
    for wrong in [0, 4] {
        assert!(network.mix_likeliest(wrong).unwrap_err().to_string().contains("3 sources"));
    }
    let error = Network::<f64>::drawn(&small(), 0)?.mix_likeliest(2).unwrap_err().to_string();
    assert!(error.contains("a plain network has no router"), "{error}");
    Ok(())
}

#[test]
fn the_gates_average_is_bias_corrected() -> Result {
    let sources = [source(&small(), 1), source(&small(), 2)];
    let mut network = Network::from_sources(&small(), Form::Lite(Mixing::default()), &sources, 1)?;
    let mut by_hand = (vec![0.0; 2], 0.0);
    let x = images(8, &small(), 12);
    let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(0.0));
    for _ in 0..3 {
        let mut pass = Pass::train(network.parameters());
        let input = pass.input(x.clone());
        let y = network.forward(&mut pass, input)?;
        let gate = pass.gates().next().map(|(_, var)| var).unwrap();
        let gate = pass.value(gate)?.as_slice().to_vec();
        for (i, s) in by_hand.0.iter_mut().enumerate() {
            let mean = gate.iter().skip(i).step_by(2).sum::<f64>() / 8.0;
            *s = 0.9 * *s + 0.1 * mean;
        }
        by_hand.1 = 0.9 * by_hand.1 + 0.1;
        let loss = ops::cross_entropy(pass.tape(), y, &[0, 1, 2, 3, 4, 5, 6, 7], 0.0)?;
        let step = pass.backward(loss)?;
        optimizer.step(network.parameters_mut(), step, 0.01).unwrap();
    }
    let parameters = network.parameters();
    let value = |name| parameters.find(name).map(|id| parameters.value(id).as_slice().to_vec());
    let (sum, weight) = (value("conv1.gate.average.sum")?, value("conv1.gate.average.weight")?[0]);
    assert!((weight - by_hand.1).abs() < 1e-12);
    for (found, expected) in sum.iter().zip(&by_hand.0) {
        assert!((found / weight - expected / by_hand.1).abs() < 1e-12, "{found} {expected}");
    }
    Ok(())
}

#[test]
fn a_prior_starts_every_sample_near_the_best_source() -> Result {
    let sources = [source(&small(), 1), source(&small(), 2), source(&small(), 3)];
    let prior = Some(start::gate_bias(&[0.1, 0.2, 0.9], 2.5));
    let mixing = Mixing { prior, ..Mixing::default() };
    let network = Network::from_sources(&small(), Form::Zoo(mixing), &sources, 1)?;
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(images(4, &small(), 12));
    network.forward(&mut pass, x)?;
    let share = 2.5f64.exp() / (2.5f64.exp() + 2.0);
    let mut layers = 0;
    for (name, gate) in pass.gates() {
        layers += 1;
        for row in pass.value(gate)?.as_slice().chunks(3) {
            assert!((row[2] - share).abs() < 1e-12, "{name}: {row:?}");
        }
    }
    assert_eq!(layers, network.convolutions().count());
    let wrong = Mixing { prior: Some(vec![1.0, 2.0]), ..Mixing::default() };
    assert!(Network::from_sources(&small(), Form::Zoo(wrong), &sources, 1).is_err());
    Ok(())
}

#[test]
fn alignment_applies_where_the_preset_says() -> Result {
    let aligned = |name: &str| -> zoo_tuning::Result<Vec<String>> {
        let network = Network::<f32>::new(
            &Design::named(name, 3, 10)?.in_form(Form::Zoo(Mixing::default()), 2),
            Values::drawn(1),
        )?;
        let with = network.convolutions().filter(|c| c.mix.as_ref().unwrap().alignment.is_some());
        Ok(with.map(|conv| conv.name().to_owned()).collect())
    };
    let of_50 = aligned("resnet50")?;
    // The stem, and the 3x3 kernels of the 6 + 3 blocks of stages 3 and 4.
    assert_eq!(of_50.len(), 1 + 6 + 3);
    assert!(of_50[1..].iter().all(|name| name.ends_with("conv2")), "{of_50:?}");
    assert_eq!(aligned("resnet18")?.len(), 1 + 2 * 2 * 2);
    Ok(())
}

#[test]
fn a_blueprint_survives_a_checkpoints_metadata() -> Result {
    let named = ["layer1", "layer3.0.conv2"].map(str::to_owned).to_vec();
    let aligned = Aligned { layers: AlignedLayers::Named(named), pointwise: true };
    let mixing = Mixing { function: GateFunction::Sigmoid, aligned, ..Mixing::default() };
    for form in [Form::Plain, Form::Zoo(mixing.clone()), Form::Lite(mixing)] {
        let blueprint = small().in_form(form, 4);
        let mut metadata = blueprint.to_metadata();
        assert_eq!(Blueprint::from_metadata("a", &metadata)?, blueprint);
        metadata.insert("outputs".to_owned(), "-3".to_owned());
        assert!(Blueprint::from_metadata("a", &metadata).is_err());
        metadata.remove("architecture");
        let error = Blueprint::from_metadata("a.safetensors", &metadata).unwrap_err();
        assert!(error.to_string().contains("a.safetensors: architecture"));
    }
    Ok(())
}

#[test]
fn a_saved_network_is_built_where_its_values_lie() -> Result {
    for form in forms(Mixing::default()) {
        let network = Network::<f32>::new(&small().in_form(form.clone(), 3), Values::drawn(1))?;
        let mut state = network.parameters().state("a checkpoint");
        let blueprint = small().in_form(form, 3);
        let built = blueprint.build(&state)?;
        for id in built.parameters().ids() {
            let (name, found) = (built.parameters().name(id), built.parameters().value(id));
            assert_eq!(found.as_slice().as_ptr(), state.get(name)?.as_slice().as_ptr(), "{name}");
        }
        // What a file claims is compared with its tensors before anything is made of it.
        let design = small().with_outputs(usize::MAX);
        for lying in [
            Blueprint { sources: usize::MAX, ..blueprint.clone() },
            Blueprint { design, ..blueprint.clone() },
        ] {
            assert!(matches!(lying.build(&state), Err(Error::Shape { .. })));
        }
        state.insert("one.too.many", Tensor::zeros(&[1]));
        let message = blueprint.build(&state).err().unwrap().to_string();
        assert!(message.contains("one.too.many"), "{message}");
    }
    Ok(())
}

#[test]
fn sizes_that_make_no_network_are_errors() {
    let narrow = || {
        let (block, stem) = (Block::Basic, Stem::Small);
        ResNet { name: "narrow", block, depths: vec![1, 1, 1], width: 16, stem }
    };
    let of = |network: ResNet| Design::new(network, 1, 10);
    let shapes = [
        of(ResNet { depths: vec![], ..narrow() }),
        of(ResNet { depths: vec![1, 0], ..narrow() }),
        of(ResNet { depths: vec![1; 70], ..narrow() }),
        of(ResNet { width: 0, ..narrow() }),
        of(ResNet { width: usize::MAX, ..narrow() }),
        small().with_outputs(usize::MAX),
        small().with_channels(usize::MAX),
    ];
    for design in shapes {
        let network = Network::<f32>::drawn(&design, 1);
        assert!(matches!(network, Err(Error::Argument { .. })), "{design:?}");
    }
    let prior = Some(vec![f64::NAN, 0.0]);
    let mixing = Mixing { prior, ..Mixing::default() };
    let sources = [source(&small(), 1), source(&small(), 2)];
    assert!(Network::from_sources(&small(), Form::Zoo(mixing), &sources, 1).is_err());
}

#[test]
fn a_step_changes_parameters_in_place() -> Result {
    let form = Form::Lite(Mixing::default());
    let centred = Rule::RmsProp { alpha: 0.9, epsilon: 1e-8, momentum: 0.9, centred: true };
    for rule in [Rule::SGD, Rule::ADAM, Rule::ADAM_W, Rule::RMS_PROP, centred] {
        let mut network = Network::<f32>::new(&small().in_form(form.clone(), 2), Values::drawn(1))?;
        let mut optimizer = Optimizer::new(rule, Groups::uniform(1e-4));
        let addresses = |network: &Network<f32>| -> Vec<_> {
            let parameters = network.parameters();
            let trained = parameters.ids().filter(|&id| parameters.role(id) != Role::Buffer);
            trained.map(|id| parameters.value(id).as_slice().as_ptr()).collect()
        };
        let mut pass = Pass::train(network.parameters());
        let x = pass.input(images(4, &small(), 8).cast());
        let y = network.forward(&mut pass, x)?;
        let loss = ops::cross_entropy(pass.tape(), y, &[0, 1, 2, 3], 0.0)?;
        let step = pass.backward(loss)?;
        let before = addresses(&network);
        optimizer.step(network.parameters_mut(), step, 0.01).unwrap();
        assert_eq!(before, addresses(&network));
        // What is saved of it can be taken up again, but not by another rule.
        let state = optimizer.state(network.parameters());
        optimizer.load(network.parameters(), &state, 1)?;
        let is_adam = |rule| rule == Rule::ADAM || rule == Rule::ADAM_W;
        for other in [Rule::SGD, Rule::ADAM, Rule::RMS_PROP, centred] {
            let is_alike = rule == other || is_adam(rule) && is_adam(other);
            let mut other = Optimizer::new(other, Groups::uniform(1e-4));
            assert_eq!(other.load(network.parameters(), &state, 1).is_ok(), is_alike, "{rule:?}");
        }
        for name in ["fc.bias.7", "nowhere.velocity"] {
            let mut odd = state.clone();
            odd.insert(
                name,
                network.parameters().value(network.parameters().find("fc.bias")?).clone(),
            );
            assert!(optimizer.load(network.parameters(), &odd, 1).is_err(), "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_source_of_another_shape_is_named() -> Result {
    let sources = [source(&small(), 1), source(&Design::named("resnet_small", 3, 10)?, 2)];
    let network = Network::from_sources(&small(), Form::default(), &sources, 1);
    let message = network.err().unwrap().to_string();
    assert!(message.contains("conv1.weight of source 2"), "{message}");
    Ok(())
}

#[test]
fn the_sizes_of_the_standard_networks_are_torchvisions() -> Result {
    let known = [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)];
    for (name, parameters) in known {
        let network = Network::<f32>::drawn(&Design::named(name, 3, 1000)?, 1)?;
        assert_eq!(network.parameters().trained(), parameters, "{name}");
    }
    Ok(())
}
