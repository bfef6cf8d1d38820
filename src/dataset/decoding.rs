//! From the bytes of a picture's file to its pixels, in bounded memory.
//!
//! What a picture takes while it is decoded follows from its header: its pixels as the file holds
//! them, those in 8 bits for each of three channels where that is another form, and what the decoder
//! keeps beside them. A progressive JPEG, all of whose coefficients are kept to the end, is decoded at
//! half its height and width where it would take too much; what does still is refused.

use super::whole;
use crate::{Error, Result};
use ::image::{ColorType, DynamicImage, ImageDecoder, ImageReader};
use std::io::Cursor;
use std::path::Path;

/// What they are, for messages.
pub(super) const KINDS: &str = "a picture (PNG, JPEG, WebP, BMP, GIF, TIFF or PNM)";

/// Pixels of a picture, at most.
const MOST_PIXELS: u64 = 1 << 27;

/// Bytes that a picture may take while it is decoded, beside its file.
const MOST_MEMORY: u64 = 540_000_000;

/// What decodes these bytes, or the beginning of them.
///
/// # Errors
/// If they are no picture, or it is too large to be decoded.
pub(super) fn decoder<'a>(path: &Path, bytes: &'a [u8]) -> Result<impl ImageDecoder + 'a> {
    let refuse = refusal(path);
    if bytes.is_empty() {
        return Err(refuse("an empty file".to_owned()));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(Error::io("read", path))?;
    if reader.format().is_none() {
        return Err(refuse(format!("a file that begins with {:?}", beginning(bytes))));
    }
    let decoder = reader.into_decoder().map_err(|error| refuse(error.to_string()))?;
    // A small file may say that it is an image for which there is not the memory.
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(refuse(format!("{width}x{height} pixels, more than {MOST_PIXELS}")));
    }
    if width == 0 || height == 0 {
        return Err(refuse(format!("{width}x{height} pixels")));
    }
    let needed = if is_halved(&decoder, bytes) {
        halved_memory(&decoder, bytes)
    } else {
        memory(&decoder, bytes)
    };
    if needed > MOST_MEMORY {
        let [needed, most] = [needed, MOST_MEMORY].map(|bytes| bytes / 1_000_000);
        return Err(refuse(format!(
            "{width}x{height} pixels, which take {needed} MB while they are decoded, more than {most}; \
             make the picture smaller, or save it as a JPEG that is not progressive"
        )));
    }
    Ok(decoder)
}

/// The pixels `[H, W, 3]`, with H and W: those of the decoder, or half of them.
///
/// # Errors
/// If the bytes are damaged.
pub(super) fn pixels(
    path: &Path,
    bytes: &[u8],
    decoder: impl ImageDecoder,
) -> Result<(Vec<u8>, [usize; 2])> {
    if is_halved(&decoder, bytes) {
        return halved(bytes).map_err(refusal(path));
    }
    let (width, height) = decoder.dimensions();
    let refuse = |error: ::image::ImageError| refusal(path)(error.to_string());
    let pixels = match decoder.color_type() {
        // Where no second copy is needed, there is none.
        colour @ (ColorType::Rgb8 | ColorType::Rgba8) => {
            let mut pixels = vec![0; decoder.total_bytes() as usize];
            decoder.read_image(&mut pixels).map_err(refuse)?;
            if colour == ColorType::Rgba8 {
                let count = pixels.len() / 4;
                (1..count).for_each(|at| pixels.copy_within(4 * at..4 * at + 3, 3 * at));
                pixels.truncate(3 * count);
            }
            pixels
        }
        _ => DynamicImage::from_decoder(decoder).map_err(refuse)?.into_rgb8().into_raw(),
    };
    Ok((pixels, [height, width].map(|side| side as usize)))
}

fn area(decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    u64::from(width) * u64::from(height)
}

/// Bytes that are taken by decoding all of it.
fn memory(decoder: &impl ImageDecoder, bytes: &[u8]) -> u64 {
    let area = area(decoder);
    let converted = match decoder.color_type() {
        ColorType::Rgb8 | ColorType::Rgba8 => 0,
        _ => 3 * area,
    };
    let beside = match bytes {
        // An index of a palette for each pixel, then its colour.
        _ if bytes.starts_with(b"GIF8") => 5 * area,
        // All but the lossy ones are decoded to four channels, whatever is asked.
        _ if bytes.starts_with(b"RIFF") && bytes.get(12..16) != Some(b"VP8 ") => 4 * area,
        _ => 2 * whole::coefficients(bytes).unwrap_or(0),
    };
    decoder.total_bytes() + converted + beside
}

