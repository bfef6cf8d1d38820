//! The handwritten digits of UCI ("Optical Recognition of Handwritten Digits").
//!
//! A row holds 64 integers, the 8x8 image from the top left corner, 0 for paper to 16 for
//! ink, then the label 0 to 9; no header. The file may be packed with gzip.

use super::samples::wrong_label;
use super::{Image, Samples, bytes};
use crate::{Error, Result};
use std::path::Path;

const SIDE: usize = 8;
const INK: u8 = 16;
const CLASSES: usize = 10;

/// The digits of the file at `path`, each of shape `[1, size, size]`, 0 for paper to 1 for ink.
///
/// # Errors
/// If the file cannot be read or unpacked, holds no row, or if a row has not 65 columns, a
/// value above 16 or a label above 9.
pub fn read(path: impl AsRef<Path>, size: usize) -> Result<Samples> {
    let path = path.as_ref();
    parse(&bytes::read(path)?, path, size)
}

/// As [`read`], for a file that is in memory already; `origin` appears in messages only.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(content: &[u8], origin: impl AsRef<Path>, size: usize) -> Result<Samples> {
    let origin = origin.as_ref();
    parse(&bytes::unpacked(content.to_vec(), origin)?, origin, size)
}

fn parse(content: &[u8], path: &Path, size: usize) -> Result<Samples> {
    // Rows of any length are let through, so that the message can say which one it is.
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
    let (mut images, mut labels) = (vec![], vec![]);
    let mut row = csv::ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(Error::data(path, format!("line {line}"), error.to_string())),
        }
        let line = row.position().map_or(line, csv::Position::line);
        let (image, label) =
            sample(&row).map_err(|problem| Error::data(path, format!("line {line}"), problem))?;
        images.push(image.resized(size, size)?);
        labels.push(label);
    }
    let classes = (0..CLASSES).map(|digit| digit.to_string()).collect();
    Samples::new(path, images, labels, classes)
}

/// The image and the label of a row, or what is wrong with it.
fn sample(row: &csv::ByteRecord) -> Result<(Image, usize), String> {
    if row.len() != SIDE * SIDE + 1 {
        return Err(format!("expected {} columns, found {}", SIDE * SIDE + 1, row.len()));
    }
    let mut pixels = Vec::with_capacity(SIDE * SIDE);
    for (column, field) in row.iter().take(SIDE * SIDE).enumerate() {
        match number(field) {
            Some(value) if value <= INK => pixels.push(f32::from(value) / f32::from(INK)),
            _ => {
                let found = String::from_utf8_lossy(field);
                return Err(format!(
                    "column {}: expected an integer from 0 to {INK}, found {found:?}",
                    column + 1
                ));
            }
        }
    }
    let label = match number(&row[SIDE * SIDE]).map(usize::from) {
        Some(label) if label < CLASSES => label,
        Some(label) => return Err(wrong_label(label, CLASSES)),
        None => {
            let found = String::from_utf8_lossy(&row[SIDE * SIDE]);
            return Err(format!("expected a label from 0 to {}, found {found:?}", CLASSES - 1));
        }
    };
    let image = Image::new([1, SIDE, SIDE], pixels).map_err(|error| error.to_string())?;
    Ok((image, label))
}

fn number(field: &[u8]) -> Option<u8> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.csv.gz");

    fn message(content: &[u8]) -> String {
        from_bytes(content, "digits.csv", 8).unwrap_err().to_string()
    }

    fn row(label: &str) -> String {
        format!("{}{label}\n", "3,".repeat(64))
    }

    #[test]
    fn the_real_file_is_what_its_description_says() {
        let digits = read(FILE, 8).unwrap();
        assert_eq!((digits.len(), digits.shape()), (1797, [1, 8, 8]));
        // The first row begins 0,0,5,13,9,1 and is a zero.
        assert_eq!(digits.images()[0].values()[2..5], [5.0 / 16.0, 13.0 / 16.0, 9.0 / 16.0]);
        assert_eq!(digits.labels()[..5], [0, 1, 2, 3, 4]);
        // As counted in the description that comes with the original.
        let mut counts = [0; 10];
        digits.labels().iter().for_each(|&label| counts[label] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn digits_come_in_any_size() {
        let digits = read(FILE, 16).unwrap();
        assert_eq!(digits.shape(), [1, 16, 16]);
        // Between 0 and 5 in the first row: 3 to 1, twice at the edge.
        assert_eq!(digits.images()[0].values()[3..5], [0.25 * 5.0 / 16.0, 0.75 * 5.0 / 16.0]);
        assert!(read(FILE, 0).is_err());
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let whole = std::fs::read(FILE).unwrap();
        let text = message(&whole[..whole.len() / 2]);
        assert!(text.contains("digits.csv, after") && text.contains("cut off"), "{text}");
    }

    #[test]
    fn wrong_rows_are_named() {
        let good = row("7");
        assert_eq!(
            message(format!("{good}{}1\n", "3,".repeat(63)).as_bytes()),
            "digits.csv, line 2: expected 65 columns, found 64"
        );
        assert_eq!(
            message(format!("{good}{good}{}", row("11")).as_bytes()),
            "digits.csv, line 3: expected a label from 0 to 9, found 11"
        );
        assert_eq!(
            message(row("7").replacen('3', "17", 1).as_bytes()),
            "digits.csv, line 1: column 1: expected an integer from 0 to 16, found \"17\""
        );
        assert_eq!(
            message(row("seven").as_bytes()),
            "digits.csv, line 1: expected a label from 0 to 9, found \"seven\""
        );
        assert_eq!(message(b""), "digits.csv: expected at least one sample, found none");
        assert!(message(&[0xff, 0x00, b'"', b'\n']).contains("expected 65 columns"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let text = read("nowhere/digits.csv.gz", 8).unwrap_err().to_string();
        assert!(text.starts_with("cannot read nowhere/digits.csv.gz: "), "{text}");
    }
}
