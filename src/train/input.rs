//! What a network expects its images to be.

use super::hub;
use crate::dataset::{Channels, IMAGENET_MEAN, IMAGENET_STD, Reading, ResizeMode, Transform};
use crate::nn::{Design, Identified};
use crate::zoo::Checkpoint;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The images that a network was trained on, so that it is shown the same later.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Height and width that images are resized to, or their shorter side.
    pub resize: usize,
    /// Which of the two.
    pub resize_mode: ResizeMode,
    /// Height and width of the middle part that the network sees; `resize` for all of it.
    pub size: usize,
    /// Subtracted from values 0 to 1, for each channel.
    pub mean: Vec<f32>,
    /// The standard deviation, divided by then, for each channel.
    pub std: Vec<f32>,
    /// Whether pictures stay as they are stored, though their EXIF data say which side is up.
    pub ignore_orientation: bool,
}

/// `224x224 of 256 pixels (short-side), mean 0.485 0.456 0.406, std 0.229 0.224 0.225`
impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resize, resize_mode, size, .. } = self;
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
        write!(
            f,
            "{size}x{size} of {resize} pixels ({}), mean {}, std {}",
            resize_mode.name(),
            list(&self.mean),
            list(&self.std)
        )
    }
}

impl Input {
    /// What the metadata of older files call `input_std`.
    pub(super) const OLDER_STD: &str = "input_deviation";

    const MODE: &str = "input_resize_mode";
    const UNTURNED: &str = "input_ignore_orientation";

    /// The order of channels that the file's mean and standard deviation are in, and its network
    /// expects: `rgb` or `bgr`.
    const ORDER: &str = "input_order";

    /// What white is in the file's units of mean and standard deviation: 1, or 255.
    const RANGE: &str = "input_range";

    /// The largest height and width.
    pub const LARGEST: usize = 4096;

    /// The most channels, as of frames of a game that are stacked.
    const MOST_CHANNELS: usize = 1024;

    /// What a network of that design usually expects: images of its architecture's usual sizes,
    /// coloured ones with ImageNet's normalisation, grey ones normalised to -1 to 1, by the short
    /// side, as torchvision, timm and the authors of EfficientNet do. What has other channels is no
    /// picture, and is seen as it is.
    pub fn usual(design: &Design) -> Self {
        let [resize, size] = design.architecture().usual_sizes();
        let channels = design.channels;
        let (mean, std) = match channels {
            3 => (IMAGENET_MEAN.to_vec(), IMAGENET_STD.to_vec()),
            1 => (vec![0.5], vec![0.5]),
            _ => (vec![0.0; channels], vec![1.0; channels]),
        };
        let resize_mode = ResizeMode::ShortSide;
        Self { channels, resize, resize_mode, size, mean, std, ignore_orientation: false }
    }

    /// Checks all values.
    ///
    /// # Errors
    /// If one cannot be used; `origin` goes into the message.
    pub fn check(&self, origin: &str) -> Result<()> {
        let refuse = |key: &str, problem: String| {
            let key = if origin.is_empty() { key.to_owned() } else { format!("{origin}: {key}") };
            Err(Error::config(key, problem))
        };
        let Self { channels, resize, size, mean, std, .. } = self;
        if !(1..=Self::MOST_CHANNELS).contains(channels) {
            let most = Self::MOST_CHANNELS;
            return refuse("channels", format!("images have 1 to {most} channels, not {channels}"));
        }
        if !(1..=Self::LARGEST).contains(resize) || !(1..=*resize).contains(size) {
            let largest = Self::LARGEST;
            let problem = format!(
                "{size} out of {resize} pixels; images have 1 to {largest}, and a part is no larger"
            );
            return refuse("size", problem);
        }
        for (key, values) in [("mean", mean), ("std", std)] {
            let usable = |v: &f32| v.is_finite() && (key == "mean" || *v > 0.0);
            if values.len() != *channels || !values.iter().all(usable) {
                let positive = if key == "mean" { "" } else { " above 0" };
                let problem = format!(
                    "{values:?} should be a number{positive} for each of {channels} channels"
                );
                return refuse(key, problem);
            }
        }
        Ok(())
    }

    /// From an image of any size to what the network sees.
    pub fn transforms(&self) -> Vec<Transform> {
        let Self { resize, resize_mode, size, .. } = *self;
        vec![Transform::Fit { mode: resize_mode, resize, size: Some(size) }, self.normalise()]
    }

    /// How its pictures are read.
    ///
    /// # Errors
    /// If it sees no pictures, which are grey or coloured.
    pub fn reading(&self) -> Result<Reading> {
        let channels = match self.channels {
            1 => Channels::Grey,
            3 => Channels::Rgb,
            other => {
                let problem = format!(
                    "a picture has 1 or 3 channels, and the network sees {other}, as of a game"
                );
                return Err(Error::config("channels", problem));
            }
        };
        Ok(Reading { channels, ignore_orientation: self.ignore_orientation })
    }

    /// The last of the transforms.
    pub fn normalise(&self) -> Transform {
        Transform::Normalise { mean: self.mean.clone(), std: self.std.clone() }
    }

