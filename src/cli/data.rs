//! Arguments that say what to look at.

use clap::Args;
use std::path::PathBuf;

/// A network in a file.
#[derive(Args)]
pub struct ModelFile {
    /// The network's file: model.safetensors of a run, or another program's
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// What the network is, if its file does not say: resnet18, resnet34, resnet50, resnet_small
    #[arg(long, value_name = "NAME")]
    pub architecture: Option<String>,
}
