//! Arguments that say what to look at.

use super::output::{message, printable};
use crate::Error;
use crate::dataset::ResizeMode;
use crate::nn::{Design, Identified};
use crate::train::choice::{CheckName, Preset};
use crate::train::config::DataConfig;
use crate::train::{Data, Input, Model, Purpose, Unreadable};
use crate::zoo::{Axes, Checkpoint, Naming};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};

/// Which network a file holds, and how its tensors are named there.
#[derive(Args)]
pub struct NetworkNames {
    /// The network [default: as the file says, or as its tensors tell]
    #[arg(long = "as", visible_alias = "architecture", value_name = "ARCHITECTURE",
        value_parser = architecture)]
    pub architecture: Option<String>,
    /// Change the names of tensors first: what matches the regular expression FROM becomes TO.
    /// Prefixes such as module. or backbone.body. are found without it
    #[arg(long, value_name = "FROM=TO")]
    pub rename: Vec<String>,
    /// After that, take the tensors whose names begin with this: of a file with two networks, the
    /// one that is meant [default: found; of two, the average or the teacher]
    #[arg(long)]
    pub prefix: Option<String>,
    /// The order of the kernels' axes: [O, C, kh, kw] as in PyTorch, [kh, kw, C, O] as in JAX and
    /// TensorFlow, or this and matrices [C, O], as in Flax and Keras [default: oihw]
    #[arg(long, value_parser = layouts())]
    pub layout: Option<Axes>,
}

/// Reads the name of a set of faces.
fn faces() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(Preset::FACES).try_map(|name| Preset::named(&name))
}

/// Reads the name of an order of axes.
pub fn layouts() -> impl TypedValueParser<Value = Axes> {
    PossibleValuesParser::new(Axes::NAMES).map(|name| Axes::named(&name).unwrap_or_default())
}

/// The name of an architecture that there is.
pub fn architecture(name: &str) -> Result<String, String> {
    match Design::named(name, 1, 1) {
        Ok(design) => Ok(design.name().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl NetworkNames {
    /// Opens a file, its kernels' axes in our order.
    pub fn open(&self, path: &Path) -> crate::Result<Checkpoint> {
        Ok(Checkpoint::open(path)?.with_axes(self.layout.unwrap_or_default()))
    }

    /// The rules for names.
    pub fn rules(&self) -> crate::Result<Naming> {
        Ok(Naming::from_rules(&self.rename)?.behind(self.prefix.as_deref()))
    }
}

/// A network in a file.
#[derive(Args)]
pub struct ModelFile {
    /// The network's file: model.safetensors of a run, or another program's
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    names: NetworkNames,
    #[command(flatten)]
    input: InputOptions,
}

impl ModelFile {
    pub fn path(&self) -> &PathBuf {
        &self.model
    }

    pub fn open(&self) -> crate::Result<Model> {
        open_model(&self.model, &self.names, &self.input)
    }
}

/// How a routed network is used.
#[derive(Args)]
pub struct RouteOptions {
    /// Of a routed network: let the K likeliest sources answer for an image, mixed by how likely they are; a
    /// little more accurate, for the cost of K networks at most
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1024))]
    mix_top: Option<u32>,
}

impl RouteOptions {
    /// The same network, used so.
    pub fn over(&self, mut model: Model) -> crate::Result<Model> {
        if let Some(top) = self.mix_top {
            let mixed = model.network.mix_likeliest(top as usize);
            mixed.map_err(|error| {
                Error::config("--mix-top", format!("{}: {error}", model.origin))
            })?;
        }
        Ok(model)
    }
}

/// The network in a file. What is assumed of its images, because neither the file nor the options say
/// it, is told.
pub fn open_model(path: &Path, names: &NetworkNames, input: &InputOptions) -> crate::Result<Model> {
    let checkpoint = names.open(path)?;
    let is_said = Input::is_in(&checkpoint.declared());
    let beside = Input::file_beside(&checkpoint);
    let mut model = model_of(checkpoint, names)?;
    model.input = input.over(model.input)?;
    if let Some(set) = input.faces {
        model = model.for_faces(set)?;
    }
    if let Some(file) = &beside {
        let (path, file) = (path.display(), file.display());
        message(format!("{path}: what images it expects is said by {file}: {}", model.input));
    }
    if !is_said && beside.is_none() && !input.say_all() {
        message(format!(
            "{} does not say what images it was trained on; assumed: {} (--size, --resize, \
             --resize-mode, --mean, --std)",
            path.display(),
            model.input
        ));
    }
    Ok(model)
}

