//! Pictures in files: PNG, JPEG, WebP, BMP, GIF, TIFF, PNM.
//!
//! A picture stays in the 8 bits for each channel that nearly all files hold, as in Pillow, and is
//! turned upright and resized from there: no copy of all its pixels is made.

use super::decoding::{decoder, pixels, refusal};
use super::frame::{Area, Frame};
use super::resize::resize_bytes;
use super::whole;
use super::{Image, Transform, apply_all};
use crate::{Error, Result};
use ::image::ImageDecoder;
use ::image::metadata::Orientation;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The channels that images are read with, whatever their files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One: `0.299 red + 0.587 green + 0.114 blue` (ITU-R BT.601), as in Pillow.
    Grey,
    /// Three: red, green, blue. Transparency is ignored.
    Rgb,
}

/// How pictures are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The channels.
    pub channels: Channels,
    /// Whether a picture stays as it is stored, though its EXIF data say which side is up.
    pub ignore_orientation: bool,
}

impl Reading {
    /// Upright, in these channels.
    pub fn upright(channels: Channels) -> Self {
        Self { channels, ignore_orientation: false }
    }
}

/// How much of a picture is looked at before it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Its header, and whether its file goes on to its end.
    #[default]
    Headers,
    /// Every pixel.
    Full,
}

