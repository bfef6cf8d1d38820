//! Methods side by side: the page of a comparison, and what other pages show of methods.

use super::canvas::{Colour, Mark};
use super::format::{self, escape, percent};
use super::methods::{colour, mark};
use super::plot::{self, Layout, Place, Row};
use super::table::{open, row};
use super::{Page, Section, learning};
use crate::Result;
use crate::compare::{Difference, Method, MethodKind, Outcome, Score, paired, summary};
use std::fmt::Write;

/// The page of a comparison, as HTML.
///
/// # Errors
/// If a plot cannot be encoded.
pub fn comparison(outcome: &Outcome) -> Result<String> {
    let methods = &outcome.methods;
    let seeds = outcome.plan.seeds as usize;
    let title = format!(
        "{} and what else can be made of them",
        format::capital(&format::plural(outcome.sources.len(), "network", "networks"))
    );
    let lede = format!(
        "<p class=\"lede\">Every method had the same {} training images, the same settings and {}; \
         accuracy is the share of right answers on {} images that none of them saw.</p>\n",
        format::thousands(outcome.training_samples),
        format::plural(seeds, "seed", "seeds"),
        format::thousands(outcome.test_samples),
    );
    let mut result = accuracies(methods, MethodKind::Zoo)?;
    result.push_str("<div class=\"two\">\n");
    result.push_str(&differences(outcome)?);
    result.push_str(&costs(methods)?);
    result.push_str("</div>\n");
    let sections: Vec<Section> = [
        Some(Section { id: "result", title: "What came out", link: "Result", body: result }),
        table(methods),
        learning::section(methods, "the validation samples")?,
        scores(outcome),
        Some(runs(outcome)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = Page {
        kind: "Zoo-Tuning, a comparison",
        title: &title,
        version: &outcome.version,
        lede: &lede,
        numbers: "",
        sections: &sections,
        footer: &footer(outcome),
    };
    Ok(page.html())
}

/// Every method less the one that the others are measured against.
fn differences(outcome: &Outcome) -> Result<String> {
    let Some(reference) = outcome.reference() else { return Ok(String::new()) };
    let rows: Vec<Row> = outcome
        .methods
        .iter()
        .filter(|method| method.kind != reference.kind)
        .filter_map(|method| {
            let difference = paired(&method.runs, &reference.runs)?;
            Some(Row {
                label: method.name.clone(),
                text: with_interval(&difference),
                value: difference.mean,
                interval: difference.interval,
                each: several(difference.each),
                colour: colour(method.kind),
                mark: mark(method.kind),
                strong: method.kind == MethodKind::Zoo,
            })
        })
        .collect();
    let title = format!("Every method less {}, in percentage points", reference.name);
    let zero = Some((0.0, Colour::STRONG));
    let svg = plot::rows(&rows, Layout::Above, zero, plot::points_label, &title)?;
    let name = escape(&reference.name);
    Ok(format!(
        "<figure class=\"panel\">\n<h3>Against {name}</h3>\n<figcaption>Difference of accuracy in \
         percentage points, taken within each seed, so that luck that all methods share cancels. \
         Right of the dashed line is better than {name}; a bar (95&nbsp;% interval) that crosses the \
         line leaves it open.</figcaption>\n{svg}</figure>\n"
    ))
}

/// What the sources scored before tuning, beside what tuning made of each.
fn scores(outcome: &Outcome) -> Option<Section> {
    if outcome.scores.is_empty() {
        return None;
    }
    let singles = outcome.methods.iter().filter(|method| method.kind == MethodKind::Single);
    let mut titles: Vec<String> = outcome.scores.iter().map(|score| score.name.clone()).collect();
    titles.push("accuracy after tuning, %".to_owned());
    let mut body = String::from(
        "<p>Scores of the sources’ features of the training images before any tuning, and of what their \
         own classifiers make of them (LEEP), the mean over the seeds; of each, more is better. \
         Leave-one-out is the accuracy of a ridge classifier, by which a source is chosen. The last row \
         says how well a score foretold accuracy: its rank correlation (Spearman) over the sources, the \
         mean over the seeds.</p>\n",
    );
    body.push_str(&open("Scores of the sources", "Source", &titles));
    for (at, name) in outcome.sources.iter().enumerate() {
        let of = |score: &Score| {
            let values = score.values.iter().filter_map(|(_, values)| values.get(at).copied());
            format!("{:.3}", summary(&values.collect::<Vec<_>>()).mean)
        };
        let mut cells: Vec<String> = outcome.scores.iter().map(of).collect();
        let after = singles.clone().nth(at).map(|method| percent(method.mean));
        cells.push(after.unwrap_or(format::NONE.to_owned()));
        row(&mut body, &escape(name), &titles, &cells);
    }
    let told = |found: Option<f64>| found.map_or(format::NONE.to_owned(), |r| format!("{r:+.2}"));
    let mut cells: Vec<String> =
        outcome.scores.iter().map(|score| told(score.rank_correlation)).collect();
    cells.push(format::NONE.to_owned());
    row(&mut body, "rank correlation with accuracy", &titles, &cells);
    body.push_str("</tbody></table>\n");
    Some(Section { id: "scores", title: "What the scores foretold", link: "Scores", body })
}

/// Links to the page of every run.
fn runs(outcome: &Outcome) -> Section {
    let mut body = String::from("<p>Every network is a run with a page of its own:</p>\n<ul>\n");
    for folder in outcome.folders() {
        let name = escape(&folder);
        let _ = writeln!(body, "<li><a href=\"{name}/report.html\">{name}</a></li>");
    }
    body.push_str("</ul>\n");
    Section { id: "runs", title: "All runs", link: "Runs", body }
}

fn footer(outcome: &Outcome) -> String {
    let config = outcome.plan.config.to_toml().unwrap_or_default();
    let left_out = outcome.left_out().map_or(String::new(), |left_out| {
        format!(" For the budget of time there was left out: {}.", escape(left_out))
    });
    format!(
        "<h2 id=\"settings\">Settings</h2>\n<p>All of it took {}.{left_out} How every network was \
         tuned, but for what makes its method and for the seed:</p>\n<pre><code>{}</code></pre>\n",
        format::seconds(outcome.seconds),
        escape(config.trim())
    )
}

/// The first method of a kind: where there are several, the table's order decides, not the test.
pub(crate) fn first(methods: &[Method], kind: MethodKind) -> Option<&Method> {
    methods.iter().find(|method| method.kind == kind)
}

/// The accuracies as rows over one axis.
pub(crate) fn accuracies(methods: &[Method], strong: MethodKind) -> Result<String> {
    let rows: Vec<Row> = methods
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
            strong: method.kind == strong,
        })
        .collect();
    let ceiling = first(methods, MethodKind::Ensemble)
        .map(|method| (method.mean, colour(MethodKind::Ensemble)));
    let title = "Accuracy of every method, with its 95 % interval; the table below has the numbers";
    let mut html = String::from("<figure class=\"panel\">\n");
    for (class, layout) in [("wide", Layout::Beside), ("narrow", Layout::Above)] {
        let svg = plot::rows(&rows, layout, ceiling, plot::percent_label, title)?;
        let _ = writeln!(html, "<div class=\"{class}\">{svg}</div>");
    }
    html.push_str("<figcaption>Test accuracy");
    html.push_str(if methods.iter().any(|method| method.runs.len() > 1) {
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
    if first(methods, MethodKind::Hindsight).is_some() {
        html.push_str(
            "Rings mark what is no method of its own: the best single source, which only the test \
             itself reveals, and the collapsed network, which is the lite one again.",
        );
    }
    html.push_str("</figcaption>\n</figure>\n");
    Ok(html)
}

/// The accuracies against what inference costs.
pub(crate) fn costs(methods: &[Method]) -> Result<String> {
    let places: Vec<Place> = methods
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
pub(crate) fn table(methods: &[Method]) -> Option<Section> {
    if methods.is_empty() {
        return None;
    }
    let best = methods.iter().map(|m| m.mean).fold(f64::NEG_INFINITY, f64::max);
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
    for method in methods {
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
        if method.runs.len() > 1 && method.std.is_finite() {
            let _ = write!(accuracy, " ± {}", percent(method.std));
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

/// Values that a mean was taken of; none if that is the only one.
pub(crate) fn several(values: Vec<f64>) -> Vec<f64> {
    if values.len() > 1 { values } else { Vec::new() }
}

/// A difference in points: `+1.4 (+0.1 to +2.7)`.
pub(crate) fn with_interval(difference: &Difference) -> String {
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
