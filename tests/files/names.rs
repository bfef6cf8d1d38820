//! Other libraries' names for the same tensors, and networks that are nearly known ones.
//!
//! The lists in `names/` are from timm and transformers; `names/make.py` made them.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;
use zoo_tuning::nn::{Design, Identified, Nearness};
use zoo_tuning::zoo::{Checkpoint, Naming};

pub type Tensors = Vec<(String, Vec<usize>)>;

/// A list of names and shapes.
pub fn list(name: &str) -> Tensors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/names").join(name);
    let text = std::fs::read_to_string(path.with_extension("txt")).unwrap();
    let tensor = |line: &str| {
        let (name, shape) = line.split_once(' ').unwrap();
        let sizes = shape.trim_matches(['[', ']']).split(", ").filter(|size| !size.is_empty());
        (name.to_owned(), sizes.map(|size| size.parse().unwrap()).collect())
    };
    text.lines().map(tensor).collect()
}

pub fn network(name: &str) -> Tensors {
    Design::named(name, 3, 1000).unwrap().tensors().unwrap()
}

pub fn renamed(tensors: Tensors, rename: impl Fn(&str) -> String) -> Tensors {
    tensors.into_iter().map(|(name, shape)| (rename(&name), shape)).collect()
}

/// A file of these tensors, as good as empty on the disk: nobody reads their values.
pub fn file(tensors: &[(String, Vec<usize>)]) -> Checkpoint {
    let (folder, mut end) = (TempDir::new().unwrap(), 0);
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, shape)| {
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            format!(
                r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let path = folder.path().join("file.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    Checkpoint::open(path).unwrap()
}

/// What the file holds, in words, and how many tensors of it are found.
pub fn held(tensors: &[(String, Vec<usize>)]) -> (String, String, usize) {
    let one = Identified::new(&file(tensors), None, &Naming::default()).unwrap();
    let names: HashSet<String> =
        one.network(file(tensors)).unwrap().names().map(str::to_owned).collect();
    assert_eq!(names.len(), one.fit.found);
    (one.design.name().to_owned(), one.naming.to_string(), one.fit.found)
}

fn near(tensors: &[(String, Vec<usize>)]) -> Nearness {
    Identified::or_nearness(&file(tensors), &Naming::default()).unwrap().unwrap_err()
}

fn holds(tensors: &[(String, Vec<usize>)], name: &str, naming: &str) {
    let all = network(name).len();
    assert_eq!(held(tensors), (name.to_owned(), naming.to_owned(), all));
}

#[test]
fn transformers_names_are_known_with_and_without_the_classifier() {
    for name in ["resnet18", "resnet50"] {
        let tensors = list(&format!("transformers_{name}"));
        holds(&tensors, name, "as of transformers");
        // As `ResNetModel` and `ResNetBackbone` are saved.
        let body = tensors.into_iter().filter(|(name, _)| name.starts_with("resnet."));
        let body = renamed(body.collect(), |name| name.replacen("resnet.", "", 1));
        let (held, naming, found) = held(&body);
        assert_eq!((&*held, &*naming), (name, "as of transformers"));
        assert_eq!(found + 2, network(name).len());
    }
}

/// A name of torchvision's as Detectron2's `ResNet` has it.
fn detectron2(name: &str) -> String {
    let stage = |n: usize| (format!("layer{n}."), format!("res{}.", n + 1));
    let mut name = match name {
        name if name.starts_with("bn1.") => name.replacen("bn1.", "stem.conv1.norm.", 1),
        name if name.starts_with("conv1.") => format!("stem.{name}"),
        name => name.replacen("fc.", "linear.", 1),
    };
    for (from, to) in (1..=4).map(stage).chain([
        (".downsample.0.".to_owned(), ".shortcut.".to_owned()),
        (".downsample.1.".to_owned(), ".shortcut.norm.".to_owned()),
        (".bn1.".to_owned(), ".conv1.norm.".to_owned()),
        (".bn2.".to_owned(), ".conv2.norm.".to_owned()),
        (".bn3.".to_owned(), ".conv3.norm.".to_owned()),
    ]) {
        name = name.replace(&from, &to);
    }
    name
}

/// The same of the children of a torchvision ResNet in a `torch.nn.Sequential`.
fn sequential(name: &str) -> String {
    let children = [("conv1.", "0."), ("bn1.", "1."), ("layer1.", "4."), ("layer2.", "5.")];
    let children = children.into_iter().chain([("layer3.", "6."), ("layer4.", "7.")]);
    let mut known = children.filter_map(|(from, to)| Some((to, name.strip_prefix(from)?)));
    known.next().map_or_else(|| name.to_owned(), |(to, rest)| format!("{to}{rest}"))
}

#[test]
fn detectron2_and_sequential_names_are_known() {
    for name in ["resnet18", "resnet50", "resnext50_32x4d"] {
        let tensors = network(name);
        // One name alone makes no Detectron2 of torchvision's, whose images are others.
        let linear = renamed(tensors.clone(), |name| name.replacen("fc.", "linear.", 1));
        holds(&linear, name, "as of a head called linear");
        holds(&renamed(tensors.clone(), detectron2), name, "as of Detectron2");
        let behind = |name: &str| format!("model.backbone.bottom_up.{}", detectron2(name));
        let naming = "behind model.backbone.bottom_up., as of Detectron2";
        holds(&renamed(tensors.clone(), behind), name, naming);
        // Both without a classifier too: a detector has none, and a Sequential flattens before it.
        let body = tensors.into_iter().filter(|(name, _)| !name.starts_with("fc."));
        let body: Tensors = body.collect();
        for (rename, library) in
            [(detectron2 as fn(&str) -> String, "Detectron2"), (sequential, "torch.nn.Sequential")]
        {
            let (held, naming, found) = held(&renamed(body.clone(), rename));
            assert_eq!((&*held, naming), (name, format!("as of {library}")));
            assert_eq!(found, body.len(), "{name}, {library}");
        }
    }
}

#[test]
fn timm_names_are_torchvisions() {
    let tensors = list("timm_resnet18");
    assert_eq!(tensors, network("resnet18"));
    for prefix in ["timm_model.", "_backbone.", "model.backbone.conv_encoder.model."] {
        let wrapped = renamed(tensors.clone(), |name| format!("{prefix}{name}"));
        holds(&wrapped, "resnet18", &format!("behind {prefix}"));
    }
}

/// timm's name of an EfficientNet-Lite's tensor, by its `_gen_efficientnet_lite` and the blocks that it is
/// made of: `ds` in the first stage, `ir` in the others, counted within each stage.
fn timm_lite(name: &str, stages: [usize; 7]) -> String {
    let ends = [("_conv_stem.", "conv_stem."), ("_bn0.", "bn1."), ("_conv_head.", "conv_head.")];
    for (from, to) in ends.into_iter().chain([("_bn1.", "bn2."), ("_fc.", "classifier.")]) {
        if let Some(rest) = name.strip_prefix(from) {
            return format!("{to}{rest}");
        }
    }
    let (block, rest) = name.strip_prefix("_blocks.").unwrap().split_once('.').unwrap();
    let (mut number, mut stage): (usize, usize) = (block.parse().unwrap(), 0);
    while number >= stages[stage] {
        number -= stages[stage];
        stage += 1;
    }
    let ours = ["_expand_conv.", "_bn0.", "_depthwise_conv.", "_bn1.", "_project_conv.", "_bn2."];
    let theirs = match stage {
        0 => ["", "", "conv_dw.", "bn1.", "conv_pw.", "bn2."],
        _ => ["conv_pw.", "bn1.", "conv_dw.", "bn2.", "conv_pwl.", "bn3."],
    };
    let mut parts = ours.into_iter().zip(theirs);
    let (to, rest) = parts.find_map(|(from, to)| Some((to, rest.strip_prefix(from)?))).unwrap();
    format!("blocks.{stage}.{number}.{to}{rest}")
}

#[test]
fn timm_names_of_efficientnets_are_known_whatever_their_depth() {
    for (name, stages) in [
        ("efficientnet_lite0", [1, 2, 2, 3, 3, 4, 1]),
        ("efficientnet_lite1", [1, 3, 3, 4, 4, 5, 1]),
        ("efficientnet_lite2", [1, 3, 3, 4, 4, 5, 1]),
        ("efficientnet_lite3", [1, 3, 3, 5, 5, 6, 1]),
        ("efficientnet_lite4", [1, 4, 4, 6, 6, 8, 1]),
    ] {
        let tensors = renamed(network(name), |name| timm_lite(name, stages));
        assert!(tensors.iter().any(|(name, _)| name == "blocks.0.0.conv_dw.weight"));
        assert!(tensors.iter().any(|(name, _)| name == "blocks.6.0.bn3.running_var"));
        holds(&tensors, name, "as of timm (tf_efficientnet_lite)");
        let behind = renamed(tensors, |name| format!("model.{name}"));
        holds(&behind, name, "behind model., as of timm (tf_efficientnet_lite)");
    }
}

#[test]
fn heads_elsewhere_are_found() {
    for (library, prefix, head) in [
        ("OpenMMLab", "backbone.", "head.fc."),
        ("OpenMMLab", "backbone.", "head.fc_cls."),
        ("pretrainedmodels", "", "last_linear."),
    ] {
        let elsewhere = |name: &str| match name.strip_prefix("fc.") {
            Some(rest) => format!("{head}{rest}"),
            None => format!("{prefix}{name}"),
        };
        holds(&renamed(network("resnet50"), elsewhere), "resnet50", &format!("as of {library}"));
        let inside = |name: &str| format!("model.{}", elsewhere(name));
        let naming = format!("behind model., as of {library}");
        holds(&renamed(network("resnet50"), inside), "resnet50", &naming);
    }
    // Without a classifier it is a prefix as any other.
    let body = network("resnet18").into_iter().filter(|(name, _)| !name.starts_with("fc."));
    let (name, naming, found) = held(&renamed(body.collect(), |name| format!("backbone.{name}")));
    assert_eq!((&*name, &*naming, found), ("resnet18", "behind backbone.", 100));
}

#[test]
fn wrappers_are_left_out_wherever_they_are() {
    for prefix in ["_orig_mod.", "module.", "_forward_module.", "_orig_mod.module.", "m._orig_mod."]
    {
        let wrapped = renamed(network("resnet18"), |name| format!("{prefix}{name}"));
        holds(&wrapped, "resnet18", &format!("behind {prefix}"));
    }
    let blocks = |wrapper: &str, name: &str| match name.split_once(".conv") {
        Some((block, rest)) => format!("{block}.{wrapper}.conv{rest}"),
        None => name.to_owned(),
    };
    for wrapper in ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"] {
        let wrapped = renamed(network("resnet50"), |name| blocks(wrapper, name));
        holds(&wrapped, "resnet50", "without their wrappers");
    }
    let sharded = |name: &str| {
        format!("_fsdp_wrapped_module.{}", blocks("_fsdp_wrapped_module._orig_mod", name))
    };
    let naming = "behind _fsdp_wrapped_module., without their wrappers";
    holds(&renamed(network("resnet50"), sharded), "resnet50", naming);
    let both =
        renamed(list("transformers_resnet18"), |name| name.replace("layers", "layers.module"));
    let both = renamed(both, |name| format!("module.{name}"));
    holds(&both, "resnet18", "behind module., as of transformers, without their wrappers");
}

/// Detectron's name for torchvision's, if it has the tensor.
fn caffe2(name: &str) -> String {
    let mut name = name.replace("fc.", "pred.");
    for (from, to) in [
        ("layer1.", "res2_"),
        ("layer2.", "res3_"),
        ("layer3.", "res4_"),
        ("layer4.", "res5_"),
        (".downsample.0.", "_branch1."),
        (".downsample.1.", "_branch1_bn."),
        (".weight", if name.contains("bn") || name.contains("downsample.1") { "_s" } else { "_w" }),
        (".bias", "_b"),
        (".running_mean", "_rm"),
        (".running_var", "_riv"),
    ] {
        name = name.replace(from, to);
    }
    let name = name.replace(".", "_");
    if name.starts_with("bn1_") {
        return format!("res_conv1_{}", name.replace("bn1", "bn"));
    }
    let mut name = name;
    if name.starts_with("res") {
        for (number, letter) in [('1', 'a'), ('2', 'b'), ('3', 'c')] {
            name = name.replace(&format!("_bn{number}_"), &format!("_branch2{letter}_bn_"));
            name = name.replace(&format!("_conv{number}_"), &format!("_branch2{letter}_"));
        }
    }
    name
}

#[test]
fn caffe2_pickles_are_refused_with_the_reason() {
    assert_eq!(caffe2("layer3.5.bn2.weight"), "res4_5_branch2b_bn_s");
    assert_eq!(caffe2("layer1.0.downsample.0.weight"), "res2_0_branch1_w");
    let whole = renamed(network("resnet50"), caffe2);
    let baked: Tensors = whole.iter().filter(|(name, _)| !name.contains("_r")).cloned().collect();
    assert_eq!((whole.len(), baked.len()), (267, 161));
    for tensors in [whole, renamed(baked, |name| format!("blobs.{name}"))] {
        let nearness = near(&tensors);
        assert!(matches!(nearness, Nearness::Refused { layout: "Caffe2", .. }), "{nearness:?}");
        let text = nearness.to_string();
        assert!(text.contains("a resnet50 of Caffe2") && text.contains("BGR"), "{text}");
        let named = Identified::new(&file(&tensors), Some("resnet50"), &Naming::default());
        let text = named.unwrap_err().to_string();
        assert!(text.contains("running statistics"), "{text}");
    }
}

/// The differences from that architecture.
fn differences(tensors: &[(String, Vec<usize>)], from: &str) -> String {
    let nearness = near(tensors);
    let text = nearness.to_string();
    assert!(text.contains("not supported") && !text.contains("--rename"), "{text}");
    let Nearness::Variant { architecture, differences } = nearness else { panic!("{text}") };
    assert_eq!(architecture, from, "{text}");
    differences.join("\n")
}

#[test]
fn relatives_are_told_with_what_differs() {
    let told = differences(&list("timm_seresnet50"), "resnet50");
    assert!(told.contains("squeeze-and-excitation (layer1.0.se.fc1.weight"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    let told = differences(&list("timm_legacy_seresnet50"), "resnet50");
    assert!(told.contains("squeeze-and-excitation (layer1.0.se_module.fc1.weight"), "{told}");
    assert!(told.contains("layer0.conv1.weight [64, 3, 7, 7] instead of conv1.weight"), "{told}");
    let told = differences(&list("timm_resnet50d"), "resnet50");
    assert!(told.contains("begins with conv1.0.weight [32, 3, 3, 3] instead of conv1"), "{told}");
    assert!(told.contains("layer1.0.downsample"), "{told}");
    let told = differences(&list("timm_resnet50_gn"), "resnet50");
    assert!(told.contains("no running statistics"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn other_depths_and_widths_are_told() {
    // A block less in layer2, and one more in layer3.
    let mut tensors = network("resnet50");
    tensors.retain(|(name, _)| !name.starts_with("layer2.3."));
    let more = tensors.iter().filter(|(name, _)| name.starts_with("layer3.5.")).cloned();
    let more = renamed(more.collect(), |name| name.replace("layer3.5.", "layer3.6."));
    tensors.extend(more);
    let told = differences(&tensors, "resnet50");
    assert_eq!(
        told,
        "it has 3, 3, 7, 3 blocks in layer1, layer2, layer3, layer4 instead of 3, 4, 6, 3"
    );

    // All in half as many channels.
    let narrow = network("resnet18").into_iter().map(|(name, shape)| {
        let is_kept = name.starts_with("fc.");
        let shape = shape.iter().enumerate().map(|(axis, &size)| {
            if axis < 2 && size > 3 && !(is_kept && axis == 0) { size / 2 } else { size }
        });
        (name, shape.collect())
    });
    let told = differences(&narrow.collect::<Tensors>(), "resnet18");
    assert!(told.contains("other widths"), "{told}");

    // As a ResNeXt, with as many groups as none has.
    let grouped = network("resnet50").into_iter().map(|(name, mut shape)| {
        if name.starts_with("layer") && name.ends_with("conv2.weight") {
            shape[1] /= 2;
        }
        (name, shape)
    });
    let told = differences(&grouped.collect::<Tensors>(), "resnet50");
    assert!(told.contains("grouped convolutions (layer1.0.conv2.weight"), "{told}");
}

#[test]
fn the_same_tensors_under_other_names_are_told_with_the_advice_that_helps() {
    let odd = |name: &str| format!("net.{}", name.replace("layer", "stage_").replace("conv", "k"));
    let nearness = near(&renamed(network("resnet50"), odd));
    let Nearness::Renamed { architecture, examples } = &nearness else { panic!("{nearness}") };
    assert_eq!(architecture, "resnet50");
    assert!(examples.contains(&("net.k1.weight".to_owned(), "conv1.weight".to_owned())));
    let text = nearness.to_string();
    assert!(text.contains("--as resnet50") && text.contains("--rename"), "{text}");
}

#[test]
fn of_what_is_far_from_all_the_first_tensors_are_shown() {
    let text = near(&list("timm_vit_tiny_patch16_224")).to_string();
    assert!(text.contains("it looks like a vision transformer"), "{text}");
    assert!(text.contains("first tensors are cls_token [1, 1, 192]"), "{text}");
    assert!(!text.contains("--"), "no advice that cannot help: {text}");
    let text = near(&list("timm_hrnet_w18_small")[..120]).to_string();
    assert!(text.contains("it looks like an HRNet") && !text.contains("--rename"), "{text}");
    let text = near(&[("x".to_owned(), vec![2, 3])]).to_string();
    assert!(text.ends_with("its first tensors are x [2, 3]"), "{text}");
    assert!(near(&[]).to_string().contains("no tensors"));
}

#[test]
fn of_two_networks_in_a_file_the_one_with_most_tensors_is_taken() {
    let behind = |name: &'static str, prefix: &'static str| {
        renamed(network(name), move |name| format!("{prefix}{name}"))
    };
    let (small, large) = (behind("resnet18", "a."), behind("resnet50", "b."));
    for both in [[&small[..], &large].concat(), [&large[..], &small].concat()] {
        assert_eq!(held(&both).0, "resnet50");
        assert_eq!(held(&both).1, "behind b.");
    }
}

/// The networks of these prefixes in one file.
fn together(prefixes: &[&str]) -> Checkpoint {
    let behind = |prefix: &&str| renamed(network("resnet18"), |name| format!("{prefix}{name}"));
    file(&prefixes.iter().flat_map(behind).collect::<Tensors>())
}

#[test]
fn of_two_networks_in_a_file_it_is_said_which_is_taken_and_where_the_other_is() {
    for [taken, other] in [
        ["model_ema.", "model."],
        ["teacher.backbone.", "student.backbone."],
        ["online_encoder.net.", "target_encoder.net."],
        ["state_dict.module.encoder_q.", "state_dict.module.encoder_k."],
    ] {
        for prefixes in [[taken, other], [other, taken]] {
            let one = Identified::new(&together(&prefixes), None, &Naming::default()).unwrap();
            assert_eq!((one.naming.prefix(), &one.elsewhere[..]), (taken, &[other.to_owned()][..]));
            let choice = one.choice().unwrap();
            assert!(choice.contains(&format!("behind {taken};")), "{choice}");
            assert!(choice.contains(&format!("--prefix {other} takes")), "{choice}");
        }
    }
    let alone = Identified::new(&together(&["model."]), None, &Naming::default()).unwrap();
    assert_eq!(alone.choice(), None);
}

#[test]
fn a_prefix_or_a_rule_that_asks_for_the_other_network_wins() {
    let twins = together(&["model.", "model_ema."]);
    let rules = Naming::from_rules(&[r"^model\.="]).unwrap();
    for name in [None, Some("resnet18")] {
        let one = Identified::new(&twins, name, &rules).unwrap();
        assert_eq!((one.naming.prefix(), one.fit.found), ("", 102));
        assert_eq!(one.elsewhere, ["model_ema."]);
        let taken = one.network(twins.clone()).unwrap();
        let first = taken.get("conv1.weight").unwrap().bytes().unwrap().as_ptr();
        let model = twins.get("model.conv1.weight").unwrap().bytes().unwrap().as_ptr();
        assert_eq!(first, model);
        for prefix in ["model", "model."] {
            let asked = Naming::default().behind(prefix);
            let one = Identified::new(&twins, name, &asked).unwrap();
            assert_eq!((one.naming.prefix(), one.choice()), ("model.", None));
        }
        let error = Identified::new(&twins, name, &Naming::default().behind("net")).unwrap_err();
        assert!(error.to_string().contains(r#"begins with the prefix "net.""#), "{error}");
    }
    // A rule for one block asks for no other network than the one that the block is in.
    let odd = |name: &str| format!("net.{}", name.replace("layer1.0.bn1", "layer1.0.norm1"));
    let rules = Naming::from_rules(&[r"layer1\.0\.norm1=layer1.0.bn1"]).unwrap();
    let one = Identified::new(&file(&renamed(network("resnet18"), odd)), None, &rules).unwrap();
    assert_eq!((one.naming.prefix(), one.fit.found), ("net.", 102));
}

#[test]
fn an_average_of_mmcv_beside_the_backbone_is_told_and_taken_if_asked() {
    let average = |name: &str| format!("ema_backbone_{}", name.replace('.', "_"));
    let mut both = renamed(network("resnet18"), |name| format!("backbone.{name}"));
    both.extend(renamed(network("resnet18"), average));
    let both = file(&both);
    let one = Identified::new(&both, None, &Naming::default()).unwrap();
    assert_eq!(one.naming.prefix(), "backbone.");
    assert_eq!(one.elsewhere, ["ema_backbone_"]);
    let asked = Naming::default().behind("ema_backbone_");
    let one = Identified::new(&both, None, &asked).unwrap();
    assert_eq!(one.naming.to_string(), "behind ema_backbone_, as of MMCV's average");
    assert_eq!((one.fit.found, one.network(both).unwrap().len()), (102, 102));
}
