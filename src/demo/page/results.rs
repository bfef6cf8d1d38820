//! What came out: headline, key numbers, plots of the accuracies, the table.

use std::fmt::Write;

use crate::Result;
use crate::compare::{self, Difference, Method, MethodKind, Run, Verdict};
use crate::demo::Outcome;
use crate::report::Section;
use crate::report::canvas::Colour;
use crate::report::comparison::{accuracies, costs, first, several, with_interval};
use crate::report::format::{self, percent};
use crate::report::methods::{colour, mark};
use crate::report::plot::{self, Layout, Row};

/// What the page is about: the routed zoo if it was run, otherwise Zoo-Tuning.
fn subject(outcome: &Outcome) -> Option<&Method> {
    let of = |kind| first(&outcome.methods, kind);
    of(MethodKind::Routed).or_else(|| of(MethodKind::Zoo))
}

/// How a sentence calls it.
fn name_of(subject: &Method) -> &'static str {
    if subject.kind == MethodKind::Routed { "the routed zoo" } else { "Zoo-Tuning" }
}

/// What it is compared with, in the order in which it is told.
struct Rival {
    /// As in `more than …`.
    name: String,
    kind: MethodKind,
    difference: Difference,
}

/// The subject against the others, seed by seed; empty if there is none.
fn rivals(outcome: &Outcome) -> Vec<Rival> {
    let Some(subject) = subject(outcome) else { return Vec::new() };
    let mut rivals = Vec::new();
    let mut add = |name: &str, kind: MethodKind, runs: &[Run]| {
        if let Some(difference) = compare::paired(&subject.runs, runs) {
            rivals.push(Rival { name: name.to_owned(), kind, difference });
        }
    };
    for (name, kind) in [
        ("training from scratch", MethodKind::Scratch),
        ("the sources’ plain average", MethodKind::Average),
        ("the mean of the single sources", MethodKind::Single),
        ("the single source that scored best before tuning", MethodKind::Chosen),
        ("the best single source, known with hindsight only", MethodKind::Hindsight),
        ("Zoo-Tuning", MethodKind::Zoo),
        ("the ensemble", MethodKind::Ensemble),
    ] {
        if kind == MethodKind::Single {
            add(name, kind, &compare::mean_single(&outcome.methods));
        } else if let Some(method) =
            first(&outcome.methods, kind).filter(|m| m.kind != subject.kind)
        {
            add(name, kind, &method.runs);
        }
    }
    rivals
}

/// The result in a few words, from the intervals of the differences.
pub(super) fn headline(outcome: &Outcome) -> String {
    let Some(subject) = subject(outcome) else {
        return "One network from a zoo of networks".to_owned();
    };
    let name = format::capital_letter(name_of(subject));
    let rivals = rivals(outcome);
    let verdict = |kind| rivals.iter().find(|r| r.kind == kind).map(|r| r.difference.verdict());
    use Verdict::{Ahead, Behind, Unclear};
    let words = match (verdict(MethodKind::Hindsight), verdict(MethodKind::Single)) {
        (Some(Ahead), _) => "beats even the best single source",
        (_, Some(Behind)) => "loses to tuning a single source",
        (Some(Behind), Some(Ahead)) => "beats the typical source, but not the best",
        (_, Some(Unclear)) => "gains nothing clear over a typical single source",
        (Some(Unclear), _) => "and the best single source: no clear winner",
        (Some(Behind), None) => "stays behind the best single source",
        (None, Some(Ahead)) => "beats the typical source",
        (None, None) => return "One network from a zoo of networks".to_owned(),
    };
    match rivals.iter().all(|rival| rival.difference.interval.is_some()) {
        true => format!("{name} {words}"),
        false => format!("{name} {words}, in one run"),
    }
}

