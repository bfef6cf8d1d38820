//! Images in folders, one folder for each class.

use super::samples::no_such_sample;
use super::{Dataset, Image, Samples, Transform, apply_all, sample_rng};
use crate::{Error, Result};
use ::image::{DynamicImage, ImageDecoder, ImageReader};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// The channels that images are read with, whatever their files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One: `0.299 red + 0.587 green + 0.114 blue` (ITU-R BT.601), as in Pillow.
    Grey,
    /// Three: red, green, blue. Transparency is ignored.
    Rgb,
}

/// PNG and JPEG files `root/class/file`, decoded when they are asked for.
///
/// The classes are the folders of the root in the order of their names, as in torchvision's
/// `ImageFolder`; the files of a class are in the order of theirs. Hidden files and files of
/// other kinds are passed over. Images come in their own size; a
/// [`Transform`] that resizes or crops makes them fit together.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    classes: Vec<String>,
    channels: Channels,
}

impl Folder {
    /// The image files below `root`; none is opened yet.
    ///
    /// # Errors
    /// If a folder cannot be read, `root` holds no folder, or one of these no image.
    pub fn open(root: impl AsRef<Path>, channels: Channels) -> Result<Self> {
        let root = root.as_ref().to_path_buf();
        let (mut files, mut labels, mut classes) = (vec![], vec![], vec![]);
        for folder in entries(&root)?.into_iter().filter(|path| path.is_dir()) {
            let before = files.len();
            files.extend(entries(&folder)?.into_iter().filter(|path| is_image(path)));
            if files.len() == before {
                let problem = "expected PNG or JPEG files, found none";
                return Err(Error::data(folder, "", problem));
            }
            labels.resize(files.len(), classes.len());
            classes.push(name(&folder));
        }
        if classes.is_empty() {
            let problem = "expected a folder of images for each class, found none";
            return Err(Error::data(root, "", problem));
        }
        Ok(Self { root, files, labels, classes, channels })
    }

    /// The files, by index.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// All images in memory, decoded and transformed in parallel; what is random in
    /// `transforms` is drawn once, from `seed`.
    ///
    /// # Errors
    /// If an image cannot be read or transformed, or shapes differ afterwards.
    pub fn load(&self, transforms: &[Transform], seed: u64) -> Result<Samples> {
        let images: Vec<Result<Image>> = (0..self.files.len())
            .into_par_iter()
            .map(|index| apply_all(transforms, self.image(index)?, &mut sample_rng(seed, 0, index)))
            .collect();
        let images = images.into_iter().collect::<Result<_>>()?;
        Samples::new(&self.root, images, self.labels.clone(), self.classes.clone())
    }
}

impl Dataset for Folder {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn name(&self, index: usize) -> String {
        self.files.get(index).map_or_else(|| index.to_string(), |path| path.display().to_string())
    }

    fn image(&self, index: usize) -> Result<Image> {
        let path = self.files.get(index);
        let path = path.ok_or_else(|| no_such_sample(&self.root, index, self.len()))?;
        read_image(path, self.channels)
    }
}

/// Pixels of an image, at most; each takes up to 28 bytes while it is read.
const MOST_PIXELS: u64 = 1 << 27;

/// What a folder holds, hidden things aside, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(Error::io("read", folder))?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

/// The PNG and JPEG files of a folder and of the folders in it, in the order of their names; links to
/// folders are not followed, for they may lead back.
///
/// # Errors
/// If a folder cannot be read.
pub fn image_files(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder.as_ref())? {
        if path.is_dir() && !path.is_symlink() {
            files.extend(image_files(path)?);
        } else if is_image(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    path.is_file() && ["png", "jpg", "jpeg"].iter().any(|known| extension == *known)
}

/// The image in a PNG or JPEG file, told by its content and not by its name.
///
/// # Errors
/// If the file cannot be read or is neither, or has more than 134 million pixels.
pub fn read_image(path: impl AsRef<Path>, channels: Channels) -> Result<Image> {
    let path = path.as_ref();
    // Before opening: to open a named pipe is to wait for whoever writes to it.
    if !std::fs::metadata(path).map_err(Error::io("open", path))?.is_file() {
        return Err(Error::data(path, "", "expected a PNG or JPEG image, found no regular file"));
    }
    let reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(Error::io("open", path))?;
    let refuse =
        |found| Error::data(path, "", format!("expected a PNG or JPEG image, found: {found}"));
    let decoder = reader.into_decoder().map_err(|error| refuse(error.to_string()))?;
    // A small file may say that it is an image for which there is not the memory.
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(refuse(format!("{width}x{height} pixels, more than {MOST_PIXELS}")));
    }
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| refuse(error.to_string()))?;
    from_decoded(&decoded, channels)
        .map_err(|error| Error::data(path, "", format!("cannot be used: {error}")))
}

