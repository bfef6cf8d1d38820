//! What came out: headline, key numbers, plots of the accuracies, the table.

use std::fmt::Write;

use super::{colour, mark};
use crate::Result;
use crate::compare::{self, Difference, Method, MethodKind, Run, Verdict};
use crate::demo::Outcome;
use crate::report::Section;
use crate::report::canvas::{Colour, Mark};
use crate::report::format::{self, escape, percent};
use crate::report::plot::{self, Layout, Place, Row};

/// What Zoo-Tuning is compared with, in the order in which it is told.
struct Rival {
    /// As in `more than …`.
    name: String,
    kind: MethodKind,
    difference: Difference,
}

/// The first method of a kind: where there are several, the table's order decides, not the test.
fn first(outcome: &Outcome, kind: MethodKind) -> Option<&Method> {
    outcome.methods.iter().find(|method| method.kind == kind)
}

/// Zoo-Tuning against the others, seed by seed; empty if it was not run.
fn rivals(outcome: &Outcome) -> Vec<Rival> {
    let Some(zoo) = first(outcome, MethodKind::Zoo) else { return Vec::new() };
    let mut rivals = Vec::new();
    let mut add = |name: &str, kind: MethodKind, runs: &[Run]| {
        if let Some(difference) = compare::paired(&zoo.runs, runs) {
            rivals.push(Rival { name: name.to_owned(), kind, difference });
        }
    };
    for (name, kind) in [
        ("training from scratch", MethodKind::Scratch),
        ("the sources’ plain average", MethodKind::Average),
        ("the mean of the single sources", MethodKind::Single),
        ("the best single source, known with hindsight only", MethodKind::Hindsight),
        ("the ensemble", MethodKind::Ensemble),
    ] {
        if kind == MethodKind::Single {
            add(name, kind, &compare::mean_single(&outcome.methods));
        } else if let Some(method) = first(outcome, kind) {
            add(name, kind, &method.runs);
        }
    }
    rivals
}

