//! The book in `docs/book`: every snippet of it is compiled and run here, what it prints and draws is
//! compared with what the chapters show, and the chapters show no other code.
//!
//! ```text
//! cargo test --test book
//! ZOO_BOOK=write cargo test --test book     # writes what the chapters show of prints and pictures
//! ```

#[path = "../docs/book/code/checkpoints.rs"]
mod checkpoints;
#[path = "../docs/book/code/convolution.rs"]
mod convolution;
#[path = "../docs/book/code/devices.rs"]
mod devices;
#[path = "../docs/book/code/drawings.rs"]
mod drawings;
#[path = "../docs/book/code/gates.rs"]
mod gates;
#[path = "../docs/book/code/matching.rs"]
mod matching;
#[path = "../docs/book/code/pictures.rs"]
mod pictures;
#[path = "../docs/book/code/printed.rs"]
mod printed;
#[path = "../docs/book/code/solutions.rs"]
mod solutions;
#[path = "../docs/book/code/tape.rs"]
mod tape;
#[path = "../docs/book/code/testing.rs"]
mod testing;
#[path = "../docs/book/code/winograd.rs"]
mod winograd;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/book")
}

/// The chapters with their texts.
fn chapters() -> Vec<(String, String)> {
    let files = fs::read_dir(book().join("src")).unwrap().map(|entry| entry.unwrap().path());
    let markdown = files.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let mut chapters: Vec<_> = markdown.map(read).collect();
    chapters.sort();
    chapters
}

/// Blocks between fences: the language, and the lines.
fn blocks(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut blocks: Vec<(String, Vec<&str>)> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_inside = !is_inside;
            if is_inside {
                blocks.push((language.to_owned(), vec![]));
            }
        } else if is_inside {
            blocks.last_mut().unwrap().1.push(line);
        }
    }
    blocks
}

/// The file and the anchor of each `{{#include}}`.
fn includes(text: &str) -> Vec<(String, Option<String>)> {
    let of_line = |line: &str| {
        let inside = line.split_once("{{#include ")?.1.split_once("}}")?.0.to_owned();
        Some(match inside.split_once(".rs:").or(inside.split_once(".cl:")) {
            Some((_, anchor)) => {
                (inside[..inside.len() - anchor.len() - 1].to_owned(), Some(anchor.to_owned()))
            }
            None => (inside, None),
        })
    };
    text.lines().filter_map(of_line).collect()
}

/// Code comes from compiled files, and what is printed from what they print.
#[test]
fn chapters_hold_no_code_of_their_own() {
    for (name, text) in chapters() {
        for (language, lines) in blocks(&text) {
            let is_code = ["rust", "c", "cl", "python", "toml"]
                .iter()
                .any(|code| language.split(',').next() == Some(*code));
            let is_included = lines.iter().all(|line| line.trim_start().starts_with("{{#include "));
            assert!(!is_code || is_included, "{name}: code without an include: {lines:?}");
            assert!(!language.is_empty(), "{name}: a block without a language: {lines:?}");
        }
    }
}

/// Every include leads to a file, and in it to its anchor.
#[test]
fn includes_lead_somewhere() {
    for (name, text) in chapters() {
        for (file, anchor) in includes(&text) {
            let path = book().join("src").join(&file);
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(!found.is_empty(), "{name}: {file} is not there");
            for mark in
                anchor.iter().flat_map(|a| [format!("ANCHOR: {a}\n"), format!("ANCHOR_END: {a}\n")])
            {
                assert!(found.contains(&mark), "{name}: {file} has no {mark}");
            }
        }
    }
}

/// What is printed and drawn is shown, and every part of the code that has a name.
#[test]
fn nothing_is_left_over() {
    let texts: String = chapters().into_iter().map(|(_, text)| text).collect();
    for (folder, name) in [("printed", "printed/"), ("src/pictures", "pictures/")] {
        for entry in fs::read_dir(book().join(folder)).unwrap() {
            let file = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(texts.contains(&format!("{name}{file}")), "{folder}/{file} is in no chapter");
        }
    }
    let shown: BTreeSet<_> = includes(&texts).into_iter().collect();
    for entry in fs::read_dir(book().join("code")).unwrap() {
        let path = entry.unwrap().path();
        let file = format!("../code/{}", path.file_name().unwrap().to_string_lossy());
        let code = fs::read_to_string(path).unwrap();
        for line in code.lines() {
            if let Some(anchor) = line.trim().strip_prefix("// ANCHOR: ") {
                let include = (file.clone(), Some(anchor.to_owned()));
                assert!(shown.contains(&include), "{file}:{anchor} is in no chapter");
            }
        }
    }
}

/// Links to files of the repository lead to them; chapters are in the summary.
#[test]
fn links_lead_somewhere() {
    let summary = fs::read_to_string(book().join("src/SUMMARY.md")).unwrap();
    for (name, text) in chapters() {
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name} is not listed"
        );
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let target = target.0;
            if target.starts_with("http") {
                continue;
            }
            let file = target.split('#').next().unwrap();
            assert!(book().join("src").join(file).exists(), "{name}: {target} leads nowhere");
        }
    }
}

/// So do the names of files in the text. mdBook would turn links to pages outside of the book into links to
/// HTML that is not there, so pages of `docs` are only named.
#[test]
fn named_files_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["docs/", "src/", "tests/", "opencl/", "examples/", "benches/"];
    let mut count = 0;
    for (name, text) in chapters() {
        for word in text.split('`').skip(1).step_by(2) {
            if folders.iter().any(|f| word.starts_with(f)) && !word.contains(char::is_whitespace) {
                assert!(root.join(word).exists(), "{name}: {word} is not there");
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count} names");
}

#[test]
fn no_file_is_too_long() {
    for folder in ["src", "code"] {
        for entry in fs::read_dir(book().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= 600, "{} has {lines} lines", path.display());
            }
        }
    }
}
