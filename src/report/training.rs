//! What happened over time: learning curves, moving averages of gates.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Section;
use super::heatmap;
use super::plot::{self, Line};
use super::sheet::{Ink, Labels};
use crate::Result;
use crate::demo::{MethodKind, Outcome, Point, Run};

/// The learning curves.
pub(super) fn curves(outcome: &Outcome) -> Result<Option<Section>> {
    let groups = [
        (MethodKind::Scratch, "scratch"),
        (MethodKind::Single, "mean of the singles"),
        (MethodKind::Hindsight, "best single (hindsight)"),
        (MethodKind::Average, "average"),
        (MethodKind::Lite, "lite"),
        (MethodKind::Zoo, "Zoo-Tuning"),
    ];
    let mut legend = String::new();
    let (mut accuracy, mut loss) = (Vec::new(), Vec::new());
    for (kind, name) in groups {
        let runs: Vec<&Run> = outcome
            .methods
            .iter()
            .filter(|method| method.kind == kind)
            .flat_map(|method| &method.runs)
            .filter(|run| !run.curve.is_empty())
            .collect();
        if runs.is_empty() {
            continue;
        }
        let ink = Ink::kind(kind);
        accuracy.push(line(&runs, ink, |point| point.accuracy));
        loss.push(line(&runs, ink, |point| point.loss));
        let _ = writeln!(
            legend,
            "<li><span class=\"line\" style=\"--key:var(--{})\"></span>{name}</li>",
            ink.variable()
        );
    }
    if accuracy.is_empty() {
        return Ok(None);
    }
    let size = (400.0, 270.0);
    let mut body = format!(
        "<p>Strong lines are means, faint lines single runs. A good start shows at the left: what the \
         sources know is worth many steps. Accuracy here is on a fixed part of the test samples, to \
         be looked at only; nothing was chosen by it.</p>\n<ul class=\"legend\">\n{legend}</ul>\n\
         <div class=\"two\">\n"
    );
    for (name, lines, labels) in [
        ("Test accuracy over steps", &accuracy, plot::percent_label as Labels),
        ("Training loss over steps", &loss, plot::plain_label as Labels),
    ] {
        let svg = plot::lines(lines, size, None, labels, name)?;
        let _ = writeln!(body, "<figure class=\"panel\"><h3>{name}</h3>\n{svg}</figure>");
    }
    body.push_str("</div>\n");
    Ok(Some(Section { id: "training", title: "Learning, step by step", link: "Learning", body }))
}

/// The mean over runs, at steps that all of them have, with the runs themselves.
fn line(runs: &[&Run], ink: Ink, value: fn(&Point) -> f64) -> Line {
    let course = |run: &Run| -> Vec<(f64, f64)> {
        run.curve
            .iter()
            .map(|point| (point.step as f64, value(point)))
            // The loss before the first step is that of no step at all.
            .filter(|(_, y)| y.is_finite())
            .collect()
    };
    let faint: Vec<Vec<(f64, f64)>> = runs.iter().map(|run| course(run)).collect();
    let mut at: BTreeMap<u64, (f64, f64, usize)> = BTreeMap::new();
    for &(step, y) in faint.iter().flatten() {
        let entry = at.entry(step as u64).or_insert((step, 0.0, 0));
        entry.1 += y;
        entry.2 += 1;
    }
    let main = at
        .into_values()
        .filter(|(.., n)| *n == runs.len())
        .map(|(step, sum, n)| (step, sum / n as f64))
        .collect();
    Line { ink, main, faint: if runs.len() > 1 { faint } else { Vec::new() } }
}

/// The moving averages of lite Zoo-Tuning's gates.
pub(super) fn averages(outcome: &Outcome) -> Result<Option<Section>> {
    let names: Vec<&str> = outcome.sources.iter().map(|source| source.name.as_str()).collect();
    if outcome.ema.is_empty() || names.is_empty() {
        return Ok(None);
    }
    let mut body = String::from(
        "<p>Lite Zoo-Tuning keeps one gate for each layer, an exponential moving average over \
         batches. Lines that settle mean that the layer has decided; their last values are what the \
         collapsed network is made with.</p>\n",
    );
    body.push_str(&source_legend(&names));
    body.push_str("<div class=\"multiples\">\n");
    // One scale for all, so that layers can be compared.
    let top = outcome
        .ema
        .iter()
        .flat_map(|layer| layer.values.iter().flatten())
        .copied()
        .filter(|value| value.is_finite() && *value <= 10.0)
        .fold(0.0, f64::max);
    let top = if top > 0.5 { top.max(1.0) } else { 0.5 };
    for layer in &outcome.ema {
        let lines: Vec<Line> = (0..names.len())
            .map(|source| Line {
                ink: Ink::source(source),
                main: layer
                    .steps
                    .iter()
                    .zip(&layer.values)
                    .filter_map(|(step, values)| Some((*step as f64, *values.get(source)?)))
                    .collect(),
                faint: Vec::new(),
            })
            .collect();
        let title = format!("Gates of {} over the steps, one line for each source", layer.layer);
        let svg = plot::lines(&lines, (210.0, 130.0), Some(0.0..top), plot::plain_label, &title)?;
        let _ = writeln!(
            body,
            "<figure class=\"panel\"><h3>{}</h3>\n{svg}</figure>",
            heatmap::path(&layer.layer)
        );
    }
    body.push_str("</div>\n");
    Ok(Some(Section {
        id: "averages",
        title: "How the lite gates settle",
        link: "Gates over time",
        body,
    }))
}

/// The sources with their colours and numbers.
pub(super) fn source_legend(names: &[&str]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for (at, name) in names.iter().enumerate() {
        let _ = write!(html, "<li><span>{}</span></li>", heatmap::source_label(at, name));
    }
    html.push_str("</ul>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_taken_where_all_runs_are() {
        let run = |points: &[(usize, f64)]| Run {
            seed: 1,
            accuracy: 0.5,
            seconds: 1.0,
            curve: points.iter().map(|&(step, loss)| Point { step, loss, accuracy: 0.5 }).collect(),
        };
        let (a, b) = (run(&[(0, f64::NAN), (10, 1.0), (20, 2.0)]), run(&[(0, 1.0), (10, 3.0)]));
        let line = line(&[&a, &b], Ink::STRONG, |point| point.loss);
        assert_eq!(line.main, [(10.0, 2.0)]);
        assert_eq!(line.faint[0].len(), 2);
    }
}
