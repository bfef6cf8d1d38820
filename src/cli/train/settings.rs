//! The options of `train` that are keys of the configuration, table by table.
//!
//! An option's place is that of its key: each struct is a table, each field a key in it. So they
//! become a layer of the configuration as they are.

use crate::dataset::ResizeMode;
use crate::train::choice::{
    AugmentationName, AutoAugment, CheckName, ClassWeights, CodecName, FormName, GateName,
    HeatMapLoss, Keep, Otherwise, Preset, RuleName, Sampler, ScheduleName, Start, ViewsName,
};
use crate::train::config::TaskConfig;
use crate::train::task::ReinforcementConfig;
use crate::zoo::Axes;
use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser};
use serde::Serialize;
use std::path::PathBuf;

/// The tables of [`Config`](crate::train::Config), what stands above them, and `preset`.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Above all tables of the configuration")]
pub struct Settings {
    /// Settings that belong together; those of several are combined
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Preset::NAMES))]
    preset: Option<Vec<String>>,
    /// Seed of everything that is drawn; the same seed gives the same bits [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    method: Method,
    #[command(flatten)]
    optimizer: Optimizer,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    task: Task,
    #[command(flatten)]
    record: Record,
}

impl Settings {
    /// For an agent in the environment of that name; `by_preset` with the preset that is usual for it,
    /// unless one is named.
    pub fn act_in(&mut self, environment: String, by_preset: bool) -> crate::Result<()> {
        let python = self.task.python.clone();
        let settings =
            ReinforcementConfig { environment, python, ..ReinforcementConfig::default() };
        if self.preset.is_none() && by_preset {
            let preset = settings.usual_preset()?;
            self.preset = Some(vec![preset.name().to_owned()]);
        }
        self.task.name = Some("reinforcement".to_owned());
        self.task.environment = Some(settings.environment);
        Ok(())
    }
}

/// `[method]`
#[derive(Args, Serialize)]
#[command(next_help_heading = "[method]: the sources, and what becomes of them")]
struct Method {
    /// The pretrained networks: checkpoints of one architecture, in any format that inspect
    /// shows, or one zoo.toml that describes them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    zoo: Option<Vec<PathBuf>>,
    /// Go on from this network instead of sources: one of a run, in its form, or another program's.
    /// Its classifier is kept if it knows the same classes
    #[arg(long, value_name = "MODEL", conflicts_with = "zoo")]
    from: Option<PathBuf>,
    /// Change the names of their tensors: what matches the regular expression FROM becomes TO.
    /// Prefixes such as module. or backbone.body. are found without it
    #[arg(long, value_name = "FROM=TO")]
    rename: Option<Vec<String>>,
    /// After that, take the tensors whose names begin with this: of files with two networks, the
    /// one that is meant [default: found; of two, the average or the teacher]
    #[arg(long)]
    prefix: Option<String>,
    /// The order of their kernels' axes: [O, C, kh, kw] as in PyTorch, [kh, kw, C, O] as in JAX and
    /// TensorFlow, or this and matrices [C, O], as in Flax and Keras [default: oihw]
    #[arg(long, value_parser = PossibleValuesParser::new(Axes::NAMES))]
    layout: Option<String>,
    /// What becomes of them: one is tuned, the one that fits best, their mean, a zoo gated per sample
    /// or per batch, one of which each sample takes the source that fits it, or nothing
    /// [default: lite]
    #[arg(long, value_parser = PossibleValuesParser::new(FormName::NAMES))]
    form: Option<String>,
    /// The networks' architecture [default: as their files say, or as their tensors tell]
    #[arg(long, value_parser = super::super::data::architecture)]
    architecture: Option<String>,
    /// Whether the channels of the sources are brought into one order first [default: matched]
    #[arg(long, value_parser = PossibleValuesParser::new(Start::NAMES))]
    start: Option<String>,
    /// Whether gates begin near the source that fits best [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    gate_prior: Option<bool>,
    /// How near: the bias of that source's score [default: 2.5]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    gate_prior_strength: Option<f64>,
    /// What makes weights of a gate's scores [default: softmax]
    #[arg(long, value_parser = PossibleValuesParser::new(GateName::NAMES))]
    gate: Option<String>,
    /// Layers whose kernels are aligned: usual (in a ResNet the stem, stages 3 and 4), all, none,
    /// or names such as conv1,layer3 [default: usual]
    #[arg(long, value_name = "LAYERS")]
    align: Option<String>,
    /// Whether 1x1 kernels are aligned there too [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    align_pointwise: Option<bool>,
    /// Whether shortcuts are gated per sample even in lite, as in the release; such a network
    /// does not collapse [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    shortcuts_per_sample: Option<bool>,
    /// With --form routed, what the zoo becomes where its sources do not complement each other
    /// [default: zoo]
    #[arg(long, value_parser = PossibleValuesParser::new(Otherwise::NAMES))]
    otherwise: Option<String>,
    /// With --form routed, whether samples are only routed where the leave-one-out error falls to two
    /// thirds of the best source's; elsewhere routing harms [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    guard: Option<bool>,
    /// Whether the classifier begins as a ridge classifier of the network's features of the training
    /// images, in closed form, instead of at random: a linear probe first, then tuning [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    linear_probe: Option<bool>,
    /// Keep kernels and batch norms near where they began, by X/2 times the square of their distance
    /// (L2-SP), instead of weight decay
    #[arg(long, value_name = "X")]
    l2_sp: Option<f64>,
    /// Keep the last feature maps near those of the network before its first step, by X/2 times the
    /// square of their distance (DELTA), instead of weight decay
    #[arg(long, value_name = "X")]
    delta: Option<f64>,
    /// Whether channels count there by what a classifier loses without them, or all alike
    /// [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    delta_attention: Option<bool>,
}

