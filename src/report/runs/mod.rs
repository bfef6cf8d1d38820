//! The page of a training run, or of several side by side.

mod curves;
mod inside;
mod landmarks;
mod scores;
mod settings;

use super::canvas::Colour;
use super::format::{self, escape};
use super::{Page, Section};
use crate::export::write_atomically;
use crate::train::task::{Scores, is_share};
use crate::train::{Accepted, Material, Recorded};
use crate::{Error, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Name of a run's page in its folder.
const FILE: &str = "report.html";

/// Writes the page of the run in `folder`, beside what it is made of; where it is.
///
/// # Errors
/// If the folder holds no run, a file of it is damaged, or the page cannot be written.
pub fn write(folder: impl AsRef<Path>) -> Result<PathBuf> {
    let path = folder.as_ref().join(FILE);
    let page = page(&[Recorded::read(folder)?])?;
    write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
    Ok(path)
}

/// The page of a run, or of several side by side, as HTML.
///
/// What a run has left no numbers of is left out; of a run that is not finished, the page shows what
/// there is, and says so.
///
/// # Errors
/// If there is no run, runs are of different tasks, or a plot or an image cannot be encoded.
pub fn page(runs: &[Recorded]) -> Result<String> {
    let shown = Shown::all(runs)?;
    let sections: Vec<Section> = match &shown[..] {
        [] => return Err(Error::argument("report", "there is no run")),
        [run] => {
            let mut sections = vec![scores::section(&shown), landmarks::section(&shown)?];
            sections.push(curves::section(&shown)?);
            sections.extend(inside::sections(run)?);
            sections
        }
        shown => vec![
            scores::section(shown),
            landmarks::section(shown)?,
            settings::differences(shown),
            curves::section(shown)?,
            inside::gates(shown),
            inside::alignment(shown),
        ],
    }
    .into_iter()
    .flatten()
    .collect();
    let (kind, title, lede) = match &shown[..] {
        [run] => ("Zoo-Tuning, a training run", run.title(), run.lede()),
        shown => {
            let title = format!(
                "{} side by side",
                format::capital(&format::plural(shown.len(), "run", "runs"))
            );
            ("Zoo-Tuning, training runs", title, lede_of_all(shown))
        }
    };
    let page = Page {
        kind,
        title: &title,
        version: env!("CARGO_PKG_VERSION"),
        lede: &lede,
        numbers: &if let [run] = &shown[..] { run.numbers() } else { String::new() },
        sections: &sections,
        footer: &settings::footer(&shown),
    };
    Ok(page.html())
}

/// A run as it is shown.
struct Shown<'a> {
    /// Its folder's name; the whole path where two have the same.
    name: String,
    run: &'a Recorded,
    colour: Colour,
}

impl<'a> Shown<'a> {
    fn all(runs: &'a [Recorded]) -> Result<Vec<Self>> {
        let short = |run: &Recorded| {
            let name = run.folder.file_name().map(|name| name.to_string_lossy().into_owned());
            name.unwrap_or_else(|| run.folder.display().to_string())
        };
        let show = |(at, run): (usize, &'a Recorded)| {
            let name = short(run);
            let is_alone = runs.iter().filter(|other| short(other) == name).count() == 1;
            Self {
                name: if is_alone { name } else { run.folder.display().to_string() },
                run,
                colour: if runs.len() == 1 { of_form(form(run)) } else { Colour::source(at) },
            }
        };
        let shown: Vec<Self> = runs.iter().enumerate().map(show).collect();
        for pair in shown.windows(2) {
            check_task(&pair[0], &pair[1])?;
        }
        Ok(shown)
    }

    /// What the network was measured to be at the end, or when it was measured last.
    fn validation(&self) -> Option<&Scores> {
        let finished = self.run.summary.as_ref().and_then(|summary| summary.validation.as_ref());
        let measured = || self.run.metrics.iter().rev().find_map(|line| line.validation.as_ref());
        finished.or_else(measured)
    }

    fn test(&self) -> Option<&Scores> {
        self.run.summary.as_ref()?.test.as_ref()
    }

    /// Steps done.
    fn steps(&self) -> u64 {
        let written = self.run.metrics.last().map_or(0, |line| line.step);
        self.run.summary.as_ref().map_or(written, |summary| summary.steps)
    }

    /// The last training loss.
    fn loss(&self) -> Option<f64> {
        self.run.metrics.last().map(|line| line.loss)
    }

    fn title(&self) -> String {
        let form = words(form(self.run));
        if self.run.summary.is_none() {
            return format!(
                "{form}, after {}",
                format::plural(self.steps() as usize, "step", "steps")
            );
        }
        let scores = self.test().or_else(|| self.validation());
        match scores.and_then(Scores::deciding) {
            Some((name, value)) => format!("{form}: {name} {}", score(name, value, " ")),
            None => format!("{form}: {} steps", self.steps()),
        }
    }

