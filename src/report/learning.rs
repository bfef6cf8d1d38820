//! What happened over time: learning curves.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Section;
use super::canvas::{Colour, Labels};
use super::methods::colour;
use super::plot::{self, Line};
use crate::Result;
use crate::compare::{Method, MethodKind, Point, Run};

/// The learning curves of methods, of those runs that were measured on their way; `samples` says on
/// what.
pub(crate) fn section(methods: &[Method], samples: &str) -> Result<Option<Section>> {
    let groups = [
        (MethodKind::Scratch, "scratch"),
        (MethodKind::Single, "mean of the singles"),
        (MethodKind::Hindsight, "best single (hindsight)"),
        (MethodKind::Average, "average"),
        (MethodKind::Lite, "lite"),
        (MethodKind::Zoo, "Zoo-Tuning"),
        (MethodKind::Routed, "routed zoo"),
    ];
    let mut legend = String::new();
    let (mut accuracy, mut loss) = (Vec::new(), Vec::new());
    for (kind, name) in groups {
        let runs: Vec<&Run> = methods
            .iter()
            .filter(|method| method.kind == kind)
            .flat_map(|method| &method.runs)
            .filter(|run| !run.curve.is_empty())
            .collect();
        if runs.is_empty() {
            continue;
        }
        let colour = colour(kind);
        accuracy.push(line(&runs, colour, |point| point.accuracy));
        loss.push(line(&runs, colour, |point| point.loss));
        let _ = writeln!(
            legend,
            "<li><span class=\"line\" style=\"--key:var(--{})\"></span>{name}</li>",
            colour.variable()
        );
    }
    if accuracy.is_empty() {
        return Ok(None);
    }
    let size = (400.0, 270.0);
    let mut body = format!(
        "<p>Strong lines are means, faint lines single runs. A good start shows at the left: what the \
         sources know is worth many steps. Accuracy here is on {samples}.</p>\n<ul class=\"legend\">\n{legend}</ul>\n\
         <div class=\"two\">\n"
    );
    for (name, lines, labels) in [
        ("Accuracy over steps", &accuracy, plot::percent_label as Labels),
        ("Training loss over steps", &loss, plot::plain_label as Labels),
    ] {
        let svg = plot::lines(lines, size, None, labels, name)?;
        let _ = writeln!(body, "<figure class=\"panel\"><h3>{name}</h3>\n{svg}</figure>");
    }
    body.push_str("</div>\n");
    Ok(Some(Section { id: "training", title: "Learning, step by step", link: "Learning", body }))
}

/// The mean over runs, at steps that all of them have, with the runs themselves.
fn line(runs: &[&Run], colour: Colour, value: fn(&Point) -> f64) -> Line {
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
    Line { colour, main, faint: if runs.len() > 1 { faint } else { Vec::new() } }
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
            learning_rate: None,
            routed: None,
            curve: points.iter().map(|&(step, loss)| Point { step, loss, accuracy: 0.5 }).collect(),
        };
        let (a, b) = (run(&[(0, f64::NAN), (10, 1.0), (20, 2.0)]), run(&[(0, 1.0), (10, 3.0)]));
        let line = line(&[&a, &b], Colour::STRONG, |point| point.loss);
        assert_eq!(line.main, [(10.0, 2.0)]);
        assert_eq!(line.faint[0].len(), 2);
    }
}
