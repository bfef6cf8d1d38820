//! Which reader a file of annotations is for, and where the pictures are that it names.

use super::marks::{Marked, Marks, Named, Names};
use super::{Annotated, Annotations, coco, deeplabcut, dlib, hrnet, menpo};
use crate::dataset::picture::ENDINGS;
use crate::dataset::{Split, bytes};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The files of annotations that are read.
const KINDS: &str = "CSV of DeepLabCut or HRNet-Facial-Landmark-Detection, JSON of COCO's keypoints, XML \
                     of dlib, .pts or .ljson";

/// Who reads a file: from its path, for messages, and its bytes.
type Reader = fn(&Path, &[u8]) -> Result<Marks>;

impl Annotations {
    /// Reads a file of annotations, or all of a folder and the folders in it, those beside each picture
    /// too. What a file is for is known from words such as `train` in its path below the folder.
    ///
    /// # Errors
    /// If there are none, one is damaged, or a picture that it names is not there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        let (files, is_folder) = match metadata.is_dir() {
            true => (files_of(path)?, true),
            false => (vec![path.to_path_buf()], false),
        };
        let mut read: Vec<(PathBuf, Marks)> = Vec::new();
        let mut notes = Vec::new();
        for file in files {
            if is_folder && !may_be_one(&file) {
                continue;
            }
            let content = bytes::read(&file)?;
            match reader(&file, &content) {
                Some(reader) => read.push((file.clone(), reader(&file, &content)?)),
                None if is_folder => {
                    notes
                        .push(format!("{}: left out, since it is none of {KINDS}", file.display()));
                }
                None => return Err(unknown(&file)),
            }
        }
        if read.is_empty() {
            let problem = format!("expected {KINDS} with pictures beside them, found none");
            return Err(Error::data(path, "", problem));
        }
        gathered(path, read, notes)
    }
}

/// Whether a file may hold annotations, by the ending of its name.
fn may_be_one(file: &Path) -> bool {
    ["csv", "json", "ljson", "xml", "pts", "mat"].contains(&ending(file).as_str())
}

fn ending(file: &Path) -> String {
    file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Who reads a file with that content.
pub(super) fn reader(file: &Path, content: &[u8]) -> Option<Reader> {
    let holds = |text: &str| {
        let beginning = &content[..content.len().min(1 << 16)];
        beginning.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first));
    match ending(file).as_str() {
        "pts" => Some(menpo::read_pts),
        "ljson" => Some(menpo::read_ljson),
        "mat" => Some(refuse_matlab),
        "xml" => holds("<dataset").then_some(dlib::read),
        "json" => holds("\"annotations\"").then_some(coco::read as Reader).or_else(|| {
            // Large sections may stand before it.
            holds("\"images\"").then_some(coco::read as Reader)
        }),
        "csv" if deeplabcut::is_header(&first) => Some(deeplabcut::read),
        "csv" if hrnet::is_header(&first) => Some(hrnet::read),
        _ => None,
    }
}

/// COFW is published in files of MATLAB.
fn refuse_matlab(file: &Path, _: &[u8]) -> Result<Marks> {
    let problem = "a file of MATLAB is not read; the lines of Python in docs/landmarks.md (COFW) write \
                   its pictures and a CSV with image_name, scale, center_w, center_h and the points";
    Err(Error::data(file, "", problem))
}

fn unknown(file: &Path) -> Error {
    Error::data(file, "", format!("expected {KINDS}; found a file of another name or beginning"))
}

