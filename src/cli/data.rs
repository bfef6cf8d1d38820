//! Arguments that say what to look at.

use crate::nn::Design;
use crate::train::Model;
use crate::zoo::{Checkpoint, Naming};
use clap::Args;
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
}

/// The name of an architecture that there is.
pub fn architecture(name: &str) -> Result<String, String> {
    match Design::named(name, 1, 1) {
        Ok(design) => Ok(design.name().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl NetworkNames {
    /// The rules for names.
    pub fn rules(&self) -> crate::Result<Naming> {
        Naming::from_rules(&self.rename)
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
}

impl ModelFile {
    pub fn open(&self) -> crate::Result<Model> {
        open_model(&self.model, &self.names)
    }
}

/// The network in a file.
pub fn open_model(path: &Path, names: &NetworkNames) -> crate::Result<Model> {
    let rules = names.rules()?;
    Model::from_checkpoint(Checkpoint::open(path)?, names.architecture.as_deref(), &rules)
}
