//! High-resolution networks as their authors, timm and OpenMMLab save them: the branches have the same
//! names in all of them, the heads have not.

use super::names::{Tensors, file, held, list, network, renamed};
use zoo_tuning::nn::{Identified, identified_zoo};
use zoo_tuning::zoo::{Checkpoint, Naming};

/// The tensors of the network, its head under other names, all behind prefixes.
fn saved(name: &str, backbone: &str, head: impl Fn(&str) -> String) -> Tensors {
    let own = if name.ends_with("_pose") { "final_layer." } else { "head." };
    renamed(network(name), |name| match name.strip_prefix(own) {
        Some(rest) => head(rest),
        None => format!("{backbone}{name}"),
    })
}

/// The network without its head, and what another program has there.
fn beside(name: &str, backbone: &str, others: &[(&str, &[usize])]) -> Tensors {
    let mut tensors = saved(name, backbone, |_| "gone".to_owned());
    tensors.retain(|(name, _)| name != "gone");
    tensors.extend(others.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())));
    tensors
}

/// Names and layout of a file that holds all of the network, its head too.
fn whole(tensors: &Tensors, name: &str) -> String {
    let (found, naming, count) = held(tensors);
    assert_eq!((&*found, count), (name, network(name).len()), "{naming}");
    naming
}

/// Of a file that holds the network but for its head: the names, and what is left out.
fn headless(tensors: &Tensors, name: &str, asked: Option<&str>) -> (String, Vec<String>) {
    let one = Identified::new(&file(tensors), asked, &Naming::default()).unwrap();
    assert_eq!(one.design.name(), name);
    let head = network(name).iter().filter(|(name, _)| name.starts_with("head.")).count();
    assert_eq!(one.fit.missing.len(), head);
    assert_eq!(one.fit.found + head, network(name).len());
    let part = |name: &String| {
        let name = name.strip_prefix("state_dict.").unwrap_or(name);
        name.split('.').next().unwrap().to_owned()
    };
    let mut parts: Vec<String> = one.fit.unexpected.iter().map(part).collect();
    parts.dedup();
    (one.naming.to_string(), parts)
}

/// What stands behind the branches of a classifier.
const CLASSIFIER: [&str; 4] = ["incre_modules", "downsamp_modules", "final_layer", "classifier"];

#[test]
fn landmark_networks_of_the_authors_open_with_their_head() {
    for prefix in ["", "module.", "model.", "state_dict.", "state_dict.module."] {
        let head = |rest: &str| format!("{prefix}head.{rest}");
        for name in ["hrnet_w18", "hrnet_w18_small_v1", "hrnet_w18_small_v2", "hrnet_w48"] {
            let naming = whole(&saved(name, prefix, head), name);
            assert_eq!(naming == "as they are", prefix.is_empty(), "{naming}");
        }
    }
}

#[test]
fn of_a_classifier_a_landmark_network_takes_the_branches_if_asked() {
    for prefix in ["", "state_dict."] {
        let tensors = renamed(network("hrnet_w18_c"), |name| format!("{prefix}{name}"));
        whole(&tensors, "hrnet_w18_c");
        let (_, parts) = headless(&tensors, "hrnet_w18", Some("hrnet_w18"));
        assert_eq!(parts, CLASSIFIER);
    }
    // Of widths that there is no classifier of here, without being asked.
    let mut wide = beside("hrnet_w32", "", &[]);
    let is_of_head = |name: &str| CLASSIFIER.iter().any(|part| name.starts_with(part));
    let head = network("hrnet_w18_c").into_iter().filter(|(name, _)| is_of_head(name));
    wide.extend(head);
    let (naming, parts) = headless(&wide, "hrnet_w32", None);
    assert_eq!(naming, "as they are");
    assert_eq!(parts, CLASSIFIER);
}

#[test]
fn timms_small_networks_are_those_of_the_authors() {
    let (naming, parts) = headless(&list("timm_hrnet_w18_small"), "hrnet_w18_small_v1", None);
    assert_eq!(naming, "as they are");
    assert_eq!(parts, CLASSIFIER);
}