/// All files in a folder and in those below it, in the order of their names.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    const DEEPEST: usize = 16;
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
            let path = entry.map_err(Error::io("read", &folder))?.path();
            let is_hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            match path.is_dir() {
                _ if is_hidden => {}
                true if depth < DEEPEST => folders.push((path, depth + 1)),
                true => {
                    let problem = format!("expected folders {DEEPEST} deep at most");
                    return Err(Error::data(path, "", problem));
                }
                false => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The points of several files under their names, with the pictures' files.
fn gathered(
    root: &Path,
    read: Vec<(PathBuf, Marks)>,
    mut notes: Vec<String>,
) -> Result<Annotations> {
    let mut names = Names::default();
    let all = read.iter().flat_map(|(_, marks)| &marks.names);
    let count = all.map(|name| names.number(name) + 1).max().unwrap_or(0);
    let (mut pictures, mut splits, mut skeleton) = (Vec::new(), Vec::new(), Vec::new());
    // The places of each picture among them: projects merge files and keep the parts.
    let mut places_of: HashMap<PathBuf, Vec<usize>> = HashMap::new();
    let mut twice = 0;
    for (file, marks) in read {
        let places: Vec<usize> = marks.names.iter().map(|name| names.number(name)).collect();
        let split = split_of(file.strip_prefix(root).unwrap_or(&file));
        for line in marks.skeleton {
            let line = line.map(|end| places[end]);
            if !skeleton.contains(&line) {
                skeleton.push(line);
            }
        }
        for marked in marks.pictures {
            let picture = found(&file, &marked)?;
            let mut points = vec![None; count];
            places.iter().zip(marked.points).for_each(|(&at, point)| points[at] = point);
            let real = std::fs::canonicalize(&picture).unwrap_or_else(|_| picture.clone());
            let others = places_of.entry(real).or_default();
            let purpose = |split: Option<Split>| split.unwrap_or(Split::Training);
            let differs = |other: &&usize| purpose(splits[**other]) != purpose(split);
            if let Some(&other) = others.iter().find(differs) {
                let problem = format!(
                    "expected each picture for one purpose, found {} for {} and for {}",
                    picture.display(),
                    purpose(splits[other]).name(),
                    purpose(split).name()
                );
                return Err(Error::data(&file, &marked.place, problem));
            }
            let annotated = Annotated { file: picture, points, region: marked.region };
            let is_same = |other: &Annotated| {
                (&other.points, &other.region) == (&annotated.points, &annotated.region)
            };
            if others.iter().any(|&other| is_same(&pictures[other])) {
                twice += 1;
                continue;
            }
            others.push(pictures.len());
            pictures.push(annotated);
            splits.push(split);
        }
    }
    if twice > 0 {
        let root = root.display();
        notes.push(format!("{root}: {twice} pictures are annotated twice alike, and count once"));
    }
    let names = names.all();
    if pictures.is_empty() || names.is_empty() {
        let problem = "expected pictures with points, found none of them";
        return Err(Error::data(root, "", problem));
    }
    if splits.iter().all(Option::is_none) {
        splits.clear();
    }
    let splits = splits.into_iter().map(|split| split.unwrap_or(Split::Training)).collect();
    Ok(Annotations { origin: root.to_path_buf(), names, pictures, splits, skeleton, notes })
}

/// What a file is for, by the words of its path.
fn split_of(path: &Path) -> Option<Split> {
    let path = path.to_string_lossy();
    path.split(|c: char| !c.is_alphanumeric()).rev().find_map(Split::named)
}

/// The picture that a file of annotations names.
fn found(file: &Path, marked: &Marked) -> Result<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    match &marked.picture {
        Named::Beside => {
            let endings =
                ENDINGS.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]);
            let mut candidates = endings.map(|ending| file.with_extension(ending));
            match candidates.find(|candidate| candidate.is_file()) {
                Some(picture) => Ok(picture),
                None => {
                    let problem = "expected a picture of the same name beside it, found none";
                    Err(Error::data(file, "", problem))
                }
            }
        }
        Named::As(name) => {
            // A project's file lies below the folder that its names begin at.
            let above = folder.ancestors().take(4).map(Path::to_path_buf);
            let places: Vec<PathBuf> =
                above.flat_map(|folder| [folder.clone(), folder.join("images")]).collect();
            let bare = Path::new(name).file_name().map(|bare| folder.join(bare));
            let mut candidates = places.iter().map(|place| place.join(name)).chain(bare);
            candidates.find(|candidate| candidate.is_file()).ok_or_else(|| {
                let problem = format!(
                    "expected the picture {name} in {} or above it, or in a folder images there, found none",
                    folder.display()
                );
                Error::data(file, &marked.place, problem)
            })
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{coco, deeplabcut, dlib, hrnet, menpo};
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    /// A folder with these files, pictures without content among them.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn file_names(found: &Annotations) -> Vec<String> {
        let name =
            |picture: &Annotated| picture.file.file_name().unwrap().to_string_lossy().into_owned();
        found.pictures.iter().map(name).collect()
    }

    /// DeepLabCut #581 and #2628: rows in another order than the files of the folder.
    #[test]
    fn pictures_are_matched_by_name_and_never_by_row() {
        let folder = folder(&[
            ("labeled-data/m/CollectedData_a.csv", deeplabcut::tests::FILE),
            ("labeled-data/m/img00.png", ""),
            ("labeled-data/m/img01.png", ""),
            ("labeled-data/m/img02.png", ""),
        ]);
        let found = Annotations::open(folder.path()).unwrap();
        assert_eq!(file_names(&found), ["img02.png", "img01.png"]);
        assert_eq!(found.pictures[0].points, [Some([12.5, 40.0]), None]);
        // The same where only the file is named.
        let file = folder.path().join("labeled-data/m/CollectedData_a.csv");
        assert_eq!(Annotations::open(file).unwrap().pictures, found.pictures);
        fs::remove_file(folder.path().join("labeled-data/m/img01.png")).unwrap();
        let error = Annotations::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 5: expected the picture labeled-data/m/img01.png"), "{error}");
    }

    #[test]
    fn points_of_several_files_are_matched_by_name() {
        let other = "scorer,a,a\nbodyparts,tail,tail\ncoords,x,y\nn.png,5,6\n";
        let folder = folder(&[
            ("a.csv", deeplabcut::tests::FILE),
            ("labeled-data/m/img01.png", ""),
            ("labeled-data/m/img02.png", ""),
            ("test/b.csv", other),
            ("test/n.png", ""),
            ("notes.json", "{}"),
        ]);
        let found = Annotations::open(folder.path()).unwrap();
        assert_eq!(found.names, ["nose", "tail"]);
        assert_eq!(found.pictures[2].points, [None, Some([5.0, 6.0])]);
        assert_eq!(found.splits, [Split::Training, Split::Training, Split::Test]);
        assert!(found.notes[0].contains("notes.json: left out"), "{:?}", found.notes);
    }

    /// A project's merged file beside its parts; a picture must not be trained and tested on.
    #[test]
    fn a_picture_that_is_annotated_twice_counts_once() {
        let files = [
            ("a.csv", deeplabcut::tests::FILE),
            ("merged.csv", deeplabcut::tests::FILE),
            ("labeled-data/m/img01.png", ""),
            ("labeled-data/m/img02.png", ""),
        ];
        let found = Annotations::open(folder(&files).path()).unwrap();
        assert_eq!(found.pictures.len(), 2);
        assert!(found.notes[0].contains("2 pictures are annotated twice"), "{:?}", found.notes);
        let both = [files[0], ("test.csv", deeplabcut::tests::FILE), files[2], files[3]];
        let error = Annotations::open(folder(&both).path()).unwrap_err().to_string();
        assert!(error.contains("for training and for test"), "{error}");
    }

    #[test]
    fn files_beside_pictures_have_their_names() {
        let folder = folder(&[
            ("a.pts", menpo::tests::PTS),
            ("a.jpg", ""),
            ("b.ljson", menpo::tests::LJSON),
            ("b.png", ""),
        ]);
        let found = Annotations::open(folder.path()).unwrap();
        assert_eq!(file_names(&found), ["a.jpg", "b.png"]);
        assert_eq!((found.names.len(), found.pictures[1].points[2]), (3, None));
        fs::remove_file(folder.path().join("a.jpg")).unwrap();
        let error = Annotations::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.pts: expected a picture of the same name"), "{error}");
    }

    #[test]
    fn what_holds_no_points_is_an_error() {
        let folder = folder(&[("a.csv", "1,2,3\n"), ("b.mat", ""), ("c/d.txt", "")]);
        let open =
            |name: &str| Annotations::open(folder.path().join(name)).unwrap_err().to_string();
        assert!(open("a.csv").contains("found a file of another name or beginning"));
        assert!(open("b.mat").contains("docs/landmarks.md (COFW)"));
        assert!(open("c").contains("with pictures beside them, found none"));
    }

    /// The bytes of `text`, of which a few are changed, cut out, doubled or cut off; one at least is left.
    pub fn damaged(text: &str, rng: &mut fastrand::Rng) -> Vec<u8> {
        const WORDS: [&str; 10] = [
            "-1e999",
            "nan",
            "inf",
            "\"",
            "{",
            "}",
            "99999999999",
            "\u{feff}",
            "<!DOCTYPE a>",
            ",,",
        ];
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            let end = (at + rng.usize(..12)).min(bytes.len());
            match rng.usize(..5) {
                0 => bytes[at] = rng.u8(..),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                3 => drop(bytes.splice(at..end, rng.choice(WORDS).unwrap_or("").bytes())),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    /// An error or points, never a panic.
    #[test]
    fn ten_thousand_damaged_files_of_each_kind_are_read_or_refused() {
        let kinds: [(&str, &str); 6] = [
            ("a.csv", hrnet::tests::FILE),
            ("a.csv", deeplabcut::tests::FILE),
            ("a.json", coco::tests::FILE),
            ("a.xml", dlib::tests::FILE),
            ("a.pts", menpo::tests::PTS),
            ("a.ljson", menpo::tests::LJSON),
        ];
        let mut rng = fastrand::Rng::with_seed(7);
        for (name, text) in kinds {
            let path = Path::new(name);
            let (mut read, mut refused) = (0, 0);
            for _ in 0..10_000 {
                let bytes = damaged(text, &mut rng);
                match reader(path, &bytes).map(|reader| reader(path, &bytes)) {
                    Some(Ok(marks)) => {
                        let points = marks.pictures.iter().flat_map(|marked| &marked.points);
                        let is_fine = |point: &super::super::Point| {
                            point.iter().all(|value| value.is_finite())
                        };
                        assert!(points.flatten().all(is_fine), "{name}");
                        assert!(marks.pictures.iter().all(|m| m.points.len() == marks.names.len()));
                        read += 1;
                    }
                    Some(Err(error)) => {
                        assert!(error.to_string().starts_with(name), "{error}");
                        refused += 1;
                    }
                    None => refused += 1,
                }
            }
            assert!(read > 100 && refused > 100, "{name}: {read} read, {refused} refused");
        }
    }
}