/// Bytes that are taken by decoding a progressive JPEG at half its height and width: coefficients,
/// planes, pixels.
fn halved_memory(decoder: &impl ImageDecoder, bytes: &[u8]) -> u64 {
    let coefficients = whole::coefficients(bytes).unwrap_or(0);
    2 * coefficients + coefficients / 4 + 3 * area(decoder) / 4
}

fn is_halved(decoder: &impl ImageDecoder, bytes: &[u8]) -> bool {
    memory(decoder, bytes) > MOST_MEMORY && whole::coefficients(bytes).is_some()
}

/// The pixels of a JPEG at half its height and width, each from four of eight frequencies.
fn halved(bytes: &[u8]) -> std::result::Result<(Vec<u8>, [usize; 2]), String> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("no header")?;
    let (width, height) = decoder
        .scale(info.width.div_ceil(2), info.height.div_ceil(2))
        .map_err(|error| error.to_string())?;
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let pixels = match info.pixel_format {
        jpeg_decoder::PixelFormat::RGB24 => pixels,
        jpeg_decoder::PixelFormat::L8 => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        other => return Err(format!("a large progressive JPEG of the kind {other:?}")),
    };
    Ok((pixels, [height, width].map(usize::from)))
}

/// How a file begins, for a reader.
fn beginning(bytes: &[u8]) -> String {
    bytes.iter().take(12).flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
}

/// The error that a file is no picture that can be used, but what was found.
pub(super) fn refusal(path: &Path) -> impl Fn(String) -> Error {
    move |found| Error::data(path, "", format!("expected {KINDS}, found: {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{ImageFormat, Rgba, RgbaImage};

    /// 75x50 pixels of Pillow's with `progressive=True`; see `tests/pictures/pillow.py`.
    fn progressive(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures");
        std::fs::read(Path::new(folder).join(name)).unwrap()
    }

    /// The same with a header that says another size.
    fn of_size(mut bytes: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
        let at = bytes.windows(2).position(|marker| marker == [0xff, 0xc2]).unwrap();
        bytes[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
        bytes[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
        bytes
    }

    #[test]
    fn half_of_a_jpeg_is_what_the_whole_looks_like_from_afar() {
        for name in ["progressive-420.jpg", "progressive-444.jpg"] {
            let bytes = progressive(name);
            let (half, [height, width]) = halved(&bytes).unwrap();
            assert_eq!(([height, width], half.len()), ([25, 38], 3 * 25 * 38));
            let path = Path::new(name);
            let (whole, sides) = pixels(path, &bytes, decoder(path, &bytes).unwrap()).unwrap();
            assert_eq!(sides, [50, 75]);
            let mut differences = 0;
            for (y, x, c) in (0..25 * 37 * 3).map(|i| (i / 111, i / 3 % 37, i % 3)) {
                let at = |dy: usize, dx: usize| {
                    u32::from(whole[((2 * y + dy) * 75 + 2 * x + dx) * 3 + c])
                };
                let mean = (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4;
                differences += u32::from(half[(y * 38 + x) * 3 + c]).abs_diff(mean);
            }
            assert!(differences < 5 * 25 * 37 * 3, "{name}: {differences}");
        }
    }

    /// Fault: a JPEG of 12000x9000 pixels took what its coefficients and pixels take.
    #[test]
    fn large_progressive_jpegs_are_halved_or_refused_with_what_they_would_take() {
        let path = Path::new("a.jpg");
        let large = of_size(progressive("progressive-420.jpg"), 12000, 9000);
        let found = decoder(path, &large).unwrap();
        assert!(is_halved(&found, &large));
        assert_eq!(memory(&found, &large) / 1_000_000, 648);
        assert_eq!(halved_memory(&found, &large) / 1_000_000, 445);
        let large = of_size(progressive("progressive-444.jpg"), 12000, 9000);
        let text = decoder(path, &large).err().unwrap().to_string();
        let expected = "12000x9000 pixels, which take 810 MB while they are decoded, more than 540";
        assert!(text.contains(expected) && text.contains("not progressive"), "{text}");
        let smaller = of_size(progressive("progressive-444.jpg"), 7000, 6000);
        assert!(!is_halved(&decoder(path, &smaller).unwrap(), &smaller));
    }

    #[test]
    fn transparency_is_dropped_where_it_lies() {
        let image = RgbaImage::from_fn(3, 2, |x, y| Rgba([x as u8, y as u8, 7, 9]));
        let mut bytes = Cursor::new(vec![]);
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        let (bytes, path) = (bytes.into_inner(), Path::new("a.png"));
        let (pixels, sides) = pixels(path, &bytes, decoder(path, &bytes).unwrap()).unwrap();
        assert_eq!(sides, [2, 3]);
        assert_eq!(pixels, DynamicImage::from(image).into_rgb8().into_raw());
    }
}
