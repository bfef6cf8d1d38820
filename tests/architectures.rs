//! One body of tests for every architecture.

use std::collections::HashMap;
use zoo_tuning::collapse::collapse;
use zoo_tuning::export::{write_onnx, write_safetensors};
use zoo_tuning::kernel::Interpolation;
use zoo_tuning::nn::architectures::{
    self, Block, EfficientNetLite, HRNet, HRNetHead, ResNet, Stem,
};
use zoo_tuning::nn::*;
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::{Element, State, Tensor};
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{ops, start};

type Result<T = ()> = zoo_tuning::Result<T>;

/// Values up to which a network is computed with here, so that all of it stays a matter of seconds.
const MOST_VALUES: usize = 6_000_000;
const OUTPUTS: usize = 3;

/// Every architecture at hand.
fn all() -> Vec<Design> {
    let names = architectures::names();
    names.iter().map(|name| Design::named(name, 3, OUTPUTS).unwrap()).collect()
}

/// Networks that are small enough to be computed with: those at hand, and narrow ones of the
/// families whose members are not.
fn computed() -> Vec<Design> {
    let resnet =
        |name, block| ResNet { name, block, depths: vec![1, 2], width: 8, stem: Stem::Imagenet };
    let grouped = Block::Grouped { groups: 4, width: 3 };
    let narrow = [
        resnet("narrow_bottleneck", Block::Bottleneck),
        resnet("narrow_wide", Block::Grouped { groups: 1, width: 16 }),
        resnet("narrow_grouped", grouped),
    ];
    let narrow = narrow.into_iter().map(|network| Design::new(network, 3, OUTPUTS));
    // Named, so that a file of it can be opened.
    let lite = EfficientNetLite { name: "narrow_lite", width: 0.3, depth: 0.5, size: 64 };
    let is_small = |design: &Design| values(design) <= MOST_VALUES;
    let lite = Design::new(lite, 3, OUTPUTS);
    let classes = HRNetHead::Classes { inner: 2, features: 16 };
    let hrnets = [("narrow_pose", HRNetHead::Pose), ("narrow_classes", classes)];
    let hrnets = hrnets.map(|(name, head)| Design::new(hrnet(name, head), 3, OUTPUTS));
    all().into_iter().filter(is_small).chain(narrow).chain([lite]).chain(hrnets).collect()
}

/// A narrow one that enlarges maps as the programs of these heads do.
fn hrnet(name: &str, head: HRNetHead) -> HRNet {
    HRNet {
        name: name.to_owned(),
        stem: 4,
        bottlenecks: 1,
        inner: 2,
        width: 3,
        blocks: 1,
        modules: [1, 2, 1],
        head,
        interpolation: Interpolation::Nearest,
        momentum: 0.1,
        size: 64,
    }
}

