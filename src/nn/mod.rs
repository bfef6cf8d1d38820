//! Layers and networks.
//!
//! An [`Architecture`] says once what a network is: one function declares its tensors to a
//! [`Builder`] and returns what runs. A [`Design`] is an architecture at a size, a [`Blueprint`] also
//! knows the [`Form`] of its convolutions (plain, zoo, lite or routed), and a [`Network`] has values: drawn,
//! of one source, of several, or saved ([`Values`]). A [`Pass`] is one forward pass over a batch, with
//! the tape it is recorded on; [`Operations`] is what a network asks of it, and of whatever else wants
//! to know what the network computes.
//!
//! The networks at hand are in [`architectures`]; `examples/own_architecture.rs` adds another.

mod architecture;
pub mod architectures;
mod batch_norm;
mod blueprint;
mod builder;
mod catalog;
mod conv;
mod form;
mod gate;
mod identify;
mod linear;
mod nearness;
mod network;
mod operations;
mod parameters;
mod pass;
mod router;
mod run;
mod step;
mod trace;
mod values;

pub use architecture::{Architecture, Design, Layers};
pub use batch_norm::BatchNorm;
pub use blueprint::Blueprint;
pub use builder::{Builder, Initial};
pub use conv::{Conv, Mix, Routes};
pub use form::{Aligned, AlignedLayers, Form, Mixing};
pub use gate::{Gate, GateAverage};
pub use identify::{Identified, identified_zoo, open_network, open_zoo};
pub use linear::Linear;
pub use nearness::{Alike, Nearness};
pub use network::Network;
pub use operations::{Node, Operations};
pub use parameters::{Id, Parameters, Role};
pub use pass::{Pass, Recorded};
pub use router::Router;
pub use step::Step;
pub use trace::{ChannelGroup, ChannelPlace, FirstLayer, FirstNorm, LayerCost};
pub use values::{Head, Statistics, Values};

use run::Run;
