//! Arguments that say what to look at.

use super::output::{message, printable};
use crate::nn::{Design, Identified};
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
    /// After that, take the tensors whose names begin with this: of a file with two networks, the
    /// one that is meant [default: found; of two, the average or the teacher]
    #[arg(long)]
    pub prefix: Option<String>,
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
        let rules = Naming::from_rules(&self.rename)?;
        Ok(match &self.prefix {
            Some(prefix) => rules.behind(prefix),
            None => rules,
        })
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
    model_of(Checkpoint::open(path)?, names)
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
