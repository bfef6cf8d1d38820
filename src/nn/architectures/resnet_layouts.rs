//! The names that other libraries give to the tensors of a residual network.
//!
//! timm and OpenMMLab's parts have torchvision's own; what stands around them is a prefix, which
//! needs no layout. Only the classifier lies elsewhere.

use crate::zoo::Layout;

/// All of them.
pub(super) const LAYOUTS: &[Layout] = &[
    LINEAR,
    DETECTRON2,
    SEQUENTIAL,
    TRANSFORMERS,
    OPENMMLAB,
    PRETRAINEDMODELS,
    MMCV_AVERAGE,
    CAFFE2,
];

/// Why a file of that layout does not hold this network, although it has its tensors.
pub(super) fn caveat(layout: &str) -> Option<&'static str> {
    (layout == CAFFE2.name).then_some(
        "its batch norms have their running statistics within scale and shift, it halves the size \
         in a stage's first 1x1 convolution instead of the 3x3, and it takes images in the order \
         BGR with values up to 255; it would compute something else here",
    )
}

/// Which images networks in that layout expect: of Detectron2, `PIXEL_MEAN` and `PIXEL_STD` of its
/// configuration.
pub(super) fn images(layout: &str) -> &'static [(&'static str, &'static str)] {
    const OF_DETECTRON2: &[(&str, &str)] = &[
        ("input_order", "bgr"),
        ("input_range", "255"),
        ("input_mean", "103.53,116.28,123.675"),
        ("input_std", "1"),
    ];
    if layout == DETECTRON2.name { OF_DETECTRON2 } else { &[] }
}

/// torchvision's names but for the classifier, as many a script has them. It stands before Detectron2, of
/// which only networks with all of its names are: they see other images.
const LINEAR: Layout = Layout { name: "a head called linear", rules: &[(r"^linear\.", "fc.")] };

const DETECTRON2: Layout = Layout {
    name: "Detectron2",
    rules: &[
        (r"^stem\.conv1\.norm\.", "bn1."),
        (r"^stem\.", ""),
        (r"^res2\.", "layer1."),
        (r"^res3\.", "layer2."),
        (r"^res4\.", "layer3."),
        (r"^res5\.", "layer4."),
        (r"\.shortcut\.norm\.", ".downsample.1."),
        (r"\.shortcut\.", ".downsample.0."),
        (r"\.conv1\.norm\.", ".bn1."),
        (r"\.conv2\.norm\.", ".bn2."),
        (r"\.conv3\.norm\.", ".bn3."),
        (r"^linear\.", "fc."),
    ],
};

/// The children of a torchvision ResNet in their order, without the classifier.
const SEQUENTIAL: Layout = Layout {
    name: "torch.nn.Sequential",
    rules: &[
        (r"^0\.", "conv1."),
        (r"^1\.", "bn1."),
        (r"^4\.", "layer1."),
        (r"^5\.", "layer2."),
        (r"^6\.", "layer3."),
        (r"^7\.", "layer4."),
    ],
};

/// Hugging Face's `ResNetForImageClassification`, and without `resnet.` its `ResNetModel`.
const TRANSFORMERS: Layout = Layout {
    name: "transformers",
    rules: &[
        (r"^resnet\.", ""),
        (r"^embedder\.embedder\.convolution\.", "conv1."),
        (r"^embedder\.embedder\.normalization\.", "bn1."),
        (r"^encoder\.stages\.0\.layers\.", "layer1."),
        (r"^encoder\.stages\.1\.layers\.", "layer2."),
        (r"^encoder\.stages\.2\.layers\.", "layer3."),
        (r"^encoder\.stages\.3\.layers\.", "layer4."),
        (r"\.shortcut\.convolution\.", ".downsample.0."),
        (r"\.shortcut\.normalization\.", ".downsample.1."),
        (r"\.layer\.0\.convolution\.", ".conv1."),
        (r"\.layer\.0\.normalization\.", ".bn1."),
        (r"\.layer\.1\.convolution\.", ".conv2."),
        (r"\.layer\.1\.normalization\.", ".bn2."),
        (r"\.layer\.2\.convolution\.", ".conv3."),
        (r"\.layer\.2\.normalization\.", ".bn3."),
        (r"^classifier\.1\.", "fc."),
    ],
};

/// A classifier of MMPretrain or MMSelfSup: the head stands beside the backbone.
const OPENMMLAB: Layout = Layout {
    name: "OpenMMLab",
    rules: &[(r"^backbone\.", ""), (r"^head\.fc\.", "fc."), (r"^head\.fc_cls\.", "fc.")],
};

const PRETRAINEDMODELS: Layout =
    Layout { name: "pretrainedmodels", rules: &[(r"^last_linear\.", "fc.")] };

/// The moving average that a hook of MMCV keeps beside the network, such as
/// `ema_backbone_layer1_0_conv1_weight`.
const MMCV_AVERAGE: Layout = Layout {
    name: "MMCV's average",
    rules: &[
        (r"^layer(\d)_(\d+)_", "layer$1.$2."),
        (r"downsample_(\d)_", "downsample.$1."),
        (r"_(weight|bias|running_mean|running_var)$", ".$1"),
    ],
};

/// Detectron's pickles of ImageNet networks; see [`caveat`]. Where a file has them, `rm` and `riv`
/// are running mean and variance.
const CAFFE2: Layout = Layout {
    name: "Caffe2",
    rules: &[
        (r"^(.+_momentum)$", "its $1"),
        (r"^res_conv1_bn_", "bn1_"),
        (r"^pred_", "fc_"),
        (r"^res2_", "layer1."),
        (r"^res3_", "layer2."),
        (r"^res4_", "layer3."),
        (r"^res5_", "layer4."),
        (r"_branch1_bn_", ".downsample.1_"),
        (r"_branch1_", ".downsample.0_"),
        (r"_branch2a_bn_", ".bn1_"),
        (r"_branch2a_", ".conv1_"),
        (r"_branch2b_bn_", ".bn2_"),
        (r"_branch2b_", ".conv2_"),
        (r"_branch2c_bn_", ".bn3_"),
        (r"_branch2c_", ".conv3_"),
        (r"_[ws]$", ".weight"),
        (r"_b$", ".bias"),
        (r"_rm$", ".running_mean"),
        (r"_riv$", ".running_var"),
    ],
};
