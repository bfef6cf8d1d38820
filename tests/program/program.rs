//! The program as its users have it, run, and judged by its exit code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const SOURCES: [&str; 4] = ["as_is", "rotated", "inverted", "edges"];

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

pub fn source(name: &str) -> PathBuf {
    file(&format!("zoo/{name}.safetensors"))
}

pub fn digits() -> PathBuf {
    file("digits/digits.csv.gz")
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo-tuning"));
    command.stdin(Stdio::null());
    command
}

/// A short run of a zoo of two sources into `folder`; `extra` arguments win.
pub fn training(folder: &Path, extra: &[&str]) -> Command {
    training_by(program(), folder, extra)
}

/// The same by another command of the program.
pub fn training_by(mut command: Command, folder: &Path, extra: &[&str]) -> Command {
    command.args(["train", "--shots", "4", "--batch", "9", "--steps", "24", "--threads", "2"]);
    command.args(["--validation", "0.02", "--checkpoint-every", "5", "--log-every", "2"]);
    command.arg("--zoo").args(["as_is", "edges"].map(source));
    command.arg("--data").arg(digits()).args(extra).arg("--out").arg(folder);
    command
}

/// The same, which says nothing.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the program, which must end well; its standard output.
pub fn good(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", text(&stderr));
    text(&stdout)
}

/// Runs the program, which must end with this exit code and an error; its error output.
pub fn bad(code: i32, command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(status.code(), Some(code), "{command:?}: {stderr}");
    assert!(stderr.contains("error: ") && !stderr.contains("panicked"), "{command:?}: {stderr}");
    stderr
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
