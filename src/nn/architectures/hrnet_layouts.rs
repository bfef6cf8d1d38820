//! The names that other libraries give to the tensors of a high-resolution network.
//!
//! Its branches have one and the same names everywhere; what stands around them is a prefix, which
//! needs no layout. Only heads lie elsewhere, and a head that answers something else (`incre_modules`,
//! `decode_head`, `neck`) has names that no layout here leads to a network's own.

use crate::zoo::Layout;

/// Of networks that answer from all branches.
pub(super) const ALL: &[Layout] = &[MMPOSE, SEGMENTATION];

/// Of those that answer from the first alone.
pub(super) const POSE: &[Layout] = &[MMPOSE_POSE];

/// Before its version 1 the head is one list, since then two.
const MMPOSE: Layout = Layout {
    name: "MMPose",
    rules: &[
        (r"^backbone\.", ""),
        (r"^keypoint_head\.final_layer\.", "head."),
        (r"^head\.conv_layers\.", "head."),
        (r"^head\.final_layer\.", "head.3."),
    ],
};

const MMPOSE_POSE: Layout = Layout {
    name: "MMPose",
    rules: &[
        (r"^backbone\.", ""),
        (r"^keypoint_head\.final_layer\.", "final_layer."),
        (r"^head\.final_layer\.", "final_layer."),
    ],
};

/// Classes of pixels instead of landmarks, by the same layers.
const SEGMENTATION: Layout =
    Layout { name: "HRNet-Semantic-Segmentation", rules: &[(r"^last_layer\.", "head.")] };