/// `[optimizer]`
#[derive(Args, Serialize)]
#[command(next_help_heading = "[optimizer]: how it is trained, and for how long")]
struct Optimizer {
    /// The rule by which gradients change parameters [default: sgd]
    #[arg(long = "optimizer", value_parser = PossibleValuesParser::new(RuleName::NAMES))]
    rule: Option<String>,
    /// The highest learning rate [default: 0.01]
    #[arg(long, value_name = "X", visible_alias = "lr", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Share of the velocity that is kept [default: 0.9 of sgd, 0 of rmsprop]
    #[arg(long, value_name = "X")]
    momentum: Option<f64>,
    /// Whether sgd looks ahead [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    nesterov: Option<bool>,
    /// Shares of the mean and the mean square that adam and adamw keep [default: 0.9,0.999]
    #[arg(long, value_name = "X,X", value_delimiter = ',')]
    betas: Option<Vec<f64>>,
    /// Added to the root of the mean square, by adam, adamw and rmsprop [default: 1e-8]
    #[arg(long, value_name = "X")]
    epsilon: Option<f64>,
    /// Share of the mean square that rmsprop keeps [default: 0.99]
    #[arg(long, value_name = "X")]
    alpha: Option<f64>,
    /// Whether rmsprop takes the square of the gradients' mean off [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    centred: Option<bool>,
    /// Weight decay [default: 0.0005]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Learning rate of kernels and batch norms, as a multiple; 0 freezes them, which saves their
    /// backward pass [default: 1]
    #[arg(long, value_name = "X")]
    backbone_rate: Option<f64>,
    /// The same of the alignment [default: 1]
    #[arg(long, value_name = "X")]
    alignment_rate: Option<f64>,
    /// The same of the gates [default: 1]
    #[arg(long, value_name = "X")]
    gate_rate: Option<f64>,
    /// The same of the classifier [default: 1]
    #[arg(long, value_name = "X")]
    head_rate: Option<f64>,
    /// Weight decay of kernels and batch norms [default: --weight-decay]
    #[arg(long, value_name = "X")]
    backbone_decay: Option<f64>,
    /// The same of the alignment
    #[arg(long, value_name = "X")]
    alignment_decay: Option<f64>,
    /// The same of the gates
    #[arg(long, value_name = "X")]
    gate_decay: Option<f64>,
    /// The same of the classifier
    #[arg(long, value_name = "X")]
    head_decay: Option<f64>,
    /// Layers that stay as they are, by the beginnings of their names, such as conv1,bn1,layer1; their
    /// batch norms still follow the images' statistics
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    freeze: Option<Vec<String>>,
    /// What the learning rate is multiplied with from each block of layers to the one below it
    /// [default: 1]
    #[arg(long, value_name = "X")]
    layer_decay: Option<f64>,
    /// How the learning rate falls [default: cosine]
    #[arg(long, value_parser = PossibleValuesParser::new(ScheduleName::NAMES))]
    schedule: Option<String>,
    /// Steps over which the learning rate first rises [default: 0]
    #[arg(long, value_name = "STEPS")]
    warmup: Option<usize>,
    /// Steps at which schedule step lowers the learning rate
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    milestones: Option<Vec<usize>>,
    /// What it is multiplied with there [default: 0.1]
    #[arg(long, value_name = "X")]
    factor: Option<f64>,
    /// Passes over the training samples [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    epochs: Option<u64>,
    /// Steps, instead of epochs
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// End the run when so many measurements of validation after each other were no better than the
    /// best
    #[arg(long, value_name = "N")]
    patience: Option<u64>,
    /// End the run after this time, such as 30m or 1h 30m; the network is measured and written then
    #[arg(long, value_name = "TIME")]
    time_limit: Option<String>,
    /// Samples of a batch [default: 32]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Batches of a step, which takes the mean of their gradients: as a batch so many times as large,
    /// in the memory of one, but for the batch norms [default: 1]
    #[arg(long, value_name = "N")]
    accumulate: Option<u64>,
    /// Limit the norm of all gradients together; inf only writes it down
    #[arg(long, value_name = "X")]
    clip_norm: Option<f64>,
    /// Keep an average of all parameters, of which so large a share is kept at every step (0.999,
    /// say); it is what is measured and written
    #[arg(long, value_name = "SHARE")]
    average: Option<f64>,
}

