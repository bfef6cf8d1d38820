//! Which network a checkpoint holds, if the checkpoint does not say.

use super::{Architecture, Builder, Resnet};
use crate::zoo::{Checkpoint, Expected, Fit, Naming, TensorView};
use crate::{Error, Result};

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

impl Architecture {
    /// The tensors of a plain network, with their shapes.
    ///
    /// # Errors
    /// If a size is out of range.
    pub fn tensors(&self) -> Result<Vec<Expected>> {
        let mut tensors = Vec::new();
        Resnet::<f32>::new(self, Builder::outlined(&mut tensors))?;
        Ok(tensors)
    }
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
                "holds none of the networks {}; inspect --as {} shows what does not fit, and \
                 --rename FROM=TO can change names",
                Architecture::NAMES.join(", "),
                nearest.unwrap_or(Architecture::NAMES[0])
            );
            Error::format(checkpoint.path(), problem)
        })
    }
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
        assert!(error.contains("inspect --as resnet_small"), "{error}");
    }
}
