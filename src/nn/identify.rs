//! Which network a checkpoint holds, if the checkpoint does not say.

use super::catalog::{self, Catalog, Entry};
use super::{Blueprint, Design, Nearness, Network};
use crate::tensor::{Element, State};
use crate::zoo::{Axes, Checkpoint, Expected, Fit, Names, Naming, Zoo};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// A checkpoint and the network that it holds.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The network: channels and outputs are those that the file's tensors have, or 3 and 1 if it
    /// has none of those that tell.
    pub design: Design,
    /// From the file's names to the network's.
    pub naming: Naming,
    /// What fits and what does not.
    pub fit: Fit,
    /// What names begin with where the file holds the network once more.
    pub elsewhere: Vec<String>,
}

impl Identified {
    /// The network's tensors of the file, under the network's names: what else the file holds is
    /// left out.
    ///
    /// # Errors
    /// If two would have one name.
    pub fn network(&self, checkpoint: Checkpoint) -> Result<Checkpoint> {
        self.naming.network(checkpoint, &self.design.tensors()?)
    }

    /// Compares the file with the architecture of that name, whether it fits or not. Its names
    /// are led to the network's by `rules`, and by what [`Naming::detect`] finds after them.
    ///
    /// # Errors
    /// If there is no architecture of that name.
    pub fn compared(checkpoint: &Checkpoint, name: &str, rules: &Naming) -> Result<Self> {
        let usual = Design::named(name, CHANNELS, OUTPUTS)?;
        let expected = usual.tensors()?;
        let layouts = usual.architecture().layouts();
        let naming = rules.clone().detect(checkpoint, &expected, layouts);
        let names = names(checkpoint, rules)?;
        let elsewhere = names.elsewhere(&naming, &expected, layouts);
        let design = usual.resized(&expected, &names.shapes(&naming))?;
        let fit = Fit::new(checkpoint, &naming, &design.tensors()?);
        Ok(Self { design, naming, fit, elsewhere })
    }

    /// As [`Self::compared`], of an architecture under a naming that is found already, by which
    /// the file's tensors have these shapes.
    pub(super) fn under(
        checkpoint: &Checkpoint,
        entry: &Entry,
        naming: Naming,
        present: &HashMap<String, &[usize]>,
    ) -> Result<Self> {
        let design = entry.design.clone().resized(&entry.tensors, present)?;
        let fit = Fit::new(checkpoint, &naming, &design.tensors()?);
        Ok(Self { design, naming, fit, elsewhere: Vec::new() })
    }

    /// Of a file that holds the network more than once: which was taken, where the others are, and
    /// how they are asked for.
    pub fn choice(&self) -> Option<String> {
        let first = self.elsewhere.first()?;
        let (all, naming) = (self.elsewhere.join(", "), &self.naming);
        let this = format!("of several networks in the file, this is the one with names {naming}");
        Some(match (first.is_empty(), self.elsewhere.len()) {
            (true, 1) => {
                let taken = naming.prefix().replace('.', r"\.");
                format!("{this}; --rename '^{taken}=other.' takes the one with no prefix")
            }
            _ => format!("{this}; --prefix {first} takes another (they are behind {all})"),
        })
    }

    /// Why the network is not in the file although its tensors are; see
    /// [`Architecture::caveat`](super::Architecture::caveat).
    pub fn caveat(&self) -> Option<&str> {
        self.design.architecture().caveat(self.naming.layout()?)
    }

    /// Which images the network expects by its names, where its file does not say; see
    /// [`Architecture::images`](super::Architecture::images).
    pub fn images(&self) -> &[(&str, &str)] {
        let architecture = self.design.architecture();
        self.naming.layout().map_or(&[], |layout| architecture.images(layout))
    }

    /// Whether the file holds the network, its head perhaps excepted.
    pub fn is_complete(&self) -> bool {
        self.fit.is_complete(self.design.architecture().head()) && self.caveat().is_none()
    }

    /// The network of the file: of the architecture `name`, or, without a name, of the largest
    /// architecture of which all tensors are there. A classifier may be missing.
    ///
    /// # Errors
    /// If there is no architecture of that name, or the file does not hold it, or none.
    pub fn new(checkpoint: &Checkpoint, name: Option<&str>, rules: &Naming) -> Result<Self> {
        if let Some(name) = name {
            let identified = Self::compared(checkpoint, name, rules)?;
            if identified.is_complete() {
                return Ok(identified);
            }
            let transposed = checkpoint.clone().with_axes(Axes::Hwio);
            let problem = match identified.caveat() {
                Some(caveat) => format!("holds a {name} {}: {caveat}", identified.naming),
                None if Self::compared(&transposed, name, rules)?.is_complete() => {
                    Nearness::Transposed { architecture: name.to_owned() }.to_string()
                }
                None => {
                    let held = Self::or_nearness(checkpoint, rules)?.ok();
                    let held = held.map(|one| format!("; it holds a {}", one.design.name()));
                    format!(
                        "does not hold a {name}, its names taken {}: {}{}",
                        identified.naming,
                        identified.fit,
                        held.unwrap_or_default()
                    )
                }
            };
            return Err(Error::format(checkpoint.path(), problem));
        }
        Self::or_nearness(checkpoint, rules)?
            .map_err(|nearness| Error::format(checkpoint.path(), nearness.to_string()))
    }

