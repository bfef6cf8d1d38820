//! What the chapters' code prints is kept in `docs/book/printed`, from where the chapters show it: no
//! number of the book is typed in.

use std::path::Path;

/// Whether files are to be written instead of compared.
pub fn writes() -> bool {
    std::env::var_os("ZOO_BOOK").is_some_and(|value| value == "write")
}

/// Compares a file of `docs/book` with what it has to hold, or with `ZOO_BOOK=write` writes it.
pub fn check_file(name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/book").join(name);
    if writes() {
        std::fs::write(&path, content).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == content,
        "{name} is not what the code makes; ZOO_BOOK=write writes it:\n{content}"
    );
}

/// The same of a text that a chapter shows.
pub fn check(name: &str, content: &str) {
    check_file(&format!("printed/{name}.txt"), content);
}
