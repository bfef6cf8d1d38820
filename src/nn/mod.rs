//! Layers and networks.
//!
//! A network is a value of its own type, such as [`Resnet`], that holds its [`Parameters`]
//! and, for each layer, the [`Id`]s of those it uses. A [`Builder`] makes both: it decides
//! where values come from (drawn at random, one source, several sources) and in which
//! [`Form`] convolutions are (plain, zoo or lite), so that a network is defined once.
//! A [`Pass`] is one forward pass over a batch, with the tape it is recorded on; [`Operations`] is
//! what a network asks of it, and of whatever else wants to know what the network computes.

mod batch_norm;
mod blueprint;
mod builder;
mod conv;
mod gate;
mod identify;
mod linear;
mod operations;
mod parameters;
mod pass;
mod resnet;
mod step;

pub use batch_norm::BatchNorm;
pub use blueprint::Blueprint;
pub use builder::{Aligned, Builder, Form, Head, Mixing, Place, Statistics};
pub use conv::{Conv, Mix};
pub use gate::{Gate, GateAverage};
pub use identify::{HEAD, Identified, identified_zoo, open_network, open_zoo};
pub use linear::Linear;
pub use operations::Operations;
pub use parameters::{Id, Parameters, Role};
pub use pass::Pass;
pub use resnet::{Architecture, Block, ChannelGroup, Resnet, Stem};
pub use step::Step;

use crate::Result;
use crate::tape::Var;
use crate::tensor::Element;

/// What can be trained and evaluated: parameters and a forward pass.
pub trait Network<T: Element> {
    /// The output for the batch `x`, recorded in `pass`.
    ///
    /// # Errors
    /// If `x` does not have the shape that the network takes.
    fn forward(&self, pass: &mut Pass<T>, x: Var) -> Result<Var>;

    /// Everything that is trained or kept.
    fn parameters(&self) -> &Parameters<T>;

    /// The same, to be changed.
    fn parameters_mut(&mut self) -> &mut Parameters<T>;
}