    /// The network of the file: of all architectures, the one of which most tensors are there, if
    /// all are but for the head's; or else, what the file comes near to.
    ///
    /// # Errors
    /// If an architecture does not exist at the usual sizes.
    pub fn or_nearness(
        checkpoint: &Checkpoint,
        rules: &Naming,
    ) -> Result<std::result::Result<Self, Nearness>> {
        let (catalog, named) = (Catalog::get()?, names(checkpoint, rules)?);
        Ok(match catalog::search(&catalog, checkpoint, &named)? {
            Some(mut identified) => {
                let layouts = identified.design.architecture().layouts();
                let expected = identified.design.tensors()?;
                identified.elsewhere = named.elsewhere(&identified.naming, &expected, layouts);
                Ok(identified)
            }
            None => {
                let transposed = checkpoint.clone().with_axes(Axes::Hwio);
                let found = catalog::search(&catalog, &transposed, &names(&transposed, rules)?)?;
                Err(match found.map(|one| one.design.name().to_owned()) {
                    Some(architecture) => Nearness::Transposed { architecture },
                    None => Nearness::new(&catalog, checkpoint, &named)?,
                })
            }
        })
    }
}

/// The names of the file after the rules.
fn names<'a>(checkpoint: &'a Checkpoint, rules: &'a Naming) -> Result<Names<'a>> {
    let names = Names::new(rules, checkpoint);
    if names.len() == 0 && !rules.prefix().is_empty() {
        let problem = format!(
            "no tensor has a name that begins with the prefix {:?} that was asked for; inspect \
             lists all names",
            rules.prefix()
        );
        return Err(Error::format(checkpoint.path(), problem));
    }
    Ok(names)
}

/// The sizes that an architecture is asked for its tensors with.
pub(super) const CHANNELS: usize = 3;
pub(super) const OUTPUTS: usize = 1;

