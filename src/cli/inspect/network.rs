//! Which network a file holds, as `inspect` tells it.

use super::super::output::{self, Output, Result};
use crate::Error;
use crate::nn::{Identified, Nearness};
use serde::Serialize;

/// How a file fits a network.
#[derive(Serialize)]
pub struct NetworkReport {
    architecture: String,
    fits: bool,
    prefix: String,
    /// The prefix and the layout, for a human.
    names: String,
    found: usize,
    missing: Vec<String>,
    misshapen: Vec<String>,
    unexpected: Vec<String>,
    /// Why the file does not hold the network although its tensors are there.
    caveat: Option<String>,
    /// What names begin with where the file holds the network once more.
    elsewhere: Vec<String>,
    /// The same, for a human.
    #[serde(skip)]
    choice: Option<String>,
}

/// What a file comes near to.
#[derive(Serialize)]
pub struct NearnessReport {
    kind: &'static str,
    architecture: Option<String>,
    differences: Vec<String>,
    /// All of it, for a human.
    text: String,
}

impl NetworkReport {
    pub fn new(identified: &Identified) -> Self {
        let Identified { design, naming, fit, elsewhere } = identified;
        Self {
            architecture: design.name().to_owned(),
            fits: identified.is_complete(),
            prefix: naming.prefix().to_owned(),
            names: naming.to_string(),
            found: fit.found,
            missing: fit.missing.iter().map(ToString::to_string).collect(),
            misshapen: fit.misshapen.iter().map(ToString::to_string).collect(),
            unexpected: fit.unexpected.clone(),
            caveat: identified.caveat().map(str::to_owned),
            elsewhere: elsewhere.clone(),
            choice: identified.choice(),
        }
    }

    /// Whether the file holds the network.
    pub fn fits(&self) -> bool {
        self.fits
    }

    /// In a line; or, if the file was to be compared with the network, in all differences.
    pub fn show(&self, compared: bool, output: &mut Output) -> Result {
        if compared {
            self.show_differences(output)?;
        } else {
            let names = output::printable(&self.names);
            output.line(format!("  holds a {}, names {names}", self.architecture))?;
        }
        if let Some(choice) = &self.choice {
            output.line(format!("  {}", output::printable(choice)))?;
        } else if !compared {
            self.show_left_out(output)?;
        }
        Ok(())
    }

    /// What is not taken of the file, in parts, and whether the network is without its head.
    fn show_left_out(&self, output: &mut Output) -> Result {
        const MOST: usize = 8;
        let mut parts: Vec<(&str, usize)> = Vec::new();
        for name in &self.unexpected {
            let part = part(name, &self.prefix);
            match parts.iter_mut().find(|(known, _)| *known == part) {
                Some((_, count)) => *count += 1,
                None => parts.push((part, 1)),
            }
        }
        if !parts.is_empty() {
            let shown = parts.iter().take(MOST).map(|(part, count)| format!("{part} ({count})"));
            let shown = shown.collect::<Vec<_>>().join(", ");
            let more = if parts.len() > MOST { ", and more" } else { "" };
            output.line(format!("  left out: {}{more}", output::printable(&shown)))?;
        }
        if let Some(first) = self.missing.first() {
            output.line(format!("  without the head, such as {}", output::printable(first)))?;
        }
        Ok(())
    }

    fn show_differences(&self, output: &mut Output) -> Result {
        let Self { architecture, fits, names, found, .. } = self;
        let judgement = if *fits { "fits" } else { "does not fit" };
        let names = output::printable(names);
        output
            .line(format!("  {judgement} {architecture}: {found} tensors found, names {names}"))?;
        if let Some(caveat) = &self.caveat {
            output.line(format!("  {caveat}"))?;
        }
        for (what, all) in [
            ("missing", &self.missing),
            ("of another shape", &self.misshapen),
            ("unexpected", &self.unexpected),
        ] {
            const MOST: usize = 20;
            if !all.is_empty() {
                output.line(format!("  {} {what}:", all.len()))?;
            }
            for name in all.iter().take(MOST) {
                output.line(format!("    {}", output::printable(name)))?;
            }
            if all.len() > MOST {
                output.line(format!("    and {} more (--json lists all)", all.len() - MOST))?;
            }
        }
        Ok(())
    }
}

impl NearnessReport {
    pub fn new(nearness: &Nearness) -> Self {
        let differences = match nearness {
            Nearness::Variant { differences, .. } => differences.clone(),
            _ => Vec::new(),
        };
        Self {
            kind: nearness.id(),
            architecture: nearness.architecture().map(str::to_owned),
            differences,
            text: nearness.to_string(),
        }
    }

    /// Of a file that says that it holds a zoo of ours.
    pub fn broken(error: &Error) -> Self {
        let text = format!("says that it holds a zoo that was tuned here, but: {error}");
        Self { kind: "broken", architecture: None, differences: vec![], text }
    }

    pub fn show(&self, output: &mut Output) -> Result {
        output.line(format!("  {}", output::printable(&self.text)))
    }
}

/// The name as far as the part that follows on those that it has in common with the prefix.
fn part<'a>(name: &'a str, prefix: &str) -> &'a str {
    let parts = name.split('.').zip(prefix.split('.'));
    let common = parts.take_while(|(part, of_prefix)| part == of_prefix).count();
    let end = name.match_indices('.').nth(common).map_or(name.len(), |(at, _)| at);
    &name[..end]
}