    /// What was done, and what came of it.
    fn lede(&self) -> String {
        let Recorded { observations, summary, folder, .. } = self.run;
        let mut html = String::from("<p class=\"lede\">");
        let sources = observations.sources.len();
        let _ = match form(self.run) {
            "scratch" => write!(html, "A network with random weights was trained"),
            _ if sources > 1 => {
                let count = format::plural(sources, "pretrained network", "pretrained networks");
                let how = match form(self.run) {
                    "chosen" => "scored, and the best of them was tuned,",
                    "average" => "averaged and tuned, as one network,",
                    _ => "tuned together, as one network,",
                };
                write!(html, "{} of one architecture were {how}", format::capital(&count))
            }
            _ => write!(html, "A pretrained network was tuned"),
        };
        let classes = observations.classes.len();
        if let Some(environment) = self.environment() {
            let _ = write!(html, " to act in {}", escape(environment));
        } else if classes > 0 {
            let is_of_points = !observations.landmarks.is_empty();
            let [one, many] = if is_of_points { ["point", "points"] } else { ["class", "classes"] };
            let _ = write!(html, " to a task of {}", format::plural(classes, one, many));
        }
        if let Some(summary) = summary {
            let count = summary.training_samples;
            let _ = match self.environment() {
                Some(_) => write!(html, " for {}", format::plural(count, "step", "steps")),
                None => write!(html, " with {}", format::plural(count, "image", "images")),
            };
        }
        let [one, many] = match self.environment() {
            Some(_) => ["update", "updates"],
            None => ["step", "steps"],
        };
        let _ = write!(html, ", in {}", format::plural(self.steps() as usize, one, many));
        for (at, (part, scores)) in self.parts().into_iter().enumerate() {
            let joint = if at == 0 { ": " } else { "; " };
            let values: Vec<String> = scores
                .values
                .iter()
                .map(|(name, value)| {
                    let value = score(name, *value, "&nbsp;");
                    format!("{} <strong>{value}</strong>", escape(name))
                })
                .collect();
            let measured = match self.environment() {
                Some(_) => ["episode", "episodes"],
                None => ["image", "images"],
            };
            let [one, many] = measured.map(|measured| format!("{part} {measured}"));
            let count = format::plural(scores.samples, &one, &many);
            let _ = write!(html, "{joint}{} on {count}", values.join(", "));
        }
        html.push_str(".</p>\n");
        for note in self.notes() {
            let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(&note));
        }
        if summary.is_none() {
            let command = format!("zoo-tuning train --resume {}", quoted(folder));
            let _ = writeln!(
                html,
                "<p class=\"note\"><strong>This run is not finished.</strong> The page shows what it had \
                 left when the page was made. To go on with it: <code>{}</code></p>",
                escape(&command)
            );
        }
        html
    }

    /// What an agent acts in.
    fn environment(&self) -> Option<&str> {
        let setting = |(key, value): &'a (String, String)| {
            (key == "task.environment").then_some(value.as_str())
        };
        self.run.settings.iter().find_map(setting)
    }

    /// What a reader should know of the data.
    fn notes(&self) -> Vec<String> {
        let Material { unreadable, accepted, .. } = &self.run.material;
        let mut notes = Vec::new();
        if !unreadable.is_empty() {
            let pictures = format::plural(unreadable.len(), "picture", "pictures");
            let mut first: Vec<&str> = unreadable.iter().take(3).map(|why| why.as_str()).collect();
            if first.len() < unreadable.len() {
                first.push("and so on, in data.json");
            }
            notes.push(format!("Left out, as asked: {pictures}. {}.", first.join("; ")));
        }
        notes.extend(accepted.iter().map(|Accepted { step, change }| {
            format!("After step {step}, it went on with changed data, as asked: {change}.")
        }));
        notes
    }

    /// The scores that there are, with what they were measured for.
    fn parts(&self) -> Vec<(&'static str, &Scores)> {
        let parts = [("test", self.test()), ("validation", self.validation())];
        parts.into_iter().filter_map(|(part, scores)| Some((part, scores?))).collect()
    }

    /// A few numbers large enough to be seen first.
    fn numbers(&self) -> String {
        let mut html = String::new();
        let mut add = |colour: Colour, value: &str, unit: &str, name: &str| {
            let _ = writeln!(
                html,
                "<div style=\"--hue:var(--{})\"><dt>{}</dt><dd>{value} <small>{unit}</small></dd></div>",
                colour.variable(),
                escape(name)
            );
        };
        for (part, scores) in self.parts() {
            if let Some((name, value)) = scores.deciding() {
                let text = score(name, value, " ");
                let (value, unit) = text.split_once(' ').unwrap_or((&text, ""));
                add(self.colour, value, unit, &format!("{name}, {part}"));
            }
        }
        if let Some(loss) = self.loss() {
            add(Colour::MUTED, &format::decimal(loss, 3), "", "training loss at the end");
        }
        if let Some(summary) = &self.run.summary {
            let text = format::count(summary.parameters as u64);
            let (value, unit) = text.split_once(' ').unwrap_or((&text, ""));
            add(Colour::MUTED, value, unit, "parameters");
        }
        add(Colour::MUTED, &format::thousands(self.steps() as usize), "", "steps");
        if html.is_empty() { html } else { format!("<dl class=\"numbers\">\n{html}</dl>\n") }
    }
}

