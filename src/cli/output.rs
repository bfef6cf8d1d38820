//! Where text goes, in which colour, and what ends the program.

use crate::Error;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// What a command ends with.
pub type Result<T = ()> = std::result::Result<T, Stop>;

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Threads to compute with; all cores if not given. Results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Whether to use colours; the environment variable NO_COLOR turns them off too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print the result as JSON, for a program to read
    #[arg(long, global = true)]
    pub json: bool,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Even into a file
    Always,
    /// Not at all
    Never,
}

/// Why a command did not end well.
#[derive(Debug)]
pub enum Stop {
    /// To be reported.
    Error(Error),
    /// The standard output refused.
    Output(io::Error),
    /// Reported already.
    Failed,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// An error if there is such a file, which `key` would write.
pub fn check_free(key: &str, path: &Path) -> crate::Result<()> {
    if path.symlink_metadata().is_ok() {
        let problem = format!("{} exists; --force replaces it", path.display());
        return Err(Error::config(key, problem));
    }
    Ok(())
}

/// The number of threads for everything that follows.
pub fn use_threads(threads: Option<u16>) -> Result {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
    pool.build_global().map_err(|error| {
        Error::config("threads", format!("{threads} cannot be started: {error}")).into()
    })
}

/// The standard output, for a human or a program.
///
/// Nothing here panics when the reader has gone, as `println!` would.
pub struct Output {
    stdout: io::BufWriter<io::Stdout>,
    /// Whether a program reads.
    pub json: bool,
    colour: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        let colour = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let forbidden = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                stdout.is_terminal() && !forbidden
            }
        };
        Self { stdout: io::BufWriter::new(stdout), json: global.json, colour }
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result {
        Ok(writeln!(self.stdout, "{}", text.as_ref())?)
    }

    /// Writes an object as one line of JSON.
    pub fn object(&mut self, object: &impl Serialize) -> Result {
        let text = serde_json::to_string(object).map_err(io::Error::from)?;
        self.line(text)?;
        // Whoever reads lines may act on each.
        self.finish()
    }

    /// Writes a table; columns after the first whose cells are all numbers, or `-` for none, are
    /// aligned right.
    pub fn table(&mut self, rows: &[Vec<String>]) -> Result {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
        let number = |cell: &String| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit());
        let right: Vec<bool> = (0..columns)
            .map(|c| c > 0 && rows.iter().skip(1).filter_map(|row| row.get(c)).all(number))
            .collect();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            text.clear();
            for (column, cell) in row.iter().enumerate() {
                let space = widths[column] - cell.chars().count();
                let (before, after) = if right[column] { (space, 0) } else { (0, space) };
                let before = before + if column == 0 { 0 } else { 2 };
                text.extend(std::iter::repeat_n(' ', before));
                text += cell;
                text.extend(std::iter::repeat_n(' ', after));
            }
            let text = text.trim_end();
            if index == 0 { self.line(self.bold(text))? } else { self.line(self.judged(text))? }
        }
        Ok(())
    }

    /// A heading.
    pub fn bold(&self, text: &str) -> String {
        self.painted("1", text)
    }

    /// Green, red or faint, if a row ends with a word of that meaning.
    fn judged(&self, row: &str) -> String {
        match row.rsplit_once(' ') {
            Some((rest, word @ "pass")) => format!("{rest} {}", self.painted("32", word)),
            Some((rest, word @ "FAIL")) => format!("{rest} {}", self.painted("1;31", word)),
            _ => row.to_owned(),
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Hands over everything written so far.
    pub fn finish(&mut self) -> Result {
        Ok(self.stdout.flush()?)
    }

    /// Reports what ended the program, and gives its exit code.
    pub fn report(&mut self, stop: Stop) -> u8 {
        // What was found before the error belongs before it.
        let _ = self.stdout.flush();
        let error: &dyn Display = match &stop {
            // The reader has enough: `zoo-tuning inspect ... | head`.
            Stop::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return 0;
            }
            Stop::Output(error) => &format!("cannot write the standard output: {error}"),
            Stop::Error(error) => error,
            Stop::Failed => return 1,
        };
        failure(error);
        match stop {
            Stop::Error(Error::Interrupted { .. }) => 130,
            _ => 1,
        }
    }
}

/// Writes a line to the standard error output; if nobody can read it, so be it.
pub fn message(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Writes an error, which may have several lines and name what a file says.
pub fn failure(error: impl Display) {
    let text = error.to_string();
    message(format!("error: {}", text.lines().map(printable).collect::<Vec<_>>().join("\n")));
}

/// A text from a file without what would steer a terminal.
pub fn printable(text: &str) -> String {
    let shown = |c: char| {
        let escaped = c.is_control().then(|| c.escape_default());
        escaped.into_iter().flatten().chain((!c.is_control()).then_some(c))
    };
    text.chars().flat_map(shown).collect()
}

/// A number of bytes as a human reads it.
pub fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// A count with its thousands apart: `11 689 512`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(11_689_512), "11 689 512");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(317_816), "317.8 kB");
        assert_eq!(printable("a \"é\"\x1b[2J"), "a \"é\"\\u{1b}[2J");
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
    }
}
