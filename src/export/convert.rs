//! From one format to another.

use super::{
    Renamed, from_authors, to_authors, with_batch_counts, write_pytorch, write_safetensors,
};
use crate::nn::Blueprint;
use crate::zoo::{Checkpoint, Format};
use crate::{Error, Result};
use std::path::Path;

/// Whose names the tensors of a zoo are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Those of the authors' PyTorch code, from ours.
    Authors,
    /// Ours, from the authors'.
    Ours,
}

/// The endings of files, and the formats that they stand for.
const ENDINGS: [(&str, Format); 5] = [
    ("safetensors", Format::Safetensors),
    ("pth", Format::PytorchZip),
    ("pt", Format::PytorchZip),
    ("bin", Format::PytorchZip),
    ("onnx", Format::Onnx),
];

/// The format that a file to be written has, by the ending of its name.
///
/// # Errors
/// If the ending stands for none.
pub fn format_of_ending(path: impl AsRef<Path>) -> Result<Format> {
    let path = path.as_ref();
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let format = ENDINGS.into_iter().find(|(known, _)| *known == ending);
    format.map(|(_, format)| format).ok_or_else(|| {
        let known = ENDINGS.map(|(known, _)| format!(".{known}")).join(", ");
        Error::format(
            path,
            format!("the ending says no format to write; those that do are {known}"),
        )
    })
}

/// The tensors and texts of a file, to be written in another format, under other names if asked.
///
/// Everything is carried as it is, but see [`Renamed::in_format`].
///
/// # Errors
/// As [`to_authors`] and [`from_authors`].
pub fn converted(
    checkpoint: &Checkpoint,
    format: Format,
    names: Option<Names>,
) -> Result<Renamed<'_>> {
    let renamed = match names {
        Some(Names::Authors) => to_authors(checkpoint)?,
        Some(Names::Ours) => from_authors(checkpoint)?,
        None => {
            let tensors = checkpoint.iter().map(|view| (view.name().to_owned(), view.into()));
            Renamed { tensors: tensors.collect(), metadata: checkpoint.metadata().clone() }
        }
    };
    Ok(renamed.in_format(format))
}

impl Renamed<'_> {
    /// The same as it belongs into a file of that format: in a PyTorch file a network of ours has
    /// counts of 0 beside the running statistics of its batch norms, which strict loading may miss.
    #[must_use]
    pub fn in_format(self, format: Format) -> Self {
        let is_ours = || Blueprint::from_metadata("", &self.metadata).is_ok();
        if format != Format::PytorchZip || !is_ours() {
            return self;
        }
        Self { tensors: with_batch_counts(self.tensors), metadata: self.metadata }
    }

    /// The same with numbers of 16 bits for those of 32.
    ///
    /// # Errors
    /// If one is too large for that, or cannot be read.
    pub fn halved(self) -> Result<Self> {
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for (name, data) in self.tensors {
            let refuse = |error| Error::argument("convert", format!("{name}: {error}"));
            tensors.push((name.clone(), data.halved().map_err(refuse)?));
        }
        Ok(Self { tensors, metadata: self.metadata })
    }

    /// Writes the file at `path` in a format that holds nothing but tensors and texts.
    ///
    /// # Errors
    /// If it is another format, or as [`write_safetensors`] and [`write_pytorch`].
    pub fn write(&self, path: impl AsRef<Path>, format: Format) -> Result<()> {
        let tensors = self.tensors.iter().map(|(name, data)| (name.as_str(), data.clone()));
        match format {
            Format::Safetensors => write_safetensors(path, tensors, &self.metadata),
            Format::PytorchZip => write_pytorch(path, tensors, &self.metadata),
            other => {
                Err(Error::argument("write", format!("{other} is no format for tensors alone")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;
    use crate::tensor::Tensor;
    use crate::zoo::fixture;

    #[test]
    fn the_ending_says_the_format() {
        assert_eq!(format_of_ending("a/b.pth").unwrap(), Format::PytorchZip);
        assert_eq!(format_of_ending("b.PT").unwrap(), Format::PytorchZip);
        assert_eq!(format_of_ending("pth.safetensors").unwrap(), Format::Safetensors);
        for path in ["pth", "a.pth/b", "b.h5", ".onnx"] {
            let said = format_of_ending(path).unwrap_err().to_string();
            assert!(said.contains("those that do are .safetensors, .pth"), "{said}");
        }
    }

    #[test]
    fn only_networks_of_ours_get_counts_and_only_in_a_pytorch_file() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let blueprint = design.plain();
        let variance = Tensor::<f32>::zeros(&[2]);
        let names = |format, ours: bool| {
            let path = fixture::file(&[]);
            let metadata = if ours { blueprint.to_metadata() } else { Default::default() };
            write_safetensors(&path, [("bn1.running_var", (&variance).into())], &metadata).unwrap();
            let checkpoint = Checkpoint::open(&path).unwrap();
            let converted = converted(&checkpoint, format, None).unwrap();
            assert_eq!(converted.metadata, metadata);
            converted.tensors.len()
        };
        assert_eq!(names(Format::PytorchZip, true), 2);
        assert_eq!(names(Format::PytorchZip, false), 1);
        assert_eq!(names(Format::Safetensors, true), 1);
    }
}