/// Says which network of a file was taken, if there are several.
pub fn tell_choice(checkpoint: &Checkpoint, identified: &Identified) {
    if let Some(choice) = identified.choice() {
        message(printable(&format!("{}: {choice}", checkpoint.path().display())));
    }
}

/// The network in an open file; of several in it, which one it is is told.
pub fn model_of(checkpoint: Checkpoint, names: &NetworkNames) -> crate::Result<Model> {
    let name = names.architecture.as_deref();
    let model = Model::from_checkpoint(checkpoint, name, &names.rules()?)?;
    if let Some(choice) = &model.choice {
        message(printable(&format!("{}: {choice}", model.origin)));
    }
    Ok(model)
}

/// What a network is shown, where its file does not say it or is wrong.
#[derive(Args)]
#[command(next_help_heading = "What the network sees [default: as its file says]")]
pub struct InputOptions {
    /// Height and width
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Height and width that images are resized to before the middle part is taken
    #[arg(long, value_name = "PIXELS")]
    resize: Option<usize>,
    /// Whether that is the shorter side, and the proportions stay, or both
    #[arg(long, value_parser = PossibleValuesParser::new(ResizeMode::NAMES)
        .map(|name| ResizeMode::named(&name).unwrap_or_default()))]
    resize_mode: Option<ResizeMode>,
    /// Subtracted from values of 0 to 1, for each channel
    #[arg(long, value_name = "X", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation, divided by then, for each channel
    #[arg(long, value_name = "X", value_delimiter = ',')]
    std: Option<Vec<f32>>,
    /// Leave pictures as they are stored, though their EXIF data say which side is up
    #[arg(long)]
    ignore_orientation: bool,
    /// Find the points of these faces, as HRNet-Facial-Landmark-Detection trained its networks
    #[arg(long, value_name = "SET", value_parser = faces())]
    faces: Option<Preset>,
}

impl InputOptions {
    /// Whether nothing is left to be assumed.
    fn say_all(&self) -> bool {
        self.size.is_some() && self.mean.is_some() && self.std.is_some()
    }

    /// What is given over what is said.
    fn over(&self, said: Input) -> crate::Result<Input> {
        let Self { size, resize, resize_mode, ref mean, ref std, ignore_orientation, .. } = *self;
        let (mean, std) = (mean.clone(), std.clone());
        let config = DataConfig {
            size,
            resize,
            resize_mode,
            mean,
            std,
            ignore_orientation,
            ..DataConfig::default()
        };
        config.input(said)
    }
}

/// What is looked at before pictures are used.
#[derive(Args)]
pub struct CheckOptions {
    /// What is looked at of every picture first: its header and end, or every pixel
    #[arg(long, default_value = "headers",
        value_parser = PossibleValuesParser::new(CheckName::NAMES).try_map(|name| CheckName::named(&name)))]
    pub check: CheckName,
    /// Go on without pictures that cannot be read
    #[arg(long)]
    pub skip_unreadable: bool,
}

impl CheckOptions {
    /// The pictures among `files` that can be read, all of which are looked at; those that are left out
    /// are told.
    pub fn readable(&self, files: Vec<PathBuf>) -> crate::Result<Vec<PathBuf>> {
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let found = Unreadable::among(&paths, self.check.check());
        match found.note("IMAGE", self.skip_unreadable)? {
            Some(note) => message(note),
            None => return Ok(files),
        }
        Ok(found.good(&files).cloned().collect())
    }

    /// Labelled images to measure a network on, and its class for each of theirs. A network that does not
    /// know its classes' names takes the data's.
    pub fn labelled(&self, path: &Path, model: &mut Model) -> crate::Result<(Data, Vec<usize>)> {
        let data = Data::open(path, Purpose::Testing, &model.input)?
            .checked(self.check.check(), self.skip_unreadable)?;
        data.notes().iter().for_each(message);
        let numbers = model.class_numbers(data.classes())?;
        if model.classes.is_empty() {
            model.classes = data.classes().to_vec();
        }
        Ok((data, numbers))
    }
}