/// The result in a few words, from the intervals of the differences.
pub(super) fn headline(outcome: &Outcome) -> String {
    let rivals = rivals(outcome);
    let verdict = |kind| rivals.iter().find(|r| r.kind == kind).map(|r| r.difference.verdict());
    use Verdict::{Ahead, Behind, Unclear};
    let words = match (verdict(MethodKind::Hindsight), verdict(MethodKind::Single)) {
        (Some(Ahead), _) => "Zoo-Tuning beats even the best single source",
        (_, Some(Behind)) => "Zoo-Tuning loses to tuning a single source",
        (Some(Behind), Some(Ahead)) => "Zoo-Tuning beats the typical source, but not the best",
        (_, Some(Unclear)) => "Zoo-Tuning gains nothing clear over a typical single source",
        (Some(Unclear), _) => "Zoo-Tuning and the best single source: no clear winner",
        (Some(Behind), None) => "Zoo-Tuning stays behind the best single source",
        (None, Some(Ahead)) => "Zoo-Tuning beats the typical source",
        (None, None) => return "One network from a zoo of networks".to_owned(),
    };
    match rivals.iter().all(|rival| rival.difference.interval.is_some()) {
        true => words.to_owned(),
        false => format!("{words}, in one run"),
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
    let Some(zoo) = first(outcome, MethodKind::Zoo) else {
        html.push_str("</p>\n");
        return html;
    };
    let _ = write!(
        html,
        " Over {}, Zoo-Tuning got <strong>{}&nbsp;%</strong> of {} unseen images right{}",
        format::plural(zoo.runs.len(), "seed", "seeds"),
        percent(zoo.mean),
        format::thousands(settings.test_samples),
        match zoo.interval.filter(|i| i.is_finite()) {
            Some(interval) => format!(
                " (95&nbsp;% interval {} to {})",
                percent(zoo.mean - interval),
                percent(zoo.mean + interval)
            ),
            None => " (a single run: no interval)".to_owned(),
        }
    );
    let clauses = clauses(outcome, zoo);
    if clauses.is_empty() {
        html.push_str(".</p>\n");
    } else {
        let _ = writeln!(html, ": {}.</p>", clauses.join("; "));
    }
    html
}

/// The comparisons as clauses of a sentence: what it beats, what it loses to, what is open.
fn clauses(outcome: &Outcome, zoo: &Method) -> Vec<String> {
    let rivals = rivals(outcome);
    let of = |verdict| rivals.iter().filter(move |r| r.difference.verdict() == verdict);
    let cost = |rival: &Rival| match (rival.kind, first(outcome, rival.kind)) {
        (MethodKind::Ensemble, Some(ensemble)) if zoo.multiply_adds > 0 => {
            let times = ensemble.multiply_adds as f64 / zoo.multiply_adds as f64;
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

/// Values that a mean was taken of; none if that is the only one.
fn several(values: Vec<f64>) -> Vec<f64> {
    if values.len() > 1 { values } else { Vec::new() }
}

/// A difference in points: `+1.4 (+0.1 to +2.7)`.
fn with_interval(difference: &Difference) -> String {
    let mean = format::points(difference.mean);
    match difference.interval {
        Some(interval) => format!(
            "{mean} ({} to {})",
            format::points(difference.mean - interval),
            format::points(difference.mean + interval)
        ),
        None => mean,
    }
}

/// A few accuracies large enough to be seen first.
pub(super) fn numbers(outcome: &Outcome) -> String {
    let singles = compare::mean_single(&outcome.methods);
    let mean_single = (!singles.is_empty())
        .then(|| singles.iter().map(|run| run.accuracy).sum::<f64>() / singles.len() as f64);
    let of = |kind| first(outcome, kind).map(|method| method.mean);
    let cost = match (first(outcome, MethodKind::Ensemble), first(outcome, MethodKind::Collapsed)) {
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
    body.push_str(&accuracies(outcome)?);
    body.push_str("<div class=\"two\">\n");
    body.push_str(&differences(outcome)?);
    body.push_str(&costs(outcome)?);
    body.push_str("</div>\n");
    Ok(Some(Section { id: "result", title: "What came out", link: "Result", body }))
}

fn accuracies(outcome: &Outcome) -> Result<String> {
    let rows: Vec<Row> = outcome
        .methods
        .iter()
        .map(|method| Row {
            label: method.name.clone(),
            text: match method.interval.filter(|i| i.is_finite()) {
                Some(interval) => format!(
                    "{} ({}–{})",
                    percent(method.mean),
                    percent(method.mean - interval),
                    percent(method.mean + interval)
                ),
                None => percent(method.mean),
            },
            value: method.mean,
            interval: method.interval,
            each: several(method.runs.iter().map(|run| run.accuracy).collect()),
            colour: colour(method.kind),
            mark: mark(method.kind),
            strong: method.kind == MethodKind::Zoo,
        })
        .collect();
    let ceiling = first(outcome, MethodKind::Ensemble)
        .map(|method| (method.mean, colour(MethodKind::Ensemble)));
    let title = "Accuracy of every method, with its 95 % interval; the table below has the numbers";
    let mut html = String::from("<figure class=\"panel\">\n");
    for (class, layout) in [("wide", Layout::Beside), ("narrow", Layout::Above)] {
        let svg = plot::rows(&rows, layout, ceiling, plot::percent_label, title)?;
        let _ = writeln!(html, "<div class=\"{class}\">{svg}</div>");
    }
    html.push_str("<figcaption>Test accuracy");
    html.push_str(if outcome.methods.iter().any(|method| method.runs.len() > 1) {
        ". Mark: mean over the seeds; bar: 95&nbsp;% interval of the mean (Student’s t), also in brackets; \
         small dots: the seeds one by one. "
    } else {
        " of a single run; how much luck is in it only more seeds can tell. "
    });
    if ceiling.is_some() {
        html.push_str(
            "The diamond and the dashed line are the ensemble, which runs every source: the level to \
             reach at a fraction of its cost. ",
        );
    }
    if first(outcome, MethodKind::Hindsight).is_some() {
        html.push_str(
            "Rings mark what is no method of its own: the best single source, which only the test \
             itself reveals, and the collapsed network, which is the lite one again.",
        );
    }
    html.push_str("</figcaption>\n</figure>\n");
    Ok(html)
}

fn differences(outcome: &Outcome) -> Result<String> {
    let rivals = rivals(outcome);
    if rivals.is_empty() {
        return Ok(String::new());
    }
    let rows: Vec<Row> = rivals
        .iter()
        .map(|rival| Row {
            label: match rival.kind {
                MethodKind::Scratch => "against scratch",
                MethodKind::Average => "against the plain average",
                MethodKind::Single => "against the mean single",
                MethodKind::Hindsight => "against the best single (hindsight)",
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
    let title = "Zoo-Tuning less each rival, in percentage points, with 95 % intervals";
    let zero = Some((0.0, Colour::STRONG));
    let svg = plot::rows(&rows, Layout::Above, zero, plot::points_label, title)?;
    let open = if rivals.iter().any(|rival| rival.difference.interval.is_some()) {
        "; a bar (95&nbsp;% interval, also in brackets) that crosses the line leaves it open"
    } else {
        ""
    };
    Ok(format!(
        "<figure class=\"panel\">\n<h3>Zoo-Tuning against the others</h3>\n<figcaption>Difference of \
         accuracy in percentage points, taken within each seed, so that luck that all methods share \
         cancels. Right of the dashed line Zoo-Tuning is better{open}.</figcaption>\n{svg}</figure>\n"
    ))
}

fn costs(outcome: &Outcome) -> Result<String> {
    let places: Vec<Place> = outcome
        .methods
        .iter()
        .filter(|method| method.multiply_adds > 0)
        .map(|method| Place {
            label: method.name.clone(),
            x: method.multiply_adds as f64,
            y: method.mean,
            colour: colour(method.kind),
            mark: mark(method.kind),
            strong: method.kind == MethodKind::Zoo,
        })
        .collect();
    if places.is_empty() {
        return Ok(String::new());
    }
    let title = "Accuracy against multiply-adds of inference for one image";
    let svg = plot::scatter(&places, plot::count_label, plot::percent_label, title)?;
    Ok(format!(
        "<figure class=\"panel\">\n<h3>What accuracy costs</h3>\n<figcaption>Accuracy against the \
         multiply-adds of inference for one image, on a logarithmic scale. Up and to the left is \
         better.</figcaption>\n{svg}</figure>\n"
    ))
}

/// The table of all methods.
pub(super) fn table(outcome: &Outcome) -> Option<Section> {
    if outcome.methods.is_empty() {
        return None;
    }
    let best = outcome.methods.iter().map(|m| m.mean).fold(f64::NEG_INFINITY, f64::max);
    let mut body = String::from(
        "<p>Accuracy is the mean over the seeds ± their standard deviation, with the 95&nbsp;% interval of \
         the mean below it. Parameters, multiply-adds (for one image) and size are what inference \
         needs; training is the mean time of a run, summed where several networks were trained.</p>\n\
         <table class=\"data\" role=\"table\">\n<caption class=\"unseen\">All methods</caption>\n\
         <thead role=\"rowgroup\"><tr role=\"row\">",
    );
    let heads = ["Accuracy, %", "Parameters", "Multiply-adds", "Training", "Size"];
    body.push_str("<th scope=\"col\" role=\"columnheader\">Method</th>");
    for head in heads {
        let _ = write!(body, "<th scope=\"col\" role=\"columnheader\">{head}</th>");
    }
    body.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for method in &outcome.methods {
        let mark = match mark(method.kind) {
            Mark::Disc => "swatch",
            Mark::Ring => "swatch ring",
            Mark::Diamond => "swatch diamond",
        };
        let _ = write!(
            body,
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">\
             <span class=\"{mark}\" style=\"--key:var(--{})\"></span>{}<small>{}</small></th>",
            colour(method.kind).variable(),
            escape(&method.name),
            escape(&method.description)
        );
        let mut accuracy = percent(method.mean);
        if method.runs.len() > 1 && method.deviation.is_finite() {
            let _ = write!(accuracy, " ± {}", percent(method.deviation));
        }
        if method.mean == best {
            accuracy = format!("<span class=\"best\">{accuracy}</span>");
        }
        if let Some(interval) = method.interval.filter(|i| i.is_finite()) {
            let (low, high) = (method.mean - interval, method.mean + interval);
            let _ = write!(accuracy, "<small>{} – {}</small>", percent(low), percent(high));
        }
        let trained = if method.seconds == 0.0 {
            format::NONE.to_owned()
        } else {
            format::seconds(method.seconds)
        };
        let cells = [
            accuracy,
            format::count(method.parameters),
            format::count(method.multiply_adds),
            trained,
            format::bytes(method.bytes),
        ];
        for (head, cell) in heads.iter().zip(cells) {
            let class = if *head == heads[0] { " class=\"main\"" } else { "" };
            let _ = write!(body, "<td role=\"cell\"{class} data-label=\"{head}\">{cell}</td>");
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody></table>\n");
    Some(Section { id: "methods", title: "All methods", link: "Table", body })
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

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
        assert!(!table(&outcome).unwrap().body.contains("±</"));
    }
}
