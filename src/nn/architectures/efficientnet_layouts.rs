//! The names that timm gives to the tensors of an EfficientNet-Lite.
//!
//! timm counts blocks within their stages, so that what `blocks.2.0` is depends on how many blocks stand
//! before it: networks of other depths have other rules.
//!
//! They are those of `tf_efficientnet_lite0` and so on, whose values are from TensorFlow and which pads as
//! it does. timm's own `efficientnet_lite0` has the same names and shapes, pads alike on both sides, and
//! adds another epsilon to variances; nothing in a file tells the two apart.

use crate::zoo::Layout;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const TIMM: &str = "timm (tf_efficientnet_lite)";

/// Which images networks in that layout expect: of TensorFlow's, values of -1 to 1.
pub(super) fn images(layout: &str) -> &'static [(&'static str, &'static str)] {
    const OF_TENSORFLOW: &[(&str, &str)] =
        &[("input_mean", "0.5,0.5,0.5"), ("input_std", "0.5,0.5,0.5")];
    if layout == TIMM { OF_TENSORFLOW } else { &[] }
}

type Rules = Vec<(&'static str, &'static str)>;

/// Before the blocks, and of the first stage, which expands nothing.
const FIRST: &[(&str, &str)] = &[
    (r"^conv_stem\.", "_conv_stem."),
    (r"^bn1\.", "_bn0."),
    (r"^conv_head\.", "_conv_head."),
    (r"^bn2\.", "_bn1."),
    (r"^classifier\.", "_fc."),
    (r"^blocks\.0\.(\d+)\.conv_dw\.", "_blocks.$1._depthwise_conv."),
    (r"^blocks\.0\.(\d+)\.bn1\.", "_blocks.$1._bn1."),
    (r"^blocks\.0\.(\d+)\.conv_pw\.", "_blocks.$1._project_conv."),
    (r"^blocks\.0\.(\d+)\.bn2\.", "_blocks.$1._bn2."),
];

/// Within a block of any other stage.
const WITHIN: &[(&str, &str)] = &[
    (r"\.conv_pw\.", "._expand_conv."),
    (r"\.bn1\.", "._bn0."),
    (r"\.conv_dw\.", "._depthwise_conv."),
    (r"\.bn2\.", "._bn1."),
    (r"\.conv_pwl\.", "._project_conv."),
    (r"\.bn3\.", "._bn2."),
];

/// For a network whose stages have so many blocks.
pub(super) fn layouts(blocks: &[usize]) -> &'static [Layout] {
    // A layout is of literals. Networks differ in few numbers of blocks, each of which is made once.
    static MADE: Mutex<BTreeMap<Vec<usize>, &'static [Layout]>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(blocks.to_vec()).or_insert_with(|| {
        let layout = Layout { name: TIMM, rules: Vec::leak(rules(blocks)) };
        Vec::leak(vec![layout])
    })
}

fn rules(blocks: &[usize]) -> Rules {
    let mut rules: Rules = FIRST.to_vec();
    let mut before = blocks.first().copied().unwrap_or(0);
    for (stage, &count) in blocks.iter().enumerate().skip(1) {
        for number in 0..count {
            let from = format!(r"^blocks\.{stage}\.{number}\.");
            let to = format!("_blocks.{}.", before + number);
            rules.push((String::leak(from), String::leak(to)));
        }
        before += count;
    }
    rules.extend(WITHIN);
    rules
}
