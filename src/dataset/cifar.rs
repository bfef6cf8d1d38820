//! CIFAR-10 and CIFAR-100 in their binary version (Krizhevsky, 2009).
//!
//! ```text
//! CIFAR-10    label, 1024 red, 1024 green, 1024 blue            data_batch_1.bin ... test_batch.bin
//! CIFAR-100   coarse label, fine label, the same 3072 bytes     train.bin, test.bin
//! ```
//!
//! Each of them a byte, row by row of 32x32. A text file beside them names the classes.

use super::picture::grey;
use super::samples::{no_such_sample, wrong_label};
use super::{Channels, Dataset, Image, Split, bytes};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;

/// The files of a folder that holds one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// With what each is for.
    batches: Vec<(Split, PathBuf)>,
    names: PathBuf,
    /// Bytes before the pixels; the last is the label.
    labels: usize,
    classes: usize,
}

impl Files {
    /// What is in a folder, if it is one of the two.
    pub fn find(folder: &Path) -> Option<Self> {
        let batch = |k: usize| (Split::Training, folder.join(format!("data_batch_{k}.bin")));
        let mut ten: Vec<_> = (1..=5).map(batch).collect();
        ten.push((Split::Test, folder.join("test_batch.bin")));
        let hundred = vec![
            (Split::Training, folder.join("train.bin")),
            (Split::Test, folder.join("test.bin")),
        ];
        let of = |batches: Vec<(Split, PathBuf)>, names: &str, labels, classes| {
            let names = folder.join(names);
            let is_there = names.is_file() && batches.iter().any(|(_, file)| file.is_file());
            is_there.then_some(Self { batches, names, labels, classes })
        };
        of(ten, "batches.meta.txt", 1, 10).or_else(|| of(hundred, "fine_label_names.txt", 2, 100))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        self.batches.iter().map(|(_, file)| file.as_path()).chain([self.names.as_path()])
    }

    /// The images, in the bytes of the files.
    ///
    /// # Errors
    /// If a file is missing, is cut off, or holds a label beyond the classes.
    pub fn read(&self, channels: Channels) -> Result<Cifar> {
        let text = std::fs::read_to_string(&self.names).map_err(Error::io("read", &self.names))?;
        let classes: Vec<String> =
            text.lines().map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
        if classes.len() != self.classes {
            let problem =
                format!("expected {} names, a line each, found {}", self.classes, classes.len());
            return Err(Error::data(&self.names, "", problem));
        }
        let (mut pixels, mut labels, mut splits) = (vec![], vec![], vec![]);
        for (split, path) in &self.batches {
            let content = bytes::read(path)?;
            let record = self.labels + 3 * PIXELS;
            if content.is_empty() || content.len() % record != 0 {
                let problem = format!(
                    "expected records of {record} bytes, found {} bytes: {} records and {} more",
                    content.len(),
                    content.len() / record,
                    content.len() % record
                );
                return Err(Error::data(path, "", problem));
            }
            for (at, record) in content.chunks_exact(record).enumerate() {
                let (labelled, colours) = record.split_at(self.labels);
                let label = usize::from(labelled[self.labels - 1]);
                if label >= self.classes {
                    let place = format!("record {at}");
                    return Err(Error::data(path, place, wrong_label(label, self.classes)));
                }
                pixels.extend_from_slice(colours);
                labels.push(label);
                splits.push(*split);
            }
        }
        let folder = self.names.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Cifar { folder, pixels, labels, splits, classes, channels })
    }
}

/// The images of CIFAR-10 or CIFAR-100, 32x32.
pub struct Cifar {
    folder: PathBuf,
    /// `[N, 3, 32, 32]`.
    pixels: Vec<u8>,
    labels: Vec<usize>,
    splits: Vec<Split>,
    classes: Vec<String>,
    channels: Channels,
}