impl Design {
    /// The architecture of that name, with the channels and outputs that the shapes of tensors
    /// tell.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn from_shapes(name: &str, shapes: &HashMap<String, &[usize]>) -> Result<Self> {
        let usual = Self::named(name, CHANNELS, OUTPUTS)?;
        let expected = usual.tensors()?;
        usual.resized(&expected, shapes)
    }

    /// The same with the sizes that `shapes` tell, where this one expects other tensors.
    fn resized(self, expected: &[Expected], shapes: &HashMap<String, &[usize]>) -> Result<Self> {
        // The size is that of an axis which changes with it.
        let told = |of_size: usize, channels, outputs| -> Result<Option<usize>> {
            let other = Self { channels, outputs, ..self.clone() }.tensors()?;
            let sizes = expected.iter().zip(&other).filter_map(|((name, shape), (_, changed))| {
                let axis = shape.iter().zip(changed).position(|(size, changed)| size < changed)?;
                // One more makes so many columns more, behind a flattened map.
                let (size, step) = (shape[axis], changed[axis] - shape[axis]);
                let found = shapes.get(name)?.get(axis).copied()?;
                let rest = size.checked_sub(step * of_size)?;
                let count = found.checked_sub(rest)?;
                Some(count / step).filter(|size| *size > 0 && count.is_multiple_of(step))
            });
            Ok({ sizes }.next())
        };
        let channels =
            told(self.channels, self.channels + 1, self.outputs)?.unwrap_or(self.channels);
        let outputs = told(self.outputs, self.channels, self.outputs + 1)?.unwrap_or(self.outputs);
        Ok(Self { channels, outputs, ..self })
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
pub fn open_network<T: Element>(path: impl AsRef<Path>, name: Option<&str>) -> Result<Network<T>> {
    let checkpoint = Checkpoint::open(path)?;
    let identified = Identified::new(&checkpoint, name, &Naming::default())?;
    let state = State::mapped(&identified.network(checkpoint)?)?;
    identified.design.plain().build(&state)
}

/// Opens checkpoint files of any program and format as a zoo, each under the names of the network
/// that it holds: the architecture `name`, or the one that its tensors tell. Heads may differ; the
/// outputs of the design are those of the first file.
///
/// ```no_run
/// use zoo_tuning::{nn::open_zoo, tensor::State};
/// # fn main() -> zoo_tuning::Result<()> {
/// let (zoo, design) = open_zoo(&["resnet50.pth", "moco_v1_200ep_pretrain.pth.tar"], None)?;
/// let sources = State::<f32>::from_zoo(&zoo)?; // for Network::from_sources
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If a file cannot be read or holds no such network, or there is none that all hold; see
/// [`Zoo::open_except`] too.
pub fn open_zoo(paths: &[impl AsRef<Path> + Sync], name: Option<&str>) -> Result<(Zoo, Design)> {
    let open = |path: &_| Ok((Checkpoint::open(path)?, Naming::default()));
    let sources: Vec<Result<_>> = paths.par_iter().map(open).collect();
    let (zoo, identified) = identified_zoo(sources.into_iter().collect::<Result<_>>()?, name)?;
    let first = identified.into_iter().next().unwrap_or_else(|| unreachable!("a zoo has a source"));
    Ok((zoo, first.design))
}

/// As [`open_zoo`], of checkpoints that are open already, each with rules for its names; and what
/// each of them was found to be.
///
/// # Errors
/// As [`open_zoo`].
pub fn identified_zoo(
    sources: Vec<(Checkpoint, Naming)>,
    name: Option<&str>,
) -> Result<(Zoo, Vec<Identified>)> {
    let identify = |(source, rules): &(Checkpoint, Naming)| {
        let declared = source.declared();
        let said = declared.get("architecture").filter(|_| Blueprint::is_in(&declared));
        let said = said.map(String::as_str);
        Identified::new(source, name.or(said), rules)
    };
    // Side by side; of several errors, that of the first file is told all the same.
    let identified: Vec<Result<_>> = sources.par_iter().map(identify).collect();
    let identified = identified.into_iter().collect::<Result<Vec<_>>>()?;
    let identified = as_one_architecture(&sources, identified)?;
    let network = |((source, _), one): ((Checkpoint, Naming), &Identified)| one.network(source);
    let sources: Vec<Result<_>> = sources.into_par_iter().zip(&identified).map(network).collect();
    let sources = sources.into_iter().collect::<Result<_>>()?;
    let head = identified.first().map_or(&[][..], |one| one.design.architecture().head());
    let zoo = Zoo::from_checkpoints(sources, head)?;
    Ok((zoo, identified))
}

/// The same of one architecture: where files hold several, that of them which all files hold, such
/// as the landmark network whose tensors, but for its head, a classifier has too.
fn as_one_architecture(
    sources: &[(Checkpoint, Naming)],
    identified: Vec<Identified>,
) -> Result<Vec<Identified>> {
    let names: Vec<&str> = identified.iter().map(|one| one.design.name()).collect();
    let Some(at) = names.iter().position(|name| *name != names[0]) else { return Ok(identified) };
    for name in [names[0], names[at]] {
        let compared = |(source, rules): &(Checkpoint, Naming)| {
            let one = Identified::compared(source, name, rules)?;
            Ok(Some(one).filter(Identified::is_complete))
        };
        if let Some(all) = sources.iter().map(compared).collect::<Result<Option<Vec<_>>>>()? {
            return Ok(all);
        }
    }
    let problem = format!(
        "{} is a {}, but {} a {}",
        sources[at].0.path().display(),
        names[at],
        sources[0].0.path().display(),
        names[0]
    );
    Err(Error::config("zoo", problem))
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
            let all = Design::named(name, 3, 1000).unwrap().tensors().unwrap();
            assert_eq!(all.len(), tensors, "{name}");
            let sum: usize = all.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(sum, numbers, "{name}");
        }
    }

    #[test]
    fn sizes_are_told_by_flattened_maps_too() {
        let design = Design::named("convnet:6x6:8", 2, 5).unwrap();
        let tensors = design.tensors().unwrap();
        let shapes = tensors.iter().map(|(name, shape)| (name.clone(), &shape[..])).collect();
        assert_eq!(Design::from_shapes("convnet:6x6:8", &shapes).unwrap(), design);
    }

    #[test]
    fn the_projects_own_zoo_is_identified_without_its_metadata() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/zoo/as_is.safetensors");
        let checkpoint = Checkpoint::open(path).unwrap();
        let rules = Naming::default();
        let Identified { design, naming, fit, .. } =
            Identified::new(&checkpoint, None, &rules).unwrap();
        assert_eq!((design.name(), design.channels), ("resnet_small", 1));
        assert!(naming.is_identity() && fit.missing.is_empty() && fit.unexpected.is_empty());
        let error = Identified::new(&checkpoint, Some("resnet18"), &rules).unwrap_err().to_string();
        assert!(error.contains("does not hold a resnet18"), "{error}");
        let away = Naming::from_rules(&["conv=comb"]).unwrap();
        let error = Identified::new(&checkpoint, None, &away).unwrap_err().to_string();
        assert!(error.contains("compare it with resnet_small"), "{error}");
        assert!(error.contains("comb1.weight for conv1.weight"), "{error}");
    }
}
