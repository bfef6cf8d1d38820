//! Files that `predict` writes for each picture.

use crate::dataset::Image;
use crate::{Error, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file in `folder` for each picture: its name with this ending, and a number behind it if another has
/// it.
pub fn files_for(pictures: &[PathBuf], folder: &Path, ending: &str) -> BTreeMap<String, PathBuf> {
    let (mut files, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for picture in pictures {
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.entry(picture.display().to_string()).or_insert_with(|| {
            let numbered = (2..).map(|number| format!("{stem}-{number}"));
            let mut names = std::iter::once(stem.clone()).chain(numbered);
            let name = names.find(|name| taken.insert(name.clone())).unwrap_or(stem);
            folder.join(format!("{name}.{ending}"))
        });
    }
    files
}

/// An image of red, green and blue, 0 to 1, as the bytes of a PNG.
pub fn png(image: &Image) -> Result<Vec<u8>> {
    let [_, height, width] = image.shape();
    let mut bytes = Vec::new();
    // No side is longer than a picture's may be.
    PngEncoder::new(&mut bytes)
        .write_image(&image.rgb_bytes(), width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(|error| Error::argument("png", error.to_string()))?;
    Ok(bytes)
}
