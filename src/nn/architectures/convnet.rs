//! Convolutions with biases and no norm, as in networks of reinforcement learning. The name says
//! what the network is, so that a file and a flag can name any of them.

use super::{Family, Members};
use crate::kernel::{Geometry, Window};
use crate::nn::{Architecture, Builder, Initial, Layers};
use crate::tensor::product;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(super) const FAMILY: Family = Family { members, specified };

/// Convolutions, then fully connected layers over the map that they leave, each with a bias and
/// followed by a rectifier; then the head.
///
/// Its name is a specification, `convnet:HxW:LAYERS`: height and width of an image, and the layers
/// in their order, with `-` between them. A convolution is `OxK`, `O` outputs of `K x K` taps,
/// followed by `sS` if its stride is not 1 and by `pP` if its padding is not 0; a number alone is a
/// fully connected layer of so many outputs. Tensors are named `conv1`, `conv2`, ..., `hidden1`,
/// ..., `fc`.
///
/// ```
/// use zoo_tuning::nn::{Design, architectures::ConvNet};
///
/// // Mnih et al. (2015): four frames of 84 x 84 pixels, 18 actions.
/// let design = Design::named("convnet:84x84:32x8s4-64x4s2-64x3-512", 4, 18)?;
/// assert_eq!(design.tensors()?[6], ("hidden1.weight".to_owned(), vec![512, 64 * 7 * 7]));
///
/// let network: ConvNet = "convnet:84x84:32x8s4-64x4s2-64x3s1p0-512".parse()?;
/// assert_eq!(network.name, design.name());
/// # Ok::<(), zoo_tuning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvNet {
    /// Its name: the specification, or a shorter one.
    pub name: String,
    /// Height and width of an image.
    pub size: [usize; 2],
    /// The convolutions.
    pub convolutions: Vec<ConvLayer>,
    /// Outputs of the fully connected layers.
    pub hidden: Vec<usize>,
}

/// A convolution of a [`ConvNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvLayer {
    /// Its channels.
    pub outputs: usize,
    /// Taps in each direction.
    pub taps: usize,
    /// Step between neighbouring output positions.
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: usize,
}

/// Short names: a small one, that of Mnih et al. (2015) for Atari, that of van Hasselt, Hessel and
/// Aslanides (2019) for it, with one hidden layer for value and advantages, and that of Young and Tian
/// (2019) for MinAtar.
const ALIASES: [(&str, &str); 4] = [
    ("convnet_small", "convnet:12x12:8x3s2p1-16x3-32"),
    ("convnet_atari", "convnet:84x84:32x8s4-64x4s2-64x3-512"),
    ("convnet_rainbow", "convnet:84x84:32x5s5-64x5s5-512"),
    ("convnet_minatar", "convnet:10x10:16x3-128"),
];

const PREFIX: &str = "convnet:";

fn members() -> Members {
    // All of them have a meaning, which a test checks.
    let parsed = ALIASES.iter().filter_map(|(name, text)| Some((name, text.parse().ok()?)));
    parsed
        .map(|(name, network): (_, ConvNet)| {
            Arc::new(ConvNet { name: (*name).to_owned(), ..network }) as Arc<dyn Architecture>
        })
        .collect()
}

fn specified(name: &str) -> Option<Result<Arc<dyn Architecture>>> {
    let network = name.starts_with(PREFIX).then(|| name.parse::<ConvNet>())?;
    Some(network.map(|network| Arc::new(network) as Arc<dyn Architecture>))
}

