//! The order of the house: a module imports only from modules to its left, files stay short,
//! and `unsafe` stays in its places.
//!
//! The sources are read as text. Comments, the insides of literals, and everything under
//! `#[cfg(test)]` are left out: tests may use what they need.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/` from left to right, as data flows. Rooms of one line may know each
/// other: gradcheck stands beside the operations, each of which draws a case for it; collapse
/// makes the network that export writes.
const ROOMS: &[&[&str]] = &[
    &["error"],
    &["profile"],
    &["processes"],
    &["zoo"],
    &["tensor"],
    &["kernel"],
    &["tape"],
    &["ops", "gradcheck"],
    &["nn"],
    &["start"],
    &["optim"],
    &["prune", "collapse", "export"],
    &["dataset"],
    &["environment"],
    &["train"],
    &["compare"],
    &["report"],
    &["demo"],
    &["serve"],
    &["cli"],
    &["main"],
];

/// Names at the crate's root that are a room's.
const AT_THE_ROOT: &[(&str, &str)] = &[("Error", "error"), ("Result", "error")];

/// The files that may hold `unsafe` blocks.
const UNSAFE: &[&str] = &[
    "kernel/direct/registers.rs",
    "kernel/microkernel.rs",
    "kernel/panel.rs",
    "kernel/winograd/kernels.rs",
    "kernel/winograd/mod.rs",
    "kernel/winograd/product.rs",
    "kernel/winograd/tiles.rs",
    "kernel/winograd/transform.rs",
    "tensor/opencl/borrowed.rs",
    "tensor/opencl/discovery.rs",
    "tensor/opencl/events.rs",
    "tensor/opencl/held.rs",
    "tensor/opencl/launch.rs",
    "tensor/opencl/memory.rs",
    "tensor/opencl/refusal.rs",
    "tensor/vector.rs",
    "zoo/mapping.rs",
];

/// The files outside of `nn/architectures/` that may name a network; nothing else has to be looked at
/// when one comes or goes.
const NAMING: &[&str] = &[
    // The program that wrote the annotations.
    "dataset/landmarks/open.rs",
    // The demo's choice.
    "demo/landmarks/experiment.rs",
    // Says in words what else a file may hold.
    "nn/nearness.rs",
    // The defaults of agents, by the size of their pictures.
    "train/task/reinforcement/presets.rs",
];

/// What the names of networks, or of the types that make them, begin with.
const FAMILIES: &[&str] = &[
    "resnet",
    "wide_resnet",
    "resnext",
    "efficientnet",
    "convnet",
    "hrnet_",
    "landmarks_small",
    "ResNet",
    "EfficientNet",
    "ConvNet",
    "HRNet",
];

/// Lines of the longest file.
const LONGEST: usize = 600;

/// A file of `src/`.
struct Source {
    /// Relative to `src/`, with `/`.
    path: String,
    text: String,
    /// The text without comments, literals and tests; all else stands where it stood.
    code: String,
    /// The code with the words of its literals, but for the help that the program prints.
    said: String,
}

impl Source {
    /// All files of `src/` that are not only for tests.
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        collect(&root, &mut paths);
        paths.sort();
        assert!(paths.len() > 50, "the sources were found");
        let mut only_for_tests = Vec::new();
        let mut sources = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path).unwrap();
            let (code, modules) = without_tests(blanked(&text, false));
            let (said, _) = without_tests(blanked(&text, true));
            let parent = path.parent().unwrap();
            only_for_tests.extend(modules.iter().map(|name| parent.join(format!("{name}.rs"))));
            let relative = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            sources.push((path, Self { path: relative, text, code, said }));
        }
        sources.retain(|(path, _)| !only_for_tests.contains(path));
        sources.into_iter().map(|(_, source)| source).collect()
    }

    fn room(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// How many modules the file's own items lie below the root.
    fn depth(&self) -> usize {
        self.path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count()
    }

    /// The names at the root that the code uses, with the lines.
    fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, tail) in words(&self.code) {
            let names = match word(tail) {
                "crate" => heads(&tail["crate".len()..]),
                // Only the first of a chain: the others stand behind a colon.
                "super" if !self.code[..at].trim_end().ends_with(':') => {
                    let (mut rest, mut steps) = (tail, 0);
                    while let Some(next) = rest.strip_prefix("super") {
                        steps += 1;
                        match next.strip_prefix("::") {
                            Some(after) if word(after) == "super" => rest = after,
                            _ => rest = next,
                        }
                    }
                    if steps == self.depth() { heads(rest) } else { vec![] }
                }
                _ => vec![],
            };
            let line = 1 + self.code[..at].matches('\n').count();
            found.extend(names.into_iter().map(|name| (line, name)));
        }
        found
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word at the beginning, or nothing.
fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_of_word(c)).unwrap_or(text.len())]
}

