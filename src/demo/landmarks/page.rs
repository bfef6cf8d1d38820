//! The page that shows the demo of landmarks.
//!
//! What stands in it is computed from the numbers, the headline too: it says so where a zoo loses.

use super::outcome::{Kind, Method, Outcome, differences};
use crate::Result;
use crate::compare::{MethodKind, Verdict};
use crate::report::comparison::{several, with_interval};
use crate::report::format::{self, escape, percent};
use crate::report::landmarks::{cumulative, pictures};
use crate::report::layers::{self, Inside};
use crate::report::methods::{colour, mark};
use crate::report::plot::{self, Layout, Line, Row};
use crate::report::table::{open, row, settings as list_of_settings};
use crate::report::{Page, Section};
use std::fmt::Write;

/// The page that shows `outcome`, as HTML.
///
/// # Errors
/// If a plot or a picture cannot be encoded.
pub fn page(outcome: &Outcome) -> Result<String> {
    let names = layers::names(&outcome.sources);
    let inside = Inside {
        sources: &names,
        gates: &outcome.gates,
        samples: &[],
        alignment: &[],
        classes: &[],
        images: "test",
        whose: "Zoo-Tuning, first seed, fewest frames",
    };
    let scored = "The score says how well a source’s features foretell where the points are, before any \
                  tuning: one less the part of their scatter that a ridge regression on top of the \
                  features leaves unexplained in frames that it was not shown.";
    let mut sections: Vec<Section> = Vec::new();
    let results = outcome.settings.frames.iter().map(|&frames| result(outcome, frames));
    let results = results.collect::<Result<Vec<_>>>()?;
    if let Some((first, more)) = results.split_first() {
        let (id, title, link) = ("result", "What came out", "Result");
        sections.push(Section { id, title, link, body: first.clone() });
        if !more.is_empty() {
            let (id, title, link) = ("more", "With more frames", "More frames");
            sections.push(Section { id, title, link, body: more.concat() });
        }
    }
    sections.extend(points(outcome));
    sections.push(curves(outcome)?);
    let shown = pictures(&outcome.pictures)?;
    if !shown.is_empty() {
        let (id, title, link) = ("pictures", "What the lite network finds", "Pictures");
        sections.push(Section { id, title, link, body: shown });
    }
    sections.extend(layers::sources(&outcome.sources, scored));
    sections.extend(layers::gates(&inside));
    let page = Page {
        kind: "Zoo-Tuning, a demo of landmarks",
        title: &headline(outcome),
        version: &outcome.version,
        lede: &lede(outcome),
        numbers: "",
        sections: &sections,
        footer: &footer(outcome),
    };
    Ok(page.html())
}

/// The result in a few words, from the intervals of the differences.
fn headline(outcome: &Outcome) -> String {
    let frames = outcome.settings.frames.first().copied().unwrap_or(0);
    let verdict = |other| {
        let of = |kind| outcome.method(kind, frames);
        Some(differences(of(Kind::Lite)?, of(other)?).verdict())
    };
    // Of errors, less is better.
    let words = match (verdict(Kind::Hindsight), verdict(Kind::Scratch)) {
        (Some(Verdict::Behind), _) => "finds points better than the best single source",
        (Some(Verdict::Unclear), Some(Verdict::Behind)) => {
            "beats training from scratch, and does what the best single source does"
        }
        (Some(Verdict::Ahead), Some(Verdict::Behind)) => {
            "beats training from scratch, but not the best single source"
        }
        (_, Some(Verdict::Ahead)) => "loses to training from scratch",
        _ => "gains nothing clear over training from scratch",
    };
    format!(
        "A zoo tuned to {}: the lite network {words}",
        format::plural(frames, "frame", "frames")
    )
}

fn lede(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let frames: Vec<String> = settings.frames.iter().map(usize::to_string).collect();
    format!(
        "<p class=\"lede\">{} of one architecture, trained on drawn pictures, are tuned to find {} points of \
         a mouse on a wheel, from {} frames labelled by hand. Of two of them, bottom and side, the pictures \
         imitate this rig; the others know nothing of it. Errors are the mean distance from the \
         labels in {} other frames, in per cent of the mouse’s length, the two noses left out: the head \
         is fixed.</p>\n",
        format::capital(&format::plural(outcome.sources.len(), "network", "networks")),
        outcome.points.len(),
        format::list(&frames),
        settings.test_frames
    )
}