/// `[data]`
#[derive(Args, Serialize)]
#[command(next_help_heading = "[data]: the samples, and how the network sees them")]
struct Data {
    /// Labelled images, or for landmarks annotated ones (docs/landmarks.md): a folder with a folder for each class, or with such folders train, val and
    /// test; a .csv or .tsv of files and classes; CIFAR in binary; the digits of UCI as .csv or
    /// .csv.gz, or a folder of MNIST
    #[arg(long = "data", value_name = "PATH")]
    path: Option<PathBuf>,
    /// Further images, to be measured on while training
    #[arg(long, value_name = "PATH")]
    validation_data: Option<PathBuf>,
    /// Further images, to be measured on once, at the end
    #[arg(long, value_name = "PATH")]
    test_data: Option<PathBuf>,
    /// What is looked at of every picture before the first step: its header and end, or every pixel
    /// [default: headers]
    #[arg(long, value_parser = PossibleValuesParser::new(CheckName::NAMES))]
    check: Option<String>,
    /// Whether to go on without pictures that cannot be read [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    skip_unreadable: Option<bool>,
    /// Train on so many images of each class only
    #[arg(long, value_name = "N")]
    shots: Option<usize>,
    /// Share of the training images that are measured on while training, if none are for that
    /// already [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    validation: Option<f64>,
    /// Share of the training images that are measured on once, at the end, if none are for that
    /// already [default: 0]
    #[arg(long, value_name = "SHARE")]
    test: Option<f64>,
    /// Height and width that the network sees [default: that of the sources]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Height and width that images are resized to before the middle part is taken
    #[arg(long, value_name = "PIXELS")]
    resize: Option<usize>,
    /// Whether that is the shorter side, and the proportions stay, or both [default: as the
    /// sources, else short-side]
    #[arg(long, value_parser = PossibleValuesParser::new(ResizeMode::NAMES))]
    resize_mode: Option<String>,
    /// Whether pictures stay as they are stored, though their EXIF data say which side is up
    /// [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    ignore_orientation: Option<bool>,
    /// 1 for grey, 3 for colour [default: as the sources]
    #[arg(long, value_name = "N")]
    channels: Option<usize>,
    /// Subtracted from values of 0 to 1, for each channel [default: as the sources]
    #[arg(long, value_name = "X", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation, divided by then, for each channel [default: as the sources]
    #[arg(long, value_name = "X", value_delimiter = ',')]
    std: Option<Vec<f32>>,
    /// How training images are changed at random: not, moved by up to a sixteenth, or a random
    /// part, mirrored or not [default: shift]
    #[arg(long, value_parser = PossibleValuesParser::new(AugmentationName::NAMES))]
    augmentation: Option<String>,
    /// What is done to training images beside that: nothing; RandAugment, so many operations of colours
    /// and places at random; or TrivialAugment, one of any magnitude [default: none]
    #[arg(long, value_parser = PossibleValuesParser::new(AutoAugment::NAMES))]
    auto_augment: Option<String>,
    /// Operations of randaugment, one after the other [default: 2]
    #[arg(long, value_name = "N")]
    augment_operations: Option<usize>,
    /// How strong each of them is, 0 to 30 [default: 9]
    #[arg(long, value_name = "M")]
    augment_magnitude: Option<usize>,
    /// Share of training images that lose a random part, after all other changes [default: 0]
    #[arg(long, value_name = "SHARE")]
    erasing: Option<f64>,
    /// Which images make an epoch: each once, or as many of all classes alike [default: shuffled]
    #[arg(long, value_parser = PossibleValuesParser::new(Sampler::NAMES))]
    sampler: Option<String>,
    /// How often each image that is tested on is looked at, the mean of the outputs taken: once, also
    /// mirrored, or ten crops [default: one]
    #[arg(long, value_parser = PossibleValuesParser::new(ViewsName::NAMES))]
    views: Option<String>,
}