impl Architecture for ConvNet {
    fn name(&self) -> &str {
        &self.name
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        b.initial(Initial::UniformFanIn);
        // Of the map so far.
        let (mut channels, mut size) = (b.channels(), self.size);
        let mut layers = Vec::new();
        for (i, &ConvLayer { outputs, taps, stride, padding }) in
            self.convolutions.iter().enumerate()
        {
            let (shape, window) =
                ([outputs, channels, taps, taps], Window::square(stride, padding));
            let map = [1, channels, size[0], size[1]];
            size = Geometry::new("ConvNet", map, shape, window)?.output;
            layers.push(b.conv_with_bias(&format!("conv{}", i + 1), shape, window)?);
            channels = outputs;
        }
        for (i, &outputs) in self.hidden.iter().enumerate() {
            let shape = [outputs, channels, size[0], size[1]];
            layers.push(b.fully_connected(&format!("hidden{}", i + 1), shape)?);
            (channels, size) = (outputs, [1, 1]);
        }
        let features = product(&[channels, size[0], size[1]]).ok_or_else(|| {
            let problem = format!("{channels} channels of {size:?} exceed the address space");
            Error::argument("ConvNet", problem)
        })?;
        let head = b.linear("fc", features, b.outputs())?;
        Ok(Box::new(move |o, mut x| {
            for layer in &layers {
                let y = o.conv(layer, x)?;
                x = o.relu(y)?;
            }
            o.enter("features");
            let features = o.flatten(x)?;
            o.linear(&head, features)
        }))
    }

    /// The convolutions: fully connected layers have so many outputs that to align them costs more
    /// than all else.
    fn is_aligned(&self, layer: &str) -> bool {
        layer.starts_with("conv")
    }

    /// Those of the specification; images of other sizes do not fit the layers behind the map.
    fn usual_sizes(&self) -> [usize; 2] {
        [self.size[0].max(self.size[1]); 2]
    }
}

/// The specification.
impl fmt::Display for ConvNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        write!(f, "{PREFIX}{height}x{width}:")?;
        let convolutions = self.convolutions.iter().map(ToString::to_string);
        let layers = convolutions.chain(self.hidden.iter().map(ToString::to_string));
        f.write_str(&layers.collect::<Vec<_>>().join("-"))
    }
}

