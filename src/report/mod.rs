//! The page that shows a demo: one HTML file that needs nothing else.
//!
//! It loads nothing from anywhere, which its own content policy says to the browser, and runs no
//! script. What stands in it is computed from the numbers, the headline too: it says so where
//! Zoo-Tuning loses.

mod compare;
mod format;
mod heatmap;
mod layers;
mod plot;
mod results;
#[cfg(test)]
mod sample;
mod sheet;
mod training;

use std::fmt::Write;

use crate::Result;
use crate::demo::{Outcome, Settings};
use format::escape;

/// A part of the page under a heading of its own.
struct Section {
    /// Where links in the page lead.
    id: &'static str,
    /// The heading; also, shortened to `link`, what links say.
    title: &'static str,
    link: &'static str,
    /// HTML.
    body: String,
}

/// The page that shows `outcome`, as HTML.
///
/// Parts that `outcome` has no data for are left out; numbers that are infinite or not a number
/// are shown as dashes and left out of plots.
///
/// # Errors
/// If a plot or an image cannot be encoded.
pub fn page(outcome: &Outcome) -> Result<String> {
    let sections: Vec<Section> = [
        results::section(outcome)?,
        results::table(outcome),
        layers::sources(outcome),
        training::curves(outcome)?,
        layers::gates(outcome),
        layers::samples(outcome)?,
        layers::alignment(outcome),
        training::averages(outcome)?,
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut nav = String::new();
    let mut body = String::new();
    for Section { id, title, link, body: inner } in &sections {
        let _ = write!(nav, "<a href=\"#{id}\">{link}</a>");
        let _ = write!(
            body,
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n\
             <h2 id=\"{id}-title\">{title}</h2>\n{inner}</section>\n"
        );
    }
    nav.push_str("<a href=\"#settings\">Settings</a>");
    let title = escape(&results::headline(outcome));
    let lede = results::lede(outcome);
    let numbers = results::numbers(outcome);
    let version = escape(&outcome.version);
    let footer = footer(outcome);
    Ok(fill(include_str!("page.html"), |key| match key {
        "title" => &title,
        "version" => &version,
        "css" => include_str!("page.css").trim_end(),
        "lede" => &lede,
        "numbers" => &numbers,
        "nav" => &nav,
        "sections" => &body,
        "footer" => &footer,
        _ => "",
    }))
}

/// `template` with every `{{key}}` replaced, in one pass: what is filled in is not looked into.
fn fill<'a>(template: &str, value: impl Fn(&str) -> &'a str) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.split_once("}}") {
            Some((key, rest)) => {
                page.push_str(value(key));
                page.push_str(rest);
            }
            None => page.push_str(part),
        }
    }
    page
}

