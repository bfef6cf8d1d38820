//! What happened over time: loss, learning rate, scores.

use super::super::Section;
use super::super::canvas::Labels;
use super::super::format::{self, escape};
use super::super::plot::{self, Line};
use super::Shown;
use crate::Result;
use crate::train::Metrics;
use crate::train::task::is_share;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Points that a line is drawn with.
const POINTS: usize = 300;

/// The curves, each of all runs.
pub(super) fn section(shown: &[Shown]) -> Result<Option<Section>> {
    if shown.iter().all(|run| run.run.metrics.is_empty()) {
        return Ok(None);
    }
    let mut body = String::from(
        "<p>Training loss is the mean since the point before; scores are those of the validation \
         samples, on which nothing is trained.</p>\n",
    );
    if shown.len() > 1 {
        body.push_str("<ul class=\"legend\">\n");
        for run in shown {
            let _ = writeln!(
                body,
                "<li><span class=\"line\" style=\"--key:var(--{})\"></span>{}</li>",
                run.colour.variable(),
                escape(&run.name)
            );
        }
        body.push_str("</ul>\n");
    }
    let lines = |value: &dyn Fn(&Metrics) -> Option<f64>| -> Vec<Line> {
        let of = |run: &Shown| {
            let points = run.run.metrics.iter();
            let points = points.filter_map(|line| Some((line.step as f64, value(line)?))).collect();
            Line { colour: run.colour, main: thinned(points), faint: vec![] }
        };
        shown.iter().map(of).collect()
    };
    let mut names: Vec<String> = Vec::new();
    let scores =
        shown.iter().flat_map(|run| &run.run.metrics).filter_map(|m| m.validation.as_ref());
    for (name, _) in scores.flat_map(|scores| &scores.values) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut plots: Vec<(String, Vec<Line>, Labels)> = Vec::new();
    plots.push(("Training loss".into(), lines(&|m| Some(m.loss)), plot::plain_label));
    for name in &names {
        let labels = if is_share(name) { plot::percent_label } else { plot::plain_label };
        let course = lines(&|m| m.validation.as_ref()?.get(name));
        plots.push((format!("Validation {name}"), course, labels));
    }
    let seen = shown.iter().flat_map(|run| &run.run.metrics).filter_map(|m| m.measured.as_ref());
    let seen: BTreeSet<&String> =
        seen.flat_map(|measured| &measured.values).map(|(name, _)| name).collect();
    for name in seen {
        let course = lines(&|m| m.measured.as_ref()?.get(name));
        plots.push((title_of(name), course, plot::plain_label));
    }
    plots.push(("Learning rate".into(), lines(&|m| Some(m.learning_rate)), rate_label));
    body.push_str("<div class=\"two\">\n");
    for (name, lines, labels) in plots {
        let title = format!("{name} over steps");
        let svg = plot::lines(&lines, (400.0, 250.0), None, labels, &title)?;
        let _ =
            writeln!(body, "<figure class=\"panel\"><h3>{}</h3>\n{svg}</figure>", escape(&title));
    }
    body.push_str("</div>\n");
    Ok(Some(Section { id: "training", title: "Learning, step by step", link: "Learning", body }))
}

/// What a task sees by the way, as people call it.
fn title_of(name: &str) -> String {
    match name {
        "charts/episodic_return" => "Return of the episodes it learned from",
        "charts/episodic_length" => "Length of the episodes it learned from",
        "charts/epsilon" => "Share of random actions",
        "losses/q_values" => "Values of the actions taken",
        other => other,
    }
    .to_owned()
}

/// Means of so many points that as few remain as can be seen apart.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(each).map(mean).collect()
}

/// A learning rate at an axis: small numbers as powers of ten.
fn rate_label(rate: f64) -> String {
    match rate.abs() {
        0.0 => "0".to_owned(),
        small if small < 1e-3 => format!("{rate:.0e}").replace('-', "−"),
        _ => {
            let text = format::decimal(rate, 4);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_points_become_means() {
        let points: Vec<(f64, f64)> = (0..600).map(|n| (f64::from(n), f64::from(n % 2))).collect();
        let thin = thinned(points);
        assert_eq!((thin.len(), thin[0]), (POINTS, (0.5, 0.5)));
        assert!(thinned(vec![]).is_empty());
        assert_eq!(thinned(vec![(1.0, 2.0)]), [(1.0, 2.0)]);
    }

    #[test]
    fn rates_are_written_short() {
        for (rate, text) in
            [(0.0, "0"), (0.01, "0.01"), (0.0025, "0.0025"), (2e-5, "2e−5"), (1.0, "1")]
        {
            assert_eq!(rate_label(rate), text);
        }
    }
}