/// How a kind is drawn: as what it is called elsewhere.
fn drawn_as(kind: Kind) -> MethodKind {
    match kind {
        Kind::MeanPose | Kind::Scratch | Kind::ScratchLonger => MethodKind::Scratch,
        Kind::Single => MethodKind::Single,
        Kind::Chosen => MethodKind::Chosen,
        Kind::Hindsight => MethodKind::Hindsight,
        Kind::Average => MethodKind::Average,
        Kind::Matched => MethodKind::Matched,
        Kind::Zoo => MethodKind::Zoo,
        Kind::Lite => MethodKind::Lite,
        Kind::Collapsed => MethodKind::Collapsed,
        Kind::Routed => MethodKind::Routed,
        Kind::Ensemble => MethodKind::Ensemble,
    }
}

/// The errors on so many frames, as a plot and as a table.
fn result(outcome: &Outcome, frames: usize) -> Result<String> {
    let methods: Vec<&Method> = outcome.methods.iter().filter(|m| m.frames == frames).collect();
    let rows: Vec<Row> = methods
        .iter()
        // Its error would leave the others no room.
        .filter(|method| method.kind != Kind::MeanPose)
        .map(|method| {
            let found = method.summary();
            Row {
                label: method.name.clone(),
                text: format!("{} %", format::decimal(100.0 * found.mean, 2)),
                value: found.mean,
                interval: found.interval,
                each: several(method.errors.clone()),
                colour: colour(drawn_as(method.kind)),
                mark: mark(drawn_as(method.kind)),
                strong: matches!(method.kind, Kind::Zoo | Kind::Lite),
            }
        })
        .collect();
    let title = format!("Error in per cent of the length, {frames} frames");
    let wide = plot::rows(&rows, Layout::Beside, None, plot::percent_label, &title)?;
    let narrow = plot::rows(&rows, Layout::Above, None, plot::percent_label, &title)?;
    let mut body = format!(
        "<figure class=\"panel\"><h3>{title}</h3>\n<figcaption>Less is better. A dot for each seed, the \
         mean with its 95&nbsp;% interval.</figcaption>\n<div class=\"wide\">{wide}</div>\
         <div class=\"narrow\">{narrow}</div></figure>\n"
    );
    let titles = ["error, %", "less scratch", "less the best single", "tuning"].map(str::to_owned);
    let less = |method: &Method, kind: Kind| -> String {
        let other = outcome.method(kind, frames).filter(|other| other.kind != method.kind);
        let text = |other: &Method| with_interval(&differences(method, other));
        other.map_or(format::NONE.to_owned(), text)
    };
    body.push_str(&open(&title, "Method", &titles));
    for method in methods {
        let error = format::decimal(100.0 * method.summary().mean, 2);
        let cells = [
            error,
            less(method, Kind::Scratch),
            less(method, Kind::Hindsight),
            format::seconds(method.seconds),
        ];
        row(&mut body, &escape(&method.name), &titles, &cells);
    }
    body.push_str("</tbody></table>\n");
    Ok(body)
}

/// The error of each point, of a few methods.
fn points(outcome: &Outcome) -> Option<Section> {
    let frames = *outcome.settings.frames.first()?;
    let kinds = [Kind::MeanPose, Kind::Scratch, Kind::Hindsight, Kind::Zoo, Kind::Lite];
    let methods: Vec<&Method> =
        kinds.into_iter().filter_map(|kind| outcome.method(kind, frames)).collect();
    let titles: Vec<String> = methods.iter().map(|method| method.name.clone()).collect();
    let mut body = format!(
        "<p>Mean errors in per cent of the length, {frames} frames. The names end in the view: from the side \
         (<code>top</code>), from below (<code>bot</code>).</p>\n"
    );
    body.push_str(&open("Errors of each point", "Point", &titles));
    for (at, point) in outcome.points.iter().enumerate() {
        let cell =
            |method: &&Method| method.of_points.get(at).map_or(String::new(), |e| percent(*e));
        row(&mut body, &escape(point), &titles, &methods.iter().map(cell).collect::<Vec<_>>());
    }
    body.push_str("</tbody></table>\n");
    Some(Section { id: "points", title: "Point by point", link: "Points", body })
}