/// What was done, and what came of it.
pub(super) fn lede(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let mut html = format!(
        "<p class=\"lede\">{}, all of one architecture, {} tuned together, as one network, to a task \
         of {} with {} of each.",
        format::capital(&format::plural(
            outcome.sources.len(),
            "pretrained network",
            "pretrained networks"
        )),
        if outcome.sources.len() == 1 { "was" } else { "were" },
        format::plural(settings.classes, "class", "classes"),
        format::plural(settings.shots, "labelled image", "labelled images"),
    );
    let Some(subject) = subject(outcome) else {
        html.push_str("</p>\n");
        return html;
    };
    let _ = write!(
        html,
        " Over {}, {} got <strong>{}&nbsp;%</strong> of {} unseen images right{}",
        format::plural(subject.runs.len(), "seed", "seeds"),
        name_of(subject),
        percent(subject.mean),
        format::thousands(settings.test_samples),
        match subject.interval.filter(|i| i.is_finite()) {
            Some(interval) => format!(
                " (95&nbsp;% interval {} to {})",
                percent(subject.mean - interval),
                percent(subject.mean + interval)
            ),
            None => " (a single run: no interval)".to_owned(),
        }
    );
    let clauses = clauses(outcome, subject);
    if clauses.is_empty() {
        html.push_str(".</p>\n");
    } else {
        let _ = writeln!(html, ": {}.</p>", clauses.join("; "));
    }
    html
}

/// The comparisons as clauses of a sentence: what it beats, what it loses to, what is open.
fn clauses(outcome: &Outcome, subject: &Method) -> Vec<String> {
    let rivals = rivals(outcome);
    let of = |verdict| rivals.iter().filter(move |r| r.difference.verdict() == verdict);
    let cost = |rival: &Rival| match (rival.kind, first(&outcome.methods, rival.kind)) {
        (MethodKind::Ensemble, Some(ensemble)) if subject.multiply_adds > 0 => {
            let times = ensemble.multiply_adds as f64 / subject.multiply_adds as f64;
            format!(", which costs {} times as much to run", format::decimal(times, 1))
        }
        _ => String::new(),
    };
    let told = |verdict, word: &str| -> Option<String> {
        let items: Vec<String> = of(verdict)
            .enumerate()
            .map(|(at, rival)| {
                let unit = if at == 0 { format!(" points {word} than") } else { " than".into() };
                let mean = percent(rival.difference.mean.abs());
                format!("<strong>{mean}</strong>{unit} {}{}", rival.name, cost(rival))
            })
            .collect();
        (!items.is_empty()).then(|| format::list(&items))
    };
    let open: Vec<String> = of(Verdict::Unclear)
        .map(|rival| format!("{}: {}{}", rival.name, with_interval(&rival.difference), cost(rival)))
        .collect();
    let open =
        (!open.is_empty()).then(|| format!("not clearly different from {}", format::list(&open)));
    [told(Verdict::Ahead, "more"), told(Verdict::Behind, "less"), open]
        .into_iter()
        .flatten()
        .collect()
}

/// A few accuracies large enough to be seen first.
pub(super) fn numbers(outcome: &Outcome) -> String {
    let singles = compare::mean_single(&outcome.methods);
    let mean_single = (!singles.is_empty())
        .then(|| singles.iter().map(|run| run.accuracy).sum::<f64>() / singles.len() as f64);
    let of = |kind| first(&outcome.methods, kind).map(|method| method.mean);
    let cost = match (
        first(&outcome.methods, MethodKind::Ensemble),
        first(&outcome.methods, MethodKind::Collapsed),
    ) {
        (Some(ensemble), Some(one)) if one.multiply_adds > 0 => format!(
            "ensemble, {} times the cost",
            format::decimal(ensemble.multiply_adds as f64 / one.multiply_adds as f64, 1)
        ),
        _ => "ensemble".to_owned(),
    };
    let entries = [
        (MethodKind::Scratch, of(MethodKind::Scratch), "from scratch".to_owned()),
        (MethodKind::Single, mean_single, "mean of the single sources".to_owned()),
        (MethodKind::Hindsight, of(MethodKind::Hindsight), "best single, in hindsight".to_owned()),
        (MethodKind::Routed, of(MethodKind::Routed), "routed zoo".to_owned()),
        (MethodKind::Zoo, of(MethodKind::Zoo), "Zoo-Tuning".to_owned()),
        (MethodKind::Lite, of(MethodKind::Lite), "lite: one plain network".to_owned()),
        (MethodKind::Ensemble, of(MethodKind::Ensemble), cost),
    ];
    let mut html = String::new();
    for (kind, value, name) in entries {
        let Some(value) = value else { continue };
        let _ = writeln!(
            html,
            "<div style=\"--hue:var(--{})\"><dt>{name}</dt><dd>{} <small>%</small></dd></div>",
            colour(kind).variable(),
            percent(value)
        );
    }
    if html.is_empty() { html } else { format!("<dl class=\"numbers\">\n{html}</dl>\n") }
}

