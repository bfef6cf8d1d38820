//! Which network a checkpoint holds, if the checkpoint does not say.

use super::{Architecture, Blueprint, Form, Resnet};
use crate::tensor::{Element, State};
use crate::zoo::{Checkpoint, Fit, Naming, TensorView, Zoo};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;

/// What names of a classifier's tensors begin with. A source may come without its own, or with
/// another task's: it is not used.
pub const HEAD: &str = "fc.";

/// A checkpoint and the network that it holds.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The network: channels and classes are those of the file's first and last layer, or 3 and
    /// 1 if it has none.
    pub architecture: Architecture,
    /// From the file's names to the network's.
    pub naming: Naming,
    /// What fits and what does not.
    pub fit: Fit,
}

impl Identified {
    /// The network's tensors of the file, under the network's names: what else the file holds is
    /// left out.
    ///
    /// # Errors
    /// If two would have one name.
    pub fn network(&self, checkpoint: Checkpoint) -> Result<Checkpoint> {
        self.naming.network(checkpoint, &self.architecture.tensors()?)
    }

    /// Compares the file with the architecture of that name, whether it fits or not. Its names
    /// are led to the network's by `rules`, and by what [`Naming::detect`] finds after them.
    ///
    /// # Errors
    /// If there is no architecture of that name.
    pub fn compared(checkpoint: &Checkpoint, name: &str, rules: &Naming) -> Result<Self> {
        let usual = Architecture::named(name, 3, 1)?;
        let naming = rules.clone().detect(checkpoint, &usual.tensors()?);
        let size = |name: &str, axis: usize| {
            let is_it = |view: &&TensorView| naming.apply(view.name()).as_deref() == Some(name);
            let size = checkpoint.iter().find(is_it)?.shape().get(axis).copied();
            size.filter(|size| *size > 0)
        };
        let channels = size("conv1.weight", 1).unwrap_or(3);
        let classes = size("fc.bias", 0).or(size("fc.weight", 0)).unwrap_or(1);
        let architecture = Architecture::named(name, channels, classes)?;
        let fit = Fit::new(checkpoint, &naming, &architecture.tensors()?);
        Ok(Self { architecture, naming, fit })
    }

    /// The network of the file: of the architecture `name`, or, without a name, of the largest
    /// architecture of which all tensors are there. A classifier may be missing.
    ///
    /// # Errors
    /// If there is no architecture of that name, or the file does not hold it, or none.
    pub fn new(checkpoint: &Checkpoint, name: Option<&str>, rules: &Naming) -> Result<Self> {
        if let Some(name) = name {
            let identified = Self::compared(checkpoint, name, rules)?;
            if identified.fit.is_complete(&[HEAD]) {
                return Ok(identified);
            }
            let problem = format!(
                "does not hold a {name}, its names taken {}: {}",
                identified.naming, identified.fit
            );
            return Err(Error::format(checkpoint.path(), problem));
        }
        let all = Architecture::NAMES.map(|name| Self::compared(checkpoint, name, rules));
        let all = all.into_iter().collect::<Result<Vec<_>>>()?;
        let nearest = all.iter().max_by_key(|one| one.fit.found).map(|one| one.architecture.name);
        let complete = all.into_iter().filter(|one| one.fit.is_complete(&[HEAD]));
        complete.max_by_key(|one| one.fit.found).ok_or_else(|| {
            let problem = format!(
                "holds none of the networks {}; compare it with {} to see what is missing \
                 (inspect --as), and change its names by rules (--rename FROM=TO)",
                Architecture::NAMES.join(", "),
                nearest.unwrap_or(Architecture::NAMES[0])
            );
            Error::format(checkpoint.path(), problem)
        })
    }
}

/// The plain network in a checkpoint file of any program and format: the architecture `name`, or
/// the one that its tensors tell. Its values stay in the file where their type permits.
///
/// ```no_run
/// # fn main() -> zoo_tuning::Result<()> {
/// let network = zoo_tuning::nn::open_network::<f32>("resnet50-19c8e357.pth", None)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the file cannot be read, or holds no such network with its classifier.
pub fn open_network<T: Element>(path: impl AsRef<Path>, name: Option<&str>) -> Result<Resnet<T>> {
    let checkpoint = Checkpoint::open(path)?;
    let identified = Identified::new(&checkpoint, name, &Naming::default())?;
    let state = State::mapped(&identified.network(checkpoint)?)?;
    let architecture = identified.architecture;
    Blueprint { architecture, form: Form::Plain, sources: 1 }.build(&state)
}

