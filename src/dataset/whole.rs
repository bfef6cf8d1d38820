//! Whether the file of a picture goes on to its end: some decoders make something of what is left.

/// The last bytes that a JPEG and a PNG usually have: the marker EOI, and the chunk IEND.
const EOI: [u8; 2] = [0xff, 0xd9];
const IEND: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

const JPEG: &[u8] = &[0xff, 0xd8];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Whether a file with this beginning and these last bytes need not be looked at further.
pub(super) fn ends_as_usual(head: &[u8], tail: &[u8]) -> bool {
    match head {
        _ if head.starts_with(JPEG) => tail.ends_with(&EOI),
        _ if head.starts_with(PNG) => tail.ends_with(&IEND),
        _ => true,
    }
}

/// An error, as what was found, if the bytes of a file stop before its picture does. Further bytes
/// behind it, as some cameras and programs write, are no fault.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let (is_whole, end) = match bytes {
        _ if bytes.starts_with(JPEG) => (jpeg_ends(bytes), "end-of-image marker"),
        _ if bytes.starts_with(PNG) => (png_ends(bytes), "IEND chunk"),
        _ => (true, ""),
    };
    match is_whole {
        true => Ok(()),
        false => Err(format!("a file that is cut off: {} bytes, and no {end}", bytes.len())),
    }
}

/// Whether the marker that ends an image is among a JPEG's.
fn jpeg_ends(bytes: &[u8]) -> bool {
    segments(bytes).any(|(marker, _)| marker == 0xd9)
}

/// Markers of a JPEG, and what the segments behind them hold, as far as they are whole. A segment has
/// its length in front; behind the one that begins a scan lie its data, in which 255 stands before 0
/// or a restart marker only (ITU-T T.81, B.1.1).
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = &bytes[JPEG.len()..];
    std::iter::from_fn(move || {
        loop {
            let at = rest.iter().position(|&byte| byte == 0xff)?;
            let (&marker, length) = (rest.get(at + 1)?, rest.get(at + 2..at + 4));
            let behind = &rest[at + 1..];
            match (marker, length) {
                (0xd9, _) => {
                    rest = &[];
                    return Some((marker, rest));
                }
                // A byte that fills, which may stand before any marker.
                (0xff, _) => rest = behind,
                (0x00 | 0x01 | 0xd0..=0xd8, _) => rest = &behind[1..],
                (_, Some(&[high, low])) => {
                    let end = 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
                    let content = behind.get(3..end).unwrap_or(&[]);
                    rest = behind.get(end..).unwrap_or(&[]);
                    return Some((marker, content));
                }
                _ => return None,
            }
        }
    })
}

/// How many coefficients a decoder of a progressive JPEG keeps: 64 for each block of each component, to
/// the ends of the units that blocks of all components form (A.2.4). `None` of any other file.
pub(super) fn coefficients(bytes: &[u8]) -> Option<u64> {
    const PROGRESSIVE: u8 = 0xc2;
    // Huffman tables, arithmetic conditioning, and what is reserved.
    let is_frame =
        |marker: u8| matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
    let mut segments = segments(bytes.starts_with(JPEG).then_some(bytes)?);
    let (marker, frame) = segments.find(|(marker, _)| is_frame(*marker))?;
    if marker != PROGRESSIVE {
        return None;
    }
    let (&[_, y1, y0, x1, x0, _], components) = frame.split_first_chunk()?;
    let sides = [[y1, y0], [x1, x0]].map(|side| u64::from(u16::from_be_bytes(side)));
    let factors: Vec<[u64; 2]> = components
        .chunks_exact(3)
        .map(|component| [component[1] & 15, component[1] >> 4].map(u64::from))
        .collect();
    let units = [0, 1].map(|axis| {
        let most = factors.iter().map(|of| of[axis]).max().unwrap_or(1).max(1);
        sides[axis].div_ceil(8 * most)
    });
    let blocks: u64 = factors.iter().map(|[v, h]| v * h).sum();
    Some(64 * blocks * units[0] * units[1])
}

/// Chunks have a length, a name, so many bytes, and a checksum.
fn png_ends(bytes: &[u8]) -> bool {
    let mut rest = &bytes[PNG.len()..];
    while let Some((&[a, b, c, d, ref name @ ..], behind)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        match behind.get(length.saturating_add(4)..) {
            Some(_) if name == b"IEND" => return true,
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{ImageFormat, Rgb, RgbImage};
    use std::io::Cursor;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let image = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 255]));
        let mut bytes = Cursor::new(vec![]);
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn what_is_cut_off_anywhere_is_told() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let whole = encoded(format);
            assert_eq!(check(&whole), Ok(()));
            assert!(ends_as_usual(&whole, &whole[whole.len() - 12..]));
            for count in 8..whole.len() {
                assert!(check(&whole[..count]).is_err(), "{format:?} of {count} bytes");
            }
        }
    }

    #[test]
    fn bytes_behind_a_picture_are_no_fault() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let long = [encoded(format), vec![0; 40]].concat();
            assert!(!ends_as_usual(&long, &long[long.len() - 12..]));
            assert_eq!(check(&long), Ok(()));
        }
    }

    /// A thumbnail in a segment has an end of its own.
    #[test]
    fn the_end_of_a_thumbnail_is_not_the_pictures() {
        let whole = encoded(ImageFormat::Jpeg);
        let segment = [&[0xff, 0xe1, 0, 2 + 6][..], &[0xff, 0xd8, 1, 2, 0xff, 0xd9]].concat();
        let mut with = [&whole[..2], &segment, &whole[2..]].concat();
        assert_eq!(check(&with), Ok(()));
        with.truncate(with.len() - 2);
        assert!(check(&with).is_err());
    }
}