/// `[task]`
#[derive(Args, Serialize)]
#[command(next_help_heading = "[task]: what is trained for")]
struct Task {
    /// The task [default: classification]
    #[arg(long = "task", value_parser = PossibleValuesParser::new(TaskConfig::NAMES))]
    name: Option<String>,
    /// Share of the target that goes to all classes alike [default: 0]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f64>,
    /// Mix images and labels of each batch, by shares of Beta(X, X); with cutmix too, every batch has
    /// one of them [default: 0]
    #[arg(long, value_name = "X")]
    mixup: Option<f64>,
    /// Put a box of another image into each, and mix labels by its area [default: 0]
    #[arg(long, value_name = "X")]
    cutmix: Option<f64>,
    /// How much each class counts in the loss: as it has images, or all alike [default: none]
    #[arg(long, value_parser = PossibleValuesParser::new(ClassWeights::NAMES))]
    class_weights: Option<String>,
    /// Networks to learn from, beside the labels: the mean of their answers (distillation). They see
    /// and know the same as this one
    #[arg(long, value_name = "MODEL", num_args = 1..)]
    teachers: Option<Vec<PathBuf>>,
    /// The share of the loss that is theirs [default: 0.7]
    #[arg(long, value_name = "SHARE")]
    teacher_share: Option<f64>,
    /// What logits are divided by there, which shows what else they hold likely [default: 2]
    #[arg(long, value_name = "X")]
    temperature: Option<f64>,
    /// Landmarks: how points become heat maps and are found in them: between pixels, or as
    /// HRNet-Facial-Landmark-Detection does [default: subpixel]
    #[arg(long, value_parser = PossibleValuesParser::new(CodecName::NAMES))]
    codec: Option<String>,
    /// Landmarks: standard deviation of a point's Gaussian, in pixels of the heat map [default: 1.5]
    #[arg(long, value_name = "X")]
    sigma: Option<f64>,
    /// Landmarks: what is made small between heat maps: squared errors, or adaptive wing loss, with or
    /// without more weight near points [default: squares]
    #[arg(long, value_parser = PossibleValuesParser::new(HeatMapLoss::NAMES))]
    loss: Option<String>,
    /// Landmarks: what errors are divided by: the distance of two points, by their names or their
    /// numbers from 0, or the larger side of the box [default: box]
    #[arg(long, value_name = "POINT,POINT|box", value_delimiter = ',')]
    normalizer: Option<Vec<String>>,
    /// Landmarks: points that change places in a mirror, by their names or their numbers
    #[arg(long, value_name = "POINT:POINT", value_delimiter = ',', value_parser = pair)]
    flip_pairs: Option<Vec<[String; 2]>>,
    /// Landmarks: share of training pictures that are mirrored [default: 0.5 with flip pairs, else 0]
    #[arg(long, value_name = "SHARE")]
    flip: Option<f64>,
    /// Landmarks: side of what is looked at, in parts of a box's larger side; a picture without a box
    /// is looked at in whole [default: 1.25]
    #[arg(long, value_name = "X")]
    box_factor: Option<f64>,
    /// Landmarks: by what share of it that side changes at random, up and down [default: 0.25]
    #[arg(long, value_name = "SHARE")]
    scale: Option<f64>,
    /// Landmarks: degrees by which training pictures are turned at most [default: 30]
    #[arg(long, value_name = "DEGREES")]
    rotation: Option<f64>,
    /// Landmarks: share of training pictures that are turned [default: 0.6]
    #[arg(long, value_name = "SHARE")]
    rotation_share: Option<f64>,
    /// Landmarks: how far the middle moves at random along each side, in parts of it [default: 0]
    #[arg(long, value_name = "SHARE")]
    shift: Option<f64>,
    /// Landmarks: by what share training pictures become brighter or darker [default: 0]
    #[arg(long, value_name = "SHARE")]
    brightness: Option<f64>,
    /// Landmarks: the same of their contrast [default: 0]
    #[arg(long, value_name = "SHARE")]
    contrast: Option<f64>,
    /// Landmarks: points that are drawn with a line between them [default: as the annotations say]
    #[arg(long, value_name = "POINT:POINT", value_delimiter = ',', value_parser = pair)]
    skeleton: Option<Vec<[String; 2]>>,
    /// Agents: what they act in, such as bricks, bricks:pixels or atari:Alien
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Agents: how often the last action is taken again [default: as usual there]
    #[arg(long, value_name = "SHARE")]
    sticky: Option<f64>,
    /// Agents: steps after which an episode is cut [default: as usual there]
    #[arg(long, value_name = "N")]
    longest: Option<u64>,
    /// Agents: whether a native game becomes harder while an episode lasts [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    ramp: Option<bool>,
    /// Agents: emulated frames of a step on Atari [default: 4]
    #[arg(long, value_name = "N")]
    frame_skip: Option<usize>,
    /// Agents: the most frames of doing nothing before an episode on Atari [default: 30]
    #[arg(long, value_name = "N")]
    no_ops: Option<u64>,
    /// Agents: whether all 18 actions of Atari can be chosen, not only those that the game knows, so that
    /// agents of several games have the same [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    all_actions: Option<bool>,
    /// Agents: the interpreter of Python, for Atari and Gymnasium [default: the environment variable
    /// ZOO_PYTHON, or python3]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Agents: steps in the environment, of the whole training [default: 1000000]
    #[arg(long, value_name = "N")]
    total_steps: Option<u64>,
    /// Agents: steps at random before the first update [default: 5000]
    #[arg(long, value_name = "N")]
    learning_starts: Option<u64>,
    /// Agents: steps between two updates [default: 4]
    #[arg(long, value_name = "N")]
    train_every: Option<u64>,
    /// Agents: steps between two copies to the target network [default: 1000]
    #[arg(long, value_name = "N")]
    target_every: Option<u64>,
    /// Agents: steps that are remembered [default: 100000]
    #[arg(long, value_name = "N")]
    replay: Option<u64>,
    /// Agents: what a reward counts one step later [default: 0.99]
    #[arg(long, value_name = "X")]
    discount: Option<f64>,
    /// Agents: rewards of a transition [default: 1]
    #[arg(long, value_name = "N")]
    n_step: Option<usize>,
    /// Agents: whether the network chooses the action that the target network values [default: on]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    double: Option<bool>,
    /// Agents: whether outputs are a state's value and its actions' advantages [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    dueling: Option<bool>,
    /// Agents: what the noise of the head's weights begins with; 0 for none [default: 0]
    #[arg(long, value_name = "S")]
    noisy: Option<f64>,
    /// Agents: atoms of a distribution of returns (C51); 1 for values [default: 1]
    #[arg(long, value_name = "N")]
    atoms: Option<usize>,
    /// Agents: the least and the largest of them [default: -10,10]
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', allow_hyphen_values = true)]
    returns: Option<Vec<f64>>,
    /// Agents: by which power of its error a transition is drawn; 0 for all alike [default: 0]
    #[arg(long, value_name = "X")]
    prioritized: Option<f64>,
    /// Agents: by which power that is made up for at first; 1 at the end [default: 0.4]
    #[arg(long, value_name = "X")]
    importance: Option<f64>,
    /// Agents: share of random actions at first [default: 1]
    #[arg(long, value_name = "SHARE")]
    epsilon_start: Option<f64>,
    /// Agents: share of random actions in the end [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    epsilon_end: Option<f64>,
    /// Agents: steps over which it falls [default: 100000]
    #[arg(long, value_name = "N")]
    epsilon_steps: Option<u64>,
    /// Agents: whether rewards count as -1, 0 or 1 for learning [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    clip_rewards: Option<bool>,
    /// Agents: whether a lost life ends an episode for learning [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    life_loss: Option<bool>,
    /// Agents: episodes of a measurement while they learn [default: 10]
    #[arg(long, value_name = "N")]
    episodes: Option<usize>,
    /// Agents: episodes of the one at the end [default: 100]
    #[arg(long, value_name = "N")]
    test_episodes: Option<usize>,
    /// Agents: share of random actions in both [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    test_epsilon: Option<f64>,
}

