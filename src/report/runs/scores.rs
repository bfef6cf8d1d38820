//! What came out: scores of runs, and of each class.

use super::super::Section;
use super::super::format::{self, escape, percent};
use super::super::table::{open, row};
use super::{Shown, score};
use crate::train::ClassEvaluation;
use crate::train::task::Scores;
use std::fmt::Write;

/// The scores side by side, and those of each class.
pub(super) fn section(shown: &[Shown]) -> Option<Section> {
    let mut body = table(shown);
    body.push_str(&classes(shown));
    Some(Section { id: "scores", title: "What came out", link: "Scores", body })
}

/// One row for each run.
fn table(shown: &[Shown]) -> String {
    type Of = fn(&Shown) -> Option<Scores>;
    let parts: [(&str, Of); 2] =
        [("test", |run| run.test().cloned()), ("validation", |run| run.validation().cloned())];
    // A column for each score that some run has.
    let mut heads: Vec<(usize, String)> = Vec::new();
    for (part, (_, of)) in parts.iter().enumerate() {
        for (name, _) in shown.iter().filter_map(of).flat_map(|scores| scores.values) {
            if !heads.contains(&(part, name.clone())) {
                heads.push((part, name));
            }
        }
    }
    let mut titles: Vec<String> =
        heads.iter().map(|(part, name)| format!("{} {name}", parts[*part].0)).collect();
    titles.extend(["training loss", "parameters", "steps", "time"].map(str::to_owned));
    let mut html = open("Scores of the runs", "Run", &titles);
    // Of a score that decides it is known whether more is better; of a loss less is.
    let best = |part: usize, name: &str, value: f64| {
        let all: Vec<Scores> = shown.iter().filter_map(parts[part].1).collect();
        let decides =
            |scores: &Scores| scores.deciding().is_some_and(|(deciding, _)| deciding == name);
        let is_larger_better = all.iter().any(|s| s.larger_is_better && decides(s));
        let is_better = |other: f64| if is_larger_better { other > value } else { other < value };
        all.len() > 1
            && (name == "loss" || all.iter().all(decides))
            && !all.iter().filter_map(|scores| scores.get(name)).any(is_better)
    };
    for run in shown {
        let summary = run.run.summary.as_ref();
        let mut cells: Vec<String> = heads
            .iter()
            .map(|(part, name)| {
                let Some(value) = (parts[*part].1)(run).and_then(|scores| scores.get(name)) else {
                    return format::NONE.to_owned();
                };
                let text = score(name, value, "&nbsp;");
                if best(*part, name, value) {
                    format!("<span class=\"best\">{text}</span>")
                } else {
                    text
                }
            })
            .collect();
        cells.push(run.loss().map_or(format::NONE.to_owned(), |loss| format::decimal(loss, 4)));
        cells.push(summary.map_or(format::NONE.to_owned(), |s| format::count(s.parameters as u64)));
        cells.push(format::thousands(run.steps() as usize));
        cells.push(match summary {
            Some(summary) if summary.resumed_at_step > 0 => {
                let since = format::thousands(summary.resumed_at_step as usize);
                format!("{}<small>since step {since}</small>", format::seconds(summary.seconds))
            }
            Some(summary) => format::seconds(summary.seconds),
            None => "not finished".to_owned(),
        });
        let note = run.run.summary.as_ref().map_or("", |summary| &summary.architecture[..]);
        let head = format!(
            "<span class=\"swatch\" style=\"--key:var(--{})\"></span>{}<small>{} {}</small>",
            run.colour.variable(),
            escape(&run.name),
            escape(super::words(super::form(run.run))),
            escape(note)
        );
        row(&mut html, &head, &titles, &cells);
    }
    html.push_str("</tbody></table>\n");
    html
}

/// The share of each class that was told right: for one run of each part, for several side by side.
fn classes(shown: &[Shown]) -> String {
    /// Classes that a page has room for.
    const MOST: usize = 30;
    let is_tested = shown.iter().all(|run| !run.run.observations.test.is_empty());
    let mut columns: Vec<(String, &[ClassEvaluation])> = Vec::new();
    for run in shown {
        let seen = &run.run.observations;
        let parts = [("test", &seen.test[..]), ("validation", &seen.validation[..])];
        for (part, classes) in parts.into_iter().filter(|(_, classes)| !classes.is_empty()) {
            if shown.len() == 1 {
                columns.push((format!("{part} accuracy"), classes));
            } else if (part == "test") == is_tested {
                // Side by side, of one part for all.
                columns.push((format!("{}, {part}", run.name), classes));
            }
        }
    }
    let Some((_, first)) = columns.first() else { return String::new() };
    let found = |column: &[ClassEvaluation], name: &str| {
        column.iter().find(|class| class.name == name).cloned()
    };
    let mut order: Vec<&ClassEvaluation> = first.iter().collect();
    let mut note = "Share of each class that was told right, with its number of images.".to_owned();
    if order.len() > MOST {
        let worth = |class: &ClassEvaluation| class.recall.unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
        let _ = write!(note, " Of {} classes, the {MOST} that did worst.", order.len());
        order.truncate(MOST);
    }
    let titles: Vec<String> = columns.iter().map(|(title, _)| title.clone()).collect();
    let mut html = format!("<h3 class=\"apart\">Class by class</h3>\n<p>{note}</p>\n");
    html.push_str(&open("Accuracy of each class", "Class", &titles));
    for class in order {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, column)| match found(column, &class.name) {
                Some(ClassEvaluation { recall: Some(recall), samples, .. }) => {
                    format!(
                        "{}&nbsp;% <small class=\"beside\">of {}</small>",
                        percent(recall),
                        format::thousands(samples)
                    )
                }
                _ => format::NONE.to_owned(),
            })
            .collect();
        row(&mut html, &escape(&class.name), &titles, &cells);
    }
    html.push_str("</tbody></table>\n");
    html
}
