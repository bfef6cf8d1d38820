//! Files that a checkpoint names.

use std::path::{Component, Path, PathBuf};

/// The file of the name `location` in the folder of `path`, or in a folder below it; `None` if the
/// name leads anywhere else: a checkpoint from elsewhere has no business with other files of its
/// reader. (A link in the folder is followed: it was made by whoever made the folder.)
pub(super) fn beside(path: &Path, location: &str) -> Option<PathBuf> {
    let mut file = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut named = false;
    for part in Path::new(location).components() {
        match part {
            Component::Normal(part) => file.push(part),
            Component::CurDir => continue,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
        named = true;
    }
    // One with a zero byte, no system opens; one with a slash behind it is a folder.
    (named && !location.ends_with('/') && !location.contains('\0')).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_beside_the_checkpoint() {
        for (path, location, file) in [
            ("/a/b/m.onnx", "w.bin", "/a/b/w.bin"),
            ("m.onnx", "w.bin", "w.bin"),
            ("b/m.onnx", "./c//w.bin", "b/c/w.bin"),
            ("b/m.onnx", "..w", "b/..w"),
        ] {
            assert_eq!(beside(Path::new(path), location), Some(file.into()), "{location}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let elsewhere =
            ["", ".", "/etc/passwd", "../w", "c/../../w", "c/..", "//w", "c/", "a\0b", "/"];
        for location in elsewhere {
            assert_eq!(beside(Path::new("b/m.onnx"), location), None, "{location}");
        }
    }
}
