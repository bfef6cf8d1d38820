use super::*;
use crate::collapse::collapse;
use crate::export::{Layout, write_safetensors};
use crate::nn::{Aligned, AlignedLayers, Blueprint, Design, Form, Mixing, Network, Values};
use crate::ops::GateFunction;
use crate::tensor::State;
use crate::zoo::{Checkpoint, Dtype, fixture};
use proptest::prelude::*;

fn mixing(aligned: Aligned, shortcuts_per_sample: bool) -> Mixing {
    Mixing { function: GateFunction::Sigmoid, aligned, prior: None, shortcuts_per_sample }
}

fn blueprint(form: Form, sources: usize) -> Blueprint {
    Design::named("resnet_small", 1, 3).unwrap().in_form(form, sources)
}

/// A file of ours: every value drawn, the averages too, and texts.
fn file(blueprint: &Blueprint, seed: u64) -> Checkpoint {
    let mut network = Network::<f32>::new(blueprint, Values::drawn(seed)).unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    let parameters = network.parameters_mut();
    for id in parameters.ids() {
        let shape = parameters.value(id).shape().to_vec();
        *parameters.value_mut(id) = Tensor::from_fn(&shape, || 0.1 + rng.f32());
    }
    let state = parameters.state("drawn");
    let tensors: Vec<_> =
        state.tensors.iter().map(|(name, t)| (name.clone(), Data::from(t))).collect();
    let mut metadata = blueprint.to_metadata();
    metadata.insert("class_names".to_owned(), r#"["a","b","c"]"#.to_owned());
    opened(&Renamed { tensors, metadata })
}

/// What a file of these tensors holds.
fn bytes(Renamed { tensors, metadata }: &Renamed) -> Vec<u8> {
    let tensors = tensors.iter().map(|(name, data)| (name.as_str(), data.clone()));
    let mut bytes = Vec::new();
    Layout::new(tensors, metadata).unwrap().write_to(&mut bytes).unwrap();
    bytes
}

fn opened(renamed: &Renamed) -> Checkpoint {
    Checkpoint::open(fixture::file(&bytes(renamed))).unwrap()
}

fn network(checkpoint: &Checkpoint) -> Network<f32> {
    let blueprint = Blueprint::from_metadata("test", checkpoint.metadata()).unwrap();
    blueprint.build(&State::mapped(checkpoint).unwrap()).unwrap()
}

fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    checkpoint.get(name).unwrap().to_vec().unwrap()
}

fn any_aligned() -> impl Strategy<Value = Aligned> {
    let parts = ["conv1", "layer1", "layer2.0.conv2", "layer3"].map(str::to_owned).to_vec();
    let named = prop::sample::subsequence(parts, 1..4).prop_map(AlignedLayers::Named);
    let layers = [AlignedLayers::Usual, AlignedLayers::All, AlignedLayers::None].map(Just);
    let [usual, all, none] = layers;
    (prop_oneof![usual, all, none, named], any::<bool>())
        .prop_map(|(layers, pointwise)| Aligned { layers, pointwise })
}