/// Two points with a colon between them.
fn pair(text: &str) -> Result<[String; 2], String> {
    match text.split_once(':') {
        Some((a, b)) => Ok([a, b].map(|name| name.trim().to_owned())),
        None => Err(format!("expected two points such as left_eye:right_eye, found {text:?}")),
    }
}

/// `[record]`
#[derive(Args, Serialize)]
#[command(next_help_heading = "[record]: what is written down")]
struct Record {
    /// Steps between two lines of metrics.jsonl [default: 1]
    #[arg(long, value_name = "STEPS")]
    log_every: Option<u64>,
    /// Steps between two measurements of validation; 0 is once an epoch [default: 0]
    #[arg(long, value_name = "STEPS")]
    validate_every: Option<u64>,
    /// Steps between two checkpoints [default: 100]
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<u64>,
    /// Whether curves for TensorBoard are written, into the folder tensorboard of the run
    /// [default: off]
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on",
        value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    tensorboard: Option<bool>,
    /// Which network is left: the last, the one with the best validation score, or both, the best as
    /// best.safetensors [default: both]
    #[arg(long, value_parser = PossibleValuesParser::new(Keep::NAMES))]
    keep: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Config;
    use clap::Command;

    #[test]
    fn every_key_is_a_flag_and_every_flag_a_key() {
        let command = Settings::augment_args(Command::new("train"));
        let mut flags: Vec<(String, String)> = command
            .get_arguments()
            .filter(|flag| flag.get_id() != "preset") // it names several keys
            .map(|flag| {
                let heading = flag.get_help_heading().unwrap_or_default();
                let table = heading.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let table = table.map_or_else(String::new, |(table, _)| format!("{table}."));
                let long = format!("--{}", flag.get_long().unwrap_or_default());
                (long, format!("{table}{}", flag.get_id()))
            })
            .collect();
        let mut keys = Config::keys();
        keys.retain(|key| key != "threads"); // an option of every command
        let mut expected: Vec<_> = keys.into_iter().map(|key| (Config::flag(&key), key)).collect();
        flags.sort();
        expected.sort();
        assert_eq!(flags, expected);
    }
}
