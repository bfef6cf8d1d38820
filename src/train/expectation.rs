//! What each source expects its images to be, and what all of them are shown.
//!
//! A run shows all sources the same images: normalised as `data.mean` and `data.std` say, or else as
//! the first source expects. A source that expects something else takes the difference over into
//! its first layer; see [`absorb`].
//!
//! A file that says nothing of its images is for the usual ones ([`Input::usual`]) if another source
//! of the zoo says what it expects; if none does, for whatever the run shows.

use super::Input;
use super::config::DataConfig;
use crate::nn::{Design, Identified};
use crate::start::{Normalisation, absorb};
use crate::tensor::State;
use crate::zoo::Zoo;
use crate::{Error, Result};

/// What one source expects.
pub(super) struct Expectation {
    /// Its images, channels in the order red, green, blue.
    pub input: Input,
    /// Whether it expects them in the other order.
    is_reversed: bool,
    /// Its file.
    origin: String,
}

impl Expectation {
    /// Those of all sources of a zoo, which are what `identified` says.
    ///
    /// # Errors
    /// If one says what has no meaning.
    pub fn of_all(zoo: &Zoo, identified: &[Identified], data: &DataConfig) -> Result<Vec<Self>> {
        let said = zoo.sources().iter().zip(identified).map(|(source, one)| {
            let metadata = Input::said_by(source, one);
            (source.path().display().to_string(), metadata, &one.design)
        });
        let said: Vec<(String, _, _)> = said.collect();
        let all_are_silent = !said.iter().any(|(_, metadata, _)| Input::is_normalised(metadata));
        let expectation = |(origin, metadata, design): (String, _, _)| {
            let mut input = Input::from_metadata(&origin, &metadata, design)?;
            if all_are_silent {
                input = data.input(input)?;
            }
            Ok(Self { input, is_reversed: Input::is_reversed(&origin, &metadata)?, origin })
        };
        said.into_iter().map(expectation).collect()
    }

    /// Lets the first layer of the source take over in what its images differ from those that are
    /// `given`; a sentence about it, if they do.
    ///
    /// # Errors
    /// As [`absorb`].
    pub fn absorb(
        &self,
        design: &Design,
        state: &mut State<f32>,
        given: &Input,
    ) -> Result<Option<String>> {
        let Self { input, is_reversed, origin } = self;
        let of = |input: &Input, is_reversed| {
            let (mean, std) = (input.mean.clone(), input.std.clone());
            Normalisation { mean, std, is_reversed }
        };
        let (expected, given) = (of(input, *is_reversed), of(given, false));
        if expected == given {
            return Ok(None);
        }
        let border = absorb(design, state, &expected, &given)
            .map_err(|error| Error::config(origin.clone(), error.to_string()))?;
        let list = |values: &[f32]| {
            values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ")
        };
        let how = if border == 0.0 {
            "exactly".to_owned()
        } else {
            format!(
                "exactly but for the border that is padded with zeros, where its output is off by up \
                 to {border:.3}"
            )
        };
        let order = if *is_reversed { "in the order blue, green, red, " } else { "" };
        Ok(Some(format!(
            "{origin}: expects images {order}of mean {} and std {}; its first layer takes that over, \
             {how}",
            list(&expected.mean),
            list(&expected.std)
        )))
    }
}