/// Opens checkpoint files of any program and format as a zoo, each under the names of the network
/// that it holds: the architecture `name`, or the one that its tensors tell. Heads may differ; the
/// classes of the architecture are those of the first file.
///
/// ```no_run
/// use zoo_tuning::{nn::open_zoo, tensor::State};
/// # fn main() -> zoo_tuning::Result<()> {
/// let (zoo, architecture) = open_zoo(&["resnet50.pth", "moco_v1_200ep_pretrain.pth.tar"], None)?;
/// let sources = State::<f32>::of_zoo(&zoo)?; // for Builder::from_sources
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If a file cannot be read, holds no such network, or another than the first; see
/// [`Zoo::open_except`] too.
pub fn open_zoo(
    paths: &[impl AsRef<Path> + Sync],
    name: Option<&str>,
) -> Result<(Zoo, Architecture)> {
    let open = |path: &_| Ok((Checkpoint::open(path)?, Naming::default()));
    let sources: Vec<Result<_>> = paths.par_iter().map(open).collect();
    identified_zoo(sources.into_iter().collect::<Result<_>>()?, name)
}

/// As [`open_zoo`], of checkpoints that are open already, each with rules for its names.
///
/// # Errors
/// As [`open_zoo`].
pub fn identified_zoo(
    sources: Vec<(Checkpoint, Naming)>,
    name: Option<&str>,
) -> Result<(Zoo, Architecture)> {
    let identify = |(source, rules): (Checkpoint, Naming)| {
        let declared = source.declared();
        let said = declared.get("architecture").filter(|_| Blueprint::is_in(&declared));
        let said = said.map(String::as_str);
        let identified = Identified::new(&source, name.or(said), &rules)?;
        Ok((identified.network(source)?, identified.architecture))
    };
    // Side by side; of several errors, that of the first file is told all the same.
    let identified: Vec<Result<_>> = sources.into_par_iter().map(identify).collect();
    let identified = identified.into_iter().collect::<Result<Vec<_>>>()?;
    let (sources, architectures): (Vec<_>, Vec<_>) = identified.into_iter().unzip();
    let first = architectures.first().map(|first| first.name);
    if let Some(at) = architectures.iter().position(|one| Some(one.name) != first) {
        let problem = format!(
            "{} is a {}, but {} a {}",
            sources[at].path().display(),
            architectures[at].name,
            sources[0].path().display(),
            architectures[0].name
        );
        return Err(Error::config("zoo", problem));
    }
    let zoo = Zoo::from_checkpoints(sources, &[HEAD])?;
    let architecture = architectures.into_iter().next();
    Ok((zoo, architecture.unwrap_or_else(|| unreachable!("a zoo has a source"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tensors_of_a_network_are_those_of_torchvision() {
        // Counts of torchvision's state dicts, without num_batches_tracked.
        for (name, tensors, numbers) in [
            ("resnet18", 102, 11_699_112),
            ("resnet34", 182, 21_814_696),
            ("resnet50", 267, 25_610_152),
        ] {
            let all = Architecture::named(name, 3, 1000).unwrap().tensors().unwrap();
            assert_eq!(all.len(), tensors, "{name}");
            let sum: usize = all.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(sum, numbers, "{name}");
        }
    }

    #[test]
    fn the_projects_own_zoo_is_identified_without_its_metadata() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/zoo/as_is.safetensors");
        let checkpoint = Checkpoint::open(path).unwrap();
        let rules = Naming::default();
        let Identified { architecture, naming, fit } =
            Identified::new(&checkpoint, None, &rules).unwrap();
        assert_eq!((architecture.name, architecture.channels), ("resnet_small", 1));
        assert!(naming.is_identity() && fit.missing.is_empty() && fit.unexpected.is_empty());
        let error = Identified::new(&checkpoint, Some("resnet18"), &rules).unwrap_err().to_string();
        assert!(error.contains("does not hold a resnet18"), "{error}");
        let away = Naming::of_rules(&["conv=comb"]).unwrap();
        let error = Identified::new(&checkpoint, None, &away).unwrap_err().to_string();
        assert!(error.contains("compare it with resnet_small"), "{error}");
    }
}