fn any_form() -> impl Strategy<Value = Form> {
    (any_aligned(), any::<bool>(), any::<bool>()).prop_map(|(aligned, lite, per_sample)| {
        let mixing = mixing(aligned, lite && per_sample);
        if lite { Form::Lite(mixing) } else { Form::Zoo(mixing) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Theirs, ours, theirs: the same file, bit for bit. Ours, theirs, ours: the same, except
    /// that an average has weight 1, and that the counts of batches stay.
    #[test]
    fn there_and_back_is_the_identity(form in any_form(), sources in 1usize..4, seed: u64) {
        let original = file(&blueprint(form.clone(), sources), seed);
        let theirs = to_authors(&original).unwrap();
        let their_file = opened(&theirs);
        let ours = from_authors(&their_file).unwrap();
        let our_file = opened(&ours);
        prop_assert_eq!(bytes(&to_authors(&our_file).unwrap()), bytes(&theirs));

        for view in &original {
            let (name, back) = (view.name(), our_file.get(view.name()).unwrap());
            prop_assert_eq!(back.shape(), view.shape(), "{}", name);
            if !name.contains("gate.average") {
                prop_assert_eq!(back.bytes().unwrap(), view.bytes().unwrap(), "{}", name);
            } else if let Some(layer) = name.strip_suffix(".gate.average.weight") {
                let sum = format!("{layer}.gate.average.sum");
                let weight = view.to_vec::<f32>().unwrap()[0];
                let mean: Vec<_> = values(&original, &sum).iter().map(|s| s / weight).collect();
                prop_assert_eq!(values(&our_file, name), [1.0]);
                prop_assert_eq!(values(&our_file, &sum), mean);
            }
        }
        let counts = our_file.names().filter(|name| name.ends_with("num_batches_tracked"));
        prop_assert_eq!(our_file.len(), original.len() + counts.count());

        // Another rule may say the same of the layers that there are.
        let known = Blueprint::from_metadata("ours", our_file.metadata()).unwrap();
        prop_assert_eq!(known.form.name(), form.name());
        prop_assert_eq!(known.sources, sources);
        prop_assert_eq!(&our_file.metadata()["class_names"], r#"["a","b","c"]"#);
        prop_assert!(!their_file.metadata().contains_key("form"));
    }
}

#[test]
fn names_and_shapes_are_the_authors() {
    let mixing = mixing(Aligned::default(), true);
    let original = file(&blueprint(Form::Lite(mixing), 2), 5);
    let theirs = opened(&to_authors(&original).unwrap());
    let expected: [(&str, &[usize]); 12] = [
        ("f_net.conv1.weight", &[2, 16, 1, 3, 3]),
        ("f_net.conv1.align_conv", &[32, 16, 1, 1]),
        ("f_net.conv1.attention.1.weight", &[1, 1, 1, 1]),
        ("f_net.conv1.attention.3.weight", &[2, 1, 1, 1]),
        ("f_net.conv1.attention.3.bias", &[2]),
        ("f_net.conv1.lite_attention", &[2]),
        ("f_net.bn1.num_batches_tracked", &[]),
        ("f_net.layer2.0.downsample.0.attention.1.weight", &[5, 16, 1, 1]),
        ("f_net.layer3.0.conv2.align_conv", &[128, 64, 1, 1]),
        ("f_net.layer3.0.bn2.running_var", &[64]),
        ("c_net.weight", &[3, 64]),
        ("c_net.bias", &[3]),
    ];
    for (name, shape) in expected {
        assert_eq!(theirs.get(name).unwrap().shape(), shape, "{name}");
    }
    assert_eq!(theirs.get("f_net.bn1.num_batches_tracked").unwrap().dtype(), Dtype::I64);
    for absent in ["f_net.layer2.0.downsample.0.lite_attention", "f_net.layer1.0.conv1.align_conv"]
    {
        assert!(!theirs.contains(absent), "{absent}");
    }
    // Row i O + o is row o of source i.
    let (row, rows) =
        (values(&original, "conv1.alignment"), values(&theirs, "f_net.conv1.align_conv"));
    assert_eq!(row[(16 + 3) * 16..][..16], rows[19 * 16..][..16]);
}

/// The average is divided where it is written, not where it is used: the same bits.
#[test]
fn a_lite_zoo_that_was_there_and_back_collapses_into_the_same_network() {
    let original = file(&blueprint(Form::Lite(mixing(Aligned::everywhere(), false)), 3), 8);
    let theirs = opened(&to_authors(&original).unwrap());
    let back = opened(&from_authors(&theirs).unwrap());
    let [plain, other] = [&original, &back]
        .map(|file| collapse(&network(file)).unwrap().parameters().state("plain"));
    for (name, tensor) in &plain.tensors {
        assert_eq!(tensor.as_slice(), other.get(name).unwrap().as_slice(), "{name}");
    }
}

#[test]
fn an_untrained_average_stays_untrained() {
    let blueprint = blueprint(Form::Lite(mixing(Aligned::nowhere(), false)), 2);
    let network = Network::<f32>::new(&blueprint, Values::drawn(1)).unwrap();
    let state = network.parameters().state("drawn");
    let path = fixture::file(&[]);
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.into()));
    write_safetensors(&path, tensors, &blueprint.to_metadata()).unwrap();
    let theirs = opened(&to_authors(&Checkpoint::open(&path).unwrap()).unwrap());
    assert_eq!(values(&theirs, "f_net.conv1.lite_attention"), [0.0, 0.0]);
    let back = opened(&from_authors(&theirs).unwrap());
    assert_eq!(values(&back, "conv1.gate.average.weight"), [0.0]);
}

#[test]
fn the_backbone_may_stand_without_its_prefix() {
    let original = file(&blueprint(Form::Zoo(mixing(Aligned::default(), false)), 2), 3);
    let mut theirs = to_authors(&original).unwrap();
    let with = bytes(&from_authors(&opened(&theirs)).unwrap());
    for (name, _) in &mut theirs.tensors {
        *name = name.trim_start_matches("f_net.").to_owned();
    }
    assert!(with == bytes(&from_authors(&opened(&theirs)).unwrap()));
}

/// What is said of a zoo of two sources with the authors' names, lite if asked for, after a change.
fn refusal(lite: bool, change: impl FnOnce(&mut Vec<(String, Data<'_>)>)) -> String {
    let mixing = mixing(Aligned::default(), false);
    let form = if lite { Form::Lite(mixing) } else { Form::Zoo(mixing) };
    let original = file(&blueprint(form, 2), 9);
    let mut theirs = to_authors(&original).unwrap();
    change(&mut theirs.tensors);
    from_authors(&opened(&theirs)).map(|_| ()).unwrap_err().to_string()
}

fn reshape(tensors: &mut [(String, Data<'_>)], name: &str, shape: &[usize]) {
    let (_, data) = tensors.iter_mut().find(|(known, _)| known == name).unwrap();
    *data = Data::made(shape, &vec![0.5f32; shape.iter().product()]).unwrap();
}

#[test]
fn layers_that_are_aligned_where_no_rule_says_so_are_named() {
    let original = file(&blueprint(Form::Zoo(mixing(Aligned::default(), false)), 2), 9);
    let mut theirs = to_authors(&original).unwrap();
    theirs.tensors.retain(|(name, _)| name != "f_net.layer3.0.conv2.align_conv");
    let ours = opened(&from_authors(&opened(&theirs)).unwrap());
    let aligned = Blueprint::from_metadata("ours", ours.metadata()).unwrap();
    let layers = ["conv1", "layer3.0.conv1"].map(str::to_owned).to_vec();
    let expected = Aligned { layers: AlignedLayers::Named(layers), pointwise: true };
    assert_eq!(aligned.form.mixing().unwrap().aligned, expected);
}

#[test]
fn what_no_zoo_of_ours_is_like_is_refused_by_name() {
    let without = |name: &'static str| {
        move |tensors: &mut Vec<(String, Data<'_>)>| tensors.retain(|(known, _)| known != name)
    };
    let said = refusal(true, without("f_net.layer1.0.conv2.lite_attention"));
    assert!(said.contains("layer1.0.conv2: has no lite_attention, unlike others"), "{said}");
    let said = refusal(false, without("f_net.layer1.0.conv2.attention.1.weight"));
    assert!(said.contains("no tensor named layer1.0.conv2.gate.reduce.weight"), "{said}");
    let said = refusal(false, without("f_net.layer2.0.bn2.bias"));
    assert!(said.contains("no tensor named layer2.0.bn2.bias"), "{said}");
    let said = refusal(false, without("c_net.bias"));
    assert!(said.contains("no tensor named fc.bias"), "{said}");

    let downsample = "f_net.layer2.0.downsample.0.weight";
    let said = refusal(false, |tensors| reshape(tensors, downsample, &[5, 32, 16, 1, 1]));
    assert!(said.contains("layer2.0.downsample.0: is of 5 sources and conv1 of 2"), "{said}");
    let said = refusal(false, |tensors| {
        reshape(tensors, "f_net.conv1.align_conv", &[16, 32, 1, 1]);
    });
    assert!(said.contains("conv1.align_conv: the authors' code has [m O, O, 1, 1]"), "{said}");
    let said =
        refusal(false, |tensors| reshape(tensors, "f_net.conv1.attention.1.weight", &[1, 1, 1]));
    assert!(
        said.contains("attention.1.weight: the authors' code has [rows, columns, 1, 1]"),
        "{said}"
    );
    let said = refusal(true, |tensors| reshape(tensors, "f_net.conv1.lite_attention", &[1, 2]));
    assert!(said.contains("lite_attention: the authors' code has [m]"), "{said}");
    let said = refusal(false, |tensors| reshape(tensors, "f_net.conv1.weight", &[2, 16, 1, 5, 5]));
    assert!(said.contains("conv1.weight"), "{said}");

    let extra = |name: &'static str| {
        move |tensors: &mut Vec<(String, Data<'_>)>| {
            tensors.push((name.to_owned(), Data::made(&[2, 16], &[0f32; 32]).unwrap()));
        }
    };
    let said = refusal(false, extra("f_net.conv1.bias"));
    assert!(said.contains("has no tensor named conv1.bias"), "{said}");
    let said = refusal(false, extra("f_net.layer4.0.conv1.weight"));
    assert!(said.contains("layer4.0.conv1.weight"), "{said}");
    let said = refusal(false, |tensors| {
        tensors.retain(|(name, _)| !name.contains("layer2") && !name.contains("layer3"));
    });
    assert!(said.contains("are those of none of resnet18"), "{said}");
}

#[test]
fn files_that_are_no_zoo_with_the_authors_names_are_refused() {
    let plain = fixture::checkpoint(&[("conv1.weight", Dtype::F32, &[1], &[0; 4])]);
    let said = from_authors(&plain).map(|_| ()).unwrap_err().to_string();
    assert!(said.ends_with("so this is no zoo with the authors' names"), "{said}");
    let ours = file(&blueprint(Form::Zoo(mixing(Aligned::default(), false)), 2), 3);
    let said = from_authors(&ours).map(|_| ()).unwrap_err().to_string();
    assert!(said.ends_with("the names are ours already"), "{said}");
}

#[test]
fn networks_that_the_authors_code_would_compute_otherwise_are_refused() {
    let softmax = Mixing { function: GateFunction::Softmax, ..mixing(Aligned::default(), false) };
    let said = to_authors(&file(&blueprint(Form::Zoo(softmax), 2), 1)).map(|_| ()).unwrap_err();
    assert!(said.to_string().contains("are softmax"), "{said}");
    let said = to_authors(&file(&blueprint(Form::Plain, 1), 1)).map(|_| ()).unwrap_err();
    assert!(said.to_string().contains("is a plain network"), "{said}");
}