/// The accuracies as plots.
pub(super) fn section(outcome: &Outcome) -> Result<Option<Section>> {
    if outcome.methods.is_empty() {
        return Ok(None);
    }
    let mut body = String::from(
        "<p>Every method had the same labelled images, the same number of steps and the same seeds, \
         and the learning rate that was best for its kind on other images; \
         accuracy is the share of right answers on images that none of them saw. Further right is \
         better.</p>\n",
    );
    let kind = subject(outcome).map_or(MethodKind::Zoo, |subject| subject.kind);
    body.push_str(&accuracies(&outcome.methods, kind)?);
    body.push_str("<div class=\"two\">\n");
    body.push_str(&differences(outcome)?);
    body.push_str(&costs(&outcome.methods)?);
    body.push_str("</div>\n");
    Ok(Some(Section { id: "result", title: "What came out", link: "Result", body }))
}

fn differences(outcome: &Outcome) -> Result<String> {
    let rivals = rivals(outcome);
    let Some(subject) = subject(outcome).filter(|_| !rivals.is_empty()) else {
        return Ok(String::new());
    };
    let (sentence, name) = (name_of(subject), format::capital_letter(name_of(subject)));
    let rows: Vec<Row> = rivals
        .iter()
        .map(|rival| Row {
            label: match rival.kind {
                MethodKind::Scratch => "against scratch",
                MethodKind::Average => "against the plain average",
                MethodKind::Single => "against the mean single",
                MethodKind::Chosen => "against the single by score",
                MethodKind::Hindsight => "against the best single (hindsight)",
                MethodKind::Zoo => "against Zoo-Tuning",
                _ => "against the ensemble",
            }
            .to_owned(),
            text: with_interval(&rival.difference),
            value: rival.difference.mean,
            interval: rival.difference.interval,
            each: several(rival.difference.each.clone()),
            colour: colour(rival.kind),
            mark: mark(rival.kind),
            strong: false,
        })
        .collect();
    let title = format!("{name} less each rival, in percentage points, with 95 % intervals");
    let zero = Some((0.0, Colour::STRONG));
    let svg = plot::rows(&rows, Layout::Above, zero, plot::points_label, &title)?;
    let open = if rivals.iter().any(|rival| rival.difference.interval.is_some()) {
        "; a bar (95&nbsp;% interval, also in brackets) that crosses the line leaves it open"
    } else {
        ""
    };
    Ok(format!(
        "<figure class=\"panel\">\n<h3>{name} against the others</h3>\n<figcaption>Difference of \
         accuracy in percentage points, taken within each seed, so that luck that all methods share \
         cancels. Right of the dashed line {sentence} is better{open}.</figcaption>\n{svg}</figure>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;
    use crate::report::comparison::table;

    #[test]
    fn the_lede_tells_what_was_lost() {
        let mut outcome = Sample::default().outcome();
        for method in &mut outcome.methods {
            let level = match method.kind {
                MethodKind::Zoo => 0.5,
                MethodKind::Scratch => 0.25,
                _ => 0.75,
            };
            for run in &mut method.runs {
                run.accuracy = level;
            }
        }
        let lede = lede(&outcome);
        assert!(lede.contains("<strong>25.0</strong> points more than training from scratch;"));
        assert!(
            lede.contains("<strong>25.0</strong> points less than the sources’ plain average,")
        );
        assert!(lede.contains("the ensemble, which costs 3.4 times as much to run."));
        assert!(lede.contains("Four pretrained networks"));
    }

    #[test]
    fn one_seed_has_no_interval() {
        let outcome = Sample { seeds: 1, ..Sample::default() }.outcome();
        assert!(lede(&outcome).contains("Over 1 seed"));
        assert!(lede(&outcome).contains("a single run: no interval"));
        assert!(!table(&outcome.methods).unwrap().body.contains("±</"));
    }
}
