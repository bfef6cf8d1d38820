//! How far points are that a network finds: each point, the errors of pictures, a few pictures.

use super::super::Section;
use super::super::format::{self, escape, percent};
use super::super::landmarks::{cumulative, pictures};
use super::super::plot::{self, Line};
use super::super::table::{open, row};
use super::Shown;
use crate::Result;
use crate::train::task::landmarks::{FOUND, LandmarkEvaluation};
use std::fmt::Write;

/// What was measured of points, of all runs on one part of the samples that all have.
pub(super) fn section(shown: &[Shown]) -> Result<Option<Section>> {
    let found = ["test", "validation"].into_iter().find_map(|part| {
        let of = |run: &Shown| run.run.observations.landmarks.get(part).cloned();
        let all: Option<Vec<LandmarkEvaluation>> = shown.iter().map(of).collect();
        all.filter(|all| !all.is_empty()).map(|all| (part, all))
    });
    let Some((part, found)) = found else { return Ok(None) };
    let mut body = format!(
        "<p>Errors are divided by {}; of the {part} pictures. NME is the mean over pictures of the mean \
         error of a picture’s points.{}</p>\n",
        escape(&found[0].normalizer),
        left_out(&found[0])
    );
    body.push_str(&table(shown, &found));
    body.push_str(&curve(shown, &found)?);
    if let [one] = &found[..] {
        body.push_str(&pictures(&one.pictures)?);
    }
    let (id, title, link) = ("points", "Point by point", "Points");
    Ok(Some(Section { id, title, link, body }))
}

/// Pictures that could not be measured, for a reader.
fn left_out(found: &LandmarkEvaluation) -> String {
    let mut text = String::new();
    let counts = [
        (found.unmarked, "no point is marked"),
        (found.without_normalizer, "that length is 0, or not known"),
    ];
    for (count, why) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let pictures = format::plural(count, "picture is", "pictures are");
        let _ = write!(text, " {} left out, since {why} there.", format::capital(&pictures));
    }
    text
}

/// Of one run all that is known of each point, of several their NMEs.
fn table(shown: &[Shown], found: &[LandmarkEvaluation]) -> String {
    let share = |value: Option<f64>| {
        value.map_or(format::NONE.to_owned(), |v| format!("{}&nbsp;%", percent(v)))
    };
    let (titles, cells): (Vec<String>, Vec<Vec<String>>) = match found {
        [one] => {
            let limit = |k: usize| format!("within {}&nbsp;%", percent(FOUND[k]));
            let titles = vec!["pictures".into(), "NME".into(), "pixels".into(), limit(0), limit(1)];
            let cells = one.points.iter().map(|point| {
                let pixels =
                    point.pixels.map_or(format::NONE.to_owned(), |v| format::decimal(v, 1));
                let pck = |k: usize| share(point.pck.map(|pck| pck[k]));
                let pictures = format::thousands(point.samples);
                vec![pictures, share(point.nme), pixels, pck(0), pck(1)]
            });
            (titles, cells.collect())
        }
        several => {
            let titles = shown.iter().map(|run| format!("{}, NME", run.name)).collect();
            let nme = |name: &str, of: &LandmarkEvaluation| {
                share(of.points.iter().find(|point| point.name == name).and_then(|point| point.nme))
            };
            let names = several[0].points.iter().map(|point| &point.name);
            (titles, names.map(|name| several.iter().map(|of| nme(name, of)).collect()).collect())
        }
    };
    let titles: Vec<String> =
        titles.into_iter().map(|title: String| title.replace("&nbsp;", "\u{a0}")).collect();
    let mut html = open("Errors of each point", "Point", &titles);
    for (point, cells) in found[0].points.iter().zip(&cells) {
        row(&mut html, &escape(&point.name), &titles, cells);
    }
    html.push_str("</tbody></table>\n");
    html
}

/// The share of pictures whose error is at most x, for each x.
fn curve(shown: &[Shown], found: &[LandmarkEvaluation]) -> Result<String> {
    let line = |(run, of): (&Shown, &LandmarkEvaluation)| Line {
        colour: run.colour,
        main: cumulative(&of.errors),
        faint: vec![],
    };
    let lines: Vec<Line> = shown.iter().zip(found).map(line).collect();
    let title = "Share of pictures over the error in per cent";
    let svg = plot::lines(&lines, (400.0, 250.0), Some(0.0..1.0), plot::percent_label, title)?;
    let limits: Vec<String> = found
        .iter()
        .map(|of| {
            let [at8, at10] = of.failures.map(percent);
            let [area8, area10] = of.auc.map(percent);
            format!(
                "above 8&nbsp;% {at8}&nbsp;%, above 10&nbsp;% {at10}&nbsp;%; area up to 8&nbsp;% \
                 {area8}&nbsp;%, up to 10&nbsp;% {area10}&nbsp;%"
            )
        })
        .collect();
    let mut legend = String::new();
    for (run, limits) in shown.iter().zip(limits) {
        let Shown { name, colour, .. } = run;
        let _ = writeln!(
            legend,
            "<li><span class=\"line\" style=\"--key:var(--{})\"></span>{}: {limits}</li>",
            colour.variable(),
            escape(name)
        );
    }
    Ok(format!(
        "<figure class=\"panel\"><h3>{title}</h3>\n{svg}<ul class=\"legend\">\n{legend}</ul></figure>\n"
    ))
}
