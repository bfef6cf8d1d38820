//! The page that shows a demo.
//!
//! What stands in it is computed from the numbers, the headline too: it says so where Zoo-Tuning
//! loses.

mod results;
#[cfg(test)]
mod sample;

use super::{Outcome, Settings};
use crate::Result;
use crate::report::format::{self, escape};
use crate::report::layers::{self, Inside};
use crate::report::table::settings as list_of_settings;
use crate::report::{Page, Section, comparison, courses, learning};
use std::fmt::Write;

/// The page that shows `outcome`, as HTML.
///
/// Parts that `outcome` has no data for are left out; numbers that are infinite or not a number
/// are shown as dashes and left out of plots.
///
/// # Errors
/// If a plot or an image cannot be encoded.
pub fn page(outcome: &Outcome) -> Result<String> {
    let names = layers::names(&outcome.sources);
    let inside = Inside {
        sources: &names,
        gates: &outcome.gates,
        samples: &outcome.samples,
        alignment: &outcome.alignment,
        classes: &[],
        images: "test",
        whose: "Zoo-Tuning, first seed",
    };
    let scored = "The score says how well a source’s features fit the target before any tuning: the \
                  leave-one-out accuracy of a ridge classifier on top of them, mean over the seeds with \
                  its range. Zoo-Tuning starts by favouring the source that scores best.";
    let sections: Vec<Section> = [
        results::section(outcome)?,
        comparison::table(&outcome.methods),
        layers::sources(&outcome.sources, scored),
        learning::section(
            &outcome.methods,
            "a fixed part of the test samples, to be looked at only; nothing was chosen by it",
        )?,
        layers::gates(&inside),
        // An image is shown beside its gates.
        if names.is_empty() { None } else { layers::samples(&inside)? },
        layers::alignment(&inside),
        courses::averages(&outcome.ema, &names)?,
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = Page {
        kind: "Zoo-Tuning, a demo",
        title: &results::headline(outcome),
        version: &outcome.version,
        lede: &results::lede(outcome),
        numbers: &results::numbers(outcome),
        sections: &sections,
        footer: &footer(outcome),
    };
    Ok(page.html())
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
    let mut html = list_of_settings(&entries);
    let _ = write!(
        html,
        "<p>To do it again; the same seeds give the same accuracies, whatever the number of \
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
    use crate::compare::MethodKind;
    use crate::report::checked;

    fn check(outcome: &Outcome) -> String {
        let page = page(outcome).unwrap();
        checked::check(&page);
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
        checked::keep("report-sample.html", &page);
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
                checked::keep("report-large.html", &page);
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
        outcome.gates[1].std.push(1.0);
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
            outcome.gates[0].std[0] = none;
            outcome.samples[0].gates[0][0] = none;
            outcome.alignment[0].distance[0] = none;
            outcome.ema[0].values[3][0] = none;
            outcome.sources[0].scores[0] = none;
            for method in &mut outcome.methods {
                (method.mean, method.std, method.seconds) = (none, none, none);
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
        assert_eq!(checked::unclosed(&page), Vec::<String>::new());
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
}