    /// How many images to evaluate at once: `wanted`, or fewer if they are large, so that what a
    /// file says of its images cannot ask for unbounded memory.
    pub fn batch(&self, wanted: usize) -> usize {
        const PIXELS: usize = 1 << 24;
        (PIXELS / (self.size * self.size).max(1)).clamp(1, wanted.max(1))
    }

    /// How many images a run evaluates at once: 64, or fewer if they are large, since a step of
    /// training should be what takes most memory, not what looks at its network.
    pub(super) fn evaluation_batch(&self) -> usize {
        const MOST: usize = 64;
        // Those of 32 images as ImageNet's networks see them.
        const PIXELS: usize = 32 * 224 * 224;
        (PIXELS / (self.size * self.size).max(1)).clamp(1, MOST)
    }

    /// As strings for the metadata of a checkpoint.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        [
            ("input_size", self.size.to_string()),
            ("input_resize", self.resize.to_string()),
            (Self::MODE, self.resize_mode.name().to_owned()),
            (Self::UNTURNED, self.ignore_orientation.to_string()),
            ("input_mean", list(&self.mean)),
            ("input_std", list(&self.std)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// Whether metadata say anything of images.
    pub fn is_in(metadata: &BTreeMap<String, String>) -> bool {
        let sizes = ["input_size", "input_resize"];
        sizes.iter().any(|key| metadata.contains_key(*key)) || Self::is_normalised(metadata)
    }

    /// Whether metadata say anything of values.
    pub(super) fn is_normalised(metadata: &BTreeMap<String, String>) -> bool {
        ["input_mean", "input_std", Self::OLDER_STD, Self::ORDER, Self::RANGE]
            .iter()
            .any(|key| metadata.contains_key(*key))
    }

    /// The keys that tell what a file's numbers mean. What is written here has the usual meaning,
    /// and none of them.
    pub(super) const UNITS: [&str; 2] = [Self::ORDER, Self::RANGE];

    /// The file beside a checkpoint that says what images it expects, as hubs of models lay it there, if
    /// the checkpoint itself says nothing of them.
    pub fn file_beside(checkpoint: &Checkpoint) -> Option<PathBuf> {
        let is_silent = !Self::is_in(&checkpoint.declared());
        is_silent.then(|| hub::beside(checkpoint.path())).flatten().map(|(file, _)| file)
    }

    /// What a file says of its tensors and images; where nothing of images, what a file beside it
    /// says, or what networks of its names usually expect.
    pub fn said_by(checkpoint: &Checkpoint, network: &Identified) -> BTreeMap<String, String> {
        let mut said = checkpoint.declared();
        if !Self::is_in(&said)
            && let Some((_, beside)) = hub::beside(checkpoint.path())
        {
            said.extend(beside);
        }
        // Other libraries have taken over weights of torchvision's, which are for usual images.
        let is_torchvisions =
            checkpoint.metadata().get("__author__").is_some_and(|author| author == "torchvision");
        if !Self::is_in(&said) && !is_torchvisions {
            let usual = network.images().iter();
            said.extend(usual.map(|&(key, value)| (key.to_owned(), value.to_owned())));
        }
        said
    }

    /// Whether metadata say that the network expects blue first. What [`Input::from_metadata`]
    /// reads has red first all the same.
    ///
    /// # Errors
    /// If the order has no meaning.
    pub(super) fn is_reversed(origin: &str, metadata: &BTreeMap<String, String>) -> Result<bool> {
        match metadata.get(Self::ORDER).map(|text| text.trim().to_lowercase()).as_deref() {
            None | Some("rgb") => Ok(false),
            Some("bgr") => Ok(true),
            Some(other) => {
                let problem = format!("{other:?} should be rgb or bgr");
                Err(Error::config(format!("{origin}: {}", Self::ORDER), problem))
            }
        }
    }

    /// Reads what [`Input::to_metadata`] wrote; what is missing is as [`Input::usual`]. Other files
    /// may say that mean and standard deviation are of channels in the order `bgr` (`input_order`),
    /// or of values up to 255 (`input_range`).
    ///
    /// # Errors
    /// If a value has no meaning.
    pub fn from_metadata(
        origin: &str,
        metadata: &BTreeMap<String, String>,
        design: &Design,
    ) -> Result<Self> {
        fn parsed<V: std::str::FromStr>(origin: &str, key: &str, text: &str) -> Result<V> {
            text.trim().parse().map_err(|_| {
                Error::config(format!("{origin}: {key}"), format!("{text:?} has no meaning here"))
            })
        }
        let mut input = Self::usual(design);
        if let Some(text) = metadata.get("input_size") {
            input.size = parsed(origin, "input_size", text)?;
            input.resize = input.size;
            // What was written here before there was a choice.
            input.resize_mode = ResizeMode::Squash;
        }
        if let Some(text) = metadata.get(Self::MODE) {
            input.resize_mode = ResizeMode::named(text).ok_or_else(|| {
                let known = ResizeMode::NAMES.join(" or ");
                let problem = format!("{text:?} should be {known}");
                Error::config(format!("{origin}: {}", Self::MODE), problem)
            })?;
        }
        if let Some(text) = metadata.get(Self::UNTURNED) {
            input.ignore_orientation = parsed(origin, Self::UNTURNED, text)?;
        }
        if let Some(text) = metadata.get("input_resize") {
            input.resize = parsed(origin, "input_resize", text)?;
        }
        for (keys, values) in [
            (&["input_mean"][..], &mut input.mean),
            (&["input_std", Self::OLDER_STD], &mut input.std),
        ] {
            let mut known = keys.iter().filter_map(|&key| Some((key, metadata.get(key)?)));
            let Some((key, text)) = known.next() else { continue };
            *values = text.split(',').map(|v| parsed(origin, key, v)).collect::<Result<_>>()?;
            // One number stands for all channels.
            if let ([value], 3) = (&values[..], input.channels) {
                *values = vec![*value; 3];
            }
            if Self::is_reversed(origin, metadata)? {
                values.reverse();
            }
            if let Some(text) = metadata.get(Self::RANGE) {
                let range: f32 = parsed(origin, Self::RANGE, text)?;
                if !(range.is_finite() && range >= 1.0) {
                    let problem = format!("{range} should be 1 or more, such as 255");
                    return Err(Error::config(format!("{origin}: {}", Self::RANGE), problem));
                }
                values.iter_mut().for_each(|value| *value /= range);
            }
        }
        input.check(origin)?;
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(channels: usize, pairs: &[(&str, &str)]) -> Result<Input> {
        let metadata = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Input::from_metadata("a", &metadata, &Design::named("resnet_small", channels, 10)?)
    }

    #[test]
    fn what_is_written_is_read() {
        let input = read(3, &[("input_size", "24"), ("input_resize", "32"), ("input_mean", "0.1")]);
        let input = input.unwrap();
        assert_eq!((input.size, input.resize, &input.mean[..]), (24, 32, &[0.1; 3][..]));
        assert_eq!(input.std, IMAGENET_STD);
        let design = Design::named("resnet_small", 3, 10).unwrap();
        let again = Input::from_metadata("a", &input.to_metadata(), &design).unwrap();
        assert_eq!(again, input);
    }

    #[test]
    fn the_resize_mode_of_a_file_without_one_is_what_it_was() {
        let of = |pairs| read(3, pairs).unwrap().resize_mode;
        assert_eq!(of(&[("input_size", "24")]), ResizeMode::Squash);
        // Another program's file, of which nothing is known.
        assert_eq!(of(&[]), ResizeMode::ShortSide);
        let kept = &[("input_size", "24"), ("input_resize_mode", "short-side")];
        assert_eq!(of(kept), ResizeMode::ShortSide);
    }

    #[test]
    fn an_older_files_name_of_the_standard_deviation_is_read() {
        let old = read(1, &[("input_deviation", "0.25")]).unwrap();
        assert_eq!(old, read(1, &[("input_std", "0.25")]).unwrap());
    }

    #[test]
    fn blue_first_and_values_up_to_255_become_the_usual_units() {
        let pairs = [
            ("input_order", "BGR"),
            ("input_range", "255"),
            ("input_mean", "103.53,116.28,123.675"),
            ("input_std", "51"),
        ];
        let input = read(3, &pairs).unwrap();
        let near = |a: &[f32], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(&input.mean, IMAGENET_MEAN) && near(&input.std, [0.2; 3]), "{input}");
        let metadata = pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        assert!(Input::is_reversed("a", &metadata).unwrap());
        for pair in [("input_order", "grb"), ("input_range", "0"), ("input_range", "NaN")] {
            assert!(read(3, &[("input_mean", "0"), pair]).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn large_images_are_evaluated_few_at_once() {
        let of = |size: &str| read(3, &[("input_size", size)]).unwrap();
        assert_eq!(of("224").batch(64), 64);
        assert_eq!(of("4096").batch(64), 1);
        assert_eq!(of("16").batch(0), 1);
        assert_eq!(
            ["16", "224", "448", "4096"].map(|size| of(size).evaluation_batch()),
            [64, 32, 8, 1]
        );
    }

    #[test]
    fn values_without_meaning_are_errors() {
        for pair in [
            ("input_size", "0"),
            ("input_size", "-1"),
            ("input_size", "99999999999999999999"),
            ("input_resize", "5"),
            ("input_resize", "1000000"),
            ("input_mean", "NaN"),
            ("input_mean", "0,0"),
            ("input_mean", ""),
            ("input_std", "0"),
            ("input_resize_mode", "stretch"),
            ("input_ignore_orientation", "2"),
            ("input_deviation", "inf"),
        ] {
            let error = read(1, &[pair]).unwrap_err().to_string();
            assert!(error.starts_with("a: "), "{error}");
        }
        assert!(read(2, &[]).is_ok() && read(2000, &[]).is_err());
        assert!(
            read(2, &[]).unwrap().reading().is_err(),
            "of pictures there are grey and coloured ones"
        );
    }
}