/// The endings of names by which pictures are found in folders.
pub(super) const ENDINGS: [&str; 12] =
    ["png", "jpg", "jpeg", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm"];

/// Whether a file is a picture by its name.
pub(super) fn is_named_as_one(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    ENDINGS.iter().any(|known| ending == *known)
}

/// The picture in a file, told by its content and not by its name, after `transforms`; what is
/// random in them is drawn from `rng`. Of a GIF, it is the first frame.
///
/// # Errors
/// If the file cannot be read, is damaged, is cut off or no picture, has more than 134 million pixels,
/// or takes more than 540 MB while it is decoded; the first error of a transform.
pub fn read_image(
    path: impl AsRef<Path>,
    reading: Reading,
    transforms: &[Transform],
    rng: &mut fastrand::Rng,
) -> Result<Image> {
    let path = path.as_ref();
    let (mut file, _) = open(path)?;
    image_from_bytes(read(&mut file, path, MOST_BYTES)?, path, reading, transforms, rng)
}

/// As [`read_image`], of a file that is in memory; `name` stands for it in messages.
///
/// # Errors
/// As [`read_image`].
pub fn image_from_bytes(
    bytes: Vec<u8>,
    name: impl AsRef<Path>,
    reading: Reading,
    transforms: &[Transform],
    rng: &mut fastrand::Rng,
) -> Result<Image> {
    let path = name.as_ref();
    let picture = Picture::decode(path, bytes, reading)?;
    let framed = transforms.first().and_then(|first| first.frame(picture.sides(), rng));
    let (frame, rest) = match framed {
        Some(frame) => (frame, &transforms[1..]),
        None => (Frame::resized(Area::whole(picture.sides()), picture.sides()), transforms),
    };
    let image = picture
        .framed(&frame)
        .map_err(|error| Error::data(path, "", format!("cannot be used: {error}")))?;
    drop(picture);
    apply_all(rest, image, rng)
}

/// The picture in a file, to take parts of.
///
/// # Errors
/// As [`read_image`].
pub(super) fn read_picture(path: &Path, reading: Reading) -> Result<Picture> {
    let (mut file, _) = open(path)?;
    Picture::decode(path, read(&mut file, path, MOST_BYTES)?, reading)
}

/// Height and width of the picture in a file, by its header.
///
/// # Errors
/// As [`read_image`], as far as the header goes.
pub(super) fn sides(path: &Path, reading: Reading) -> Result<[usize; 2]> {
    let (mut file, _) = open(path)?;
    let bytes = read(&mut file, path, MOST_BYTES)?;
    let mut decoder = decoder(path, &bytes)?;
    let (width, height) = decoder.dimensions();
    let sides = [height as usize, width as usize];
    Ok(if is_turned(orientation(&mut decoder, reading)) { [sides[1], sides[0]] } else { sides })
}

/// Looks at a picture's file.
///
/// # Errors
/// As [`read_image`], as far as that can be told.
pub fn check_image(path: impl AsRef<Path>, check: Check) -> Result<()> {
    let path = path.as_ref();
    match check {
        Check::Full => {
            let (mut file, _) = open(path)?;
            let bytes = read(&mut file, path, MOST_BYTES)?;
            let reading = Reading { channels: Channels::Rgb, ignore_orientation: true };
            Picture::decode(path, bytes, reading)?;
        }
        Check::Headers => {
            let (mut file, bytes) = open(path)?;
            let head = read(&mut file, path, HEAD)?;
            // Some formats, such as TIFF, may have what describes the picture anywhere.
            if (head.len() as u64) < bytes && decoder(path, &head).is_err() {
                decoder(path, &read(&mut file, path, MOST_BYTES)?)?;
            } else {
                decoder(path, &head)?;
            }
            let tail = tail(&mut file, path)?;
            if !whole::ends_as_usual(&head, &tail) {
                whole::check(&read(&mut file, path, MOST_BYTES)?).map_err(refusal(path))?;
            }
        }
    }
    Ok(())
}

/// Bytes of a picture's file, at most.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes at the beginning of a file, in which most formats describe the picture.
const HEAD: u64 = 1 << 18;

/// Pictures of more pixels are read one at a time: half a gigabyte each, beside threads that read
/// others.
const LARGE: u64 = 1 << 24;

/// Held by whoever reads a large picture.
static READS_A_LARGE_ONE: Mutex<()> = Mutex::new(());

/// A decoded picture. Pixels `[H, W, 3]` lie as in the file; `origin`, `down` and `right` lead
/// through them so that the picture is upright.
pub(super) struct Picture {
    pixels: Vec<u8>,
    channels: Channels,
    height: usize,
    width: usize,
    /// Height and width as the file has them, upright: of a picture that was decoded at half its size,
    /// twice as many.
    full: [usize; 2],
    /// The pixel that is seen in the upper left corner.
    origin: isize,
    /// From a pixel to the one below it, and to the one on its right.
    down: isize,
    right: isize,
    /// If it is a large one, the only one.
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Picture {
    fn decode(path: &Path, bytes: Vec<u8>, reading: Reading) -> Result<Self> {
        let mut decoder = decoder(path, &bytes)?;
        whole::check(&bytes).map_err(refusal(path))?;
        let (width, height) = decoder.dimensions();
        let is_large = u64::from(width) * u64::from(height) > LARGE;
        let alone = || READS_A_LARGE_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = is_large.then(alone);
        let orientation = orientation(&mut decoder, reading);
        let (pixels, stored) = pixels(path, &bytes, decoder)?;
        let mut picture = Self::upright(pixels, stored, reading.channels, orientation, alone);
        let full = [height as usize, width as usize];
        picture.full = if is_turned(orientation) { [full[1], full[0]] } else { full };
        Ok(picture)
    }

    /// Pixels `[H, W, 3]` that EXIF data say to look at in another way.
    fn upright(
        pixels: Vec<u8>,
        [height, width]: [usize; 2],
        channels: Channels,
        orientation: Orientation,
        alone: Option<MutexGuard<'static, ()>>,
    ) -> Self {
        let (rows, columns) = (height as isize, width as isize);
        let last = rows * columns - 1;
        let (origin, down, right) = match orientation {
            Orientation::NoTransforms => (0, columns, 1),
            Orientation::FlipHorizontal => (columns - 1, columns, -1),
            Orientation::Rotate180 => (last, -columns, -1),
            Orientation::FlipVertical => (last + 1 - columns, -columns, 1),
            Orientation::Rotate90 => (last + 1 - columns, 1, -columns),
            Orientation::Rotate270 => (columns - 1, -1, columns),
            Orientation::Rotate90FlipH => (0, 1, columns),
            Orientation::Rotate270FlipH => (last, -1, -columns),
        };
        let [height, width] =
            if is_turned(orientation) { [width, height] } else { [height, width] };
        let full = [height, width];
        Self { pixels, channels, height, width, full, origin, down, right, _alone: alone }
    }

    /// Height and width of what was decoded.
    pub fn sides(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Height and width of the file's picture.
    pub fn full_sides(&self) -> [usize; 2] {
        self.full
    }

    /// The channels that images of it have.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// Red, green and blue of some columns of a row, all of which lie inside.
    pub fn pixels(&self, row: usize, columns: Range<usize>) -> impl Iterator<Item = [u8; 3]> {
        let pixels = self.pixels.as_chunks::<3>().0;
        let start = self.origin + row as isize * self.down;
        columns.map(move |column| pixels[(start + column as isize * self.right) as usize])
    }

    /// Copies a row from a column on, as many pixels as `into` has room for: a byte for each grey one,
    /// four for each coloured one, the last of them empty.
    fn row(&self, row: usize, column: usize, into: &mut [u8]) {
        let pixels = self.pixels.as_chunks::<3>().0;
        let start = self.origin + row as isize * self.down + column as isize * self.right;
        let pixel = |k: usize| pixels[(start + k as isize * self.right) as usize];
        match self.channels {
            Channels::Grey => into.iter_mut().enumerate().for_each(|(k, v)| *v = grey(pixel(k))),
            Channels::Rgb => {
                let into = into.as_chunks_mut::<4>().0;
                let with_empty = |[r, g, b]: [u8; 3]| [r, g, b, 0];
                if self.right == 1 {
                    let pixels = &pixels[start as usize..];
                    into.iter_mut().zip(pixels).for_each(|(into, rgb)| *into = with_empty(*rgb));
                } else {
                    into.iter_mut().enumerate().for_each(|(k, into)| *into = with_empty(pixel(k)));
                }
            }
        }
    }

    /// What a frame shows, values 0 to 1.
    fn framed(&self, frame: &Frame) -> Result<Image> {
        frame.check(self.sides())?;
        let row = |y: usize, x: usize, into: &mut [u8]| self.row(y, x, into);
        let Area { height, width, .. } = frame.window;
        let (channels, values) = match self.channels {
            Channels::Grey => (1, planes::<1>(&resize_bytes::<1>(frame, row), 1)),
            Channels::Rgb => (3, planes::<4>(&resize_bytes::<4>(frame, row), 3)),
        };
        Image::new([channels, height, width], values)
    }
}

/// Which side of a picture is up; what cannot be understood says nothing.
fn orientation(decoder: &mut impl ImageDecoder, reading: Reading) -> Orientation {
    match reading.ignore_orientation {
        false => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        true => Orientation::NoTransforms,
    }
}

/// Whether rows become columns.
fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Values 0 to 1, one plane after the other, of the first channels of pixels of `S` bytes.
fn planes<const S: usize>(pixels: &[u8], channels: usize) -> Vec<f32> {
    let pixels = pixels.as_chunks::<S>().0;
    let mut values = Vec::with_capacity(channels * pixels.len());
    for channel in 0..channels {
        values.extend(pixels.iter().map(|pixel| f32::from(pixel[channel]) / 255.0));
    }
    values
}

/// A grey value, as Pillow rounds it.
pub(super) fn grey(pixel: [u8; 3]) -> u8 {
    let [r, g, b] = pixel.map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
}

/// The open file, and how many bytes it has.
fn open(path: &Path) -> Result<(File, u64)> {
    // Before opening: to open a named pipe is to wait for whoever writes to it.
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if !metadata.is_file() {
        return Err(refusal(path)("no regular file".to_owned()));
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    Ok((file, metadata.len()))
}

/// At most so many of a file's bytes, from its beginning.
fn read(file: &mut File, path: &Path, most: u64) -> Result<Vec<u8>> {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::with_capacity(length.min(most) as usize);
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(most).read_to_end(&mut bytes));
    read.map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// The last few bytes of a file.
fn tail(file: &mut File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = file.seek(SeekFrom::End(0)).map_err(Error::io("read", path))?;
    file.seek(SeekFrom::Start(end.saturating_sub(12)))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::decoding::KINDS;
    use super::*;
    use crate::dataset::ResizeMode;
    use ::image::{DynamicImage, Rgb, RgbImage};

    fn save(folder: &Path, name: &str, image: &RgbImage) -> std::path::PathBuf {
        let path = folder.join(name);
        image.save(&path).unwrap();
        path
    }

    fn noise(width: u32, height: u32) -> RgbImage {
        let mut rng = fastrand::Rng::with_seed(4);
        RgbImage::from_fn(width, height, |_, _| Rgb([rng.u8(..), rng.u8(..), rng.u8(..)]))
    }

    fn plain(path: &Path, channels: Channels) -> Result<Image> {
        let reading = Reading::upright(channels);
        read_image(path, reading, &[], &mut fastrand::Rng::with_seed(0))
    }

    #[test]
    fn every_orientation_is_that_of_the_crate_image() {
        let noise = noise(4, 3);
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut expected = DynamicImage::from(noise.clone());
            expected.apply_orientation(orientation);
            let expected = expected.into_rgb8();
            let (pixels, stored) = (noise.clone().into_raw(), [3, 4]);
            let picture = Picture::upright(pixels, stored, Channels::Rgb, orientation, None);
            let sides = [expected.height() as usize, expected.width() as usize];
            assert_eq!(picture.sides(), sides, "EXIF {exif}");
            let mut row = vec![0; 4 * (sides[1] - 1)];
            for (y, expected) in expected.rows().enumerate() {
                picture.row(y, 1, &mut row);
                let expected = expected.skip(1).flat_map(|&Rgb([r, g, b])| [r, g, b, 0]);
                assert!(row.iter().copied().eq(expected), "EXIF {exif}, row {y}");
            }
        }
    }

    #[test]
    fn channels_are_as_asked_and_grey_is_pillows() {
        let folder = tempfile::tempdir().unwrap();
        let red = RgbImage::from_pixel(3, 2, Rgb([255, 0, 0]));
        let path = save(folder.path(), "red.png", &red);
        let rgb = plain(&path, Channels::Rgb).unwrap();
        assert_eq!(rgb.shape(), [3, 2, 3]);
        assert_eq!(rgb.values(), [[1.0; 6], [0.0; 6], [0.0; 6]].concat());
        // PIL.Image.new("RGB", (1, 1), "red").convert("L").getpixel((0, 0))
        assert_eq!(plain(&path, Channels::Grey).unwrap().values(), [76.0 / 255.0; 6]);
    }

    #[test]
    fn every_format_is_read_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let image = noise(9, 7);
        let whole = plain(&save(folder.path(), "a.png", &image), Channels::Rgb).unwrap();
        for name in ["a.bmp", "a.tiff", "a.webp", "a.ppm"] {
            let path = save(folder.path(), name, &image);
            let other = folder.path().join(format!("{name}.jpg"));
            std::fs::rename(path, &other).unwrap();
            assert_eq!(plain(&other, Channels::Rgb).unwrap(), whole, "{name}");
            check_image(&other, Check::Headers).unwrap();
        }
        // Lossy ones.
        for name in ["a.jpg", "a.gif"] {
            let path = save(folder.path(), name, &image);
            assert_eq!(plain(&path, Channels::Rgb).unwrap().shape(), [3, 7, 9], "{name}");
            check_image(&path, Check::Full).unwrap();
        }
    }

    /// Of a file of any format that is cut off; in the whole kind of those of which decoders make
    /// something of what is left.
    #[test]
    fn a_picture_that_is_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let image = noise(60, 40);
        for name in ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "a.tiff", "a.ppm"] {
            let path = save(folder.path(), name, &image);
            let whole = std::fs::read(&path).unwrap();
            for share in [10, 50, 90] {
                std::fs::write(&path, &whole[..whole.len() * share / 100]).unwrap();
                let found = plain(&path, Channels::Rgb);
                let text = found.map(|_| format!("{name}, {share} %")).unwrap_err().to_string();
                assert!(text.starts_with(&path.display().to_string()), "{text}");
                assert!(check_image(&path, Check::Full).is_err());
                let quick = check_image(&path, Check::Headers);
                assert!(quick.is_err() || !name.contains("png") && !name.contains("jpg"));
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_named_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.jpg");
        for (content, found) in [("", "an empty file"), ("<!DOCTYPE html>", "<!DOCTYPE ht")] {
            std::fs::write(&path, content).unwrap();
            for check in [Check::Headers, Check::Full] {
                let text = check_image(&path, check).unwrap_err().to_string();
                let start = format!("{}: expected {KINDS}, found: ", path.display());
                assert!(text.starts_with(&start) && text.contains(found), "{text}");
            }
        }
        assert!(check_image(folder.path(), Check::Headers).is_err());
    }

    /// The header alone decides: of an image of 20000x20000 no pixel need be there.
    #[test]
    fn a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.ppm");
        std::fs::write(&path, "P6 20000 20000 255\n").unwrap();
        let text = plain(&path, Channels::Grey).unwrap_err().to_string();
        assert!(text.ends_with("found: 20000x20000 pixels, more than 134217728"), "{text}");
    }

    #[test]
    fn what_a_transform_does_first_is_done_without_a_copy_and_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = save(folder.path(), "a.png", &noise(40, 30));
        let fit = Transform::Fit { mode: ResizeMode::ShortSide, resize: 30, size: Some(20) };
        let mut rng = fastrand::Rng::with_seed(0);
        let reading = Reading::upright(Channels::Rgb);
        let at_once = read_image(&path, reading, std::slice::from_ref(&fit), &mut rng).unwrap();
        let whole = plain(&path, Channels::Rgb).unwrap();
        assert_eq!(at_once, fit.apply(whole, &mut rng).unwrap());
    }
}