/// The share of frames whose error is at most x.
fn curves(outcome: &Outcome) -> Result<Section> {
    let frames = outcome.settings.frames.first().copied().unwrap_or(0);
    let kinds = [Kind::Scratch, Kind::Hindsight, Kind::Zoo, Kind::Lite, Kind::Ensemble];
    let methods: Vec<&Method> =
        kinds.into_iter().filter_map(|kind| outcome.method(kind, frames)).collect();
    let line = |method: &&Method| {
        let mut errors = method.of_frames.concat();
        errors.sort_by(f64::total_cmp);
        Line { colour: colour(drawn_as(method.kind)), main: cumulative(&errors), faint: vec![] }
    };
    let lines: Vec<Line> = methods.iter().map(line).collect();
    let title = "Share of frames over the error in per cent";
    let svg = plot::lines(&lines, (400.0, 250.0), Some(0.0..1.0), plot::percent_label, title)?;
    let mut legend = String::new();
    for method in methods {
        let _ = writeln!(
            legend,
            "<li><span class=\"line\" style=\"--key:var(--{})\"></span>{}</li>",
            colour(drawn_as(method.kind)).variable(),
            escape(&method.name)
        );
    }
    let body = format!(
        "<figure class=\"panel\"><h3>{title}</h3>\n<figcaption>The mean error of all points of a frame, \
         all seeds together, {frames} frames to tune on.</figcaption>\n{svg}<ul class=\"legend\">\n{legend}\
         </ul></figure>\n"
    );
    Ok(Section { id: "curves", title: "How often it is how far off", link: "Curves", body })
}

fn footer(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let frames: Vec<String> = settings.frames.iter().map(usize::to_string).collect();
    let entries = [
        ("Seeds", settings.seeds.len().to_string()),
        ("Frames to tune on", frames.join(", ")),
        ("Frames to measure on", settings.test_frames.to_string()),
        ("Steps of every network", settings.steps.to_string()),
        ("Highest learning rate from scratch", settings.rates[0].to_string()),
        ("That of networks with sources", settings.rates[1].to_string()),
        ("Time of the last process", format::seconds(outcome.seconds)),
        ("Version", outcome.version.clone()),
    ];
    let mut html = list_of_settings(&entries);
    let _ = write!(
        html,
        "<p>The draws of different seeds share frames, so that intervals are a little too narrow. \
         To do it again:</p>\n<pre><code>zoo-tuning demo landmarks --seeds {} --frames {} \
         --steps {} --scratch-rate {} --rate {}{}</code></pre>\n",
        settings.seeds.len(),
        frames.join(","),
        settings.steps,
        settings.rates[0],
        settings.rates[1],
        if settings.validation { " --validate" } else { "" }
    );
    html
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Settings;
    use super::*;
    use crate::report::checked;

    fn outcome(errors: &[(Kind, f64)]) -> Outcome {
        let method = |&(kind, error): &(Kind, f64)| Method {
            kind,
            name: format!("{kind:?}"),
            frames: 15,
            errors: vec![error, error + 0.001, error + 0.002],
            of_points: vec![error; 2],
            of_frames: vec![vec![error, 2.0 * error]; 3],
            seconds: 1.5,
        };
        Outcome {
            version: "0".to_owned(),
            settings: Settings {
                seeds: vec![1, 2, 3],
                frames: vec![15],
                test_frames: 30,
                steps: 120,
                rates: [0.03, 0.01],
                validation: false,
            },
            points: ["paw", "tail"].map(str::to_owned).to_vec(),
            methods: errors.iter().map(method).collect(),
            sources: vec![],
            gates: vec![],
            pictures: vec![],
            seconds: 60.0,
        }
    }

    #[test]
    fn the_headline_says_who_wins() {
        let told = |lite: f64, single: f64, scratch: f64| {
            let all = [(Kind::Lite, lite), (Kind::Hindsight, single), (Kind::Scratch, scratch)];
            let outcome = outcome(&all);
            let page = page(&outcome).unwrap();
            checked::check(&page);
            headline(&outcome)
        };
        assert!(told(0.04, 0.05, 0.06).ends_with("better than the best single source"));
        assert!(told(0.05, 0.05, 0.06).ends_with("does what the best single source does"));
        assert!(told(0.05, 0.04, 0.06).ends_with("but not the best single source"));
        assert!(told(0.06, 0.04, 0.05).ends_with("loses to training from scratch"));
        assert!(told(0.05, 0.04, 0.05).ends_with("gains nothing clear over training from scratch"));
    }
}