impl fmt::Display for ConvLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outputs, taps, stride, padding } = self;
        write!(f, "{outputs}x{taps}")?;
        for (key, value, usual) in [('s', stride, 1), ('p', padding, 0)] {
            if *value != usual {
                write!(f, "{key}{value}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for ConvNet {
    type Err = Error;

    /// The network of a specification, whose canonical form is its name.
    ///
    /// # Errors
    /// If the text is none, or if the map becomes smaller than a kernel.
    fn from_str(text: &str) -> Result<Self> {
        parsed(text).map_err(|problem| {
            let hint = "for example convnet:84x84:32x8s4-64x4s2-64x3-512: height x width of an \
                        image, then layers: outputs x taps, with sSTRIDE and pPADDING if need be, or \
                        the outputs of a fully connected one";
            Error::config("architecture", format!("{text}: {problem}; {hint}"))
        })
    }
}

/// What the text says, or what is wrong with it.
fn parsed(text: &str) -> std::result::Result<ConvNet, String> {
    const MOST_LAYERS: usize = 64;
    let specification = text.strip_prefix(PREFIX).ok_or(format!("it begins with {PREFIX}"))?;
    let (size, layers) = specification.split_once(':').ok_or("there are no layers")?;
    let (height, width) = size.split_once('x').ok_or(format!("{size:?} should be HEIGHTxWIDTH"))?;
    let size = [number(height)?, number(width)?];
    let (mut convolutions, mut hidden) = (Vec::new(), Vec::new());
    for layer in layers.split('-') {
        match layer.split_once('x') {
            None => hidden.push(number(layer)?),
            Some(_) if !hidden.is_empty() => {
                return Err(format!("{layer} comes after a fully connected layer"));
            }
            Some((outputs, window)) => convolutions.push(convolution(outputs, window)?),
        }
    }
    if convolutions.len() + hidden.len() > MOST_LAYERS {
        return Err(format!("there are more than {MOST_LAYERS} layers"));
    }
    let mut map = size;
    for layer in &convolutions {
        for side in &mut map {
            *side = (*side + 2 * layer.padding)
                .checked_sub(layer.taps)
                .ok_or(format!("the map that {layer} gets has only {side} pixels on a side"))?
                / layer.stride
                + 1;
        }
    }
    let network = ConvNet { name: String::new(), size, convolutions, hidden };
    Ok(ConvNet { name: network.to_string(), ..network })
}

/// A convolution, from what stands before and behind its `x`: taps, then stride, then padding.
fn convolution(outputs: &str, window: &str) -> std::result::Result<ConvLayer, String> {
    let (window, padding) = match window.split_once('p') {
        Some((window, "0")) => (window, 0),
        Some((window, padding)) => (window, number(padding)?),
        None => (window, 0),
    };
    let (taps, stride) = match window.split_once('s') {
        Some((taps, stride)) => (taps, number(stride)?),
        None => (window, 1),
    };
    Ok(ConvLayer { outputs: number(outputs)?, taps: number(taps)?, stride, padding })
}

fn number(text: &str) -> std::result::Result<usize, String> {
    const MOST: usize = 1 << 16;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && (1..=MOST).contains(number));
    number.ok_or(format!("{text:?} should be a number from 1 to {MOST}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;
    use proptest::prelude::*;

    #[test]
    fn short_names_are_those_of_specifications() {
        assert_eq!(members().len(), ALIASES.len());
        for (name, text) in ALIASES {
            assert_eq!(text.parse::<ConvNet>().unwrap().to_string(), text);
            let [short, long] = [name, text].map(|name| Design::named(name, 4, 6).unwrap());
            assert_eq!((short.name(), long.name()), (name, text));
            assert_eq!(short.tensors().unwrap(), long.tensors().unwrap());
        }
    }

    #[test]
    fn a_specification_that_has_no_meaning_says_why() {
        for (text, problem) in [
            ("convnet:84x84", "there are no layers"),
            ("convnet:84x84:", "\"\" should be a number"),
            ("convnet:84:32x8", "\"84\" should be HEIGHTxWIDTH"),
            ("convnet:84x0:32x8", "\"0\" should be a number"),
            ("convnet:84x84:32x+8", "\"+8\" should be a number"),
            ("convnet:84x84:32x8s0", "\"0\" should be a number"),
            ("convnet:84x84:32x8p1s4", "\"1s4\" should be a number"),
            ("convnet:84x84:512-32x8", "32x8 comes after a fully connected layer"),
            ("convnet:9x84:8x8s4-16x3", "16x3 gets has only 1 pixels"),
            ("convnet:84x84:99999999999999999999", "should be a number from 1 to 65536"),
        ] {
            let message = Design::named(text, 1, 2).unwrap_err().to_string();
            assert!(message.contains(text) && message.contains(problem), "{message}");
        }
        let other = Design::named("convnets", 1, 2).unwrap_err().to_string();
        assert!(other.contains("convnet_small"), "{other}");
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_what_it_was_written_from(
            size in [20usize..99, 20usize..99],
            layers in prop::collection::vec((1usize..99, 1usize..5, 1usize..3, 0usize..3), 0..4),
            hidden in prop::collection::vec(1usize..999, 1..3),
        ) {
            let convolutions = layers.into_iter().map(|(outputs, taps, stride, padding)| {
                ConvLayer { outputs, taps, stride, padding }
            });
            let convolutions = convolutions.collect();
            let network = ConvNet { name: String::new(), size, convolutions, hidden };
            let text = network.to_string();
            let read: Result<ConvNet> = text.parse();
            // Three times half of 20 leaves a map for any kernel here, or it is an error.
            if let Ok(read) = read {
                prop_assert_eq!(&read.name, &text);
                prop_assert_eq!(ConvNet { name: String::new(), ..read }, network);
            }
        }

        #[test]
        fn no_text_is_a_panic(text in "convnet:[0-9xsp:-]{0,24}") {
            if let Ok(design) = Design::named(&text, 1, 2) {
                prop_assert!(design.tensors().is_ok());
            }
        }
    }
}