impl Dataset for Cifar {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn image(&self, index: usize) -> Result<Image> {
        let pixels = self.pixels.as_chunks::<{ 3 * PIXELS }>().0.get(index);
        let pixels = pixels.ok_or_else(|| no_such_sample(&self.folder, index, self.len()))?;
        let value = |pixel: u8| f32::from(pixel) / 255.0;
        let values: Vec<f32> = match self.channels {
            Channels::Rgb => pixels.iter().map(|&pixel| value(pixel)).collect(),
            Channels::Grey => {
                let at = |k: usize| [pixels[k], pixels[PIXELS + k], pixels[2 * PIXELS + k]];
                (0..PIXELS).map(|k| value(grey(at(k)))).collect()
            }
        };
        Image::new([values.len() / PIXELS, SIDE, SIDE], values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with files of so many records, whose bytes count up from their number.
    fn folder(
        names: &str,
        classes: usize,
        labels: usize,
        files: &[(&str, usize)],
    ) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..classes).map(|k| format!("class{k}\n")).collect();
        std::fs::write(folder.path().join(names), text + "\n").unwrap();
        for (file, records) in files {
            let record = |at: usize| {
                let mut record = vec![at as u8 % 10; labels + 3 * PIXELS];
                record[labels..]
                    .iter_mut()
                    .enumerate()
                    .for_each(|(k, p)| *p = (k / PIXELS * 100 + at) as u8);
                record
            };
            let bytes: Vec<u8> = (0..*records).flat_map(record).collect();
            std::fs::write(folder.path().join(file), bytes).unwrap();
        }
        folder
    }

    fn hundred() -> tempfile::TempDir {
        folder("fine_label_names.txt", 100, 2, &[("train.bin", 12), ("test.bin", 3)])
    }

    #[test]
    fn cifar_100_is_read() {
        let folder = hundred();
        let files = Files::find(folder.path()).unwrap();
        let cifar = files.read(Channels::Rgb).unwrap();
        assert_eq!((cifar.len(), cifar.classes().len()), (15, 100));
        assert_eq!((cifar.labels()[11], &*cifar.classes()[1]), (1, "class1"));
        assert_eq!(Split::Test.indices(cifar.splits()), [12, 13, 14]);
        let image = cifar.image(2).unwrap();
        assert_eq!(image.shape(), [3, 32, 32]);
        assert_eq!(
            [0, 1024, 2048].map(|at| image.values()[at]),
            [2.0, 102.0, 202.0].map(|v| v / 255.0)
        );
        assert_eq!(files.read(Channels::Grey).unwrap().image(2).unwrap().shape(), [1, 32, 32]);
        assert!(cifar.image(15).is_err());
    }

    #[test]
    fn cifar_10_is_read() {
        let batches = [
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
            "test_batch.bin",
        ]
        .map(|name| (name, 2));
        let folder = folder("batches.meta.txt", 10, 1, &batches);
        let cifar = Files::find(folder.path()).unwrap().read(Channels::Rgb).unwrap();
        assert_eq!((cifar.len(), cifar.labels()[1]), (12, 1));
        assert_eq!(Split::Test.indices(cifar.splits()), [10, 11]);
    }

    #[test]
    fn what_is_cut_off_or_missing_is_named() {
        let folder = hundred();
        let files = Files::find(folder.path()).unwrap();
        let text = |files: &Files| files.read(Channels::Rgb).err().unwrap().to_string();
        std::fs::write(folder.path().join("train.bin"), vec![0; 4000]).unwrap();
        assert!(
            text(&files).ends_with("found 4000 bytes: 1 records and 926 more"),
            "{}",
            text(&files)
        );
        std::fs::write(folder.path().join("train.bin"), vec![100; 3074]).unwrap();
        assert!(
            text(&files).contains("train.bin, record 0: expected a label from 0 to 99, found 100")
        );
        std::fs::remove_file(folder.path().join("train.bin")).unwrap();
        assert!(text(&files).contains("train.bin"));
        assert!(Files::find(&folder.path().join("nowhere")).is_none());
    }
}