#[test]
fn pose_networks_are_their_own_since_one_branch_answers() {
    for (prefix, head, layout) in [
        ("", "final_layer.", None),
        ("state_dict.backbone.", "state_dict.keypoint_head.final_layer.", Some("MMPose")),
        ("state_dict.backbone.", "state_dict.head.final_layer.", Some("MMPose")),
    ] {
        for name in ["hrnet_w32_pose", "hrnet_w48_pose"] {
            let tensors = saved(name, prefix, |rest| format!("{head}{rest}"));
            let naming = whole(&tensors, name);
            assert_eq!(naming.contains("MMPose"), layout.is_some(), "{naming}");
        }
    }
    let tensors = saved("hrnet_w32_pose", "", |rest| format!("final_layer.{rest}"));
    let error = Identified::new(&file(&tensors), Some("hrnet_w32"), &Naming::default());
    let text = error.unwrap_err().to_string();
    assert!(text.contains("stage4.2.fuse_layers.1.0.0.0.weight"), "{text}");
    assert!(text.contains("it holds a hrnet_w32_pose"), "{text}");
}

#[test]
fn mmpose_has_the_head_elsewhere() {
    let old = |rest: &str| format!("state_dict.keypoint_head.final_layer.{rest}");
    let new = |rest: &str| match rest.strip_prefix("3.") {
        Some(rest) => format!("state_dict.head.final_layer.{rest}"),
        None => format!("state_dict.head.conv_layers.{rest}"),
    };
    for head in [&old as &dyn Fn(&str) -> String, &new] {
        let naming = whole(&saved("hrnet_w18", "state_dict.backbone.", head), "hrnet_w18");
        assert_eq!(naming, "behind state_dict., as of MMPose");
    }
}

#[test]
fn segmentation_has_the_same_head_under_another_name() {
    for prefix in ["", "model.", "module.model."] {
        let head = |rest: &str| format!("{prefix}last_layer.{rest}");
        let naming = whole(&saved("hrnet_w48", prefix, head), "hrnet_w48");
        assert!(naming.ends_with("as of HRNet-Semantic-Segmentation"), "{naming}");
    }
}

#[test]
fn heads_of_segmenters_and_detectors_are_left_out() {
    let segmenter: &[(&str, &[usize])] = &[
        ("state_dict.decode_head.conv_seg.weight", &[19, 270, 1, 1]),
        ("state_dict.decode_head.conv_seg.bias", &[19]),
        ("state_dict.decode_head.convs.0.conv.weight", &[270, 270, 1, 1]),
        ("state_dict.decode_head.convs.0.bn.weight", &[270]),
        ("state_dict.auxiliary_head.conv_seg.weight", &[19, 270, 1, 1]),
    ];
    let detector: &[(&str, &[usize])] = &[
        ("state_dict.neck.reduction_conv.conv.weight", &[256, 270, 1, 1]),
        ("state_dict.neck.fpn_convs.0.conv.weight", &[256, 256, 3, 3]),
        ("state_dict.rpn_head.rpn_conv.weight", &[256, 256, 3, 3]),
        ("state_dict.roi_head.bbox_head.fc_cls.weight", &[81, 1024]),
    ];
    for (others, expected) in [
        (segmenter, &["decode_head", "auxiliary_head"][..]),
        (detector, &["neck", "rpn_head", "roi_head"]),
    ] {
        let tensors = beside("hrnet_w18", "state_dict.backbone.", others);
        let (naming, parts) = headless(&tensors, "hrnet_w18", None);
        assert_eq!(naming, "behind state_dict.backbone.");
        assert_eq!(parts, expected);
    }
}

#[test]
fn networks_of_different_heads_form_a_zoo_of_what_all_of_them_hold() {
    let classifier = network("hrnet_w18_c");
    let landmarks = saved("hrnet_w18", "", |rest| format!("head.{rest}"));
    let of = |tensors: &Tensors| -> (Checkpoint, Naming) { (file(tensors), Naming::default()) };
    for both in [[&classifier, &landmarks], [&landmarks, &classifier]] {
        let (zoo, identified) = identified_zoo(both.map(of).into(), None).unwrap();
        let names: Vec<_> = identified.iter().map(|one| one.design.name()).collect();
        assert_eq!(names, ["hrnet_w18"; 2]);
        let head = landmarks.iter().filter(|(name, _)| name.starts_with("head.")).count();
        assert_eq!(zoo.names().count() + head, landmarks.len());
    }
    let pose = saved("hrnet_w32_pose", "", |rest| format!("final_layer.{rest}"));
    let error = identified_zoo([&landmarks, &pose].map(of).into(), None).unwrap_err();
    assert!(error.to_string().contains("a hrnet_w32_pose, but"), "{error}");
}