/// An error if two runs are not about the same: their scores could not be compared.
fn check_task(one: &Shown, other: &Shown) -> Result<()> {
    let refuse = |what: &str, [a, b]: [String; 2]| {
        let problem = format!(
            "{} and {} are of different tasks: {what} {a} against {b}; ask for a page each",
            one.run.folder.display(),
            other.run.folder.display()
        );
        Err(Error::config("runs", problem))
    };
    let names = |shown: &Shown| -> Option<Vec<String>> {
        let scores = shown.validation().or_else(|| shown.test())?;
        Some(scores.values.iter().map(|(name, _)| name.clone()).collect())
    };
    if let (Some(a), Some(b)) = (names(one), names(other))
        && a != b
    {
        return refuse("they measure", [a, b].map(|names| names.join(", ")));
    }
    let [a, b] = [one, other].map(|shown| &shown.run.observations.classes);
    if !a.is_empty() && !b.is_empty() && a != b {
        let some = |names: &[String]| {
            let more = if names.len() > 3 { ", ..." } else { "" };
            format!("{} ({}{more})", names.len(), names[..names.len().min(3)].join(", "))
        };
        return refuse("classes", [some(a), some(b)]);
    }
    Ok(())
}

fn lede_of_all(shown: &[Shown]) -> String {
    let mut html = String::from("<p class=\"lede\">");
    let best = |of: fn(&Shown) -> Option<Scores>| -> Option<(String, Scores)> {
        let all: Option<Vec<_>> =
            shown.iter().map(|run| Some((run.name.clone(), of(run)?))).collect();
        all?.into_iter()
            .reduce(|best, next| if next.1.is_better_than(&best.1) { next } else { best })
    };
    let test = best(|run| run.test().cloned()).map(|found| (found, "test"));
    match test.or_else(|| best(|run| run.validation().cloned()).map(|found| (found, "validation")))
    {
        Some(((name, scores), part)) => {
            let (of, value) = scores.deciding().unwrap_or(("", f64::NAN));
            let _ = write!(
                html,
                "Of these {} runs, <strong>{}</strong> has the best {part} {}: <strong>{}</strong>. \
                 A single run says little: another seed may turn the order around.",
                shown.len(),
                escape(&name),
                escape(of),
                score(of, value, "&nbsp;")
            );
        }
        None => html.push_str("These runs share no part that all of them were measured on."),
    }
    html.push_str("</p>\n");
    let open: Vec<String> =
        shown.iter().filter(|run| run.run.summary.is_none()).map(|run| escape(&run.name)).collect();
    if !open.is_empty() {
        let verb = if open.len() == 1 { "is" } else { "are" };
        let _ = writeln!(
            html,
            "<p class=\"note\"><strong>{} {verb} not finished</strong>: the page shows what there was when \
             it was made.</p>",
            format::list(&open)
        );
    }
    html
}

/// What became of the sources.
fn form(run: &Recorded) -> &str {
    let summary = run.summary.as_ref().map(|summary| &summary.form[..]);
    summary.or_else(|| run.setting("form")).unwrap_or("")
}

fn words(form: &str) -> &str {
    match form {
        "lite" => "Lite Zoo-Tuning",
        "zoo" => "Zoo-Tuning",
        "routed" => "A routed zoo",
        "average" => "The plain average, tuned",
        "single" => "One source, tuned",
        "chosen" => "The source that scored best, tuned",
        "scratch" => "Training from scratch",
        _ => "A run",
    }
}

fn of_form(form: &str) -> Colour {
    match form {
        "lite" => Colour::LITE,
        "routed" => Colour::ROUTED,
        "average" => Colour::AVERAGE,
        "single" | "chosen" => Colour::SINGLE,
        "scratch" => Colour::SCRATCH,
        _ => Colour::ZOO,
    }
}

/// A score as people read it: shares in percent.
fn score(name: &str, value: f64, space: &str) -> String {
    match is_share(name) {
        true => format!("{}{space}%", format::percent(value)),
        // Four digits of what is near 1, fewer of what is larger.
        false => format::decimal(value, if value.abs() < 10.0 { 4 } else { 2 }),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
