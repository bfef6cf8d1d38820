//! What of a tuned zoo the page shows: on which of the test samples it is looked at.

use super::{CONDITIONS, Split, Test, input};
use crate::Result;
use crate::nn::Network;
use crate::train::observe::{self, SampleGates};

/// The gates of the first two test samples of each condition.
pub(super) fn samples(network: &Network<f32>, split: &Split) -> Result<Vec<SampleGates>> {
    let Test { images, labels, conditions } = &split.test;
    let of = |condition| (0..labels.len()).filter(move |&n| conditions[n] == condition).take(2);
    let chosen: Vec<usize> = CONDITIONS.into_iter().flat_map(of).collect();
    let mut samples = observe::samples(network, images, labels, &chosen, &input())?;
    for (sample, &n) in samples.iter_mut().zip(&chosen) {
        sample.condition = conditions[n].to_string();
    }
    Ok(samples)
}