fn footer(outcome: &Outcome) -> String {
    let Outcome { settings, .. } = outcome;
    let seeds: Vec<String> = settings.seeds.iter().map(u64::to_string).collect();
    let entries = [
        ("Seeds", seeds.join(", ")),
        ("Labelled samples per class", format::thousands(settings.shots)),
        ("Classes", format::thousands(settings.classes)),
        ("Test samples", format::thousands(settings.test_samples)),
        ("Epochs", format::thousands(settings.epochs)),
        ("Steps of every network", format::thousands(settings.steps)),
        ("Batch", format::thousands(settings.batch)),
        ("Threads", format::thousands(settings.threads)),
        ("Time of the whole demo", format::seconds(outcome.seconds)),
        ("Version", outcome.version.clone()),
    ];
    let mut html = String::from("<h2 id=\"settings\">Settings</h2>\n<dl>\n");
    for (name, value) in entries {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    let _ = write!(
        html,
        "</dl>\n<p>To do it again; the same seeds give the same accuracies, whatever the number of \
         threads:</p>\n<pre><code>{}</code></pre>\n",
        escape(&command(settings))
    );
    let _ = writeln!(
        html,
        "<p><strong>Collapse error: {}.</strong> Lite Zoo-Tuning ends in one plain network, which \
         was written to a file and read back. This is the largest difference between any of its \
         outputs before the softmax and the same output of the lite network, over all test samples \
         and seeds, relative to the largest output. {}</p>",
        format::scientific(outcome.collapse_error),
        // f32 has 24 bits; a few dozen roundings in a row stay well below this.
        match outcome.collapse_error {
            error if !error.is_finite() => "It could not be measured.",
            error if error < 1e-4 => "This is rounding: the collapse loses nothing.",
            _ => "This is more than rounding explains: the collapse changed the network.",
        }
    );
    html
}

/// The command that repeats the demo.
fn command(settings: &Settings) -> String {
    format!(
        "zoo-tuning demo --seeds {} --shots {} --epochs {} --threads {}",
        settings.seeds.len(),
        settings.shots,
        settings.epochs,
        settings.threads
    ) + if settings.validation { " --validate" } else { "" }
        + &settings.rate.map_or(String::new(), |rate| format!(" --rate {rate}"))
}

#[cfg(test)]
mod tests {
    use super::sample::Sample;
    use super::*;
    use crate::demo::MethodKind;

    /// Tags that are opened and not closed, by a reader that knows just enough HTML.
    fn unclosed(html: &str) -> Vec<String> {
        const VOID: [&str; 7] = ["!doctype", "meta", "link", "img", "input", "br", "wbr"];
        let mut open: Vec<String> = Vec::new();
        for tag in html.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            let name = tag.split_whitespace().next().unwrap_or("");
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed in the order of opening");
            } else if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        open
    }

    /// Leaves a page for the browser's test, and for whoever wants to see it.
    fn keep(name: &str, page: &str) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), page).unwrap();
    }

    fn check(outcome: &Outcome) -> String {
        let page = page(outcome).unwrap();
        assert_eq!(unclosed(&page), Vec::<String>::new());
        assert!(!page.contains("{{") && !page.contains("NaN") && !page.contains(">inf"));
        assert!(!page.contains("http:") && !page.contains("https:"));
        assert!(!page.contains("<script"));
        page
    }

    #[test]
    fn the_page_shows_everything() {
        let page = check(&Sample::default().outcome());
        for id in [
            "result",
            "methods",
            "sources",
            "training",
            "gates",
            "images",
            "alignment",
            "averages",
            "settings",
        ] {
            assert!(page.contains(&format!(" id=\"{id}\"")), "{id}");
        }
        keep("report-sample.html", &page);
    }

    #[test]
    fn zoos_of_any_size_fit() {
        for sources in 1..=8 {
            let sample = Sample { sources, layers: 1 + 19 * (sources % 2), seeds: 1, samples: 2 };
            let mut outcome = sample.outcome();
            for method in &mut outcome.methods {
                method.name.push_str(", by a longer name");
            }
            let page = check(&outcome);
            if sources == 7 {
                keep("report-large.html", &page);
            }
        }
    }

    #[test]
    fn an_empty_outcome_is_a_page_too() {
        let mut outcome = Sample::default().outcome();
        outcome.sources.clear();
        outcome.methods.clear();
        outcome.gates.clear();
        outcome.samples.clear();
        outcome.alignment.clear();
        outcome.ema.clear();
        outcome.settings.seeds.clear();
        let page = check(&outcome);
        assert_eq!(page.matches("<section").count(), 0);
    }

    #[test]
    fn vectors_of_the_wrong_length_do_not_break_it() {
        let mut outcome = Sample::default().outcome();
        outcome.gates[0].mean.clear();
        outcome.gates[1].deviation.push(1.0);
        outcome.samples[0].pixels.truncate(7);
        outcome.samples[1].size = [0, usize::MAX];
        outcome.samples[2].gates.clear();
        outcome.alignment[0].distance.truncate(1);
        outcome.ema[0].values.truncate(2);
        outcome.ema[1].values[0].clear();
        outcome.ema[2].steps.clear();
        outcome.methods[1].runs.clear();
        outcome.sources[0].scores.clear();
        check(&outcome);
    }

    #[test]
    fn numbers_that_are_none_do_not_break_it() {
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            let mut outcome = Sample::default().outcome();
            outcome.seconds = none;
            outcome.collapse_error = none;
            outcome.gates[0].mean[0] = none;
            outcome.gates[0].deviation[0] = none;
            outcome.samples[0].gates[0][0] = none;
            outcome.alignment[0].distance[0] = none;
            outcome.ema[0].values[3][0] = none;
            outcome.sources[0].scores[0] = none;
            for method in &mut outcome.methods {
                (method.mean, method.deviation, method.seconds) = (none, none, none);
                method.interval = Some(none);
                for run in &mut method.runs {
                    run.accuracy = none;
                    for point in &mut run.curve {
                        (point.loss, point.accuracy) = (none, none);
                    }
                }
            }
            check(&outcome);
        }
    }

    #[test]
    fn text_is_shown_and_not_obeyed() {
        let mut outcome = Sample::default().outcome();
        let evil = "<script>alert('\"&')</script>{{css}}";
        outcome.version = evil.into();
        outcome.sources[0].name = evil.into();
        outcome.sources[0].trained_on = evil.into();
        outcome.sources[0].file = evil.into();
        outcome.methods[0].name = evil.into();
        outcome.methods[0].description = evil.into();
        outcome.gates[0].layer = evil.into();
        outcome.samples[0].condition = evil.into();
        outcome.alignment[0].layer = evil.into();
        outcome.ema[0].layer = evil.into();
        let page = page(&outcome).unwrap();
        assert!(!page.contains("<script"));
        assert_eq!(unclosed(&page), Vec::<String>::new());
    }

    #[test]
    fn the_headline_says_who_won() {
        let mut outcome = Sample::default().outcome();
        let headline = |outcome: &mut Outcome, zoo: f64| {
            for method in &mut outcome.methods {
                let level = match method.kind {
                    MethodKind::Zoo => zoo,
                    MethodKind::Single => 0.5,
                    _ => 0.6,
                };
                for (at, run) in method.runs.iter_mut().enumerate() {
                    run.accuracy = level + 0.001 * at as f64;
                }
            }
            results::headline(outcome)
        };
        assert_eq!(headline(&mut outcome, 0.7), "Zoo-Tuning beats even the best single source");
        assert_eq!(
            headline(&mut outcome, 0.6),
            "Zoo-Tuning and the best single source: no clear winner"
        );
        assert_eq!(
            headline(&mut outcome, 0.55),
            "Zoo-Tuning beats the typical source, but not the best"
        );
        assert_eq!(
            headline(&mut outcome, 0.5),
            "Zoo-Tuning gains nothing clear over a typical single source"
        );
        assert_eq!(headline(&mut outcome, 0.4), "Zoo-Tuning loses to tuning a single source");

        outcome.methods.iter_mut().for_each(|method| method.runs.truncate(1));
        let one = results::headline(&outcome);
        assert_eq!(one, "Zoo-Tuning loses to tuning a single source, in one run");
    }

    #[test]
    fn what_is_filled_in_is_not_looked_into() {
        assert_eq!(
            fill("a {{b}} c {{d}}", |key| if key == "b" { "{{d}}" } else { "e" }),
            "a {{d}} c e"
        );
    }
}