fn from_decoded(decoded: &DynamicImage, channels: Channels) -> Result<Image> {
    let rgb = decoded.to_rgb32f();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let pixels = rgb.as_raw().as_chunks::<3>().0;
    let (count, values) = match channels {
        Channels::Grey => {
            let grey = |[r, g, b]: &[f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
            (1, pixels.iter().map(grey).collect())
        }
        Channels::Rgb => (3, (0..3).flat_map(|c| pixels.iter().map(move |p| p[c])).collect()),
    };
    Image::new([count, height, width], values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{Rgb, RgbImage};

    /// `b/2.png` 3x2 red, `b/1.jpg` 4x4 grey 128, `a/x.PNG` 2x2 white, and what is no image.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for class in ["b", "a", ".hidden"] {
            std::fs::create_dir(root.join(class)).unwrap();
        }
        let save = |name: &str, width, height, colour| {
            RgbImage::from_pixel(width, height, Rgb(colour)).save(root.join(name)).unwrap();
        };
        save("b/2.png", 3, 2, [255, 0, 0]);
        save("b/1.jpg", 4, 4, [128; 3]);
        save("a/x.PNG", 2, 2, [255; 3]);
        for other in ["README.md", "a/notes.txt", "a/.thumbnail.png"] {
            std::fs::write(root.join(other), "no image").unwrap();
        }
        folder
    }

    #[test]
    fn classes_and_files_are_sorted() {
        let folder = folder();
        let images = Folder::open(folder.path(), Channels::Rgb).unwrap();
        assert_eq!(images.classes(), ["a", "b"]);
        assert_eq!(images.labels(), [0, 1, 1]);
        let names: Vec<String> = images.files().iter().map(|file| name(file)).collect();
        assert_eq!(names, ["x.PNG", "1.jpg", "2.png"]);
    }

    #[test]
    fn channels_are_as_asked() {
        let folder = folder();
        let red = Folder::open(folder.path(), Channels::Rgb).unwrap().image(2).unwrap();
        assert_eq!(red.shape(), [3, 2, 3]);
        assert_eq!(red.values(), [[1.0; 6], [0.0; 6], [0.0; 6]].concat());
        let images = Folder::open(folder.path(), Channels::Grey).unwrap();
        assert_eq!(images.image(2).unwrap().values(), [0.299; 6]);
        // JPEG may be off by a step or two of 255.
        let grey = images.image(1).unwrap();
        assert!(grey.values().iter().all(|v| (v - 128.0 / 255.0).abs() < 0.01), "{grey:?}");
        assert!(images.image(3).is_err());
    }

    #[test]
    fn images_of_all_sizes_load_together_once_resized() {
        let folder = folder();
        let images = Folder::open(folder.path(), Channels::Rgb).unwrap();
        let loaded = images.load(&[Transform::Resize(5, 6)], 0).unwrap();
        assert_eq!(loaded.shape(), [3, 5, 6]);
        let text = images.load(&[], 0).unwrap_err().to_string();
        assert!(text.contains("sample 1: expected an image of shape [3, 2, 2]"), "{text}");
    }

    #[test]
    fn what_is_no_image_is_named() {
        let folder = folder();
        let path = folder.path().join("a/text.png");
        std::fs::write(&path, "this is a text").unwrap();
        let images = Folder::open(folder.path(), Channels::Rgb).unwrap();
        let text = images.image(0).unwrap_err().to_string();
        let start = format!("{}: expected a PNG or JPEG image, found: ", path.display());
        assert!(text.starts_with(&start), "{text}");

        let whole = std::fs::read(folder.path().join("b/2.png")).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let text = images.load(&[Transform::Resize(4, 4)], 0).unwrap_err().to_string();
        assert!(text.starts_with(&start), "{text}");
        assert!(read_image(folder.path(), Channels::Rgb).is_err());
    }

    /// The header alone decides: of an image of 20000x20000 no pixel need be there.
    #[test]
    fn an_image_of_too_many_pixels_is_refused_before_it_is_decoded() {
        let folder = folder();
        let path = folder.path().join("huge.png");
        let side = 20_000u32.to_be_bytes();
        let mut header = [&b"IHDR"[..], &side, &side, &[8, 0, 0, 0, 0]].concat();
        header.extend(crc(&header).to_be_bytes());
        let file = [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &header, b"\0\0\0\0IDAT\x35\xaf\x06\x1e"];
        std::fs::write(&path, file.concat()).unwrap();
        let text = read_image(&path, Channels::Grey).unwrap_err().to_string();
        assert!(text.ends_with("found: 20000x20000 pixels, more than 134217728"), "{text}");
    }

    /// The checksum of PNG, bit by bit.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
            (0..8).fold(crc ^ u32::from(byte), step)
        })
    }

    #[test]
    fn folders_without_images_are_errors() {
        let empty = tempfile::tempdir().unwrap();
        let open = || Folder::open(empty.path(), Channels::Rgb).unwrap_err().to_string();
        assert!(open().contains("expected a folder of images for each class, found none"));
        std::fs::create_dir(empty.path().join("cats")).unwrap();
        let text = open();
        assert!(text.ends_with("cats: expected PNG or JPEG files, found none"), "{text}");
        assert!(Folder::open("nowhere", Channels::Rgb).is_err());
    }
}