/// Where words begin, with the text from there on.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    code.char_indices().filter_map(move |(at, c)| {
        let begins = is_of_word(c) && !inside;
        inside = is_of_word(c);
        begins.then(|| (at, &code[at..]))
    })
}

/// The first names of `::name::...` or `::{name::..., name}`.
fn heads(path: &str) -> Vec<String> {
    let Some(path) = path.strip_prefix("::") else { return vec![] };
    let Some(group) = path.strip_prefix('{') else { return vec![word(path).to_owned()] };
    let (mut depth, mut heads, mut expected) = (1, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            _ if depth == 1 && expected && is_of_word(c) => {
                heads.push(word(&group[at..]).to_owned());
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// The text with blanks for comments and for what literals hold, or for all but the words of texts
/// that are no help.
fn blanked(text: &str, keeps_words: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut blanks = vec![false; chars.len()];
    let mut i = 0;
    while i < chars.len() {
        let first = i;
        let starts_word = i == 0 || !is_of_word(chars[i - 1]);
        let hashes = (i + 1..).take_while(|&j| at(j) == '#').count();
        if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            while i < chars.len() {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if at(i) == 'r' && at(i + 1 + hashes) == '"' && (starts_word || at(i - 1) == 'b') {
            i += 2 + hashes;
            let ends = |i: usize| at(i) == '"' && (1..=hashes).all(|k| at(i + k) == '#');
            while i < chars.len() && !ends(i) {
                i += 1;
            }
            i += 1 + hashes;
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // A character; what else begins so is a lifetime.
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else {
            i += 1;
            continue;
        }
        let end = i.min(chars.len());
        blanks[first..end].fill(true);
        let is_literal = chars[first] != '/';
        let is_help = || {
            let before: String = chars[first.saturating_sub(20)..first].iter().collect();
            before.trim_end().ends_with("help =")
        };
        if keeps_words && is_literal && !is_help() {
            (first..end).for_each(|k| blanks[k] = !is_of_word(chars[k]));
        }
    }
    let kept = |(c, blank): (&char, bool)| if blank && *c != '\n' { ' ' } else { *c };
    chars.iter().zip(blanks).map(kept).collect()
}

/// Blanks the items under `#[cfg(test)]`; also the names of modules with files of their own
/// among them.
fn without_tests(code: String) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut code, mut modules) = (code, Vec::new());
    while let Some(start) = code.find(MARK) {
        let (mut depth, mut end) = (0usize, code.len());
        for (at, c) in code[start + MARK.len()..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                end = start + MARK.len() + at + 1;
                break;
            }
        }
        let item = &code[start..end];
        if let Some((_, name)) = item.split_once("mod ").filter(|_| item.ends_with(';')) {
            modules.push(word(name).to_owned());
        }
        let blank = item.chars().map(|c| if c == '\n' { c } else { ' ' }).collect::<String>();
        code.replace_range(start..end, &blank);
    }
    (code, modules)
}

/// The place of a room from left to right.
fn place(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn a_module_imports_only_from_modules_to_its_left() {
    let mut faults = Vec::new();
    // The crate's root only lists the rooms.
    for source in Source::all().iter().filter(|source| source.path != "lib.rs") {
        let own = source.room();
        let Some(own_place) = place(own) else {
            faults.push(format!("src/{}: {own} has no place in this test's table", source.path));
            continue;
        };
        for (line, name) in source.imports() {
            let at_the_root = AT_THE_ROOT.iter().find(|(known, _)| *known == name);
            let room = at_the_root.map_or(name.as_str(), |&(_, room)| room);
            let fault = match place(room) {
                None => format!("{room} has no place in this test's table"),
                // Rooms of one line may know each other.
                Some(place) if place <= own_place => continue,
                Some(_) => format!("{own} stands left of {room}"),
            };
            faults.push(format!("src/{}:{line}: {fault}", source.path));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn only_architectures_name_a_network() {
    let mut naming = Vec::new();
    for source in Source::all() {
        if source.path.starts_with("nn/architectures/") {
            continue;
        }
        for (at, tail) in words(&source.said) {
            let name = word(tail);
            if !FAMILIES.iter().any(|family| name.starts_with(family)) {
                continue;
            }
            let (line, path) = (1 + source.said[..at].matches('\n').count(), &source.path);
            assert!(NAMING.contains(&path.as_str()), "src/{path}:{line}: {name} has no place here");
            naming.push(path.clone());
        }
    }
    naming.dedup();
    assert_eq!(naming, NAMING, "the list holds what is needed");
    // What is looked for is all that there is.
    for name in zoo_tuning::nn::architectures::names() {
        assert!(FAMILIES.iter().any(|family| name.starts_with(family)), "{name} is looked for");
    }
}

#[test]
fn no_file_is_too_long() {
    for source in Source::all() {
        let lines = source.text.lines().count();
        assert!(lines <= LONGEST, "src/{} has {lines} lines, more than {LONGEST}", source.path);
    }
}

#[test]
fn unsafe_blocks_stay_in_their_places() {
    let mut with_unsafe = Vec::new();
    for source in Source::all() {
        for (at, tail) in words(&source.code) {
            // A function pointer's type is no block.
            let after = tail["unsafe".len().min(tail.len())..].trim_start();
            if word(tail) != "unsafe" || after.starts_with("fn(") || after.starts_with("extern") {
                continue;
            }
            let line = 1 + source.code[..at].matches('\n').count();
            let path = &source.path;
            assert!(
                UNSAFE.contains(&path.as_str()),
                "src/{path}:{line}: unsafe does not live here"
            );
            with_unsafe.push(path.clone());
        }
    }
    with_unsafe.dedup();
    assert_eq!(with_unsafe, UNSAFE, "the list holds what is needed");
}

#[test]
fn the_reader_sees_imports_and_nothing_else() {
    let text = r##"
        //! crate::doc
        use crate::{Error, nn::{Id, Pass}, ops};
        use super::super::tape::Var; // crate::comment
        use super::Id;
        /* crate::block /* crate::nested */ */
        fn f<'a>(x: &'a str) -> char { crate::kernel::gemm(); "crate::string"; r#"crate::raw""#; '"' }
        #[cfg(test)]
        mod tests { fn g() { crate::tests::x('}') } }
        #[cfg(test)]
        pub(crate) mod fixture;
        fn h() { $crate::gradcheck::x }
        #[command(after_help = "crate::help")]
    "##;
    let (code, modules) = without_tests(blanked(text, false));
    assert_eq!(modules, ["fixture"]);
    let (said, _) = without_tests(blanked(text, true));
    let has = |name| words(&said).any(|(_, tail)| word(tail) == name);
    let literals = ["string", "raw", "help", "tests"].map(has);
    assert_eq!(literals, [true, true, false, false]);
    let source = Source { path: "nn/gate.rs".to_owned(), text: text.to_owned(), code, said };
    let expected =
        [(3, "Error"), (3, "nn"), (3, "ops"), (4, "tape"), (7, "kernel"), (12, "gradcheck")];
    let found = source.imports();
    assert!(found.iter().map(|(line, name)| (*line, name.as_str())).eq(expected), "{found:?}");
    assert_eq!((source.room(), source.depth()), ("nn", 2));
    let source = Source { path: "nn/mod.rs".to_owned(), ..source };
    assert_eq!(source.depth(), 1);
}