fn values(design: &Design) -> usize {
    let tensors = design.tensors().unwrap();
    tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// Height and width of images that are as small as may be without losing what strides do.
fn size(design: &Design) -> usize {
    let usual = design.architecture().usual_sizes()[1];
    if design.name().starts_with("convnet") { usual } else { usual.min(18) }
}

fn images<T: Element>(design: &Design) -> Tensor<T> {
    let side = size(design);
    let shape = [3, design.channels, side, side];
    Tensor::normal(&shape, 1.0, &mut fastrand::Rng::with_seed(4))
}

/// A source whose tensors are drawn, so that nothing is 0 or 1 by its start; scales and variances
/// are positive, and small enough that rectifiers let through what they get.
fn source(design: &Design, seed: u64) -> State<f64> {
    let network = Network::<f64>::drawn(design, seed).unwrap();
    let mut state = network.parameters().state(format!("source {seed}"));
    let mut rng = fastrand::Rng::with_seed(!seed);
    for (name, tensor) in &mut state.tensors {
        if tensor.shape().len() > 1 {
            continue;
        }
        let is_positive = name.ends_with("running_var") || name.ends_with(".weight");
        let lowest = if is_positive { 0.5 } else { -0.5 };
        *tensor = Tensor::from_fn(tensor.shape(), || lowest + rng.f64());
    }
    state
}

fn logits<T: Element>(network: &Network<T>, x: &Tensor<T>, training: bool) -> Result<Tensor<T>> {
    let parameters = network.parameters();
    let mut pass = if training { Pass::train(parameters) } else { Pass::evaluate(parameters) };
    let x = pass.input(x.clone());
    let y = network.forward(&mut pass, x)?;
    pass.value(y).cloned()
}

fn forms() -> [Form; 2] {
    let mixing = Mixing::default();
    [Form::Zoo(mixing.clone()), Form::Lite(mixing)]
}

#[test]
fn a_zoo_of_copies_computes_what_the_one_source_computes() -> Result {
    for design in computed() {
        let copies = vec![source(&design, 1); 2];
        let x = images(&design);
        let plain = Values::sources(&copies[..1], 0).head(Head::Kept);
        let plain = Network::new(&design.plain(), plain)?;
        let expected = [false, true].map(|training| logits(&plain, &x, training).unwrap());
        for form in forms() {
            let zoo = Values::sources(&copies, 7).head(Head::Kept).statistics(Statistics::Mean);
            let zoo = Network::new(&design.in_form(form, copies.len()), zoo)?;
            for (expected, training) in expected.iter().zip([false, true]) {
                let found = logits(&zoo, &x, training)?;
                let difference = expected.relative_difference(&found)?;
                assert!(difference < 1e-5, "{design:?}, training {training}: {difference:e}");
            }
        }
    }
    Ok(())
}

#[test]
fn matching_changes_nothing_that_a_source_computes() -> Result {
    for design in computed() {
        let sources = [source(&design, 1), source(&design, 2)];
        let x = images(&design);
        let matched = start::matched(&design, &sources, 0, &x)?;
        let blueprint = design.plain();
        let before = logits(&blueprint.build(&sources[1])?, &x, false)?;
        let after = logits(&blueprint.build(&matched[1])?, &x, false)?;
        let difference = before.relative_difference(&after)?;
        assert!(difference < 1e-6, "{design:?}: {difference:e}");
        let moved =
            |name: &str| sources[1].tensors[name].as_slice() != matched[1].tensors[name].as_slice();
        let groups = design.channel_groups()?;
        assert!(groups.iter().any(|group| moved(&group.places[0].tensor)), "{design:?}");
    }
    Ok(())
}

#[test]
fn a_lite_network_collapses_after_a_step() -> Result {
    for design in computed() {
        let sources = [source(&design, 1), source(&design, 2)];
        let form = Form::Lite(Mixing::default());
        let mut lite = Network::from_sources(&design, form, &sources, 1)?;
        let x = images(&design);
        let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        let mut pass = Pass::train(lite.parameters());
        let input = pass.input(x.clone());
        let y = lite.forward(&mut pass, input)?;
        // Of maps their means.
        let is_map = pass.value(y)?.shape().len() == 4;
        let y = if is_map { ops::global_mean_pool(pass.tape(), y)? } else { y };
        let loss = ops::cross_entropy(pass.tape(), y, &[0, 1, 2], 0.0)?;
        let step = pass.backward(loss)?;
        optimizer.step(lite.parameters_mut(), step, 1e-3)?;
        let plain = collapse(&lite)?;
        let (expected, found) = (logits(&lite, &x, false)?, logits(&plain, &x, false)?);
        let difference = expected.relative_difference(&found)?;
        assert!(difference < 1e-5, "{design:?}: {difference:e}");
        let names = |network: &Network<f64>| -> Vec<String> {
            let parameters = network.parameters();
            parameters.ids().map(|id| parameters.name(id).to_owned()).collect()
        };
        assert_eq!(names(&plain), names(&Network::drawn(&design, 0)?));
    }
    Ok(())
}

#[test]
fn what_is_written_is_read_again_bit_for_bit() -> Result {
    let folder = tempfile::tempdir().unwrap();
    for design in computed() {
        let network = Network::<f32>::drawn(&design, 3)?;
        let x = images(&design);
        let expected = logits(&network, &x, false)?;
        let metadata = network.blueprint().to_metadata();
        let parameters = network.parameters();
        let tensors = parameters.ids().map(|id| (parameters.name(id), parameters.value(id).into()));
        let [plain, onnx] = ["safetensors", "onnx"].map(|end| folder.path().join(end));
        write_safetensors(&plain, tensors, &metadata)?;
        write_onnx(&onnx, &network, &metadata)?;
        for path in [plain, onnx] {
            let checkpoint = Checkpoint::open(&path)?;
            // What a program has made of the structures here has a name that no file can use.
            if architectures::names().iter().any(|name| name == design.name()) {
                let read = Blueprint::from_metadata("a file", checkpoint.metadata())?;
                assert_eq!(read, design.plain());
            }
            let again = design.plain().build(&State::mapped(&checkpoint)?)?;
            assert_eq!(logits(&again, &x, false)?.as_slice(), expected.as_slice(), "{design:?}");
        }
    }
    Ok(())
}

#[test]
fn what_tracing_finds_fits_the_tensors() -> Result {
    for design in all() {
        let tensors: HashMap<String, Vec<usize>> = design.tensors()?.into_iter().collect();
        let groups = design.channel_groups()?;
        assert!(!groups.is_empty(), "{design:?}");
        for group in &groups {
            assert!(!group.activations.is_empty() && !group.places.is_empty(), "{design:?}");
            for place in &group.places {
                let along = tensors[&place.tensor][place.axis];
                let end = place.first + group.channels * place.columns;
                assert!(end <= along, "{design:?}: {place:?} of {}", group.channels);
            }
        }
        // Every kernel costs something, and each but the head's makes channels of one group.
        let costs = design.costs([size(&design); 2])?;
        let kernels = tensors.values().filter(|shape| shape.len() > 1).count();
        assert_eq!(costs.len(), kernels, "{design:?}");
        assert!(costs.iter().all(|cost| cost.multiply_adds > 0), "{design:?}");
    }
    Ok(())
}

#[test]
fn a_depthwise_convolution_keeps_the_order_of_its_channels() -> Result {
    let design = Design::named("efficientnet_lite0", 3, OUTPUTS)?;
    let groups = design.channel_groups()?;
    let of = |tensor: &str, axis: usize| {
        let has = |group: &&ChannelGroup| {
            group.places.iter().any(|place| place.tensor == tensor && place.axis == axis)
        };
        let group = groups.iter().find(has);
        group.unwrap_or_else(|| panic!("{tensor} is in no group")) as *const ChannelGroup
    };
    for block in 1..16 {
        let [expand, depthwise, project] = ["expand", "depthwise", "project"]
            .map(|part| format!("_blocks.{block}._{part}_conv.weight"));
        assert_eq!(of(&expand, 0), of(&depthwise, 0));
        assert_eq!(of(&depthwise, 0), of(&project, 1));
        assert_ne!(of(&project, 0), of(&project, 1));
    }
    Ok(())
}

#[test]
fn a_branch_keeps_one_order_through_all_modules_and_stages() -> Result {
    let groups = Design::named("hrnet_w18", 3, OUTPUTS)?.channel_groups()?;
    // Two of the stem, those within 4 bottlenecks and that between them, the branches, those within
    // 104 blocks, and 16 between the convolutions that lead down two branches or more.
    assert_eq!(groups.len(), 2 + 8 + 1 + 4 + 104 + 16);
    for (branch, first) in [0, 18, 54, 126].into_iter().enumerate() {
        let has = |group: &ChannelGroup, tensor: &str, axis, first| {
            let mut places = group.places.iter();
            places.any(|place| (&*place.tensor, place.axis, place.first) == (tensor, axis, first))
        };
        let group = groups.iter().find(|group| has(group, "head.0.weight", 1, first)).unwrap();
        assert_eq!(group.channels, 18 << branch);
        let (begun, other) = (branch.max(1) + 1, (branch + 1) % 4);
        let begins = match branch {
            0 => "transition1.0.0.weight".to_owned(),
            _ => format!("transition{branch}.{branch}.0.0.weight"),
        };
        assert!(has(group, &begins, 0, 0), "{begins}");
        for module in [format!("stage{begun}.0"), "stage3.3".to_owned(), "stage4.2".to_owned()] {
            if branch == 3 && module.starts_with("stage3") {
                continue;
            }
            for (part, axis) in [("0.conv1", 1), ("0.conv2", 0), ("3.conv2", 0)] {
                let tensor = format!("{module}.branches.{branch}.{part}.weight");
                assert!(has(group, &tensor, axis, 0), "{tensor}");
            }
        }
        // What it says to another and what it is told, whatever lies between.
        let fused = |place: &&ChannelPlace| place.tensor.starts_with("stage4.2.fuse_layers.");
        let of_last: Vec<_> = group.places.iter().filter(fused).collect();
        for (axis, from, to) in [(1, branch, other), (0, other, branch)] {
            let layer = format!("stage4.2.fuse_layers.{to}.{from}.");
            let is_of =
                |place: &&&ChannelPlace| place.tensor.starts_with(&layer) && place.axis == axis;
            assert!(of_last.iter().any(|place| is_of(&place)), "{layer}");
        }
    }
    Ok(())
}

#[test]
fn multiply_adds_are_those_of_the_literature() -> Result {
    for (name, size, millions) in [
        ("resnet18", 224, 1814.0),
        ("resnet50", 224, 4089.0),
        ("resnext50_32x4d", 224, 4230.0),
        ("wide_resnet50_2", 224, 11_398.0),
        ("efficientnet_lite0", 224, 385.0),
        ("convnet_atari", 84, 9.0),
    ] {
        let channels = if name.starts_with("convnet") { 4 } else { 3 };
        let costs = Design::named(name, channels, 1000)?.costs([size; 2])?;
        let found = costs.iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64 / 1e6;
        assert!((found - millions).abs() < 0.01 * millions.max(100.0), "{name}: {found}");
    }
    Ok(())
}
