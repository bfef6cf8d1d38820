//! A network as it stood at one moment: the target network, and what acts between two updates.

use super::head::{Estimates, Head};
use super::playing::estimates;
use crate::Result;
use crate::collapse::collapse;
use crate::nn::{Form, Network};
use crate::optim::WeightAverage;
use crate::tensor::{Device, State, Tensor};

/// A network that learns no more.
///
/// Of a lite one it is the plain network that it collapses to: its kernels are mixed once, and not in every
/// pass. An agent acts in batches of one, in which mixing takes longer than everything else.
pub(super) enum Fixed {
    /// A plain network of its own.
    Collapsed(Box<Network<f32>>),
    /// The parameters of the same network: with a decay of 1 the average stays as it begins, and no value
    /// is copied until the network changes.
    Same(WeightAverage<f32>),
}

impl Fixed {
    /// `network` as it is now.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn of(network: &Network<f32>) -> Result<Self> {
        match collapses(network)? {
            true => Ok(Self::Collapsed(Box::new(collapse(network)?))),
            false => Ok(Self::Same(WeightAverage::new(network.parameters(), 1.0)?)),
        }
    }

    /// The network that acts for `network` until that changes; `None` if none is faster than it is itself.
    ///
    /// # Errors
    /// As [`Fixed::of`].
    pub fn faster(network: &Network<f32>) -> Result<Option<Self>> {
        collapses(network)?.then(|| Self::of(network)).transpose()
    }

    /// What it holds of the actions in the states `[N, C, H, W]`, by noise that follows from `draws`;
    /// `network` is the one that it is a copy of.
    ///
    /// # Errors
    /// As [`estimates`].
    pub fn estimates(
        &mut self,
        network: &Network<f32>,
        head: &Head,
        states: Tensor<f32>,
        draws: Option<u64>,
    ) -> Result<Estimates> {
        match self {
            Self::Collapsed(plain) => estimates(plain, plain.parameters(), head, states, draws),
            Self::Same(copy) => {
                // A resumed run finds it on the host.
                copy.to(&network.parameters().device())?;
                estimates(network, copy.parameters(), head, states, draws)
            }
        }
    }

    /// Its values by name.
    pub fn state(&self) -> State<f32> {
        match self {
            Self::Collapsed(plain) => plain.parameters().state("the target network"),
            Self::Same(copy) => copy.state(),
        }
    }

    /// The copy of `network` that [`Fixed::state`] gave.
    ///
    /// # Errors
    /// If it is of another network.
    pub fn restored(network: &Network<f32>, state: &State<f32>) -> Result<Self> {
        let parameters = network.parameters();
        let is_whole = parameters.ids().all(|id| state.tensors.contains_key(parameters.name(id)));
        if !is_whole && matches!(network.blueprint().form, Form::Lite(_)) {
            return Ok(Self::Collapsed(Box::new(network.design().plain().build(state)?)));
        }
        let mut copy = WeightAverage::new(parameters, 1.0)?;
        copy.load(state)?;
        Ok(Self::Same(copy))
    }
}

/// Whether a network becomes a faster one: a lite one on the processor, whose gates have averages.
fn collapses(network: &Network<f32>) -> Result<bool> {
    let Form::Lite(mixing) = &network.blueprint().form else { return Ok(false) };
    if mixing.shortcuts_per_sample || network.parameters().device() != Device::Cpu {
        return Ok(false);
    }
    let mut mixes = network.convolutions().filter_map(|conv| conv.mix.as_ref());
    mixes.try_fold(true, |all, mix| {
        let Some(average) = mix.gate.average else { return Ok(false) };
        Ok(all && average.value(network.parameters())?.is_some())
    })
}
